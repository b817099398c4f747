//! Makes the stores of a task: S3 buckets, URLs, and buckets that are read through a CDN.

use std::sync::Arc;

use super::{S3Options, S3Store, Timeouts};
use crate::error::Result;
use crate::net::HttpClient;
use crate::object::cdn::CdnKeys;
use crate::object::http::HttpReader;
use crate::object::http_source::HttpSource;
use crate::object::recent::ObjectUrls;
use crate::object::{Connect, ListVersion, SharedStore};
use crate::secret::Credentials;
use crate::task::Clock;
use crate::task::spec::{BucketLocation, Cdn};

/// Makes S3 stores that share one client.
#[derive(Clone, Debug)]
pub struct S3Connector {
    http: HttpClient,
    timeouts: Timeouts,
    clock: Clock,
}

impl S3Connector {
    /// A connector over `http` whose requests are signed with the time of `clock`.
    #[must_use]
    pub fn new(http: HttpClient, clock: Clock) -> Self {
        Self::with_timeouts(http, clock, Timeouts::default())
    }

    /// A connector whose stores have these time limits.
    #[must_use]
    pub const fn with_timeouts(http: HttpClient, clock: Clock, timeouts: Timeouts) -> Self {
        Self {
            http,
            timeouts,
            clock,
        }
    }
}

impl Connect for S3Connector {
    fn connect(&self, place: &BucketLocation, keys: &Credentials, list: ListVersion) -> Result<SharedStore> {
        let mut options = S3Options::new(
            place.endpoint.clone(),
            place.region.clone(),
            place.bucket.clone(),
            keys.clone(),
            self.http.clone(),
        );
        options.list_version = list;
        options.timeouts = self.timeouts;
        options.clock = self.clock.clone();
        options.payer = place.payer;
        Ok(Arc::new(S3Store::new(options)?))
    }

    fn urls(&self, addresses: Arc<ObjectUrls>) -> SharedStore {
        Arc::new(HttpSource::urls(
            HttpReader::new(self.http.clone(), self.timeouts),
            addresses,
        ))
    }

    fn through_cdn(
        &self,
        store: SharedStore,
        place: &BucketLocation,
        cdn: &Cdn,
        keys: CdnKeys,
    ) -> Result<SharedStore> {
        let reader = HttpReader::new(self.http.clone(), self.timeouts);
        let source = HttpSource::behind(reader, store, cdn, keys, &place.bucket, self.clock.clone())?;
        Ok(Arc::new(source))
    }
}
