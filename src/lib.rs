//! `oms`: object storage migration as a service. It copies buckets between S3-compatible object stores. Its main job is to
//! restart a paused or failed task with fresh credentials and to finish it.
//!
//! # The map, from the bottom up
//!
//! | module | owns |
//! |---|---|
//! | [`error`] | the one error type: a closed list of kinds, a message without secrets |
//! | [`violation`] | the rules that a request can break |
//! | [`task`] | what a task is: its spec, state machine and counters. Plain values |
//! | [`secret`] | credentials in memory, and sealed in the ledger |
//! | [`net`] | the guarded connector that opens every outbound connection |
//! | [`object`] | the boundary to object stores: S3 client, plain HTTP and CDN sources, region catalogue |
//! | [`ledger`] | the database: tasks, passes, shards, failures, uploads. The only truth |
//! | [`dispatch`] | wakes workers up. Never the truth |
//! | [`engine`] | one pass of one task: list, compare, decide, copy, commit |
//! | [`service`] | what a caller may do with tasks |
//! | [`worker`] | leases tasks, runs the engine, records the end; cleans up uploads of deleted tasks |
//! | [`api`] | HTTP, wire types, the OpenAPI document |
//! | [`sandbox`] | an S3 server in memory, for the demo and for tests |
//! | [`app`], [`config`], [`telemetry`], [`demo`] | put the others together |
//! | [`cli`] | the command line: one file for each command |
//! | [`guide`] | what operators need to know: guarantees, limits, options |
//!
//! # Invariants
//!
//! Modules only use modules below them: `api → service → {ledger, dispatch}`, `worker → {engine, ledger, dispatch}`,
//! `engine → {object, ledger}`. Everything may use `task` and `error`, which use nothing of ours. The same holds between files:
//! no file imports another that imports it, directly or through others. Only `api` uses actix and utoipa, only `ledger` sqlx, only
//! `dispatch::jetstream` async-nats, only `object` and `net` an HTTP client. Tests check all of this.
//!
//! * The ledger is the only truth. A message may be lost; a worker may die anywhere.
//! * A task changes its state only through [`task::State::apply`] and a compare-and-set in the ledger.
//! * A worker that has lost its lease cannot write: each commit carries the fencing token of its lease.
//! * A checkpoint is the last key in listing order before which all keys are settled.
//! * The ranges of the shards of a pass cover its scope once, whatever is split, stopped or killed in between.
//! * "Could not be read" never means "does not exist".
//! * Every exchange with a store has limits ([`object::s3::Timeouts`]). Slots are shared between projects ([`worker`]), streams between
//!   tasks ([`engine::concurrency`]). A slow store costs only its own task.
//! * Time, randomness and cancellation are arguments of every decision that depends on them.
//! * Secrets have no `Debug`, `Display` or `Serialize` of their content.
//!
//! # From the call to the copied object
//!
//! 1. `PUT …/task/{id}` with `operation: start` arrives in [`api`], which reads the body and never echoes a value of it. It calls
//!    [`service::TaskService::start`].
//! 2. The service seals the credentials and calls [`ledger::Ledger::start`]: one compare-and-set from paused or failed to waiting.
//! 3. [`dispatch`] wakes [`worker::run`]. [`ledger::Ledger::lease_task`] makes the task running and returns a new fencing token.
//! 4. The worker opens the credentials and tests both sides ([`engine::preflight`]). It continues the unfinished pass or opens a new
//!    one, and calls [`engine::pass::run_pass`].
//! 5. The pass leases its shards: ranges of a listing, which are split while they wait for it. For each, [`engine::listing`] lists the source one page ahead and compares it with the target's
//!    listing, or reads a manifest and asks both sides for each key. [`engine::decide`] says copy, skip or refuse.
//! 6. [`engine::copy::transfer`] streams a read of the listed version into a write with `Content-MD5`. [`engine::copy::multipart`]
//!    copies large objects and resumes their uploads. [`engine::copy::one_read`] copies what has no length or no ETag.
//! 7. Settled objects leave the window of the shard in listing order, with the next [`ledger::Ledger::commit`].
//!    [`engine::reports::settled`] writes the reports at the target.
//! 8. When all shards are closed, [`ledger::Ledger::finish`] checks that the counters balance, ends the task and wipes the credentials.

pub mod api;
pub mod app;
pub mod cli;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod dispatch;
pub mod engine;
pub mod error;
pub mod guide;
pub mod ledger;
pub mod net;
pub mod object;
#[cfg(feature = "demo")]
pub mod sandbox;
pub mod secret;
pub mod service;
pub mod task;
pub mod telemetry;
pub mod violation;
pub mod worker;
