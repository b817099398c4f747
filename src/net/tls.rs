//! Which certificates are trusted: those of the root authorities of this machine, and those of authorities that the
//! operator adds.

use std::error::Error as StdError;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CertificateError, ClientConfig, RootCertStore};

use crate::error::{Error, Result};

pub(super) type BoxError = Box<dyn StdError + Send + Sync>;

/// Certificates of authorities that are trusted in addition to the roots of this machine.
#[derive(Clone, Debug, Default)]
pub struct Authorities(Vec<CertificateDer<'static>>);

impl Authorities {
    /// Reads a PEM file of one or more certificates; private keys in it are ignored.
    ///
    /// # Errors
    /// `InvalidArgument` if it cannot be read, has no certificate, or has one that cannot be an authority's.
    pub fn read(file: &Path) -> Result<Self> {
        let wrong = |what: &str| Error::invalid(format!("{} {what}", file.display()));
        let text = std::fs::read(file)
            .map_err(|error| wrong(&format!("cannot be read: {}", error.kind())).with_source(error))?;
        let read: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let read = read.map_err(|error| wrong("is not a PEM file of certificates").with_source(error))?;
        if read.is_empty() {
            return Err(wrong("holds no certificate in PEM"));
        }
        let mut roots = RootCertStore::empty();
        for (number, certificate) in (1..).zip(&read) {
            roots.add(certificate.clone()).map_err(|error| {
                let what = format!("holds a certificate that cannot be read, number {number}");
                wrong(&what).with_source(error)
            })?;
        }
        Ok(Self(read))
    }
}

#[derive(Debug)]
pub(super) struct TlsUnusable(String);

impl fmt::Display for TlsUnusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "https needs root certificates (package ca-certificates, SSL_CERT_FILE, or the setting ca_file): {}",
            self.0
        )
    }
}

impl StdError for TlsUnusable {}

/// The TLS settings of connections; reads the root certificates of this machine.
pub(super) fn config(authorities: &Authorities) -> Result<ClientConfig, BoxError> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a root certificate of this machine cannot be read");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    for certificate in &authorities.0 {
        roots.add(certificate.clone())?;
    }
    if roots.is_empty() {
        return Err(TlsUnusable("none were found".to_owned()).into());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// What is wrong with the certificate of a host, as a message for people.
pub(super) fn refused(host: &str, reason: &CertificateError) -> String {
    use CertificateError as E;
    let what = match reason {
        E::Expired | E::ExpiredContext { .. } => "has expired".to_owned(),
        E::NotValidYet | E::NotValidYetContext { .. } => {
            "is not valid yet; the clock of this machine may be wrong".to_owned()
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => "is for another name".to_owned(),
        E::UnknownIssuer => {
            "is not trusted: no known authority has signed it; the operator can add one with \
                             the setting ca_file"
                .to_owned()
        }
        other => format!("is not trusted: {other}"),
    };
    format!("the certificate of {host} {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_good_certificates_is_refused_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        assert!(
            Authorities::read(&path)
                .unwrap_err()
                .message()
                .contains("cannot be read")
        );
        for (text, what) in [
            ("", "holds no certificate"),
            ("no PEM at all\n", "holds no certificate"),
            (
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                "holds no certificate",
            ),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "number 1",
            ),
            (
                "-----BEGIN CERTIFICATE-----\n&&&&\n-----END CERTIFICATE-----\n",
                "is not a PEM file",
            ),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", "is not a PEM file"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Authorities::read(&path).unwrap_err();
            assert!(
                error.message().contains(what) && error.message().contains("ca.pem"),
                "{text}: {error}"
            );
        }
    }
}
