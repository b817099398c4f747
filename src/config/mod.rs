//! Configuration, checked once at start. Later sources override earlier ones: defaults, TOML file, `OMS_*` variables,
//! flags.

mod explain;
mod flags;
mod machines;
mod nats;
mod secrets;
mod urls;
mod values;
mod variables;
mod worker_name;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::providers::{Format as _, Toml};
use ipnet::IpNet;
use jiff::tz::TimeZone;
use serde::Deserialize;
use zeroize::Zeroizing;

use self::explain::explain;
pub use self::flags::Flags;
use self::machines::Together;
pub use self::machines::{Database, Role, Work};
pub use self::nats::Nats;
pub use self::values::{listen_address, network};
use self::variables::Variables;
use crate::api::Origins;
use crate::error::{Error, Result};
use crate::net::Authorities;
use crate::object::clouds::{Catalogue, RequestEndpoints};
use crate::secret::{KEY_LEN, Secret};
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
    #[serde(deserialize_with = "values::read_secret")]
    token: Option<Secret>,
    token_file: Option<PathBuf>,
    #[serde(deserialize_with = "values::read_secret")]
    seal_key: Option<Secret>,
    seal_key_file: Option<PathBuf>,
    #[serde(deserialize_with = "values::read_secret")]
    ledger_url: Option<Secret>,
    ledger_url_file: Option<PathBuf>,
    #[serde(deserialize_with = "values::read_secret")]
    nats_url: Option<Secret>,
    nats_creds_file: Option<PathBuf>,
    nats_nkey_file: Option<PathBuf>,
    nats_ca_file: Option<PathBuf>,
    lease_seconds: u64,
    /// Who works on the tasks of a `serve`.
    pub work: Work,
    worker_name: Option<String>,
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
            token_file: None,
            seal_key: None,
            seal_key_file: None,
            ledger_url: None,
            ledger_url_file: None,
            nats_url: None,
            nats_creds_file: None,
            nats_nkey_file: None,
            nats_ca_file: None,
            lease_seconds: 20,
            work: Work::Here,
            worker_name: None,
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
    /// Reads the file, if one is given, the environment and the flags, and checks all settings together.
    ///
    /// # Errors
    /// `InvalidArgument` that names the setting.
    pub fn load(role: Role, file: Option<&Path>, flags: Flags) -> Result<Self> {
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
        let mut config: Self = figment.merge(Variables).extract().map_err(|e| explain(&e))?;
        config.override_by(flags)?;
        config.resolve_secrets()?;
        config.check()?;
        let (database, nats) = (config.database(), config.nats());
        let together = Together {
            database: &database,
            nats: nats.as_ref(),
            work: config.work,
            token: config.token.as_ref(),
            seal_key: config.seal_key.as_ref(),
        };
        together.check(role)?;
        Ok(config)
    }

    fn override_by(&mut self, flags: Flags) -> Result<()> {
        let Flags {
            listen,
            data_dir,
            allow_networks,
            cors_origins,
            ca_file,
            ledger_url,
            nats_url,
            work,
        } = flags;
        self.listen = listen.unwrap_or(self.listen);
        if let Some(data_dir) = data_dir {
            self.data_dir = data_dir;
        }
        self.allow_networks.extend(allow_networks);
        if !cors_origins.is_empty() {
            Origins::parse("--cors-origin", &cors_origins)?;
            self.cors_origins = cors_origins;
        }
        self.ca_file = ca_file.or(self.ca_file.take());
        self.ledger_url = ledger_url.or(self.ledger_url.take());
        self.nats_url = nats_url.or(self.nats_url.take());
        self.work = work.unwrap_or(self.work);
        Ok(())
    }

    /// Reads secrets that stand in files.
    fn resolve_secrets(&mut self) -> Result<()> {
        self.token = secrets::TOKEN.resolve(self.token.take(), self.token_file.as_deref())?;
        self.seal_key = secrets::SEAL_KEY.resolve(self.seal_key.take(), self.seal_key_file.as_deref())?;
        self.ledger_url =
            secrets::LEDGER_URL.resolve(self.ledger_url.take(), self.ledger_url_file.as_deref())?;
        Ok(())
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
        if !(2..=3600).contains(&self.lease_seconds) {
            return Err(Error::invalid("lease_seconds must lie between 2 and 3600"));
        }
        if let Some(name) = &self.worker_name {
            worker_name::check(name)?;
        }
        self.nats_or_absent().check()
    }

    /// The names of all environment variables that are settings.
    pub fn variables() -> impl Iterator<Item = String> {
        Variables::names()
    }

    /// The API token that callers must send, if one is set.
    #[must_use]
    pub fn token(&self) -> Option<Secret> {
        self.token.clone()
    }

    /// The key that seals credentials in the ledger, if one is set.
    #[must_use]
    pub fn seal_key(&self) -> Option<Zeroizing<[u8; KEY_LEN]>> {
        self.seal_key
            .as_ref()
            .and_then(|key| secrets::decode_key(key.expose()))
    }

    /// Where the ledger is.
    #[must_use]
    pub fn database(&self) -> Database {
        match &self.ledger_url {
            Some(url) if !url.expose().is_empty() => Database::Postgres(url.clone()),
            _ => Database::Sqlite,
        }
    }

    /// The NATS server that hands out work, if there is one.
    #[must_use]
    pub fn nats(&self) -> Option<Nats> {
        Some(self.nats_or_absent()).filter(|nats| !nats.is_absent())
    }

    fn nats_or_absent(&self) -> Nats {
        Nats {
            url: self.nats_url.clone().unwrap_or_else(|| Secret::new("")),
            creds_file: self.nats_creds_file.clone(),
            nkey_file: self.nats_nkey_file.clone(),
            ca_file: self.nats_ca_file.clone(),
        }
    }

    /// How long a worker may be silent before another one takes over its work.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }

    /// The name of this worker, for people: as configured, or the host and the number of this process.
    #[must_use]
    pub fn worker_name(&self) -> String {
        self.worker_name
            .clone()
            .unwrap_or_else(worker_name::of_this_process)
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

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("data_dir", &self.data_dir)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
