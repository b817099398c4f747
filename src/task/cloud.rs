//! The clouds that the catalogue knows.

use strum::{EnumString, IntoStaticStr, VariantArray};

use super::names::stored_by_name;

/// The clouds that OMS names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
pub enum Cloud {
    /// Amazon Web Services.
    #[strum(serialize = "AWS")]
    Aws,
    /// Alibaba Cloud.
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
    /// No cloud: a list of URLs.
    #[strum(serialize = "URLSource")]
    UrlSource,
}

stored_by_name!(Cloud);
