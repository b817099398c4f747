//! One row of the matrix: which fault happens, how often, and what the result must be.

use std::collections::BTreeMap;
use std::future::Future;

use futures_util::{StreamExt as _, stream};
use oms::object::clouds::Side;
use oms::sandbox::{Fault, FaultRule, Operation, SandboxObject};
use oms::task::{ReasonKind, State};

use crate::support::checker::{History, Remedy, check, converges, failures};
use crate::support::rig::{Rig, SMALL_PART, SOURCE, Stores, TARGET};

/// A large object that the source has in one piece and that is uploaded in parts.
pub const OWN: &str = "large-own";
/// A large object that is uploaded in the same parts as at the source.
pub const PARTS: &str = "large-parts";
/// An object with tags.
pub const TAGGED: &str = "dir-0/00";
/// An ordinary small object.
pub const PLAIN: &str = "dir-1/01";
/// A small object that the source has in parts.
pub const SMALL_PARTS: &str = "small-parts";
/// How many objects a row has.
pub const OBJECTS: usize = 36;
/// How many rows run at the same time.
const AT_ONCE: usize = 3;

/// How often a fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// Only this many times.
    Some(u64),
    /// Every time.
    Always,
}

/// What the result must be.
#[derive(Clone, Debug)]
pub enum Expect {
    /// The task succeeds.
    Success,
    /// Exactly these keys fail, with this code.
    Fail(Vec<&'static str>, &'static str),
    /// The task ends with this reason, and no failure is recorded.
    Reason(ReasonKind),
}

/// A row.
#[derive(Clone, Debug)]
pub struct Row {
    /// The faults that the row covers, and a description.
    pub name: String,
    pub side: Side,
    pub operation: Operation,
    pub fault: Fault,
    pub key: Option<&'static str>,
    pub skip: u64,
    pub times: Times,
    pub expect: Expect,
    twin: Option<(Side, FaultRule)>,
    before: Before,
}

/// What the target has before the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    Half,
}

impl Row {
    /// A fault of an operation of one side. The task must succeed despite it.
    pub fn new(name: &str, side: Side, operation: Operation, fault: Fault, times: Times) -> Self {
        Self {
            name: format!("{name} {side:?} {operation:?} {times:?}"),
            side,
            operation,
            fault,
            key: None,
            skip: 0,
            times,
            expect: Expect::Success,
            twin: None,
            before: Before::Nothing,
        }
    }

    /// The fault happens only for this key.
    pub fn of(self, key: &'static str) -> Self {
        Self {
            name: format!("{} {key}", self.name),
            key: Some(key),
            ..self
        }
    }

    /// The fault does not happen for the first `skip` requests.
    pub fn after(self, skip: u64) -> Self {
        Self { skip, ..self }
    }

    /// Adds another fault that always happens.
    pub fn with(self, side: Side, operation: Operation, fault: Fault) -> Self {
        Self {
            twin: Some((side, FaultRule::new(operation, fault))),
            ..self
        }
    }

    /// Adds another fault that always happens for one key.
    pub fn with_key(self, side: Side, operation: Operation, fault: Fault, key: &str) -> Self {
        Self {
            twin: Some((side, FaultRule::new(operation, fault).key(key))),
            ..self
        }
    }

    /// The target already has every second object, and a few that the source does not have.
    pub fn half_there(self) -> Self {
        Self {
            before: Before::Half,
            ..self
        }
    }

