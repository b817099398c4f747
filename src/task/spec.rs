//! What a task shall do: valid once constructed, so nothing behind it checks again.

use serde::{Deserialize, Serialize};

pub use super::cloud::Cloud;
use super::cover::{Cover, first_below};
use super::key::Key;
use super::rules::CopyRules;
use super::time::UnixMillis;
use crate::violation::Violation;

/// Everything that a task shall do, without credentials.
///
/// The ledger stores it as JSON. The names and the order of the fields, here and in the types below, are those of that text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Where the objects are.
    pub source: BucketLocation,
    /// Where they go.
    pub target: BucketLocation,
    /// Written before each key at the target; empty for none.
    pub target_prefix: Key,
    /// Which objects.
    pub scope: Scope,
    /// A sentence of the user, at most 255 characters.
    pub description: String,
    /// Large objects copied at the same time, 1 to 50. The engine copies a multiple of it of small objects.
    pub threads: u8,
    /// Whether the target shall encrypt with its key management service.
    pub kms: bool,
    /// Only objects modified after this moment.
    pub migrate_since: Option<UnixMillis>,
    /// Whether archived source objects shall be restored first.
    pub restore: bool,
    /// Whether failed objects are recorded for a failed-only start.
    pub record_failures: bool,
    /// Read the objects through this domain.
    pub cdn: Option<Cdn>,
    /// Whom to tell at the end.
    pub notification: Option<Notification>,
    /// When to overwrite, how to compare, how much proof to ask for. Older ledgers do not have them.
    #[serde(default)]
    pub rules: CopyRules,
    /// Whether copied and skipped objects are listed at the target. Older ledgers do not say so: they are.
    #[serde(default = "recorded")]
    pub record_settled: bool,
}

const fn recorded() -> bool {
    true
}

impl TaskSpec {
    /// Longest description in characters.
    pub const MAX_DESCRIPTION: usize = 255;
    /// The largest number of threads.
    pub const MAX_THREADS: u8 = 50;
    const FORBIDDEN_IN_DESCRIPTION: &'static [char] = &['<', '>', '(', ')', '"', '\'', '&'];

    /// Checks what concerns more than one field or has a rule of its own.
    ///
    /// # Errors
    /// [`Violation::DescriptionCharacters`], [`Violation::DescriptionLength`], [`Violation::Threads`],
    /// [`Violation::TargetPrefixLength`] or [`Violation::TargetInsideScope`].
    pub fn validate(self) -> Result<Self, Violation> {
        if self.description.contains(Self::FORBIDDEN_IN_DESCRIPTION) {
            return Err(Violation::DescriptionCharacters);
        }
        if self.description.chars().count() > Self::MAX_DESCRIPTION {
            return Err(Violation::DescriptionLength {
                most: Self::MAX_DESCRIPTION,
            });
        }
        if !(1..=Self::MAX_THREADS).contains(&self.threads) {
            return Err(Violation::Threads {
                most: Self::MAX_THREADS,
            });
        }
        if self.target_prefix.as_bytes().len() > Key::MAX_LEN {
            return Err(Violation::TargetPrefixLength);
        }
        if self.names_one_bucket() && self.copies_into_scope() {
            return Err(Violation::TargetInsideScope);
        }
        Ok(self)
    }

    /// Whether both sides are written as one and the same bucket. One bucket may have several names.
    #[must_use]
    pub fn names_one_bucket(&self) -> bool {
        self.source.endpoint.url == self.target.endpoint.url && self.source.bucket == self.target.bucket
    }

    /// Whether the addresses alone say if both sides are one bucket: below one endpoint a bucket has one name.
    #[must_use]
    pub fn tells_its_buckets_apart(&self) -> bool {
        self.source.endpoint.url == self.target.endpoint.url
    }

    /// Whether copies would fall into the scope if both sides were one bucket: the listing would find them, and copy them
    /// again. That is so when the target's prefix before a prefix of the scope gives a name within another prefix, or one that
    /// another prefix or a key begins with, and when before a key it gives a key or a name within a prefix. A list of objects or
    /// URLs is not looked at: it is read once, and does not grow.
    #[must_use]
    pub fn copies_into_scope(&self) -> bool {
        let cover = self.scope.cover();
        let keys = self.scope.single_keys();
        let copy_of = |key: &Key| key.with_prefix(self.target_prefix.as_bytes());
        let key_falls_in = |key: &Key| {
            let copy = copy_of(key);
            cover.covers(&copy) || keys.binary_search(&copy).is_ok()
        };
        let prefix_falls_in = |prefix: &Key| {
            let copies = copy_of(prefix);
            cover.covers(&copies) || cover.reaches_below(&copies) || first_below(&keys, &copies)
        };
        cover.prefixes().iter().any(prefix_falls_in) || keys.iter().any(key_falls_in)
    }
}

