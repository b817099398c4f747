//! Signed URLs of content delivery networks: pure functions, time and randomness are arguments.
//!
//! The OMS reference does not explain every `authentication_type`. Three of the meanings here are inferred from names
//! and key fields: `ALIYUN_OSS_A` to `_C` are the types A, B and C of Aliyun's CDN URL authentication, `TENCENT_COS_A`
//! to `_D` are those of Tencent's, and `KSYUN_PRIVATE_AUTHENTICATION` is the signed URL of Kingsoft's KS3. A path is
//! always absolute, without a query, and percent-encoded before it is signed.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use md5::{Digest as _, Md5};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::Sha1;
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::error::{Error, Result};
use crate::secret::{Credentials, Secret};
use crate::task::UnixMillis;
use crate::task::names::stored_by_name;
use crate::violation::Violation;

/// How long a URL is valid if it contains its expiry time (Qiniu, Kingsoft), in seconds. URLs of the other schemes
/// contain the time of signing, and the CDN configures how long they are valid.
const GOOD_FOR: i64 = 3600;

/// How requests to a CDN are signed. The names are those of the OMS reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
pub enum Authentication {
    /// Not at all.
    #[strum(serialize = "NONE")]
    None,
    /// Qiniu's private download URL, signed with the source's credentials.
    #[strum(serialize = "QINIU_PRIVATE_AUTHENTICATION")]
    Qiniu,
    /// Aliyun's type A.
    #[strum(serialize = "ALIYUN_OSS_A")]
    AliyunA,
    /// Aliyun's type B.
    #[strum(serialize = "ALIYUN_OSS_B")]
    AliyunB,
    /// Aliyun's type C, in its first form (in the path).
    #[strum(serialize = "ALIYUN_OSS_C")]
    AliyunC,
    /// Kingsoft's signed URL, signed with the source's credentials.
    #[strum(serialize = "KSYUN_PRIVATE_AUTHENTICATION")]
    Kingsoft,
    /// Tencent's type A.
    #[strum(serialize = "TENCENT_COS_A")]
    TencentA,
    /// Tencent's type B.
    #[strum(serialize = "TENCENT_COS_B")]
    TencentB,
    /// Tencent's type C.
    #[strum(serialize = "TENCENT_COS_C")]
    TencentC,
    /// Tencent's type D.
    #[strum(serialize = "TENCENT_COS_D")]
    TencentD,
}

stored_by_name!(Authentication);

impl Authentication {
    /// Whether it signs with a key of the CDN.
    #[must_use]
    pub const fn wants_key(self) -> bool {
        match self {
            Self::None | Self::Qiniu | Self::Kingsoft => false,
            Self::AliyunA
            | Self::AliyunB
            | Self::AliyunC
            | Self::TencentA
            | Self::TencentB
            | Self::TencentC
            | Self::TencentD => true,
        }
    }
}

/// What a URL is signed with.
#[derive(Clone, Copy, Debug)]
pub struct Signing<'a> {
    /// The scheme.
    pub kind: Authentication,
    /// The keys.
    pub keys: &'a CdnKeys,
    /// Bucket of the source.
    pub bucket: &'a str,
}

