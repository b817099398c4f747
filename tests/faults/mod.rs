//! What faults leave behind: nothing wrong.

mod breaker;
mod crash;
mod matrix;
mod orphans;
mod simulation;
