//! The engine between two in-process S3 servers: what arrives, what is counted, what happens after a stop and a start.

mod cdn;
mod concurrency;
mod copy;
mod listing;
mod lists;
mod not_carried;
mod odd_reads;
mod preflight;
mod progress;
mod proofs;
mod ranges;
mod report;
mod rules;
mod scope;
mod second_pass;
mod spool;
mod start;

mod unknown_size;
mod urls;
