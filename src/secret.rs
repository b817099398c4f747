//! Credentials in memory and at rest.
//!
//! A [`Secret`] is shown neither in `Debug` nor in any serialisation, and is wiped when it is dropped. A [`Sealer`]
//! turns credentials into bytes that only this installation can open (XChaCha20-Poly1305, bound to the task they belong
//! to).
//!
//! The crate `secrecy` has the same wrapper around `zeroize`, but without equality, which is needed to compare credentials. What is
//! left of it are the few lines of [`Secret`].

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};

/// Length of the sealing key in bytes.
pub const KEY_LEN: usize = 32;
const NONCE_LEN: usize = 24;

/// A value that must never be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Zeroizing::new(value.into()))
    }

    /// The value itself; only for signing, sealing and comparing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Access key and secret key of one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Access key id. It is not shown either, because it identifies an account.
    pub access_key: Secret,
    /// Secret access key.
    pub secret_key: Secret,
}

/// All credentials of a task: both sides', and the signing key of the CDN if the source has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskCredentials {
    /// Credentials of the source.
    pub source: Credentials,
    /// Credentials of the target.
    pub target: Credentials,
    /// Signing key of the source's CDN.
    pub cdn_key: Option<Secret>,
}

impl TaskCredentials {
    /// Only the credentials of the target, to abort uploads that a deleted task left open.
    #[must_use]
    pub fn of_target(target: Credentials) -> Self {
        let none = || Secret::new("");
        Self {
            source: Credentials {
                access_key: none(),
                secret_key: none(),
            },
            target,
            cdn_key: None,
        }
    }
}

/// Credentials that only the [`Sealer`] that made them can open.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedCredentials(pub Vec<u8>);

impl fmt::Debug for SealedCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedCredentials({} bytes)", self.0.len())
    }
}

/// Length of a fingerprint in bytes.
pub const FINGERPRINT_LEN: usize = 32;

/// Seals and opens credentials with the installation's key, and makes fingerprints of data that contains some.
#[derive(Clone)]
pub struct Sealer {
    cipher: XChaCha20Poly1305,
    fingerprints: Zeroizing<[u8; FINGERPRINT_LEN]>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

impl Sealer {
    /// Makes a sealer from the installation's key.
    #[must_use]
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        // Each use has its own key, derived from the installation's key.
        let fingerprints = mac(key, b"oms: fingerprints of requests, version 1", &[]);
        Self {
            cipher: XChaCha20Poly1305::new(key.into()),
            fingerprints: Zeroizing::new(fingerprints),
        }
    }

    /// Seals `credentials` for the task `task_id`. They cannot be opened for another task.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if the cipher fails.
    pub fn seal(&self, task_id: i64, credentials: &TaskCredentials) -> Result<SealedCredentials> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let plain = encode(credentials);
        let sealed = self
            .cipher
            .encrypt(
                &XNonce::from(nonce),
                Payload {
                    msg: &plain,
                    aad: &task_id.to_be_bytes(),
                },
            )
            .map_err(|_| Error::internal("seal credentials"))?;
        Ok(SealedCredentials([nonce.as_slice(), &sealed].concat()))
    }

    /// A hash of `bytes` that only this installation can make (HMAC-SHA-256, RFC 2104). It shows whether two values are
    /// equal, and does not help to guess a secret in them. `purpose` separates hashes of different things.
    #[must_use]
    pub fn fingerprint(&self, purpose: &str, bytes: &[u8]) -> [u8; FINGERPRINT_LEN] {
        mac(&*self.fingerprints, purpose.as_bytes(), bytes)
    }

    /// Opens what [`Sealer::seal`] made for the same task.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] if the bytes were changed, or belong to another task or another key.
    pub fn open(&self, task_id: i64, sealed: &SealedCredentials) -> Result<TaskCredentials> {
        let refused = || {
            Error::new(
                ErrorKind::Unauthenticated,
                "stored credentials cannot be opened with this key",
            )
        };
        let (nonce, body) = sealed.0.split_at_checked(NONCE_LEN).ok_or_else(refused)?;
        let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| refused())?;
        let plain = self
            .cipher
            .decrypt(
                &XNonce::from(nonce),
                Payload {
                    msg: body,
                    aad: &task_id.to_be_bytes(),
                },
            )
            .map_err(|_| refused())?;
        decode(&Zeroizing::new(plain)).ok_or_else(refused)
    }
}

