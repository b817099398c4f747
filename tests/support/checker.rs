//! Asserts what must hold after every fault. All fault tests use it.
//!
//! A [`History`] has every version that each key ever had at the source. The checker compares the ledger, the target and
//! the request logs with it. It does not know which faults happened before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oms::ledger::{Failure, Orphans};
use oms::sandbox::{Operation, SandboxObject};
use oms::service::TaskDetail;
use oms::task::storage::storage_class;
use oms::task::{
    Counters, PassInfo, PassKind, ReasonKind, ReportKind, StartMode, State, Task, TaskId, UnixMillis,
    Warning, WarningCode,
};

use super::report_files;
use super::rig::{Rig, SOURCE, Stores, TARGET, TIMEOUT};
use super::rows;

/// A part of each side's secret key. It must not appear in any file or message.
const CANARIES: [&str; 2] = ["SK-source-canary", "SK-target-canary"];
/// Page size for reading records: more than any test has.
const MANY: i64 = 100_000;

/// Every version of every object that the source ever had, and the objects that the target had before the task.
#[derive(Clone, Debug, Default)]
pub struct History {
    versions: BTreeMap<String, Vec<SandboxObject>>,
    /// Objects that are at the target but were not written by the task.
    before: BTreeMap<String, SandboxObject>,
    keys: Keys,
    /// For each key, the metadata that the copy at the target must not have.
    without: BTreeMap<String, BTreeSet<Left>>,
    /// For each task, the last pass that was checked, and the moment since which its counters count. They count from the last
    /// full pass.
    counted: Arc<Mutex<BTreeMap<TaskId, (i64, UnixMillis)>>>,
}

/// Metadata that may be left out of a copy if one side does not return or accept it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Left {
    /// Its tags.
    Tags,
    /// The storage class that the task asks for.
    StorageClass,
    /// All its user metadata.
    UserMetadata,
    /// The entries of its user metadata that a header cannot hold.
    Unprintable,
    /// Its website redirect.
    WebsiteRedirect,
}

/// Whether keys were added or removed while the task ran. Then the number of listed objects depends on timing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Keys {
    #[default]
    Lasting,
    Changing,
}

/// How a task is started again after its faults are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// A full start.
    Full,
    /// A failed-only start if there are failures, otherwise a full start.
    FailedOnly,
}

impl History {
    /// A history of what both sides have now.
    pub fn of(stores: &Stores) -> Self {
        let mut history = Self::default();
        history.observe(stores);
        history.keys = Keys::Lasting;
        for key in stores.arrived() {
            let object = stores.target.get(TARGET, &key).unwrap();
            history.before.insert(key, object);
        }
        history
    }

    /// Records what the source has now.
    pub fn observe(&mut self, stores: &Stores) {
        for key in stores.source.keys(SOURCE) {
            // The object may have been removed since it was listed.
            let Some(object) = stores.source.get(SOURCE, &key) else {
                continue;
            };
            if !self.versions.contains_key(&key) {
                self.keys = Keys::Changing;
            }
            let known = self.versions.entry(key).or_default();
            if !known.contains(&object) {
                known.push(object);
            }
        }
    }

    /// Removes an object from the source.
    pub fn remove(&mut self, stores: &Stores, key: &str) {
        self.keys = Keys::Changing;
        stores.source.remove(SOURCE, key);
    }

    /// From now on this object must arrive without this metadata, and with everything else.
    pub fn leave_out(&mut self, key: &str, left: Left) {
        self.without.entry(key.to_owned()).or_default().insert(left);
    }

    /// The number of objects that may arrive without one of these.
    fn allowed(&self, lefts: &[Left]) -> i64 {
        let is = |found: &&BTreeSet<Left>| lefts.iter().any(|left| found.contains(left));
        i64::try_from(self.without.values().filter(is).count()).unwrap()
    }

