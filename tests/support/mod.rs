//! What tests share.

pub mod api;
pub mod binary;
pub mod checker;
pub mod documented;
pub mod ledger;
pub mod nats;
pub mod nginx;
pub mod nkey;
pub mod postgres;
pub mod proxy;
pub mod report_files;
pub mod rig;
pub mod rows;
pub mod server;
pub mod service;
pub mod shared;
pub mod small_disk;
pub mod tls;
pub mod tools;
pub mod wait;
pub mod web;
pub mod weed;
