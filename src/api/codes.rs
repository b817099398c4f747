//! The one table of codes: what each means, and what to do about it. The code that answers with a code names its constant
//! here, and the catalogue in the document is made from the table.
//!
//! `OMS.*` codes are words of the wire, so they stand in `api` and nowhere below: the rooms below say with a [`Violation`]
//! which rule a request breaks, and [`of_violation`] finds the code. `TRF.*` codes are reasons that the ledger keeps, so their part of
//! the table is [`reasons`].

use serde_json::{Value, json};

use crate::task::reasons::{self, Entry};
use crate::violation::{Side, Violation};

reasons::codes! {
    INVALID_FORMAT = "OMS.0002",
        "A field has the wrong type.",
        "Send the type that the message names.";
    INVALID_REQUEST = "OMS.0004",
        "The request is not complete, larger than 1 MiB, or not announced as JSON in UTF-8.",
        "Send the whole body as application/json, without a Content-Encoding.";
    WRONG_METHOD = "OMS.0005",
        "The path exists, but not with this method (HTTP 405).",
        "Use one of the methods in the header Allow.";
    RANGE = "OMS.0051",
        "start or limit is missing or outside of its range.",
        "Send both, for example start=0&limit=100.";
    STATE = "OMS.0052",
        "state is not a status of a task.",
        "Send a number from 0 to 5.";
    UNKNOWN_TASK = "OMS.0053",
        "The project has no such task, or the caller may not see it.",
        "Check project_id and task_id.";
    TASK_ID = "OMS.0054",
        "The number of the task is malformed.",
        "Send the number that the creation answered.";
    SOURCE = "OMS.0057",
        "A field of src_node is not valid.",
        "Correct the field that the message names.";
    TARGET = "OMS.0058",
        "A field of dst_node is not valid, or the target lies within what is to be copied.",
        "Correct the field that the message names.";
    THREADS = "OMS.0059",
        "thread_num is outside of its range.",
        "Send a number from 0 to 50.";
    UNSUPPORTED = "OMS.0061",
        "A field does not go with the task type, or asks for what this service does not do.",
        "Leave the field out, or change task_type.";
    IN_PROGRESS = "OMS.0063",
        "The task waits, runs or is about to pause, and cannot be deleted.",
        "Stop the task, wait until it is paused, and delete it then.";
    INVALID_VALUE = "OMS.0064",
        "A field or parameter has a value or a length that is not allowed.",
        "Correct the field that the message names.";
    ALREADY_STARTED = "OMS.0065",
        "The task waits, runs or is about to pause, and cannot be started.",
        "Wait until it is paused or has failed.";
    NOT_IN_PROGRESS = "OMS.0066",
        "The task does not run, and cannot be stopped.",
        "Nothing: it is paused or has failed already.";
    NOT_JSON = "OMS.0067",
        "The body is not valid JSON, or has a field twice.",
        "Send one JSON object that has each field once.";
    TOKEN = "OMS.0068",
        "The header X-Auth-Token is missing or wrong (HTTP 401).",
        "Send the service's token.";
    COMPLETE = "OMS.0070",
        "The task has succeeded, and can be neither started nor stopped.",
        "Create a new task.";
    PERMISSION = "OMS.0072",
        "The service does not serve the project.",
        "Use a project that the operator allows.";
    FIELDS = "OMS.0074",
        "A field or parameter is required and missing, or not known.",
        "Compare the names with the document.";
    TOO_MANY_TASKS = "OMS.0077",
        "The project has as many tasks waiting as it may have.",
        "Create more when some of them have begun.";
    DESCRIPTION = "OMS.0078",
        "description contains one of < > ( ) \" ' &.",
        "Leave these characters out.";
    SOURCE_REGION = "OMS.0079",
        "The region of the source is not in the catalogue.",
        "Correct src_node.region, send src_node.endpoint, or ask the operator to add the region.";
    TARGET_REGION = "OMS.0080",
        "The region of the target is not in the catalogue.",
        "Correct dst_node.region, send dst_node.endpoint, or ask the operator to add the region.";
    CDN_DOMAIN = "OMS.0081",
        "source_cdn.domain is not a host name.",
        "Send a host name, with a port where it needs one.";
    WINDOW_COUNT = "OMS.0083",
        "bandwidth_policy has too many windows.",
        "Send at most 5.";
    WINDOW_LIMIT = "OMS.0084",
        "max_bandwidth is outside of its range.",
        "Send a number of bytes per second within the range that the message names.";
    WINDOW_OVERLAP = "OMS.0085",
        "Two windows of bandwidth_policy overlap.",
        "Change their times; the last minute of a window belongs to it.";
    BANDWIDTH_FIXED = "OMS.0086",
        "The task has succeeded, so its bandwidth_policy cannot be changed.",
        "Nothing: the task needs no bandwidth any more.";
    WINDOW_TIME = "OMS.0087",
        "A time in bandwidth_policy is malformed.",
        "Send hh:mm, from 00:00 to 23:59.";
    NOT_NOTIFIED = "OMS.0156",
        "The notification was not sent: this service does not send any yet. The code appears in smnInfo only.",
        "Ask for the task instead.";
    NOTHING_FAILED = "OMS.0167",
        "No failed objects are recorded for the task.",
        "Start it with migration_failed_object false.";
    LIST_NOT_STORED = "OMS.0304",
        "The target did not take a list of objects. The code appears in the fields of a task only.",
        "Check the permissions for oms/ in the target bucket. The failures are listed by the service, too.";
    LIST_TOO_LARGE = "OMS.0305",
        "A list of objects is too large to be stored at the target. The code appears in the fields of a task only.",
        "The failures are listed by the service, too.";
    FAILURES_INCOMPLETE = "OMS.0308",
        "The last pass did not finish, so its list of failed objects is incomplete.",
        "Start it with migration_failed_object false.";
    UNAVAILABLE = "OMS.1001",
        "The service cannot answer at the moment (HTTP 503), or has a bug (HTTP 500).",
        "Try again after the time in the header Retry-After; the operator finds the cause in the log under X-Request-Id.";
    UNKNOWN_PATH = "OMS.1009",
        "No operation has this path (HTTP 404).",
        "Compare the path with the document; no part of it may be empty.";
    CDN_KEY = "OMS.1032",
        "The CDN's authentication type needs a key, and none was sent.",
        "Send source_cdn.authentication_key at creation, source_cdn_authentication_key at start.";
}