    /// Records an object that somebody else has written to the target.
    pub fn appeared(&mut self, stores: &Stores, key: &str) {
        let object = stores.target.get(TARGET, key).unwrap();
        self.before.insert(key.to_owned(), object);
    }

    /// The moment since which the counters of a task count. `None` if a pass was not checked.
    fn counted_since(&self, id: TaskId, pass: PassInfo) -> Option<UnixMillis> {
        let mut counted = self.counted.lock().unwrap();
        let since = match (pass.kind, counted.get(&id)) {
            (PassKind::Full, _) => pass.opened_at,
            (PassKind::Failed, Some((number, since))) if (pass.number - 1..=pass.number).contains(number) => {
                *since
            }
            (PassKind::Failed, _) => return None,
        };
        counted.insert(id, (pass.number, since));
        Some(since)
    }

    /// Whether the source has exactly the keys that it had in the beginning.
    fn is_complete(&self, stores: &Stores) -> bool {
        self.keys == Keys::Lasting && self.versions.keys().eq(keys(&stores.source, SOURCE).iter())
    }
}

/// All recorded failures of a task.
pub async fn failures(rig: &Rig, id: TaskId) -> Vec<Failure> {
    rig.ledger.failures(id, None, MANY).await.unwrap()
}

/// Asserts everything that must hold for a task that no worker runs.
pub async fn check(stores: &Stores, rig: &Rig, id: TaskId, history: &History) -> Task {
    let task = rig.task(id).await;
    let failures = failures(rig, id).await;
    counters(stores, history, &task, &failures);
    target(stores, history, &task, &failures);
    lists(stores, rig, &task, history).await;
    leftovers(stores, rig, &task).await;
    shown(rig, &task).await;
    secrets(rig.folder.path(), &task, &failures);
    task
}

