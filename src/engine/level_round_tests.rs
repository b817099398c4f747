//! The controller round by round: what one measurement, one object or one throttled answer changes.

use super::*;

/// What a round has measured.
const fn measured(limit: f64, per_second: f64, latency: f64) -> Measured {
    Measured {
        limit,
        per_second,
        latency,
    }
}

/// A controller between 8 and 64 in the midst of its work. The lowest latency was an eighth of a second, if `lowest` says no other.
fn level_at(phase: Phase, limit: f64, lowest: Option<f64>, now: Instant) -> Level {
    Level {
        phase,
        limit,
        lowest: lowest.or(Some(0.125)),
        ..Level::new(8, 64, now)
    }
}

/// What follows a round at `limit`: phase, limit and reason.
fn after(phase: Phase, round: Measured, waits: bool) -> (Phase, f64, ConcurrencyReason) {
    let now = Instant::now();
    let mut level = level_at(phase, round.limit, None, now);
    let changes = level.decide(round, waits, now);
    assert_eq!(
        changes,
        level.limit() != whole(round.limit),
        "{phase:?} {round:?}"
    );
    (level.phase, level.limit, level.why)
}

#[test]
fn a_start_doubles_as_long_as_that_helps() {
    use ConcurrencyReason as Why;
    use Phase::{Doubt, Start, Steady};
    // The limit was doubled from 15.
    let before = measured(15.0, 100.0, 0.125);
    let doubled = |round| (Start(Some(round)), 60.0, Why::Growing);
    let doubts = |_| (Doubt(before), 30.0, Why::Growing);
    let undone = |_| (Steady, 15.0, Why::Steady);
    type Wanted<'a> = &'a dyn Fn(Measured) -> (Phase, f64, Why);
    // Name, phase, objects per second, latency, what follows.
    let rows: [(&str, Phase, f64, f64, Wanted<'_>); 9] = [
        ("first", Start(None), 9.0, 9.0, &doubled),
        ("just so many more", Start(Some(before)), 120.0, 0.125, &doubled),
        ("not so many more", Start(Some(before)), 119.9, 0.125, &doubts),
        ("just as fast", Start(Some(before)), 200.0, 0.1875, &doubled),
        ("not as fast", Start(Some(before)), 200.0, 0.1876, &doubts),
        ("more at last", Doubt(before), 120.0, 0.125, &doubled),
        ("as fast at last", Doubt(before), 200.0, 0.1875, &doubled),
        ("few again", Doubt(before), 119.9, 0.125, &undone),
        ("slow again", Doubt(before), 200.0, 0.1876, &undone),
    ];
    for (name, phase, per_second, latency, wanted) in rows {
        let round = measured(30.0, per_second, latency);
        assert_eq!(after(phase, round, true), wanted(round), "{name}");
    }
}

#[test]
fn what_does_not_grow_says_why() {
    use ConcurrencyReason as Why;
    use Phase::{Doubt, Start, Steady, WarmUp};
    let before = measured(16.0, 100.0, 0.125);
    // Name, phase, limit, whether objects wait, latency, then phase and reason.
    for (name, phase, limit, waits, latency, wanted) in [
        (
            "first objects",
            WarmUp,
            8.0,
            true,
            9.0,
            (Start(None), Why::Starting),
        ),
        (
            "start",
            Start(None),
            8.0,
            false,
            0.1,
            (Start(None), Why::LittleWork),
        ),
        ("near", Start(None), 8.0, true, 0.001, (Start(None), Why::Near)),
        ("bound", Start(None), 64.0, true, 0.1, (Steady, Why::AtLimit)),
        ("doubt", Doubt(before), 64.0, true, 0.1, (Steady, Why::AtLimit)),
        ("steady", Steady, 64.0, true, 0.1, (Steady, Why::AtLimit)),
    ] {
        let (phase, after, why) = after(phase, measured(limit, 200.0, latency), waits);
        assert_eq!((phase, after, why), (wanted.0, limit, wanted.1), "{name}");
    }
}

#[test]
fn a_steady_limit_follows_the_latency() {
    use ConcurrencyReason as Why;
    // Name, limit, whether objects wait, latency, then limit and reason.
    for (name, limit, waits, latency, wanted, why) in [
        ("nothing waits", 32.0, false, 0.125, 32.0, Why::LittleWork),
        ("fast", 32.0, true, 0.125, 34.0, Why::Growing),
        ("by one at least", 10.0, true, 0.125, 11.0, Why::Growing),
        (
            "just fast enough",
            32.0,
            true,
            0.125 * AS_FAST,
            34.0,
            Why::Growing,
        ),
        ("not fast enough", 32.0, true, 0.1501, 32.0, Why::Steady),
        ("just not too slow", 32.0, true, 0.1875, 32.0, Why::Steady),
        ("too slow", 32.0, true, 0.1876, 32.0 * EASE, Why::Slower),
        ("too slow, one step left", 8.5, true, 0.1876, 8.0, Why::Slower),
        ("too slow at the least", 8.0, true, 0.1876, 8.0, Why::Slower),
        ("too slow below it, idle", 4.0, false, 0.1876, 4.0, Why::Slower),
        ("too slow below it", 4.0, true, 0.1876, 5.0, Why::Growing),
        ("neither, at the least", 8.0, true, 0.16, 8.0, Why::Steady),
        ("up to the bound", 63.0, true, 0.125, 64.0, Why::AtLimit),
    ] {
        let found = after(Phase::Steady, measured(limit, 100.0, latency), waits);
        assert_eq!(found, (Phase::Steady, wanted, why), "{name}");
    }
}

#[test]
fn a_store_is_near_below_a_latency_from_the_users_number_on() {
    use ConcurrencyReason as Why;
    for (name, limit, latency, wanted, why) in [
        ("near", 8.0, 0.005_9, 8.0, Why::Near),
        ("just not near", 8.0, 0.006, 9.0, Why::Growing),
        ("near with more", 16.0, 0.005_9, 16.0, Why::Near),
        ("near with fewer", 7.9, 0.005_9, 8.9, Why::Growing),
    ] {
        let now = Instant::now();
        let mut level = level_at(Phase::Steady, limit, Some(0.006), now);
        level.decide(measured(limit, 100.0, latency), true, now);
        assert_eq!((level.limit, level.why), (wanted, why), "{name}");
    }
}

#[test]
fn the_lowest_latency_is_kept() {
    let now = Instant::now();
    let mut level = level_at(Phase::Steady, 64.0, None, now);
    for (latency, wanted) in [(0.15, 0.125), (0.1, 0.1), (0.12, 0.1)] {
        level.decide(measured(64.0, 100.0, latency), true, now);
        assert_eq!(level.lowest, Some(wanted), "{latency}");
    }
}

#[test]
fn the_search_begins_again_after_many_slow_rounds_in_a_row() {
    let slow = measured(8.0, 100.0, 0.5);
    let now = Instant::now();
    // A limit above the user's number falls, and one round that is not slow begins the count again.
    for (name, limit, latency, counted) in [
        ("slow at the user's number", 8.0, 0.5, CHANGED_AFTER - 1),
        ("slow and just down to it", 8.5, 0.5, CHANGED_AFTER - 1),
        ("slow above it", 20.0, 0.5, 0),
        ("not slow", 8.0, 0.16, 0),
    ] {
        let mut level = level_at(Phase::Steady, 8.0, None, now);
        for round in 1..CHANGED_AFTER - 1 {
            level.decide(slow, true, now);
            assert_eq!((level.slow_rounds, level.phase), (round, Phase::Steady), "{name}");
        }
        level.limit = limit;
        level.decide(measured(limit, 100.0, latency), true, now);
        assert_eq!(level.slow_rounds, counted, "{name}");
        level.limit = 8.0;
        level.decide(slow, true, now);
        let again = if counted == 0 {
            (1, Phase::Steady, Some(0.125))
        } else {
            (0, Phase::Start(None), Some(0.5))
        };
        assert_eq!((level.slow_rounds, level.phase, level.lowest), again, "{name}");
    }
}

#[test]
fn a_round_counts_what_finishes_in_its_time() {
    let ms = Duration::from_millis;
    let origin = Instant::now();
    // The limit changed at 0; the objects of the old limit are over at 100 ms; the round ends at 200 ms.
    let mut level = level_at(Phase::Start(None), 8.0, None, origin);
    level.round = Round::new(origin, origin + ms(100), ms(100));
    let mut finish = |begun, now| {
        level.limited();
        let changes = level.finished(origin + ms(begun), origin + ms(now));
        (changes, level.round.finished, level.round.samples)
    };
    for (name, begun, now, wanted) in [
        ("too early", 0, 99, (0, 0)),
        ("just in time", 0, 100, (1, 1)),
        ("while it measures", 1, 101, (2, 2)),
    ] {
        assert_eq!(finish(begun, now), (false, wanted.0, wanted.1), "{name}");
    }
    for samples in 3..MIN_SAMPLES {
        assert_eq!(finish(50, 150), (false, samples, samples));
    }
    assert_eq!(finish(99, 199), (false, MIN_SAMPLES, MIN_SAMPLES), "too short");
    // Sixteen objects before and one now, each in 100 ms: in a tenth of a second.
    assert_eq!(finish(100, 200), (true, 0, 0), "long enough");
    let Phase::Start(Some(found)) = level.phase else {
        panic!("{:?}", level.phase)
    };
    assert_eq!(found.limit, 8.0);
    assert!((found.per_second - 170.0).abs() < 1e-6, "{found:?}");
    assert!((found.latency - 0.1).abs() < 1e-9, "{found:?}");
    // It is doubled, and the objects of the old limit take a latency more.
    assert_eq!(level.limit, 16.0);
    assert_eq!(level.round.changed, origin + ms(200));
    assert_eq!(level.round.from, origin + ms(300));
    assert_eq!(level.round.until, origin + ms(400));
}

#[test]
fn a_round_needs_objects_that_began_under_its_limit() {
    let ms = Duration::from_millis;
    let origin = Instant::now();
    let mut level = level_at(Phase::Start(None), 8.0, None, origin);
    level.round = Round::new(origin + ms(10), origin + ms(10), ms(50));
    for (name, begun, finished, samples) in [
        ("before the change", 9, 1, 0),
        ("at the change", 10, 2, 1),
        ("after it", 11, 3, 2),
    ] {
        assert!(!level.finished(origin + ms(begun), origin + ms(20)), "{name}");
        assert_eq!(
            (level.round.finished, level.round.samples),
            (finished, samples),
            "{name}"
        );
    }
    // The time is over, but there are too few samples: one is missing.
    for samples in 3..MIN_SAMPLES {
        assert!(!level.finished(origin + ms(20), origin + ms(90)));
        assert_eq!(level.round.samples, samples);
    }
    level.finished(origin + ms(20), origin + ms(90));
    assert_eq!(level.round.samples, 0, "the next round has begun");
    assert_eq!(level.round.from, origin + ms(90), "the limit is the same");
}

#[test]
fn a_throttled_round_waits_for_the_store() {
    let ms = Duration::from_millis;
    let now = Instant::now();
    for (name, lowest, wait) in [("near", 0.05, 200), ("far", 0.125, 250)] {
        let mut level = level_at(Phase::Start(None), 40.0, Some(lowest), now);
        assert!(level.throttled(now), "{name}");
        let found = (level.limit, level.growth, level.phase);
        assert_eq!(found, (32.0, CAREFUL_GROWTH, Phase::Steady), "{name}");
        assert_eq!(level.round.from, now + ms(wait), "{name}");
        assert!(!level.throttled(now + ms(wait - 1)), "{name}: sent before");
        assert!(level.throttled(now + ms(wait)), "{name}: sent after it");
    }
    // What a shorter wait or another reason left does not protect the limit.
    let mut level = level_at(Phase::Steady, 40.0, None, now);
    level.round.from = now + ms(50);
    assert!(level.throttled(now), "it waits for another reason");
    // From now on the limit grows by a part half as large.
    let mut level = level_at(Phase::Steady, 64.0, None, now);
    level.throttled(now);
    level.limit = 48.0;
    level.decide(measured(48.0, 100.0, 0.125), true, now);
    assert_eq!(level.limit, 49.5);
}

#[test]
fn limits_stay_within_their_bounds() {
    let now = Instant::now();
    for (name, least, most, wanted) in [
        ("both", 8, 64, (8, 64)),
        ("nothing", 0, 0, (1, 1)),
        ("bound below the user's number", 8, 4, (8, 8)),
    ] {
        let level = Level::new(least, most, now);
        assert_eq!((level.limit(), level.most()), wanted, "{name}");
    }
    for (limit, wanted) in [(0.2, 1), (1.0, 1), (1.9, 1), (2.0, 2), (64.9, 64)] {
        assert_eq!(whole(limit), wanted, "{limit}");
    }
}
