//! The settings in environment variables, and the check for variables that look like settings but are not.

use std::env::VarError;

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use crate::error::{Error, Result};

/// Prefix of the names of variables.
const PREFIX: &str = "OMS_";
/// Prefix of variables for tests; they are never settings.
const TEST_PREFIX: &str = "OMS_TEST_";

/// Variables that are read from the environment, each with the prefix `OMS_`, and how their text is parsed.
const VARIABLES: &[(&str, Meaning)] = &[
    ("listen", Meaning::Text),
    ("data_dir", Meaning::Text),
    ("ca_file", Meaning::Text),
    ("allow_networks", Meaning::List),
    ("cors_origins", Meaning::List),
    ("token", Meaning::Text),
    ("projects", Meaning::List),
    ("parallel_tasks", Meaning::Number),
    ("max_requests", Meaning::Number),
    ("time_zone", Meaning::Text),
    ("request_endpoints", Meaning::Text),
    ("token_file", Meaning::Text),
    ("seal_key", Meaning::Text),
    ("seal_key_file", Meaning::Text),
    ("ledger_url", Meaning::Text),
    ("ledger_url_file", Meaning::Text),
    ("nats_url", Meaning::Text),
    ("nats_creds_file", Meaning::Text),
    ("nats_nkey_file", Meaning::Text),
    ("nats_ca_file", Meaning::Text),
    ("lease_seconds", Meaning::Number),
    ("work", Meaning::Text),
    ("worker_name", Meaning::Text),
];

/// How the text of a variable is parsed. The setting decides it, not the text: a token of digits is still a text.
#[derive(Clone, Copy)]
enum Meaning {
    /// The text itself.
    Text,
    /// Parts, separated by commas.
    List,
    /// A number.
    Number,
}

impl Meaning {
    fn read(self, text: &str) -> Value {
        match self {
            Self::Text => Value::from(text),
            Self::List => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Value::from(parts.map(Value::from).collect::<Vec<_>>())
            }
            Self::Number => text
                .trim()
                .parse::<u64>()
                .map_or_else(|_| Value::from(text), Value::from),
        }
    }
}

/// The settings in environment variables.
pub(super) struct Variables;

impl Variables {
    /// The variable of a setting.
    pub(super) fn name(setting: &str) -> String {
        format!("{PREFIX}{}", setting.to_uppercase())
    }

    /// The names of all variables.
    pub(super) fn names() -> impl Iterator<Item = String> {
        VARIABLES.iter().map(|(setting, _)| Self::name(setting))
    }

    /// Refuses a variable that looks like a setting of ours but is not. Otherwise a misspelt variable would have no
    /// effect, and nobody would notice.
    ///
    /// # Errors
    /// `InvalidArgument` that names the variable and the most similar known one, but never its value.
    pub(super) fn check() -> Result<()> {
        let mut unknown: Vec<String> = std::env::vars_os()
            .filter_map(|(name, value)| {
                let name = name.to_string_lossy().into_owned();
                is_unknown(&name, &value.to_string_lossy()).then_some(name)
            })
            .collect();
        unknown.sort();
        match unknown.first() {
            None => Ok(()),
            Some(name) => Err(Error::invalid(format!(
                "{name} is not a variable of this service; the most similar one is {}",
                nearest(name)
            ))),
        }
    }
}

impl Provider for Variables {
    fn metadata(&self) -> Metadata {
        Metadata::named("environment")
    }

    fn data(&self) -> std::result::Result<Map<Profile, Dict>, figment::Error> {
        let mut dict = Dict::new();
        for (setting, meaning) in VARIABLES {
            match std::env::var(Self::name(setting)) {
                Ok(text) => {
                    dict.insert((*setting).to_owned(), meaning.read(&text));
                }
                Err(VarError::NotPresent) => {}
                Err(VarError::NotUnicode(_)) => {
                    let text = format!("{} is not UTF-8", Self::name(setting));
                    return Err(figment::Error::from(text));
                }
            }
        }
        Ok(Profile::Default.collect(dict))
    }
}

fn is_unknown(name: &str, value: &str) -> bool {
    let ours = name.starts_with(PREFIX) && !name.starts_with(TEST_PREFIX);
    let known = Variables::names().any(|known| name == known);
    ours && !known && !is_service_link(name, value)
}