/// Waits until nothing is left of a deleted task: no record, no open upload at the target, no credentials. Fails if
/// something stays.
pub async fn check_deleted(stores: &Stores, rig: &Rig, id: TaskId) {
    let left = async || rig.ledger.orphans(Orphans::Of(id), 0, MANY).await.unwrap();
    let until = Instant::now() + TIMEOUT;
    while !left().await.is_empty() {
        assert!(Instant::now() < until, "waited too long: {:#?}", left().await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(stores.target.open_uploads(TARGET), 0, "uploads are left open");
    assert!(rig.ledger.uploads(id).await.unwrap().is_empty());
    assert!(failures(rig, id).await.is_empty());
    in_files(rig.folder.path());
}

/// Every listed key is counted exactly once, and every failure is recorded.
fn counters(stores: &Stores, history: &History, task: &Task, failures: &[Failure]) {
    let c = &task.counters;
    assert_eq!(
        c.listed,
        c.copied + c.skipped + c.failed + c.gone,
        "the counters do not balance: {task:#?}"
    );
    assert_eq!(
        usize::try_from(c.failed),
        Ok(failures.len()),
        "not every failure is recorded: {c:#?} {failures:#?}"
    );
    assert_eq!(
        c.copied,
        c.proved_etag + c.proved_checksum + c.proved_size,
        "{c:#?}"
    );
    left_out(history, c);
    let finished = task.pass.is_some_and(|pass| pass.finished);
    if task.state == State::Succeeded {
        assert!(finished && c.failed == 0, "{task:#?}");
    }
    if finished && history.is_complete(stores) {
        let held = history.versions.len();
        assert_eq!(
            usize::try_from(c.listed),
            Ok(held),
            "the source holds {held}: {c:#?}"
        );
    }
}

/// The found objects, the progress and the warnings that the API shows agree with the counters.
async fn shown(rig: &Rig, task: &Task) {
    let detail = rig.service.detail(&task.project, task.id).await.unwrap();
    let c = &task.counters;
    let TaskDetail { found, warnings, .. } = &detail;
    let objects = found
        .entries
        .iter()
        .map(|entry| entry.objects + entry.not_found)
        .sum::<i64>();
    assert_eq!(objects + found.rest_objects, c.listed, "{found:#?} {c:#?}");
    assert!(
        found
            .entries
            .iter()
            .all(|entry| entry.objects >= 0 && entry.not_found >= 0),
        "{found:#?}"
    );
    // A failed-only pass may find other sizes than the full pass that listed the objects.
    if task.pass.is_none_or(|pass| pass.kind == PassKind::Full) {
        let bytes = found.entries.iter().map(|entry| entry.bytes).sum::<i64>();
        assert_eq!(bytes + found.rest_bytes, c.bytes_listed, "{found:#?} {c:#?}");
    }
    assert!(c.not_found <= c.failed, "{c:#?}");

    assert!(c.bytes_transferred() >= c.bytes_copied, "{c:#?}");
    let finished = task.pass.is_some_and(|pass| pass.finished);
    if finished {
        assert_eq!(c.bytes_in_flight, 0, "nothing is under way: {task:#?}");
    }
    if task.state == State::Succeeded {
        assert_eq!(c.bytes_settled, c.bytes_listed, "progress is below 100 %: {c:#?}");
    }

    assert!(warnings.len() <= Warning::MOST + 1, "{warnings:#?}");
    let names: BTreeSet<_> = warnings
        .iter()
        .map(|warning| (&warning.code, &warning.subject))
        .collect();
    assert_eq!(names.len(), warnings.len(), "{warnings:#?}");
    for warning in warnings {
        let bounded =
            warning.subject.len() <= Warning::MAX_SUBJECT && warning.message.len() <= Warning::MAX_MESSAGE;
        assert!(bounded && warning.count > 0, "{warning:?}");
        let text = format!("{} {}", warning.subject, warning.message);
        assert!(!CANARIES.iter().any(|secret| text.contains(secret)), "{text}");
    }
}

/// No more copies are counted as incomplete than the history allows, and each copy is counted once.
fn left_out(history: &History, c: &Counters) {
    let lost = [
        (c.lost_tags, &[Left::Tags][..]),
        (c.lost_storage_class, &[Left::StorageClass]),
        (c.lost_user_metadata, &[Left::UserMetadata, Left::Unprintable]),
        (c.lost_website_redirect, &[Left::WebsiteRedirect]),
    ];
    for (count, lefts) in lost {
        assert!(count <= history.allowed(lefts), "{lefts:?}: {c:#?}");
        assert!(count <= c.metadata_lost, "{lefts:?}: {c:#?}");
    }
    let sum = lost.iter().map(|(count, _)| count).sum::<i64>();
    assert!(c.metadata_lost <= sum && c.metadata_lost <= c.copied, "{c:#?}");
}

/// The reports of a finished pass name exactly the counted objects. A failed-only pass adds its lines to those of the
/// earlier passes. No lines wait in the ledger, unless the reports could not be written and the task has not succeeded.
async fn lists(stores: &Stores, rig: &Rig, task: &Task, history: &History) {
    let Some(pass) = task.pass else { return };
    let since = history.counted_since(task.id, pass);
    if !pass.finished {
        return;
    }
    if let Some(since) = since {
        report_files::agree(stores, task, since);
    }
    for (kind, problem) in [
        (ReportKind::Success, task.report_problems.success),
        (ReportKind::Skip, task.report_problems.skip),
    ] {
        let waiting = rows::waiting_chunks(rig, task.id, kind).await;
        let may_wait = problem.is_some() && task.state != State::Succeeded;
        assert!(may_wait || waiting == 0, "{waiting} {task:#?}");
    }
}

/// Every object at the target is one complete version of the source, or what the target had before. Nothing is missing.
fn target(stores: &Stores, history: &History, task: &Task, failures: &[Failure]) {
    let there = keys(&stores.target, TARGET);
    for key in &there {
        let found = stores.target.get(TARGET, key).unwrap();
        if history.before.get(key).is_some_and(|before| *before == found) {
            continue;
        }
        let versions = history.versions.get(key).map_or(&[][..], Vec::as_slice);
        let none = BTreeSet::new();
        let without = history.without.get(key).unwrap_or(&none);
        let wanted: Vec<SandboxObject> = versions.iter().map(|v| arriving(v, task, without)).collect();
        assert!(
            wanted.iter().any(|version| same(version, &found)),
            "{key:?} at the target is no version of the source: {}; of {:?}",
            summary(&found),
            wanted.iter().map(summary).collect::<Vec<_>>()
        );
    }
    let finished = task.pass.is_some_and(|pass| pass.finished);
    if finished && task.counters.gone == 0 {
        let failed: BTreeSet<String> = failures.iter().map(|f| f.key.lossy().into_owned()).collect();
        for key in history.versions.keys() {
            // An object that was added or removed while the task ran may be there or not.
            let lasting = stores.source.get(SOURCE, key).is_some() && history.is_complete(stores);
            assert!(
                there.contains(key) || failed.contains(key) || !lasting,
                "{key:?} is neither at the target nor among the failures"
            );
        }
    }
}

/// What a version of the source must look like at the target.
fn arriving(version: &SandboxObject, task: &Task, without: &BTreeSet<Left>) -> SandboxObject {
    let spec = &task.spec;
    let mut object = version.clone();
    let source = object.storage_class.take();
    object.storage_class = spec
        .rules
        .storage
        .and_then(|policy| storage_class(policy, source.as_deref(), spec.target.cloud))
        .filter(|class| *class != "STANDARD")
        .map(ToOwned::to_owned);
    object.encryption = spec.kms.then(|| "aws:kms".to_owned());
    for left in without {
        match left {
            Left::Tags => object.tags.clear(),
            Left::StorageClass => object.storage_class = None,
            Left::UserMetadata => object.metadata.clear(),
            Left::WebsiteRedirect => object.website_redirect = None,
            Left::Unprintable => object
                .metadata
                .retain(|_, value| !value.chars().any(char::is_control)),
        }
    }
    object
}

/// An object without its bytes, for failure messages.
fn summary(object: &SandboxObject) -> String {
    let SandboxObject {
        data,
        etag,
        metadata,
        tags,
        content_type,
        storage_class,
        encryption,
        ..
    } = object;
    format!(
        "{} bytes {etag} {metadata:?} {tags:?} {content_type:?} {storage_class:?} {encryption:?}",
        data.len()
    )
}

fn same(a: &SandboxObject, b: &SandboxObject) -> bool {
    a.data == b.data
        && a.metadata == b.metadata
        && a.tags == b.tags
        && a.storage_class == b.storage_class
        && a.encryption == b.encryption
        && a.content_type == b.content_type
        && a.content_encoding == b.content_encoding
        && a.content_language == b.content_language
        && a.content_disposition == b.content_disposition
        && a.cache_control == b.cache_control
        && a.expires == b.expires
        && a.website_redirect == b.website_redirect
}

/// The task leaves no open upload at the target once it has ended, and no probe object unless a warning says so.
async fn leftovers(stores: &Stores, rig: &Rig, task: &Task) {
    let recorded = rig.ledger.uploads(task.id).await.unwrap();
    let open = stores.target.open_uploads(TARGET);
    let orphans = rig
        .ledger
        .orphans(Orphans::At(&task.spec.target), 0, MANY)
        .await
        .unwrap();
    assert!(
        open <= recorded.len() + orphans.len(),
        "{open} uploads are open at the target, the ledger knows {recorded:#?} and {orphans:#?}"
    );
    // A task that failed or was paused resumes its uploads.
    let over = task.pass.is_some_and(|pass| pass.finished);
    if over && matches!(task.state, State::Succeeded | State::Failed) {
        assert_eq!(recorded, [], "uploads are left open");
        assert!(
            open <= orphans.len(),
            "{open} uploads are left open: {orphans:#?}"
        );
    }
    // A probe that was refused or interrupted may leave objects. The next probe removes them before anything else.
    let probed = over
        && task
            .reason
            .as_ref()
            .is_none_or(|reason| reason.kind == ReasonKind::ObjectsFailed);
    let probes: Vec<String> = stores
        .target
        .keys(TARGET)
        .into_iter()
        .filter(|key| key.starts_with("oms/probe/"))
        .collect();
    let warnings = rig.ledger.warnings(task.id).await.unwrap();
    let warned = warnings
        .iter()
        .any(|warning| warning.code == WarningCode::TargetCannotDelete.name());
    assert!(
        probes.is_empty() || !probed || warned,
        "the probe left {probes:?}"
    );
}

/// No secret is in the ledger's files or in a text that the API shows.
fn secrets(folder: &Path, task: &Task, failures: &[Failure]) {
    let texts = failures
        .iter()
        .flat_map(|f| [f.message.clone(), f.code.clone()])
        .chain(task.reason.iter().map(|reason| reason.message.clone()));
    for text in texts {
        assert!(!CANARIES.iter().any(|secret| text.contains(secret)), "{text}");
    }
    in_files(folder);
}

/// No secret is in the ledger's files.
fn in_files(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // SQLite may remove its log file meanwhile.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        for secret in CANARIES {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} is in {}", path.display());
        }
    }
}

