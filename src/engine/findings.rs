//! What preflight finds out about a target. Plain values.

use crate::engine::order::Order;
use crate::object::WriteIf;
use crate::task::Warning;

/// What was found out about a target.
#[derive(Debug, Default)]
pub struct Findings {
    /// The order in which it lists; `None` when it keeps none.
    pub order: Option<Order>,
    /// How soon it lists what was written.
    pub listing: Listing,
    /// What is weaker than it should be, and fails nothing.
    pub warnings: Vec<Warning>,
}

/// How soon a target lists what was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listing {
    /// Within the seconds of the probe.
    #[default]
    Soon,
    /// Later: its listings say nothing about what is not there, so that it is asked for each key instead.
    Late,
}

/// How a task's writes are kept from overwriting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverwriteGuard {
    /// Not at all: its mode overwrites.
    None,
    /// By a condition, which the target honours.
    Condition,
    /// By a look before the write: the target knows no conditions, or ignores them.
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
