//! The lists of objects that a task writes to its target: of failed, of copied and of skipped ones.

use strum::{EnumString, IntoStaticStr, VariantArray};

use super::names::stored_by_name;

/// The list of failed objects at the target, as the last pass that had some left it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedReport {
    /// Key of the list in the target bucket.
    pub key: Option<String>,
    /// Why it could not be written; `None` when it was, or when there was nothing to write.
    pub problem: Option<ReportProblem>,
}

/// A list of settled objects at the target. The names stand in its key, as in the OMS reference, and in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum ReportKind {
    /// Objects that were copied.
    Success,
    /// Objects that were left as they are, or had gone.
    Skip,
}

stored_by_name!(ReportKind);

/// Why a list is not complete at the target. The names stand in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum ReportProblem {
    /// The target did not take it. Lines of settled objects wait for the next try, unless the task has succeeded.
    NotStored,
    /// It is larger than an object may be, or so much of it waited for the target that lines were dropped.
    TooLarge,
}

stored_by_name!(ReportProblem);

/// What is wrong with the lists since the last full pass was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportProblems {
    /// With that of copied objects.
    pub success: Option<ReportProblem>,
    /// With that of skipped objects.
    pub skip: Option<ReportProblem>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_the_names_that_ledgers_and_targets_have() {
        let names: Vec<&str> = ReportKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names, ["success", "skip"]);
    }

    #[test]
    fn problems_have_the_names_that_ledgers_have() {
        let names: Vec<&str> = ReportProblem::ALL.iter().map(|problem| problem.name()).collect();
        assert_eq!(names, ["not_stored", "too_large"]);
    }
}
