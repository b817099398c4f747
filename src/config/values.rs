//! Values that may be written in more than one form: addresses to listen on, and networks.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;

use ipnet::IpNet;
use serde::de::{Deserialize, Deserializer, Unexpected, Visitor};

use crate::error::{Error, Result};
use crate::secret::Secret;

/// The form of an address to listen on, for messages.
const ADDRESS: &str = "an address and a port, such as 127.0.0.1:8080, localhost:8080 or [::1]:8080";
/// The form of a network, for messages.
const NETWORK: &str = "a network such as 10.0.0.0/8, or an address such as 10.0.0.7";

/// An address and a port to listen on. A host name is resolved; an IPv4 address is preferred.
///
/// # Errors
/// `InvalidArgument` for another form, and for a name that cannot be resolved.
pub fn listen_address(text: &str) -> Result<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (name, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let named = !name.is_empty() && !name.contains([':', '/']) && !port.is_empty();
    if !named || port.parse::<u16>().is_err() {
        return Err(Error::invalid(format!("it must be {ADDRESS}")));
    }
    let found = text.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    let found = found.unwrap_or_default();
    let ipv4 = found.iter().find(|address| address.is_ipv4());
    let unknown = || {
        Error::invalid(format!(
            "the name has no address on this machine; it must be {ADDRESS}"
        ))
    };
    ipv4.or(found.first()).copied().ok_or_else(unknown)
}

/// A network; a single address is a network that has only that address.
///
/// # Errors
/// `InvalidArgument` for another form.
pub fn network(text: &str) -> Result<IpNet> {
    let address = || IpAddr::from_str(text).map(IpNet::from);
    let network = IpNet::from_str(text).or_else(|_| address());
    network.map_err(|_| Error::invalid(format!("it must be {NETWORK}")))
}

/// A value that is parsed from text.
struct Written<T> {
    read: fn(&str) -> Result<T>,
    form: &'static str,
}

impl<T> Visitor<'_> for Written<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.form)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<T, E> {
        (self.read)(text).map_err(|_| E::invalid_value(Unexpected::Other("a text"), &self))
    }
}

/// Deserialises an address to listen on.
pub(super) fn read_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<SocketAddr, D::Error> {
    deserializer.deserialize_str(Written {
        read: listen_address,
        form: ADDRESS,
    })
}

/// Deserialises a list of networks.
pub(super) fn read_networks<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<IpNet>, D::Error> {
    struct Network(IpNet);
    impl<'de> Deserialize<'de> for Network {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
            let written = Written {
                read: network,
                form: NETWORK,
            };
            deserializer.deserialize_str(written).map(Network)
        }
    }
    let found = Vec::<Network>::deserialize(deserializer)?;
    Ok(found.into_iter().map(|Network(network)| network).collect())
}

/// Deserialises a secret.
pub(super) fn read_secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Secret>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.map(Secret::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_to_listen_has_an_address_or_a_name_and_a_port() {
        for (text, wanted) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("0.0.0.0:0", "0.0.0.0:0"),
            ("[::1]:8080", "[::1]:8080"),
            ("localhost:8080", "127.0.0.1:8080"),
        ] {
            assert_eq!(listen_address(text).unwrap().to_string(), wanted, "{text}");
        }
        for wrong in [
            "",
            "here",
            "8080",
            ":8080",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:http",
            "127.0.0.1:65536",
            "::1:8080",
            "http://localhost:8080",
            "localhost:8080/",
            "no-such-name.invalid:80",
        ] {
            let error = listen_address(wrong).unwrap_err();
            assert!(error.message().contains("127.0.0.1:8080"), "{wrong}: {error}");
        }
    }

    #[test]
    fn an_address_is_the_network_of_itself() {
        for (text, wanted) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.7", "10.0.0.7/32"),
            ("::1", "::1/128"),
            ("fd00::/8", "fd00::/8"),
        ] {
            assert_eq!(network(text).unwrap().to_string(), wanted, "{text}");
        }
        for wrong in [
            "",
            "here",
            "10.0.0.0/99",
            "10.0.0",
            "10.0.0.7:9000",
            "localhost",
            "http://10.0.0.7",
        ] {
            let error = network(wrong).unwrap_err();
            assert!(error.message().contains("10.0.0.7"), "{wrong}: {error}");
        }
    }
}
