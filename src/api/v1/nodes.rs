//! Both sides of a task on the wire: `src_node` and `dst_node`.

use std::fmt;

use serde::Deserialize as DeserializeDerive;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Array, ArrayBuilder, ObjectBuilder, Type};

use super::cloud::{CloudName, TargetCloud};
use super::list_file::{ListFile, Naming, mismatch, no_keys, nowhere, required};
use super::rules;
use super::texts::{check_bucket, named, optional_secret, secret};
use crate::api::codes;
use crate::error::{Error, Result};
use crate::secret::{Credentials, Secret};
use crate::service::BucketRequest;
use crate::task::Key;
use crate::task::spec::{Cloud, Payer, Scope};

/// Most names in one task.
const MAX_NAMES: usize = 10_000;

/// Names objects of the source.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
pub enum ObjectKey {
    /// One object, folder or prefix of at most 1024 characters; an empty string or `/` means the whole bucket.
    Text(String),
    /// Several of them.
    Keys(ObjectKeys),
}

/// Several objects, folders or prefixes.
#[derive(Debug, DeserializeDerive, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectKeys {
    /// Empty or `/`, which mean the same; kept for older clients.
    #[schema(max_length = 1)]
    path: Option<String>,
    /// Names; `keys_schema` describes them.
    #[schema(schema_with = keys_schema)]
    keys: Vec<String>,
}

/// The schema of `keys`: an attribute could limit the array, not the names in it.
fn keys_schema() -> Array {
    let name = ObjectBuilder::new()
        .schema_type(Type::String)
        .max_length(Some(Key::MAX_LEN));
    let text = "For the task type `object`: names of objects, and of folders where they end with `/`. For `prefix`: \
                beginnings of names. An empty string or `/`, alone, means the whole bucket.";
    ArrayBuilder::new()
        .items(name.build())
        .min_items(Some(1))
        .max_items(Some(MAX_NAMES))
        .description(Some(text))
        .build()
}

impl<'de> Deserialize<'de> for ObjectKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ObjectKey;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, or an object with keys")
            }
            fn visit_str<E>(self, text: &str) -> std::result::Result<ObjectKey, E> {
                Ok(ObjectKey::Text(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<ObjectKey, A::Error> {
                Deserialize::deserialize(MapAccessDeserializer::new(map)).map(ObjectKey::Keys)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Where the objects are.
#[derive(Debug, DeserializeDerive, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceNode {
    /// Region, as the cloud spells it. Like both keys and the bucket, required for every task type but `url_list`, which
    /// ignores them.
    #[schema(min_length = 1, max_length = 64, examples("eu-west-1"))]
    region: Option<String>,
    /// Access key.
    #[serde(default, deserialize_with = "optional_secret")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100, write_only)]
    ak: Option<Secret>,
    /// Secret key.
    #[serde(default, deserialize_with = "optional_secret")]
    #[schema(value_type = Option<String>, format = Password, min_length = 1, max_length = 100, write_only)]
    sk: Option<Secret>,
    /// Bucket.
    #[schema(
        min_length = 3,
        max_length = 63,
        pattern = "^[A-Za-z0-9._-]+$",
        examples("photos")
    )]
    bucket: Option<String>,
    /// Which objects, for the task types `object` and `prefix`: a name, or an object with several. Without it, the whole
    /// bucket.
    object_key: Option<ObjectKey>,
    /// A list of objects, for the task types `list` and `url_list`.
    list_file: Option<ListFile>,
    /// Account number that is part of a bucket's name; Tencent only.
    #[schema(min_length = 1, max_length = 64)]
    app_id: Option<String>,
    /// Whose store it is; `Aliyun` when it is not given or empty.
    cloud_type: Option<CloudName>,
    /// An extension: address of the store, `http[s]://host[:port][/path]`, for any S3-compatible store. Without it, the
    /// region catalogue knows the address.
    #[schema(min_length = 1, max_length = 255, examples("https://s3.example.com"), extensions(("x-oms-extension" = json!(true))))]
    endpoint: Option<String>,
}

/// Where the objects go.
#[derive(Debug, DeserializeDerive, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetNode {
    /// Region, as the cloud spells it.
    #[schema(min_length = 1, max_length = 64, examples("cn-north-4"))]
    region: String,
    /// Access key.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, min_length = 1, max_length = 100, write_only)]
    ak: Secret,
    /// Secret key.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 100, write_only)]
    sk: Secret,
    /// Written before each key, as it is. Nothing, an empty string or `/` leave the keys as they are.
    #[schema(max_length = 1024, examples("backup/"))]
    object_key: Option<String>,
    /// Bucket.
    #[schema(
        min_length = 3,
        max_length = 63,
        pattern = "^[A-Za-z0-9._-]+$",
        examples("photos-copy")
    )]
    bucket: String,
    /// Whose store it is; `HuaweiCloud` when it is not given or empty.
    cloud_type: Option<TargetCloud>,
    /// An extension: address of the store, `http[s]://host[:port][/path]`, for any S3-compatible store. Without it, the
    /// region catalogue knows the address.
    #[schema(min_length = 1, max_length = 255, examples("https://s3.example.com"), extensions(("x-oms-extension" = json!(true))))]
    endpoint: Option<String>,
}

