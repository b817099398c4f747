//! The one table of codes: what each means, and what to do about it. The code that answers with a code names its constant
//! here, and the catalogue in the document is made from the table.
//!
//! Codes are words of the wire, so they stand in `api` and nowhere below. The modules below say with a [`Violation`] which rule a
//! request breaks, and [`of_violation`] finds the `OMS.*` code. They say with a [`ReasonKind`] why a task failed, and
//! [`of_reason`] finds the `TRF.*` code.

use serde_json::{Value, json};

use crate::task::ReasonKind;
use crate::violation::{Side, Violation};

/// A code, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The code, for example `TRF.0151`.
    pub code: &'static str,
    /// What it means: a sentence.
    pub meaning: &'static str,
    /// What the caller or the operator can do about it: a sentence.
    pub action: &'static str,
}

/// Makes a constant of each code, and `OMS`, the table of all of them.
macro_rules! codes {
    ($($name:ident = $code:literal, $meaning:literal, $action:literal;)*) => {
        $(
            #[doc = concat!("`", $code, "`: ", $meaning)]
            pub const $name: &str = $code;
        )*
        /// Every `OMS.*` code, in ascending order.
        pub const OMS: &[Entry] = &[$(Entry { code: $code, meaning: $meaning, action: $action },)*];
    };
}

codes! {
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

/// Makes [`of_reason`] of a code for each reason.
macro_rules! reasons {
    ($($kind:ident = $code:literal, $meaning:literal, $action:literal;)*) => {
        /// The code of a reason, with its meaning.
        #[must_use]
        pub const fn of_reason(kind: ReasonKind) -> &'static Entry {
            match kind {
                $(ReasonKind::$kind => &Entry { code: $code, meaning: $meaning, action: $action },)*
            }
        }
    };
}

reasons! {
    SystemError = "TRF.0001",
        "The service cannot continue the task: its stored credentials cannot be opened, its counters do not balance, or a bug was found.",
        "Start the task again. If it fails again, search the log for the task's number.";
    ObjectsFailed = "TRF.0004",
        "The pass came to its end, and some objects could not be copied.",
        "Read the failures of the task, remove their causes, and start it with migration_failed_object true.";
    NoSourceObjects = "TRF.0011",
        "None of the objects that the task names exists at the source, and none begins with one of its prefixes.",
        "Check src_node.object_key and the bucket, and create a new task, or start it when the objects are there.";
    ManifestUnreadable = "TRF.0013",
        "The list file does not exist, cannot be read, or was changed while it was read.",
        "Check src_node.list_file and the permissions of the target's credentials, then start the task.";
    ManifestForm = "TRF.0014",
        "The name of the list file does not end with .txt, or the file is larger than 1024 MiB.",
        "Store the list under another name, or split it, and create a new task.";
    ManifestLine = "TRF.0016",
        "A line of the list of URLs is not a URL, a TAB and an object name, or repeats the name of an earlier line.",
        "Correct the line that the message names, then start the task.";
    ManifestEmpty = "TRF.0017",
        "The list file is empty.",
        "Fill the list file, then start the task.";
    ManifestLineTooLong = "TRF.0018",
        "A line of the list file is longer than 65535 bytes.",
        "Shorten the line that the message names, then start the task.";
    ManifestType = "TRF.0019",
        "The list file has a Content-Type other than text/plain, or a Content-Encoding.",
        "Store the list file again with the Content-Type text/plain and without a Content-Encoding, then start the task.";
    TargetPermission = "TRF.0051",
        "The target's credentials may not do what the task needs.",
        "Allow listing, reading and writing in the target bucket, or start the task with other credentials.";
    TargetFull = "TRF.0055",
        "The target has no space left.",
        "Make space at the target, then start the task.";
    TargetCredentials = "TRF.0057",
        "The target does not accept the credentials.",
        "Start the task with the right access key and secret key of the target.";
    TargetBucket = "TRF.0058",
        "The target bucket does not exist.",
        "Create the bucket, then start the task.";
    TargetUnavailable = "TRF.0061",
        "The target does not answer, or answers with errors.",
        "Check the target's address and state, then start the task.";
    SourceCredentials = "TRF.0151",
        "The source does not accept the credentials.",
        "Start the task with the right access key and secret key of the source.";
    SourcePermission = "TRF.0152",
        "The source's credentials may not do what the task needs.",
        "Allow listing and reading in the source bucket, or start the task with other credentials.";
    SourceBucket = "TRF.0155",
        "The source bucket does not exist.",
        "Check the name and the region of the source bucket.";
    SourceObject = "TRF.0156",
        "An object of the source that the task needs does not exist.",
        "Check the names that the task was created with.";
    SourceUnavailable = "TRF.0157",
        "The source does not answer, or answers with errors.",
        "Check the source's address and state, then start the task.";
    TargetEncryption = "TRF.0158",
        "The target does not encrypt as the task asks.",
        "Enable the key management service at the target, or create the task with enableKMS false.";
    SourceThrottled = "TRF.0159",
        "The source limits the rate of requests, and did not stop doing so.",
        "Start the task later, or create it with a smaller thread_num.";
    SourceArchived = "TRF.0160",
        "The data at the source is archived and cannot be read.",
        "Restore the data at the source, then start the task.";
    ManifestArchived = "TRF.0301",
        "The list file is archived and cannot be read.",
        "Restore the list file, then start the task.";
}

/// Every code in ascending order, so `OMS.*` before `TRF.*`.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    let mut reasons: Vec<_> = ReasonKind::ALL.iter().map(|&kind| of_reason(kind)).collect();
    reasons.sort_unstable_by_key(|entry| entry.code);
    OMS.iter().chain(reasons)
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
