//! The region catalogue: the endpoint of each region of a cloud. The operator adds to it in the configuration.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::endpoint::Address;
use crate::error::{Error, Result};
use crate::task::spec::{Addressing, Cloud, Endpoint, EndpointOrigin};
pub use crate::violation::Side;
use crate::violation::Violation;

/// The public clouds and their regions: data, not code.
const BUILT_IN: &str = include_str!("clouds.json");

/// Regions of one cloud whose addresses have one form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Regions {
    /// Name of the cloud.
    cloud: String,
    /// Endpoint, with `{}` in place of the region.
    url: String,
    regions: Vec<String>,
}

/// The built-in regions, parsed once.
static REGIONS: LazyLock<Vec<Regions>> =
    LazyLock::new(|| serde_json::from_str(BUILT_IN).expect("a test reads the built-in regions"));

/// Whether a request may name an endpoint of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestEndpoints {
    /// Yes; the network policy still decides where a connection may go.
    #[default]
    Allowed,
    /// No: only endpoints of the catalogue.
    Refused,
}

/// Known regions and their endpoints.
#[derive(Clone, Debug)]
pub struct Catalogue {
    regions: BTreeMap<(&'static str, String), Endpoint>,
    request_endpoints: RequestEndpoints,
}

impl Catalogue {
    /// The built-in regions of the public clouds.
    #[must_use]
    pub fn new(request_endpoints: RequestEndpoints) -> Self {
        let mut catalogue = Self {
            regions: BTreeMap::new(),
            request_endpoints,
        };
        for Regions { cloud, url, regions } in REGIONS.iter() {
            let cloud = Cloud::from_name(cloud).expect("a test names the clouds of the built-in regions");
            for region in regions {
                // Huawei's OBS refuses path-style requests, and AWS plans to.
                let addressing = Addressing::VirtualHost;
                let url = url.replace("{}", region);
                let endpoint = Endpoint {
                    url,
                    addressing,
                    origin: EndpointOrigin::Catalogue,
                };
                catalogue.regions.insert((cloud.name(), region.clone()), endpoint);
            }
        }
        catalogue
    }

    /// Adds or replaces a region.
    ///
    /// # Errors
    /// `InvalidArgument` for a malformed endpoint.
    pub fn add(&mut self, cloud: Cloud, region: &str, url: &str, addressing: Addressing) -> Result<()> {
        let url =
            check_url(url).map_err(|text| Error::invalid(format!("region {region}: endpoint {text}")))?;
        let endpoint = Endpoint {
            url,
            addressing,
            origin: EndpointOrigin::Catalogue,
        };
        self.regions.insert((cloud.name(), region.to_owned()), endpoint);
        Ok(())
    }

    /// The endpoint of a bucket: the one that the request names, else the catalogue's.
    ///
    /// # Errors
    /// [`Violation::UnknownRegion`], [`Violation::EndpointForm`] or [`Violation::EndpointNotAllowed`].
    pub fn resolve(
        &self,
        side: Side,
        cloud: Cloud,
        region: &str,
        requested: Option<&str>,
    ) -> Result<Endpoint, Violation> {
        if let Some(url) = requested {
            if self.request_endpoints == RequestEndpoints::Refused {
                return Err(Violation::EndpointNotAllowed { side });
            }
            let url = check_url(url).map_err(|must| Violation::EndpointForm { side, must })?;
            return Ok(Endpoint {
                url,
                addressing: Addressing::Path,
                origin: EndpointOrigin::Request,
            });
        }
        self.regions
            .get(&(cloud.name(), region.to_owned()))
            .cloned()
            .ok_or_else(|| Violation::UnknownRegion {
                side,
                cloud: cloud.name(),
                region: region.to_owned(),
            })
    }
}

/// An endpoint in normal form.
fn check_url(url: &str) -> std::result::Result<String, &'static str> {
    Address::parse(url).map(|address| address.url())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_region_is_in_the_catalogue() {
        let built_in: Vec<Regions> = serde_json::from_str(BUILT_IN).unwrap();
        let catalogue = Catalogue::new(RequestEndpoints::Allowed);
        let mut number = 0;
        for Regions { cloud, url, regions } in &built_in {
            let cloud = Cloud::from_name(cloud).unwrap();
            assert_eq!(url.matches("{}").count(), 1, "{url}");
            for region in regions {
                let found = catalogue.resolve(Side::Source, cloud, region, None).unwrap();
                let wanted = url.replace("{}", region);
                assert_eq!(found.url, wanted);
                assert_eq!(check_url(&wanted), Ok(wanted), "{region}");
                number += 1;
            }
        }
        assert_eq!(catalogue.regions.len(), number, "a region is listed twice");
        assert!(number > 0);
    }

