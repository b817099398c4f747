//! The circuit breaker: distinguishes a failure of one object from a failure of a whole side. Pure.
//!
//! Some failures may concern all objects: wrong credentials, no bucket, no permission, the store is down or throttles. Such a failure
//! is deferred. As soon as another object succeeds on the same side, it counts for its object alone. After enough failures of one
//! class on one side without a success in between, another object is asked for, the canary. If the canary fails too, the pass
//! stops and none of the failures is recorded: the next start tries the objects again.
//!
//! Enough means [`TRIP_THRESHOLD`] failures. For a grave class ([`FailureClass::is_grave`]) one failure is enough. Each canary
//! that succeeds doubles that number, up to [`TRIP_THRESHOLD`], so that many single bad objects do not double the requests of a
//! pass.
//!
//! | deferred of a side and class | event | result |
//! |---|---|---|
//! | fewer than enough | another failure | it is deferred |
//! | enough | | ask the canary: another object of that side |
//! | any | the canary succeeds | the failures of that side and class are settled |
//! | any | the canary fails | the pass stops, none of them is settled |
//! | any | an object that was begun later is copied | all are settled: both sides work |
//! | any | the source says later that an object is missing | all of the source are settled: it answers |
//! | of a grave class | the shard ends, or its window is full | ask the canary |
//! | any other | the shard ends, or its window is full | all are settled |
//! | any | a stop | none is settled; the next start tries the objects again |

use crate::engine::shard::systemic::TRIP_THRESHOLD;
pub use crate::engine::shard::systemic::{FailureClass, SystemicFailure};
use crate::object::clouds::Side;
use crate::task::Key;

/// A failure that is not settled yet.
#[derive(Debug)]
pub struct Deferred<T> {
    /// Its object.
    pub key: Key,
    /// Its outcome.
    pub item: T,
    suspect: SystemicFailure,
    number: u64,
}

/// A point in time, counted in failures. An object that was begun at a mark can clear only the failures before it, because a
/// read that began before the store failed may end after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FailureMark(u64);

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Continue.
    Wait,
    /// Ask whether the side works for another object.
    AskCanary,
}

/// The deferred failures of a shard. At most [`TRIP_THRESHOLD`] for each side and class.
#[derive(Debug)]
pub struct Breaker<T> {
    held: Vec<Deferred<T>>,
    /// Failures seen so far.
    seen: u64,
    /// How many of a grave class are enough after a canary has succeeded.
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
    /// Defers a failure.
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

    /// A deferred failure of a grave class that nothing has cleared yet.
    #[must_use]
    pub fn grave(&self) -> Option<SystemicFailure> {
        let mut suspects = self.held.iter().map(|held| held.suspect);
        suspects.find(|suspect| suspect.class.is_grave())
    }

    /// The deferred failures of a side and class.
    pub fn of(&self, suspect: SystemicFailure) -> impl Iterator<Item = &T> {
        let held = self.held.iter().filter(move |held| held.suspect == suspect);
        held.map(|held| &held.item)
    }

    /// The present moment.
    #[must_use]
    pub const fn mark(&self) -> FailureMark {
        FailureMark(self.seen)
    }

    /// An object that was begun at `begun` was copied: earlier failures count for their objects alone.
    pub fn copied(&mut self, begun: FailureMark) -> Vec<Deferred<T>> {
        self.release(|held| held.number < begun.0)
    }

    /// The source answered a request that was begun at `begun`: its earlier failures count for their objects alone.
    pub fn source_answered(&mut self, begun: FailureMark) -> Vec<Deferred<T>> {
        self.release(|held| held.suspect.side == Side::Source && held.number < begun.0)
    }

    /// Nothing more can be learned: all failures count for their objects alone.
    pub fn give_up(&mut self) -> Vec<Deferred<T>> {
        std::mem::take(&mut self.held)
    }

    /// The canary succeeded: these failures count for their objects alone.
    pub fn cleared(&mut self, of: SystemicFailure) -> Vec<Deferred<T>> {
        let enough = (self.enough(of) * 2).min(TRIP_THRESHOLD);
        self.enough.retain(|(suspect, _)| *suspect != of);
        self.enough.push((of, enough));
        self.release(|held| held.suspect == of)
    }

    /// Objects whose failure is deferred.
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

    const WRONG_CREDENTIALS: SystemicFailure = SystemicFailure {
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
            (vec![], WRONG_CREDENTIALS, Next::AskCanary),
            (vec![(SOURCE_DENIED, 3)], WRONG_CREDENTIALS, Next::AskCanary),
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
            if breaker.hold(WRONG_CREDENTIALS, Key::from("k"), n) == Next::AskCanary {
                asked.push(n);
                assert_eq!(breaker.grave(), Some(WRONG_CREDENTIALS));
                breaker.cleared(WRONG_CREDENTIALS);
                assert_eq!(breaker.grave(), None);
            }
        }
        assert_eq!(asked, [1, 3, 7, 15, 31, 51, 71, 91]);
        breaker.hold(SOURCE_DENIED, Key::from("k"), 0);
        assert_eq!(breaker.of(WRONG_CREDENTIALS).count(), 9);
        assert_eq!(breaker.of(SOURCE_DENIED).count(), 1);
    }

    #[test]
    fn a_success_settles_what_it_disproves() {
        type Event = fn(&mut Breaker<SystemicFailure>) -> Vec<Deferred<SystemicFailure>>;
        let rows: [(&str, Event, usize, usize); 8] = [
            ("copied", |b| b.copied(b.mark()), 7, 0),
            (
                "copied, begun before all",
                |b| b.copied(FailureMark::default()),
                0,
                7,
            ),
            ("copied, begun after two", |b| b.copied(FailureMark(2)), 2, 5),
            ("gone", |b| b.source_answered(b.mark()), 5, 2),
            (
                "gone, begun before all",
                |b| b.source_answered(FailureMark::default()),
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
