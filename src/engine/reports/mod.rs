//! Lists of objects that a task writes to its target, as OMS does: copied and skipped ones while it runs, failed ones at its end.

pub mod failed;
pub mod line;
pub mod settled;
