//! What the preflight check finds out about a target. Plain values.

use crate::engine::order::Order;
use crate::object::WriteIf;
use crate::task::Warning;

/// What was found out about a target.
#[derive(Debug, Default)]
pub struct Findings {
    /// The order in which it lists; `None` if it has no known order.
    pub order: Option<Order>,
    /// How soon it lists a new object.
    pub listing: Listing,
    /// What is weaker than it should be but fails nothing.
    pub warnings: Vec<Warning>,
}

/// How soon a target lists a new object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listing {
    /// Within the seconds that the check waits.
    #[default]
    Soon,
    /// Later. A key that is missing in such a listing may exist, so the target is asked for each key instead.
    Late,
}

/// What prevents the writes of a task from overwriting objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverwriteGuard {
    /// Nothing: the mode of the task overwrites.
    None,
    /// A condition, which the target honours.
    Condition,
    /// A check before the write, because the target knows no conditions or ignores them.
    Look,
}

impl OverwriteGuard {
    /// The condition of a write.
    pub(in crate::engine) const fn condition(self) -> WriteIf {
        match self {
            Self::Condition => WriteIf::Absent,
            Self::None | Self::Look => WriteIf::Always,
        }
    }
}
