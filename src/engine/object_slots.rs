//! How many objects of a task are copied at the same time, and which of them may begin.
//!
//! Objects of at most [`SMALL`] bytes are limited by [`Level`], which finds their number by itself, and by [`SMALL_BYTES`] bytes
//! together. Where a store has throttled, all tasks at its endpoint share a limit ([`crate::engine::endpoints`]). All other
//! objects are heavy: the user's number of threads limits them. Nothing here bounds requests over all tasks; the streams of the
//! process do ([`crate::engine::concurrency`]).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::engine::endpoints::{Endpoints, Member};
use crate::engine::level::Level;
use crate::object::clouds::Side;
use crate::task::{Concurrency, ConcurrencyReason, TaskId};

/// Largest object that counts as small, in bytes.
pub const SMALL: u64 = 1 << 20;
/// Small objects that one thread of the user stands for, at most.
pub const SMALL_PER_THREAD: u32 = 16;
/// Bytes of small objects in flight; the first `threads` objects may begin in any case. Bounds memory.
const SMALL_BYTES: u64 = 128 << 20;
/// For how long throttling is shown as the reason for the concurrency.
const THROTTLED_FOR: Duration = Duration::from_secs(10);
/// For how long an object that had to wait shows that there is enough work.
const WAITED_FOR: Duration = Duration::from_secs(2);

/// The slots of one task.
#[derive(Debug)]
pub struct ObjectSlots {
    task: TaskId,
    threads: usize,
    state: Mutex<State>,
    freed: Arc<Notify>,
    /// The same one twice if both sides have one endpoint; `None` if the objects come from anywhere.
    source: Option<Arc<Member>>,
    target: Option<Arc<Member>>,
}

#[derive(Debug)]
struct State {
    level: Level,
    small: usize,
    small_bytes: u64,
    heavy: usize,
    /// The limit that the log has.
    logged: usize,
    throttled_at: Option<Instant>,
    /// When an object last had to wait for the number of small objects in flight, and for their bytes.
    waited_at: Option<Instant>,
    was_full_at: Option<Instant>,
}

/// What a slot is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    Small(u64),
    Heavy,
}

impl Weight {
    fn of(size: Option<u64>) -> Self {
        match size {
            Some(bytes) if bytes <= SMALL => Self::Small(bytes),
            Some(_) | None => Self::Heavy,
        }
    }
}

/// The right to copy one object, until it is dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Arc<ObjectSlots>,
    weight: Weight,
}

impl ObjectSlots {
    /// The slots of a task with this number of threads, in a process that sends at most `max_requests` at a time.
    #[must_use]
    pub fn new(task: TaskId, threads: u8, max_requests: usize, now: Instant) -> Self {
        let threads = threads.max(1);
        let most = u32::from(threads) * SMALL_PER_THREAD;
        let most = most.min(u32::try_from(max_requests).unwrap_or(u32::MAX));
        let level = Level::new(u32::from(threads), most, now);
        Self {
            task,
            threads: usize::from(threads),
            state: Mutex::new(State {
                logged: level.limit(),
                level,
                small: 0,
                small_bytes: 0,
                heavy: 0,
                throttled_at: None,
                waited_at: None,
                was_full_at: None,
            }),
            freed: Arc::default(),
            source: None,
            target: None,
        }
    }

    /// The same slots of a task that shares these endpoints with others. `None` is a source without an endpoint.
    #[must_use]
    pub fn at(self, endpoints: &Endpoints, source: Option<&str>, target: &str, now: Instant) -> Self {
        let most = self.state().level.most();
        let join = |url| Arc::new(endpoints.join(url, most, Arc::clone(&self.freed), now));
        let at_target = join(target);
        Self {
            source: source.map(|url| {
                if url == target {
                    Arc::clone(&at_target)
                } else {
                    join(url)
                }
            }),
            target: Some(at_target),
            ..self
        }
    }

