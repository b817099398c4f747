//! The controller against simulated stores: a queue with a fixed latency, a number of objects that it serves at a time, and a rate
//! above which it answers "slow down".

use std::collections::BinaryHeap;

use super::*;

/// A store: every object takes `latency`, and longer when more than `parallel` are in flight; above `per_second` it throttles.
#[derive(Clone, Copy)]
struct Store {
    latency: f64,
    parallel: f64,
    per_second: f64,
}

const FAR: Store = Store {
    latency: 0.08,
    parallel: 1e9,
    per_second: 1e9,
};

fn micros(seconds: f64) -> u64 {
    u64::try_from(Duration::from_secs_f64(seconds).as_micros()).unwrap()
}

/// A task at a store, with a clock of its own.
struct Simulation {
    level: Level,
    origin: Instant,
    /// End and begin of the objects in flight, in microseconds; the earliest end comes first.
    flight: BinaryHeap<std::cmp::Reverse<(u64, u64, bool)>>,
    now: u64,
    /// Requests of the present tenth of a second.
    window: (u64, f64),
    finished: u64,
    throttled: u64,
}

impl Simulation {
    fn new(least: u32, most: u32) -> Self {
        let origin = Instant::now();
        Self {
            level: Level::new(least, most, origin),
            origin,
            flight: BinaryHeap::new(),
            now: 0,
            window: (0, 0.0),
            finished: 0,
            throttled: 0,
        }
    }

    fn at(&self, micros: u64) -> Instant {
        self.origin + Duration::from_micros(micros)
    }

    fn fill(&mut self, store: Store) {
        while self.flight.len() < self.level.limit() {
            let tenth = self.now / 100_000;
            if self.window.0 != tenth {
                self.window = (tenth, 0.0);
            }
            self.window.1 += 1.0;
            let refused = self.window.1 > store.per_second / 10.0;
            let crowd = (self.flight.len() as f64 + 1.0) / store.parallel;
            let takes = if refused {
                0.02
            } else {
                store.latency * crowd.max(1.0)
            };
            let end = self.now + micros(takes) + 1;
            self.flight.push(std::cmp::Reverse((end, self.now, refused)));
        }
        self.level.limited();
    }

    /// Runs for `seconds` and returns the limits at the end of each tenth of a second.
    fn run(&mut self, store: Store, seconds: f64) -> Vec<usize> {
        let stop = self.now + micros(seconds);
        let mut limits = Vec::new();
        let mut next = self.now + 100_000;
        loop {
            self.fill(store);
            let std::cmp::Reverse((end, begun, refused)) = self.flight.pop().unwrap();
            self.now = end;
            while next <= self.now {
                limits.push(self.level.limit());
                next += 100_000;
            }
            if self.now > stop {
                return limits;
            }
            let (begun, now) = (self.at(begun), self.at(end));
            if refused {
                self.throttled += 1;
                self.level.throttled(now);
            } else {
                self.finished += 1;
                self.level.finished(begun, now);
            }
        }
    }
}

#[test]
fn a_far_store_gets_as_many_as_it_may_within_a_second() {
    let mut simulation = Simulation::new(50, 512);
    let limits = simulation.run(FAR, 1.5);
    assert!(limits[9] >= 400, "{limits:?}");
    assert_eq!(*limits.last().unwrap(), 512, "{limits:?}");
}

#[test]
fn a_store_that_serves_few_at_a_time_is_not_crowded() {
    // The limit falls only from half as many again on, so the lowest limit of 50 may become 75.
    for (parallel, most) in [(20.0, 75), (50.0, 75), (150.0, 240)] {
        let store = Store { parallel, ..FAR };
        let limits = Simulation::new(50, 512).run(store, 20.0);
        let late = &limits[100..];
        assert!(late.iter().all(|limit| *limit <= most), "{parallel}: {late:?}");
        assert!(late.iter().all(|limit| *limit >= 50), "{parallel}: {late:?}");
    }
}

#[test]
fn a_store_with_a_limit_of_requests_is_approached_and_not_overrun() {
    for per_second in [200.0, 1_000.0, 3_000.0] {
        let store = Store { per_second, ..FAR };
        let mut simulation = Simulation::new(50, 512);
        simulation.run(store, 5.0);
        let (finished, throttled) = (simulation.finished, simulation.throttled);
        let limits = simulation.run(store, 20.0);
        let (least, most) = (limits.iter().min().unwrap(), limits.iter().max().unwrap());
        assert!(*least * 3 >= *most * 2 - 3, "{per_second}: {least} {most}");
        let done = (simulation.finished - finished) as f64 / 20.0;
        assert!(done > per_second * 0.7, "{per_second}: {done}");
        let refused = (simulation.throttled - throttled) as f64 / 20.0;
        assert!(refused < per_second * 0.1, "{per_second}: {refused}");
    }
}