/// Whether Kubernetes or Docker sets such a variable in every container for a service named `oms` or `oms-…`:
/// `OMS_SERVICE_HOST`, `OMS_SERVICE_PORT`, `OMS_PORT=tcp://…`, `OMS_PORT_8080_TCP`, `OMS_PORT_8080_TCP_ADDR`. Source:
/// Kubernetes documentation, "Service", section "Environment variables".
fn is_service_link(name: &str, value: &str) -> bool {
    let of_a_port = |rest: &str| {
        let (number, rest) = rest.split_once('_').unwrap_or((rest, ""));
        let protocol = rest.split('_').next().unwrap_or_default();
        !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
            && ["TCP", "UDP", "SCTP"].contains(&protocol)
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && value.contains("://"))
        || name.split_once("_PORT_").is_some_and(|(_, rest)| of_a_port(rest))
}

/// The known variable with the smallest edit distance to `name`.
fn nearest(name: &str) -> String {
    Variables::names()
        .min_by_key(|known| distance(known.as_bytes(), name.to_uppercase().as_bytes()))
        .unwrap_or_default()
}

/// The edit distance of Levenshtein: the number of characters to insert, remove or replace.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_decides_what_the_text_of_a_variable_means() {
        for text in ["1234", "1e9", "true", "[a,b]", "{a=1}", "\"a\"", "a, b"] {
            assert_eq!(Meaning::Text.read(text), Value::from(text));
        }
        let parts = |parts: &[&str]| Value::from(parts.iter().copied().map(Value::from).collect::<Vec<_>>());
        assert_eq!(
            Meaning::List.read("10.0.0.0/8, 0215"),
            parts(&["10.0.0.0/8", "0215"])
        );
        assert_eq!(Meaning::List.read(""), parts(&[]));
        assert_eq!(Meaning::Number.read(" 7 "), Value::from(7_u64));
        assert_eq!(Meaning::Number.read("many"), Value::from("many"));
    }

    #[test]
    fn what_looks_like_a_setting_is_one_or_belongs_to_somebody_else() {
        for fine in [
            "OMS_LISTEN",
            "OMS_CORS_ORIGINS",
            "OMS_TEST_TOOLS",
            "OMS_TEST_ANYTHING",
            "PATH",
            "MY_OMS_LISTEN",
            "OMSX",
            "OMS_SERVICE_HOST",
            "OMS_SERVICE_PORT",
            "OMS_SERVICE_PORT_HTTP",
            "OMS_PORT",
            "OMS_PORT_8080_TCP",
            "OMS_PORT_8080_TCP_ADDR",
            "OMS_DB_PORT_5432_TCP_PROTO",
            "OMS_DB_SERVICE_HOST",
        ] {
            assert!(!is_unknown(fine, "tcp://10.0.0.1:8080"), "{fine}");
        }
        assert!(is_unknown("OMS_PORT", "8080") && is_unknown("OMS_LISTEN_PORT", "8080"));
        for (unknown, wanted) in [
            ("OMS_LISEN", "OMS_LISTEN"),
            ("OMS_LISTEN_ADDRESS", "OMS_LISTEN"),
            ("OMS_DATADIR", "OMS_DATA_DIR"),
            ("OMS_DATA_DIRECTORY", "OMS_DATA_DIR"),
            ("OMS_ALLOW_NETWORK", "OMS_ALLOW_NETWORKS"),
            ("OMS_CORS_ORIGIN", "OMS_CORS_ORIGINS"),
            ("OMS_TOKENS", "OMS_TOKEN"),
            ("OMS_token", "OMS_TOKEN"),
            ("OMS_PARALLEL_TASK", "OMS_PARALLEL_TASKS"),
            ("OMS_TIMEZONE", "OMS_TIME_ZONE"),
        ] {
            assert!(is_unknown(unknown, "x"), "{unknown}");
            assert_eq!(nearest(unknown), wanted, "{unknown}");
        }
    }

    #[test]
    fn distances_count_single_changes() {
        for (a, b, wanted) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("abc", "acb", 2),
        ] {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), wanted, "{a} {b}");
        }
    }
}