/// A bucket somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketLocation {
    /// Whose cloud; decides the region catalogue.
    pub cloud: Cloud,
    /// Region name, as the cloud spells it.
    pub region: String,
    /// Bucket name.
    pub bucket: String,
    /// The store's address, resolved at creation from the request or the region catalogue.
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// Account number that Tencent puts into bucket names; kept as given.
    pub app_id: Option<String>,
    /// Who pays for the requests to the bucket. Older ledgers do not say so: the owner does.
    #[serde(default, skip_serializing_if = "Payer::is_owner")]
    pub payer: Payer,
}

/// Who pays for the requests to a bucket and for what is read from it. Source: Requester Pays buckets of Amazon S3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payer {
    /// Whoever owns the bucket.
    #[default]
    Owner,
    /// Whoever sends the request, and says so in each of them.
    Requester,
}

impl Payer {
    const fn is_owner(&self) -> bool {
        matches!(self, Self::Owner)
    }
}

/// Address of a store: `http[s]://host[:port][/path]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// Scheme, host, port and path, without a slash at the end.
    pub url: String,
    /// Where the bucket name stands in requests.
    pub addressing: Addressing,
    /// Whether the request named it, rather than the catalogue.
    pub origin: EndpointOrigin,
}

/// Where the bucket name stands in requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Addressing {
    /// `https://host/bucket/key`.
    Path,
    /// `https://bucket.host/key`.
    VirtualHost,
}

/// Who named an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointOrigin {
    /// The create request.
    Request,
    /// The region catalogue.
    Catalogue,
}

/// Which objects of the source bucket a task copies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Files by name, and folders (names that end with `/`, or the empty name for the whole bucket).
    Objects(Vec<Key>),
    /// Every object whose key begins with one of these; the empty prefix is the whole bucket.
    Prefixes(Vec<Key>),
    /// The objects that a file names, one in a line.
    List(Manifest),
    /// The addresses that a file names, each with the name that it gets at the target. No bucket is the source.
    Urls(Manifest),
}

/// A file that names objects. It lies in a bucket of the target's store, and is read with the target's keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Bucket.
    pub bucket: String,
    /// Key of the file.
    pub key: Key,
}

impl Scope {
    /// The file that names the objects, where one does.
    #[must_use]
    pub const fn list_file(&self) -> Option<&Manifest> {
        match self {
            Self::List(file) | Self::Urls(file) => Some(file),
            Self::Objects(_) | Self::Prefixes(_) => None,
        }
    }

    /// The prefixes to list, without those that another one covers, in byte order.
    #[must_use]
    pub fn prefixes(&self) -> Vec<Key> {
        self.cover().into_prefixes()
    }

    fn cover(&self) -> Cover {
        Cover::new(match self {
            Self::Prefixes(prefixes) => prefixes.clone(),
            Self::Objects(names) => names.iter().filter(|name| is_folder(name)).cloned().collect(),
            Self::List(_) | Self::Urls(_) => Vec::new(),
        })
    }

    /// Whether the user names this key, rather than a prefix that it lies in.
    #[must_use]
    pub fn names(&self, key: &Key) -> bool {
        match self {
            Self::List(_) | Self::Urls(_) => true,
            Self::Objects(names) => !is_folder(key) && names.contains(key),
            Self::Prefixes(_) => false,
        }
    }

    /// Whether the scope is the whole bucket: then it is no error when it holds nothing.
    #[must_use]
    pub fn is_whole_bucket(&self) -> bool {
        match self {
            Self::Prefixes(names) | Self::Objects(names) => {
                names.iter().any(|name| name.as_bytes().is_empty())
            }
            Self::List(_) | Self::Urls(_) => false,
        }
    }

    /// The single objects to copy that no listed prefix covers, in byte order, each once.
    #[must_use]
    pub fn single_keys(&self) -> Vec<Key> {
        let Self::Objects(names) = self else {
            return Vec::new();
        };
        let cover = self.cover();
        in_order(
            names
                .iter()
                .filter(|name| !is_folder(name) && !cover.covers(name)),
        )
    }