/// The HMAC of a label and some bytes. A zero byte between them separates a label from another one that begins with it.
fn mac(key: &[u8], label: &[u8], bytes: &[u8]) -> [u8; FINGERPRINT_LEN] {
    let mut mac =
        <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(label);
    mac.update(&[0]);
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

/// Writes the fields one after another, each preceded by its length in four bytes. An absent field has the length
/// `u32::MAX`.
fn encode(credentials: &TaskCredentials) -> Zeroizing<Vec<u8>> {
    let TaskCredentials {
        source,
        target,
        cdn_key,
    } = credentials;
    let fields = [
        Some(&source.access_key),
        Some(&source.secret_key),
        Some(&target.access_key),
        Some(&target.secret_key),
        cdn_key.as_ref(),
    ];
    let mut out = Zeroizing::new(Vec::new());
    for field in fields {
        match field {
            None => out.extend(u32::MAX.to_be_bytes()),
            Some(secret) => {
                let bytes = secret.expose().as_bytes();
                out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX - 1).to_be_bytes());
                out.extend(bytes);
            }
        }
    }
    out
}

fn decode(mut bytes: &[u8]) -> Option<TaskCredentials> {
    let mut next = || -> Option<Option<Secret>> {
        let (len, rest) = bytes.split_first_chunk::<4>()?;
        let len = u32::from_be_bytes(*len);
        bytes = rest;
        if len == u32::MAX {
            return Some(None);
        }
        let (field, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
        bytes = rest;
        Some(Some(Secret::new(std::str::from_utf8(field).ok()?)))
    };
    let source = Credentials {
        access_key: next()??,
        secret_key: next()??,
    };
    let target = Credentials {
        access_key: next()??,
        secret_key: next()??,
    };
    let cdn_key = next()?;
    bytes.is_empty().then_some(TaskCredentials {
        source,
        target,
        cdn_key,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(cdn_key: Option<&str>) -> TaskCredentials {
        let pair = |a: &str, s: &str| Credentials {
            access_key: Secret::new(a),
            secret_key: Secret::new(s),
        };
        TaskCredentials {
            source: pair("AK-source", "SK-source"),
            target: pair("AK-target", ""),
            cdn_key: cdn_key.map(Secret::new),
        }
    }

    #[test]
    fn sealed_credentials_open_again() {
        let sealer = Sealer::new(&[7; KEY_LEN]);
        for wanted in [credentials(None), credentials(Some("")), credentials(Some("cdn"))] {
            let sealed = sealer.seal(42, &wanted).unwrap();
            assert_eq!(sealer.open(42, &sealed).unwrap(), wanted);
        }
    }

    #[test]
    fn sealed_credentials_open_for_nobody_else() {
        let sealer = Sealer::new(&[7; KEY_LEN]);
        let sealed = sealer.seal(42, &credentials(None)).unwrap();
        let mut changed = sealed.clone();
        changed.0[30] ^= 1;
        assert_eq!(
            sealer.open(43, &sealed).unwrap_err().kind(),
            ErrorKind::Unauthenticated
        );
        assert!(sealer.open(42, &changed).is_err());
        assert!(sealer.open(42, &SealedCredentials(vec![1, 2, 3])).is_err());
        assert!(Sealer::new(&[8; KEY_LEN]).open(42, &sealed).is_err());
    }

    #[test]
    fn a_fingerprint_belongs_to_its_bytes_its_purpose_and_its_installation() {
        let sealer = Sealer::new(&[7; KEY_LEN]);
        let one = sealer.fingerprint("create", b"body");
        assert_eq!(sealer.clone().fingerprint("create", b"body"), one);
        assert_ne!(sealer.fingerprint("create", b"body2"), one);
        assert_ne!(sealer.fingerprint("creat", b"ebody"), one);
        assert_ne!(sealer.fingerprint("other", b"body"), one);
        assert_ne!(Sealer::new(&[8; KEY_LEN]).fingerprint("create", b"body"), one);
    }

    #[test]
    fn nothing_of_a_secret_shows() {
        let text = format!("{:?}", credentials(Some("cdn")));
        assert!(
            !text.contains("AK-source") && !text.contains("SK-source") && !text.contains("cdn\""),
            "{text}"
        );
    }
}
