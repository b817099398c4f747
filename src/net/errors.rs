//! Explains why a request got no response, so that a person can act on it.

use std::error::Error as StdError;
use std::{fmt, io};

use hyper_util::client::legacy::Error as ClientError;

use super::peer::Peer;
use super::policy::{Refused, Scheme};
use super::tls::{self, TlsUnusable};
use crate::error::{Error, ErrorKind};

/// Finds an error of type `T` in the chain of causes.
fn cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // An IO error that wraps another one returns it from `get_ref`, not as its source.
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .and_then(|inner| cause::<T>(inner));
        if wrapped.is_some() {
            return wrapped;
        }
        next = error.source();
    }
    None
}

pub(super) fn translate(peer: &Peer, error: ClientError) -> Error {
    let host = &peer.host;
    let io_kind = cause::<io::Error>(&error).map(io::Error::kind);
    let (kind, message) = if cause::<Refused>(&error).is_some() {
        let text = format!(
            "connecting to {host} is refused by the network policy; \
             the operator can allow its network with --allow-network"
        );
        // No source, so that every refusal of a host looks the same.
        return Error::new(ErrorKind::Forbidden, text);
    } else if let Some(problem) = cause::<TlsUnusable>(&error) {
        (ErrorKind::InvalidArgument, problem.to_string())
    } else if let Some(rustls::Error::InvalidCertificate(reason)) = cause::<rustls::Error>(&error) {
        let error = Error::new(ErrorKind::Forbidden, tls::refused(host, reason));
        return error.with_code("CertificateRefused");
    } else if let Some(rustls::Error::InvalidMessage(_)) = cause::<rustls::Error>(&error)
        && error.is_connect()
    {
        // This is permanent: the server responded with something other than TLS.
        let error = Error::new(ErrorKind::Forbidden, peer.speaks_no_tls());
        return error.with_code("TlsNotSpoken");
    } else if cause::<TooSlow>(&error).is_some() || io_kind == Some(io::ErrorKind::TimedOut) {
        (ErrorKind::Timeout, format!("connecting to {host} took too long"))
    } else if cause::<Unresolved>(&error).is_some() {
        let text = format!("the name {host} cannot be resolved");
        (ErrorKind::Unavailable, text)
    } else if error.is_connect() && io_kind == Some(io::ErrorKind::ConnectionRefused) {
        let text = format!("{host} refuses the connection on port {}", peer.port());
        (ErrorKind::Unavailable, text)
    } else if error.is_connect() && peer.scheme == Scheme::Https && hung_up(&error) {
        (ErrorKind::Unavailable, peer.hung_up())
    } else if error.is_connect() {
        let text = format!("cannot connect to {host} on port {}", peer.port());
        (ErrorKind::Unavailable, text)
    } else if cause::<hyper::Error>(&error).is_some_and(hyper::Error::is_parse_too_large) {
        let text = format!("the headers of an answer of {host} are too large");
        (ErrorKind::Unsupported, text)
    } else if cause::<hyper::Error>(&error).is_some_and(hyper::Error::is_parse) {
        (ErrorKind::Unavailable, peer.speaks_no_http())
    } else {
        (ErrorKind::Unavailable, format!("the connection to {host} broke"))
    };
    Error::new(kind, message).with_source(error)
}

/// Whether the other side closed a connection that was open. The TLS layer may wrap the IO error in another one.
fn hung_up(error: &(dyn StdError + 'static)) -> bool {
    cause::<io::Error>(error).is_some_and(|io| {
        matches!(
            io.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
        ) || io.get_ref().is_some_and(|inner| hung_up(inner))
    })
}

#[derive(Debug)]
pub(super) struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connecting took too long")
    }
}

impl StdError for TooSlow {}

/// A name that cannot be resolved.
#[derive(Debug)]
pub(super) struct Unresolved(pub(super) io::Error);

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Unresolved {}
