//! `oms`: object storage migration as a service.

pub mod api;
pub mod app;
pub mod config;
pub mod demo;
pub mod dispatch;
pub mod engine;
pub mod error;
pub mod net;
pub mod object;
pub mod sandbox;
pub mod secret;
pub mod service;
pub mod store;
pub mod task;
pub mod telemetry;
pub mod worker;
