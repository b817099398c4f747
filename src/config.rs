//! Configuration: defaults, then a TOML file, then `OMS_*` variables, then flags. Checked once, at start.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format as _, Toml};
use ipnet::IpNet;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::object::clouds::{Catalogue, RequestEndpoints};
use crate::secret::Secret;
use crate::task::ProjectId;
use crate::task::spec::{Addressing, Cloud};

/// Variables that are read from the environment, each with `OMS_` before it.
const VARIABLES: &[&str] = &[
    "listen",
    "data_dir",
    "allow_networks",
    "token",
    "projects",
    "parallel_tasks",
    "max_streams",
    "time_zone",
    "request_endpoints",
];

/// All settings of the service.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port of the API.
    pub listen: SocketAddr,
    /// Where the ledger, the token and the sealing key are kept.
    pub data_dir: PathBuf,
    /// Networks that stores may be in, besides the public internet; plain HTTP is possible only there.
    pub allow_networks: Vec<IpNet>,
    token: Option<String>,
    projects: Vec<String>,
    /// Tasks that run at the same time; more wait.
    pub parallel_tasks: u32,
    /// Bodies that are streamed at the same time, over all tasks.
    pub max_streams: usize,
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
            token: None,
            projects: Vec::new(),
            parallel_tasks: 5,
            max_streams: 128,
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
        let config: Self = figment
            .merge(Env::prefixed("OMS_").only(VARIABLES))
            .extract()
            .map_err(|error| Error::invalid(format!("configuration: {error}")))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        self.zone()?;
        self.catalogue()?;
        self.projects()?;
        if !(1..=64).contains(&self.parallel_tasks) {
            return Err(Error::invalid("parallel_tasks must lie between 1 and 64"));
        }
        if !(1..=4096).contains(&self.max_streams) {
            return Err(Error::invalid("max_streams must lie between 1 and 4096"));
        }
        if self
            .token
            .as_ref()
            .is_some_and(|token| !(16..=4096).contains(&token.len()))
        {
            return Err(Error::invalid("token must have 16 to 4096 characters"));
        }
        Ok(())
    }

    /// The token that callers must show, where one is set.
    #[must_use]
    pub fn token(&self) -> Option<Secret> {
        self.token.as_deref().map(Secret::new)
    }

    /// The projects that are served; empty for every one.
    ///
    /// # Errors
    /// `InvalidArgument` for a malformed one.
    pub fn projects(&self) -> Result<Vec<ProjectId>> {
        self.projects.iter().map(|id| id.parse()).collect()
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

    /// The built-in regions and those of the file.
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
            "listen = '127.0.0.1:9000'\nallow_networks = ['10.0.0.0/8']\ntime_zone = 'Asia/Shanghai'\n\
             [[regions]]\ncloud = 'Aliyun'\nregion = 'lab'\nendpoint = 'http://10.0.0.1:9000'\n",
        )
        .unwrap();
        assert_eq!(config.listen.port(), 9000);
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
    fn mistakes_are_named() {
        for (text, word) in [
            ("lisen = 'x'", "lisen"),
            ("listen = 'x'", "listen"),
            ("parallel_tasks = 0", "parallel_tasks"),
            ("time_zone = 'Mars/Olympus'", "time_zone"),
            ("allow_networks = ['10.0.0.0/99']", "allow_networks"),
            ("token = 'short'", "token"),
            (
                "[[regions]]\ncloud = 'X'\nregion = 'r'\nendpoint = 'http://h'",
                "cloud",
            ),
            ("projects = ['a b']", "project_id"),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.message().contains(word), "{text}: {error}");
        }
        assert!(
            Config::load(Some(Path::new("no/such/file")))
                .unwrap_err()
                .message()
                .contains("--config")
        );
    }
}
