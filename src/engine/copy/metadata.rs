//! What is copied with an object besides its bytes: content headers, user metadata, tags, storage class, encryption.
//!
//! Content headers and encryption are never left out. With another Content-Encoding, or without encryption, it would be another
//! object, so the copy fails if the target refuses them. Tags, storage class, website redirect and user metadata are left out
//! if one side does not give or accept them. Object locks are never copied. All of these are counted by kind, and a task may
//! ask that the object fails instead. Headers for which there is no rule are counted, too.

use http::HeaderName;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::engine::context::Context;
use crate::engine::copy::metadata_fallback::{
    Attributes, Metadata, Refusals, WEBSITE_REDIRECT, user_metadata,
};
use crate::engine::retry::{At as _, SideResult};
use crate::error::{Error, ErrorKind, pluralize};
use crate::object::{ETag, NewObject, ObjectInfo, metadata_signing};
use crate::task::Key;
use crate::task::rules::RefusedMetadata;
use crate::task::storage::storage_class;

/// Returns headers, tags, storage class and encryption of the new object, and the attributes of the source that it lacks.
pub(in crate::engine) async fn describe(
    ctx: &Context,
    key: &Key,
    info: ObjectInfo,
    refusals: &Refusals,
) -> SideResult<(NewObject, Attributes)> {
    let rules = ctx.task.spec.rules;
    let refused = refusals.left_out();
    let ungiven = |error: Error, left_out: &mut bool| match rules.refused_metadata {
        RefusedMetadata::LeaveOut => {
            tracing::debug!(task.id = %ctx.task.id, ?key, %error, "left out, because one side does not give or accept it");
            *left_out = true;
            Ok(())
        }
        RefusedMetadata::Fail => Err(error).at_source(),
    };
    let mut lost = Attributes::default();
    let mut new = NewObject {
        carried: info.carried,
        tagging: None,
        storage_class: rules
            .storage
            .and_then(|policy| {
                storage_class(policy, info.storage_class.as_deref(), ctx.task.spec.target.cloud)
            })
            .map(str::to_owned),
        kms: ctx.task.spec.kms,
    };
    if info.tag_count > 0 && refused.tags {
        lost.tags = true;
    } else if info.tag_count > 0 {
        match ctx.source.tags(key).await {
            Ok(found) => {
                still_current(ctx, key, info.etag.as_ref(), info.tag_count).await?;
                new.tagging = Some(tag_query(&found)).filter(|query| !query.is_empty());
            }
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
                ungiven(error.during("read its tags"), &mut lost.tags)?;
            }
            Err(error) => return Err(error).at_source(),
        }
    }
    if info.missing_metadata > 0 {
        let missing = pluralize(
            info.missing_metadata,
            "entry of its user metadata is",
            "entries of its user metadata are",
        );
        let text = format!("{missing} not given");
        let error = Error::new(ErrorKind::Unsupported, text).with_code("MissingMetadata");
        ungiven(error, &mut lost.user_metadata)?;
    }
    if info.uncarried.lock {
        let text = "its object lock (retention or legal hold) is not carried over";
        let error = Error::new(ErrorKind::Unsupported, text).with_code("ObjectLockNotCarried");
        ungiven(error, &mut lost.object_lock)?;
    }
    for name in &info.uncarried.unknown {
        lost.other = true;
        if ctx.quirks.note_header(name) {
            tracing::warn!(task.id = %ctx.task.id, ?key, header = %name, "an unknown header is not copied");
        }
    }
    let unsendable = metadata_signing::unsendable(&new.carried.0);
    if !unsendable.is_empty() {
        let text = format!("the value of {} is not UTF-8 and cannot be signed", unsendable[0]);
        let error = Error::new(ErrorKind::Unsupported, text).with_code(metadata_signing::UNSIGNABLE);
        ungiven(error, &mut lost.user_metadata)?;
    }
    let odd = match refusals.metadata() {
        Metadata::All => Vec::new(),
        Metadata::Plain => metadata_signing::signed_differently(&new.carried.0),
    };
    lost.user_metadata |= !odd.is_empty();
    for name in unsendable.into_iter().chain(odd) {
        new.carried.0.remove(name);
    }
    lost = lost.or(refused.and(Attributes::of(&new)));
    if refused.website_redirect {
        new.carried.0.remove(WEBSITE_REDIRECT);
    }
    if refused.storage_class {
        new.storage_class = None;
    }
    if refused.user_metadata {
        let names: Vec<HeaderName> = user_metadata(&new.carried.0).cloned().collect();
        for name in names {
            new.carried.0.remove(name);
        }
    }
    Ok((new, lost))
}

/// Checks that the source still has the version with this ETag and this number of tags. A store reports the tags of the current
/// version, and does not say which version that is.
///
/// # Errors
/// The source's; `PreconditionFailed` if the object has another ETag now; `Unavailable` if it has the same ETag and another
/// number of tags, so that only a new read shows what belongs together.
async fn still_current(ctx: &Context, key: &Key, etag: Option<&ETag>, count: u32) -> SideResult<()> {
    let now = ctx.source.head(key, None).await.at_source()?;
    now.require_version(etag).at_source()?;
    if now.tag_count != count {
        let text = "the tags of the object changed while it was read";
        return Err(Error::new(ErrorKind::Unavailable, text).with_code("TagsChanged")).at_source();
    }
    Ok(())
}

fn tag_query(tags: &[(String, String)]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<String> = tags
        .iter()
        .map(|(k, v)| format!("{}={}", encode(k), encode(v)))
        .collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_travel_as_a_query_that_breaks_no_header() {
        let tags = [
            ("a b".to_owned(), "1&2=3".to_owned()),
            ("ü".to_owned(), String::new()),
            ("k".to_owned(), "\r\nx-amz-acl: public-read".to_owned()),
        ];
        assert_eq!(
            tag_query(&tags),
            "a%20b=1%262%3D3&%C3%BC=&k=%0D%0Ax%2Damz%2Dacl%3A%20public%2Dread"
        );
    }
}
