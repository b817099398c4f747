//! Orders and bandwidth windows as text in the ledger.
//!
//! The types of `task` have no serialised form, so that they may change freely; the form in the ledger is written
//! down here, for every implementation of the ledger, and stays readable by later versions.

mod bandwidth;
mod rules;
mod text;

use serde::{Deserialize, Serialize};

pub(super) use self::bandwidth::{bandwidth_from_text, bandwidth_to_text};
use self::rules::RulesRow;
pub(super) use self::text::damaged;
use self::text::to_text;
use crate::error::{Error, Result};
use crate::task::spec::{
    Addressing, Cdn, Cloud, Endpoint, EndpointOrigin, Manifest, Notification, Payer, Place, Scope, TaskSpec,
};
use crate::task::{Key, UnixMillis};

/// Keys are bytes: as text where they are UTF-8, else as hexadecimal digits.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum KeyRow {
    Text(String),
    Hex { hex: String },
}

#[derive(Serialize, Deserialize)]
struct SpecRow {
    source: PlaceRow,
    target: PlaceRow,
    target_prefix: KeyRow,
    scope: ScopeRow,
    description: String,
    threads: u8,
    kms: bool,
    migrate_since: Option<i64>,
    restore: bool,
    record_failures: bool,
    cdn: Option<CdnRow>,
    notification: Option<NotificationRow>,
    /// Absent in orders that were written before these rules could be chosen.
    #[serde(default)]
    rules: RulesRow,
    /// Absent in orders that were written before these lists were.
    #[serde(default = "recorded")]
    record_settled: bool,
}

const fn recorded() -> bool {
    true
}

