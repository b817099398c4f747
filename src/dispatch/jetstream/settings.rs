//! How to reach and authenticate to the NATS servers, read and checked before the first connection.
//!
//! Nothing secret stays in an address: the crate writes addresses to its log, so user and password of a URL are taken out of it.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use async_nats::{ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;

use crate::error::{Error, Result};
use crate::secret::Secret;

/// A connection that is this quiet is asked for a sign of life. After two unanswered ones it counts as lost.
const PING: Duration = Duration::from_secs(5);
/// Longest wait between two attempts to connect.
const RECONNECT: Duration = Duration::from_secs(1);
/// Messages that wait in one subscription. More are dropped: each of them only asks to look at the ledger, which workers also do
/// on their own.
const SUBSCRIPTION: usize = 1024;
/// Length of a seed of an nkey.
const SEED: usize = 58;

/// How to reach the NATS servers.
#[derive(Clone, Debug)]
pub struct NatsSettings {
    /// `nats://host:port` or `tls://host:port`, several with commas between them. It may contain `user:password@` or `token@`.
    pub url: Secret,
    /// Credentials file (a JWT and its seed).
    pub creds_file: Option<PathBuf>,
    /// File with the seed of a user's nkey.
    pub nkey_file: Option<PathBuf>,
    /// Certificates of the authorities that sign the servers' certificates, in PEM. If it is set, a connection without TLS is
    /// refused. Otherwise the system's authorities are trusted.
    pub ca_file: Option<PathBuf>,
}

impl NatsSettings {
    /// Reads the files and makes the crate's addresses and options.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::InvalidArgument`] names what is wrong, without any part of its value.
    pub(super) async fn read(&self) -> Result<(Vec<ServerAddr>, ConnectOptions)> {
        let (addresses, login) = addresses(&self.url)?;
        let mut options = ConnectOptions::new()
            .name("oms")
            .retry_on_initial_connect()
            .max_reconnects(None)
            .ping_interval(PING)
            .subscription_capacity(SUBSCRIPTION)
            .reconnect_delay_callback(delay);
        let ways = [
            login.is_some(),
            self.creds_file.is_some(),
            self.nkey_file.is_some(),
        ];
        if ways.into_iter().filter(|given| *given).count() > 1 {
            return Err(Error::invalid(
                "NATS takes only one of: a user in the URL, a credentials file, an nkey file",
            ));
        }
        options = match login {
            Some(Login::User { name, password }) => options.user_and_password(name, password),
            Some(Login::Token(token)) => options.token(token),
            None => options,
        };
        if let Some(path) = &self.creds_file {
            let text = read(path, "credentials file").await?;
            // The crate's message could quote the file.
            options = options
                .credentials(text.expose())
                .map_err(|_| invalid_file(path, "credentials file", "it contains no JWT with its seed"))?;
        }
        if let Some(path) = &self.nkey_file {
            let text = read(path, "nkey file").await?;
            let seed = text.expose().trim();
            let digits = seed
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
            if !(seed.starts_with("SU") && seed.len() == SEED && digits) {
                return Err(invalid_file(path, "nkey file", "it contains no seed of a user"));
            }
            options = options.nkey(seed.to_owned());
        }
        if let Some(path) = &self.ca_file {
            let text = read(path, "CA file").await?;
            if !text.expose().contains("-----BEGIN CERTIFICATE-----") {
                return Err(invalid_file(path, "CA file", "it contains no certificate in PEM"));
            }
            options = options.add_root_certificates(path.clone()).require_tls(true);
        }
        Ok((addresses, options))
    }
}

/// Who connects, as a URL says it.
enum Login {
    User { name: String, password: String },
    Token(String),
}

/// The servers of a URL, without user and password, and the first user in it.
fn addresses(url: &Secret) -> Result<(Vec<ServerAddr>, Option<Login>)> {
    // No message contains the text: it may be a password with a typing error before it.
    let wrong = || Error::invalid("the URL of NATS is not of the form nats://host:port or tls://host:port");
    let mut found = Vec::new();
    let mut login = None;
    for text in url.expose().split(',') {
        let address = ServerAddr::from_str(text.trim()).map_err(|_| wrong())?;
        if !matches!(address.scheme(), "nats" | "tls") || address.host().is_empty() {
            return Err(wrong());
        }
        let mut url = address.into_inner();
        let decode = |text: &str| -> Result<String> {
            let text = percent_decode_str(text).decode_utf8().map_err(|_| wrong())?;
            Ok(text.into_owned())
        };
        if login.is_none() && !url.username().is_empty() {
            let name = decode(url.username())?;
            login = Some(match url.password() {
                Some(password) => Login::User {
                    name,
                    password: decode(password)?,
                },
                None => Login::Token(name),
            });
        }
        url.set_username("").map_err(|()| wrong())?;
        url.set_password(None).map_err(|()| wrong())?;
        found.push(ServerAddr::from_url(url).map_err(|_| wrong())?);
    }
    Ok((found, login))
}

