//! What throttling at an endpoint has taught, shared by all tasks that talk to it.
//!
//! Each task finds its own level ([`crate::engine::level`]). A store that throttles does not care which task sent a request. So
//! from the first "slow down" on an endpoint has one limit for the small objects of all its tasks together. It falls with each
//! "slow down" and grows while objects finish: additive increase and multiplicative decrease (AIMD).
//!
//! A task may use what the others leave, and in any case an equal share, at least one object. So no task waits for another to
//! end, and the limit may be exceeded only until those that hold more than their share have finished what they hold.
//!
//! Requests that belong to no small object (listings, HEADs, parts) lower the limit too, but do not wait for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::engine::level::whole;

/// What the limit is multiplied by when the store throttles.
const BACK_OFF: f64 = 0.8;
/// Shortest time between two such steps: what is answered soon after one was sent before it.
const CALM: Duration = Duration::from_millis(500);
/// How much the limit grows with each object that finishes while others wait: by this part of itself in each round.
const GROWTH: f64 = 1.0 / 32.0;
/// A limit without throttling for so long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// The endpoints that the tasks of this process talk to.
#[derive(Clone, Debug, Default)]
pub struct Endpoints(Arc<Mutex<HashMap<String, Arc<Endpoint>>>>);

/// One endpoint.
#[derive(Debug, Default)]
struct Endpoint(Mutex<Shared>);

/// One task at one endpoint; it leaves when this is dropped.
#[derive(Debug)]
pub struct Member {
    endpoint: Arc<Endpoint>,
    number: u64,
}

impl Endpoints {
    /// Lets a task take part at the endpoint `url`. The task never has more than `most` small objects in flight. `freed` is
    /// notified when it may have more than before.
    #[must_use]
    pub fn join(&self, url: &str, most: usize, freed: Arc<Notify>, now: Instant) -> Member {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, endpoint| !endpoint.shared().is_over(now));
        let endpoint = Arc::clone(known.entry(url.to_owned()).or_default());
        let number = endpoint.shared().join(most, freed);
        Member { endpoint, number }
    }
}

impl Endpoint {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    /// Whether a small object may begin.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.endpoint.shared().has_room(self.number)
    }

    /// Counts a small object that begins.
    pub fn take(&self) {
        self.endpoint.shared().take(self.number);
    }

    /// Counts a small object that is over.
    pub fn give_back(&self) {
        self.endpoint.shared().give_back(self.number);
    }

    /// A small object was copied.
    pub fn finished(&self) {
        self.endpoint.shared().finished();
    }

    /// The store has asked for fewer requests.
    pub fn throttled(&self, now: Instant) {
        self.endpoint.shared().throttled(now);
    }

    /// How many small objects the task may have in flight at present; `None` if the endpoint has no limit.
    #[must_use]
    pub fn allowed(&self) -> Option<usize> {
        self.endpoint.shared().allowed(self.number)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.endpoint.shared().leave(self.number);
    }
}

/// The tasks of an endpoint and its limit. Time is an argument.
#[derive(Debug, Default)]
struct Shared {
    limit: Option<Limit>,
    joined: u64,
    tasks: BTreeMap<u64, Share>,
    held: usize,
}

#[derive(Debug)]
struct Limit {
    objects: f64,
    throttled_at: Instant,
    /// Whether an object had to wait since it last changed.
    waited: bool,
}

#[derive(Debug)]
struct Share {
    held: usize,
    most: usize,
    freed: Arc<Notify>,
}

impl Shared {
    fn join(&mut self, most: usize, freed: Arc<Notify>) -> u64 {
        self.joined += 1;
        let share = Share { held: 0, most, freed };
        self.tasks.insert(self.joined, share);
        self.joined
    }

    fn leave(&mut self, number: u64) {
        if let Some(share) = self.tasks.remove(&number) {
            self.held -= share.held;
            self.wake();
        }
    }

