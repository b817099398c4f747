//! Connects both sides of a task and checks that they work.

use std::sync::Arc;

use super::parts::Parts;
use super::shared_findings::SharedFindings;
use crate::engine::context::Route;
use crate::engine::copy::overwrite_guard;
use crate::engine::object_slots::ObjectSlots;
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
    pub findings: SharedFindings,
    /// Warnings from the checks. They are written once the pass is open.
    pub warnings: Vec<Warning>,
}

/// Opens the stores of a task. `objects` learns when a store asks for fewer requests.
struct Opener<'a> {
    parts: &'a Parts,
    task: &'a Task,
    credentials: &'a TaskCredentials,
    objects: &'a Arc<ObjectSlots>,
    addresses: Arc<ObjectUrls>,
}

impl Opener<'_> {
    fn urls(&self) -> bool {
        matches!(self.task.spec.scope, Scope::Urls(_))
    }

    fn source(&self, listing: ListVersion) -> SideResult<SharedStore> {
        let source = if self.urls() {
            Ok(self.parts.connect.urls(Arc::clone(&self.addresses)))
        } else {
            let place = &self.task.spec.source;
            self.parts
                .connect
                .connect(place, &self.credentials.source, listing)
        };
        Ok(watched(
            source.at_source()?,
            Side::Source,
            Arc::clone(self.objects),
        ))
    }

    fn target(&self, listing: ListVersion) -> SideResult<SharedStore> {
        // A copy inside the store reads the source too.
        let place = BucketLocation {
            payer: match route(self.task, self.credentials) {
                Route::ServerSide => self.task.spec.source.payer,
                Route::Stream => self.task.spec.target.payer,
            },
            ..self.task.spec.target.clone()
        };
        let target = self
            .parts
            .connect
            .connect(&place, &self.credentials.target, listing);
        Ok(watched(
            target.at_target()?,
            Side::Target,
            Arc::clone(self.objects),
        ))
    }

    /// The source as objects are read from it: perhaps through a CDN.
    fn through_cdn(&self, source: SharedStore) -> SideResult<SharedStore> {
        let Some(cdn) = &self.task.spec.cdn else {
            return Ok(source);
        };
        let keys = CdnKeys {
            key: self.credentials.cdn_key.clone(),
            source: self.credentials.source.clone(),
        };
        let source = self
            .parts
            .connect
            .through_cdn(source, &self.task.spec.source, cdn, keys)
            .at_source()?;
        Ok(watched(source, Side::Source, Arc::clone(self.objects)))
    }

    /// The bucket of the manifest, if the scope is one.
    fn lists(&self) -> SideResult<Option<SharedStore>> {
        let Some(file) = self.task.spec.scope.list_file() else {
            return Ok(None);
        };
        let place = BucketLocation {
            bucket: file.bucket.clone(),
            ..self.task.spec.target.clone()
        };
        let store = self
            .parts
            .connect
            .connect(&place, &self.credentials.target, ListVersion::V2)
            .at_target()?;
        Ok(Some(watched(store, Side::Target, Arc::clone(self.objects))))
    }
}

/// Connects and checks both sides. A store that does not support version 2 of listings is asked with version 1.
pub(super) async fn connect(
    parts: &Parts,
    task: &Task,
    credentials: &TaskCredentials,
    objects: &Arc<ObjectSlots>,
) -> SideResult<Connected> {
    let opener = Opener {
        parts,
        task,
        credentials,
        objects,
        addresses: Arc::default(),
    };
    let (urls, pace) = (opener.urls(), parts.tuning.pace);
    let (source, target) = (opener.source(ListVersion::V2)?, opener.target(ListVersion::V2)?);
    let (old_source, old_target) = (opener.source(ListVersion::V1)?, opener.target(ListVersion::V1)?);
    let shown_to = (!urls).then(|| Arc::clone(&source));
    let shown_to = shown_to.as_ref();
    let source = async {
        // Each URL may be on a different server, which is contacted only when the object is copied.
        if urls {
            return Ok((source, ListVersion::V2));
        }
        match preflight::source(&source, pace, &task.spec).await {
            Err(side_error) if lists_only_v1(&side_error.error) => {
                preflight::source(&old_source, pace, &task.spec)
                    .await
                    .map(|()| (old_source, ListVersion::V1))
            }
            other => other.map(|()| (source, ListVersion::V2)),
        }
    };
    let target = async {
        match preflight::target(&target, shown_to, pace, task).await {
            Err(side_error) if lists_only_v1(&side_error.error) => {
                preflight::target(&old_target, shown_to, pace, task)
                    .await
                    .map(|probed| (old_target, ListVersion::V1, probed))
            }
            other => other.map(|probed| (target, ListVersion::V2, probed)),
        }
    };
    // Both run to their end, so that an error of the source does not leave a probe at the target.
    let (source, target) = tokio::join!(source, target);
    let ((source, source_listing), (target, target_listing, mut probed)) = (source?, target?);
    let (guard, warning) = overwrite_guard::find(&target, pace, task.id, &task.spec).await?;
    probed.warnings.extend(warning);
    Ok(Connected {
        source: opener.through_cdn(source)?,
        target,
        lists: opener.lists()?,
        findings: SharedFindings::new(
            (source_listing, target_listing),
            probed.order,
            probed.listing,
            guard,
        ),
        warnings: probed.warnings,
        addresses: opener.addresses,
    })
}

/// Connects both sides as another worker has found them. Nothing is checked.
pub(super) fn join(
    parts: &Parts,
    task: &Task,
    credentials: &TaskCredentials,
    objects: &Arc<ObjectSlots>,
    findings: SharedFindings,
) -> SideResult<Connected> {
    let opener = Opener {
        parts,
        task,
        credentials,
        objects,
        addresses: Arc::default(),
    };
    let source = opener.source(findings.source_listing)?;
    Ok(Connected {
        source: opener.through_cdn(source)?,
        target: opener.target(findings.target_listing)?,
        lists: opener.lists()?,
        findings,
        warnings: Vec::new(),
        addresses: opener.addresses,
    })
}

fn lists_only_v1(error: &crate::error::Error) -> bool {
    error.code() == Some("ListObjectsV2Unsupported")
}
