//! The circuit breaker: tells a failure of one object from one that would hit every object. Pure.
//!
//! A failure whose kind may concern all objects alike (wrong credentials, no bucket, no permission, the store is down, it
//! throttles) is held back. It becomes the object's own as soon as another object goes through the same side. When there
//! are enough of one kind from one side without a success between, another object, the canary, is asked for; when that
//! fails too the pass stops, and none of them was recorded: the next start tries the objects again.
//!
//! Enough is [`TRIP_THRESHOLD`]; of a grave kind ([`FailureClass::is_grave`]), which ends a task at once where it is true, it is the
//! first failure. Each canary that goes well doubles that, up to [`TRIP_THRESHOLD`], so that many odd objects do not double the
//! requests of a pass.
//!
//! | held of a side and class | happens | then |
//! |---|---|---|
//! | fewer than enough | a failure of them | it is held |
//! | enough | | ask the canary: another object of that side |
//! | any | the canary is fine | what is held of that side and class is settled |
//! | any | the canary is not fine | the pass stops, nothing of it is settled |
//! | any | an object that was begun later is copied | all is settled: both sides work |
//! | any | the source says that an object is gone, asked later | all of the source is settled: it answers |
//! | of a grave kind | the shard ends, or its window is full | ask the canary |
//! | any other | the shard ends, or its window is full | all is settled |
//! | any | a stop | nothing is settled; the next start tries the objects again |

use crate::engine::shard::systemic::TRIP_THRESHOLD;
pub use crate::engine::shard::systemic::{FailureClass, SystemicFailure};
use crate::object::clouds::Side;
use crate::task::Key;

/// A failure that is not settled yet.
#[derive(Debug)]
pub struct Deferred<T> {
    /// Its object.
    pub key: Key,
    /// What is to be settled.
    pub item: T,
    suspect: SystemicFailure,
    number: u64,
}

/// A moment, counted in failures: what was begun at a mark can only disprove the failures before it. A read that began
/// before the store turned may well end after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on.
    Wait,
    /// Ask whether the side works for another object.
    AskCanary,
}

/// The failures of a shard that are held back. At most [`TRIP_THRESHOLD`] for each side and class.
#[derive(Debug)]
pub struct Breaker<T> {
    held: Vec<Deferred<T>>,
    /// Failures seen so far.
    seen: u64,
    /// How many of a grave kind are enough, where the canary was asked before.
    enough: Vec<(SystemicFailure, usize)>,
}

impl<T> Default for Breaker<T> {
    fn default() -> Self {
        Self {
            held: Vec::new(),
            seen: 0,
            enough: Vec::new(),
        }
    }
}

impl<T> Breaker<T> {
    /// Holds a failure back.
    pub fn hold(&mut self, suspect: SystemicFailure, key: Key, item: T) -> Next {
        self.held.push(Deferred {
            key,
            item,
            suspect,
            number: self.seen,
        });
        self.seen += 1;
        let count = self.held.iter().filter(|held| held.suspect == suspect).count();
        if count >= self.enough(suspect) {
            Next::AskCanary
        } else {
            Next::Wait
        }
    }

    /// How many failures are enough to ask the canary.
    fn enough(&self, suspect: SystemicFailure) -> usize {
        let known = self.enough.iter().find(|(of, _)| *of == suspect);
        match known {
            Some((_, enough)) => *enough,
            None if suspect.class.is_grave() => 1,
            None => TRIP_THRESHOLD,
        }
    }

    /// Something grave that is held, which nothing has disproved yet.
    #[must_use]
    pub fn grave(&self) -> Option<SystemicFailure> {
        let mut suspects = self.held.iter().map(|held| held.suspect);
        suspects.find(|suspect| suspect.class.is_grave())
    }

    /// What is held of a suspect.
    pub fn of(&self, suspect: SystemicFailure) -> impl Iterator<Item = &T> {
        let held = self.held.iter().filter(move |held| held.suspect == suspect);
        held.map(|held| &held.item)
    }

    /// The present moment.
    #[must_use]
    pub const fn mark(&self) -> Mark {
        Mark(self.seen)
    }

    /// An object that was begun at `begun` was copied: the failures before that are their objects' own.
    pub fn copied(&mut self, begun: Mark) -> Vec<Deferred<T>> {
        self.release(|held| held.number < begun.0)
    }

    /// The source has answered sensibly to what was begun at `begun`: its failures before that are their objects' own.
    pub fn source_answered(&mut self, begun: Mark) -> Vec<Deferred<T>> {
        self.release(|held| held.suspect.side == Side::Source && held.number < begun.0)
    }

    /// Nothing more can be learnt: all failures are their objects' own.
    pub fn give_up(&mut self) -> Vec<Deferred<T>> {
        std::mem::take(&mut self.held)
    }

