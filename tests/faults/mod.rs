//! What faults leave behind: nothing wrong.

mod crash;
mod matrix;
mod simulation;
