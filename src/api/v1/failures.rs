//! Failed objects on the wire: an extension.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::api::codes;
use crate::api::query::{DeclaredQuery, Parameters};
use crate::error::{Error, Result};
use crate::service::Failure;
use crate::task::{Counters, FailedReport, Key, PassInfo, ReportProblem};

const DEFAULT_LIMIT: i64 = 100;

/// Which failed objects.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FailuresParameters {
    /// Where the page before ended: its `next`.
    #[param(value_type = Option<String>, min_length = 1, max_length = 1366, pattern = "^[A-Za-z0-9_-]+$")]
    after: Option<Key>,
    /// Most objects to answer; 100 when it is not given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

impl Parameters for FailuresParameters {
    fn code(name: &str) -> &'static str {
        match name {
            "after" => codes::INVALID_VALUE,
            _ => codes::RANGE,
        }
    }

    fn fields(query: &DeclaredQuery) -> Result<Self> {
        Ok(Self {
            limit: query.integer("limit")?,
            after: query.get("after").map(read_position).transpose()?,
        })
    }
}

/// A page of failed objects.
#[derive(Serialize, ToSchema)]
pub struct FailurePage {
    /// The objects, in the order of their keys.
    failures: Vec<FailedObject>,
    /// Where the next page begins, for `after`; null when this is the last.
    #[schema(required)]
    next: Option<String>,
}

/// An object that could not be copied.
#[derive(Serialize, ToSchema)]
pub struct FailedObject {
    /// Key at the source; what is not UTF-8 in it is replaced.
    key: String,
    /// Length in bytes.
    #[schema(minimum = 0)]
    size: i64,
    /// Code of the store that refused, or one of the service's.
    #[schema(examples("AccessDenied"))]
    code: String,
    /// A sentence.
    message: String,
    /// Number under which the store that refused knows the request; null when it gave none.
    #[schema(required)]
    request_id: Option<String>,
    /// How often it was tried in the last run.
    #[schema(minimum = 0)]
    attempts: i64,
    /// When it failed last, in milliseconds since 1970.
    #[schema(minimum = 0)]
    time: i64,
}

/// Reads a query string: behind which key, and how many.
///
/// # Errors
/// OMS.0064 for `after`, OMS.0051 for `limit`, OMS.0074 for what is not known.
pub fn read(text: &str) -> Result<(Option<Key>, i64)> {
    let FailuresParameters { after, limit } = FailuresParameters::read(text)?;
    Ok((after, limit.unwrap_or(DEFAULT_LIMIT)))
}

fn read_position(text: &str) -> Result<Key> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let fine = bytes.filter(|bytes| (1..=Key::MAX_LEN).contains(&bytes.len()));
    fine.map(Key::from).ok_or_else(|| {
        Error::invalid("after must be the next of an earlier page").with_code(codes::INVALID_VALUE)
    })
}

impl FailurePage {
    /// A page of at most `limit` of the objects `found`; one more of them means that there is a next page.
    #[must_use]
    pub fn new(mut found: Vec<Failure>, limit: i64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| more);
        let next = last.map(|failure| URL_SAFE_NO_PAD.encode(failure.key.as_bytes()));
        Self {
            failures: found.into_iter().map(FailedObject::from).collect(),
            next,
        }
    }
}

impl From<Failure> for FailedObject {
    fn from(failure: Failure) -> Self {
        let Failure {
            key,
            size,
            code,
            message,
            request_id,
            attempts,
            at,
        } = failure;
        Self {
            key: key.lossy().into_owned(),
            size,
            code,
            message,
            request_id,
            attempts,
            time: at.0,
        }
    }
}

/// The reference's code for a list that is not complete: that of the failed objects has the same.
pub const fn report_problem_code(problem: ReportProblem) -> &'static str {
    match problem {
        ReportProblem::NotStored => codes::LIST_NOT_STORED,
        ReportProblem::TooLarge => codes::LIST_TOO_LARGE,
    }
}

/// The reference's record of the failed objects: JSON in a string.
pub fn failed_object_record(
    recorded: bool,
    counters: &Counters,
    pass: Option<PassInfo>,
    list: FailedReport,
) -> String {
    let result = recorded && counters.failed > 0 && pass.is_some_and(|pass| pass.finished);
    // Both are made of letters, digits and a few signs; the macro quotes whatever else they might come to hold.
    let key = serde_json::json!(list.key.unwrap_or_default());
    let code = serde_json::json!(list.problem.map_or("", report_problem_code));
    format!(r#"{{"result":{result},"list_file_key":{key},"errorCode":{code}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::UnixMillis;

    fn failure(key: &[u8]) -> Failure {
        Failure {
            key: Key::from(key),
            size: 1,
            code: "AccessDenied".to_owned(),
            message: "no".to_owned(),
            request_id: None,
            attempts: 1,
            at: UnixMillis(0),
        }
    }

    #[test]
    fn a_cursor_leads_behind_the_last_key_whatever_its_bytes() {
        let odd = [0xff, b'/', 0, b'?'];
        let page = FailurePage::new(vec![failure(b"a"), failure(&odd), failure(b"z")], 2);
        let (after, limit) = read(&format!("after={}&limit=2", page.next.unwrap())).unwrap();
        assert_eq!((after, limit), (Some(Key::from(&odd[..])), 2));
        assert_eq!(FailurePage::new(vec![failure(b"z")], 1).next, None);
    }

    #[test]
    fn foreign_cursors_are_refused() {
        for bad in ["after=", "after=*", "after=YQ==", "limit=0", "limit=1001"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(read("").unwrap(), (None, DEFAULT_LIMIT));
    }
}