    /// The canary is fine: these failures are their objects' own.
    pub fn cleared(&mut self, of: SystemicFailure) -> Vec<Deferred<T>> {
        let enough = (self.enough(of) * 2).min(TRIP_THRESHOLD);
        self.enough.retain(|(suspect, _)| *suspect != of);
        self.enough.push((of, enough));
        self.release(|held| held.suspect == of)
    }

    /// Objects whose failure is held.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.held.iter().map(|held| &held.key)
    }

    fn release(&mut self, which: impl Fn(&Deferred<T>) -> bool) -> Vec<Deferred<T>> {
        self.held.extract_if(.., |held| which(held)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE_DENIED: SystemicFailure = SystemicFailure {
        side: Side::Source,
        class: FailureClass::Denied,
    };
    const SOURCE_DOWN: SystemicFailure = SystemicFailure {
        side: Side::Source,
        class: FailureClass::Down,
    };
    const TARGET_DENIED: SystemicFailure = SystemicFailure {
        side: Side::Target,
        class: FailureClass::Denied,
    };

    const WRONG_KEYS: SystemicFailure = SystemicFailure {
        side: Side::Target,
        class: FailureClass::WrongCredentials,
    };

    fn filled(rows: &[(SystemicFailure, usize)]) -> Breaker<SystemicFailure> {
        let mut breaker = Breaker::default();
        for (suspect, count) in rows {
            for _ in 0..*count {
                breaker.hold(*suspect, Key::from("k"), *suspect);
            }
        }
        breaker
    }

    #[test]
    fn the_canary_is_asked_when_one_side_and_class_has_enough() {
        let few = TRIP_THRESHOLD - 1;
        for (before, next, wanted) in [
            (vec![], SOURCE_DENIED, Next::Wait),
            (vec![(SOURCE_DENIED, few)], SOURCE_DENIED, Next::AskCanary),
            (vec![(SOURCE_DENIED, few)], SOURCE_DOWN, Next::Wait),
            (vec![(SOURCE_DENIED, few)], TARGET_DENIED, Next::Wait),
            (
                vec![(TARGET_DENIED, few), (SOURCE_DOWN, 3)],
                TARGET_DENIED,
                Next::AskCanary,
            ),
            (vec![], WRONG_KEYS, Next::AskCanary),
            (vec![(SOURCE_DENIED, 3)], WRONG_KEYS, Next::AskCanary),
        ] {
            let mut breaker = filled(&before);
            assert_eq!(
                breaker.hold(next, Key::from("k"), next),
                wanted,
                "{before:?} {next:?}"
            );
        }
    }

    #[test]
    fn each_canary_that_goes_well_makes_the_next_one_rarer() {
        let mut breaker = Breaker::default();
        let mut asked = Vec::new();
        for n in 1..=100 {
            if breaker.hold(WRONG_KEYS, Key::from("k"), n) == Next::AskCanary {
                asked.push(n);
                assert_eq!(breaker.grave(), Some(WRONG_KEYS));
                breaker.cleared(WRONG_KEYS);
                assert_eq!(breaker.grave(), None);
            }
        }
        assert_eq!(asked, [1, 3, 7, 15, 31, 51, 71, 91]);
        breaker.hold(SOURCE_DENIED, Key::from("k"), 0);
        assert_eq!(breaker.of(WRONG_KEYS).count(), 9);
        assert_eq!(breaker.of(SOURCE_DENIED).count(), 1);
    }

    #[test]
    fn a_success_settles_what_it_disproves() {
        type Event = fn(&mut Breaker<SystemicFailure>) -> Vec<Deferred<SystemicFailure>>;
        let rows: [(&str, Event, usize, usize); 8] = [
            ("copied", |b| b.copied(b.mark()), 7, 0),
            ("copied, begun before all", |b| b.copied(Mark::default()), 0, 7),
            ("copied, begun after two", |b| b.copied(Mark(2)), 2, 5),
            ("gone", |b| b.source_answered(b.mark()), 5, 2),
            (
                "gone, begun before all",
                |b| b.source_answered(Mark::default()),
                0,
                7,
            ),
            ("the shard ends", Breaker::give_up, 7, 0),
            (
                "denied at the source, cleared",
                |b| b.cleared(SOURCE_DENIED),
                2,
                5,
            ),
            (
                "denied at the target, cleared",
                |b| b.cleared(TARGET_DENIED),
                2,
                5,
            ),
        ];
        for (name, event, released, kept) in rows {
            let mut breaker = filled(&[(SOURCE_DENIED, 2), (SOURCE_DOWN, 3), (TARGET_DENIED, 2)]);
            assert_eq!(
                (event(&mut breaker).len(), breaker.keys().count()),
                (released, kept),
                "{name}"
            );
        }
    }
}