/// The signed URL of `path` (absolute, percent-encoded) below `origin` (`http[s]://host`). Two URLs of the same second
/// differ by `random`, in schemes that have a field for it.
///
/// # Errors
/// `InvalidArgument` if the key is missing; `Internal` for a time that has no calendar date.
pub fn sign(
    signing: &Signing<'_>,
    origin: &str,
    path: &str,
    now: UnixMillis,
    random: u128,
) -> Result<String> {
    let Signing { kind, keys, bucket } = *signing;
    let seconds = now.0.div_euclid(1000);
    let until = seconds + GOOD_FOR;
    let key = || {
        keys.key
            .as_ref()
            .map(Secret::expose)
            .filter(|key| !key.is_empty())
            .ok_or_else(|| Error::from(Violation::CdnKeyMissing))
    };
    let (access, secret) = (keys.source.access_key.expose(), keys.source.secret_key.expose());
    Ok(match kind {
        Authentication::None => format!("{origin}{path}"),
        Authentication::Qiniu => {
            let url = format!("{origin}{path}?e={until}");
            let token = BASE64_URL_SAFE.encode(hmac_sha1(secret, &url)?);
            format!("{url}&token={access}:{token}")
        }
        Authentication::AliyunA | Authentication::TencentA => {
            let field = if kind == Authentication::AliyunA {
                "auth_key"
            } else {
                "sign"
            };
            let stamp = format!("{seconds}-{random:x}-0");
            let sum = md5_hex(&[path, "-", &stamp, "-", key()?]);
            format!("{origin}{path}?{field}={stamp}-{sum}")
        }
        Authentication::AliyunB | Authentication::TencentB => {
            let minute = minute_in_china(now)?;
            let sum = md5_hex(&[key()?, &minute, path]);
            format!("{origin}/{minute}/{sum}{path}")
        }
        Authentication::AliyunC => {
            let moment = format!("{seconds:X}");
            let sum = md5_hex(&[key()?, path, &moment]);
            format!("{origin}/{sum}/{moment}{path}")
        }
        Authentication::TencentC => {
            let moment = format!("{seconds:x}");
            let sum = md5_hex(&[key()?, path, &moment]);
            format!("{origin}/{sum}/{moment}{path}")
        }
        Authentication::TencentD => {
            let moment = seconds.to_string();
            let sum = md5_hex(&[key()?, path, &moment]);
            format!("{origin}{path}?sign={sum}&t={moment}")
        }
        Authentication::Kingsoft => {
            let text = format!("GET\n\n\n{until}\n/{bucket}{path}");
            let signature = BASE64_STANDARD.encode(hmac_sha1(secret, &text)?);
            let signature = utf8_percent_encode(&signature, NON_ALPHANUMERIC);
            let access = utf8_percent_encode(access, NON_ALPHANUMERIC);
            format!("{origin}{path}?KSSAccessKeyId={access}&Expires={until}&Signature={signature}")
        }
    })
}

fn hmac_sha1(key: &str, text: &str) -> Result<[u8; 20]> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes())
        .map_err(|_| Error::internal("a key cannot be used for a signature"))?;
    mac.update(text.as_bytes());
    Ok(mac.finalize().into_bytes().into())
}

fn md5_hex(parts: &[&str]) -> String {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part.as_bytes());
    }
    hex::encode(hash.finalize())
}

/// `YYYYMMDDHHMM` at UTC+8, the time zone of Aliyun and Tencent.
fn minute_in_china(now: UnixMillis) -> Result<String> {
    let time = Timestamp::from_millisecond(now.0)
        .map_err(|e| Error::internal("the time has no date").with_source(e))?;
    let zone = TimeZone::fixed(Offset::constant(8));
    Ok(time.to_zoned(zone).strftime("%Y%m%d%H%M").to_string())
}

/// Credentials that sign the URLs of a CDN.
#[derive(Clone, Debug)]
pub struct CdnKeys {
    /// The key of the CDN; only for the types that need one.
    pub key: Option<Secret>,
    /// The credentials of the source.
    pub source: Credentials,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(access: &str, secret: &str) -> Credentials {
        Credentials {
            access_key: Secret::new(access),
            secret_key: Secret::new(secret),
        }
    }

    fn signed(
        kind: Authentication,
        key: &str,
        origin: &str,
        path: &str,
        seconds: i64,
        random: u128,
    ) -> String {
        let keys = CdnKeys {
            key: Some(Secret::new(key)),
            source: pair("MY_ACCESS_KEY", "MY_SECRET_KEY"),
        };
        let signing = Signing {
            kind,
            keys: &keys,
            bucket: "b",
        };
        sign(&signing, origin, path, UnixMillis(seconds * 1000 + 7), random).unwrap()
    }

    const ALIYUN: &str = "aliyuncdnexp1234";
    const TENCENT: &str = "dimtm5evg50ijsx2hvuwyfoiu65";
    const EDGE: &str = "DvYmqE81E1F9R791H6lmht";