impl SourceNode {
    /// Checks the source's fields.
    ///
    /// # Errors
    /// OMS.0074 for what is missing, OMS.0064 for lengths, OMS.0061 for fields that do not go with the task type, OMS.0057
    /// for other rules.
    pub fn check(self, naming: Naming) -> Result<(BucketRequest, Credentials, Scope)> {
        let Self {
            region,
            ak,
            sk,
            bucket,
            object_key,
            list_file,
            app_id,
            cloud_type,
            endpoint,
        } = self;
        let cloud = Cloud::from(cloud_type.unwrap_or(CloudName::Aliyun));
        if naming == Naming::Urls {
            mismatch("src_node.object_key", object_key.as_ref(), naming)?;
            mismatch("src_node.app_id", app_id.as_ref(), naming)?;
            mismatch("src_node.endpoint", endpoint.as_ref(), naming)?;
            let file = required("src_node.list_file", list_file)?.check()?;
            mismatch(
                "src_node.cloud_type",
                Some(&cloud).filter(|c| **c != Cloud::UrlSource),
                naming,
            )?;
            return Ok((nowhere(), no_keys(), Scope::Urls(file)));
        }
        let region = required("src_node.region", region)?;
        let ak = required("src_node.ak", ak)?;
        let sk = required("src_node.sk", sk)?;
        let bucket = required("src_node.bucket", bucket)?;
        check_place("src_node", codes::SOURCE, &region, &bucket, endpoint.as_deref())?;
        let keys = key_pair("src_node.", ["ak", "sk"], ak, sk)?;
        if let Some(app_id) = &app_id {
            rules::length("src_node.app_id", app_id, 1..=64)?;
        }
        mismatch(
            "src_node.cloud_type",
            Some(&cloud).filter(|c| **c == Cloud::UrlSource),
            naming,
        )?;
        let scope = if naming == Naming::List {
            mismatch("src_node.object_key", object_key.as_ref(), naming)?;
            Scope::List(required("src_node.list_file", list_file)?.check()?)
        } else {
            let names = names(object_key)?;
            mismatch("src_node.list_file", list_file.as_ref(), naming)?;
            if naming == Naming::Prefixes {
                Scope::Prefixes(names)
            } else {
                Scope::Objects(names)
            }
        };
        let place = BucketRequest {
            cloud,
            region,
            bucket,
            endpoint,
            app_id,
            payer: Payer::Owner,
        };
        Ok((place, keys, scope))
    }
}

