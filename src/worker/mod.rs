//! The worker: leases tasks, runs their passes, records how they ended.
//!
//! It owns everything that it starts: when it is dropped, every transfer ends. What it could not record is found again by the next
//! poll or by the next process. [`schedule`] decides when tasks are leased, [`slots`] in which order, [`work`] runs one task,
//! [`watch`] watches it, [`finish`] ends it, [`cleanup`] aborts uploads of deleted tasks.

mod bandwidth_share;
mod beat;
mod cleanup;
mod connect;
mod finish;
mod housekeeping;
mod offers;
mod parts;
mod queue;
mod schedule;
mod shared_findings;
mod slots;
mod watch;
mod work;

pub use self::offers::run as offer_work;
pub use self::parts::Parts;
pub use self::queue::{Queue, QueueRole};
pub use self::schedule::run;