    /// The examples of the vendors' pages. If a page has none, the example is computed from its description.
    #[test]
    fn the_vendors_vectors_hold() {
        use Authentication as A;
        let cases = [
            (
                signed(
                    A::AliyunA,
                    ALIYUN,
                    "http://h",
                    "/video/standard/1K.html",
                    1_444_435_200,
                    0,
                ),
                "http://h/video/standard/1K.html?auth_key=1444435200-0-0-80cd3862d699b7118eed99103f2a3a4f",
            ),
            (
                signed(
                    A::AliyunA,
                    ALIYUN,
                    "http://h",
                    "/video/standard/test.mp4",
                    1_444_435_200,
                    0,
                ),
                "http://h/video/standard/test.mp4?auth_key=1444435200-0-0-23bf85053008f5c0e791667a313e28ce",
            ),
            (
                signed(
                    A::AliyunB,
                    ALIYUN,
                    "http://h",
                    "/4/44/44c0909bcfc20a01afaf256ca99a8b8b.mp3",
                    1_439_596_800,
                    0,
                ),
                "http://h/201508150800/9044548ef1527deadafa49a890a377f0/4/44/44c0909bcfc20a01afaf256ca99a8b8b.mp3",
            ),
            (
                signed(A::AliyunC, ALIYUN, "http://h", "/test.flv", 0x55CE_8100, 0),
                "http://h/a37fa50a5fb8f71214b1e7c95ec7a1bd/55CE8100/test.flv",
            ),
            (
                signed(A::TencentD, TENCENT, "https://h", "/test.jpg", 1_582_791_032, 0),
                "https://h/test.jpg?sign=900a5049aa8ac1ab144527d9c2be4cea&t=1582791032",
            ),
            (
                signed(A::TencentB, EDGE, "https://h", "/foo.jpg", 1_721_028_780, 0),
                "https://h/202407151533/d1f0b51c6894231fc12e054fcc7f0b3e/foo.jpg",
            ),
            (
                signed(A::TencentC, EDGE, "https://h", "/foo.jpg", 0x6694_d30a, 0),
                "https://h/6688749e8906a726c12fe1be3aacd016/6694d30a/foo.jpg",
            ),
            (
                signed(
                    A::Qiniu,
                    "",
                    "http://78re52.com1.z0.glb.clouddn.com",
                    "/resource/flower.jpg",
                    1_451_491_200 - GOOD_FOR,
                    0,
                ),
                "http://78re52.com1.z0.glb.clouddn.com/resource/flower.jpg?e=1451491200&token=MY_ACCESS_KEY:438dd8pXocjYuF-6dTcKMtETB2g=",
            ),
            (
                signed(
                    A::Qiniu,
                    "",
                    "http://developer.qiniu.com",
                    "/resource/flower.jpg",
                    1_451_491_200 - GOOD_FOR,
                    0,
                ),
                "http://developer.qiniu.com/resource/flower.jpg?e=1451491200&token=MY_ACCESS_KEY:v24Hqj-H6oM96pmWC-QgDm5JLbk=",
            ),
            (signed(A::None, "", "http://h", "/a%20b", 1, 9), "http://h/a%20b"),
        ];
        for (found, wanted) in cases {
            assert_eq!(found, wanted);
        }
    }

    /// The random part in Tencent's example of type A has letters that are not hexadecimal digits, so that example is
    /// checked below.
    #[test]
    fn tencents_first_type_is_a_sum_over_all_fields() {
        let sum = md5_hex(&["/test.jpg", "-", "1582791032-im1acp76sx9sdqe601v-0", "-", TENCENT]);
        assert_eq!(sum, "3fbb88382c9356b6faaf9d68c7b2ae3a");
        let url = signed(
            Authentication::TencentA,
            TENCENT,
            "http://h",
            "/test.jpg",
            1_582_791_032,
            0xab,
        );
        let sum = md5_hex(&["/test.jpg-1582791032-ab-0-", TENCENT]);
        assert_eq!(url, format!("http://h/test.jpg?sign=1582791032-ab-0-{sum}"));
    }

    /// No example is published. The signed string is the one that the public KS3 clients use.
    #[test]
    fn kingsofts_form_is_the_one_of_its_clients() {
        let url = signed(Authentication::Kingsoft, "", "https://h", "/a%2Bb", 1000, 0);
        let signature =
            BASE64_STANDARD.encode(hmac_sha1("MY_SECRET_KEY", "GET\n\n\n4600\n/b/a%2Bb").unwrap());
        let signature = utf8_percent_encode(&signature, NON_ALPHANUMERIC);
        let wanted =
            format!("https://h/a%2Bb?KSSAccessKeyId=MY%5FACCESS%5FKEY&Expires=4600&Signature={signature}");
        assert_eq!(url, wanted);
    }

    #[test]
    fn a_key_that_is_wanted_must_be_there() {
        let keys = CdnKeys {
            key: None,
            source: pair("a", "s"),
        };
        for &kind in Authentication::ALL {
            assert_eq!(Authentication::from_name(kind.name()), Some(kind));
            let signing = Signing {
                kind,
                keys: &keys,
                bucket: "b",
            };
            let found = sign(&signing, "http://h", "/k", UnixMillis(0), 0);
            assert_eq!(found.is_err(), kind.wants_key(), "{kind:?}");
        }
    }
}
