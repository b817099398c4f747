//! Kinds of names that some targets do not keep as they are written. Pure.

use tokio::sync::OnceCell;

use crate::task::{Key, TaskId};

/// A kind of name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// It begins with `/`.
    LeadingSlash,
    /// It has two slashes in a row.
    DoubleSlash,
    /// A part of it is `.`.
    Dot,
    /// A part of it is `..`.
    DotDot,
}

impl NameKind {
    pub(super) const ALL: [Self; 4] = [Self::LeadingSlash, Self::DoubleSlash, Self::Dot, Self::DotDot];

    pub(super) const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// A sentence for the list of failures.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::LeadingSlash => "the target does not keep a name that begins with '/' as it is written",
            Self::DoubleSlash => "the target does not keep a name with '//' as it is written",
            Self::Dot => "the target does not keep a name with a part '.' as it is written",
            Self::DotDot => "the target does not keep a name with a part '..' as it is written",
        }
    }

    /// The typical part of such a name, for warnings.
    pub(super) const fn example(self) -> &'static str {
        match self {
            Self::LeadingSlash => "/…",
            Self::DoubleSlash => "//",
            Self::Dot => "/./",
            Self::DotDot => "/../",
        }
    }

    /// A name of this kind, and the name that a store with real folders makes of it.
    pub(super) fn samples(self, task: TaskId) -> [Key; 2] {
        let folder = format!("oms/probe/{task}/names");
        let (name, folded) = match self {
            Self::LeadingSlash => (format!("/{folder}/l"), format!("{folder}/l")),
            Self::DoubleSlash => (format!("{folder}/s//k"), format!("{folder}/s/k")),
            Self::Dot => (format!("{folder}/d/./k"), format!("{folder}/d/k")),
            Self::DotDot => (format!("{folder}/u/x/../k"), format!("{folder}/u/k")),
        };
        [Key::from(name.as_str()), Key::from(folded.as_str())]
    }
}

/// A set of kinds of names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kinds(pub(super) u8);

impl Kinds {
    /// The kinds of the name that consists of `prefix` and `key`.
    pub(super) fn of(prefix: &[u8], key: &[u8]) -> Self {
        let mut found = Self::default();
        // Almost every name returns here, after one look at each byte.
        if !may_be_odd(prefix) && !may_be_odd(key) {
            return found;
        }
        let (mut first, mut length, mut dots) = (true, 0_usize, 0_usize);
        for byte in prefix.iter().chain(key) {
            if *byte == b'/' {
                found.note(length, dots);
                if length == 0 {
                    let kind = if first {
                        NameKind::LeadingSlash
                    } else {
                        NameKind::DoubleSlash
                    };
                    found.0 |= kind.bit();
                }
                (first, length, dots) = (false, 0, 0);
            } else {
                length += 1;
                dots += usize::from(*byte == b'.');
            }
        }
        found.note(length, dots);
        found
    }

    /// Checks whether the part that ended is `.` or `..`.
    const fn note(&mut self, length: usize, dots: usize) {
        if length == dots {
            match length {
                1 => self.0 |= NameKind::Dot.bit(),
                2 => self.0 |= NameKind::DotDot.bit(),
                _ => {}
            }
        }
    }

    /// The first kind that is in both.
    pub(super) fn first_in(self, other: Self) -> Option<NameKind> {
        NameKind::ALL
            .into_iter()
            .find(|kind| self.0 & other.0 & kind.bit() != 0)
    }

    pub(super) fn has(self, kind: NameKind) -> bool {
        self.0 & kind.bit() != 0
    }
}

/// Whether a name that contains this part may be of some kind.
fn may_be_odd(part: &[u8]) -> bool {
    matches!(part.first(), Some(b'/' | b'.'))
        || part
            .windows(2)
            .any(|pair| pair[0] == b'/' && matches!(pair[1], b'/' | b'.'))
}

/// What is known about the names at the target.
#[derive(Debug, Default)]
pub struct TargetNames(pub(super) [OnceCell<Kept>; 4]);

/// Whether a target keeps a kind of name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Yes,
    No,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kinds(prefix: &str, key: &str) -> Vec<NameKind> {
        let found = Kinds::of(prefix.as_bytes(), key.as_bytes());
        NameKind::ALL
            .into_iter()
            .filter(|kind| found.has(*kind))
            .collect()
    }

    #[test]
    fn kinds_depend_on_the_whole_name() {
        use NameKind as K;
        let rows: [(&str, &str, &[NameKind]); 24] = [
            ("", "a/b", &[]),
            ("", "a", &[]),
            ("", "a/", &[]),
            ("", "a.b/c..d/...", &[]),
            ("", ".a/b.", &[]),
            ("", "/a", &[K::LeadingSlash]),
            ("", "/", &[K::LeadingSlash]),
            ("", "//a", &[K::LeadingSlash, K::DoubleSlash]),
            ("", "a//b", &[K::DoubleSlash]),
            ("", "a//", &[K::DoubleSlash]),
            ("", "a/./b", &[K::Dot]),
            ("", "./b", &[K::Dot]),
            ("", "a/.", &[K::Dot]),
            ("", ".", &[K::Dot]),
            ("", "a/../b", &[K::DotDot]),
            ("", "../b", &[K::DotDot]),
            ("", "a/..", &[K::DotDot]),
            ("", "a//../.", &[K::DoubleSlash, K::Dot, K::DotDot]),
            ("p/", "a", &[]),
            ("p/", "/a", &[K::DoubleSlash]),
            ("p", "/a", &[]),
            ("p/.", "/a", &[K::Dot]),
            ("p/.", "a", &[]),
            ("/", "a", &[K::LeadingSlash]),
        ];
        for (prefix, key, wanted) in rows {
            assert_eq!(kinds(prefix, key), wanted, "{prefix:?} {key:?}");
        }
    }

    #[test]
    fn samples_are_of_their_kind_alone_and_lie_below_the_tasks_probes() {
        let task = TaskId::new(7).unwrap();
        for kind in NameKind::ALL {
            let [name, folded] = kind
                .samples(task)
                .map(|key| String::from_utf8(key.as_bytes().to_vec()).unwrap());
            assert_eq!(kinds("", &name), [kind]);
            assert_eq!(kinds("", &folded), []);
            for key in [name.trim_start_matches('/'), &folded] {
                assert!(key.starts_with(&format!("oms/probe/{task}/")), "{key}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_name_without_a_kind_is_what_path_cleaning_leaves(key in "[a./]{1,12}") {
            let cleaned: Vec<&str> = key.split('/').filter(|part| !matches!(*part, "" | "." | "..")).collect();
            let kept = cleaned.join("/");
            let clean = !kept.is_empty() && (kept == key || format!("{kept}/") == key);
            prop_assert_eq!(kinds("", &key).is_empty(), clean, "{}", key);
        }
    }
}
