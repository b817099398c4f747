//! Makes S3 stores for the worker, all over one pool of connections.

use std::sync::Arc;

use super::{ListVersion, S3Options, S3Store};
use crate::error::Result;
use crate::net::HttpClient;
use crate::object::{Connect, SharedStore};
use crate::secret::KeyPair;
use crate::task::spec::Place;

/// Makes [`S3Store`]s.
#[derive(Clone)]
pub struct S3Connector(HttpClient);

impl S3Connector {
    /// Stores made by this connector share `http`.
    #[must_use]
    pub const fn new(http: HttpClient) -> Self {
        Self(http)
    }
}

impl Connect for S3Connector {
    fn connect(&self, place: &Place, keys: &KeyPair, list: ListVersion) -> Result<SharedStore> {
        let options = S3Options {
            list_version: list,
            ..S3Options::new(
                place.endpoint.clone(),
                place.region.clone(),
                place.bucket.clone(),
                keys.clone(),
                self.0.clone(),
            )
        };
        Ok(Arc::new(S3Store::new(options)?))
    }
}