    /// These keys must fail with this code.
    pub fn fails(self, keys: &[&'static str], code: &'static str) -> Self {
        Self {
            expect: Expect::Fail(keys.to_vec(), code),
            ..self
        }
    }

    /// The task must end with this reason.
    pub fn ends(self, reason: ReasonKind) -> Self {
        Self {
            expect: Expect::Reason(reason),
            ..self
        }
    }
}

/// An error response.
pub fn answer(status: u16, code: &str) -> Fault {
    Fault::Status {
        status,
        code: code.to_owned(),
        retry_after: None,
    }
}

/// Bytes that differ for each seed.
pub fn bytes(seed: usize, length: u64) -> Vec<u8> {
    let byte = |n: u64| (n.wrapping_mul(2_654_435_761).wrapping_add(seed as u64 * 97) >> 7).to_le_bytes()[0];
    (0..length).map(byte).collect()
}

/// Puts the objects of a row into the source: small ones with different headers and keys, and three that are or will be
/// in parts.
pub fn fill(stores: &Stores) -> usize {
    let put = |key: &str, object| stores.source.put(SOURCE, key, object);
    for n in 0..28 {
        let mut object = SandboxObject::new(bytes(n, n as u64 * 97));
        object.content_type = Some("text/x-test".to_owned());
        object.metadata.insert("number".to_owned(), n.to_string());
        object.metadata.insert("name".to_owned(), "Zoë 李".to_owned());
        object.cache_control = Some("no-cache".to_owned());
        if n.is_multiple_of(7) {
            object.tags = vec![("k 1".to_owned(), "v&=ü".to_owned())];
        }
        put(&format!("dir-{}/{n:02}", n % 3), object);
    }
    for key in ["a//b", "a/../b", "trail/", "%2F +", "ü\u{1}"] {
        put(key, SandboxObject::new(key.as_bytes().to_vec()));
    }
    put(OWN, SandboxObject::new(bytes(1, 5 * SMALL_PART + 7)));
    let mut parted = SandboxObject::multipart(bytes(2, 5 * SMALL_PART), 2 * SMALL_PART);
    parted.content_type = Some("video/mp4".to_owned());
    put(PARTS, parted);
    put(SMALL_PARTS, SandboxObject::multipart(bytes(3, 40), 20));
    stores.source.keys(SOURCE).len()
}

/// Runs rows, a few at a time. At the end it panics with the names of all rows that failed.
pub async fn run(rows: Vec<Row>) {
    let wanted = std::env::var("OMS_TEST_ROW").unwrap_or_default();
    let rows = rows.into_iter().filter(|row| row.name.contains(&wanted));
    let named = rows.enumerate().map(|(n, row)| (row.name.clone(), one(row, n)));
    all(named.collect()).await;
}

/// Runs named tests, a few at a time. At the end it panics with the names of all tests that failed.
pub async fn all<F: Future<Output = ()> + Send + 'static>(tests: Vec<(String, F)>) {
    let count = tests.len();
    let wrong: Vec<String> = stream::iter(tests)
        .map(|(name, test)| async move { (name, tokio::spawn(test).await) })
        .buffer_unordered(AT_ONCE)
        .filter_map(|(name, ended)| std::future::ready(ended.is_err().then_some(name)))
        .collect()
        .await;
    assert!(wrong.is_empty(), "{} of {count} rows: {wrong:#?}", wrong.len());
}

async fn one(row: Row, number: usize) {
    let stores = Stores::small().await;
    assert_eq!(fill(&stores), OBJECTS);
    if row.before == Before::Half {
        for key in stores.source.keys(SOURCE).iter().step_by(2) {
            stores
                .target
                .put(TARGET, key, stores.source.get(SOURCE, key).unwrap());
        }
        for n in 0..9 {
            let key = format!("dir-1/{n:02} of the target");
            stores
                .target
                .put(TARGET, &key, SandboxObject::new("the target's own"));
        }
    }
    let mut history = History::of(&stores);
    let side = |side| match side {
        Side::Source => stores.source.faults(),
        Side::Target => stores.target.faults(),
    };
    let mut rule = FaultRule::new(row.operation, row.fault.clone()).skip(row.skip);
    if let Some(key) = row.key {
        rule = rule.key(key);
    }
    if let Times::Some(times) = row.times {
        rule = rule.times(times);
    }
    side(row.side).add(rule);
    if let Some((there, rule)) = row.twin {
        side(there).add(rule);
    }
    let rig = Rig::quick().await;
    let id = rig.create(stores.order()).await;
    rig.end(id).await;
    history.observe(&stores);
    assert!(
        side(row.side).fired() > 0,
        "{}: the fault never happened",
        row.name
    );
    let task = check(&stores, &rig, id, &history).await;
    let found: BTreeMap<String, String> = failures(&rig, id)
        .await
        .into_iter()
        .map(|f| (f.key.lossy().into_owned(), f.code))
        .collect();
    let reason = task.reason.as_ref().map(|reason| reason.kind);
    match &row.expect {
        Expect::Success => assert_eq!(task.state, State::Succeeded, "{}: {task:#?} {found:#?}", row.name),
        Expect::Fail(keys, code) => {
            let wanted = keys.iter().map(|key| ((*key).to_owned(), (*code).to_owned()));
            assert_eq!(found, wanted.collect(), "{}", row.name);
            assert_eq!(reason, Some(ReasonKind::ObjectsFailed), "{}", row.name);
        }
        Expect::Reason(kind) => {
            assert_eq!(reason, Some(*kind), "{}: {task:#?} {found:#?}", row.name);
            assert!(found.is_empty(), "{}: {found:#?}", row.name);
        }
    }
    // Half of the rows end with a full start, the other half with a failed-only start.
    let remedy = if number.is_multiple_of(2) {
        Remedy::Full
    } else {
        Remedy::FailedOnly
    };
    converges(&stores, &rig, id, &history, remedy).await;
    rig.shut_down().await;
}