    /// The single objects that a listed prefix covers although the user names them, in byte order, each once. They are
    /// copied with their prefix; only that they exist has to be made sure of.
    #[must_use]
    pub fn covered_keys(&self) -> Vec<Key> {
        let Self::Objects(names) = self else {
            return Vec::new();
        };
        let cover = self.cover();
        in_order(names.iter().filter(|name| !is_folder(name) && cover.covers(name)))
    }
}

/// Each name once, in byte order.
fn in_order<'a>(names: impl Iterator<Item = &'a Key>) -> Vec<Key> {
    let mut found: Vec<Key> = names.cloned().collect();
    found.sort();
    found.dedup();
    found
}

fn is_folder(name: &Key) -> bool {
    name.as_bytes().is_empty() || name.as_bytes().ends_with(b"/")
}

/// A CDN domain before the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cdn {
    /// `http` or `https`.
    pub protocol: String,
    /// Host name.
    pub domain: String,
    /// One of the authentication types of the OMS reference.
    pub authentication_type: String,
}

/// Whom to tell at the end of a task, and when. Kept and shown; sending comes with the notification feature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Topic.
    pub topic_urn: String,
    /// `zh-cn` or `en-us`.
    pub language: Option<String>,
    /// `SUCCESS`, `FAIL`.
    pub triggers: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> Vec<Key> {
        names.iter().map(|name| Key::from(*name)).collect()
    }

    #[test]
    fn copies_must_not_fall_into_their_own_scope() {
        let check = |target: &str, prefix: &str, scope: Scope| {
            let mut spec = crate::task::testing::spec();
            spec.target.bucket = target.to_owned();
            spec.target_prefix = Key::from(prefix);
            TaskSpec { scope, ..spec }.validate().map(drop)
        };
        let prefixes = |names: &[&str]| Scope::Prefixes(keys(names));
        assert_eq!(
            check("source", "", prefixes(&[""])),
            Err(Violation::TargetInsideScope)
        );
        assert!(check("source", "copy/", prefixes(&[""])).is_err());
        assert!(check("source", "a/copy/", prefixes(&["a/"])).is_err());
        assert!(check("source", "", Scope::Objects(keys(&["k"]))).is_err());
        assert!(
            check("source", "b", prefixes(&["a", "ba/x"])).is_err(),
            "above a prefix"
        );
        assert!(
            check("source", "b", Scope::Objects(keys(&["a/", "ba/x"]))).is_err(),
            "above a key"
        );
        assert!(check("source", "z", prefixes(&["x", "zx1"])).is_err());
        assert!(check("source", "z", prefixes(&["x", "zy"])).is_ok());
        let named = Scope::Objects(keys(&["a/", "z/a/b"]));
        assert!(check("source", "z/", named).is_err());
        assert!(check("source", "copy/", prefixes(&["a/"])).is_ok());
        assert!(check("source", "copy/", Scope::Objects(keys(&["k"]))).is_ok());
        assert!(check("other", "", prefixes(&[""])).is_ok());
    }

    #[test]
    fn covered_prefixes_and_keys_are_taken_once() {
        let scope = Scope::Objects(keys(&["b/c", "b/", "a", "b/d/", "a", "z"]));
        assert_eq!(scope.prefixes(), keys(&["b/"]));
        assert_eq!(scope.single_keys(), keys(&["a", "z"]));
        assert_eq!(scope.covered_keys(), keys(&["b/c"]));
        assert!(!scope.is_whole_bucket());
    }

    #[test]
    fn the_empty_name_is_the_whole_bucket() {
        let scope = Scope::Objects(keys(&["x", ""]));
        assert_eq!(scope.prefixes(), keys(&[""]));
        assert!(scope.single_keys().is_empty() && scope.is_whole_bucket());
        assert_eq!(
            Scope::Prefixes(keys(&["ab", "a", "b"])).prefixes(),
            keys(&["a", "b"])
        );
    }

    #[test]
    fn a_key_is_named_only_where_no_prefix_covers_it() {
        let keys = |names: &[&str]| names.iter().map(|name| Key::from(*name)).collect();
        let file = || Manifest {
            bucket: "b".to_owned(),
            key: Key::from("f"),
        };
        for (scope, named) in [
            (Scope::Objects(keys(&["k", "dir/"])), true),
            (Scope::Objects(keys(&["dir/"])), false),
            (Scope::Prefixes(keys(&["k"])), false),
            (Scope::List(file()), true),
            (Scope::Urls(file()), true),
        ] {
            assert_eq!(scope.names(&Key::from("k")), named, "{scope:?}");
        }
    }
}
