//! F23, F62: the clock of the machine jumps while a task runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use oms::sandbox::{FaultRule, Operation as O, SandboxObject};
use oms::task::{BandwidthPolicy, BandwidthWindow, Clock, ReasonKind, StartMode, State, Task, UnixMillis};
use tempfile::TempDir;

use super::matrix::bytes;
use crate::support::checker::{History, Remedy, check, converges, failures};
use crate::support::rig::{Rig, SMALL_PART, SOURCE, Stores, TIMEOUT, World};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// Number of small objects. Each takes some time.
const OBJECTS: usize = 300;

/// A clock that is wrong by a given time.
#[derive(Clone, Default)]
struct Wrong(Arc<AtomicI64>);

impl Wrong {
    fn by(&self, millis: i64) {
        self.0.store(millis, Ordering::SeqCst);
    }

    fn clock(&self) -> Clock {
        let (wrong, right) = (Arc::clone(&self.0), Clock::system());
        Clock::new(move || UnixMillis(right.now().0 + wrong.load(Ordering::SeqCst)))
    }

    /// A rig with this clock for everything.
    async fn rig(&self) -> Rig {
        let world = World {
            clock: self.clock(),
            signing: self.clock(),
            ..World::default()
        };
        Rig::quick_with(Arc::new(TempDir::new().unwrap()), world).await
    }
}

/// Stores whose reads are served one by one, this far apart.
async fn stores(each: Duration) -> Stores {
    let stores = Stores::small().await;
    for n in 0..OBJECTS {
        let object = SandboxObject::new(bytes(n, 100));
        stores.source.put(SOURCE, &format!("{n:04}"), object);
    }
    let large = SandboxObject::new(bytes(7, 9 * SMALL_PART));
    stores.source.put(SOURCE, "large", large);
    stores
        .source
        .faults()
        .add(FaultRule::one_by_one(O::GetObject, each));
    stores
}

/// Asserts that no shown time or count is negative, and that the task did not run for longer than `most` milliseconds.
fn sane(task: &Task, most: i64) {
    assert!((0..=most).contains(&task.ran_for), "it ran for {}", task.ran_for);
    assert!(task.started_at.is_none_or(|at| at.0 > 0), "{task:#?}");
    assert!(task.speed >= 0, "{task:#?}");
    let c = &task.counters;
    assert!(c.listed >= 0 && c.copied >= 0 && c.failed >= 0, "{c:#?}");
}

