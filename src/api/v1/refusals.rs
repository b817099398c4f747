//! What each operation of v1 refuses, for its documentation: every code that it can answer, each with the message of one
//! request. A test sends these requests and compares the answers, and finds answers that are not listed here.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{RefOr, Response};

use crate::api::answers::{self, SharedRefusals};
use crate::api::codes;

/// A code, and the message that one request gets with it.
type Rule = (&'static str, &'static str);

const PROJECT_FORM: Rule = (
    codes::INVALID_VALUE,
    "project_id must have 1 to 64 letters, digits, '-' or '_'",
);
const DOMAIN_FORM: Rule = (
    codes::INVALID_VALUE,
    "domain_id must have 1 to 64 letters, digits, '-' or '_'",
);
const NOT_SERVED: Rule = (
    codes::PERMISSION,
    "project_id: this service does not serve the project",
);
const NO_PARAMETERS: Rule = (codes::FIELDS, "this path takes no query parameters");
const TASK_ID: Rule = (
    codes::TASK_ID,
    "task_id must be a number of 1 to 15 digits, above zero",
);
const UNKNOWN_TASK: Rule = (
    codes::UNKNOWN_TASK,
    "task_id: no such task in this project, or no permission to see it",
);
const NOT_JSON: Rule = (codes::NOT_JSON, "the body is not valid JSON (line 1, column 1)");
const WINDOW_COUNT: Rule = (
    codes::WINDOW_COUNT,
    "bandwidth_policy must have at most 5 windows",
);
const WINDOW_LIMIT: Rule = (
    codes::WINDOW_LIMIT,
    "bandwidth_policy[0].max_bandwidth must lie between 5000000 and 10737418240",
);
const WINDOW_OVERLAP: Rule = (
    codes::WINDOW_OVERLAP,
    "bandwidth_policy[1] overlaps bandwidth_policy[0]",
);
const WINDOW_TIME: Rule = (
    codes::WINDOW_TIME,
    "bandwidth_policy[0].start must be a time of the day from 00:00 to 23:59",
);
const CDN_KEY: Rule = (
    codes::CDN_KEY,
    "the CDN's authentication key is required for this authentication_type",
);

/// Makes a type of each operation that stands for its refusals.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident: [$($also:ident),*], [$($rule:expr),* $(,)?];)*) => {$(
        $(#[$doc])*
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                answers::refusals(&[$(SharedRefusals::$also),*], &[$($rule),*])
            }
        }
    )*};
}

operations! {
    /// Of `create_task`.
    Create: [Always, Ledger, Key, Body], [
        (codes::INVALID_FORMAT, "thread_num must be an integer"),
        (codes::SOURCE, "src_node.bucket must consist of letters, digits, '.', '_' and '-'"),
        (codes::TARGET, "dst_node.endpoint must have the form http[s]://host[:port][/path]"),
        (codes::THREADS, "thread_num must lie between 0 and 50"),
        (codes::UNSUPPORTED, "auto_restore is not supported yet"),
        (codes::INVALID_VALUE, "src_node.ak must have 1 to 100 characters"),
        NOT_JSON,
        NOT_SERVED,
        (codes::FIELDS, "dst_node is required"),
        (
            codes::TOO_MANY_TASKS,
            "the number of created migration tasks has exceeded the limit: 5000 tasks of this project wait for their turn; \
             create more when some of them have begun",
        ),
        (codes::DESCRIPTION, "description must not contain any of < > ( ) \" ' &"),
        (
            codes::SOURCE_REGION,
            "src_node.region: migration from region 'mars' of AWS is not supported; give an endpoint, or ask the operator to \
             add the region",
        ),
        (
            codes::TARGET_REGION,
            "dst_node.region: migration to region 'mars' of HuaweiCloud is not supported; give an endpoint, or ask the \
             operator to add the region",
        ),
        (
            codes::CDN_DOMAIN,
            "source_cdn.domain must be a host name, with a port where it needs one",
        ),
        WINDOW_COUNT, WINDOW_LIMIT, WINDOW_OVERLAP, WINDOW_TIME, CDN_KEY,
    ];
    /// Of `list_tasks`.
    List: [Always, Ledger], [
        (codes::RANGE, "limit must be a whole number from 1 to 100"),
        (codes::STATE, "state must be a whole number from 0 to 5"),
        (codes::INVALID_VALUE, "totalcount must be true or false"),
        NOT_SERVED,
        (
            codes::FIELDS,
            "a query parameter is not known; known are start, limit, state, totalcount",
        ),
    ];
    /// Of `count_tasks`.
    Count: [Always, Ledger], [
        (codes::STATE, "state must be a whole number from 0 to 5"),
        PROJECT_FORM,
        NOT_SERVED,
        (codes::FIELDS, "a query parameter is not known; known are state"),
    ];
    /// Of `show_task`.
    Show: [Always, Ledger], [UNKNOWN_TASK, TASK_ID, PROJECT_FORM, NOT_SERVED, NO_PARAMETERS];
    /// Of `update_task`.
    Update: [Always, Ledger, Body], [
        (codes::INVALID_FORMAT, "migration_failed_object must be a boolean"),
        UNKNOWN_TASK,
        TASK_ID,
        (codes::INVALID_VALUE, "operation must be one of start, stop, change_bandwidthpolicy"),
        (codes::ALREADY_STARTED, "the task has already started"),
        (codes::NOT_IN_PROGRESS, "failed to pause the task: it is not in progress"),
        NOT_JSON,
        (codes::COMPLETE, "the task is complete; it cannot be started or stopped"),
        NOT_SERVED,
        (codes::FIELDS, "source_sk is required"),
        WINDOW_COUNT, WINDOW_LIMIT, WINDOW_OVERLAP,
        (
            codes::BANDWIDTH_FIXED,
            "the task is complete; its bandwidth_policy cannot be changed",
        ),
        WINDOW_TIME,
        (
            codes::NOTHING_FAILED,
            "migration_failed_object: no failed objects are recorded for this task",
        ),
        (
            codes::FAILURES_INCOMPLETE,
            "migration_failed_object: the last run did not finish, so its list of failed objects is incomplete; start \
             without it",
        ),
        CDN_KEY,
    ];
    /// Of `delete_task`.
    Delete: [Always, Ledger, Body], [
        (codes::INVALID_FORMAT, "target_ak must be a string"),
        UNKNOWN_TASK,
        TASK_ID,
        (codes::IN_PROGRESS, "the task is in progress; stop it first"),
        (codes::INVALID_VALUE, "target_ak must have 1 to 100 characters"),
        NOT_JSON,
        NOT_SERVED,
        (codes::FIELDS, "target_sk is required"),
    ];
    /// Of `list_failures`.
    Failures: [Always, Ledger], [
        (codes::RANGE, "limit must be a whole number from 1 to 1000"),
        UNKNOWN_TASK,
        TASK_ID,
        (codes::INVALID_VALUE, "after must be the next of an earlier page"),
        NOT_SERVED,
        (codes::FIELDS, "a query parameter is not known; known are after, limit"),
    ];
    /// Of `show_quotas`, which asks no ledger.
    Quotas: [Always], [DOMAIN_FORM, NO_PARAMETERS];
    /// Of `show_version`, which asks no ledger.
    Version: [Always], [PROJECT_FORM, NOT_SERVED, NO_PARAMETERS];
}
