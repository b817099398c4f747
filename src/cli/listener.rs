//! The socket of the API, and what to do where it cannot be had.

use std::net::{SocketAddr, TcpListener};

use crate::error::{Error, ErrorKind, Result};

/// Listens on an address.
///
/// # Errors
/// `Unavailable` with the flag that chooses another address.
pub(super) fn listen_on(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        let port = address.port();
        let what = match error.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "port {port} is in use; choose another with --listen, for example --listen {}, or port 0 for a free one",
                SocketAddr::new(address.ip(), if port == u16::MAX { 8080 } else { port + 1 })
            ),
            std::io::ErrorKind::AddrNotAvailable => {
                "this machine has no such address; 127.0.0.1 is reached from this machine alone, 0.0.0.0 from others too"
                    .to_owned()
            }
            std::io::ErrorKind::PermissionDenied => format!(
                "port {port} may not be used by this user; choose one above 1023, for example --listen {}",
                SocketAddr::new(address.ip(), 8080)
            ),
            _ => error.to_string(),
        };
        Error::new(ErrorKind::Unavailable, format!("--listen {address}: {what}")).with_source(error)
    })
}
