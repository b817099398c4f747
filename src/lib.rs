//! `oms`: object storage migration as a service.

pub mod error;
pub mod sandbox;
