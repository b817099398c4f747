//! Creates the stream and its consumers, or brings existing ones to the settings that they need.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, IntoConsumerConfig as _, pull};
use async_nats::jetstream::stream;
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::time::Instant;

use super::api::{self, STREAM, SUBJECTS};
use super::link::{ANSWER, Link};
use crate::dispatch::work_item::WorkKind;
use crate::error::{Error, ErrorKind, Result};

/// Oldest version of the servers.
const OLDEST: (i64, i64) = (2, 12);
/// Shards that may be in flight in the whole fleet.
const SHARDS_IN_FLIGHT: i64 = 20_000;
/// Pull requests that may wait for a shard.
const SHARD_PULLS: i64 = 4_096;

/// Name of the consumer of each queue.
pub(super) const fn consumer(kind: WorkKind) -> &'static str {
    match kind {
        WorkKind::Task => "tasks",
        WorkKind::Shard => "shards",
    }
}

/// Creates or updates the stream and both consumers. It waits some time for a connection.
pub(super) async fn set_up(link: &Link, parallel_tasks: u32, replicas: u8, ack_wait: Duration) -> Result<()> {
    link.up_by(Instant::now() + ANSWER).await?;
    let (major, minor) = OLDEST;
    if !link.client().is_server_compatible(major, minor, 0) {
        let text = format!("NATS {major}.{minor} or newer is needed");
        return Err(Error::new(ErrorKind::Unsupported, text));
    }
    set_up_stream(link, &stream_config(replicas)).await?;
    for config in [
        pull::Config {
            filter_subject: "oms.work.task.*".to_owned(),
            // A zero would mean the default of the server.
            max_ack_pending: i64::from(parallel_tasks.max(1)),
            ..consumer_config(WorkKind::Task, ack_wait)
        },
        pull::Config {
            filter_subject: "oms.work.shard.>".to_owned(),
            max_ack_pending: SHARDS_IN_FLIGHT,
            max_waiting: SHARD_PULLS,
            ..consumer_config(WorkKind::Shard, ack_wait)
        },
    ] {
        set_up_consumer(link, config).await?;
    }
    Ok(())
}

fn stream_config(replicas: u8) -> stream::Config {
    stream::Config {
        name: STREAM.to_owned(),
        subjects: vec![SUBJECTS.to_owned()],
        retention: stream::RetentionPolicy::WorkQueue,
        storage: stream::StorageType::File,
        num_replicas: usize::from(replicas.max(1)),
        discard: stream::DiscardPolicy::New,
        max_messages_per_subject: 1,
        discard_new_per_subject: true,
        max_age: Duration::ZERO,
        // No limit of bytes: with one, a full stream may never take messages again.
        max_bytes: -1,
        max_messages: -1,
        allow_direct: true,
        ..stream::Config::default()
    }
}

fn consumer_config(kind: WorkKind, ack_wait: Duration) -> pull::Config {
    pull::Config {
        durable_name: Some(consumer(kind).to_owned()),
        ack_policy: AckPolicy::Explicit,
        ack_wait,
        // For ever: a message that is not delivered any more would still be in the stream, and no new one could take its place.
        max_deliver: -1,
        ..pull::Config::default()
    }
}

async fn set_up_stream(link: &Link, config: &stream::Config) -> Result<()> {
    let call = async |operation: &str| -> Result<std::result::Result<IgnoredAny, api::Refusal>> {
        api::call(link, &format!("STREAM.{operation}.{STREAM}"), config).await
    };
    let mut done = call("UPDATE").await?;
    if done.as_ref().is_err_and(api::Refusal::is_not_found) {
        done = call("CREATE").await?;
    }
    done.map(drop)
        .map_err(|refusal| refusal.into_settings_error(&format!("stream {STREAM}")))
}

async fn set_up_consumer(link: &Link, config: pull::Config) -> Result<()> {
    let name = config.durable_name.clone().unwrap_or_default();
    let operation = format!("CONSUMER.CREATE.{STREAM}.{name}.{}", config.filter_subject);
    // Without an action, an existing consumer is updated.
    let body = json!({"stream_name": STREAM, "config": config.into_consumer_config()});
    let done: std::result::Result<IgnoredAny, api::Refusal> = api::call(link, &operation, &body).await?;
    done.map(drop)
        .map_err(|refusal| refusal.into_settings_error(&format!("consumer {name} of the stream {STREAM}")))
}
