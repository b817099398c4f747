//! Where to cut a range, so that several shards can list it at the same time. Pure.
//!
//! Nobody knows how the keys of a bucket are distributed. The search asks the store for the first key after some names, in a few
//! rounds of at most [`MOST`] requests. It cuts only at keys that the store has named: such a key lies in the listing of any
//! store, whatever its order, so the two sides of a cut share no key and leave none out.
//!
//! 1. It looks for the longest beginning that all remaining keys share with the last listed one. This takes few rounds also if all
//!    keys lie below one long prefix, or if the range ends in another folder.
//! 2. It divides what lies between the last listed key and the end evenly, in the alphabet of the keys. If the keys end long before
//!    the supposed end, it divides what is left in the same way.
//! 3. It divides what lies between the keys that were found, as long as there are too few of them.

use crate::engine::listing::alphabet;
use crate::engine::listing::range::Snapshot;
use crate::task::Key;

/// Most requests of one round.
const MOST: usize = 16;
/// As many requests as a round always may have.
const FEWEST: usize = 6;
/// With so many cuts a search ends.
const ENOUGH: usize = 3;
/// Rounds that divide the range, and rounds that refine that.
const ROUNDS: u32 = 3;

/// An answer of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Answer {
    /// The first key after the name.
    Key(Key),
    /// There is no key after it.
    Nothing,
}

/// A search for cuts.
#[derive(Debug)]
pub(in crate::engine) struct Search {
    from: Snapshot,
    wanted: usize,
    at_once: usize,
    step: Step,
    /// Keys of the range, in the order of their bytes.
    found: Vec<Key>,
    /// The range has no key after this name.
    empty_after: Option<Vec<u8>>,
    asked: Vec<Asked>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// All remaining keys share at least `low` bytes with the last listed one. Some key differs within `high` bytes, if that is not
    /// its whole length.
    Common {
        low: usize,
        high: usize,
    },
    /// All remaining keys share the first `common` bytes. The whole range is divided.
    Divide {
        common: usize,
        rounds: u32,
    },
    /// What lies between the keys that were found is divided.
    Refine {
        common: usize,
        rounds: u32,
    },
    Done,
}

#[derive(Clone, Debug)]
struct Asked {
    name: Vec<u8>,
    /// How many bytes it shares with the last listed key, in the first step.
    depth: usize,
}

impl Search {
    /// Looks for up to `wanted` cuts in a range below a prefix of `prefix` bytes.
    pub(in crate::engine) fn new(from: Snapshot, prefix: usize, wanted: usize) -> Self {
        let listed = from.listed.as_bytes();
        let shared = from.until.as_ref().map_or(0, |until| {
            listed
                .iter()
                .zip(until.as_bytes())
                .take_while(|(a, b)| a == b)
                .count()
        });
        let step = Step::Common {
            low: prefix.max(shared).min(listed.len()),
            high: listed.len(),
        };
        let wanted = wanted.min(MOST);
        Self {
            from,
            wanted,
            at_once: (2 * wanted).clamp(FEWEST, MOST),
            step,
            found: Vec::new(),
            empty_after: None,
            asked: Vec::new(),
        }
    }

    /// The names after which the first key is wanted next; none if the search is over.
    pub(in crate::engine) fn ask(&mut self) -> Vec<Key> {
        loop {
            self.asked = match self.step {
                Step::Done => Vec::new(),
                Step::Common { low, high } => self.beginnings(low, high),
                Step::Divide { common, .. } => {
                    named(self.divided(&self.from.listed, self.end(), common, self.at_once))
                }
                Step::Refine { common, .. } => self.refined(common),
            };
            match self.step {
                Step::Common { low, .. } if self.asked.is_empty() => {
                    self.step = Step::Divide {
                        common: low,
                        rounds: ROUNDS,
                    };
                }
                Step::Divide { .. } | Step::Refine { .. } if self.asked.is_empty() => self.step = Step::Done,
                Step::Common { .. } | Step::Divide { .. } | Step::Refine { .. } | Step::Done => {
                    return self
                        .asked
                        .iter()
                        .map(|asked| Key::from(asked.name.as_slice()))
                        .collect();
                }
            }
        }
    }

