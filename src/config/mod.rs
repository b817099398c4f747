//! Configuration, checked once at start. Later sources override earlier ones: defaults, TOML file, `OMS_*` variables,
//! flags.

mod values;
mod variables;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::error::Kind;
use figment::providers::{Format as _, Toml};
use ipnet::IpNet;
use jiff::tz::TimeZone;
use serde::Deserialize;

pub use self::values::{listen_address, network};
use self::variables::Variables;
use crate::api::Origins;
use crate::error::{Error, Result};
use crate::net::Authorities;
use crate::object::clouds::{Catalogue, RequestEndpoints};
use crate::secret::Secret;
use crate::task::ProjectId;
use crate::task::spec::{Addressing, Cloud};

/// All settings.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port of the API.
    #[serde(deserialize_with = "values::read_address")]
    pub listen: SocketAddr,
    /// Where the ledger, the token and the sealing key are kept.
    pub data_dir: PathBuf,
    /// Networks of stores outside the public internet. Plain HTTP is possible only there.
    #[serde(deserialize_with = "values::read_networks")]
    pub allow_networks: Vec<IpNet>,
    /// Origins whose web pages may call the API, or `*` for all.
    pub cors_origins: Vec<String>,
    /// A PEM file of authorities whose certificates are trusted in addition to the roots of this machine.
    pub ca_file: Option<PathBuf>,
    token: Option<String>,
    projects: Vec<String>,
    /// Tasks that run at the same time; more wait.
    pub parallel_tasks: u32,
    /// Transfers at the same time, over all tasks.
    pub max_requests: usize,
    time_zone: String,
    request_endpoints: Choice,
    regions: Vec<Region>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Choice {
    Allowed,
    Refused,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Region {
    cloud: String,
    region: String,
    endpoint: String,
    #[serde(default)]
    addressing: Style,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Style {
    #[default]
    Path,
    Virtual,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            data_dir: PathBuf::from("oms-data"),
            allow_networks: Vec::new(),
            cors_origins: Vec::new(),
            ca_file: None,
            token: None,
            projects: Vec::new(),
            parallel_tasks: 5,
            max_requests: 512,
            time_zone: "UTC".to_owned(),
            request_endpoints: Choice::Allowed,
            regions: Vec::new(),
        }
    }
}

