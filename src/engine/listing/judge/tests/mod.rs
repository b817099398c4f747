//! Tests the judge against stores with all kinds of deviations. Each store is a function from a request to a page.

mod script;

use Quirk as Q;
use proptest::prelude::*;

use self::script::{Quirk, Script};
use super::*;
use crate::engine::order::Order;

/// Walks a listing as the engine does, with pages in pieces of `piece` entries.
fn walk(script: &mut Script, prefix: &str, from: ListFrom, piece: usize) -> Result<Vec<String>> {
    let mut walk = Walk::new(Key::from(prefix), from, ListVersion::V2);
    let mut found = Vec::new();
    for _ in 0..20_000 {
        let query = walk.query();
        let next = match script.list(&query) {
            Err(error) => walk.refused(error)?,
            Ok((entries, facts)) => match read(&mut walk, &entries, piece, &facts, &mut found) {
                Ok(()) => walk.next(facts)?,
                Err(why) => walk.doubted(why)?,
            },
        };
        if next == Next::Done {
            found.extend(walk.rest());
            let keys = found.into_iter().map(|line| line.key.lossy().into_owned());
            return Ok(keys.collect());
        }
    }
    panic!("the listing has no end");
}

fn read(
    walk: &mut Walk,
    entries: &[ListingEntry],
    piece: usize,
    facts: &PageFacts,
    found: &mut Vec<ListingEntry>,
) -> Result<()> {
    let mut pending: Option<Vec<ListingEntry>> = None;
    for entries in entries.chunks(piece) {
        walk.look_at(entries)?;
        if let Some(mut before) = pending.replace(entries.to_vec()) {
            walk.settle(&mut before);
            found.append(&mut before);
        }
    }
    walk.weigh(facts)?;
    if let Some(mut last) = pending {
        walk.settle(&mut last);
        found.append(&mut last);
    }
    Ok(())
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("k{i:05}")).collect()
}

/// What happens when everything is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// All keys are listed once, with this number of requests.
    All(usize),
    /// An error.
    Loud,
}

use Outcome::{All, Loud};

