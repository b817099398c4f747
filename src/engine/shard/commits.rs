//! What a shard writes to the ledger, and how it keeps its lease.

use std::time::{Duration, Instant};

use crate::engine::errors::{PassError, written};
use crate::engine::shard::window::InFlight;
use crate::engine::shard::{Close, Run};
use crate::engine::sync_points::SyncPoint;
use crate::error::Result as LedgerResult;
use crate::ledger::{Commit, Committed};

/// First and longest wait between two attempts of a commit.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

impl Run {
    /// Commits what is settled, or at least the speed and the concurrency when they changed.
    pub(super) async fn report(&mut self) -> Result<(), PassError> {
        let now = Instant::now();
        let speed = self.ctx.progress.speed(now);
        let concurrency = Some(self.ctx.objects.concurrency(now));
        let shown = (speed, concurrency) != (self.speed, self.concurrency);
        let changed =
            self.window.has_settled() || shown || self.in_flight_bytes(InFlight::All) != self.in_flight;
        // A commit also keeps the lease.
        if changed || now.duration_since(self.written_at) >= self.ctx.tuning.lease.keep_every {
            (self.speed, self.concurrency) = (speed, concurrency);
            self.commit_all(Close::No, InFlight::All).await?;
        }
        Ok(())
    }

    /// Bytes under way. What the attempt before has left of large objects counts until this one has come to them.
    fn in_flight_bytes(&mut self, which: InFlight) -> i64 {
        let bytes = self.window.bytes(which);
        if bytes > 0 || self.window.has_settled() {
            self.carried = 0;
        }
        bytes.max(self.carried)
    }

    /// Commits everything that is settled, in as many commits as that takes.
    pub(super) async fn commit(&mut self, close: Close, in_flight: InFlight) -> Result<(), PassError> {
        let unchanged = self.in_flight_bytes(in_flight) == self.in_flight;
        if close == Close::No && !self.window.has_settled() && self.speed == 0 && unchanged {
            return Ok(());
        }
        self.commit_all(close, in_flight).await
    }

    async fn commit_all(&mut self, close: Close, in_flight: InFlight) -> Result<(), PassError> {
        loop {
            let mut commit = self.window.take();
            let last = !self.window.has_settled();
            let now = if last { close } else { Close::No };
            // What this commit counts is under way no more.
            let in_flight = match now {
                Close::Yes => 0,
                Close::No => self.in_flight_bytes(in_flight),
            };
            commit.delta.bytes_in_flight = in_flight - self.in_flight;
            self.in_flight = in_flight;
            self.write(commit, now).await?;
            if last {
                return Ok(());
            }
        }
    }

    async fn write(&mut self, commit: Commit, close: Close) -> Result<(), PassError> {
        self.ctx.sync_points.reach(SyncPoint::BeforeCommit).await;
        let commit = Commit {
            close: close == Close::Yes,
            speed: self.speed,
            concurrency: self.concurrency,
            ..commit
        };
        let commit = if self.ctx.task.spec.record_failures {
            commit
        } else {
            Commit {
                failures: Vec::new(),
                ..commit
            }
        };
        let answer = self.write_until_given_up(commit).await;
        self.ctx.sync_points.reach(SyncPoint::AfterCommit).await;
        written(answer)
    }

    /// Writes a commit. If the ledger is shared, it may be out of reach for a moment, or the answer may be lost: the commit is
    /// repeated until the lease is not known to hold any more. The ledger writes it once.
    async fn write_until_given_up(&mut self, commit: Commit) -> LedgerResult<Committed> {
        let mut wait = FIRST_WAIT;
        loop {
            let asked = Instant::now();
            let now = self.ctx.clock.now();
            let written = self
                .ctx
                .ledger
                .commit(self.ctx.task.id, &self.lease, commit.clone(), now)
                .await;
            match (&written, &self.ctx.lease_guard) {
                (Ok(_), guard) => {
                    self.written_at = asked;
                    if let Some(guard) = guard {
                        guard.extend(asked);
                    }
                    return written;
                }
                (Err(error), Some(guard)) if error.is_retryable() && guard.holds(Instant::now() + wait) => {
                    tracing::debug!(task.id = %self.ctx.task.id, shard = self.lease.number, %error, "a commit is repeated");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                (Err(_), _) => return written,
            }
        }
    }
}
