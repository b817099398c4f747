//! What the coordinator of a task found out about its stores, in the form in which other workers read it from the ledger.

use serde::{Deserialize, Serialize};

use crate::engine::findings::{Listing, OverwriteGuard};
use crate::engine::order::Order;
use crate::error::{Error, Result};
use crate::object::ListVersion;

/// Which listing operation each side supports, in which order the target lists and how soon, and what prevents overwriting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SharedFindings {
    #[serde(with = "ListVersionName")]
    pub(super) source_listing: ListVersion,
    #[serde(with = "ListVersionName")]
    pub(super) target_listing: ListVersion,
    order: OrderName,
    #[serde(with = "ListingName")]
    pub(super) listing: Listing,
    #[serde(with = "OverwriteGuardName")]
    pub(super) guard: OverwriteGuard,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ListVersion", rename_all = "snake_case")]
enum ListVersionName {
    V2,
    V1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OrderName {
    Bytes,
    Path,
    Unknown,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Listing", rename_all = "snake_case")]
enum ListingName {
    Soon,
    Late,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OverwriteGuard", rename_all = "snake_case")]
enum OverwriteGuardName {
    None,
    Condition,
    Look,
}

impl SharedFindings {
    pub(super) fn new(
        (source_listing, target_listing): (ListVersion, ListVersion),
        order: Option<Order>,
        listing: Listing,
        guard: OverwriteGuard,
    ) -> Self {
        Self {
            source_listing,
            target_listing,
            order: match order {
                Some(Order::Bytes) => OrderName::Bytes,
                Some(Order::Path) => OrderName::Path,
                None => OrderName::Unknown,
            },
            listing,
            guard,
        }
    }

    /// The order in which the target lists; `None` if it has no known order.
    pub(super) const fn order(self) -> Option<Order> {
        match self.order {
            OrderName::Bytes => Some(Order::Bytes),
            OrderName::Path => Some(Order::Path),
            OrderName::Unknown => None,
        }
    }

    /// As text for the ledger.
    pub(super) fn to_text(self) -> Result<String> {
        serde_json::to_string(&self)
            .map_err(|error| Error::internal("the findings cannot be written").with_source(error))
    }

    /// From the ledger's text.
    pub(super) fn from_text(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .map_err(|error| Error::internal("the findings in the ledger cannot be read").with_source(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_read_back() {
        for order in [Some(Order::Bytes), Some(Order::Path), None] {
            let (listing, guard) = (Listing::Late, OverwriteGuard::Look);
            let found = SharedFindings::new((ListVersion::V1, ListVersion::V2), order, listing, guard);
            let read = SharedFindings::from_text(&found.to_text().unwrap()).unwrap();
            assert_eq!((read, read.order()), (found, order));
        }
        assert!(SharedFindings::from_text("{}").is_err());
    }

    #[test]
    fn the_text_is_the_one_that_other_versions_write() {
        let (listing, guard) = (Listing::Soon, OverwriteGuard::Condition);
        let both = (ListVersion::V2, ListVersion::V1);
        let text = SharedFindings::new(both, Some(Order::Path), listing, guard).to_text();
        let known = r#"{"source_listing":"v2","target_listing":"v1","order":"path","listing":"soon","guard":"condition"}"#;
        assert_eq!(text.unwrap(), known);
    }
}
