//! Where a request wants to go, and whether it brings what that needs.

use super::requests::BucketRequest;
use crate::object::cdn::Authentication;
use crate::object::clouds::{Catalogue, Side};
use crate::secret::TaskCredentials;
use crate::task::spec::{Addressing, BucketLocation, Cdn, Cloud, Endpoint, EndpointOrigin};
use crate::violation::Violation;

/// The bucket of a request, with its endpoint from the catalogue where the request gives none.
pub(super) fn bucket_location(
    catalogue: &Catalogue,
    request: BucketRequest,
    side: Side,
) -> Result<BucketLocation, Violation> {
    let endpoint = match request.cloud {
        // Every address of a list says for itself where it is.
        Cloud::UrlSource => Endpoint {
            url: String::new(),
            addressing: Addressing::Path,
            origin: EndpointOrigin::Catalogue,
        },
        cloud => {
            let endpoint = request.endpoint.as_deref();
            catalogue.resolve(side, cloud, &request.region, endpoint)?
        }
    };
    let BucketRequest {
        cloud,
        region,
        bucket,
        endpoint: _,
        app_id,
        payer,
    } = request;
    Ok(BucketLocation {
        cloud,
        region,
        bucket,
        endpoint,
        app_id,
        payer,
    })
}

/// Whether the CDN's key is there, where its authentication needs one.
pub(super) fn check_cdn_key(cdn: Option<&Cdn>, credentials: &TaskCredentials) -> Result<(), Violation> {
    let kind = cdn.and_then(|cdn| Authentication::from_name(&cdn.authentication_type));
    if kind.is_some_and(Authentication::wants_key) && credentials.cdn_key.is_none() {
        return Err(Violation::CdnKeyMissing);
    }
    Ok(())
}