/// Ends all faults, starts the task until it has succeeded, and checks it after each start. A failed-only start must
/// send requests only for keys that had failed.
pub async fn converges(stores: &Stores, rig: &Rig, id: TaskId, history: &History, remedy: Remedy) -> Task {
    stores.source.faults().clear();
    stores.target.faults().clear();
    for _ in 0..3 {
        let before = check(stores, rig, id, history).await;
        if before.state == State::Succeeded {
            return before;
        }
        let failed: BTreeSet<String> = failures(rig, id)
            .await
            .iter()
            .map(|f| f.key.lossy().into_owned())
            .collect();
        let listed = before.pass.is_some_and(|pass| pass.finished);
        let only = remedy == Remedy::FailedOnly && listed && !failed.is_empty();
        let mode = if only {
            StartMode::FailedOnly
        } else {
            StartMode::Full
        };
        stores.source.clear_requests();
        stores.target.clear_requests();
        rig.start(id, mode, stores.credentials()).await;
        rig.end(id).await;
        if only {
            touched_only(stores, &failed);
        }
    }
    let task = check(stores, rig, id, history).await;
    assert_eq!(
        task.state,
        State::Succeeded,
        "it does not converge: {task:#?} {:#?}",
        failures(rig, id).await
    );
    task
}

/// Asserts that all requests since the logs were cleared were for these keys or for our own objects.
fn touched_only(stores: &Stores, failed: &BTreeSet<String>) {
    let requests = stores
        .source
        .requests()
        .into_iter()
        .chain(stores.target.requests());
    for request in requests {
        let listing = Operation::ListObjects.covers(request.operation);
        let Some(key) = request.key else {
            assert!(
                listing || request.operation == Operation::ListUploads,
                "{:?}",
                request.operation
            );
            continue;
        };
        assert!(
            failed.contains(&key) || OURS.iter().any(|ours| key.starts_with(ours)),
            "a start for the failures did {:?} of {key:?}",
            request.operation
        );
    }
}

/// Prefixes of what a task writes at the target besides the copies: probe objects, which it removes, and reports.
const OURS: [&str; 2] = ["oms/probe/", "oms/task/"];

fn keys(sandbox: &oms::sandbox::Sandbox, bucket: &str) -> BTreeSet<String> {
    sandbox
        .keys(bucket)
        .into_iter()
        .filter(|key| !OURS.iter().any(|ours| key.starts_with(ours)))
        .collect()
}
