//! How many small objects of a task are copied at the same time: a controller that finds the number by itself. Pure: time is an
//! argument.
//!
//! It owns the limit and the reason for it. It never waits and never counts what is in flight: [`crate::engine::object_slots`] does.
//! If it is wrong, a task is slow at a far store, or a busy store answers "slow down" for ever.
//!
//! # The rule
//!
//! The controller works in rounds. A round measures for about one latency: objects finished per second, and their mean latency.
//! After a change of the limit the round first waits until the objects of the old limit are finished, about one latency more.
//!
//! * **Warm-up**: the first objects only say how long one takes; they also pay for the connections.
//! * **Start**: the limit doubles from round to round, as in the slow start of TCP (RFC 5681, section 3.1), while more objects
//!   finish and the latency stays about the same. If two rounds say that the doubling did not help, it is undone. One such round
//!   may be noise.
//! * **Steady**: additive increase while latency stays near the lowest latency seen, decrease by a tenth when it rises. Latency
//!   that rises with the limit means that objects wait in a queue; this is the signal of TCP Vegas (Brakmo and Peterson, 1995).
//! * **Throttled**: when a store asks for fewer requests (429, 503, `SlowDown`) the limit is multiplied by [`BACK_OFF`], at most once
//!   in a round: additive increase and multiplicative decrease, AIMD (Chiu and Jain, 1989).
//!
//! The limit does not grow above `least`, the number that the user asked for, while objects take less than [`LOW_LATENCY`]. There this
//! process is the bottleneck, and more objects in flight only use more memory.
//!
//! A rising latency never lowers the limit below `least`. Only a throttling store does.

use std::time::{Duration, Instant};

use crate::task::ConcurrencyReason;

/// What the limit is multiplied by when a store throttles.
const BACK_OFF: f64 = 0.8;
/// What the limit is multiplied by when the latency rises.
const EASE: f64 = 0.9;
/// From this multiple of the lowest latency on, the limit falls.
const SLOWER: f64 = 1.5;
/// Up to this multiple of the lowest latency the limit grows.
const AS_FAST: f64 = 1.2;
/// How much the limit grows in a round, as a part of it.
const GROWTH: f64 = 1.0 / 16.0;
/// The same at stores that have throttled before.
const CAREFUL_GROWTH: f64 = 1.0 / 32.0;
/// Factor by which a doubled limit must raise the throughput to be kept.
const MIN_GAIN: f64 = 1.2;
/// Mean latency of an object below which the limit does not grow above `least`, in seconds.
const LOW_LATENCY: f64 = 0.006;
/// Shortest time of a measurement.
const MIN_MEASUREMENT: Duration = Duration::from_millis(50);
/// Shortest time after a lower limit before the limit changes again.
const COOLDOWN: Duration = Duration::from_millis(200);
/// Fewest objects of a measurement.
const MIN_SAMPLES: u32 = 16;
/// Rounds at the lowest limit with a high latency after which the store counts as changed, and the search begins again.
const CHANGED_AFTER: u32 = 16;

/// The controller.
#[derive(Debug)]
pub struct Level {
    least: f64,
    most: f64,
    limit: f64,
    why: ConcurrencyReason,
    phase: Phase,
    growth: f64,
    /// The lowest mean latency of a round, in seconds.
    lowest: Option<f64>,
    /// Rounds in a row at `least` with a high latency.
    slow_rounds: u32,
    round: Round,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Waits for the first objects.
    WarmUp,
    /// Doubles. Holds the measurement from before the doubling.
    Start(Option<Measured>),
    /// One round says that the doubling did not help. Holds the measurement from before the doubling.
    Doubt(Measured),
    Steady,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Measured {
    limit: f64,
    per_second: f64,
    latency: f64,
}

#[derive(Clone, Copy, Debug)]
struct Round {
    /// When the limit changed.
    changed: Instant,
    /// When the objects of the old limit are over.
    from: Instant,
    /// When enough time was measured.
    until: Instant,
    finished: u32,
    samples: u32,
    latencies: Duration,
    /// Whether an object had to wait for the limit.
    limited: bool,
}

impl Round {
    /// A round that counts objects from `from` on. Only objects that began after `changed` say something about the latency.
    fn new(changed: Instant, from: Instant, latency: Duration) -> Self {
        Self {
            changed,
            from,
            until: from + latency.max(MIN_MEASUREMENT),
            finished: 0,
            samples: 0,
            latencies: Duration::ZERO,
            limited: false,
        }
    }
}

impl Level {
    /// Begins with `least` objects at a time, and never allows more than `most`.
    #[must_use]
    pub fn new(least: u32, most: u32, now: Instant) -> Self {
        let least = f64::from(least.max(1));
        Self {
            least,
            most: f64::from(most).max(least),
            limit: least,
            why: ConcurrencyReason::Starting,
            phase: Phase::WarmUp,
            growth: GROWTH,
            lowest: None,
            slow_rounds: 0,
            round: Round::new(now, now, Duration::ZERO),
        }
    }

    /// Objects at a time, at least 1.
    #[must_use]
    pub fn limit(&self) -> usize {
        whole(self.limit)
    }

    /// The most objects at a time that it ever allows.
    #[must_use]
    pub fn most(&self) -> usize {
        whole(self.most)
    }

    /// Why the limit is what it is.
    #[must_use]
    pub const fn why(&self) -> ConcurrencyReason {
        self.why
    }

