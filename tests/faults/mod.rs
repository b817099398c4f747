//! Faults of stores, network, disk, clock and process, and what must still hold after them.

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
