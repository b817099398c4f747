//! Ranges that are walked, split, stopped and shortened by deletions.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt as _;
use proptest::prelude::*;

use super::*;
use crate::engine::listing::cuts::{Answer, Search};
use crate::engine::order::{Order, OrderWatch, Step};

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nobody else holds the lock")
}

/// A shard as the ledger has it, and the feed that walks it.
struct Walker {
    position: Option<Key>,
    until: Option<Key>,
    range: Range,
    watch: OrderWatch,
    over: bool,
}

impl Walker {
    fn new(position: Option<Key>, until: Option<Key>) -> Self {
        let mut watch = OrderWatch::default();
        if let Some(position) = &position {
            watch.next(position.as_bytes());
        }
        Self {
            range: Range::new(position.as_ref(), until.clone()),
            position,
            until,
            watch,
            over: false,
        }
    }
}

/// A listing that is walked by several shards.
struct World {
    keys: Vec<Key>,
    order: Order,
    walkers: Vec<Walker>,
    seen: BTreeMap<Key, u32>,
    unclear: bool,
}

impl World {
    fn new(names: &BTreeSet<String>, order: Order) -> Self {
        let mut keys: Vec<Key> = names.iter().map(|name| Key::from(name.as_str())).collect();
        keys.sort_by(|a, b| order.compare(a.as_bytes(), b.as_bytes()));
        Self {
            keys,
            order,
            walkers: vec![Walker::new(None, None)],
            seen: BTreeMap::new(),
            unclear: false,
        }
    }

    fn after(&self, position: Option<&Key>) -> Vec<Key> {
        let behind = |key: &&Key| {
            position.is_none_or(|position| self.order.compare(position.as_bytes(), key.as_bytes()).is_lt())
        };
        self.keys.iter().filter(behind).cloned().collect()
    }

    /// One page of a shard.
    fn page(&mut self, which: usize, size: usize) {
        let which = which % self.walkers.len();
        let mut page = self.after(self.walkers[which].position.as_ref());
        page.truncate(size);
        let walker = &mut self.walkers[which];
        if walker.over {
            return;
        }
        if page.is_empty() {
            self.unclear |= now(walker.range.finish()) == Page::EndsUnclear;
            walker.over = true;
            return;
        }
        page.retain(|key| walker.watch.next(key.as_bytes()) != Step::Repeats);
        let keys: Vec<&Key> = page.iter().collect();
        let (inside, end) = now(walker.range.admit(&keys, walker.watch.orders()));
        for key in &page[..inside] {
            *self.seen.entry(key.clone()).or_default() += 1;
        }
        walker.position = page[..inside].last().cloned().or(walker.position.take());
        walker.over = end != Page::GoesOn;
        self.unclear |= end == Page::EndsUnclear;
    }

    fn split(&mut self, which: usize, wanted: usize) {
        let which = which % self.walkers.len();
        let Some(snapshot) = now(self.walkers[which].range.snapshot()) else {
            return;
        };
        let mut search = Search::new(snapshot, 0, wanted);
        loop {
            let names = search.ask();
            if names.is_empty() {
                break;
            }
            let first = |name: &Key| {
                let behind = |key: &&Key| self.order.compare(name.as_bytes(), key.as_bytes()).is_lt();
                match self.keys.iter().find(behind) {
                    Some(key) => Answer::Key(key.clone()),
                    None => Answer::Nothing,
                }
            };
            let answers = names.iter().map(first).collect();
            search.answer(answers);
        }
        let mut written = Vec::new();
        let walker = &mut self.walkers[which];
        let split = now(walker.range.cut(search.cuts(), async |cuts| {
            written = cuts.to_vec();
            Ok(Committed::Done)
        }));
        if split.unwrap() == Split::Done {
            let end = std::mem::replace(&mut walker.until, written.first().cloned());
            let ends = written.iter().skip(1).cloned().map(Some).chain([end]);
            for (start, end) in written.iter().cloned().zip(ends) {
                self.walkers.push(Walker::new(Some(start), end));
            }
        }
    }