    /// An object had to wait because of the limit.
    pub const fn limited(&mut self) {
        self.round.limited = true;
    }

    /// An object was copied without a retry. Returns whether the limit has changed.
    pub fn finished(&mut self, begun: Instant, now: Instant) -> bool {
        let round = &mut self.round;
        if now < round.from {
            return false;
        }
        round.finished += 1;
        if begun >= round.changed {
            round.samples += 1;
            round.latencies += now.saturating_duration_since(begun);
        }
        if now < round.until || round.samples < MIN_SAMPLES {
            return false;
        }
        let seconds = now.saturating_duration_since(round.from).as_secs_f64();
        let measured = Measured {
            limit: self.limit,
            per_second: f64::from(round.finished) / seconds.max(1e-9),
            latency: round.latencies.as_secs_f64() / f64::from(round.samples),
        };
        let limited = round.limited;
        self.decide(measured, limited, now)
    }

    /// A store asked for fewer requests. Returns whether the limit has changed.
    pub fn throttled(&mut self, now: Instant) -> bool {
        self.phase = Phase::Steady;
        self.growth = CAREFUL_GROWTH;
        // What is answered now was sent under the old limit.
        if self.why == ConcurrencyReason::Throttled && now < self.round.from {
            return false;
        }
        // The store has to see the lower rate before it is judged again; stores count over a while.
        let wait = (self.lowest.unwrap_or_default() * 2.0).max(COOLDOWN.as_secs_f64());
        self.set(self.limit * BACK_OFF, ConcurrencyReason::Throttled, wait, now)
    }

    fn decide(&mut self, measured: Measured, limited: bool, now: Instant) -> bool {
        let Measured {
            per_second, latency, ..
        } = measured;
        if self.phase == Phase::WarmUp {
            self.phase = Phase::Start(None);
            return self.set(self.limit, self.why, latency, now);
        }
        let lowest = self.lowest.map_or(latency, |lowest| lowest.min(latency));
        self.lowest = Some(lowest);
        let near = latency < LOW_LATENCY && self.limit >= self.least;
        let grows = limited && !near && self.limit < self.most;
        let stays = if self.limit >= self.most {
            ConcurrencyReason::AtLimit
        } else if !limited {
            ConcurrencyReason::LittleWork
        } else if near {
            ConcurrencyReason::Near
        } else {
            ConcurrencyReason::Steady
        };
        let did_not_help = |before: &Measured| {
            per_second < before.per_second * MIN_GAIN || latency > before.latency * SLOWER
        };
        let (phase, limit, why) = match self.phase {
            Phase::Start(Some(before)) if did_not_help(&before) => {
                (Phase::Doubt(before), self.limit, ConcurrencyReason::Growing)
            }
            Phase::Doubt(before) if did_not_help(&before) => {
                (Phase::Steady, before.limit, ConcurrencyReason::Steady)
            }
            Phase::Start(_) | Phase::Doubt(_) if grows => (
                Phase::Start(Some(measured)),
                self.limit * 2.0,
                ConcurrencyReason::Growing,
            ),
            Phase::Start(_) | Phase::Doubt(_) if self.limit >= self.most => {
                (Phase::Steady, self.limit, stays)
            }
            // What throttling took of the user's number comes back also where the latency says little.
            Phase::Steady if grows && self.limit < self.least => (
                Phase::Steady,
                self.limit + self.more(),
                ConcurrencyReason::Growing,
            ),
            Phase::Steady if latency > lowest * SLOWER => {
                // Not below the user's number. Throttling may have gone below it; then the limit stays.
                let eased = (self.limit * EASE).max(self.least.min(self.limit));
                (Phase::Steady, eased, ConcurrencyReason::Slower)
            }
            Phase::Steady if grows && latency <= lowest * AS_FAST => (
                Phase::Steady,
                self.limit + self.more(),
                ConcurrencyReason::Growing,
            ),
            same => (same, self.limit, stays),
        };
        self.phase = phase;
        let stuck = why == ConcurrencyReason::Slower && limit <= self.least;
        self.slow_rounds = if stuck { self.slow_rounds + 1 } else { 0 };
        if self.slow_rounds >= CHANGED_AFTER {
            self.slow_rounds = 0;
            self.lowest = Some(latency);
            self.phase = Phase::Start(None);
        }
        self.set(limit, why, latency, now)
    }

    /// By how much the limit grows in a round.
    fn more(&self) -> f64 {
        (self.limit * self.growth).max(1.0)
    }

    /// Begins the next round. `latency` is how long it measures, in seconds, and how long it waits first if the limit changes.
    fn set(&mut self, limit: f64, why: ConcurrencyReason, latency: f64, now: Instant) -> bool {
        let before = self.limit();
        self.limit = limit.clamp(1.0, self.most);
        // What has just grown to its bound has grown for the last time.
        self.why = match why {
            ConcurrencyReason::Growing if self.limit >= self.most => ConcurrencyReason::AtLimit,
            why => why,
        };
        let changes = self.limit() != before;
        let latency = Duration::from_secs_f64(latency.clamp(0.0, 10.0));
        let from = if changes { now + latency } else { now };
        self.round = Round::new(now, from, latency);
        changes
    }
}

/// The objects that a limit allows.
pub(super) fn whole(limit: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and a u32"
    )]
    let objects = limit as usize;
    objects.max(1)
}

#[cfg(test)]
#[path = "level_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "level_round_tests.rs"]
mod round_tests;
