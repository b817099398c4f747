//! How the workers of a task share its bandwidth limit. Pure: each worker computes its own share from what all have committed.

use crate::task::{TaskWorker, WorkerId};

/// The least part of an equal share that a slow worker keeps, so that it can become faster again: one fourth.
const LEAST: u64 = 4;

/// The share of `me` of a limit in bytes per second: max-min fairness. A worker that needs less than an equal share leaves the
/// rest to the others. A worker that has committed nothing yet counts as one that needs all it can get.
pub(super) fn share(limit: Option<u64>, workers: &[TaskWorker], me: WorkerId) -> Option<u64> {
    let limit = limit?;
    let others: Vec<u64> = workers
        .iter()
        .filter(|worker| worker.worker != me)
        .map(|worker| u64::try_from(worker.speed).unwrap_or(0))
        .collect();
    let count = u64::try_from(others.len() + 1).unwrap_or(u64::MAX);
    let equal = limit / count;
    // What the others take: a fast one its equal share, a slow one a little more than it uses now.
    let taken: u64 = others
        .iter()
        .map(|speed| speed.saturating_mul(5) / 4)
        .map(|speed| {
            if speed == 0 {
                equal
            } else {
                speed.clamp(equal / LEAST, equal)
            }
        })
        .sum();
    Some(limit.saturating_sub(taken).max(equal).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(number: i64, speed: i64) -> TaskWorker {
        TaskWorker {
            worker: WorkerId::known(number).unwrap(),
            shards: 1,
            speed,
        }
    }

    #[test]
    fn the_shares_add_up_to_the_limit_at_most() {
        let me = WorkerId::known(1).unwrap();
        for (name, limit, workers, wanted) in [
            ("no limit", None, vec![worker(1, 5), worker(2, 5)], None),
            ("alone", Some(1_000), vec![worker(1, 5)], Some(1_000)),
            ("not heard of yet", Some(1_000), vec![], Some(1_000)),
            (
                "two fast ones",
                Some(1_000),
                vec![worker(1, 900), worker(2, 900)],
                Some(500),
            ),
            (
                "a slow other",
                Some(1_000),
                vec![worker(1, 900), worker(2, 160)],
                Some(800),
            ),
            (
                "a very slow other",
                Some(1_000),
                vec![worker(1, 900), worker(2, 1)],
                Some(875),
            ),
            (
                "a new other",
                Some(1_000),
                vec![worker(1, 900), worker(2, 0)],
                Some(500),
            ),
            (
                "four",
                Some(1_000),
                vec![worker(1, 0), worker(2, 900), worker(3, 900), worker(4, 900)],
                Some(250),
            ),
            ("a tiny limit", Some(1), vec![worker(1, 1), worker(2, 1)], Some(1)),
        ] {
            assert_eq!(share(limit, &workers, me), wanted, "{name}");
        }
    }
}
