//! `oms`: object storage migration as a service. It copies buckets between S3-compatible stores, and its main job is to
//! bring a paused or failed task to its end with fresh keys.
//!
//! # The map, bottom up
//!
//! | module | owns |
//! |---|---|
//! | [`error`] | the one error type: a closed list of kinds, a safe message |
//! | [`task`] | what a task is: order, state machine, counters; plain values |
//! | [`secret`] | credentials in memory and sealed at rest |
//! | [`net`] | the guarded connector that every outbound connection passes |
//! | [`object`] | the boundary to object stores, the S3 client, plain HTTP and CDN sources, the region catalogue |
//! | [`store`] | the ledger: what is done, and who may say so |
//! | [`dispatch`] | a wake-up for workers; never the truth |
//! | [`engine`] | one pass of one task: list, join, plan, copy, commit |
//! | [`service`] | what a caller may do with tasks |
//! | [`worker`] | takes tasks up, runs the engine, writes the end; gives up what deleted tasks left open |
//! | [`api`] | HTTP, wire types, the OpenAPI document |
//! | [`sandbox`] | an S3 server in memory, for the demo and for tests |
//! | [`app`], [`config`], [`telemetry`], [`demo`] | put the others together |
//!
//! # Rules
//!
//! Arrows point down only: `api → service → {store, dispatch}`, `worker → {engine, store, dispatch}`,
//! `engine → {object, store}`, and everything may use `task` and `error`, which use nothing of ours. Only `api` names actix
//! and utoipa, only `store` sqlx, only `object` and `net` an HTTP client. A test holds this.
//!
//! * The ledger is the only truth. A message may be lost; a worker may die anywhere.
//! * No state changes outside [`task::State::apply`], and none without a compare-and-set in the ledger.
//! * A worker that was overtaken writes nothing: each commit carries the attempt of its claim.
//! * A checkpoint is a key before which everything is settled, in the order in which the store lists.
//! * "Could not be read" is never "is not there".
//! * Every exchange with a store has limits ([`object::s3::Timeouts`] has the numbers), slots go round between projects
//!   ([`worker`]), streams between tasks ([`engine::concurrency`]): a store that is slow on purpose costs its own task alone.
//! * Time, randomness and cancellation are arguments where a decision depends on them.
//!
//! # From the call to the copied object
//!
//! `PUT …/task/{id}` with `operation: start` arrives in `api::v1`, which takes the body apart without ever echoing a value of it,
//! and calls [`service::TaskService::start`]. That seals the keys and asks [`ledger::Ledger::start`] for the one compare-and-set:
//! paused or failed → waiting, epoch + 1, keys stored. [`dispatch`] wakes [`worker::run`]; [`ledger::Ledger::lease_task`] makes it
//! running under a new attempt. The worker opens the keys, probes both sides ([`engine::preflight`]), and opens the pass: the
//! unfinished one, or a new one. [`engine::pass::run_pass`] claims its shards; for each, [`engine::listing`] lists the source a page ahead
//! and joins it with the target's listing (or reads the lines of a list file and asks both sides for each), [`engine::decide::decide`] says copy, skip or refuse, and [`engine::copy::transfer`] streams
//! a pinned read into a write with `Content-MD5`, or [`engine::copy::multipart`] takes up the parts that the target already has, or
//! [`engine::copy::one_read`] reads once what has no length or no tag. Settled objects leave the shard's window in listing order into
//! the next [`ledger::Ledger::commit`], each with a line for the lists that [`engine::reports::settled`] writes to the target. When all shards
//! are closed [`ledger::Ledger::finish`] checks that the counters balance, ends the task, and wipes the keys.

pub mod api;
pub mod app;
pub mod config;
pub mod demo;
pub mod dispatch;
pub mod engine;
pub mod error;
pub mod ledger;
pub mod net;
pub mod object;
pub mod sandbox;
pub mod secret;
pub mod service;
pub mod task;
pub mod telemetry;
pub mod worker;
