//! How fast and how much at once: a bandwidth throttle and stream permits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, ErrorKind, Result};

/// How far a transfer may run ahead of its rate: one frame of a body must not stop the next for long.
const BURST: Duration = Duration::from_millis(250);

/// Bytes per second for one task, changeable while it runs.
#[derive(Debug)]
pub struct Throttle(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    rate: Option<u64>,
    /// The moment up to which the rate is spent.
    spent_until: Option<Instant>,
}

impl Throttle {
    /// Starts with a rate in bytes per second; `None` is unlimited.
    #[must_use]
    pub const fn new(rate: Option<u64>) -> Self {
        Self(Mutex::new(Bucket {
            rate,
            spent_until: None,
        }))
    }

    /// Changes the rate; what was spent under the old one is forgotten.
    pub fn set(&self, rate: Option<u64>) {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if bucket.rate != rate {
            *bucket = Bucket {
                rate,
                spent_until: None,
            };
        }
    }

    /// Spends `bytes` at `now`, and says how long to wait before the next bytes.
    pub fn spend(&self, bytes: usize, now: Instant) -> Duration {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(rate) = bucket.rate else {
            return Duration::ZERO;
        };
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no 53rd bit")]
        let cost = Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let from = bucket.spent_until.map_or(earliest, |spent| spent.max(earliest));
        let until = from + cost;
        bucket.spent_until = Some(until);
        until.saturating_duration_since(now)
    }

    /// How long what was spent so far still lasts: zero once the rate was changed.
    pub fn owed(&self, now: Instant) -> Duration {
        let bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bucket
            .spent_until
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }
}

/// Sequential copies at the same time, in the whole process. Each holds one piece of its object in memory: 32 MiB in all.
const SEQUENTIAL: usize = 4;

/// Bounds the number of body streams in the whole process, and with it the memory of buffers.
#[derive(Clone, Debug)]
pub struct Streams {
    places: Arc<Semaphore>,
    pieces: Arc<Semaphore>,
}

impl Streams {
    /// At most `count` streams at the same time.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(count.max(1))),
            pieces: Arc::new(Semaphore::new(SEQUENTIAL)),
        }
    }

    /// Waits for a free place, in order of asking.
    ///
    /// # Errors
    /// `Cancelled` when the process is shutting down.
    pub async fn enter(&self) -> Result<OwnedSemaphorePermit> {
        take(&self.places).await
    }

    /// Waits for a free place together with the right to hold one piece of an object in memory.
    ///
    /// # Errors
    /// Those of [`Self::enter`].
    pub async fn enter_with_piece(&self) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        // In this order: who waits for a piece must not keep a place from those who need no piece.
        let piece = take(&self.pieces).await?;
        Ok((piece, take(&self.places).await?))
    }
}

async fn take(semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    let closed = |_| Error::new(ErrorKind::Cancelled, "shutting down");
    Arc::clone(semaphore).acquire_owned().await.map_err(closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_more_pieces_are_held_than_there_is_memory_for() {
        let streams = Streams::new(100);
        let mut held = Vec::new();
        for _ in 0..SEQUENTIAL {
            held.push(streams.enter_with_piece().await.unwrap());
        }
        let waiting = streams.enter_with_piece();
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        // Who needs no piece does not wait.
        drop(streams.enter().await.unwrap());
        held.pop();
        assert!(futures_util::poll!(&mut waiting).is_ready());
    }

    #[test]
    fn the_rate_is_kept_over_time() {
        let throttle = Throttle::new(Some(1000));
        let start = Instant::now();
        let mut now = start;
        for _ in 0..40 {
            now += throttle.spend(100, now);
        }
        let took = now - start;
        assert!(
            took >= Duration::from_millis(3700) && took <= Duration::from_millis(4000),
            "{took:?}"
        );
    }

    #[test]
    fn a_pause_does_not_save_up_more_than_a_burst() {
        let throttle = Throttle::new(Some(1000));
        let start = Instant::now();
        throttle.spend(100, start);
        let later = start + Duration::from_secs(60);
        assert_eq!(throttle.spend(250, later), Duration::ZERO);
        assert_eq!(throttle.spend(100, later), Duration::from_millis(100));
    }

    #[test]
    fn the_rate_changes_at_once() {
        let throttle = Throttle::new(Some(1));
        let now = Instant::now();
        assert!(throttle.spend(100, now) > Duration::from_secs(90));
        assert!(throttle.owed(now) > Duration::from_secs(90));
        throttle.set(None);
        assert_eq!(throttle.owed(now), Duration::ZERO);
        assert_eq!(throttle.spend(1 << 30, now), Duration::ZERO);
        throttle.set(Some(1000));
        assert!(throttle.spend(1000, now) <= Duration::from_secs(1));
    }
}