#[test]
fn odd_stores_are_listed_whole_or_end_aloud() {
    let thousands = numbered(2500);
    let full = numbered(2000);
    let few = numbered(25);
    let spaced: Vec<String> = (0..25).map(|i| format!("a {}%20{i:03}", i % 3)).collect();
    let folders: Vec<String> = (0..25).map(|i| format!("a{}/x{}!{i}", i % 5, i % 3)).collect();
    let lengths: Vec<String> = (0..25).map(|i| "x".repeat(1 + i * 7 % 25)).collect();
    type Row<'a> = (&'a str, &'a [String], usize, &'a [Quirk], Outcome);
    let rows: &[Row<'_>] = &[
        ("as S3 documents", &thousands, 1000, &[], All(3)),
        ("the last page is full", &full, 1000, &[], All(3)),
        ("never truncated", &thousands, 1000, &[Q::NeverTruncated], All(3)),
        (
            "never truncated, the last is full",
            &full,
            1000,
            &[Q::NeverTruncated],
            All(3),
        ),
        (
            "never truncated, marker only",
            &thousands,
            1000,
            &[Q::NeverTruncated, Q::IgnoresStartAfter],
            All(4),
        ),
        (
            "never truncated, 500 to start-after",
            &thousands,
            1000,
            &[Q::NeverTruncated, Q::RefusesStartAfter],
            All(4),
        ),
        (
            "never truncated, nothing leads on",
            &thousands,
            1000,
            &[Q::NeverTruncated, Q::IgnoresStartAfter, Q::IgnoresMarker],
            Loud,
        ),
        ("small pages that say so", &few, 10, &[Q::SmallPages], All(3)),
        ("IsTruncated missing", &few, 10, &[Q::NoIsTruncated], All(4)),
        ("no token", &few, 10, &[Q::NoToken], All(3)),
        (
            "no token, marker only",
            &few,
            10,
            &[Q::NoToken, Q::IgnoresStartAfter],
            All(4),
        ),
        ("tokens ignored", &few, 10, &[Q::IgnoresTokens], All(4)),
        ("pages repeated", &few, 10, &[Q::RepeatsPages], All(4)),
        ("pages begin too early", &few, 10, &[Q::Rewinds], All(4)),
        (
            "tokens in the wrong encoding",
            &spaced,
            10,
            &[Q::EncodedToken],
            All(3),
        ),
        (
            "begins with the key itself",
            &few,
            10,
            &[Q::Inclusive, Q::RefusesV2],
            All(4),
        ),
        ("a token at the end", &few, 10, &[Q::TokenAtTheEnd], All(4)),
        ("empty pages", &few, 10, &[Q::EmptyPages], All(5)),
        ("version 2 refused", &few, 10, &[Q::RefusesV2], All(4)),
        (
            "version 2 answered as version 1",
            &few,
            10,
            &[Q::AnswersV1],
            All(3),
        ),
        (
            "NextMarker is the next key",
            &few,
            10,
            &[Q::RefusesV2, Q::MarkerIsNext],
            All(4),
        ),
        (
            "NextMarker in the wrong encoding",
            &spaced,
            10,
            &[Q::RefusesV2, Q::MarkerEncoded],
            All(4),
        ),
        (
            "version 1 ignores markers",
            &few,
            10,
            &[Q::RefusesV2, Q::IgnoresMarker],
            Loud,
        ),
        ("groups keys in version 2", &folders, 10, &[Q::Groups], All(4)),
        ("groups keys", &folders, 10, &[Q::GroupsAlways], Loud),
        ("counts more than it names", &few, 10, &[Q::CountsMore], All(4)),
        ("everything in one page", &few, 10, &[Q::OnePage], All(1)),
        (
            "everything in one page of many",
            &thousands,
            1000,
            &[Q::OnePage],
            All(2),
        ),
        (
            "everything in one page, whatever is asked",
            &thousands,
            1000,
            &[
                Q::OnePage,
                Q::IgnoresStartAfter,
                Q::IgnoresMarker,
                Q::IgnoresTokens,
            ],
            All(3),
        ),
        ("by folders", &folders, 10, &[Q::ByPath], All(3)),
        ("in no order", &lengths, 10, &[Q::ByLength], All(3)),
        (
            "in no order, never truncated",
            &lengths,
            5,
            &[Q::ByLength, Q::SmallPages],
            All(6),
        ),
    ];
    for (name, keys, page, quirks, wanted) in rows {
        for piece in [1000, 7] {
            let mut script = Script::new(keys, *page, quirks);
            let found = walk(&mut script, "", ListFrom::Start, piece);
            match (found, wanted) {
                (Err(error), Loud) => assert!(error.message().len() > 20, "{name}: {error}"),
                (Ok(found), All(requests)) => {
                    let mut found = found;
                    let mut all = script.keys.clone();
                    found.sort();
                    all.sort();
                    assert_eq!(found, all, "{name} {piece}");
                    assert_eq!(script.requests, *requests, "{name} {piece}");
                }
                // A page that was passed on in part cannot be requested again.
                (Err(_), All(_))
                    if piece == 7 && (quirks.contains(&Q::Groups) || quirks.contains(&Q::CountsMore)) => {}
                (found, wanted) => panic!("{name} {piece}: {found:?}, not {wanted:?}"),
            }
        }
    }
}

/// A resumed listing gives exactly what is after the checkpoint, even if the checkpoint's key was deleted.
#[test]
fn a_listing_is_resumed_behind_its_checkpoint() {
    let mut keys = numbered(25);
    keys.extend((0..20).map(|i| format!("m/{i}")));
    keys.extend((0..20).map(|i| format!("m!{i}")));
    for quirks in [
        &[][..],
        &[Q::IgnoresStartAfter],
        &[Q::RefusesStartAfter],
        &[Q::IgnoresStartAfter, Q::IgnoresMarker],
        &[Q::RefusesStartAfter, Q::IgnoresMarker],
        &[Q::RefusesV2],
        &[Q::AnswersV1],
        &[Q::OnePage, Q::IgnoresStartAfter, Q::IgnoresMarker],
        &[Q::NeverTruncated, Q::SmallPages],
        &[Q::ByPath, Q::IgnoresStartAfter, Q::IgnoresMarker],
        &[Q::ByPath, Q::IgnoresStartAfter],
        &[Q::EmptyPages],
        &[Q::Inclusive],
        &[Q::Inclusive, Q::RefusesV2],
        &[Q::Rewinds, Q::IgnoresStartAfter, Q::IgnoresMarker],
    ] {
        let all = Script::new(&keys, 10, quirks).keys;
        for (at, key) in all.iter().enumerate() {
            for deleted in [false, true] {
                let mut script = Script::new(&keys, 10, quirks);
                if deleted {
                    script.keys.remove(at);
                }
                let found = walk(&mut script, "", ListFrom::After(Key::from(key.as_str())), 1000).unwrap();
                assert_eq!(
                    found,
                    all[at + 1..],
                    "{quirks:?} behind {key}, deleted: {deleted}"
                );
            }
        }
    }
}

