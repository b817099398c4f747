//! The bytes that keys consist of, and keys as numbers in that alphabet. Pure.
//!
//! A key between two others is found by arithmetic: what follows their common beginning is read as a fraction whose digits are the
//! bytes of the alphabet. Bytes that no key has are no digits, so an even division of the numbers meets keys of any alphabet.

/// Digits of a fraction. 256 possible bytes and the end of a key are 257 values, and 257⁸ is below 2⁶⁵.
const DIGITS: u32 = 8;

/// So many known bytes are enough to divide what lies between two others.
const FEW: usize = 8;
/// Bytes that are added if there are fewer.
const SOME: usize = 16;

/// The bytes that keys consist of.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Alphabet([bool; 256]);

impl Default for Alphabet {
    fn default() -> Self {
        Self([false; 256])
    }
}

impl Alphabet {
    /// Adds the bytes of a key.
    pub(in crate::engine) fn note(&mut self, key: &[u8]) {
        for byte in key {
            self.0[usize::from(*byte)] = true;
        }
    }

    fn digits(&self) -> Vec<u8> {
        (0..=u8::MAX).filter(|byte| self.0[usize::from(*byte)]).collect()
    }

    /// Adds some bytes between two others, if few are known there: keys that were not seen yet may begin with any of them.
    fn widen(&mut self, low: u8, high: u8) {
        let between = usize::from(low) + 1..usize::from(high);
        if self
            .0
            .get(between.clone())
            .is_some_and(|known| known.iter().filter(|known| **known).count() < FEW)
        {
            let step = (between.len() / SOME).max(1);
            for byte in between.step_by(step) {
                self.0[byte] = true;
            }
        }
    }

    /// At most `most` names that divide what lies between `after` and `until` evenly, in ascending order; `None` is the end of all
    /// names that begin with the first `common` bytes of `after`. There need not be keys of these names.
    pub(in crate::engine) fn between(
        &self,
        after: &[u8],
        until: Option<&[u8]>,
        common: usize,
        most: usize,
    ) -> Vec<Vec<u8>> {
        let mut known = self.clone();
        let shared = match until {
            Some(until) => after.iter().zip(until).take_while(|(a, b)| a == b).count(),
            None => common.min(after.len()),
        };
        known.note(&after[shared..]);
        known.note(until.map_or(&[][..], |until| &until[shared.min(until.len())..]));
        known.widen(
            after.get(shared).copied().unwrap_or(0),
            until.map_or(u8::MAX, |until| until.get(shared).copied().unwrap_or(0)),
        );
        let digits = known.digits();
        let base = digits.len() as u128 + 1;
        let low = number(&after[shared..], &digits, base);
        let high = match until {
            Some(until) => number(&until[shared.min(until.len())..], &digits, base),
            None => base.pow(DIGITS),
        };
        let pieces = most as u128 + 1;
        let mut names: Vec<Vec<u8>> = Vec::new();
        for piece in 1..pieces {
            let at = low
                + high.saturating_sub(low) / pieces * piece
                + high.saturating_sub(low) % pieces * piece / pieces;
            let mut name = after[..shared].to_vec();
            name.extend(name_of(at, &digits, base));
            let name = if std::str::from_utf8(after).is_ok() {
                text(name)
            } else {
                name
            };
            let follows = names.last().map_or(after, Vec::as_slice) < name.as_slice();
            if follows && until.is_none_or(|until| name.as_slice() < until) {
                names.push(name);
            }
        }
        names
    }
}

/// How far `at` is on the way from `start` to `end`, from 0 to 1, if the keys between them are spread evenly over the alphabet.
pub(in crate::engine) fn progress(known: &Alphabet, start: &[u8], at: &[u8], end: &[u8]) -> f64 {
    let shared = start.iter().zip(end).take_while(|(a, b)| a == b).count();
    let mut known = known.clone();
    let rests = [start, at, end].map(|key| key.get(shared..).unwrap_or_default());
    for rest in rests {
        known.note(rest);
    }
    let digits = known.digits();
    let base = digits.len() as u128 + 1;
    let [start, at, end] = rests.map(|rest| number(rest, &digits, base));
    let (way, whole) = (at.saturating_sub(start), end.saturating_sub(start));
    if whole == 0 {
        return 1.0;
    }
    (way as f64 / whole as f64).min(1.0)
}

/// The first digits of a name as a number. 0 is the end of the name.
fn number(name: &[u8], digits: &[u8], base: u128) -> u128 {
    let mut number = 0;
    for place in 0..DIGITS as usize {
        let digit = name
            .get(place)
            .map_or(0, |byte| digits.partition_point(|digit| digit < byte) as u128 + 1);
        number = number * base + digit;
    }
    number
}