#[tokio::test]
async fn a_clock_that_jumps_back_and_forth_does_no_harm() {
    // Stores accept a difference of fifteen minutes.
    let stores = stores(Duration::from_millis(5)).await;
    let history = History::of(&stores);
    let wrong = Wrong::default();
    let rig = wrong.rig().await;
    let id = rig.create(stores.order()).await;
    let until = Instant::now() + TIMEOUT;
    let mut runs = 1;
    for jump in (0..).map(|n| [7, -7, 0, -6, 6][n % 5]) {
        let task = rig.task(id).await;
        // Each run may seem longer by the largest jump of the clock.
        sane(&task, runs * 14 * MINUTE + 60_000);
        if task.state == State::Succeeded {
            break;
        }
        assert!(Instant::now() < until, "it hangs: {task:#?}");
        wrong.by(jump * MINUTE);
        if runs < 4 && task.counters.copied > 0 && task.state == State::Running && jump == 6 {
            // The task may already have ended.
            rig.try_stop(id).await;
            let task = rig
                .wait(id, |task| matches!(task.state, State::Paused | State::Succeeded))
                .await;
            if task.state == State::Paused {
                runs += 1;
                wrong.by(-7 * MINUTE);
                rig.start(id, StartMode::Full, stores.credentials()).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(70)).await;
    }
    let task = check(&stores, &rig, id, &history).await;
    assert_eq!(task.counters.listed, OBJECTS as i64 + 1, "{task:#?}");
    stores.assert_same();
    // By the clock, this task is created before the existing one.
    wrong.by(-7 * MINUTE);
    let earlier = rig.create(stores.order()).await;
    assert!(earlier != id);
    assert_eq!(rig.end(earlier).await.state, State::Succeeded);
    rig.shut_down().await;
}

#[tokio::test]
async fn a_clock_that_is_wrong_by_an_hour_ends_the_task_with_that_reason() {
    for jump in [HOUR, -HOUR] {
        let stores = stores(Duration::from_millis(5)).await;
        let history = History::of(&stores);
        let wrong = Wrong::default();
        let rig = wrong.rig().await;
        let id = rig.create(stores.order()).await;
        rig.wait(id, |task| task.counters.copied > 20).await;
        wrong.by(jump);
        let task = rig.end(id).await;
        sane(&task, HOUR + 60_000);
        assert_eq!(task.state, State::Failed, "{task:#?}");
        let reason = task.reason.as_ref().unwrap();
        assert!(
            [ReasonKind::SourceCredentials, ReasonKind::TargetCredentials].contains(&reason.kind),
            "{reason:?}"
        );
        assert!(
            reason.message.contains("RequestTimeTooSkewed")
                && reason.message.contains("clock of this machine"),
            "{reason:?}"
        );
        assert!(failures(&rig, id).await.is_empty(), "an object was burnt");
        let before = check(&stores, &rig, id, &history).await;
        assert!(before.counters.copied < OBJECTS as i64, "{before:#?}");

        // As long as the clock is wrong, the preflight fails with the same error.
        rig.start(id, StartMode::Full, stores.credentials()).await;
        let task = rig.wait(id, |task| task.state == State::Failed).await;
        assert!(task.reason.unwrap().message.contains("RequestTimeTooSkewed"));

        wrong.by(0);
        let task = converges(&stores, &rig, id, &history, Remedy::Full).await;
        assert_eq!(task.pass.unwrap().number, 1, "it went on");
        sane(&task, 2 * HOUR + 60_000);
        stores.assert_same();
        rig.shut_down().await;
    }
}

/// Waits until this many more objects have arrived (true), or until none has arrived for a while (false).
async fn arrive(stores: &Stores, more: usize) -> bool {
    let then = stores.arrived().len();
    let until = Instant::now() + TIMEOUT;
    let (mut last, mut since) = (then, Instant::now());
    loop {
        let now = stores.arrived().len();
        if now >= then + more {
            return true;
        }
        if now != last {
            (last, since) = (now, Instant::now());
        }
        if since.elapsed() > Duration::from_millis(1_500) {
            return false;
        }
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn bandwidth_windows_follow_a_clock_that_jumps() {
    // So slow that the task still has much to do after two changes of the limit, each of which takes effect within a second.
    let stores = stores(Duration::from_millis(25)).await;
    let history = History::of(&stores);
    let wrong = Wrong::default();
    // Requests are signed with the correct time, so only the bandwidth window can hold the task.
    let world = World {
        clock: wrong.clock(),
        signing: Clock::system(),
        ..World::default()
    };
    let rig = Rig::quick_with(Arc::new(TempDir::new().unwrap()), world).await;
    // No limit from two hours ago until two hours from now. For the rest of the day almost nothing passes.
    let minute = u16::try_from(Clock::system().now().0 / MINUTE % (24 * 60)).unwrap();
    let window = BandwidthWindow {
        start: (minute + 120) % (24 * 60),
        end: (minute + 24 * 60 - 120) % (24 * 60),
        max_bytes_per_second: 1,
    };
    let mut order = stores.order();
    order.bandwidth = BandwidthPolicy::new(vec![window]).unwrap();
    let id = rig.create(order).await;
    for jump in [3 * HOUR, -3 * HOUR] {
        assert!(
            arrive(&stores, 20).await,
            "nothing limits it: {:#?}",
            rig.task(id).await
        );
        wrong.by(jump);
        let all = stores.source.keys(SOURCE).len();
        assert!(!arrive(&stores, all).await, "the window has no effect");
        assert_eq!(rig.task(id).await.state, State::Running);
        wrong.by(0);
    }
    assert_eq!(rig.end(id).await.state, State::Succeeded);
    check(&stores, &rig, id, &history).await;
    stores.assert_same();
    rig.shut_down().await;
}
