//! Whether the ledger can be written, asked at most once a second: each question is a write that reaches the disk, and anybody may
//! call `/readyz`.

use tokio::sync::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::task::UnixMillis;

/// How long an answer holds, in milliseconds.
const HOLDS: i64 = 1_000;

/// The last answer.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<Option<Answer>>);

#[derive(Clone, Debug)]
struct Answer {
    at: UnixMillis,
    /// The kind and the message of the error, if there was one.
    error: Option<(ErrorKind, String)>,
}

impl Readiness {
    /// The last answer if it still holds at `now`, otherwise that of `ask`. Calls at the same time ask once.
    ///
    /// # Errors
    /// Those of `ask`.
    pub async fn check<F: Future<Output = Result<()>>>(
        &self,
        now: UnixMillis,
        ask: impl FnOnce() -> F,
    ) -> Result<()> {
        let mut last = self.0.lock().await;
        if let Some(answer) = last.as_ref().filter(|answer| answer.holds(now)) {
            return match &answer.error {
                None => Ok(()),
                Some((kind, message)) => Err(Error::new(*kind, message.clone())),
            };
        }
        let result = ask().await;
        let error = result.as_ref().err();
        *last = Some(Answer {
            at: now,
            error: error.map(|error| (error.kind(), error.message().to_owned())),
        });
        result
    }
}

impl Answer {
    /// An answer from the future was given before the clock was set back.
    fn holds(&self, now: UnixMillis) -> bool {
        self.at <= now && now.since(self.at) < HOLDS
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn an_answer_holds_for_a_second() {
        let (readiness, asked) = (Readiness::default(), Cell::new(0));
        let broken = || Err(Error::new(ErrorKind::StorageFull, "the disk is full"));
        for (now, ledger_works, ready, times) in [
            (5_000, true, true, 1),
            (5_999, false, true, 1),
            (6_000, false, false, 2),
            (6_999, true, false, 2),
            (7_000, true, true, 3),
            // The clock was set back.
            (6_999, false, false, 4),
        ] {
            let ask = || {
                asked.set(asked.get() + 1);
                std::future::ready(if ledger_works { Ok(()) } else { broken() })
            };
            let answer = readiness.check(UnixMillis(now), ask).await;
            let wanted = if ready {
                Ok(())
            } else {
                Err(ErrorKind::StorageFull)
            };
            assert_eq!(answer.map_err(|error| error.kind()), wanted, "{now}");
            assert_eq!(asked.get(), times, "{now}");
        }
    }

    #[tokio::test]
    async fn calls_at_the_same_time_ask_once() {
        let readiness = Readiness::default();
        let asked = Cell::new(0);
        let call = || {
            readiness.check(UnixMillis(1), async || {
                asked.set(asked.get() + 1);
                tokio::task::yield_now().await;
                Ok(())
            })
        };
        let (one, other) = tokio::join!(call(), call());
        assert!(one.is_ok() && other.is_ok());
        assert_eq!(asked.get(), 1);
    }
}