impl TargetNode {
    /// Checks the target's fields; the key is the prefix of all names.
    ///
    /// # Errors
    /// OMS.0064 for lengths, OMS.0058 for other rules.
    pub fn check(self) -> Result<(BucketRequest, Credentials, Key)> {
        let Self {
            region,
            ak,
            sk,
            object_key,
            bucket,
            cloud_type,
            endpoint,
        } = self;
        check_place("dst_node", codes::TARGET, &region, &bucket, endpoint.as_deref())?;
        let keys = key_pair("dst_node.", ["ak", "sk"], ak, sk)?;
        let prefix = object_key.unwrap_or_default();
        rules::length("dst_node.object_key", &prefix, 0..=Key::MAX_LEN)?;
        let prefix = Key::from(if prefix == "/" { "" } else { prefix.as_str() });
        let cloud = cloud_type.unwrap_or(TargetCloud::HuaweiCloud).into();
        let place = BucketRequest {
            cloud,
            region,
            bucket,
            endpoint,
            app_id: None,
            payer: Payer::Owner,
        };
        Ok((place, keys, prefix))
    }
}

fn check_place(node: &str, code: &str, region: &str, bucket: &str, endpoint: Option<&str>) -> Result<()> {
    rules::length(&format!("{node}.region"), region, 1..=64)?;
    rules::length(&format!("{node}.bucket"), bucket, 3..=63)?;
    if let Some(endpoint) = endpoint {
        rules::length(&format!("{node}.endpoint"), endpoint, 1..=255)?;
    }
    // A region ends up in messages and in signatures: no line breaks, nothing that only looks like a letter.
    if !region.bytes().all(|b| b.is_ascii_graphic()) {
        let text = format!("{node}.region must consist of visible ASCII characters");
        return Err(Error::invalid(text).with_code(code));
    }
    check_bucket(&format!("{node}.bucket"), code, bucket)
}

/// Checks a pair of access and secret keys that stand in the fields `names` behind `prefix`.
///
/// # Errors
/// OMS.0064 for an empty or too long key.
pub fn key_pair(
    prefix: &str,
    names: [&str; 2],
    access_key: Secret,
    secret_key: Secret,
) -> Result<Credentials> {
    let [access, secret] = names;
    rules::length(&format!("{prefix}{access}"), access_key.expose(), 1..=100)?;
    rules::length(&format!("{prefix}{secret}"), secret_key.expose(), 1..=100)?;
    Ok(Credentials {
        access_key,
        secret_key,
    })
}

fn names(given: Option<ObjectKey>) -> Result<Vec<Key>> {
    const FIELD: &str = "src_node.object_key";
    let keys = match given {
        None => return Ok(vec![Key::from("")]),
        Some(ObjectKey::Text(text)) => {
            rules::length(FIELD, &text, 0..=Key::MAX_LEN)?;
            return Ok(vec![if is_whole_bucket(&text) {
                Key::from("")
            } else {
                named(FIELD, &text)?
            }]);
        }
        Some(ObjectKey::Keys(ObjectKeys { path, keys })) => {
            if path.is_some_and(|path| !is_whole_bucket(&path)) {
                let text = format!("{FIELD}.path must be empty or /");
                return Err(Error::invalid(text).with_code(codes::SOURCE));
            }
            keys
        }
    };
    if keys.is_empty() || keys.len() > MAX_NAMES {
        let text = format!("{FIELD}.keys must have 1 to {MAX_NAMES} entries");
        return Err(Error::invalid(text).with_code(codes::SOURCE));
    }
    if let [only] = keys.as_slice()
        && is_whole_bucket(only)
    {
        return Ok(vec![Key::from("")]);
    }
    let mut names = Vec::with_capacity(keys.len());
    for (index, key) in keys.iter().enumerate() {
        let field = format!("{FIELD}.keys[{index}]");
        rules::length(&field, key, 1..=Key::MAX_LEN)?;
        names.push(named(&field, key)?);
    }
    Ok(names)
}

/// Whether a name stands for everything: clients of the original send either.
fn is_whole_bucket(name: &str) -> bool {
    matches!(name, "" | "/")
}
