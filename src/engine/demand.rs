//! How many shards other workers wait for.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// A number of shards that idle workers could work on. A worker that holds shards splits them for others.
#[derive(Debug, Default)]
pub struct Demand {
    wanted: AtomicUsize,
    met: Notify,
}

impl Demand {
    /// Records how many other workers are `idle`, and how many shards are `free` for them.
    pub fn note(&self, idle: i64, free: i64) {
        let wanted = idle.saturating_sub(free).max(0);
        self.wanted
            .store(usize::try_from(wanted).unwrap_or(0), Ordering::Relaxed);
    }

    /// New shards are there for other workers.
    pub(in crate::engine) fn met(&self) {
        self.met.notify_one();
    }

    /// Waits until new shards are there for other workers.
    pub async fn is_met(&self) {
        self.met.notified().await;
    }

    /// The number, once: the new shards are taken a moment later.
    pub(in crate::engine) fn take(&self) -> usize {
        self.wanted.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_idle_workers_lack() {
        let demand = Demand::default();
        for (idle, free, wanted) in [(0, 0, 0), (3, 0, 3), (3, 1, 2), (1, 4, 0)] {
            demand.note(idle, free);
            assert_eq!((demand.take(), demand.take()), (wanted, 0), "{idle} {free}");
        }
    }
}
