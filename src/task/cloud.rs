//! The clouds that the catalogue knows.

/// The clouds that OMS names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cloud {
    /// Amazon Web Services.
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
    UrlSource,
}

impl Cloud {
    /// All clouds, for tables and tests.
    pub const ALL: [Self; 9] = [
        Self::Aws,
        Self::Aliyun,
        Self::Tencent,
        Self::HuaweiCloud,
        Self::QingCloud,
        Self::KingsoftCloud,
        Self::Baidu,
        Self::Qiniu,
        Self::UrlSource,
    ];

    /// The name that OMS uses, which is also the catalogue's and the ledger's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aws => "AWS",
            Self::Aliyun => "Aliyun",
            Self::Tencent => "Tencent",
            Self::HuaweiCloud => "HuaweiCloud",
            Self::QingCloud => "QingCloud",
            Self::KingsoftCloud => "KingsoftCloud",
            Self::Baidu => "Baidu",
            Self::Qiniu => "Qiniu",
            Self::UrlSource => "URLSource",
        }
    }

    /// The cloud of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cloud| cloud.name() == name)
    }
}
