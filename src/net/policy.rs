//! Which addresses an outbound connection may reach: the protection against server-side request forgery, as pure
//! functions.
//!
//! The ranges are the IANA special-purpose registries (RFC 6890 and its updates) and the metadata addresses of the
//! big clouds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain text.
    Http,
    /// TLS.
    Https,
}

/// The address must not be connected to. No reason is given, so that refusals cannot be used to explore a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused by the network policy")
    }
}

impl std::error::Error for Refused {}

/// What the operator allows beyond public addresses over TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// Special-use addresses in these networks may be reached, and plain `http` may be used in them.
    pub allowed: Vec<IpNet>,
}

impl NetworkPolicy {
    /// Public addresses over TLS, and the `allowed` networks.
    #[must_use]
    pub const fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed }
    }

    /// Checks one resolved address. An IPv6 address that contains an IPv4 one (mapped, compatible, NAT64) is checked as
    /// that IPv4 address.
    ///
    /// # Errors
    /// [`Refused`] for cloud metadata, link-local, unspecified, multicast and broadcast addresses, whatever is allowed.
    /// Also for other special-use addresses, and for any address over plain `http`, unless it is in an allowed network.
    pub fn check(&self, ip: IpAddr, scheme: Scheme) -> Result<(), Refused> {
        let judged = match ip {
            IpAddr::V6(v6) => embedded(v6).map_or(ip, IpAddr::V4),
            IpAddr::V4(_) => ip,
        };
        let (never, special) = match judged {
            IpAddr::V4(v4) => (is_never_v4(v4), is_special_v4(v4)),
            IpAddr::V6(v6) => (is_never_v6(v6), is_special_v6(v6)),
        };
        let allowed = || self.allowed.iter().any(|network| network.contains(&judged));
        if never || ((special || scheme == Scheme::Http) && !allowed()) {
            return Err(Refused);
        }
        Ok(())
    }

    /// Checks a host name before it is resolved.
    ///
    /// # Errors
    /// [`Refused`] for the names of metadata services.
    pub fn check_name(&self, host: &str) -> Result<(), Refused> {
        let name = host.trim_end_matches('.');
        if name.eq_ignore_ascii_case("metadata.google.internal") {
            return Err(Refused);
        }
        Ok(())
    }
}

/// The IPv4 address inside `::ffff:a.b.c.d`, `::a.b.c.d` or `64:ff9b::a.b.c.d`.
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    match ip.segments() {
        // The unspecified and the loopback address of IPv6 contain no IPv4 address.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
        }
        _ => None,
    }
}

/// Never connected to: "this network", link-local with the metadata service, the metadata or platform services of
/// Alibaba, Azure and Oracle, multicast, broadcast.
fn is_never_v4(ip: Ipv4Addr) -> bool {
    matches!(
        ip.octets(),
        [0, ..]
            | [169, 254, ..]
            | [100, 100, 100, 200]
            | [168, 63, 129, 16]
            | [192, 0, 0, 192]
            | [224..=239, ..]
            | [255, 255, 255, 255]
    )
}

/// Loopback, private, carrier-grade NAT, protocol assignments, documentation, 6to4 relays, benchmarks, reserved.
fn is_special_v4(ip: Ipv4Addr) -> bool {
    matches!(
        ip.octets(),
        [10 | 127, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [100, 64..=127, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            | [240..=255, ..]
    )
}

/// Never connected to: unspecified, link-local, multicast, the metadata services of AWS and Google.
fn is_never_v6(ip: Ipv6Addr) -> bool {
    matches!(
        ip.segments(),
        [0, 0, 0, 0, 0, 0, 0, 0]
            | [0xfe80..=0xfebf, ..]
            | [0xff00..=0xffff, ..]
            | [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]
            | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]
    )
}

/// Everything outside global unicast (2000::/3); inside it, protocol assignments with Teredo, documentation and 6to4.
fn is_special_v6(ip: Ipv6Addr) -> bool {
    match ip.segments() {
        [0x2001, second, ..] => second < 0x200 || second == 0xdb8,
        [0x2002, ..] => true,
        [0x3fff, second, ..] => second < 0x1000,
        [first, ..] => !(0x2000..=0x3fff).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(policy: &NetworkPolicy, ip: &str) -> (bool, bool) {
        let ip = ip.parse().unwrap();
        (
            policy.check(ip, Scheme::Http).is_ok(),
            policy.check(ip, Scheme::Https).is_ok(),
        )
    }

    const NEVER: &[&str] = &[
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "169.254.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "224.0.0.1",
        "239.255.255.255",
        "255.255.255.255",
        "::",
        "fe80::1",
        "febf::1",
        "ff02::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
    ];
    const SPECIAL: &[&str] = &[
        "127.0.0.1",
        "127.255.255.254",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "100.127.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.9",
        "240.0.0.1",
        "::1",
        "fc00::1",
        "fdff::1",
        "fec0::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "64:ff9b:1::1",
        "100::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "4000::1",
    ];
    const PUBLIC: &[&str] = &[
        "1.1.1.1",
        "52.216.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "100.63.0.1",
        "100.128.0.1",
        "192.0.1.1",
        "2606:4700::1111",
        "2001:4860:4860::8888",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
    ];

    #[test]
    fn without_an_allowance_only_public_addresses_over_tls_are_reached() {
        let policy = NetworkPolicy::default();
        for ip in NEVER.iter().chain(SPECIAL) {
            assert_eq!(verdicts(&policy, ip), (false, false), "{ip}");
        }
        for ip in PUBLIC {
            assert_eq!(verdicts(&policy, ip), (false, true), "{ip}");
        }
    }

    #[test]
    fn an_allowance_opens_everything_but_metadata() {
        let policy = NetworkPolicy {
            allowed: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()],
        };
        for ip in NEVER {
            assert_eq!(verdicts(&policy, ip), (false, false), "{ip}");
        }
        for ip in SPECIAL.iter().chain(PUBLIC) {
            assert_eq!(verdicts(&policy, ip), (true, true), "{ip}");
        }
    }

    #[test]
    fn an_allowance_opens_its_own_network_only() {
        let policy = NetworkPolicy {
            allowed: vec!["10.1.0.0/16".parse().unwrap()],
        };
        assert_eq!(verdicts(&policy, "10.1.2.3"), (true, true));
        assert_eq!(verdicts(&policy, "::ffff:10.1.2.3"), (true, true));
        assert_eq!(verdicts(&policy, "10.2.2.3"), (false, false));
        assert_eq!(verdicts(&policy, "127.0.0.1"), (false, false));
        assert_eq!(verdicts(&policy, "8.8.8.8"), (false, true));
    }

    #[test]
    fn names_of_metadata_services_are_refused() {
        let policy = NetworkPolicy::default();
        for name in ["metadata.google.internal", "Metadata.Google.Internal."] {
            assert_eq!(policy.check_name(name), Err(Refused));
        }
        assert_eq!(policy.check_name("s3.amazonaws.com"), Ok(()));
    }
}
