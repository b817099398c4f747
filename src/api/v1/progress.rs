//! How far a task is, as v1 counts it: pure functions.

use crate::task::{Counters, Estimate, PassInfo, PassKind, State};

/// A task that is not over never shows more.
const ALMOST: f64 = 0.999;

/// The number of a state in v1, which has none for `pausing`.
#[must_use]
pub const fn number_of(state: State) -> u8 {
    match state {
        State::Waiting => 1,
        State::Running | State::Pausing => 2,
        State::Paused => 3,
        State::Failed => 4,
        State::Succeeded => 5,
    }
}

/// How large the scope is, as far as it is known.
pub struct Totals {
    /// Objects.
    pub objects: i64,
    /// Bytes.
    pub bytes: i64,
    basis: Basis,
}

/// What the totals rest on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Basis {
    /// A pass that has seen everything, or a count that runs well ahead of the work.
    Counted,
    /// A count of names, which tells no sizes: the share is one of objects, as in OMS for lists.
    Names,
    /// Only what was worked on so far: no share is known.
    Unknown,
}

impl Totals {
    /// A full pass that is finished has seen everything, so a pass over its failures knows it too; before that, the larger
    /// of what is counted and what is listed.
    #[must_use]
    pub fn new(counters: &Counters, survey: Estimate, pass: Option<PassInfo>) -> Self {
        if pass.is_some_and(|pass| pass.finished || pass.kind == PassKind::Failed) {
            return Self {
                objects: counters.listed,
                bytes: counters.bytes_listed,
                basis: Basis::Counted,
            };
        }
        let basis = if survey.objects > 0 && survey.bytes == 0 {
            Basis::Names
        } else if survey.complete || survey.objects > 0 {
            Basis::Counted
        } else {
            Basis::Unknown
        };
        Self {
            objects: survey.objects.max(counters.listed),
            bytes: survey.bytes.max(counters.bytes_listed),
            basis,
        }
    }

    /// Share of the work that is done, 0 to 1; 0 until the scope has begun to be counted.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share for people; six digits are more than enough"
    )]
    pub fn progress(&self, counters: &Counters, state: State) -> f64 {
        if state == State::Succeeded {
            return 1.0;
        }
        let (part, whole) = if self.bytes > 0 && self.basis == Basis::Counted {
            (under_way(counters), self.bytes)
        } else {
            (done(counters), self.objects)
        };
        if whole <= 0 || self.basis == Basis::Unknown {
            return 0.0;
        }
        let share = part as f64 / whole as f64;
        ((share * 1e6).round() / 1e6).clamp(0.0, ALMOST)
    }

    /// Milliseconds until the rest is copied at `speed` bytes per second; 0 when nothing is known.
    #[must_use]
    pub fn left_time(&self, counters: &Counters, speed: i64) -> i64 {
        if speed <= 0 || self.basis != Basis::Counted {
            return 0;
        }
        let left = self.bytes.saturating_sub(under_way(counters)).max(0);
        left.saturating_mul(1000) / speed
    }
}

/// Bytes that need no more work, or are under way.
const fn under_way(counters: &Counters) -> i64 {
    counters.bytes_settled.saturating_add(counters.bytes_in_flight)
}

/// Objects that need no more work.
#[must_use]
pub const fn done(counters: &Counters) -> i64 {
    counters.copied + counters.skipped + counters.gone
}
