//! How the end of an object gets into its shard's window: at once, or through the circuit breaker.

use super::Halt;
use super::breaker::{Held, Mark, Next, Suspect};
use super::copy::Outcome;
use super::shard::Run;
use super::witness::{self, Verdict};

impl Run {
    /// Settles an object that was begun at `begun`, or holds its failure back until it is known whether it is the object's own.
    pub(super) async fn settle(&mut self, number: u64, begun: Mark, outcome: Outcome) -> Result<(), Halt> {
        let suspect = match &outcome {
            Outcome::Doubtful(_, suspect) => *suspect,
            Outcome::Copied(_) => {
                self.witness = self.window.key(number).cloned();
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
            Next::AskWitness => self.ask_witness(suspect).await,
        }
    }

    /// Asks whether the side works for another object, and settles or stops accordingly.
    async fn ask_witness(&mut self, suspect: Suspect) -> Result<(), Halt> {
        let known = self
            .witness
            .iter()
            .chain(&self.claim.checkpoint)
            .cloned()
            .collect();
        let held = self.breaker.keys().cloned().collect();
        let verdict = tokio::select! {
            verdict = witness::ask(&self.ctx, suspect, known, &held) => verdict,
            // The failures stay unsettled.
            () = self.ctx.stop.cancelled() => return Ok(()),
        };
        let judged = self.breaker.acquitted(suspect);
        match verdict {
            Verdict::Works => {
                self.release(judged);
                Ok(())
            }
            Verdict::Fails => {
                let last = judged.last().map_or("", |held| held.item.1.message());
                Err(Halt::Trouble(suspect.trouble(last)))
            }
        }
    }

    /// Settles everything that was held back.
    pub(super) fn release_all(&mut self) {
        let released = self.breaker.give_up();
        self.release(released);
    }

    fn release(&mut self, released: Vec<Held<(u64, Outcome)>>) {
        for Held {
            item: (number, outcome),
            ..
        } in released
        {
            self.window.settle(number, outcome);
        }
    }
}
