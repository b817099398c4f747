//! What tests share.

pub mod api;
pub mod binary;
pub mod checker;
pub mod documented;
pub mod ledger;
pub mod nginx;
pub mod report_files;
pub mod rig;
pub mod service;
pub mod shared;
pub mod small_disk;
pub mod tls;
pub mod tools;
pub mod wait;
pub mod web;
pub mod weed;
