//! The fault matrix: operation × fault × occurrence as rows of a table, each ended by the checker.
//!
//! The numbers are those of the project's list of faults. Not covered by rows, and why:
//!
//! * F10 (DNS, refused connections, TLS): `faults::connect`.
//! * F20 (random faults) and F56 (listings that change while they run): the simulation.
//! * F27 to F34 (keys): `engine::copy`, and a few awkward keys in every row. F35 needs keys that are no UTF-8, which
//!   the sandbox cannot hold; the listing's own tests decode them.
//! * F37 in its real sizes (5 GiB, 10,000 parts): property tests of the layout; here with small parts.
//! * F40 (the target changes meanwhile): open; only an older object that is there before is covered.
//! * F42 (encryption): open; the sandbox does not encrypt. F43 rows give tags that are no hashes.
//! * F44, F45 (encodings, metadata): the S3 client's tests, and headers and metadata of the objects of every row. F46:
//!   tags of which reading fails; a target that refuses tags is open. F47 (versions): out of scope.
//! * F55 (common prefixes): the engine lists without a delimiter.
//! * F57, F58 (list files): tests of those task types. F59: `faults::crash`, the kill loop, the simulation. F60:
//!   `faults::disk`, `outside::full`. F61: `store::sqlite`. F62: `faults::clock`. F64:
//!   `task::bandwidth`. F65 to F69 (our own process): not a matter of stores.
//! * Bytes of an object in parts that are damaged in the same way at every read: they look like those of a store that
//!   makes other tags, and are counted as proved by their size only.

mod bodies;
mod listing;
mod multipart;
mod row;
mod status;
mod stops;

pub use row::{answer, bytes};