    /// Whether nobody needs to remember this endpoint.
    fn is_over(&self, now: Instant) -> bool {
        let forgotten = |limit: &Limit| now.saturating_duration_since(limit.throttled_at) >= FORGET_AFTER;
        self.tasks.is_empty() && self.limit.as_ref().is_none_or(forgotten)
    }

    fn allowed(&self, number: u64) -> Option<usize> {
        let objects = whole(self.limit.as_ref()?.objects);
        let own = self.tasks.get(&number).map_or(0, |share| share.held);
        let left_by_others = objects.saturating_sub(self.held - own);
        let equal_share = objects / self.tasks.len().max(1);
        Some(left_by_others.max(equal_share).max(1))
    }

    fn has_room(&mut self, number: u64) -> bool {
        let allowed = self.allowed(number).unwrap_or(usize::MAX);
        let held = self.tasks.get(&number).map_or(0, |share| share.held);
        if let Some(limit) = self.limit.as_mut().filter(|_| held >= allowed) {
            limit.waited = true;
        }
        held < allowed
    }

    fn take(&mut self, number: u64) {
        if let Some(share) = self.tasks.get_mut(&number) {
            share.held += 1;
            self.held += 1;
        }
    }

    fn give_back(&mut self, number: u64) {
        if let Some(share) = self.tasks.get_mut(&number) {
            share.held -= 1;
            self.held -= 1;
        }
        self.wake();
    }

    fn finished(&mut self) {
        let most: usize = self.tasks.values().map(|share| share.most).sum();
        let Some(limit) = self.limit.as_mut().filter(|limit| limit.waited) else {
            return;
        };
        let before = whole(limit.objects);
        limit.objects += GROWTH.max(1.0 / limit.objects);
        if whole(limit.objects) > before {
            limit.waited = false;
            // From there on it holds nobody back.
            let is_over = whole(limit.objects) >= most;
            self.wake();
            if is_over {
                self.limit = None;
            }
        }
    }

    fn throttled(&mut self, now: Instant) {
        let at_present = f64::from(u32::try_from(self.held).unwrap_or(u32::MAX));
        let before = match &self.limit {
            Some(limit) if now.saturating_duration_since(limit.throttled_at) < CALM => return,
            Some(limit) => limit.objects.min(at_present),
            None => at_present,
        };
        self.limit = Some(Limit {
            objects: (before * BACK_OFF).max(1.0),
            throttled_at: now,
            waited: false,
        });
    }

