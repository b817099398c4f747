//! All tests that need more than one module, in one binary. `cargo test --test it contract::` runs one group of tests.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics has failed, which is what it is for"
)]

// Every rule of the API, tested over HTTP.
mod api;
// The API document, its compatibility, and the layers of the code.
mod contract;
// A worker between two in-process S3 servers.
mod engine;
// Crashes and other faults, and what must still hold after them.
mod faults;
// Several machines: the servers that they share, and a network that fails.
mod fleet;
// Random input for every parser.
mod fuzz;
// The service used from outside: by a browser, by generated clients, by a fuzzer, and as a process that is killed.
mod outside;
// The program between two real S3 servers.
mod real;
// The cost of a copy beside that of a bare loop.
mod speed;
mod support;