/// Reads a file as a secret.
async fn read(path: &Path, what: &str) -> Result<Secret> {
    let text = tokio::fs::read_to_string(path).await;
    text.map(Secret::new)
        .map_err(|error| invalid_file(path, what, &error.kind().to_string()))
}

fn invalid_file(path: &Path, what: &str, why: &str) -> Error {
    Error::invalid(format!(
        "the {what} of NATS, {}, cannot be used: {why}",
        path.display()
    ))
}

/// How long to wait before the next attempt to connect: longer each time, and different for each client, so that a whole fleet
/// does not arrive at a restarted server in the same moment.
fn delay(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1))
        .unwrap_or(u32::MAX)
        .min(7);
    let longest = (Duration::from_millis(10) * 2_u32.pow(doublings)).min(RECONNECT);
    longest.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::error::ErrorKind;

    const CANARY: &str = "canary-0a1b2c";

    fn settings(url: &str) -> NatsSettings {
        NatsSettings {
            url: Secret::new(url),
            creds_file: None,
            nkey_file: None,
            ca_file: None,
        }
    }

    #[test]
    fn user_and_password_leave_the_address() {
        let url = format!("nats://user%40a:{CANARY}%3A%2F@host:4222, tls://other");
        let (addresses, login) = addresses(&Secret::new(url)).unwrap();
        assert!(!format!("{addresses:?}").contains(CANARY));
        assert!(addresses.iter().all(|address| !address.has_user_pass()));
        assert_eq!((addresses[0].host(), addresses[0].port()), ("host", 4222));
        assert!(addresses[1].tls_required());
        let Some(Login::User { name, password }) = login else {
            panic!("no user");
        };
        assert_eq!((name, password), ("user@a".into(), format!("{CANARY}:/")));
    }

    #[test]
    fn a_user_without_a_password_is_a_token() {
        let (_, login) = addresses(&Secret::new(format!("nats://{CANARY}@host"))).unwrap();
        assert!(matches!(login, Some(Login::Token(token)) if token == CANARY));
        let (_, login) = addresses(&Secret::new("host:4222")).unwrap();
        assert!(login.is_none());
    }

    #[tokio::test]
    async fn what_is_wrong_is_named_without_its_value() {
        let folder = TempDir::new().unwrap();
        let bad = folder.path().join("bad");
        std::fs::write(&bad, CANARY).unwrap();
        let file = |place: fn(&mut NatsSettings) -> &mut Option<PathBuf>, path: &Path| {
            let mut settings = settings("nats://host");
            *place(&mut settings) = Some(path.to_owned());
            settings
        };
        let absent = folder.path().join("absent");
        let mut both = file(|s| &mut s.nkey_file, &bad);
        both.url = Secret::new(format!("nats://user:{CANARY}@host"));
        for settings in [
            settings(&format!("http://user:{CANARY}@host")),
            settings(&format!("nats://user:{CANARY}@host:port")),
            settings(&format!("nats://user:{CANARY}@")),
            settings(&format!("ws://user:{CANARY}@host")),
            settings(""),
            file(|s| &mut s.creds_file, &bad),
            file(|s| &mut s.nkey_file, &bad),
            file(|s| &mut s.ca_file, &bad),
            file(|s| &mut s.creds_file, &absent),
            file(|s| &mut s.nkey_file, &absent),
            file(|s| &mut s.ca_file, &absent),
            both,
        ] {
            assert!(!format!("{settings:?}").contains(CANARY));
            let error = settings.read().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(!format!("{error:?} {error}").contains(CANARY), "{error:?}");
        }
    }

    #[test]
    fn attempts_to_connect_are_at_most_a_second_apart() {
        for attempts in [0, 1, 7, 100, usize::MAX] {
            assert!(delay(attempts) <= RECONNECT);
        }
        assert!(delay(100) >= RECONNECT / 2);
    }
}
