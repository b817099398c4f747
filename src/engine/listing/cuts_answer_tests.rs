//! What a search for cuts makes of answers, round by round.

use super::*;
use crate::engine::listing::alphabet::Alphabet;
use crate::engine::order::Orders;

/// A search behind `0` in a range up to `8`, whose keys consist of these digits. It is in a step and has found some keys already.
fn search_at(step: Step, found: &[&str], wanted: usize) -> Search {
    let mut alphabet = Alphabet::default();
    alphabet.note(b"0123456789");
    let from = Snapshot {
        listed: Key::from("0"),
        until: Some(Key::from("8")),
        orders: Orders::ANY,
        alphabet,
    };
    Search {
        step,
        found: found.iter().map(|name| Key::from(*name)).collect(),
        ..Search::new(from, 0, wanted)
    }
}

#[test]
fn the_answers_of_a_round_say_what_follows() {
    let divide = |rounds| Step::Divide { common: 0, rounds };
    let refine = |rounds| Step::Refine { common: 0, rounds };
    // Name, step, keys found before, how many are wanted, answers (- for none), next step, keys found.
    type Row<'a> = (&'a str, Step, &'a [&'a str], usize, &'a str, Step, &'a [&'a str]);
    let rows: [Row<'_>; 16] = [
        (
            "enough",
            divide(3),
            &[],
            2,
            "1234",
            Step::Done,
            &["1", "2", "3", "4"],
        ),
        (
            "a quarter is beyond the keys",
            divide(3),
            &[],
            2,
            "123-",
            Step::Done,
            &["1", "2", "3"],
        ),
        (
            "more than a quarter",
            divide(3),
            &[],
            2,
            "12--",
            divide(2),
            &["1", "2"],
        ),
        (
            "two of seven",
            divide(2),
            &[],
            2,
            "12345--",
            divide(1),
            &["1", "2", "3", "4", "5"],
        ),
        (
            "beyond in the last round",
            divide(1),
            &[],
            2,
            "12--",
            Step::Done,
            &["1", "2"],
        ),
        (
            "too few in the last round",
            divide(1),
            &[],
            2,
            "1---",
            refine(3),
            &["1"],
        ),
        ("too few", divide(3), &[], 3, "12", refine(3), &["1", "2"]),
        (
            "never more than three",
            divide(3),
            &[],
            9,
            "123",
            Step::Done,
            &["1", "2", "3"],
        ),
        (
            "one key again and again",
            divide(3),
            &[],
            2,
            "1111",
            refine(3),
            &["1"],
        ),
        (
            "what an earlier round found",
            divide(3),
            &["1", "2"],
            2,
            "4",
            refine(3),
            &["4"],
        ),
        ("another key", refine(3), &["4"], 3, "42", refine(2), &["2", "4"]),
        (
            "another key in the last round",
            refine(1),
            &["4"],
            3,
            "42",
            Step::Done,
            &["2", "4"],
        ),
        (
            "another key in the round before",
            refine(2),
            &["4"],
            3,
            "42",
            refine(1),
            &["2", "4"],
        ),
        ("no other key", refine(3), &["4"], 3, "4-", Step::Done, &["4"]),
        (
            "enough of them",
            refine(3),
            &["4"],
            2,
            "42",
            Step::Done,
            &["2", "4"],
        ),
        ("behind the range", refine(3), &["4"], 2, "9", Step::Done, &["4"]),
    ];
    for (name, step, found, wanted, answers, next, keys) in rows {
        let mut search = search_at(step, found, wanted);
        let answers: Vec<Answer> = answers
            .chars()
            .map(|answer| match answer {
                '-' => Answer::Nothing,
                key => Answer::Key(Key::from(key.to_string().as_str())),
            })
            .collect();
        search.asked = named(answers.iter().map(|_| b"5".to_vec()));
        search.answer(answers);
        assert_eq!(search.step, next, "{name}");
        let keys: Vec<Key> = keys.iter().map(|key| Key::from(*key)).collect();
        assert_eq!(search.found, keys, "{name}");
    }
}

#[test]
fn what_lies_between_found_keys_is_asked_for() {
    let refine = Step::Refine { common: 0, rounds: 3 };
    for (name, found, until, empty_after, wanted) in [
        (
            "nothing found",
            &[][..],
            "7",
            None,
            &["1", "2", "3", "4", "5", "6"][..],
        ),
        ("one key", &["4"], "8", None, &["1", "2", "3", "5", "6", "7"]),
        (
            "two keys",
            &["3", "6"],
            "9",
            None,
            &["1", "2", "4", "5", "7", "8"],
        ),
        ("three keys", &["2", "4", "6"], "8", None, &["1", "3", "5", "7"]),
        (
            "no key after a name",
            &["4"],
            "9",
            Some("8"),
            &["1", "2", "3", "5", "6", "7"],
        ),
    ] {
        let mut search = search_at(refine, found, 2);
        search.from.until = Some(Key::from(until));
        search.empty_after = empty_after.map(|name: &str| name.as_bytes().to_vec());
        let names: Vec<String> = search
            .ask()
            .iter()
            .map(|name| name.lossy().into_owned())
            .collect();
        assert_eq!(names, wanted, "{name}");
    }
}

#[test]
fn answers_about_beginnings_bound_what_all_keys_share() {
    // Depth and answer of each name, then the bounds and the keys found. The last listed key is 00000.
    type Row<'a> = (&'a str, &'a [(usize, &'a str)], (usize, usize), &'a [&'a str]);
    let rows: [Row<'_>; 6] = [
        ("nothing", &[(0, "-")], (1, 5), &[]),
        ("nothing anywhere", &[(0, "-"), (4, "-")], (5, 5), &[]),
        ("a key at the first", &[(0, "1"), (2, "001")], (0, 0), &["1"]),
        (
            "a key after nothing",
            &[(0, "-"), (2, "001"), (3, "0001")],
            (1, 2),
            &["001"],
        ),
        (
            "a key at the last",
            &[(0, "-"), (2, "-"), (4, "00001")],
            (3, 4),
            &["00001"],
        ),
        // Only if keys are deleted in between.
        (
            "a contradiction",
            &[(1, "01"), (2, "-"), (3, "0001")],
            (3, 3),
            &["01"],
        ),
    ];
    for (name, answers, (low, high), keys) in rows {
        let mut search = search_at(Step::Common { low: 0, high: 5 }, &[], 2);
        search.from.listed = Key::from("00000");
        let asked = |depth| Asked {
            name: Vec::new(),
            depth,
        };
        search.asked = answers.iter().map(|(depth, _)| asked(*depth)).collect();
        let answer = |answer: &str| match answer {
            "-" => Answer::Nothing,
            key => Answer::Key(Key::from(key)),
        };
        search.answer(answers.iter().map(|(_, key)| answer(key)).collect());
        assert_eq!(search.step, Step::Common { low, high }, "{name}");
        let keys: Vec<Key> = keys.iter().map(|key| Key::from(*key)).collect();
        assert_eq!(search.found, keys, "{name}");
    }
}
