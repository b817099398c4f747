//! Notifications on the wire: whom to tell of the end of a task, and what became of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rules;
use crate::api::codes;
use crate::api::json::Node;
use crate::error::{Error, Result};
use crate::task::spec::Notification;

/// Which outcome of a task sends a notification.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Trigger {
    /// It succeeded.
    Success,
    /// It failed.
    Fail,
}

/// Language of a message.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Language {
    /// Chinese.
    ZhCn,
    /// English.
    EnUs,
}

/// Whom to tell at the end. Kept and shown; sending is not built yet.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SmnInfo {
    /// Topic.
    #[schema(min_length = 1, max_length = 255, examples("urn:smn:region:project:OMS"))]
    topic_urn: String,
    /// Language of the message.
    language: Option<Language>,
    /// Which ends are told.
    #[schema(min_items = 1, max_items = 2)]
    trigger_conditions: Vec<Trigger>,
}

impl SmnInfo {
    /// Checks the fields.
    ///
    /// # Errors
    /// OMS.0064 for lengths.
    pub fn check(self) -> Result<Notification> {
        let SmnInfo {
            topic_urn,
            language,
            trigger_conditions,
        } = self;
        rules::length("smnInfo.topicUrn", &topic_urn, 1..=255)?;
        if !(1..=2).contains(&trigger_conditions.len()) {
            let text = "smnInfo.triggerConditions must have 1 or 2 entries";
            return Err(Error::invalid(text).with_code(codes::INVALID_VALUE));
        }
        let triggers = trigger_conditions.into_iter().map(|trigger| match trigger {
            Trigger::Success => "SUCCESS".to_owned(),
            Trigger::Fail => "FAIL".to_owned(),
        });
        Ok(Notification {
            topic_urn,
            language: language.map(|language| match language {
                Language::ZhCn => "zh-cn".to_owned(),
                Language::EnUs => "en-us".to_owned(),
            }),
            triggers: triggers.collect(),
        })
    }
}

/// Takes `smnInfo` out where nothing is in it: the original's official Go client sends
/// `{"topicUrn":"","language":"","triggerConditions":null}` when nobody shall be notified.
pub fn without_empty(body: Node) -> Node {
    let empty = |node: &Node| match node {
        Node::Null => true,
        Node::Text(text) => text.is_empty(),
        Node::List(items) => items.is_empty(),
        Node::Bool(_) | Node::Integer(_) | Node::Float(_) | Node::Object(_) => false,
    };
    let is_empty_notification = |name: &str, value: &Node| match value {
        Node::Object(fields) => name == "smnInfo" && fields.iter().all(|(_, value)| empty(value)),
        _ => false,
    };
    match body {
        Node::Object(mut fields) => {
            fields.retain(|(name, value)| !is_empty_notification(name, value));
            Node::Object(fields)
        }
        other => other,
    }
}

/// What became of a notification. Sending is not built yet, so it is always a failure.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SmnResult {
    /// Whether it was sent.
    notify_result: bool,
    /// Code of the OMS reference when it was not.
    notify_error_message: String,
    /// Name of the topic; empty when it was sent.
    topic_name: String,
}

impl SmnResult {
    /// The result of every notification.
    pub fn not_sent() -> Self {
        Self {
            notify_result: false,
            notify_error_message: codes::NOT_NOTIFIED.to_owned(),
            topic_name: String::new(),
        }
    }
}
