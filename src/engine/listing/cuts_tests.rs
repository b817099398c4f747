//! Cuts in buckets whose keys are distributed in every way.

use super::*;
use crate::engine::listing::alphabet::Alphabet;
use crate::engine::order::{Order, Orders};

/// A store with these keys. Counts the requests and the rounds of a search.
struct Store {
    keys: Vec<String>,
    order: Order,
    requests: usize,
    rounds: usize,
}

impl Store {
    fn new(mut keys: Vec<String>, order: Order) -> Self {
        keys.sort_by(|a, b| order.compare(a.as_bytes(), b.as_bytes()));
        keys.dedup();
        Self {
            keys,
            order,
            requests: 0,
            rounds: 0,
        }
    }

    fn first_after(&self, name: &Key) -> Answer {
        let after = |key: &&String| self.order.compare(key.as_bytes(), name.as_bytes()).is_gt();
        match self.keys.iter().find(after) {
            Some(key) => Answer::Key(Key::from(key.as_str())),
            None => Answer::Nothing,
        }
    }

    /// Searches for cuts behind the first `listed` keys.
    fn cuts(&mut self, prefix: &str, listed: usize, until: Option<&str>, wanted: usize) -> Vec<Key> {
        let mut alphabet = Alphabet::default();
        for key in &self.keys[..listed] {
            alphabet.note(key.as_bytes());
        }
        let from = Snapshot {
            listed: Key::from(self.keys[listed - 1].as_str()),
            until: until.map(Key::from),
            orders: Orders::ANY,
            alphabet,
        };
        let mut search = Search::new(from, prefix.len(), wanted);
        loop {
            let names = search.ask();
            if names.is_empty() {
                return search.cuts();
            }
            assert!(
                names
                    .iter()
                    .all(|name| name.as_bytes().starts_with(prefix.as_bytes())),
                "{names:?}"
            );
            self.rounds += 1;
            self.requests += names.len();
            let answers = names.iter().map(|name| self.first_after(name)).collect();
            search.answer(answers);
        }
    }

    /// How many keys there are up to this one.
    fn place(&self, key: &Key) -> usize {
        let here = |one: &String| one.as_bytes() == key.as_bytes();
        self.keys.iter().position(here).unwrap() + 1
    }

    /// How many keys the largest range has, in per cent of what is left.
    fn largest(&self, listed: usize, cuts: &[Key]) -> usize {
        let place = |key: &Key| self.place(key);
        let ends: Vec<usize> = cuts.iter().map(place).chain([self.keys.len()]).collect();
        let starts = [listed].into_iter().chain(cuts.iter().map(place));
        let most = starts
            .zip(&ends)
            .map(|(start, end)| end - start)
            .max()
            .unwrap_or_default();
        most * 100 / (self.keys.len() - listed)
    }
}

fn numbered(count: usize, name: impl Fn(usize) -> String) -> Vec<String> {
    (0..count).map(name).collect()
}

