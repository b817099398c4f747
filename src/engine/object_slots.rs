//! How many objects of a task are copied at the same time, and which of them may begin.
//!
//! Objects of at most [`SMALL`] bytes are limited by [`Level`], which finds their number by itself, and by [`SMALL_BYTES`] bytes
//! together. All others are heavy: the user's number of threads limits them. It never bounds requests over all tasks; the
//! streams of the process do ([`crate::engine::concurrency`]).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::engine::level::Level;
use crate::task::TaskId;

/// Largest object that counts as small, in bytes.
pub const SMALL: u64 = 1 << 20;
/// Small objects that one thread of the user stands for, at most.
pub const SMALL_PER_THREAD: u32 = 16;
/// Bytes of small objects in flight; the first `threads` objects may begin in any case. Bounds memory.
const SMALL_BYTES: u64 = 128 << 20;

/// The slots of one task.
#[derive(Debug)]
pub struct ObjectSlots {
    task: TaskId,
    threads: usize,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    level: Level,
    small: usize,
    small_bytes: u64,
    heavy: usize,
    /// The limit that the log has.
    logged: usize,
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
    pub fn new(task: TaskId, threads: u8, max_requests: usize, now: Instant) -> Arc<Self> {
        let threads = threads.max(1);
        let most = u32::from(threads) * SMALL_PER_THREAD;
        let most = most.min(u32::try_from(max_requests).unwrap_or(u32::MAX));
        let level = Level::new(u32::from(threads), most, now);
        Arc::new(Self {
            task,
            threads: usize::from(threads),
            state: Mutex::new(State {
                logged: level.limit(),
                level,
                small: 0,
                small_bytes: 0,
                heavy: 0,
            }),
            freed: Notify::new(),
        })
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
            let mut state = self.state();
            if state.level.finished(begun, now) {
                self.changed(state);
            }
        }
    }

    /// A store has asked for fewer requests.
    pub fn throttled(&self, now: Instant) {
        let mut state = self.state();
        if state.level.throttled(now) {
            self.changed(state);
        }
    }

    /// Small objects that may be in flight at present.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.state().level.limit()
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
                    return None;
                }
                let fits = state.small_bytes.saturating_add(bytes) <= SMALL_BYTES;
                if state.small >= self.threads && !fits {
                    return None;
                }
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
        self.slots.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn slots(threads: u8) -> Arc<ObjectSlots> {
        ObjectSlots::new(TaskId::new(1).unwrap(), threads, 512, Instant::now())
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
        let slots = ObjectSlots::new(TaskId::new(1).unwrap(), 50, 512, Instant::now());
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
            let slots = ObjectSlots::new(TaskId::new(1).unwrap(), threads, max_requests, Instant::now());
            let mut now = Instant::now();
            // A store that answers after 10 ms, however much it is asked.
            let takes = Duration::from_millis(10);
            for _ in 0..200_000 {
                now += takes / u32::try_from(slots.limit()).unwrap();
                slots.state().level.limited();
                slots.finished(Some(0), now.checked_sub(takes).unwrap(), now);
            }
            assert_eq!(slots.limit(), most, "{threads} {max_requests}");
        }
    }
}
