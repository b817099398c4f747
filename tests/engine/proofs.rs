//! What proves the copy of an object above the threshold: the source's ETag if the target computes the same one, otherwise
//! hashes of the parts, otherwise a second read.

use std::sync::Arc;
use std::time::Duration;

use oms::engine::copy::layout::Sizes;
use oms::engine::settings::Tuning;
use oms::engine::sync_points::{SyncPoint, SyncPoints};
use oms::object::s3::Timeouts;
use oms::sandbox::{
    Fault, FaultRule, JoinedTags, Operation, PartTags, SandboxObject, SandboxOptions, Support,
};
use oms::service::CreateTask;
use oms::task::rules::MinimumProof;
use oms::task::{BandwidthPolicy, BandwidthWindow, CopyRules, StartMode, State, Task};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::support::checker::{History, check, failures};
use crate::support::rig::{QUICK, Rig, SMALL_PART, SOURCE, Stores};

/// Number of parts in which a large object of these tests is uploaded.
const PARTS: usize = 4;

fn bytes(seed: u64) -> Vec<u8> {
    let byte = |n: u64| (n.wrapping_mul(2_654_435_761).wrapping_add(seed * 97) >> 7).to_le_bytes()[0];
    (0..7 * SMALL_PART + 5).map(byte).collect()
}

fn put_large(stores: &Stores, key: &str, seed: u64) {
    stores.source.put(SOURCE, key, SandboxObject::new(bytes(seed)));
}

fn proofs(task: &Task) -> (i64, i64, i64) {
    let c = task.counters;
    (c.proved_etag, c.proved_checksum, c.proved_size)
}

fn wrong_tag() -> Fault {
    Fault::Header {
        name: "etag",
        value: Some("\"0cc175b9c0f1b6a831c399e269772661\"".to_owned()),
    }
}

/// A rig that sends objects of up to this many bytes in one piece if that proves them.
async fn rig(whole: u64) -> Rig {
    Rig::quick_whole(Arc::new(TempDir::new().unwrap()), whole).await
}

/// Runs a task for the whole bucket, one object after another, and checks the result.
async fn run(stores: &Stores, rig: &Rig, minimum_proof: MinimumProof) -> Task {
    let history = History::of(stores);
    let rules = CopyRules {
        minimum_proof,
        ..CopyRules::default()
    };
    let order = CreateTask {
        threads: 1,
        rules,
        ..stores.order()
    };
    let id = rig.create(order).await;
    rig.end(id).await;
    check(stores, rig, id, &history).await
}

#[track_caller]
fn assert_proved(task: &Task, wanted: (i64, i64, i64)) {
    let found = (task.state, proofs(task));
    assert_eq!(found, (State::Succeeded, wanted), "{task:#?}");
}

#[tokio::test]
async fn objects_in_one_piece_are_proved_by_the_etag_and_larger_ones_by_their_parts() {
    for (whole, wanted, parts) in [(1 << 30, (1, 0, 0), 0), (0, (0, 1, 0), PARTS)] {
        let stores = Stores::small().await;
        put_large(&stores, "k", 1);
        let rig = rig(whole).await;
        let task = run(&stores, &rig, MinimumProof::Size).await;
        assert_proved(&task, wanted);
        assert_eq!(stores.target.requests_count(Operation::UploadPart), parts);
        stores.assert_same();
    }
}

