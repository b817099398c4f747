//! The list of failed objects at the target, as OMS writes it. It is made from the ledger at the end of a pass, so it contains
//! exactly the objects that a failed-only start would copy.
//!
//! It is one PUT of known length. The ledger is read twice, page by page: once to measure and hash the list, and once to send
//! it. So memory does not grow with the list, the target checks the hash, and no multipart upload can be left open. The OMS
//! reference (failed object lists) says where the list is and which fields a line has. It does not name the separator; oms uses
//! a TAB. The lists of copied and skipped objects ([`crate::engine::reports::settled`]) are written in the same way.

use std::pin::pin;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _, stream};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use jiff::Timestamp;
use md5::{Digest as _, Md5};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::engine::context::{Context, SharedLedger};
use crate::engine::copy::verify::acknowledged;
use crate::engine::retry;
use crate::error::{Error, Result};
use crate::ledger::Failure;
use crate::object::{NewObject, ObjectHeaders, WriteIf};
use crate::task::{FailedReport, Key, PassInfo, ReportProblem, TaskId, UnixMillis};

/// Failures read from the ledger at a time.
const PAGE: i64 = 1000;
/// Largest object of one PUT (S3).
const LARGEST: u64 = 5 << 30;
/// Characters that are not encoded in a URL-encoded name: unreserved characters and the slashes between folders.
pub(in crate::engine) const NAME: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// Writes the list of what failed in the finished pass; `None` if no failure is recorded. If the target does not accept the
/// list, the result says so; the objects are not affected.
///
/// # Errors
/// Those of the ledger.
pub async fn failed_list(ctx: &Context, pass: PassInfo) -> Result<Option<FailedReport>> {
    let body = || lines(ctx.ledger.clone(), ctx.task.id);
    let size = measure(body()).await?;
    if size.length == 0 {
        return Ok(None);
    }
    let failed = |problem: ReportProblem| {
        Some(FailedReport {
            key: None,
            problem: Some(problem),
        })
    };
    if size.length > LARGEST {
        tracing::warn!(task.id = %ctx.task.id, size.length, "the list of failed objects is too large to be written");
        return Ok(failed(ReportProblem::TooLarge));
    }
    // The time in the name is that of the pass, so a repetition replaces the earlier list.
    let key = place(&ctx.task.name, "failed", pass.opened_at);
    match put(ctx, &Key::from(key.as_str()), size, body).await {
        Ok(()) => Ok(Some(FailedReport {
            key: Some(key),
            problem: None,
        })),
        Err(error) => {
            tracing::warn!(task.id = %ctx.task.id, %error, "the list of failed objects cannot be written");
            Ok(failed(ReportProblem::NotStored))
        }
    }
}

/// Length and hash of a list.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Size {
    /// Length in bytes.
    pub(in crate::engine) length: u64,
    md5: [u8; 16],
}

/// Reads a list to its end.
pub(in crate::engine) async fn measure(lines: impl Stream<Item = Result<Bytes>>) -> Result<Size> {
    let mut length = 0;
    let mut hash = Md5::new();
    let mut lines = pin!(lines);
    while let Some(chunk) = lines.try_next().await? {
        length += chunk.len() as u64;
        hash.update(&chunk);
    }
    Ok(Size {
        length,
        md5: hash.finalize().into(),
    })
}

/// Writes a list of this size to the target, with retries.
pub(in crate::engine) async fn put<L>(
    ctx: &Context,
    key: &Key,
    size: Size,
    lines: impl Fn() -> L,
) -> Result<()>
where
    L: Stream<Item = Result<Bytes>> + Send + 'static,
{
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/plain"))]);
    let new = NewObject {
        carried: ObjectHeaders(headers),
        kms: ctx.task.spec.kms,
        ..NewObject::default()
    };
    retry::run(ctx.tuning.pace, || async {
        let body = StreamBody::new(lines().map_ok(Frame::data)).boxed_unsync();
        let written = ctx
            .target
            .put(key, &new, size.length, Some(size.md5), &WriteIf::Always, body)
            .await?;
        if written.etag.is_none() {
            let found = acknowledged(ctx, key, size.length).await;
            found.map_err(|side_error| side_error.error)?;
        }
        Ok(())
    })
    .await
}

/// The key that the reference gives a list: `oms/task/{task_name}/{kind}_object_lists/{timestamp}.{kind}_list.txt`.
pub(in crate::engine) fn place(task: &str, kind: &str, at: UnixMillis) -> String {
    let time = Timestamp::from_millisecond(at.0)
        .unwrap_or_default()
        .strftime("%Y%m%d%H%M%S%3f");
    format!("oms/task/{task}/{kind}_object_lists/{time}.{kind}_list.txt")
}

/// All lines; reads one page of the ledger at a time.
fn lines(ledger: SharedLedger, id: TaskId) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    stream::try_unfold((ledger, None::<Key>), move |(ledger, after)| async move {
        let page = ledger.failures(id, after.as_ref(), PAGE).await?;
        let Some(last) = page.last().map(|failure| failure.key.clone()) else {
            return Ok::<_, Error>(None);
        };
        let text: String = page.iter().map(line).collect();
        Ok(Some((Bytes::from(text), (ledger, Some(last)))))
    })
}

/// Code, time, URL-encoded name, readable name, message.
fn line(failure: &Failure) -> String {
    let Failure {
        key,
        code,
        message,
        at,
        ..
    } = failure;
    let time = Timestamp::from_millisecond(at.0).unwrap_or_default();
    format!(
        "{}\t{time}\t{}\t{}\t{}\n",
        plain(code),
        percent_encode(key.as_bytes(), NAME),
        plain(&key.lossy()),
        plain(message)
    )
}

/// Escapes characters that would end a field or a line, or control a terminal.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() {
                c.escape_default().to_string()
            } else {
                c.to_string()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_five_fields_whatever_the_name_holds() {
        let failure = |key: &[u8]| Failure {
            key: Key::from(key),
            size: 1,
            code: "AccessDenied".to_owned(),
            message: "source: no\nentry".to_owned(),
            request_id: None,
            attempts: 1,
            at: UnixMillis(1_795_003_200_000),
        };
        for (key, encoded, shown) in [
            (&b"a/b c+%.txt"[..], "a/b%20c%2B%25.txt", "a/b c+%.txt"),
            ("ü\t\n".as_bytes(), "%C3%BC%09%0A", "ü\\t\\n"),
            (b"\xff\x1b[0m", "%FF%1B%5B0m", "\u{fffd}\\u{1b}[0m"),
        ] {
            let wanted =
                format!("AccessDenied\t2026-11-18T12:00:00Z\t{encoded}\t{shown}\tsource: no\\nentry\n");
            assert_eq!(line(&failure(key)), wanted);
        }
    }

    #[test]
    fn the_place_is_that_of_the_reference() {
        assert_eq!(
            place("a-b-1_0", "failed", UnixMillis(1_795_003_200_123)),
            "oms/task/a-b-1_0/failed_object_lists/20261118120000123.failed_list.txt"
        );
    }
}
