//! Connects both sides of a task and checks that they work.

use std::sync::Arc;

use super::parts::Parts;
use crate::engine::context::Route;
use crate::engine::copy::overwrite_guard;
use crate::engine::findings::{Listing, OverwriteGuard};
use crate::engine::object_slots::ObjectSlots;
use crate::engine::order::Order;
use crate::engine::preflight;
use crate::engine::retry::{At as _, SideResult};
use crate::engine::watched_store::watched;
use crate::object::cdn::CdnKeys;
use crate::object::clouds::Side;
use crate::object::recent::ObjectUrls;
use crate::object::{ListVersion, SharedStore};
use crate::secret::TaskCredentials;
use crate::task::spec::{BucketLocation, Scope};
use crate::task::{Task, Warning};

/// How the bytes of a task get from source to target.
pub(super) fn route(task: &Task, credentials: &TaskCredentials) -> Route {
    // A copy inside a store cannot read through a CDN or from URLs.
    let elsewhere = task.spec.cdn.is_some() || matches!(task.spec.scope, Scope::Urls(_));
    let one_store = !elsewhere && task.spec.source.endpoint.url == task.spec.target.endpoint.url;
    if one_store && credentials.source == credentials.target {
        Route::ServerSide
    } else {
        Route::Stream
    }
}

/// The stores that a task works with.
pub(super) struct Connected {
    pub source: SharedStore,
    pub target: SharedStore,
    pub lists: Option<SharedStore>,
    pub addresses: Arc<ObjectUrls>,
    pub order: Option<Order>,
    pub listing: Listing,
    pub guard: OverwriteGuard,
    /// Warnings from the checks. They are written once the pass is open.
    pub warnings: Vec<Warning>,
}

/// Connects and checks both sides, and lets `objects` know when a store asks for fewer requests. A store that does not support version 2 of listings is asked with version 1.
pub(super) async fn connect(
    parts: &Parts,
    task: &Task,
    credentials: &TaskCredentials,
    objects: &Arc<ObjectSlots>,
) -> SideResult<Connected> {
    let addresses = Arc::new(ObjectUrls::default());
    let urls = matches!(task.spec.scope, Scope::Urls(_));
    // A copy inside the store reads the source too.
    let target_place = BucketLocation {
        payer: match route(task, credentials) {
            Route::ServerSide => task.spec.source.payer,
            Route::Stream => task.spec.target.payer,
        },
        ..task.spec.target.clone()
    };
    let connect = |list| {
        let source = if urls {
            Ok(parts.connect.urls(Arc::clone(&addresses)))
        } else {
            parts
                .connect
                .connect(&task.spec.source, &credentials.source, list)
        };
        let target = parts.connect.connect(&target_place, &credentials.target, list);
        let source = watched(source.at_source()?, Side::Source, Arc::clone(objects));
        let target = watched(target.at_target()?, Side::Target, Arc::clone(objects));
        Ok((source, target))
    };
    let pace = parts.tuning.pace;
    let (source, target) = connect(ListVersion::V2)?;
    let (old_source, old_target) = connect(ListVersion::V1)?;
    let shown_to = (!urls).then(|| Arc::clone(&source));
    let shown_to = shown_to.as_ref();
    let source = async {
        // Each URL may be on a different server, which is contacted only when the object is copied.
        if urls {
            return Ok(source);
        }
        match preflight::source(&source, pace, &task.spec).await {
            Err(side_error) if lists_only_v1(&side_error.error) => {
                preflight::source(&old_source, pace, &task.spec)
                    .await
                    .map(|()| old_source)
            }
            other => other.map(|()| source),
        }
    };
    let target = async {
        match preflight::target(&target, shown_to, pace, task).await {
            Err(side_error) if lists_only_v1(&side_error.error) => {
                preflight::target(&old_target, shown_to, pace, task)
                    .await
                    .map(|probed| (old_target, probed))
            }
            other => other.map(|probed| (target, probed)),
        }
    };
    // Both run to their end, so that an error of the source does not leave a probe at the target.
    let (source, target) = tokio::join!(source, target);
    let (mut source, (target, mut probed)) = (source?, target?);
    let (guard, warning) = overwrite_guard::find(&target, pace, task.id, &task.spec).await?;
    probed.warnings.extend(warning);
    if let Some(cdn) = &task.spec.cdn {
        let keys = CdnKeys {
            key: credentials.cdn_key.clone(),
            source: credentials.source.clone(),
        };
        source = parts
            .connect
            .through_cdn(source, &task.spec.source, cdn, keys)
            .at_source()?;
        source = watched(source, Side::Source, Arc::clone(objects));
    }
    let lists = task.spec.scope.list_file().map(|file| {
        let place = BucketLocation {
            bucket: file.bucket.clone(),
            ..task.spec.target.clone()
        };
        let store = parts
            .connect
            .connect(&place, &credentials.target, ListVersion::V2);
        store.map(|store| watched(store, Side::Target, Arc::clone(objects)))
    });
    Ok(Connected {
        source,
        target,
        lists: lists.transpose().at_target()?,
        addresses,
        order: probed.order,
        listing: probed.listing,
        warnings: probed.warnings,
        guard,
    })
}

fn lists_only_v1(error: &crate::error::Error) -> bool {
    error.code() == Some("ListObjectsV2Unsupported")
}
