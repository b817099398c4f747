//! What callers read when a request breaks a rule: the sentence names the field of the wire and what it should be.

use crate::violation::{Side, Violation};

/// The sentence for a broken rule.
#[must_use]
pub fn sentence(violation: &Violation) -> String {
    match violation {
        Violation::TaskIdForm => "task_id must be a number of 1 to 15 digits, above zero".to_owned(),
        Violation::ProjectIdForm => "project_id must have 1 to 64 letters, digits, '-' or '_'".to_owned(),
        Violation::UnknownTask => {
            "task_id: no such task in this project, or no permission to see it".to_owned()
        }
        Violation::AlreadyStarted => "the task has already started".to_owned(),
        Violation::NotInProgress => "failed to pause the task: it is not in progress".to_owned(),
        Violation::Complete => "the task is complete; it cannot be started or stopped".to_owned(),
        Violation::InProgress => "the task is in progress; stop it first".to_owned(),
        Violation::FailuresIncomplete => "migration_failed_object: the last run did not finish, so its list of failed \
                                          objects is incomplete; start without it"
            .to_owned(),
        Violation::NothingFailed => {
            "migration_failed_object: no failed objects are recorded for this task".to_owned()
        }
        Violation::BandwidthFixed => {
            "the task is complete; its bandwidth_policy cannot be changed".to_owned()
        }
        Violation::EndpointNotAllowed { side } => {
            format!("{}.endpoint: the operator allows catalogue regions only", node(*side))
        }
        Violation::EndpointForm { side, must } => format!("{}.endpoint {must}", node(*side)),
        Violation::UnknownRegion { side, cloud, region } => {
            let direction = match side {
                Side::Source => "from",
                Side::Target => "to",
            };
            format!(
                "{}.region: migration {direction} region '{region}' of {cloud} is not supported; give an endpoint, or ask \
                 the operator to add the region",
                node(*side)
            )
        }
        Violation::TargetPrefixLength => "dst_node.object_key must have at most 1024 bytes".to_owned(),
        Violation::TargetInsideScope => "dst_node: the target lies within what is to be copied from the same bucket; \
                                         choose another bucket, or an object_key outside the source's"
            .to_owned(),
        Violation::Threads { most } => format!("thread_num must lie between 0 and {most}"),
        Violation::DescriptionLength { most } => format!("description must have at most {most} characters"),
        Violation::DescriptionCharacters => {
            "description must not contain any of < > ( ) \" ' &".to_owned()
        }
        Violation::WindowCount { most } => format!("bandwidth_policy must have at most {most} windows"),
        Violation::WindowTime { window } => {
            format!("bandwidth_policy[{window}]: start and end must lie between 00:00 and 23:59")
        }
        Violation::WindowOverlap { window, other } => {
            format!("bandwidth_policy[{window}] overlaps bandwidth_policy[{other}]")
        }
        Violation::CdnKeyMissing => {
            "the CDN's authentication key is required for this authentication_type".to_owned()
        }
        Violation::TooManyWaiting { most } => format!(
            "the number of created migration tasks has exceeded the limit: {most} tasks of this project wait for their \
             turn; create more when some of them have begun"
        ),
        Violation::StopNotRecorded => "the transfers of the task end now, but the ledger cannot be written, so the task is \
                                       still shown as running. It becomes paused as soon as the ledger can be written; if \
                                       the service ends before, the task resumes with the next one. Make room on its disk, \
                                       then try again later"
            .to_owned(),
    }
}

const fn node(side: Side) -> &'static str {
    match side {
        Side::Source => "src_node",
        Side::Target => "dst_node",
    }
}