    /// Notes the answers to [`Self::ask`], in its order.
    pub(in crate::engine) fn answer(&mut self, answers: Vec<Answer>) {
        let asked = std::mem::take(&mut self.asked);
        let answers: Vec<Answer> = answers.into_iter().map(|answer| self.inside(answer)).collect();
        let before = self.found.len();
        let nothing = answers
            .iter()
            .filter(|answer| **answer == Answer::Nothing)
            .count();
        let beyond = nothing * 4 > answers.len();
        // Keys of a division that went far beyond the last key lie close together.
        if matches!(self.step, Step::Divide { .. }) {
            self.found.clear();
        }
        for (asked, answer) in asked.into_iter().zip(answers) {
            match (answer, self.step) {
                (Answer::Nothing, Step::Common { low, high }) => {
                    let low = low.max(asked.depth + 1);
                    self.step = Step::Common {
                        low,
                        high: high.max(low),
                    };
                    self.empty(asked.name);
                }
                (Answer::Key(key), Step::Common { low, high }) => {
                    if asked.depth < high {
                        // Keys that differ later lie closer to the last listed one. They would make tiny ranges.
                        self.found.clear();
                        self.step = Step::Common {
                            low,
                            high: asked.depth,
                        };
                        self.note(key);
                    }
                }
                (Answer::Nothing, _) => self.empty(asked.name),
                (Answer::Key(key), _) => self.note(key),
            }
        }
        // The new shards are split again at once. That takes less time than more rounds here.
        let enough = self.found.len() >= self.wanted.min(ENOUGH);
        self.step = match self.step {
            Step::Divide { common, rounds } if beyond && rounds > 1 => Step::Divide {
                common,
                rounds: rounds - 1,
            },
            Step::Divide { common, .. } if !enough => Step::Refine {
                common,
                rounds: ROUNDS,
            },
            Step::Refine { common, rounds } if !enough && rounds > 1 && self.found.len() > before => {
                Step::Refine {
                    common,
                    rounds: rounds - 1,
                }
            }
            Step::Divide { .. } | Step::Refine { .. } | Step::Done => Step::Done,
            common @ Step::Common { .. } => common,
        };
    }

    /// The cuts, in the order of their bytes.
    pub(in crate::engine) fn cuts(mut self) -> Vec<Key> {
        let (found, wanted) = (self.found.len(), self.wanted);
        if found <= wanted {
            return self.found;
        }
        let mut index = 0;
        self.found.retain(|_| {
            let keep = (index + 1) * wanted / found > index * wanted / found;
            index += 1;
            keep
        });
        self.found
    }

    /// Names behind all keys that share the first bytes with the last listed key, one for each number of bytes.
    fn beginnings(&self, low: usize, high: usize) -> Vec<Asked> {
        let listed = self.from.listed.as_bytes();
        let depths = high.saturating_sub(low);
        let some = depths.min(MOST);
        let spread = (0..some).map(|index| low + index * depths / some);
        let named = spread.filter_map(|depth| {
            let mut name = listed[..depth].to_vec();
            // A slash has another place in the order by path.
            name.push(match listed[depth].checked_add(1)? {
                b'/' => b'0',
                next => next,
            });
            let name = if std::str::from_utf8(listed).is_ok() {
                alphabet::text(name)
            } else {
                name
            };
            (name.as_slice() > listed).then_some(Asked { name, depth })
        });
        named.collect()
    }

    /// The end of the range, or a name after which there is no key.
    fn end(&self) -> Option<&[u8]> {
        let until = self.from.until.as_ref().map(Key::as_bytes);
        self.empty_after.as_deref().or(until)
    }

    fn refined(&self, common: usize) -> Vec<Asked> {
        let starts = std::iter::once(&self.from.listed).chain(&self.found);
        let ends = self
            .found
            .iter()
            .map(|key| Some(key.as_bytes()))
            .chain([self.end()]);
        let each = (self.at_once / (self.found.len() + 1)).max(1);
        let intervals = starts.zip(ends).take(self.at_once);
        named(intervals.flat_map(|(start, end)| self.divided(start, end, common, each)))
    }

    fn divided(&self, start: &Key, end: Option<&[u8]>, common: usize, pieces: usize) -> Vec<Vec<u8>> {
        self.from.alphabet.between(start.as_bytes(), end, common, pieces)
    }

    /// A key behind the range says that the range has none.
    fn inside(&self, answer: Answer) -> Answer {
        match (&answer, &self.from.until) {
            (Answer::Key(key), Some(until))
                if !self.from.orders.surely_follows(key.as_bytes(), until.as_bytes()) =>
            {
                Answer::Nothing
            }
            _ => answer,
        }
    }

    /// Keeps a key at which the range can be cut.
    fn note(&mut self, key: Key) {
        self.from.alphabet.note(key.as_bytes());
        let Snapshot { listed, orders, .. } = &self.from;
        if orders.surely_follows(listed.as_bytes(), key.as_bytes())
            && let Err(place) = self.found.binary_search(&key)
        {
            self.found.insert(place, key);
        }
    }

    fn empty(&mut self, name: Vec<u8>) {
        if self.empty_after.as_ref().is_none_or(|least| name < *least) {
            self.empty_after = Some(name);
        }
    }
}

fn named(names: impl IntoIterator<Item = Vec<u8>>) -> Vec<Asked> {
    names.into_iter().map(|name| Asked { name, depth: 0 }).collect()
}

#[cfg(test)]
#[path = "cuts_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "cuts_answer_tests.rs"]
mod answer_tests;