/// The name of a number.
fn name_of(mut number: u128, digits: &[u8], base: u128) -> Vec<u8> {
    let mut places = [0; DIGITS as usize];
    for place in places.iter_mut().rev() {
        *place = number % base;
        number /= base;
    }
    let used = places.iter().take_while(|place| **place > 0);
    used.filter_map(|place| {
        digits
            .get(usize::try_from(place - 1).unwrap_or(usize::MAX))
            .copied()
    })
    .collect()
}

/// The name, or one close to it that is UTF-8. A store may refuse a name that is no text if its keys are text.
pub(in crate::engine) fn text(mut name: Vec<u8>) -> Vec<u8> {
    let Err(error) = std::str::from_utf8(&name) else {
        return name;
    };
    let rest = name.split_off(error.valid_up_to());
    let continues = |byte: &&u8| matches!(byte, 0x80..=0xbf);
    let (length, least) = match rest.first() {
        Some(0xc2..=0xdf) => (2, 0x80),
        Some(0xe0) => (3, 0xa0),
        Some(0xe1..=0xef) => (3, 0x80),
        Some(0xf0) => (4, 0x90),
        Some(0xf1..=0xf4) => (4, 0x80),
        _ => return name,
    };
    let mut letter: Vec<u8> = rest[..1].to_vec();
    letter.extend(rest[1..].iter().take_while(continues).take(length - 1));
    if letter.len() == 1 {
        letter.push(least);
    }
    letter.resize(length, 0x80);
    if std::str::from_utf8(&letter).is_ok() {
        name.extend(letter);
    }
    name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn alphabet(of: &[u8]) -> Alphabet {
        let mut alphabet = Alphabet::default();
        alphabet.note(of);
        alphabet
    }

    fn named(names: Vec<Vec<u8>>) -> Vec<String> {
        names
            .into_iter()
            .map(|name| String::from_utf8(name).unwrap())
            .collect()
    }

    #[test]
    fn names_between_two_keys_are_even() {
        let digits = alphabet(b"0123456789");
        let found = named(digits.between(b"k/000999", Some(b"k/100000"), 0, 9));
        let begin: Vec<String> = found.iter().map(|name| format!("{name:.4}")).collect();
        assert_eq!(begin.len(), 9);
        assert!(begin.is_sorted_by(|a, b| a < b), "{begin:?}");
        let open = named(digits.between(b"k/0009", None, 2, 4));
        assert_eq!(open.len(), 4);
        assert!(open.iter().all(|name| name.starts_with("k/")), "{open:?}");
    }

    #[test]
    fn names_of_text_are_text() {
        let keys = alphabet("äöüß日本語".as_bytes());
        for name in keys.between("ä".as_bytes(), Some("語".as_bytes()), 0, 15) {
            assert!(std::str::from_utf8(&name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn progress_is_measured_between_two_keys() {
        let digits = alphabet(b"0123456789");
        for (start, at, end, wanted) in [
            ("k/000", "k/500", "k/999", 0.5),
            ("k/000", "k/000", "k/999", 0.0),
            ("k/000", "k/999", "k/999", 1.0),
            ("k/100", "k/175", "k/200", 0.75),
            ("k", "k", "k", 1.0),
        ] {
            let found = progress(&digits, start.as_bytes(), at.as_bytes(), end.as_bytes());
            assert!((found - wanted).abs() < 0.1, "{start} {at} {end}: {found}");
        }
    }

    #[test]
    fn few_known_bytes_become_more() {
        let all = "bcdefghijklmnopq";
        // Known bytes, the two between which there should be more, and what is known then.
        for (name, known, low, high, wanted) in [
            ("nothing known", "", b'a', b'r', all.as_bytes().to_vec()),
            ("seven between", "bcdefgh", b'a', b'r', all.as_bytes().to_vec()),
            ("eight between", "bcdefghi", b'a', b'r', b"bcdefghi".to_vec()),
            (
                "eight, but two outside",
                "abcdefgr",
                b'a',
                b'r',
                b"abcdefghijklmnopqr".to_vec(),
            ),
            ("nothing is between", "", b'a', b'b', Vec::new()),
            ("the same byte", "", b'a', b'a', Vec::new()),
            ("the other way round", "", b'b', b'a', Vec::new()),
            ("one of two", "", b'A', b'b', (b'B'..b'b').step_by(2).collect()),
            ("any byte", "", 0, u8::MAX, (1..u8::MAX).step_by(15).collect()),
        ] {
            let mut alphabet = alphabet(known.as_bytes());
            alphabet.widen(low, high);
            assert_eq!(alphabet.digits(), wanted, "{name}");
        }
    }

    #[test]
    fn names_between_are_exact() {
        // Known bytes, the two names, how many names are wanted between them, and those that there are.
        for (name, known, after, until, most, wanted) in [
            ("letters", "", "a", "c", 1, &["b"][..]),
            (
                "a long common beginning",
                "",
                "folder/folder/a",
                "folder/folder/c",
                1,
                &["folder/folder/b"],
            ),
            (
                "every digit",
                "0123456789",
                "0",
                "9",
                8,
                &["1", "2", "3", "4", "5", "6", "7", "8"],
            ),
            ("behind a longer name", "0123456789", "09", "1", 1, &["09444444"]),
            (
                "a division with a rest",
                "0123456789",
                "0",
                "1",
                3,
                &["01717171", "04444444", "07171717"],
            ),
            ("none", "0123456789", "0", "9", 0, &[]),
            ("nothing is between", "0123456789", "0", "0", 3, &[]),
        ] {
            let found =
                named(alphabet(known.as_bytes()).between(after.as_bytes(), Some(until.as_bytes()), 0, most));
            assert_eq!(found, wanted, "{name}");
        }
    }

    #[test]
    fn a_name_that_becomes_the_end_as_text_is_left_out() {
        // What lies before the last letter, without its last byte, would become this letter.
        let names = named(Alphabet::default().between("日".as_bytes(), Some("最".as_bytes()), 0, 37));
        assert_eq!(names.last().map(String::as_str), Some("\u{66e5}"), "{names:?}");
    }

    #[test]
    fn progress_is_exact_where_bytes_are_known() {
        for (name, known, start, at, end, wanted) in [
            ("one of two letters", "", "a", "b", "c", 0.5),
            ("a part of a letter", "", "0", "05", "9", 0.25),
            ("from nothing", "", "", "0", "9", 0.5),
            ("known letters between", "abcde", "a", "b", "e", 0.25),
            ("behind the end", "", "a", "d", "c", 1.0),
            ("before the beginning", "", "b", "a", "c", 0.0),
        ] {
            let known = alphabet(known.as_bytes());
            let found = progress(&known, start.as_bytes(), at.as_bytes(), end.as_bytes());
            assert!((found - wanted).abs() < 1e-9, "{name}: {found}");
        }
    }

    #[test]
    fn a_name_becomes_text_near_by() {
        for (name, wanted) in [
            (&b"abc"[..], &b"abc"[..]),
            (b"a\xe5", b"a\xe5\x80\x80"),
            (b"a\xe5\x9a", b"a\xe5\x9a\x80"),
            (b"a\xe5x", b"a\xe5\x80\x80"),
            (b"a\x9a", b"a"),
            (b"\xe0", b"\xe0\xa0\x80"),
            (b"\xf0\x9f", b"\xf0\x9f\x80\x80"),
            (b"a\xff", b"a"),
            (b"a\xc1", b"a"),
            (b"a\xc2", b"a\xc2\x80"),
            (b"a\xdfx", b"a\xdf\x80"),
            (b"\xe1", b"\xe1\x80\x80"),
            (b"\xe0\x80", b""),
            (b"\xf0", b"\xf0\x90\x80\x80"),
            (b"\xf1", b"\xf1\x80\x80\x80"),
            (b"\xf4\x8f\xbf", b"\xf4\x8f\xbf\x80"),
            (b"\xf4\x90", b""),
        ] {
            assert_eq!(text(name.to_vec()), wanted, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn text_is_text(name in prop::collection::vec(any::<u8>(), 0..12)) {
            prop_assert!(std::str::from_utf8(&text(name)).is_ok());
        }

        #[test]
        fn names_lie_strictly_between(
            a in prop::collection::vec(any::<u8>(), 0..12),
            b in prop::collection::vec(any::<u8>(), 0..12),
            of in prop::collection::vec(any::<u8>(), 0..20),
            most in 0_usize..20,
            common in 0_usize..12,
        ) {
            let (after, until) = (a.clone().min(b.clone()), a.max(b));
            let alphabet = alphabet(&of);
            for until in [Some(until.as_slice()), None] {
                let names = alphabet.between(&after, until, common, most);
                prop_assert!(names.len() <= most);
                prop_assert!(names.is_sorted_by(|a, b| a < b));
                for name in &names {
                    prop_assert!(name.as_slice() > after.as_slice());
                    prop_assert!(until.is_none_or(|until| name.as_slice() < until));
                    let kept = if until.is_none() { common.min(after.len()) } else { 0 };
                    prop_assert!(name.starts_with(&after[..kept]));
                }
            }
        }
    }
}
