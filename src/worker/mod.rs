//! The worker: leases tasks, runs their passes, records how they ended.
//!
//! It owns everything that it starts: when it is dropped, every transfer ends. What it could not record is found again by the next
//! poll or by the next process. [`schedule`] decides when tasks are leased, [`slots`] in which order, [`work`] runs one task,
//! [`finish`] ends it, [`cleanup`] aborts uploads of deleted tasks.

mod cleanup;
mod connect;
mod finish;
mod housekeeping;
mod parts;
mod schedule;
mod slots;
mod work;

pub use self::parts::Parts;
pub use self::schedule::run;