impl Config {
    /// Reads the file, if one is given, and the environment.
    ///
    /// # Errors
    /// `InvalidArgument` that names the setting.
    pub fn load(file: Option<&Path>) -> Result<Self> {
        Variables::check()?;
        let mut figment = Figment::new();
        if let Some(file) = file {
            if !file.is_file() {
                return Err(Error::invalid(format!(
                    "--config: {} is not a file",
                    file.display()
                )));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        let config: Self = figment.merge(Variables).extract().map_err(|e| explain(&e))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        self.zone()?;
        self.catalogue()?;
        self.projects()?;
        self.origins()?;
        if !(1..=64).contains(&self.parallel_tasks) {
            return Err(Error::invalid("parallel_tasks must lie between 1 and 64"));
        }
        if !(1..=4096).contains(&self.max_requests) {
            return Err(Error::invalid("max_requests must lie between 1 and 4096"));
        }
        let fits = |token: &String| (16..=4096).contains(&token.len());
        if !self.token.as_ref().is_none_or(fits) {
            return Err(Error::invalid("token must have 16 to 4096 characters"));
        }
        Ok(())
    }

    /// The API token that callers must send, if one is set.
    #[must_use]
    pub fn token(&self) -> Option<Secret> {
        self.token.as_deref().map(Secret::new)
    }

    /// The authorities of `ca_file`.
    ///
    /// # Errors
    /// `InvalidArgument` that names the setting, for a file without certificates or one that cannot be read.
    pub fn authorities(&self) -> Result<Authorities> {
        let read = self.ca_file.as_deref().map(Authorities::read).transpose();
        Ok(read.map_err(|e| e.during("ca_file"))?.unwrap_or_default())
    }

    /// The projects that are served; empty for all.
    ///
    /// # Errors
    /// `InvalidArgument` for a malformed project.
    pub fn projects(&self) -> Result<Vec<ProjectId>> {
        let read = |id: &String| {
            id.parse()
                .map_err(|violation| Error::invalid(format!("projects: {violation}")).with_source(violation))
        };
        self.projects.iter().map(read).collect()
    }

    /// The origins of `cors_origins`.
    ///
    /// # Errors
    /// `InvalidArgument` for a malformed origin.
    pub fn origins(&self) -> Result<Origins> {
        Origins::parse("cors_origins", &self.cors_origins)
    }

    /// Time zone of bandwidth windows.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown one.
    pub fn zone(&self) -> Result<TimeZone> {
        TimeZone::get(&self.time_zone).map_err(|_| {
            let text = format!(
                "time_zone: '{}' is not a name of the IANA time zone database",
                self.time_zone
            );
            Error::invalid(text)
        })
    }

    /// The built-in regions and those of the configuration file.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown cloud or a malformed endpoint.
    pub fn catalogue(&self) -> Result<Catalogue> {
        let mut catalogue = Catalogue::new(match self.request_endpoints {
            Choice::Allowed => RequestEndpoints::Allowed,
            Choice::Refused => RequestEndpoints::Refused,
        });
        for Region {
            cloud,
            region,
            endpoint,
            addressing,
        } in &self.regions
        {
            let known = Cloud::from_name(cloud)
                .ok_or_else(|| Error::invalid(format!("regions: the cloud '{cloud}' is not known")))?;
            let addressing = match addressing {
                Style::Path => Addressing::Path,
                Style::Virtual => Addressing::VirtualHost,
            };
            catalogue.add(known, region, endpoint, addressing)?;
        }
        Ok(catalogue)
    }
}

/// One line that names the setting and its position. Values are left out. If the file cannot be parsed, its lines are
/// left out too, because one of them may contain the token.
fn explain(error: &figment::Error) -> Error {
    let what = match &error.kind {
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => format!("expected {expected}"),
        Kind::UnknownVariant(_, known) => format!("expected one of {}", known.join(", ")),
        Kind::Message(text) => {
            let said = text.lines().map(str::trim).filter(|line| !line.contains('|'));
            said.filter(|line| !line.is_empty())
                .collect::<Vec<_>>()
                .join(": ")
        }
        Kind::MissingField(_) | Kind::UnknownField(..) | Kind::DuplicateField(_) => error.kind.to_string(),
        _ => "such a value has no meaning here".to_owned(),
    };
    let mut text = String::from("configuration: ");
    let file = error.metadata.as_ref().and_then(|m| m.source.as_ref());
    let setting = error.path.join(".");
    if let Some(file) = file {
        text += &format!("{file}: ");
    }
    if !setting.is_empty() {
        text += &if file.is_some() {
            setting
        } else {
            Variables::name(&setting)
        };
        text += ": ";
    }
    Error::invalid(text + &what)
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("data_dir", &self.data_dir)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("oms.toml");
        std::fs::write(&file, text).unwrap();
        Config::load(Some(&file))
    }

    #[test]
    fn a_file_sets_what_it_names() {
        let config = load(
            "listen = 'localhost:9000'\nallow_networks = ['10.0.0.0/8', '10.0.0.7']\ncors_origins = ['https://a.example']\ntime_zone = 'Asia/Shanghai'\n\
             [[regions]]\ncloud = 'Aliyun'\nregion = 'lab'\nendpoint = 'http://10.0.0.1:9000'\n",
        )
        .unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:9000");
        let networks: Vec<String> = config.allow_networks.iter().map(ToString::to_string).collect();
        assert_eq!(networks, ["10.0.0.0/8", "10.0.0.7/32"]);
        assert_ne!(config.origins().unwrap(), Origins::Own);
        assert_eq!(config.parallel_tasks, 5);
        let resolved = config.catalogue().unwrap().resolve(
            crate::object::clouds::Side::Source,
            Cloud::Aliyun,
            "lab",
            None,
        );
        assert_eq!(resolved.unwrap().url, "http://10.0.0.1:9000");
    }

    #[test]
    fn values_are_not_repeated() {
        for (text, place) in [
            ("token = 12345678901234567", "token: expected"),
            ("token = ['canary-0123456789']", "token: expected"),
            (
                "parallel_tasks = 5\ntoken = \"canary-0123456789",
                "line 2, column",
            ),
            ("token = canary-0123456789", "line 1, column"),
            (
                "request_endpoints = 'canary-0123456789'",
                "one of allowed, refused",
            ),
        ] {
            let error = load(text).unwrap_err();
            let message = error.message();
            assert!(
                message.contains(place) && message.contains("oms.toml"),
                "{message}"
            );
            assert!(
                !message.contains("0123456789") && !message.contains('\n'),
                "{message}"
            );
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, word) in [
            ("lisen = 'x'", "lisen"),
            ("listen = 'x'", "listen"),
            ("parallel_tasks = 0", "parallel_tasks"),
            ("time_zone = 'Mars/Olympus'", "time_zone"),
            ("listen = '8080'", "such as 127.0.0.1:8080"),
            ("allow_networks = ['10.0.0.0/99']", "allow_networks"),
            ("allow_networks = ['here']", "an address such as 10.0.0.7"),
            ("cors_origins = ['https://h/']", "cors_origins: entry 1"),
            ("cors_origins = ['*', 'https://h']", "cors_origins"),
            ("cors_origins = '*'", "cors_origins"),
            ("token = 'short'", "token"),
            (
                "[[regions]]\ncloud = 'X'\nregion = 'r'\nendpoint = 'http://h'",
                "cloud",
            ),
            ("projects = ['a b']", "projects: a project id has"),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.message().contains(word), "{text}: {error}");
        }
        let missing = Config::load(Some(Path::new("no/such/file"))).unwrap_err();
        assert!(missing.message().contains("--config"));
    }
}
