//! What faults leave behind: nothing wrong.

mod breaker;
mod clock;
mod connect;
mod crash;
mod disk;
mod fair;
mod inside;
mod ledger;
mod matrix;
mod missing;
mod orphans;
mod others;
mod panics;
mod simulation;
