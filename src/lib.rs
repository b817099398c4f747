//! `oms`: object storage migration as a service.

pub mod dispatch;
pub mod error;
pub mod net;
pub mod object;
pub mod secret;
pub mod service;
pub mod store;
pub mod task;
