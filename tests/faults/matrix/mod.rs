//! The fault matrix: operation × fault × occurrence as rows of a table, each ended by the checker.
//!
//! The numbers are those of the project's list of faults. Not covered by rows, and why:
//!
//! * F10 (DNS, refused connections, TLS): `faults::connect`.
//! * F20 (random faults) and F56 (listings that change while they run): the simulation.
//! * F27 to F34 (keys): `engine::copy`, and a few awkward keys in every row. F35 needs keys that are no UTF-8, which
//!   the sandbox cannot hold; the listing's own tests decode them.
//! * F37 in its real sizes (5 GiB, 10,000 parts): property tests of the layout; here with small parts.
//! * F42, F44 to F47 (encryption, encodings, metadata, tags, versions): `fidelity`, whose tests need tasks of their own, and
//!   headers, metadata and tags of the objects of every row. The sandbox has no versions: markers are answers of its faults.
//!   F43 rows give tags that are no hashes.
//! * F55 (common prefixes): the engine lists without a delimiter.
//! * F57, F58 (list files): tests of those task types. F59: `faults::crash`, the kill loop, the simulation. F60:
//!   `faults::disk`, `faults::ledger`, `outside::full`. F61: `ledger::sqlite`. F62: `faults::clock`. F64:
//!   `task::bandwidth`. F65 to F69 (our own process): not a matter of stores.
//! * Bytes that are damaged in the same way at every read: `engine::proofs`. In a bucket where no other object's tag could
//!   be compared, an object in parts cannot be told from one of a store that makes other tags.

mod appears;
mod bodies;
mod fidelity;
mod listing;
mod multipart;
pub(super) mod row;
mod status;
mod stops;

pub use row::{answer, bytes};