    /// Wakes all tasks that may wait because of the limit.
    fn wake(&self) {
        if self.limit.is_some() {
            for share in self.tasks.values() {
                share.freed.notify_waiters();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Instant {
        static ORIGIN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        *ORIGIN + Duration::from_millis(millis)
    }

    fn join(endpoints: &Endpoints, url: &str) -> Member {
        endpoints.join(url, 100, Arc::default(), at(0))
    }

    /// Begins up to `count` objects, and returns how many could begin.
    fn take(member: &Member, count: usize) -> usize {
        let takes = (0..count).take_while(|_| {
            let may = member.has_room();
            if may {
                member.take();
            }
            may
        });
        takes.count()
    }

    #[test]
    fn an_endpoint_that_never_throttled_has_no_limit() {
        let endpoints = Endpoints::default();
        let one = join(&endpoints, "a");
        assert_eq!((take(&one, 1_000), one.allowed()), (1_000, None));
    }

    #[test]
    fn what_one_task_was_told_holds_for_all_at_this_endpoint_only() {
        let endpoints = Endpoints::default();
        let (one, two, elsewhere) = (
            join(&endpoints, "a"),
            join(&endpoints, "a"),
            join(&endpoints, "b"),
        );
        assert_eq!(take(&one, 50), 50);
        one.throttled(at(0));
        // 40 in all: an equal share is 20.
        assert_eq!((one.allowed(), two.allowed()), (Some(40), Some(20)));
        assert_eq!((take(&one, 1), take(&two, 100)), (0, 20));
        for _ in 0..30 {
            one.give_back();
        }
        // Both hold 20 now.
        assert_eq!((take(&one, 1), take(&two, 1)), (0, 0));
        assert_eq!(take(&elsewhere, 100), 100);
        // The limit also holds for a task that comes later.
        drop(two);
        let late = join(&endpoints, "a");
        assert_eq!(late.allowed(), Some(20));
    }

    #[test]
    fn a_task_may_use_what_the_others_leave() {
        let endpoints = Endpoints::default();
        let (one, two) = (join(&endpoints, "a"), join(&endpoints, "a"));
        take(&one, 100);
        one.throttled(at(0));
        for _ in 0..100 {
            one.give_back();
        }
        assert_eq!(take(&two, 100), 80, "the other is idle");
        assert_eq!(take(&one, 100), 40, "and gets its share at once when it is not");
        drop(two);
        assert_eq!(one.allowed(), Some(80));
    }

    #[test]
    fn several_answers_to_one_crowd_count_once() {
        let endpoints = Endpoints::default();
        let one = join(&endpoints, "a");
        take(&one, 100);
        for (millis, allowed) in [(0, 80), (499, 80), (500, 64), (999, 64), (1_000, 51)] {
            one.throttled(at(millis));
            assert_eq!(one.allowed(), Some(allowed), "{millis}");
        }
        for n in 3..100 {
            one.throttled(at(n * 500));
        }
        assert_eq!(one.allowed(), Some(1), "never none");
    }

    #[test]
    fn the_limit_grows_by_a_part_of_itself_in_each_round_while_objects_wait() {
        let endpoints = Endpoints::default();
        let one = join(&endpoints, "a");
        take(&one, 80);
        one.throttled(at(0));
        for _ in 0..6_400 {
            one.finished();
        }
        assert_eq!(one.allowed(), Some(64), "nothing waits");
        let round = || {
            for _ in 0..one.allowed().unwrap() {
                take(&one, 100);
                one.finished();
            }
        };
        round();
        assert_eq!(one.allowed(), Some(66));
        for _ in 0..32 {
            if one.allowed().is_some() {
                round();
            }
        }
        assert_eq!(one.allowed(), None, "as many as the task may have at most");
    }

    #[test]
    fn an_endpoint_is_remembered_for_a_while_after_throttling() {
        for (after, remembered) in [(599_999, true), (600_000, false)] {
            let endpoints = Endpoints::default();
            let one = join(&endpoints, "a");
            take(&one, 10);
            one.throttled(at(0));
            drop(one);
            let again = endpoints.join("a", 100, Arc::default(), at(after));
            assert_eq!(again.allowed().is_some(), remembered, "{after}");
        }
        let endpoints = Endpoints::default();
        drop(join(&endpoints, "a"));
        let _other = join(&endpoints, "b");
        assert_eq!(
            endpoints.0.lock().unwrap().len(),
            1,
            "one without a limit is forgotten at once"
        );
    }

    proptest! {
        #[test]
        fn the_limit_holds_beyond_what_was_held_and_each_task_gets_its_share(
            steps in prop::collection::vec((1_u64..4, 0_u8..4), 1..300),
        ) {
            let mut shared = Shared::default();
            for _ in 0..3 {
                shared.join(50, Arc::default());
            }
            for (n, (number, step)) in steps.into_iter().enumerate() {
                let held = shared.tasks[&number].held;
                let limit = shared.limit.as_ref().map(|limit| whole(limit.objects));
                match step {
                    0 if held > 0 => shared.give_back(number),
                    1 => shared.finished(),
                    2 if n % 16 == 0 => shared.throttled(at(n as u64 * 100)),
                    _ => {
                        let total = shared.held;
                        let took = shared.has_room(number);
                        if took {
                            shared.take(number);
                        }
                        if let Some(limit) = limit {
                            // All of it is used, and never less than an equal share.
                            prop_assert!(took || (total >= limit && held >= (limit / 3).max(1)));
                            prop_assert!(!took || total < limit || held < (limit / 3).max(1));
                        } else {
                            prop_assert!(took);
                        }
                    }
                }
                prop_assert_eq!(shared.held, shared.tasks.values().map(|share| share.held).sum::<usize>());
            }
        }
    }
}