/// Looks random, and is the same each time.
fn mixed(n: usize) -> u64 {
    (n as u64 + 1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(29)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// Names as buckets have them: folders of different depth and different size.
fn real(n: usize) -> String {
    match n % 10 {
        0..=3 => format!(
            "logs/2026/m{:02}/d{:02}/f{n:08}.json",
            n / 10 % 12 + 1,
            n / 120 % 28 + 1
        ),
        4..=6 => format!("img/{:02x}/{:02x}/f{n:08}.jpg", mixed(n) & 15, mixed(n) >> 4 & 15),
        7 | 8 => format!("users/u{:03}/f{n:08}.dat", mixed(n) % 500),
        _ => format!("f{n:08}.bin"),
    }
}

#[test]
fn keys_of_any_kind_are_cut_into_ranges_of_some_use() {
    let long = "x/".repeat(400);
    let dates = |n: usize| {
        format!(
            "{}/{:02}/{:02}/{n:05}",
            2015 + n % 10,
            n / 10 % 12 + 1,
            n / 120 % 28 + 1
        )
    };
    for (name, keys, prefix, listed, largest) in [
        (
            "numbers",
            numbered(20_000, |n| format!("list/{n:06}")),
            "",
            1_000,
            15,
        ),
        (
            "few of many numbers",
            numbered(20_000, |n| format!("list/{n:012}")),
            "list/",
            1_000,
            15,
        ),
        (
            "hexadecimal",
            numbered(20_000, |n| format!("{:016x}", mixed(n))),
            "",
            1_000,
            12,
        ),
        (
            "UUIDs",
            numbered(20_000, |n| {
                format!("u/{:08x}-{:04x}", mixed(n) >> 32, mixed(n) & 0xffff)
            }),
            "u/",
            1_000,
            12,
        ),
        ("dates", numbered(20_000, dates), "", 1_000, 35),
        (
            "below a long prefix",
            numbered(20_000, |n| format!("{long}{n:05}")),
            "",
            1_000,
            20,
        ),
        (
            "words",
            numbered(20_000, |n| {
                format!("{}-{}", ["alpha", "beta", "gamma", "omega"][n % 4], mixed(n))
            }),
            "",
            1_000,
            50,
        ),
        (
            "Unicode",
            numbered(20_000, |n| {
                format!(
                    "日本/{}{}",
                    char::from_u32(0x4e00 + (mixed(n) % 5_000) as u32).unwrap(),
                    n
                )
            }),
            "",
            1_000,
            30,
        ),
        ("folders of a real bucket", numbered(20_000, real), "", 1_000, 60),
        (
            "control characters",
            numbered(5_000, |n| {
                format!(
                    "\u{1}\u{2}{}\u{7f}{n:04}",
                    char::from(u8::try_from(n % 30 + 1).unwrap())
                )
            }),
            "",
            300,
            30,
        ),
        (
            "a few behind the first page",
            numbered(1_010, |n| format!("{n:04}")),
            "",
            1_000,
            60,
        ),
        (
            "most keys in one place",
            numbered(20_000, |n| {
                if n % 100 < 97 {
                    format!("logs/2024/{n:06}")
                } else {
                    format!("{:x}", mixed(n))
                }
            }),
            "",
            1_000,
            100,
        ),
    ] {
        for order in [Order::Bytes, Order::Path] {
            let mut store = Store::new(keys.clone(), order);
            let cuts = store.cuts(prefix, listed, None, 15);
            assert!(!cuts.is_empty() && cuts.len() <= 15, "{name} {order:?}: {cuts:?}");
            assert!(
                store.requests <= 130,
                "{name} {order:?}: {} requests",
                store.requests
            );
            assert!(store.rounds <= 7, "{name} {order:?}: {} rounds", store.rounds);
            let found = store.largest(listed, &cuts);
            assert!(
                found <= largest,
                "{name} {order:?}: the largest range has {found} % of the keys: {cuts:?}"
            );
        }
    }
}

#[test]
fn a_range_with_an_end_is_cut_between_its_keys() {
    let mut store = Store::new(numbered(10_000, |n| format!("k{n:05}")), Order::Bytes);
    let cuts = store.cuts("", 100, Some("k05000"), 3);
    assert_eq!(cuts.len(), 3);
    assert!(
        cuts.iter()
            .all(|cut| *cut > Key::from("k00099") && *cut < Key::from("k05000")),
        "{cuts:?}"
    );
    assert!(store.requests <= 16);
}

#[test]
fn what_cannot_be_cut_takes_few_requests() {
    for (name, keys, listed, until) in [
        ("all is listed", numbered(500, |n| format!("{n:03}")), 500, None),
        (
            "one key is left",
            numbered(501, |n| format!("{n:03}")),
            500,
            Some("500"),
        ),
        (
            "nothing is between",
            vec!["a".to_owned(), "b".to_owned()],
            1,
            Some("b"),
        ),
        ("one letter", vec!["a".to_owned()], 1, None),
    ] {
        let mut store = Store::new(keys, Order::Bytes);
        let cuts = store.cuts("", listed, until, 15);
        assert_eq!(cuts, [], "{name}");
        assert!(store.requests <= 40, "{name}: {}", store.requests);
    }
}

#[test]
fn a_store_that_answers_anything_ends_the_search() {
    for seed in 0..200 {
        let from = Snapshot {
            listed: Key::from("list/000999"),
            until: (seed % 2 == 0).then(|| Key::from("m")),
            orders: Orders::ANY,
            alphabet: Alphabet::default(),
        };
        let mut search = Search::new(from, 0, 15);
        let mut rounds = 0;
        loop {
            let names = search.ask();
            if names.is_empty() {
                break;
            }
            rounds += 1;
            assert!(rounds <= 40, "{seed}");
            let answer = |index: usize| match mixed(seed * 1_000 + rounds * 20 + index) % 3 {
                0 => Answer::Nothing,
                one => Answer::Key(Key::from(
                    format!(
                        "{}{:x}",
                        ["", "list/"][usize::try_from(one).unwrap() - 1],
                        mixed(index)
                    )
                    .as_str(),
                )),
            };
            let answers = (0..names.len()).map(answer).collect();
            search.answer(answers);
        }
        assert!(search.cuts().is_sorted_by(|a, b| a < b));
    }
}

/// A range is split again and again, like its parts, until there are enough. Each split knows only its own range.
#[test]
fn repeated_splits_even_out_what_one_split_cannot() {
    let mut store = Store::new(numbered(50_000, real), Order::Bytes);
    let mut cuts = store.cuts("", 1_000, None, 15);
    for _ in 0..2 {
        let ends = cuts.clone();
        for (index, start) in ends.iter().enumerate() {
            let listed = store.place(start) + 100;
            let until = ends.get(index + 1).map(|key| key.lossy().into_owned());
            if until.as_ref().is_none_or(|until| store.keys[listed] < *until) {
                cuts.extend(store.cuts("", listed, until.as_deref(), 4));
            }
        }
        cuts.sort();
    }
    let largest = store.largest(1_000, &cuts);
    let ranges = cuts.len();
    assert!(
        largest <= 15,
        "the largest of {ranges} ranges has {largest} %: {cuts:?}"
    );
}
