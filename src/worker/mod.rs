//! The worker: takes tasks that want one, runs their pass, writes how it ended.
//!
//! It owns everything it starts: when it is dropped, every transfer ends with it. What it does not get to write is
//! found again by the cleanup, or by the next process. [`schedule`] decides what is taken and when, [`slots`] who comes first.

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
