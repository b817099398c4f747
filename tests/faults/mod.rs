//! What faults leave behind: nothing wrong.

mod breaker;
mod crash;
mod ledger;
mod matrix;
mod missing;
mod orphans;
mod simulation;
