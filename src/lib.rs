//! `oms`: object storage migration as a service.

pub mod api;
pub mod dispatch;
pub mod error;
pub mod object;
pub mod secret;
pub mod service;
pub mod store;
pub mod task;
