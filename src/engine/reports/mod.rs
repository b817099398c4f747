//! Lists of objects that a task writes to its target, as OMS does: copied and skipped objects while it runs, failed objects at
//! its end.

pub mod failed;
pub mod line;
pub mod settled;