#[test]
fn a_sudden_drop_is_followed_within_two_seconds() {
    let mut simulation = Simulation::new(50, 512);
    simulation.run(FAR, 3.0);
    let dropped = Store {
        per_second: 400.0,
        ..FAR
    };
    let limits = simulation.run(dropped, 10.0);
    // 400 objects a second that take 0.08 s each are 32 at a time.
    assert!(limits[20..].iter().all(|limit| *limit <= 48), "{limits:?}");
    let limits = simulation.run(FAR, 60.0);
    assert!(*limits.last().unwrap() > 200, "it grows again: {limits:?}");
}

#[test]
fn a_store_that_became_slower_for_good_is_searched_again() {
    let mut simulation = Simulation::new(50, 512);
    simulation.run(FAR, 3.0);
    let slower = Store { latency: 0.4, ..FAR };
    let limits = simulation.run(slower, 90.0);
    assert!(limits.contains(&50), "{limits:?}");
    assert!(*limits.last().unwrap() > 400, "{limits:?}");
}

#[test]
fn nothing_grows_while_nobody_waits() {
    let origin = Instant::now();
    let mut level = Level::new(8, 512, origin);
    let mut now = origin;
    for _ in 0..10_000 {
        let begun = now;
        now += Duration::from_millis(1);
        assert!(!level.finished(begun, now));
    }
    assert_eq!((level.limit(), level.why()), (8, ConcurrencyReason::LittleWork));
}

/// Runs `rounds` rounds in which objects take `latency`, with or without objects that wait.
fn rounds(level: &mut Level, from: Instant, latency: Duration, waits: bool, rounds: u32) -> Instant {
    let mut now = from;
    for _ in 0..rounds {
        for _ in 0..MIN_SAMPLES {
            now += Duration::from_millis(40);
            if waits {
                level.limited();
            }
            level.finished(now.checked_sub(latency).unwrap(), now);
        }
    }
    now
}

#[test]
fn the_reason_says_what_holds_the_limit() {
    let (near, far) = (Duration::from_millis(1), Duration::from_millis(27));
    for (name, most, latency, waits, why) in [
        ("nothing waits", 512, far, false, ConcurrencyReason::LittleWork),
        ("the stores are near", 512, near, true, ConcurrencyReason::Near),
        ("at the bound", 8, far, true, ConcurrencyReason::AtLimit),
        ("at the bound, near", 8, near, true, ConcurrencyReason::AtLimit),
        ("grown to the bound", 9, far, true, ConcurrencyReason::AtLimit),
        (
            "somewhat slower than before",
            512,
            far,
            true,
            ConcurrencyReason::Steady,
        ),
    ] {
        let origin = Instant::now();
        let mut level = Level::new(8, most, origin);
        assert_eq!(level.why(), ConcurrencyReason::Starting, "{name}");
        let now = rounds(
            &mut level,
            origin,
            latency.min(Duration::from_millis(20)),
            waits,
            10,
        );
        rounds(&mut level, now, latency, waits, 10);
        assert_eq!(level.why(), why, "{name}");
    }
}

#[test]
fn the_users_number_comes_back_after_throttling_also_at_a_near_store() {
    let origin = Instant::now();
    let mut level = Level::new(8, 512, origin);
    let mut now = rounds(&mut level, origin, Duration::from_millis(1), true, 4);
    for _ in 0..20 {
        now += Duration::from_secs(1);
        level.throttled(now);
    }
    assert_eq!(level.limit(), 1);
    // Latencies below a few milliseconds are noise.
    for latency in [1, 3, 5, 2, 4] {
        now = rounds(&mut level, now, Duration::from_millis(latency), true, 10);
    }
    assert_eq!((level.limit(), level.why()), (8, ConcurrencyReason::Near));
}

#[test]
fn throttling_counts_once_in_a_round_and_ends_at_one() {
    let origin = Instant::now();
    let mut level = Level::new(100, 512, origin);
    let mut now = origin;
    for _ in 0..32 {
        now += Duration::from_millis(10);
        level.limited();
        level.finished(now - Duration::from_millis(5), now);
    }
    let before = level.limit();
    let at = now + Duration::from_secs(1);
    assert!(level.throttled(at));
    let after = level.limit();
    assert!(after < before && after * 4 + 4 >= before * 3, "{before} {after}");
    assert!(!level.throttled(at), "answers to what was sent before");
    for n in 1..100 {
        level.throttled(at + Duration::from_secs(n));
    }
    assert_eq!((level.limit(), level.why()), (1, ConcurrencyReason::Throttled));
}
