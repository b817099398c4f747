//! The engine: runs one pass of one task. It knows object stores and the ledger, but no HTTP API and no SQL.
//!
//! # How a pass runs
//!
//! 1. [`pass`] leases the shards of the pass, runs several at a time, and decides how the pass ends.
//! 2. [`listing`] produces the objects of a shard in listing order: from the listings of both sides, from a manifest, from single
//!    keys, or from recorded failures. [`lookup`] asks for single keys.
//! 3. [`decide`] says for each object: copy, skip or refuse.
//! 4. [`copy`] copies one object and proves the copy.
//! 5. [`shard`] collects the outcomes in listing order and commits about once a second what is settled without a gap. Its circuit
//!    breaker asks a canary before a failure ends the task.
//! 6. [`reports`] writes the lists of copied, skipped and failed objects at the target.
//!
//! After a crash everything behind the last commit is looked at again. What is identical at the target is skipped.
//!
//! # The other files
//!
//! | file | owns |
//! |---|---|
//! | [`context`], [`settings`] | what a pass works with; sizes and delays |
//! | [`preflight`], [`findings`] | what both sides support, asked before the first object |
//! | [`etag_trust`], [`quirks`], [`name_kinds`], [`target_names`] | what the pass has learnt about the stores |
//! | [`order`] | in which order a store lists |
//! | [`retry`], [`errors`] | when to retry; why a shard or a pass ends early |
//! | [`concurrency`], [`rate_limit`], [`progress`] | streams shared between tasks, bandwidth, bytes for people |
//! | [`scope`], [`warnings`] | a scope that matches nothing; warnings on their way to the ledger |
//! | [`source_object`] | an object to copy, and what is known about it |
//! | [`sync_points`] | named points where a test may hold or end the work |
//!
//! # Invariants
//!
//! * A checkpoint never passes an object that is not settled.
//! * "Could not be read" never means "does not exist".
//! * An error of the ledger is never counted as a failure of an object.
//! * One object never decides about the task.
//! * A proof is never weaker than the task asks for ([`copy::proof`]).

pub mod concurrency;
pub mod context;
pub mod copy;
pub mod decide;
pub mod errors;
pub mod etag_trust;
pub mod findings;
pub mod listing;
pub mod lookup;
pub mod name_kinds;
mod opaque_tags;
pub mod order;
mod outcome;
pub mod pass;
pub mod preflight;
pub mod progress;
pub mod quirks;
pub mod rate_limit;
pub mod reports;
pub mod retry;
pub mod scope;
pub mod settings;
pub mod shard;
pub mod source_object;
pub mod sync_points;
pub mod target_names;
pub mod warnings;