    /// Whether as many small objects are in flight as are allowed at present.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let state = self.state();
        state.small >= state.level.limit()
    }

    /// How many of the task's threads one large object may use: all, if it is the only one.
    #[must_use]
    pub fn share(&self) -> usize {
        self.threads / self.state().heavy.max(1)
    }

    /// Waits until an object of `size` bytes may begin; `None` is an unknown size. Dropping the future loses nothing.
    pub async fn enter(self: Arc<Self>, size: Option<u64>) -> Slot {
        let weight = Weight::of(size);
        loop {
            if let Some(slot) = self.try_enter(weight) {
                return slot;
            }
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // From here on no wake-up is missed; a slot may have become free before.
            freed.as_mut().enable();
            if let Some(slot) = self.try_enter(weight) {
                return slot;
            }
            freed.await;
        }
    }

    /// One attempt to copy an object of `size` bytes that began at `begun` has succeeded.
    pub fn finished(&self, size: Option<u64>, begun: Instant, now: Instant) {
        if let Weight::Small(_) = Weight::of(size) {
            self.endpoints().for_each(Member::finished);
            let mut state = self.state();
            if state.level.finished(begun, now) {
                self.changed(state);
            }
        }
    }

    /// The store of one side has asked for fewer requests.
    pub fn throttled(&self, side: Side, now: Instant) {
        let endpoint = match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        };
        if let Some(endpoint) = endpoint {
            endpoint.throttled(now);
        }
        let mut state = self.state();
        state.throttled_at = Some(now);
        if state.level.throttled(now) {
            self.changed(state);
        }
    }

    /// How many small objects are copied at the same time, and why.
    #[must_use]
    pub fn concurrency(&self, now: Instant) -> Concurrency {
        let shared = self.endpoints().filter_map(Member::allowed).min();
        let state = self.state();
        let own = state.level.limit();
        let allowed = shared.map_or(own, |shared| shared.min(own));
        let within =
            |at: Option<Instant>, time| at.is_some_and(|at| now.saturating_duration_since(at) < time);
        let reason = if allowed < own || within(state.throttled_at, THROTTLED_FOR) {
            ConcurrencyReason::Throttled
        } else if within(state.was_full_at, WAITED_FOR) {
            ConcurrencyReason::AtLimit
        } else if within(state.waited_at, WAITED_FOR) {
            state.level.why()
        } else {
            ConcurrencyReason::LittleWork
        };
        Concurrency {
            allowed: u32::try_from(allowed).unwrap_or(u32::MAX),
            in_flight: u32::try_from(state.small).unwrap_or(u32::MAX),
            reason,
        }
    }

    /// The endpoints of both sides, each once.
    fn endpoints(&self) -> impl Iterator<Item = &Member> {
        let (source, target) = (self.source.as_ref(), self.target.as_ref());
        let other = source.filter(|source| target.is_none_or(|target| !Arc::ptr_eq(source, target)));
        target.into_iter().chain(other).map(AsRef::as_ref)
    }

    fn changed(&self, mut state: MutexGuard<'_, State>) {
        let (limit, why) = (state.level.limit(), state.level.why());
        // Small steps are not worth a line.
        let far = limit.abs_diff(state.logged) * 4 >= state.logged;
        if far {
            state.logged = limit;
        }
        drop(state);
        self.freed.notify_waiters();
        if far {
            let why = why.name();
            tracing::info!(task.id = %self.task, objects_at_once = limit, why, "concurrency changed");
        }
    }

    fn try_enter(self: &Arc<Self>, weight: Weight) -> Option<Slot> {
        let mut state = self.state();
        match weight {
            Weight::Small(bytes) => {
                if state.small >= state.level.limit() {
                    state.level.limited();
                    state.waited_at = Some(Instant::now());
                    return None;
                }
                let fits = state.small_bytes.saturating_add(bytes) <= SMALL_BYTES;
                if state.small >= self.threads && !fits {
                    state.was_full_at = Some(Instant::now());
                    return None;
                }
                // Another task may begin an object between the two. Then the limit is exceeded by one.
                if !self.endpoints().all(Member::has_room) {
                    state.waited_at = Some(Instant::now());
                    return None;
                }
                self.endpoints().for_each(Member::take);
                state.small += 1;
                state.small_bytes += bytes;
            }
            Weight::Heavy => {
                if state.heavy >= self.threads {
                    return None;
                }
                state.heavy += 1;
            }
        }
        Some(Slot {
            slots: Arc::clone(self),
            weight,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.slots.state();
        match self.weight {
            Weight::Small(bytes) => {
                state.small -= 1;
                state.small_bytes -= bytes;
            }
            Weight::Heavy => state.heavy -= 1,
        }
        drop(state);
        if let Weight::Small(_) = self.weight {
            self.slots.endpoints().for_each(Member::give_back);
        }
        self.slots.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn alone(threads: u8, max_requests: usize) -> ObjectSlots {
        ObjectSlots::new(TaskId::new(1).unwrap(), threads, max_requests, Instant::now())
    }

    fn slots(threads: u8) -> Arc<ObjectSlots> {
        Arc::new(alone(threads, 512))
    }

    async fn hold(slots: &Arc<ObjectSlots>, count: usize) -> Vec<Slot> {
        let mut held = Vec::new();
        for _ in 0..count {
            held.push(Arc::clone(slots).enter(Some(0)).await);
        }
        held
    }

    #[tokio::test]
    async fn each_weight_has_its_own_limit() {
        let slots = slots(2);
        // Sizes that begin one after another, the next size, and whether that must wait.
        type Row = (&'static str, &'static [Option<u64>], Option<u64>, bool);
        let rows: [Row; 6] = [
            ("small", &[Some(0), Some(SMALL)], Some(1), true),
            ("heavy", &[Some(SMALL + 1), None], None, true),
            ("heavy beside small", &[Some(0), Some(0)], None, false),
            ("small beside heavy", &[None, None], Some(SMALL), false),
            ("one small", &[Some(0)], Some(0), false),
            ("one heavy", &[None], Some(SMALL + 1), false),
        ];
        for (name, sizes, next, waits) in rows {
            let mut held = Vec::new();
            for size in sizes {
                held.push(Arc::clone(&slots).enter(*size).await);
            }
            let next = Arc::clone(&slots).enter(next);
            tokio::pin!(next);
            assert_eq!(futures_util::poll!(&mut next).is_pending(), waits, "{name}");
            held.pop();
            if waits {
                assert!(futures_util::poll!(&mut next).is_ready(), "{name}");
            }
        }
        let state = slots.state();
        assert_eq!((state.small, state.heavy, state.small_bytes), (0, 0, 0));
    }

    #[tokio::test]
    async fn a_wait_that_was_dropped_holds_nothing() {
        let slots = slots(1);
        let held = Arc::clone(&slots).enter(None).await;
        {
            let waiting = Arc::clone(&slots).enter(None);
            tokio::pin!(waiting);
            assert!(futures_util::poll!(&mut waiting).is_pending());
        }
        drop(held);
        let again = Arc::clone(&slots).enter(None);
        tokio::pin!(again);
        assert!(futures_util::poll!(&mut again).is_ready());
    }

    #[tokio::test]
    async fn small_objects_have_a_budget_of_bytes_beyond_the_threads() {
        let slots = slots(50);
        slots.state().level = Level::new(512, 512, Instant::now());
        let mut held = Vec::new();
        for _ in 0..SMALL_BYTES / SMALL {
            held.push(Arc::clone(&slots).enter(Some(SMALL)).await);
        }
        for (size, waits) in [(1, true), (0, false)] {
            let next = Arc::clone(&slots).enter(Some(size));
            tokio::pin!(next);
            assert_eq!(futures_util::poll!(&mut next).is_pending(), waits, "{size}");
        }
    }

    #[test]
    fn a_thread_stands_for_sixteen_small_objects_within_the_bound_of_the_process() {
        for (threads, max_requests, most) in [
            (1, 512, 16),
            (5, 512, 80),
            (50, 512, 512),
            (50, 4096, 800),
            (50, 10, 50),
        ] {
            let slots = alone(threads, max_requests);
            let mut now = Instant::now();
            // A store that answers after 10 ms, however much it is asked.
            let takes = Duration::from_millis(10);
            for _ in 0..200_000 {
                let limit = slots.state().level.limit();
                now += takes / u32::try_from(limit).unwrap();
                slots.state().level.limited();
                slots.finished(Some(0), now.checked_sub(takes).unwrap(), now);
            }
            assert_eq!(slots.state().level.limit(), most, "{threads} {max_requests}");
        }
    }

    #[tokio::test]
    async fn tasks_at_one_endpoint_share_what_throttling_taught() {
        let endpoints = Endpoints::default();
        let now = Instant::now();
        let at = |source, target| Arc::new(alone(20, 512).at(&endpoints, Some(source), target, now));
        let (told, same_target, elsewhere) = (at("a", "b"), at("c", "b"), at("a", "d"));
        let mut held = hold(&told, 20).await;
        let others = hold(&same_target, 10).await;
        told.throttled(Side::Target, now);
        // 24 of 30 in all: 12 for each.
        let allowed = |slots: &ObjectSlots| {
            let Concurrency { allowed, reason, .. } = slots.concurrency(now);
            (allowed, reason == ConcurrencyReason::Throttled)
        };
        assert_eq!(allowed(&told), (14, true));
        assert_eq!(allowed(&same_target), (12, true));
        assert_eq!(allowed(&elsewhere), (20, false));
        let next = Arc::clone(&same_target).enter(Some(0));
        let one = next.await;
        let two = Arc::clone(&same_target).enter(Some(0)).await;
        let waits = Arc::clone(&same_target).enter(Some(0));
        tokio::pin!(waits);
        assert!(futures_util::poll!(&mut waits).is_pending());
        // What the other task gives back wakes this one.
        held.truncate(11);
        assert!(futures_util::poll!(&mut waits).is_ready());
        drop((others, one, two));
    }

    #[tokio::test]
    async fn one_endpoint_on_both_sides_counts_each_object_once() {
        let endpoints = Endpoints::default();
        let now = Instant::now();
        let slots = Arc::new(alone(20, 512).at(&endpoints, Some("a"), "a", now));
        let held = hold(&slots, 10).await;
        slots.throttled(Side::Source, now);
        assert_eq!(slots.concurrency(now).allowed, 8);
        drop(held);
        assert_eq!(hold(&slots, 8).await.len(), 8);
    }

    #[tokio::test]
    async fn the_reason_shown_is_what_holds_objects_back() {
        let slots = slots(2);
        let reason = |now| slots.concurrency(now).reason;
        let now = Instant::now();
        assert_eq!(reason(now), ConcurrencyReason::LittleWork);
        let held = hold(&slots, 2).await;
        let waiting = Arc::clone(&slots).enter(Some(0));
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        let now = Instant::now();
        let shown = slots.concurrency(now);
        assert_eq!((shown.allowed, shown.in_flight), (2, 2));
        assert_eq!(shown.reason, ConcurrencyReason::Starting);
        assert_eq!(reason(now + WAITED_FOR), ConcurrencyReason::LittleWork);
        slots.throttled(Side::Source, now);
        assert_eq!(slots.concurrency(now).allowed, 1);
        assert_eq!(reason(now + WAITED_FOR), ConcurrencyReason::Throttled);
        assert_eq!(reason(now + THROTTLED_FOR), ConcurrencyReason::LittleWork);
        drop(held);
    }
}
