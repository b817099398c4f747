//! All tests that need more than one module, in one binary: `cargo test --test it contract::` runs one concern.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics has failed, which is what it is for"
)]

// HTTP in, HTTP out: every rule of the API as a caller meets it.
mod api;
// The document, its promises, and the layers of the code.
mod contract;
// A worker between two in-process S3 servers.
mod engine;
// Crashes and other faults: what they leave behind.
mod faults;
// Bytes that nobody would send, for every parser.
mod fuzz;
// Used from outside: by a browser, by generated clients, by a fuzzer, as a process that is killed.
mod outside;
// The program between two real S3 servers.
mod real;
mod support;
