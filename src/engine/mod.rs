//! The engine: brings one pass of one task to its end. Knows object stores and the ledger's checkpoints, no HTTP API
//! and no SQL.
//!
//! A pass is a set of shards. Each shard is fed with candidates in listing order ([`feed`]), decides about each
//! ([`plan`]), copies several at a time ([`copy`], [`multipart`], [`sequential`]), and commits about once a second what is settled
//! without a gap ([`shard`]). Whatever lies behind the last commit is simply looked at again after a crash: what is
//! already identical at the target is skipped.

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
