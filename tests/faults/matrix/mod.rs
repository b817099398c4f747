//! The fault matrix: operation × fault × occurrence as rows of a table. The checker checks each row.
//!
//! The numbers (F1 to F69) are those of the project's list of faults. These faults are not covered by rows:
//!
//! * F10 (DNS, refused connections, TLS): `faults::connect`.
//! * F20 (random faults) and F56 (listings that change while they run): the simulation.
//! * F27 to F34 (keys): `engine::copy`, and a few unusual keys in every row. F35 needs keys that are not UTF-8, which
//!   the sandbox cannot store. The tests of the listing decode them.
//! * F37 with real sizes (5 GiB, 10,000 parts): property tests of the layout. The rows use small parts.
//! * F42, F44 to F47 (encryption, encodings, metadata, tags, versions): `fidelity`, whose tests need their own tasks. The
//!   objects of every row have headers, metadata and tags, too. The sandbox has no versions, so faults answer like delete
//!   markers. Rows for F43 return ETags that are not hashes.
//! * F55 (common prefixes): the engine lists without a delimiter.
//! * F57, F58 (manifests): tests of those task types. F59: `faults::crash`, the kill loop, the simulation. F60:
//!   `faults::disk`, `faults::ledger`, `outside::full`. F61: `ledger::sql`. F62: `faults::clock`. F64:
//!   `task::bandwidth`. F65 to F69 (our own process) do not concern stores.
//! * Data that is damaged in the same way at every read: `engine::proofs`. An object in parts is then indistinguishable
//!   from one whose ETag is not a hash, unless the bucket has other objects whose ETags could be compared.

mod appears;
mod bodies;
mod fidelity;
mod listing;
mod multipart;
pub(super) mod row;
mod status;
mod stops;

pub use row::{answer, bytes};