#[test]
fn what_lies_outside_the_prefix_is_not_taken() {
    let keys: Vec<String> = ["a/1", "a/2", "b/1", "b/2", "c"].map(str::to_owned).to_vec();
    for (quirks, wanted) in [
        (&[][..], Some(vec!["b/1", "b/2"])),
        (&[Q::IgnoresPrefix], Some(vec!["b/1", "b/2"])),
        (&[Q::IgnoresPrefixAlways], None),
    ] {
        let found = walk(&mut Script::new(&keys, 10, quirks), "b/", ListFrom::Start, 1000);
        assert_eq!(
            found.ok(),
            wanted.map(|keys| keys.iter().map(|k| (*k).to_owned()).collect()),
            "{quirks:?}"
        );
    }
}

#[test]
fn an_endless_listing_of_overlong_keys_ends() {
    let mut walk = Walk::new(Key::from(""), ListFrom::Start, ListVersion::V2);
    let mut pages = 0;
    let error = loop {
        walk.query();
        let mut piece: Vec<ListingEntry> = (0..100)
            .map(|i| ListingEntry {
                key: Key::from(format!("k{:06}", pages * 100 + i).as_str()),
                facts: EntryFacts::KeyTooLong { bytes: 20_000 },
            })
            .collect();
        if let Err(error) = walk.look_at(&piece) {
            break error;
        }
        walk.settle(&mut piece);
        pages += 1;
        let facts = PageFacts {
            truncated: Some(true),
            token: Some(format!("t{pages}")),
            ..PageFacts::default()
        };
        assert_eq!(walk.next(facts).unwrap(), Next::Page);
    };
    assert_eq!((pages, error.kind()), (10, ErrorKind::Integrity));
}

#[test]
fn circles_of_any_length_are_found_and_progress_is_not_one() {
    let at = |n: u64| ListFrom::Token(n.to_string());
    for (lead, length) in [(0, 1), (0, 2), (5, 3), (100, 17)] {
        let mut positions = Positions::default();
        let mut walk = (0..lead).chain((lead..lead + length).cycle());
        let pages = walk.position(|n| positions.repeats(&at(n)));
        assert!(
            pages.is_some_and(|pages| pages as u64 <= 4 * (lead + length)),
            "{lead} {length}"
        );
    }
    let mut positions = Positions::default();
    assert!((0..10_000).all(|n| !positions.repeats(&at(n))));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a store does wrong, no visible key is lost without an error, and no key is passed on twice.
    #[test]
    fn nothing_is_lost_in_silence(
        keys in proptest::collection::btree_set("[ab/!%]{1,4}", 0..60),
        page in 1_usize..12,
        piece in 1_usize..12,
        quirks in proptest::collection::vec(proptest::sample::select(vec![
            Q::SmallPages, Q::Inclusive, Q::NoIsTruncated, Q::NoToken, Q::IgnoresTokens, Q::RepeatsPages, Q::Rewinds,
            Q::IgnoresStartAfter, Q::RefusesStartAfter, Q::IgnoresMarker, Q::MarkerIsNext, Q::RefusesV2, Q::AnswersV1,
            Q::Groups, Q::IgnoresPrefix, Q::OnePage, Q::TokenAtTheEnd, Q::ByPath, Q::EmptyPages,
        ]), 0..4),
        behind in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let keys: Vec<String> = keys.into_iter().collect();
        let mut script = Script::new(&keys, page, &quirks);
        let all = script.keys.clone();
        let at = behind.filter(|_| !all.is_empty()).map(|behind| behind.index(all.len()));
        let from = at.map_or(ListFrom::Start, |at| ListFrom::After(Key::from(all[at].as_str())));
        if let Ok(found) = walk(&mut script, "", from, piece) {
            let wanted = &all[at.map_or(0, |at| at + 1)..];
            let mut by_path = script.keys.clone();
            by_path.sort_by(|a, b| Order::Path.compare(a.as_bytes(), b.as_bytes()));
            let mut by_bytes = script.keys.clone();
            by_bytes.sort();
            if by_path == by_bytes {
                prop_assert_eq!(found.as_slice(), wanted, "{:?}", quirks);
            }
            // If the store's order cannot be determined, a key may be passed on again rather than left out.
            for key in wanted {
                prop_assert!(found.contains(key), "{} {:?}", key, quirks);
            }
        }
    }
}