    fn unknown(side: Side, cloud: Cloud, region: &str) -> Violation {
        Violation::UnknownRegion {
            side,
            cloud: cloud.name(),
            region: region.to_owned(),
        }
    }

    #[test]
    fn regions_have_addresses() {
        let catalogue = Catalogue::new(RequestEndpoints::Allowed);
        let at = |cloud, region| {
            catalogue
                .resolve(Side::Source, cloud, region, None)
                .map(|e| e.url)
        };
        assert_eq!(
            at(Cloud::Aws, "eu-west-1").unwrap(),
            "https://s3.eu-west-1.amazonaws.com"
        );
        assert_eq!(
            at(Cloud::HuaweiCloud, "cn-north-4").unwrap(),
            "https://obs.cn-north-4.myhuaweicloud.com"
        );
        assert_eq!(
            at(Cloud::Aws, "cn-north-1").unwrap(),
            "https://s3.cn-north-1.amazonaws.com.cn"
        );
        assert_eq!(
            at(Cloud::Aliyun, "oss-cn-x"),
            Err(unknown(Side::Source, Cloud::Aliyun, "oss-cn-x"))
        );
        let target = catalogue.resolve(Side::Target, Cloud::HuaweiCloud, "mars", None);
        assert_eq!(target, Err(unknown(Side::Target, Cloud::HuaweiCloud, "mars")));
    }

    #[test]
    fn endpoints_are_checked() {
        let catalogue = Catalogue::new(RequestEndpoints::Allowed);
        for bad in [
            "",
            "host",
            "ftp://h",
            "http://",
            "http://u:p@h",
            "http://h/path?x=1",
            "http://h/path#x",
            "http://h?x=1",
            "http://h:x",
        ] {
            let got = catalogue.resolve(Side::Source, Cloud::Aws, "x", Some(bad));
            let side = Side::Source;
            assert!(
                matches!(got, Err(Violation::EndpointForm { side: at, .. }) if at == side),
                "{bad}"
            );
        }
        let fine = catalogue
            .resolve(Side::Target, Cloud::Aws, "x", Some("http://127.0.0.1:9000/"))
            .unwrap();
        assert_eq!(fine.url, "http://127.0.0.1:9000");
        let below = catalogue
            .resolve(
                Side::Target,
                Cloud::Aws,
                "x",
                Some("https://H.example/storage/v1/s3/"),
            )
            .unwrap();
        assert_eq!(below.url, "https://h.example/storage/v1/s3");
        let strict = Catalogue::new(RequestEndpoints::Refused);
        let refused = strict.resolve(Side::Target, Cloud::Aws, "eu-west-1", Some("https://h"));
        assert_eq!(refused, Err(Violation::EndpointNotAllowed { side: Side::Target }));
    }

    #[test]
    fn operators_add_regions() {
        let mut catalogue = Catalogue::new(RequestEndpoints::Allowed);
        catalogue
            .add(Cloud::Aliyun, "lab", "http://10.0.0.1:9000", Addressing::Path)
            .unwrap();
        assert_eq!(
            catalogue
                .resolve(Side::Source, Cloud::Aliyun, "lab", None)
                .unwrap()
                .url,
            "http://10.0.0.1:9000"
        );
        assert!(
            catalogue
                .add(Cloud::Aliyun, "lab", "nonsense", Addressing::Path)
                .is_err()
        );
    }
}
