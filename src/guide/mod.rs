//! What operators need to know beyond the README. Documentation only; no code.
//!
//! * [`guarantees`]: what `oms` promises, and which tests check each promise.
//! * [`proofs`]: how each copy is proved, and how objects are sent.
//! * [`options`]: the options of a create request that need more than a sentence.
//! * [`limits`]: timeouts, sizes, fairness, and what `oms` does not do.
//! * [`scale`]: how time, memory and the ledger grow with the number of objects.
//! * [`machines`]: several processes and machines, their settings, and files that start them.
//! * [`http_api`]: how the HTTP API behaves beyond its document.

pub mod guarantees;
pub mod http_api;
pub mod limits;
pub mod machines;
pub mod options;
pub mod proofs;
pub mod scale;
