//! The engine: runs one pass of one task. It knows object stores and the ledger, but no HTTP API and no SQL.
//!
//! # How a pass runs
//!
//! 1. [`pass`] decides how the pass ends. `running` leases its shards, runs several at a time, and splits those that wait for
//!    their listings.
//! 2. [`listing`] produces the objects of a shard in listing order: from the listings of both sides, from a manifest, from single
//!    keys, or from recorded failures. [`lookup`] asks for single keys.
//! 3. [`decide`] says for each object: copy, skip or refuse.
//! 4. [`copy`] copies one object and proves the copy.
//! 5. [`shard`] collects the outcomes in listing order. About once a second it commits everything up to the first object that is
//!    not settled. Before a failure ends the task, its circuit breaker asks a canary.
//! 6. [`reports`] writes the lists of copied, skipped and failed objects at the target.
//!
//! After a crash, the objects after the last commit are examined again. Objects that are identical at the target are
//! skipped.
//!
//! # The other files
//!
//! | file | owns |
//! |---|---|
//! | [`context`], [`settings`] | what a pass works with; sizes and delays |
//! | [`preflight`], [`findings`] | what both sides support; asked before the first object |
//! | [`etag_trust`], [`quirks`], [`name_kinds`], [`target_names`] | what the pass has learned about the stores |
//! | [`order`] | in which order a store lists |
//! | [`retry`], [`errors`] | when to retry; why a shard or a pass ends early |
//! | [`object_slots`], [`level`] | how many objects of a task are copied at a time, and the controller that finds the number |
//! | [`endpoints`], [`watched_store`] | what throttling taught, shared by the tasks at an endpoint; who tells it |
//! | [`concurrency`], [`rate_limit`], [`progress`] | streams shared between tasks, bandwidth, bytes shown as progress |
//! | [`stream_speed`] | how fast one stream is, and how long an object may be in one piece |
//! | [`scope`], [`warnings`] | a scope that matches nothing; warnings on their way to the ledger |
//! | [`source_object`], `outcome` | an object to copy, and what is known about it; how its copy ended |
//! | `opaque_tags` | objects at a target whose ETags look like hashes and are none |
//! | [`key_locks`] | one copy of a key at a time, where a manifest names it twice |
//! | [`sync_points`] | named points where a test may pause or end the work |
//!
//! # Invariants
//!
//! * A checkpoint never passes an object that is not settled.
//! * "Could not be read" never means "does not exist".
//! * An error of the ledger is never counted as a failure of an object.
//! * A failure of one object alone never ends the task.
//! * A proof is never weaker than the task asks for ([`copy::proof`]).

pub mod concurrency;
pub mod context;
pub mod copy;
pub mod decide;
pub mod demand;
pub mod endpoints;
pub mod errors;
pub mod etag_trust;
pub mod findings;
pub mod key_locks;
pub mod lease_guard;
mod leased_store;
pub mod level;
pub mod listing;
pub mod lookup;
pub mod name_kinds;
pub mod object_slots;
mod opaque_tags;
pub mod order;
pub mod outcome;
pub mod pass;
pub mod preflight;
pub mod progress;
pub mod quirks;
pub mod rate_limit;
pub mod reports;
pub mod retry;
mod running;
pub mod scope;
pub mod settings;
pub mod shard;
pub mod source_object;
pub mod stream_speed;
pub mod sync_points;
pub mod target_names;
pub mod warnings;
pub mod watched_store;
