//! The fault matrix: operation × fault × occurrence as rows of a table, each ended by the checker.
//!
//! The numbers are those of the project's list of faults. Not covered by rows, and why:
//!
//! * F10 (DNS, TLS): the client's own tests and those of the guarded connector hold it; the sandbox speaks plain HTTP.
//! * F16 (white space before the answer to Complete): a property of the parser, in the tests of the S3 client.
//! * F20 (random faults): the simulation.
//! * F27 to F34, F36 (keys): `engine::copy`, and the objects of every row here. F35 needs keys that are no UTF-8, which
//!   the sandbox cannot hold; the listing's own tests decode them.
//! * F37 (parts of gigabytes, 10,000 parts): property tests of the layout.
//! * F42 (encryption): the sandbox does not encrypt; F43 rows give the tags that such stores give.
//! * F44 to F47 (encodings, metadata limits, versions): `engine::copy` carries them; versions are out of scope.
//! * F55 (common prefixes): the engine lists without a delimiter.
//! * F57, F58 (list files): tests of those task types. F59 to F69 (our own process): `faults::crash`, the kill loop and
//!   the conformance suite of the ledger.

mod bodies;
mod listing;
mod multipart;
mod row;
mod status;
mod stops;