    /// The process crashes: each shard begins again after its last key.
    fn crash(&mut self) {
        for walker in &mut self.walkers {
            if !walker.over {
                *walker = Walker::new(walker.position.clone(), walker.until.clone());
            }
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Page(which, size) => self.page(which, size),
            Act::Split(which, wanted) => self.split(which, wanted),
            Act::Crash => self.crash(),
            Act::Delete(which) if !self.keys.is_empty() => {
                let which = which % self.keys.len();
                self.keys.remove(which);
            }
            Act::Delete(_) => {}
        }
    }

    fn finish(&mut self) {
        for which in 0..self.walkers.len() {
            while !self.walkers[which].over {
                self.page(which, 3);
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Act {
    Page(usize, usize),
    Split(usize, usize),
    Crash,
    Delete(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0_usize..8, 1_usize..6).prop_map(|(which, size)| Act::Page(which, size)),
        3 => (0_usize..8, 1_usize..6).prop_map(|(which, wanted)| Act::Split(which, wanted)),
        1 => Just(Act::Crash),
        1 => any::<usize>().prop_map(Act::Delete),
    ];
    prop::collection::vec(act, 0..40)
}

fn names() -> impl Strategy<Value = BTreeSet<String>> {
    prop_oneof![
        prop::collection::btree_set("[ab/.-]{1,5}", 1..60),
        prop::collection::btree_set("(dir/){0,3}[0-9]{1,3}", 1..60),
        prop::collection::btree_set("a/b/c/d/[\u{1}é日z!]{1,3}", 1..40),
        prop::collection::btree_set("[0-9a-f]{6}", 1..60),
    ]
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Order::Bytes), Just(Order::Path)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_key_is_passed_on_once(names in names(), order in order(), acts in acts()) {
        let mut world = World::new(&names, order);
        for act in acts.into_iter().filter(|act| !matches!(act, Act::Delete(_))) {
            world.act(act);
        }
        world.finish();
        prop_assert!(!world.unclear, "no key was deleted");
        prop_assert_eq!(world.seen.len(), names.len());
        prop_assert!(world.seen.values().all(|times| *times == 1), "{:?}", world.seen);
    }

    #[test]
    fn a_deleted_key_costs_no_other_key(names in names(), order in order(), acts in acts()) {
        let mut world = World::new(&names, order);
        for act in acts {
            world.act(act);
        }
        world.finish();
        // After an unclear end everything is listed again.
        if !world.unclear {
            let twice: Vec<_> = world.seen.iter().filter(|(_, times)| **times > 1).collect();
            prop_assert!(twice.is_empty(), "{twice:?}");
            let missing: Vec<_> = world.keys.iter().filter(|key| !world.seen.contains_key(*key)).collect();
            prop_assert!(missing.is_empty(), "{missing:?}");
        }
    }
}

#[test]
fn a_cut_that_was_passed_meanwhile_is_left_out() {
    let keys: Vec<Key> = ["a", "b", "c", "d", "e", "f"].map(Key::from).into();
    let page: Vec<&Key> = keys.iter().take(3).collect();
    let range = Range::new(None, Some(Key::from("f")));
    assert!(now(range.snapshot()).is_none(), "nothing is listed yet");
    assert_eq!(now(range.admit(&page, Orders::ANY)), (3, Page::GoesOn));
    for (cuts, wanted) in [
        (&["b", "c"][..], &[][..]),
        (&["f", "g"], &[]),
        (&["b", "d", "e", "f"], &["d", "e"]),
        (&["e", "d"], &[]),
    ] {
        let mut written = Vec::new();
        let cuts: Vec<Key> = cuts.iter().map(|name| Key::from(*name)).collect();
        let split = now(range.cut(cuts, async |cuts| {
            written = cuts.to_vec();
            Ok(Committed::Done)
        }));
        let wanted: Vec<Key> = wanted.iter().map(|name| Key::from(*name)).collect();
        assert_eq!(written, wanted);
        assert_eq!(split.unwrap() == Split::Done, !wanted.is_empty());
    }
    // The end is d now.
    let rest: Vec<&Key> = keys.iter().skip(3).collect();
    assert_eq!(now(range.admit(&rest, Orders::ANY)), (1, Page::Ends));
    assert!(now(range.snapshot()).is_none(), "everything is listed");
}

#[test]
fn nothing_is_passed_on_after_a_split_that_the_ledger_may_have_written() {
    let keys: Vec<Key> = ["a", "b", "c"].map(Key::from).into();
    let range = Range::new(None, None);
    let (first, rest) = keys.split_first().unwrap();
    assert_eq!(now(range.admit(&[first], Orders::ANY)), (1, Page::GoesOn));
    let lost = now(range.cut(vec![Key::from("b")], async |_| {
        Err(crate::error::Error::new(
            crate::error::ErrorKind::Unavailable,
            "lost",
        ))
    }));
    assert!(matches!(lost, Err(PassError::Ledger(_))), "{lost:?}");
    let rest: Vec<&Key> = rest.iter().collect();
    assert!(range.admit(&rest, Orders::ANY).now_or_never().is_none());
    assert!(range.finish().now_or_never().is_none());
}

#[test]
fn time_spent_waiting_for_the_feed_is_measured() {
    let range = Range::new(None, None);
    let at = |ms| Instant::now() + Duration::from_millis(ms);
    let start = at(0);
    range.note(start, Feed::Awaited);
    range.note(start + Duration::from_millis(30), Feed::Enough);
    range.note(start + Duration::from_millis(40), Feed::Awaited);
    let waited = range.waited(start + Duration::from_millis(50));
    assert_eq!(waited, Duration::from_millis(40));
    range.note(start + Duration::from_millis(55), Feed::Enough);
    assert_eq!(
        range.waited(start + Duration::from_millis(100)),
        Duration::from_millis(5)
    );
    assert_eq!(range.waited(start + Duration::from_millis(200)), Duration::ZERO);
}

/// A range after pages of these keys.
fn listed(checkpoint: Option<&str>, until: Option<&str>, pages: &[&[&str]]) -> Range {
    let range = Range::new(checkpoint.map(Key::from).as_ref(), until.map(Key::from));
    for page in pages {
        let keys: Vec<Key> = page.iter().map(|name| Key::from(*name)).collect();
        now(range.admit(&keys.iter().collect::<Vec<_>>(), Orders::ANY));
    }
    range
}

#[test]
fn what_is_left_is_estimated_from_the_pages_until_now() {
    type Row = (
        &'static str,
        Option<&'static str>,
        Option<&'static str>,
        &'static [&'static [&'static str]],
        Option<f64>,
    );
    let rows: [Row; 7] = [
        ("nothing listed", Some("a"), Some("e"), &[], None),
        ("everything listed", Some("a"), Some("b"), &[&["b"]], None),
        ("no end", Some("a"), None, &[&["b"]], Some(f64::INFINITY)),
        ("half", Some("a"), Some("c"), &[&["b"]], Some(1.0)),
        // The first page shows that there are also c and d.
        ("a quarter", Some("a"), Some("e"), &[&["acd"], &["b"]], Some(6.0)),
        (
            "three quarters",
            Some("a"),
            Some("e"),
            &[&["abc"], &["b"], &["d"]],
            Some(1.0),
        ),
        // It began with a.
        ("next to nothing", None, Some("c"), &[&["a"]], Some(1e6)),
    ];
    for (name, checkpoint, until, pages, wanted) in rows {
        let range = listed(checkpoint, until, pages);
        assert_eq!(range.pages(), pages.len() as u64, "{name}");
        let left = range.pages_left();
        let close = match (left, wanted) {
            (Some(left), Some(wanted)) => left == wanted || (left - wanted).abs() < 1e-6,
            (left, wanted) => left == wanted,
        };
        assert!(close, "{name}: {left:?}");
    }
}

#[test]
fn the_first_pages_of_a_range_are_studied() {
    for (name, pages, letters) in [
        ("none", &[][..], ""),
        ("one of two keys", &[&["a", "b"][..]], "ab"),
        ("four", &[&["a"], &["b"], &["c"], &["d"]], "abcd"),
        ("five", &[&["a"], &["b"], &["c"], &["d"], &["e"]], "abcd"),
    ] {
        let range = listed(None, Some("y"), pages);
        let mut wanted = Alphabet::default();
        wanted.note(letters.as_bytes());
        let found = now(range.state.lock()).alphabet.clone();
        assert_eq!(format!("{found:?}"), format!("{wanted:?}"), "{name}");
    }
}

#[test]
fn a_key_is_behind_a_range_if_it_is_in_each_possible_order() {
    for (name, until, key, orders, wanted) in [
        ("no end", None, "z", Orders::ANY, false),
        ("before the end", Some("b"), "a", Orders::ANY, false),
        ("the end", Some("b"), "b", Orders::ANY, false),
        ("behind it", Some("b"), "c", Orders::ANY, true),
        ("behind it by path only", Some("a/1"), "a!", Orders::ANY, false),
        (
            "behind it by the path of a listing",
            Some("a/1"),
            "a!",
            Orders::PATH,
            true,
        ),
        ("before it by bytes", Some("a/1"), "a!", Orders::BYTES, false),
    ] {
        let range = Range::new(None, until.map(Key::from));
        assert_eq!(range.is_behind(key.as_bytes(), orders), wanted, "{name}");
    }
}

#[test]
fn an_end_is_clear_unless_a_key_may_have_been_behind_it() {
    // The end a/1 is deleted. By bytes a! comes before it, and by path behind it; with a0 it is neither.
    for (name, checkpoint, until, page, orders, wanted) in [
        ("surely before", None, "a/1", &["a"][..], Orders::ANY, Page::Ends),
        (
            "behind by path, any order",
            None,
            "a/1",
            &["a!"],
            Orders::ANY,
            Page::EndsUnclear,
        ),
        (
            "behind by path, by bytes",
            None,
            "a/1",
            &["a!"],
            Orders::BYTES,
            Page::Ends,
        ),
        (
            "behind by bytes, any order",
            None,
            "a!",
            &["a/1"],
            Orders::ANY,
            Page::EndsUnclear,
        ),
        (
            "behind by bytes, by path",
            None,
            "a!",
            &["a/1"],
            Orders::PATH,
            Page::Ends,
        ),
        (
            "shown by the checkpoint",
            Some("a!"),
            "a/1",
            &["a!1"],
            Orders::ANY,
            Page::EndsUnclear,
        ),
        (
            "before and behind",
            None,
            "a/1",
            &["a!", "a"],
            Orders::ANY,
            Page::EndsUnclear,
        ),
        (
            "two that are not clear",
            None,
            "a/1",
            &["a!", "a!1"],
            Orders::ANY,
            Page::EndsUnclear,
        ),
        ("nothing", None, "a/1", &[], Orders::ANY, Page::Ends),
    ] {
        let range = Range::new(checkpoint.map(Key::from).as_ref(), Some(Key::from(until)));
        let keys: Vec<Key> = page.iter().map(|name| Key::from(*name)).collect();
        let keys: Vec<&Key> = keys.iter().collect();
        assert_eq!(
            now(range.admit(&keys, orders)),
            (keys.len(), Page::GoesOn),
            "{name}"
        );
        let behind = Key::from("b");
        assert_eq!(now(range.admit(&[&behind], orders)), (0, wanted), "{name}");
        assert_eq!(now(range.finish()), wanted, "{name}");
        assert!(now(range.snapshot()).is_none(), "{name}");
    }
}

#[test]
fn a_split_knows_what_was_listed_and_what_is_left() {
    for (name, checkpoint, until, pages, wanted) in [
        ("nothing listed", Some("a"), Some("d"), &[][..], None),
        ("an empty page", Some("a"), Some("d"), &[&[][..]], None),
        (
            "one page",
            Some("a"),
            Some("d"),
            &[&["b", "c"]],
            Some(("c", "bc")),
        ),
        ("two pages", None, Some("d"), &[&["a"], &["b"]], Some(("b", "ab"))),
        ("no end", None, None, &[&["a"]], Some(("a", "a"))),
        ("the last key", None, Some("d"), &[&["c", "d"]], None),
    ] {
        let range = listed(checkpoint, until, pages);
        let found = now(range.snapshot()).map(|snapshot| {
            assert_eq!(snapshot.until, until.map(Key::from), "{name}");
            assert_eq!(snapshot.orders, Orders::ANY, "{name}");
            (snapshot.listed, format!("{:?}", snapshot.alphabet))
        });
        let wanted = wanted.map(|(last, letters)| {
            let mut alphabet = Alphabet::default();
            alphabet.note(letters.as_bytes());
            (Key::from(last), format!("{alphabet:?}"))
        });
        assert_eq!(found, wanted, "{name}");
    }
}
