//! What a window commits: what it counts, up to where, and when.

use std::sync::atomic::{AtomicI64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::engine::copy::attributes::Attributes;
use crate::engine::decide::SkipReason;
use crate::engine::progress::Progress;
use crate::engine::shard::prior_count::NO_SUCH_KEY;
use crate::engine::shard::systemic::{FailureClass, SystemicFailure};
use crate::object::clouds::Side;
use crate::task::{Clock, UnixMillis};

const SKIPPED: Outcome = Outcome::Skipped(SkipReason::Identical);

fn prior_count(bytes: i64, not_found: i64) -> PriorCount {
    PriorCount { bytes, not_found }
}

fn failure() -> Outcome {
    failed_with("X")
}

fn failed_with(code: &str) -> Outcome {
    Outcome::Failed(recorded(code))
}

fn doubtful() -> Outcome {
    let suspect = SystemicFailure {
        side: Side::Target,
        class: FailureClass::Down,
    };
    Outcome::Doubtful(recorded("X"), suspect)
}

fn recorded(code: &str) -> Box<Failure> {
    Box::new(Failure {
        key: Key::from("k"),
        size: 0,
        code: code.to_owned(),
        message: "x".to_owned(),
        request_id: None,
        attempts: 1,
        at: UnixMillis(0),
    })
}

fn copied(bytes: u64, proof: Proof, left_out: Attributes) -> Outcome {
    Outcome::Copied(Copied {
        bytes,
        proof,
        left_out,
    })
}

/// Appends an object of five bytes that no counter contains yet.
fn push(window: &mut Window, key: &str) -> u64 {
    window.push_at(Key::from(key), None, 5, PriorCount::default())
}

/// A window whose lines have the time 1970-01-01T00:00:00Z.
fn with_lines() -> Window {
    Window::new(PassKind::Full, Some(Record::new(Clock::new(|| UnixMillis(0)))))
}

#[test]
fn a_gap_holds_the_checkpoint() {
    let mut window = Window::new(PassKind::Full, None);
    let numbers = ["a", "b", "c"].map(|key| push(&mut window, key));
    window.settle(numbers[1], SKIPPED);
    assert!(!window.has_settled());
    window.settle(numbers[0], failure());
    let commit = window.take();
    assert_eq!(commit.checkpoint, Some(Key::from("b")));
    let delta = commit.delta;
    assert_eq!((delta.listed, delta.failed, delta.skipped), (2, 1, 1));
    assert_eq!((commit.failures.len(), delta.bytes_settled), (1, 5));
    window.settle(numbers[2], Outcome::Gone);
    assert_eq!(window.take().delta.gone, 1);
    assert!(window.open.is_empty());
}

/// Bytes in flight: all, and those that survive a stop.
fn in_flight(window: &Window) -> (i64, i64) {
    (window.bytes(InFlight::All), window.bytes(InFlight::Resumable))
}

#[test]
fn bytes_under_way_are_those_of_objects_that_no_commit_holds() {
    let mut window = Window::new(PassKind::Full, None);
    let progress = Arc::new(Progress::default());
    let keys = ["a", "b", "c"].map(Key::from);
    let numbers = [0, 1, 2].map(|n| window.push_at(keys[n].clone(), None, 100, PriorCount::default()));
    window.measure(numbers[0], progress.watch(&keys[0]));
    progress.keep(&keys[0], 1, 30);
    progress.flow(&keys[0], 2).add(7);
    assert_eq!(in_flight(&window), (37, 30));
    let copied = |bytes| copied(bytes, Proof::ETag, Attributes::default());
    window.settle(numbers[1], copied(100));
    window.settle(numbers[2], failure());
    assert_eq!(in_flight(&window), (137, 30));
    window.settle(numbers[0], copied(100));
    assert_eq!(in_flight(&window), (0, 0));
    assert_eq!(window.take().delta.bytes_copied, 200);
}

#[test]
fn every_object_that_is_over_has_one_line_in_its_commit() {
    let mut window = with_lines();
    let numbers = ["a", "b", "c", "d", "e"].map(|key| push(&mut window, key));
    // It is settled first, but committed only after the objects before it.
    window.settle(numbers[4], Outcome::Gone);
    window.settle(numbers[0], copied(6, Proof::Checksum, Attributes::default()));
    window.settle(numbers[1], failure());
    let commit = window.take();
    assert_eq!(commit.success, b"1970-01-01T00:00:00Z\ta\t6\tchecksum\n");
    assert!(commit.skip.is_empty());
    window.settle(numbers[2], Outcome::Skipped(SkipReason::Older));
    window.settle(numbers[3], SKIPPED);
    let commit = window.take();
    assert!(commit.success.is_empty());
    let words: Vec<&str> = std::str::from_utf8(&commit.skip)
        .unwrap()
        .lines()
        .map(|line| line.split_once('Z').unwrap().1)
        .collect();
    assert_eq!(words, ["\tc\t5\tolder", "\td\t5\tidentical", "\te\t5\tgone"]);
}

#[test]
fn a_commit_holds_a_bounded_number_of_failures() {
    let mut window = Window::new(PassKind::Full, None);
    let numbers: Vec<u64> = (0..2_500)
        .map(|n| push(&mut window, &format!("{n:05}")))
        .collect();
    // All but the first, which holds back the others.
    for number in numbers.iter().skip(1) {
        window.settle(*number, failure());
    }
    assert!(!window.has_settled());
    window.settle(numbers[0], failure());
    let mut commits = Vec::new();
    while window.has_settled() {
        let commit = window.take();
        let checkpoint = commit.checkpoint.unwrap().lossy().into_owned();
        commits.push((commit.failures.len(), commit.delta.failed, checkpoint));
    }
    let wanted = [(1_000, "00999"), (1_000, "01999"), (500, "02499")];
    let wanted = wanted.map(|(count, last)| (count, count as i64, last.to_owned()));
    assert_eq!(commits, wanted);
    assert!(window.is_settled());
}

/// Settles one object that was listed with 7 bytes.
fn commit_of(kind: PassKind, before: PriorCount, outcome: Outcome) -> Commit {
    let mut window = Window::new(kind, None);
    let number = window.push_at(Key::from("a"), None, 7, before);
    window.settle(number, outcome);
    window.take()
}

/// The counters with a few changes.
fn changed(mut counters: Counters, change: fn(&mut Counters)) -> Counters {
    change(&mut counters);
    counters
}

/// What an object of 7 bytes changes in a full pass, besides its end.
fn listed() -> Counters {
    changed(Counters::default(), |c| (c.listed, c.bytes_listed) = (1, 7))
}

/// What a copy of it with 9 bytes changes, besides its proof. The size at the copy counts, not the listed one.
fn copy() -> Counters {
    changed(listed(), |c| {
        (c.copied, c.bytes_listed, c.bytes_copied, c.bytes_settled) = (1, 9, 9, 9);
    })
}

#[test]
fn each_end_has_its_own_counters_in_a_full_pass() {
    type Row = (&'static str, Outcome, Counters, fn(&mut Counters));
    let by = |proof| copied(9, proof, Attributes::default());
    let settled = changed(listed(), |c| c.bytes_settled = 7);
    let rows: [Row; 8] = [
        ("copied by ETag", by(Proof::ETag), copy(), |c| c.proved_etag = 1),
        ("by checksum", by(Proof::Checksum), copy(), |c| {
            c.proved_checksum = 1
        }),
        ("by size", by(Proof::Size), copy(), |c| c.proved_size = 1),
        ("skipped", SKIPPED, settled, |c| c.skipped = 1),
        ("missing", Outcome::Gone, settled, |c| c.gone = 1),
        ("failed", failure(), listed(), |c| c.failed = 1),
        ("doubtful", doubtful(), listed(), |c| c.failed = 1),
        ("not found", failed_with(NO_SUCH_KEY), listed(), |c| {
            (c.failed, c.not_found) = (1, 1)
        }),
    ];
    for (name, outcome, base, change) in rows {
        let commit = commit_of(PassKind::Full, PriorCount::default(), outcome);
        let wanted = changed(base, change);
        assert_eq!(commit.delta, wanted, "{name}");
        assert!(commit.delta.balanced(), "{name}");
        // A failure is recorded with the listed size. There was no earlier failure to resolve.
        let sizes: Vec<i64> = commit.failures.iter().map(|failure| failure.size).collect();
        let failed = if wanted.failed == 1 { vec![7] } else { Vec::new() };
        assert_eq!((sizes, commit.resolved.len()), (failed, 0), "{name}");
        assert!(commit.success.is_empty() && commit.skip.is_empty(), "{name}");
    }
}

#[test]
fn each_attribute_that_a_copy_lost_is_counted() {
    type Row = (&'static str, fn(&mut Attributes), fn(&mut Counters));
    let rows: [Row; 7] = [
        ("tags", |a| a.tags = true, |c| c.lost_tags = 1),
        (
            "storage class",
            |a| a.storage_class = true,
            |c| c.lost_storage_class = 1,
        ),
        (
            "user metadata",
            |a| a.user_metadata = true,
            |c| c.lost_user_metadata = 1,
        ),
        (
            "redirect",
            |a| a.website_redirect = true,
            |c| c.lost_website_redirect = 1,
        ),
        ("lock", |a| a.object_lock = true, |c| c.lost_object_lock = 1),
        ("unknown header", |a| a.other = true, |c| c.lost_other = 1),
        // Counted once as a copy without something.
        (
            "two",
            |a| (a.tags, a.other) = (true, true),
            |c| (c.lost_tags, c.lost_other) = (1, 1),
        ),
    ];
    for (name, lose, change) in rows {
        let mut left_out = Attributes::default();
        lose(&mut left_out);
        let outcome = copied(9, Proof::Size, left_out);
        let commit = commit_of(PassKind::Full, PriorCount::default(), outcome);
        let lost = changed(copy(), |c| (c.proved_size, c.metadata_lost) = (1, 1));
        assert_eq!(commit.delta, changed(lost, change), "{name}");
    }
}

#[test]
fn each_end_moves_its_object_from_the_failed_ones_in_a_pass_over_them() {
    // The failure was counted with 5 bytes, as not found. Now the object has 7 bytes, and its copy 9.
    let moved = changed(Counters::default(), |c| {
        (c.failed, c.bytes_listed, c.not_found) = (-1, 2, -1);
    });
    type Row = (&'static str, Outcome, usize, fn(&mut Counters));
    let rows: [Row; 6] = [
        ("copied", copied(9, Proof::ETag, Attributes::default()), 1, |c| {
            (c.copied, c.proved_etag) = (1, 1);
            (c.bytes_listed, c.bytes_copied, c.bytes_settled) = (4, 9, 9);
        }),
        ("skipped", SKIPPED, 1, |c| (c.skipped, c.bytes_settled) = (1, 7)),
        ("missing", Outcome::Gone, 1, |c| {
            (c.gone, c.bytes_settled) = (1, 7)
        }),
        ("failed again", failure(), 0, |c| c.failed = 0),
        ("doubtful", doubtful(), 0, |c| c.failed = 0),
        ("still not found", failed_with(NO_SUCH_KEY), 0, |c| {
            (c.failed, c.not_found) = (0, 0)
        }),
    ];
    for (name, outcome, resolved, change) in rows {
        let commit = commit_of(PassKind::Failed, prior_count(5, 1), outcome);
        assert_eq!(commit.delta, changed(moved, change), "{name}");
        assert_eq!(commit.resolved, vec![Key::from("a"); resolved], "{name}");
        assert_eq!(commit.failures.len(), 1 - resolved, "{name}");
    }
}

#[test]
fn sizes_that_no_store_can_hold_do_not_overflow_the_counters() {
    let most = i64::try_from(MAX_OBJECT).unwrap();
    for (name, size, wanted) in [
        ("one byte below the largest", MAX_OBJECT - 1, most - 1),
        ("largest", MAX_OBJECT, most),
        ("one byte above the largest", MAX_OBJECT + 1, most),
        ("largest number", u64::MAX, most),
    ] {
        let mut window = Window::new(PassKind::Full, None);
        for key in ["a", "b"] {
            let number = window.push_at(Key::from(key), None, size, PriorCount::default());
            window.settle(number, failure());
        }
        let commit = window.take();
        assert_eq!(commit.delta.bytes_listed, 2 * wanted, "{name}");
        assert_eq!(commit.failures[0].size, wanted, "{name}");
    }
}

#[test]
fn there_is_room_until_the_span_of_the_window_is_full() {
    let mut window = Window::new(PassKind::Full, None);
    let check = |window: &Window, name: &str, room: bool, settled: bool| {
        let found = (window.has_room(), window.is_settled());
        assert_eq!(found, (room, settled), "{name}");
    };
    check(&window, "empty", true, true);
    for _ in 0..MAX_OPEN - 1 {
        push(&mut window, "a");
    }
    check(&window, "room for one", true, false);
    push(&mut window, "a");
    check(&window, "full", false, false);
    let last = MAX_OPEN as u64 - 1;
    for number in 1..=last {
        window.settle(number, SKIPPED);
    }
    check(&window, "all settled but the first", false, false);
    window.settle(0, SKIPPED);
    check(&window, "all settled", true, true);
    assert_eq!(window.take().delta.skipped, MAX_OPEN as i64);
    assert_eq!(push(&mut window, "a"), last + 1);
    check(&window, "one more", true, false);
}

#[test]
fn keys_are_those_of_objects_that_no_commit_holds() {
    let mut window = Window::new(PassKind::Full, None);
    for key in ["a", "b", "c"] {
        push(&mut window, key);
    }
    let keys = |window: &Window| [0, 1, 2, 3].map(|number| window.key(number).cloned());
    let [a, b, c] = ["a", "b", "c"].map(|key| Some(Key::from(key)));
    assert_eq!(keys(&window), [a.clone(), b.clone(), c.clone(), None]);
    window.settle(1, SKIPPED);
    assert_eq!(keys(&window), [a, b, c.clone(), None], "the first is in flight");
    window.settle(0, SKIPPED);
    assert_eq!(keys(&window), [None, None, c, None], "the first two are settled");
    // Numbers that are in a commit already, or were never given, change nothing.
    let meter = Arc::new(Progress::default()).watch(&Key::from("a"));
    window.measure(1, Arc::clone(&meter));
    window.measure(3, meter);
    for number in [0, 1, 3] {
        window.settle(number, failure());
    }
    assert!(!window.is_settled());
    let commit = window.take();
    assert_eq!(
        (commit.checkpoint, commit.delta.failed),
        (Some(Key::from("b")), 0)
    );
}

#[test]
fn a_commit_is_heavy_from_a_number_of_failures_and_resolutions_on() {
    for (name, failures, resolved, heavy) in [
        ("one failure short", 999, 0, false),
        ("failures", 1_000, 0, true),
        ("one resolution short", 0, 999, false),
        ("resolutions", 0, 1_000, true),
        ("one short of both together", 500, 499, false),
        ("both together", 500, 500, true),
        ("more resolutions than failures", 1, 999, true),
    ] {
        let mut window = Window::new(PassKind::Failed, None);
        for n in 0..failures + resolved {
            let number = push(&mut window, "a");
            let outcome = if n < failures { failure() } else { SKIPPED };
            window.settle(number, outcome);
        }
        assert_eq!(window.is_heavy(), heavy, "{name}");
        let commit = window.take();
        assert_eq!(
            (commit.failures.len(), commit.resolved.len()),
            (failures, resolved),
            "{name}"
        );
        assert!(!window.is_heavy() && !window.has_settled(), "{name}");
    }
}

#[test]
fn a_commit_is_heavy_from_a_number_of_bytes_in_both_reports_on() {
    const LINE: usize = 1 << 10;
    let lines = LINES_PER_COMMIT / LINE;
    assert_eq!(LINES_PER_COMMIT, 262_144);
    for (name, copies, missing_bytes, heavy) in [
        ("one byte short of copies", lines, 1, false),
        ("copies", lines, 0, true),
        ("one byte short of skipped ones", 0, 1, false),
        ("skipped ones", 0, 0, true),
        ("one byte short of both together", lines / 2, 1, false),
        ("both together", lines / 2, 0, true),
    ] {
        let mut window = with_lines();
        for n in 0..lines {
            let short = if n + 1 == lines { missing_bytes } else { 0 };
            // What a line has besides the name is as long for both.
            let name = "x".repeat(LINE - "1970-01-01T00:00:00Z\t\t5\tgone\n".len() - short);
            let number = push(&mut window, &name);
            let outcome = if n < copies {
                copied(5, Proof::ETag, Attributes::default())
            } else {
                Outcome::Gone
            };
            window.settle(number, outcome);
        }
        assert_eq!(window.is_heavy(), heavy, "{name}");
        let commit = window.take();
        let written = commit.success.len() + commit.skip.len();
        assert_eq!(written, LINES_PER_COMMIT - missing_bytes, "{name}");
        assert!(!window.is_heavy(), "{name}: the next commit is empty");
    }
}

#[test]
fn bytes_of_each_state_are_counted_under_their_heading() {
    let copied = copied(50, Proof::ETag, Attributes::default());
    let rows = [
        ("in flight", None, 37, 30),
        ("copied", Some(copied), 50, 0),
        ("skipped", Some(SKIPPED), 0, 0),
        ("missing", Some(Outcome::Gone), 0, 0),
        ("failed", Some(failure()), 0, 0),
        ("doubtful", Some(doubtful()), 0, 0),
    ];
    for (name, outcome, way, upload) in rows {
        let mut window = Window::new(PassKind::Full, None);
        // The first is in flight and not measured, and holds the second back.
        push(&mut window, "a");
        let number = push(&mut window, "b");
        let (progress, key) = (Arc::new(Progress::default()), Key::from("b"));
        window.measure(number, progress.watch(&key));
        progress.keep(&key, 1, 30);
        progress.flow(&key, 2).add(7);
        if let Some(outcome) = outcome {
            window.settle(number, outcome);
        }
        assert_eq!(in_flight(&window), (way, upload), "{name}");
        assert!(!window.has_settled(), "{name}");
    }
}

#[test]
fn a_commit_ends_at_the_position_of_its_last_object() {
    for (name, position, wanted) in [
        ("its own position", Some(Key::from("12")), "12"),
        ("none but its key", None, "b"),
    ] {
        let mut window = Window::new(PassKind::Full, None);
        let first = window.push_at(Key::from("a"), Some(Key::from("7")), 5, PriorCount::default());
        let last = window.push_at(Key::from("b"), position, 5, PriorCount::default());
        window.settle(first, SKIPPED);
        window.settle(last, SKIPPED);
        let commit = window.take();
        assert_eq!(commit.checkpoint, Some(Key::from(wanted)), "{name}");
        assert!(!commit.close && !window.has_settled(), "{name}");
        assert_eq!(window.take().checkpoint, None, "{name}");
    }
}

#[test]
fn lines_of_one_commit_have_one_time() {
    let now = AtomicI64::new(0);
    let clock = Clock::new(move || UnixMillis(now.fetch_add(1_000, Ordering::Relaxed)));
    let mut window = Window::new(PassKind::Full, Some(Record::new(clock)));
    let mut commit_of = |keys: &[&str]| {
        for key in keys {
            let number = push(&mut window, key);
            window.settle(number, SKIPPED);
        }
        String::from_utf8(window.take().skip).unwrap()
    };
    let line = |second: u8, key: &str| format!("1970-01-01T00:00:0{second}Z\t{key}\t5\tidentical\n");
    assert_eq!(commit_of(&["a", "b"]), [line(0, "a"), line(0, "b")].concat());
    assert_eq!(commit_of(&["c"]), line(1, "c"));
}

proptest! {
    #[test]
    fn every_object_is_counted_once_in_any_order(order in Just((0..40u64).collect::<Vec<_>>()).prop_shuffle()) {
        let mut window = Window::new(PassKind::Full, None);
        for number in 0..40 {
            prop_assert_eq!(window.push_at(Key::from(format!("{number:02}").as_str()), None, 1, PriorCount::default()), number);
        }
        let mut total = Counters::default();
        for number in order {
            window.settle(number, SKIPPED);
            let commit = window.take();
            if let Some(checkpoint) = commit.checkpoint {
                total += commit.delta;
                prop_assert_eq!(checkpoint, Key::from(format!("{:02}", total.listed - 1).as_str()));
            }
        }
        prop_assert_eq!((total.listed, total.skipped), (40, 40));
    }
}