/// The code of a broken rule.
#[must_use]
pub const fn of_violation(violation: &Violation) -> &'static str {
    match violation {
        Violation::TaskIdForm => TASK_ID,
        Violation::ProjectIdForm => INVALID_VALUE,
        Violation::UnknownTask => UNKNOWN_TASK,
        Violation::AlreadyStarted => ALREADY_STARTED,
        Violation::NotInProgress => NOT_IN_PROGRESS,
        Violation::Complete => COMPLETE,
        Violation::InProgress => IN_PROGRESS,
        Violation::FailuresIncomplete => FAILURES_INCOMPLETE,
        Violation::NothingFailed => NOTHING_FAILED,
        Violation::BandwidthFixed => BANDWIDTH_FIXED,
        Violation::EndpointNotAllowed { side } | Violation::EndpointForm { side, .. } => match side {
            Side::Source => SOURCE,
            Side::Target => TARGET,
        },
        Violation::UnknownRegion { side, .. } => match side {
            Side::Source => SOURCE_REGION,
            Side::Target => TARGET_REGION,
        },
        Violation::TargetPrefixLength | Violation::TargetInsideScope => TARGET,
        Violation::Threads { .. } => THREADS,
        Violation::DescriptionLength { .. } => INVALID_VALUE,
        Violation::DescriptionCharacters => DESCRIPTION,
        Violation::WindowCount { .. } => WINDOW_COUNT,
        Violation::WindowTime { .. } => WINDOW_TIME,
        Violation::WindowOverlap { .. } => WINDOW_OVERLAP,
        Violation::CdnKeyMissing => CDN_KEY,
        Violation::TooManyWaiting { .. } => TOO_MANY_TASKS,
        Violation::StopNotRecorded => UNAVAILABLE,
    }
}

/// Every code, `OMS.*` before `TRF.*`.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    ALL.iter().chain(reasons::ALL)
}

/// The meaning of a code; `None` for one that is not in the table.
#[must_use]
pub fn meaning(code: &str) -> Option<&'static str> {
    all().find(|entry| entry.code == code).map(|entry| entry.meaning)
}

/// The catalogue for programs: the value of `x-oms-codes`.
#[must_use]
pub fn catalogue() -> Value {
    let entries =
        all().map(|entry| json!({"code": entry.code, "meaning": entry.meaning, "action": entry.action}));
    entries.collect()
}

/// The catalogue for people, in Markdown.
#[must_use]
pub fn catalogue_text() -> String {
    let mut text = "Every code, what it means and what to do. `OMS` codes stand in refusals, as `error_code`, and where a \
                    code says so in a field of a task. `TRF` codes stand in the `error_reason` of a failed task. Programs \
                    find the same under `x-oms-codes`.\n\n| code | meaning | what to do |\n|---|---|---|\n"
        .to_owned();
    for Entry {
        code,
        meaning,
        action,
    } in all()
    {
        text.push_str(&format!("| {code} | {} | {} |\n", cell(meaning), cell(action)));
    }
    text
}

/// A sentence as a cell of a Markdown table: `<` would begin a tag.
fn cell(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_written_in_sentences() {
        let codes: Vec<_> = all().map(|entry| entry.code).collect();
        assert!(codes.is_sorted(), "{codes:?}");
        for Entry {
            code,
            meaning,
            action,
        } in all()
        {
            for text in [meaning, action] {
                assert!(
                    text.ends_with('.') && !text.contains('|') && !text.contains('\n'),
                    "{code}: {text}"
                );
            }
        }
    }
}
