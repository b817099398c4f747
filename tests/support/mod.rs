//! What tests share.

pub mod api;
pub mod ledger;
pub mod rig;
