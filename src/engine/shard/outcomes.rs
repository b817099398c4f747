//! How the outcome of an object reaches the window of its shard: at once, or through the circuit breaker.
use crate::engine::errors::PassError;
use crate::engine::outcome::Outcome;
use crate::engine::shard::Run;
use crate::engine::shard::breaker::{Deferred, FailureMark, Next};
use crate::engine::shard::canary::{self, Question, Verdict};
use crate::engine::shard::systemic::SystemicFailure;

impl Run {
    /// Settles an object that was begun at `begun`, or defers its failure until it is clear whether it concerns the object alone.
    pub(in crate::engine) async fn settle(
        &mut self,
        number: u64,
        begun: FailureMark,
        outcome: Outcome,
    ) -> Result<(), PassError> {
        let suspect = match &outcome {
            Outcome::Doubtful(_, suspect) => *suspect,
            Outcome::Copied(_) => {
                self.canary = self.window.key(number).cloned();
                let released = self.breaker.copied(begun);
                self.release(released);
                self.window.settle(number, outcome);
                return Ok(());
            }
            Outcome::Gone => {
                let released = self.breaker.source_answered(begun);
                self.release(released);
                self.window.settle(number, outcome);
                return Ok(());
            }
            Outcome::Skipped(_) | Outcome::Failed(_) => {
                self.window.settle(number, outcome);
                return Ok(());
            }
        };
        let Some(key) = self.window.key(number).cloned() else {
            return Ok(());
        };
        match self.breaker.hold(suspect, key, (number, outcome)) {
            Next::Wait => Ok(()),
            Next::AskCanary => self.ask_canary(suspect).await,
        }
    }

    /// Asks whether the side works for another object, and settles or stops accordingly.
    async fn ask_canary(&mut self, suspect: SystemicFailure) -> Result<(), PassError> {
        let known = self
            .canary
            .iter()
            .chain(&self.lease.checkpoint)
            .cloned()
            .collect();
        let sizes = self.breaker.of(suspect).map(|(_, outcome)| outcome.size());
        let question = Question {
            suspect,
            known,
            held: self.breaker.keys().cloned().collect(),
            smallest: sizes.min().unwrap_or_default(),
        };
        let verdict = tokio::select! {
            verdict = canary::ask(&self.ctx, question) => verdict,
            // The failures stay unsettled.
            () = self.ctx.stop.cancelled() => return Ok(()),
        };
        let judged = self.breaker.cleared(suspect);
        match verdict {
            Verdict::Works => {
                self.release(judged);
                Ok(())
            }
            Verdict::Fails => {
                let last = judged.last().map(|held| &held.item.1);
                let (message, code) = last.map_or(("", ""), |outcome| (outcome.message(), outcome.code()));
                Err(PassError::SideError(suspect.side_error(message, code)))
            }
        }
    }

    /// Settles all deferred failures. Grave ones are checked with a canary first, even if there are few: credentials that have just
    /// expired must not be recorded as failures of the last objects.
    ///
    /// # Errors
    /// The error of a side that serves no other object either.
    pub(in crate::engine) async fn release_all(&mut self) -> Result<(), PassError> {
        while let Some(suspect) = self.breaker.grave() {
            self.ask_canary(suspect).await?;
            if self.ctx.stop.is_cancelled() {
                return Ok(());
            }
        }
        let released = self.breaker.give_up();
        self.release(released);
        Ok(())
    }

    fn release(&mut self, released: Vec<Deferred<(u64, Outcome)>>) {
        for Deferred {
            item: (number, outcome),
            ..
        } in released
        {
            self.window.settle(number, outcome);
        }
    }
}