#[tokio::test]
async fn an_object_that_fails_in_one_piece_is_sent_in_parts() {
    let too_large = Fault::Status {
        status: 400,
        code: "EntityTooLarge".to_owned(),
        retry_after: None,
    };
    for (operation, fault) in [
        (Operation::GetObject, Fault::TruncateBody { after: 99 }),
        (Operation::GetObject, Fault::EarlyClose { after: 99 }),
        (Operation::PutObject, Fault::ResetBefore),
        (Operation::PutObject, too_large),
    ] {
        let stores = Stores::small().await;
        put_large(&stores, "k", 1);
        let side = match operation {
            Operation::GetObject => &stores.source,
            _ => &stores.target,
        };
        let name = format!("{fault:?}");
        side.faults()
            .add(FaultRule::new(operation, fault).key("k").times(1));
        let rig = rig(1 << 30).await;
        let task = run(&stores, &rig, MinimumProof::Size).await;
        assert_proved(&task, (0, 1, 0));
        assert_eq!(
            stores.target.requests_count(Operation::UploadPart),
            PARTS,
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_object_that_takes_too_long_in_one_piece_is_sent_in_parts() {
    for (minimum_proof, wanted, parts) in [
        (MinimumProof::Size, (0, 2, 0), 2 * PARTS),
        // Parts would prove less.
        (MinimumProof::ETag, (2, 0, 0), 0),
    ] {
        let stores = Stores::small().await;
        put_large(&stores, "a", 1);
        put_large(&stores, "b", 2);
        let sizes = Sizes {
            whole: 1 << 30,
            whole_time: Duration::ZERO,
            ..QUICK.sizes
        };
        let tuning = Tuning { sizes, ..QUICK };
        let folder = Arc::new(TempDir::new().unwrap());
        let rig = Rig::tuned(folder, SyncPoints::default(), tuning, Timeouts::default()).await;
        let task = run(&stores, &rig, minimum_proof).await;
        assert_proved(&task, wanted);
        assert_eq!(stores.target.requests_count(Operation::UploadPart), parts);
        stores.assert_same();
    }
}

#[tokio::test]
async fn corrupt_data_in_one_piece_fails_and_is_not_sent_in_parts() {
    let stores = Stores::small().await;
    put_large(&stores, "k", 1);
    stores.source.put(SOURCE, "a small one", SandboxObject::new("x"));
    let corrupt = Fault::CorruptBody { at: 9 };
    // The worker has copied another object before, so it knows that the source's ETags are hashes.
    stores
        .source
        .faults()
        .add(FaultRule::new(Operation::GetObject, corrupt).key("k"));
    let rig = rig(1 << 30).await;
    let task = run(&stores, &rig, MinimumProof::Size).await;
    let found = failures(&rig, task.id).await;
    assert_eq!((task.counters.failed, proofs(&task)), (1, (1, 0, 0)), "{task:#?}");
    assert_eq!(found[0].code, "BadDigest");
}

#[tokio::test]
async fn a_part_that_arrived_with_other_bytes_is_sent_again() {
    let stores = Stores::small().await;
    put_large(&stores, "k", 1);
    let rule = FaultRule::new(Operation::UploadPart, wrong_tag()).times(1);
    stores.target.faults().add(rule);
    let rig = rig(0).await;
    let task = run(&stores, &rig, MinimumProof::Size).await;
    assert_proved(&task, (0, 1, 0));
    assert_eq!(stores.target.requests_count(Operation::UploadPart), PARTS + 1);
    assert_eq!(stores.target.requests_count(Operation::GetObject), 0);
}

#[tokio::test]
async fn part_etags_that_are_not_hashes_are_detected_by_reading_back_once() {
    for (minimum, wanted) in [
        // The first object is read back. That shows that the target's ETags cannot be compared.
        (MinimumProof::Size, (0, 1, 2)),
        (MinimumProof::Checksum, (0, 3, 0)),
    ] {
        for part_tags in [PartTags::LikeMd5, PartTags::Opaque] {
            let options = |part_tags| SandboxOptions {
                part_tags,
                min_part_size: SMALL_PART,
                ..SandboxOptions::default()
            };
            let stores = Stores::with(options(PartTags::Md5), options(part_tags)).await;
            for seed in 0..3 {
                put_large(&stores, &format!("k{seed}"), seed);
            }
            let rig = rig(0).await;
            let task = run(&stores, &rig, minimum).await;
            assert_proved(&task, wanted);
        }
    }
}

#[tokio::test]
async fn an_object_that_reads_back_differently_is_removed() {
    let like = SandboxOptions {
        part_tags: PartTags::LikeMd5,
        min_part_size: SMALL_PART,
        ..SandboxOptions::default()
    };
    let stores = Stores::with(SandboxOptions::default(), like).await;
    put_large(&stores, "k", 1);
    let faults = stores.target.faults();
    faults.add(FaultRule::new(Operation::GetObject, Fault::CorruptBody { at: 9 }));
    let rig = rig(0).await;
    let task = run(&stores, &rig, MinimumProof::Size).await;
    assert_eq!(
        (task.state, task.counters.failed),
        (State::Failed, 1),
        "{task:#?}"
    );
    assert_eq!(stores.arrived(), Vec::<String>::new());
}

#[tokio::test]
async fn etags_of_encrypted_sources_are_not_treated_as_hashes() {
    let stores = Stores::small().await;
    for n in 0..9 {
        let key = format!("honest {n}");
        stores.source.put(SOURCE, &key, SandboxObject::new(key.clone()));
    }
    let parted = SandboxObject::multipart(bytes(1), 2 * SMALL_PART);
    stores.source.put(SOURCE, "honest in parts", parted);
    // Objects of a bucket whose default encryption was changed. They differ from the others only in one header.
    let mut small = SandboxObject::new("encrypted");
    small.etag = "0cc175b9c0f1b6a831c399e269772661".to_owned();
    stores.source.put(SOURCE, "kms", small);
    let mut parted = SandboxObject::multipart(bytes(2), 2 * SMALL_PART);
    parted.etag = "0cc175b9c0f1b6a831c399e269772661-4".to_owned();
    stores.source.put(SOURCE, "kms in parts", parted);
    for operation in [Operation::GetObject, Operation::HeadObject] {
        let encrypted = Fault::Header {
            name: "x-amz-server-side-encryption",
            value: Some("aws:kms".to_owned()),
        };
        let rule = FaultRule::new(operation, encrypted).key_prefix("kms");
        stores.source.faults().add(rule);
    }
    let rig = rig(0).await;
    let task = run(&stores, &rig, MinimumProof::Size).await;
    assert_proved(&task, (10, 2, 0));
}

#[tokio::test]
async fn parts_damaged_the_same_way_at_each_read_are_detected_if_etags_are_hashes() {
    let stores = Stores::small().await;
    for seed in 0..2 {
        let parted = SandboxObject::multipart(bytes(seed), 2 * SMALL_PART);
        stores.source.put(SOURCE, &format!("k{seed}"), parted);
    }
    let corrupt = Fault::CorruptBody { at: 9 };
    stores
        .source
        .faults()
        .add(FaultRule::new(Operation::GetObject, corrupt).key("k1"));
    let rig = rig(0).await;
    let task = run(&stores, &rig, MinimumProof::Size).await;
    assert_eq!((task.counters.failed, proofs(&task)), (1, (1, 0, 0)), "{task:#?}");
    assert_eq!(stores.arrived(), ["k0"]);
}

#[tokio::test]
async fn a_start_in_the_middle_does_not_read_proved_parts_again() {
    let stores = Stores::small().await;
    put_large(&stores, "k", 1);
    let rule = FaultRule::new(
        Operation::UploadPart,
        Fault::Delay(std::time::Duration::from_secs(30)),
    );
    // The last part hangs, until the task is stopped.
    stores.target.faults().add(rule.skip(PARTS as u64 - 1));
    let rig = rig(0).await;
    let history = History::of(&stores);
    let id = rig.create(stores.order()).await;
    let arrived = || stores.target.requests_count(Operation::UploadPart) == PARTS - 1;
    rig.wait(id, |_| arrived()).await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    rig.pause(id).await;
    stores.target.faults().clear();
    stores.source.clear_requests();
    rig.start(id, StartMode::Full, stores.credentials()).await;
    rig.end(id).await;
    let task = check(&stores, &rig, id, &history).await;
    assert_proved(&task, (0, 1, 0));
    assert_eq!(stores.source.requests_count(Operation::GetObject), 1);
}

#[tokio::test]
async fn an_upload_completed_but_not_proved_before_a_crash_is_copied_again() {
    let stores = Stores::small().await;
    put_large(&stores, "k", 1);
    let history = History::of(&stores);
    let folder = Arc::new(TempDir::new().unwrap());
    let reached = Arc::new(Notify::new());
    let tell = Arc::clone(&reached);
    let sync_points = SyncPoints::new(move |point| {
        if point == SyncPoint::UploadCompleted {
            tell.notify_one();
            return Box::pin(std::future::pending());
        }
        Box::pin(std::future::ready(()))
    });
    let first = Rig::tuned(Arc::clone(&folder), sync_points, QUICK, Timeouts::default()).await;
    let id = first.create(stores.order()).await;
    reached.notified().await;
    assert_eq!(stores.arrived(), ["k"], "it is joined");
    first.kill().await;
    let next = Rig::quick_in(folder).await;
    next.end(id).await;
    let task = check(&stores, &next, id, &history).await;
    assert_eq!(
        (task.counters.skipped, proofs(&task)),
        (0, (0, 1, 0)),
        "{task:#?}"
    );
}

#[tokio::test]
async fn hashes_of_the_parts_decide_if_the_etag_of_the_whole_proves_nothing() {
    for damaged in [false, true] {
        let options = |joined_tags| SandboxOptions {
            joined_tags,
            min_part_size: SMALL_PART,
            ..SandboxOptions::default()
        };
        let stores = Stores::with(options(JoinedTags::S3), options(JoinedTags::Opaque)).await;
        for seed in 0..2 {
            let parted = SandboxObject::multipart(bytes(seed), 2 * SMALL_PART);
            stores.source.put(SOURCE, &format!("k{seed}"), parted);
        }
        if damaged {
            let corrupt = Fault::CorruptBody { at: 9 };
            let rule = FaultRule::new(Operation::GetObject, corrupt).key("k0").times(1);
            stores.source.faults().add(rule);
        }
        let rig = rig(0).await;
        let task = run(&stores, &rig, MinimumProof::Size).await;
        assert_proved(&task, (0, 2, 0));
        // The first object is read once to be sent and once to be hashed. Later objects are hashed while they are sent, and
        // so is the second attempt of a damaged one.
        let reads = if damaged { 4 * PARTS } else { 3 * PARTS };
        assert_eq!(stores.source.requests_count(Operation::GetObject), reads);
    }
}

#[tokio::test]
async fn an_unknown_part_size_is_guessed_and_a_wrong_guess_is_made_once() {
    for (parts_of, wanted, reads) in [
        (2 * SMALL_PART, (2, 0, 0), 2 * PARTS),
        // The same number of parts, but of another size. The first object is read a second time to be hashed. The other is
        // hashed while it is sent.
        (2 * SMALL_PART + 1000, (0, 2, 0), 3 * PARTS),
    ] {
        let silent = SandboxOptions {
            part_number: Support::Ignored,
            min_part_size: SMALL_PART,
            ..SandboxOptions::default()
        };
        let small = SandboxOptions {
            min_part_size: SMALL_PART,
            ..SandboxOptions::default()
        };
        let stores = Stores::with(silent, small).await;
        for seed in 0..2 {
            let parted = SandboxObject::multipart(bytes(seed), parts_of);
            stores.source.put(SOURCE, &format!("k{seed}"), parted);
        }
        let rig = rig(0).await;
        let task = run(&stores, &rig, MinimumProof::Size).await;
        assert_proved(&task, wanted);
        assert_eq!(stores.source.requests_count(Operation::GetObject), reads);
    }
}

#[tokio::test]
async fn reading_back_respects_the_bandwidth_limit() {
    let stores = Stores::small().await;
    stores.source.put(SOURCE, "k", SandboxObject::new(vec![7; 8_000]));
    stores
        .target
        .faults()
        .add(FaultRule::new(Operation::PutObject, wrong_tag()).key("k"));
    let rig = Rig::quick().await;
    let window = BandwidthWindow {
        start: 0,
        end: 1439,
        max_bytes_per_second: 10_000,
    };
    let order = CreateTask {
        bandwidth: BandwidthPolicy::new(vec![window]).unwrap(),
        record_settled: false,
        ..stores.order()
    };
    let began = std::time::Instant::now();
    let id = rig.create(order).await;
    let task = rig.end(id).await;
    assert_proved(&task, (0, 1, 0));
    // 16,000 bytes in all for writing and reading back. A burst of a quarter of a second is free.
    let took = began.elapsed();
    assert!(took >= std::time::Duration::from_millis(1_300), "{took:?}");
}
