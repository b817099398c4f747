//! What a message of the work queue names: a task that needs a coordinator, or a shard that needs a worker.
//!
//! The name is the message's subject. It holds numbers only, never an object key or a credential.

use std::fmt;
use std::str::FromStr;

use crate::task::TaskId;

/// All subjects of work items begin with this.
const PREFIX: &str = "oms.work.";

/// Which queue a work item is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkKind {
    /// Tasks, each for the one worker that coordinates it.
    Task,
    /// Shards, for any worker.
    Shard,
}

/// One piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkItem {
    /// The task needs a coordinator.
    Task(TaskId),
    /// The shard is open.
    Shard {
        /// Its task.
        task: TaskId,
        /// Number of its pass.
        pass: i64,
        /// Its number in the pass.
        number: i64,
    },
}

impl WorkItem {
    /// The queue that it belongs to.
    #[must_use]
    pub const fn kind(&self) -> WorkKind {
        match self {
            Self::Task(_) => WorkKind::Task,
            Self::Shard { .. } => WorkKind::Shard,
        }
    }

    /// The task that it belongs to.
    #[must_use]
    pub const fn task(&self) -> TaskId {
        match self {
            Self::Task(task) | Self::Shard { task, .. } => *task,
        }
    }

    /// Its subject: `oms.work.task.<task>` or `oms.work.shard.<task>.<pass>.<number>`.
    #[must_use]
    pub fn subject(&self) -> String {
        self.to_string()
    }

    /// The work item with this subject, or `None` if the subject is not exactly as [`WorkItem::subject`] writes it. So
    /// no two subjects mean the same item.
    #[must_use]
    pub fn from_subject(subject: &str) -> Option<Self> {
        let (kind, numbers) = subject.strip_prefix(PREFIX)?.split_once('.')?;
        let mut numbers = numbers.split('.');
        let item = match kind {
            "task" => Self::Task(task(numbers.next()?)?),
            "shard" => Self::Shard {
                task: task(numbers.next()?)?,
                pass: number(numbers.next()?)?,
                number: number(numbers.next()?)?,
            },
            _ => return None,
        };
        numbers.next().is_none().then_some(item)
    }
}

impl fmt::Display for WorkItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(task) => write!(f, "{PREFIX}task.{task}"),
            Self::Shard { task, pass, number } => write!(f, "{PREFIX}shard.{task}.{pass}.{number}"),
        }
    }
}

/// Reads a task's id. It has one spelling.
pub(super) fn task(text: &str) -> Option<TaskId> {
    TaskId::new(number(text)?).ok()
}

/// Reads a number that is written as `Display` writes it: no `+`, no leading zero.
fn number(text: &str) -> Option<i64> {
    let number = i64::from_str(text).ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn items() -> impl Strategy<Value = WorkItem> {
        let tasks = || (1..=TaskId::MAX).prop_map(|id| TaskId::new(id).unwrap());
        prop_oneof![
            tasks().prop_map(WorkItem::Task),
            (tasks(), any::<i64>(), any::<i64>()).prop_map(|(task, pass, number)| WorkItem::Shard {
                task,
                pass,
                number
            }),
        ]
    }

    proptest! {
        #[test]
        fn a_subject_reads_back_as_its_item(item in items()) {
            prop_assert_eq!(WorkItem::from_subject(&item.subject()), Some(item));
        }

        #[test]
        fn an_item_has_one_subject(subject in "(oms\\.work\\.(task|shard)\\.)?[-+0-9.a]{0,20}") {
            if let Some(item) = WorkItem::from_subject(&subject) {
                prop_assert_eq!(item.subject(), subject);
            }
        }

        #[test]
        fn any_text_is_read_without_a_panic(subject in ".*") {
            let _read = WorkItem::from_subject(&subject);
        }
    }

    #[test]
    fn subjects_are_as_the_streams_filters_expect_them() {
        let task = TaskId::new(42).unwrap();
        assert_eq!(WorkItem::Task(task).subject(), "oms.work.task.42");
        let shard = WorkItem::Shard {
            task,
            pass: 3,
            number: 7,
        };
        assert_eq!(shard.subject(), "oms.work.shard.42.3.7");
        assert_eq!(
            (shard.kind(), shard.task()),
            (WorkKind::Shard, WorkItem::Task(task).task())
        );
    }

    #[test]
    fn foreign_subjects_are_no_items() {
        for subject in [
            "",
            "oms.work.",
            "oms.work.task",
            "oms.work.task.",
            "oms.work.task.0",
            "oms.work.task.-1",
            "oms.work.task.007",
            "oms.work.task.+7",
            "oms.work.task.7.",
            "oms.work.task.7.8",
            "oms.work.task.1000000000000000",
            "oms.work.shard.7",
            "oms.work.shard.7.1",
            "oms.work.shard.7.1.2.3",
            "oms.work.shard.7.1.02",
            "oms.work.shard.7.1.9223372036854775808",
            "oms.work.other.7",
            "oms.look.7",
            "OMS.WORK.TASK.7",
            "xoms.work.task.7",
        ] {
            assert_eq!(WorkItem::from_subject(subject), None, "{subject}");
        }
    }
}
