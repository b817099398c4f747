//! Names of clouds on the wire.
//!
//! An empty name means the default, as in the OMS reference; the document does not offer it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::task::spec::Cloud;

/// Whose store it is: `AWS` (also for any S3-compatible store with an `endpoint`), `Aliyun`, `Tencent`, `HuaweiCloud`,
/// `QingCloud`, `KingsoftCloud`, `Baidu`, `Qiniu`, or `URLSource` (a list of URLs).
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
pub enum CloudName {
    /// Amazon Web Services.
    #[serde(rename = "AWS")]
    Aws,
    /// Alibaba Cloud; the default of a source.
    #[serde(alias = "")]
    Aliyun,
    /// Tencent Cloud.
    Tencent,
    /// Huawei Cloud.
    HuaweiCloud,
    /// QingCloud.
    QingCloud,
    /// Kingsoft Cloud.
    KingsoftCloud,
    /// Baidu AI Cloud.
    Baidu,
    /// Qiniu.
    Qiniu,
    /// A list of URLs.
    #[serde(rename = "URLSource")]
    UrlSource,
}

/// Whose store the target is: `HuaweiCloud` (`HEC` and `OTC` mean the same, as older clients say it), `AWS` (also for any
/// S3-compatible store with an `endpoint`), `Aliyun`, `Tencent`, `QingCloud`, `KingsoftCloud`, `Baidu` or `Qiniu`.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
pub enum TargetCloud {
    /// Huawei Cloud; the default.
    #[serde(alias = "")]
    HuaweiCloud,
    /// Huawei Cloud, as older clients call it.
    #[serde(rename = "HEC")]
    Hec,
    /// Open Telekom Cloud, which is built on Huawei's.
    #[serde(rename = "OTC")]
    Otc,
    /// Amazon Web Services.
    #[serde(rename = "AWS")]
    Aws,
    /// Alibaba Cloud.
    Aliyun,
    /// Tencent Cloud.
    Tencent,
    /// QingCloud.
    QingCloud,
    /// Kingsoft Cloud.
    KingsoftCloud,
    /// Baidu AI Cloud.
    Baidu,
    /// Qiniu.
    Qiniu,
}

impl From<CloudName> for Cloud {
    fn from(name: CloudName) -> Self {
        match name {
            CloudName::Aws => Self::Aws,
            CloudName::Aliyun => Self::Aliyun,
            CloudName::Tencent => Self::Tencent,
            CloudName::HuaweiCloud => Self::HuaweiCloud,
            CloudName::QingCloud => Self::QingCloud,
            CloudName::KingsoftCloud => Self::KingsoftCloud,
            CloudName::Baidu => Self::Baidu,
            CloudName::Qiniu => Self::Qiniu,
            CloudName::UrlSource => Self::UrlSource,
        }
    }
}

impl From<Cloud> for CloudName {
    fn from(cloud: Cloud) -> Self {
        match cloud {
            Cloud::Aws => Self::Aws,
            Cloud::Aliyun => Self::Aliyun,
            Cloud::Tencent => Self::Tencent,
            Cloud::HuaweiCloud => Self::HuaweiCloud,
            Cloud::QingCloud => Self::QingCloud,
            Cloud::KingsoftCloud => Self::KingsoftCloud,
            Cloud::Baidu => Self::Baidu,
            Cloud::Qiniu => Self::Qiniu,
            Cloud::UrlSource => Self::UrlSource,
        }
    }
}

impl From<TargetCloud> for Cloud {
    fn from(name: TargetCloud) -> Self {
        match name {
            TargetCloud::HuaweiCloud | TargetCloud::Hec | TargetCloud::Otc => Self::HuaweiCloud,
            TargetCloud::Aws => Self::Aws,
            TargetCloud::Aliyun => Self::Aliyun,
            TargetCloud::Tencent => Self::Tencent,
            TargetCloud::QingCloud => Self::QingCloud,
            TargetCloud::KingsoftCloud => Self::KingsoftCloud,
            TargetCloud::Baidu => Self::Baidu,
            TargetCloud::Qiniu => Self::Qiniu,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_spells_clouds_as_the_service_does() {
        for &cloud in Cloud::ALL {
            let shown = serde_json::to_value(CloudName::from(cloud)).unwrap();
            assert_eq!(shown, cloud.name());
            assert_eq!(Cloud::from(CloudName::from(cloud)), cloud);
        }
    }
}