#[derive(Serialize, Deserialize)]
struct PlaceRow {
    cloud: String,
    region: String,
    bucket: String,
    url: String,
    addressing: AddressingRow,
    origin: OriginRow,
    app_id: Option<String>,
    /// Absent in orders that were written before requesters could pay.
    #[serde(default, skip_serializing_if = "PayerRow::is_default")]
    payer: PayerRow,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PayerRow {
    #[default]
    Owner,
    Requester,
}

impl PayerRow {
    /// Whether earlier versions mean the same by leaving it out.
    const fn is_default(&self) -> bool {
        matches!(self, Self::Owner)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AddressingRow {
    Path,
    VirtualHost,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OriginRow {
    Request,
    Catalogue,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ScopeRow {
    Objects(Vec<KeyRow>),
    Prefixes(Vec<KeyRow>),
    List { bucket: String, key: KeyRow },
    Urls { bucket: String, key: KeyRow },
}

#[derive(Serialize, Deserialize)]
struct CdnRow {
    protocol: String,
    domain: String,
    authentication_type: String,
}

#[derive(Serialize, Deserialize)]
struct NotificationRow {
    topic_urn: String,
    language: Option<String>,
    triggers: Vec<String>,
}

/// An order as text.
pub(super) fn spec_to_text(spec: &TaskSpec) -> Result<String> {
    to_text(&SpecRow::from(spec))
}

/// The order that [`spec_to_text`] wrote.
pub(super) fn spec_from_text(text: &str) -> Result<TaskSpec> {
    let row: SpecRow = serde_json::from_str(text).map_err(|e| damaged("spec").with_source(e))?;
    row.try_into()
}

/// A place as text.
pub(super) fn place_to_text(place: &Place) -> Result<String> {
    to_text(&PlaceRow::from(place))
}

/// The place that [`place_to_text`] wrote.
pub(super) fn place_from_text(text: &str) -> Result<Place> {
    let row: PlaceRow = serde_json::from_str(text).map_err(|e| damaged("place").with_source(e))?;
    row.try_into()
}

impl From<&Key> for KeyRow {
    fn from(key: &Key) -> Self {
        match std::str::from_utf8(key.as_bytes()) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Hex {
                hex: hex::encode(key.as_bytes()),
            },
        }
    }
}

impl TryFrom<KeyRow> for Key {
    type Error = Error;
    fn try_from(row: KeyRow) -> Result<Self> {
        match row {
            KeyRow::Text(text) => Ok(Self::from(text.into_bytes())),
            KeyRow::Hex { hex } => hex::decode(hex)
                .map(Self::from)
                .map_err(|e| damaged("key").with_source(e)),
        }
    }
}

impl From<&TaskSpec> for SpecRow {
    fn from(spec: &TaskSpec) -> Self {
        // Taken apart completely, here and below, so that a new field cannot be forgotten.
        let TaskSpec {
            source,
            target,
            target_prefix,
            scope,
            description,
            threads,
            kms,
            migrate_since,
            restore,
            record_failures,
            record_settled,
            cdn,
            notification,
            rules,
        } = spec;
        Self {
            source: source.into(),
            target: target.into(),
            target_prefix: target_prefix.into(),
            scope: scope.into(),
            description: description.clone(),
            threads: *threads,
            kms: *kms,
            migrate_since: migrate_since.map(|at| at.0),
            restore: *restore,
            record_failures: *record_failures,
            cdn: cdn.as_ref().map(CdnRow::from),
            notification: notification.as_ref().map(NotificationRow::from),
            rules: (*rules).into(),
            record_settled: *record_settled,
        }
    }
}

impl TryFrom<SpecRow> for TaskSpec {
    type Error = Error;
    fn try_from(row: SpecRow) -> Result<Self> {
        Ok(Self {
            source: row.source.try_into()?,
            target: row.target.try_into()?,
            target_prefix: row.target_prefix.try_into()?,
            scope: row.scope.try_into()?,
            description: row.description,
            threads: row.threads,
            kms: row.kms,
            migrate_since: row.migrate_since.map(UnixMillis),
            restore: row.restore,
            record_failures: row.record_failures,
            record_settled: row.record_settled,
            cdn: row.cdn.map(Cdn::from),
            notification: row.notification.map(Notification::from),
            rules: row.rules.try_into()?,
        })
    }
}

impl From<&Place> for PlaceRow {
    fn from(place: &Place) -> Self {
        let Place {
            cloud,
            region,
            bucket,
            endpoint:
                Endpoint {
                    url,
                    addressing,
                    origin,
                },
            app_id,
            payer,
        } = place;
        Self {
            cloud: cloud.name().to_owned(),
            region: region.clone(),
            bucket: bucket.clone(),
            url: url.clone(),
            addressing: match addressing {
                Addressing::Path => AddressingRow::Path,
                Addressing::VirtualHost => AddressingRow::VirtualHost,
            },
            origin: match origin {
                EndpointOrigin::Request => OriginRow::Request,
                EndpointOrigin::Catalogue => OriginRow::Catalogue,
            },
            app_id: app_id.clone(),
            payer: match payer {
                Payer::Owner => PayerRow::Owner,
                Payer::Requester => PayerRow::Requester,
            },
        }
    }
}

impl TryFrom<PlaceRow> for Place {
    type Error = Error;
    fn try_from(row: PlaceRow) -> Result<Self> {
        Ok(Self {
            cloud: Cloud::from_name(&row.cloud).ok_or_else(|| damaged("cloud"))?,
            region: row.region,
            bucket: row.bucket,
            endpoint: Endpoint {
                url: row.url,
                addressing: match row.addressing {
                    AddressingRow::Path => Addressing::Path,
                    AddressingRow::VirtualHost => Addressing::VirtualHost,
                },
                origin: match row.origin {
                    OriginRow::Request => EndpointOrigin::Request,
                    OriginRow::Catalogue => EndpointOrigin::Catalogue,
                },
            },
            app_id: row.app_id,
            payer: match row.payer {
                PayerRow::Owner => Payer::Owner,
                PayerRow::Requester => Payer::Requester,
            },
        })
    }
}

impl From<&Scope> for ScopeRow {
    fn from(scope: &Scope) -> Self {
        match scope {
            Scope::Objects(names) => Self::Objects(names.iter().map(KeyRow::from).collect()),
            Scope::Prefixes(prefixes) => Self::Prefixes(prefixes.iter().map(KeyRow::from).collect()),
            Scope::List(Manifest { bucket, key }) => Self::List {
                bucket: bucket.clone(),
                key: key.into(),
            },
            Scope::Urls(Manifest { bucket, key }) => Self::Urls {
                bucket: bucket.clone(),
                key: key.into(),
            },
        }
    }
}

impl TryFrom<ScopeRow> for Scope {
    type Error = Error;
    fn try_from(row: ScopeRow) -> Result<Self> {
        let keys = |rows: Vec<KeyRow>| rows.into_iter().map(Key::try_from).collect::<Result<_>>();
        Ok(match row {
            ScopeRow::Objects(names) => Self::Objects(keys(names)?),
            ScopeRow::Prefixes(prefixes) => Self::Prefixes(keys(prefixes)?),
            ScopeRow::List { bucket, key } => Self::List(Manifest {
                bucket,
                key: key.try_into()?,
            }),
            ScopeRow::Urls { bucket, key } => Self::Urls(Manifest {
                bucket,
                key: key.try_into()?,
            }),
        })
    }
}

impl From<&Cdn> for CdnRow {
    fn from(cdn: &Cdn) -> Self {
        let Cdn {
            protocol,
            domain,
            authentication_type,
        } = cdn.clone();
        Self {
            protocol,
            domain,
            authentication_type,
        }
    }
}

impl From<CdnRow> for Cdn {
    fn from(row: CdnRow) -> Self {
        Self {
            protocol: row.protocol,
            domain: row.domain,
            authentication_type: row.authentication_type,
        }
    }
}

impl From<&Notification> for NotificationRow {
    fn from(notification: &Notification) -> Self {
        let Notification {
            topic_urn,
            language,
            triggers,
        } = notification.clone();
        Self {
            topic_urn,
            language,
            triggers,
        }
    }
}

impl From<NotificationRow> for Notification {
    fn from(row: NotificationRow) -> Self {
        Self {
            topic_urn: row.topic_urn,
            language: row.language,
            triggers: row.triggers,
        }
    }
}

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod tests;
