//! What faults leave behind: nothing wrong.

mod breaker;
mod clock;
mod crash;
mod disk;
mod matrix;
mod simulation;
