//! The open shards of a task, read together with the task: in one statement, so that all numbers are from the same moment.

use std::fmt::Write as _;
use std::sync::LazyLock;

use super::database::{Row, get};
use crate::error::Result;
use crate::ledger::json::damaged;
use crate::task::{Concurrency, ConcurrencyReason, Counters, TaskWorker, UnixMillis, WorkerId};

/// The condition that a lease on a shard holds: the shard is open, and the lease is its last one. When a task is left, the leases
/// of its shards end. So a worker that has left a task can no longer write to it.
macro_rules! shard_lease {
    ($id:literal, $pass:literal, $number:literal, $fencing_token:literal) => {
        concat!(
            " WHERE task_id = ",
            $id,
            " AND pass = ",
            $pass,
            " AND number = ",
            $number,
            " AND fencing_token = ",
            $fencing_token,
            " AND closed = 0 AND held_by IS NOT NULL"
        )
    };
}
pub(super) use shard_lease;

/// An expression for the open shards of the last pass of a task `t`, as [`read`] wants them: one text with a part for each shard.
pub(super) static OPEN_SHARDS: LazyLock<String> = LazyLock::new(expression);

fn expression() -> String {
    let mut parts = String::from("coalesce(s.concurrency_reason, '-')");
    let numbers = [
        "held_by",
        "seen_at",
        "speed",
        "concurrency_allowed",
        "concurrency_in_flight",
    ];
    for column in numbers.into_iter().chain(Counters::NAMES) {
        // Writing to a string cannot fail.
        write!(parts, " || ' ' || CAST(coalesce(s.{column}, 0) AS TEXT)").unwrap_or_default();
    }
    format!(
        "(SELECT string_agg({parts}, ';') FROM shards s WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0) \
         AS open_shards"
    )
}

/// An open shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenShard {
    pub(super) worker: Option<WorkerId>,
    pub(super) seen_at: UnixMillis,
    /// What its worker does for the whole task.
    pub(super) speed: i64,
    pub(super) concurrency: Option<Concurrency>,
    pub(super) counters: Counters,
}

/// The column of [`OPEN_SHARDS`].
pub(super) fn read(row: &Row) -> Result<Vec<OpenShard>> {
    match get::<Option<&str>>(row, "open_shards")? {
        None => Ok(Vec::new()),
        Some(text) => text
            .split(';')
            .map(|part| one(part).ok_or_else(|| damaged("open shard")))
            .collect(),
    }
}

fn one(text: &str) -> Option<OpenShard> {
    let mut words = text.split(' ');
    let reason = words.next()?;
    let mut number = || words.next()?.parse::<i64>().ok();
    let (worker, seen_at, speed) = (number()?, number()?, number()?);
    let (allowed, in_flight) = (number()?, number()?);
    let mut counters = [0; Counters::NAMES.len()];
    for counter in &mut counters {
        *counter = number()?;
    }
    let concurrency = match reason {
        "-" => None,
        reason => Some(Concurrency {
            allowed: u32::try_from(allowed).ok()?,
            in_flight: u32::try_from(in_flight).ok()?,
            reason: ConcurrencyReason::from_name(reason)?,
        }),
    };
    Some(OpenShard {
        worker: WorkerId::known(worker),
        seen_at: UnixMillis(seen_at),
        speed,
        concurrency,
        counters: counters.into(),
    })
}

/// What the workers of a task do: each shard tells it of its worker's whole work on the task, and the newest word counts.
pub(super) fn workers(shards: &[OpenShard]) -> (Vec<TaskWorker>, Option<Concurrency>) {
    let mut newest: Vec<(OpenShard, i64)> = Vec::new();
    for shard in shards.iter().filter(|shard| shard.worker.is_some()) {
        match newest.iter_mut().find(|(known, _)| known.worker == shard.worker) {
            Some((known, held)) => {
                *held += 1;
                if shard.seen_at > known.seen_at {
                    *known = *shard;
                }
            }
            None => newest.push((*shard, 1)),
        }
    }
    let mut concurrency: Option<Concurrency> = None;
    for one in newest.iter().filter_map(|(shard, _)| shard.concurrency) {
        concurrency = Some(match concurrency {
            None => one,
            Some(sum) => Concurrency {
                allowed: sum.allowed.saturating_add(one.allowed),
                in_flight: sum.in_flight.saturating_add(one.in_flight),
                ..sum
            },
        });
    }
    let mut workers: Vec<TaskWorker> = newest
        .into_iter()
        .filter_map(|(shard, shards)| {
            Some(TaskWorker {
                worker: shard.worker?,
                shards,
                speed: shard.speed,
            })
        })
        .collect();
    workers.sort_by_key(|worker| worker.worker);
    (workers, concurrency)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(worker: i64, seen_at: i64, speed: i64) -> OpenShard {
        OpenShard {
            worker: WorkerId::known(worker),
            seen_at: UnixMillis(seen_at),
            speed,
            concurrency: Some(Concurrency {
                allowed: 4,
                in_flight: 3,
                reason: ConcurrencyReason::Starting,
            }),
            counters: Counters::default(),
        }
    }

    #[test]
    fn each_worker_counts_once_with_its_newest_word() {
        let shards = [
            shard(7, 10, 100),
            shard(0, 90, 9),
            shard(7, 30, 300),
            shard(5, 20, 50),
        ];
        let (found, concurrency) = workers(&shards);
        let found: Vec<(i64, i64, i64)> = found
            .iter()
            .map(|worker| (worker.worker.get(), worker.shards, worker.speed))
            .collect();
        assert_eq!(found, [(5, 1, 50), (7, 2, 300)]);
        let concurrency = concurrency.unwrap();
        assert_eq!((concurrency.allowed, concurrency.in_flight), (8, 6));
        assert_eq!(workers(&[]), (Vec::new(), None));
    }

    #[test]
    fn a_part_is_read_back() {
        let counters: Vec<String> = (1..=Counters::NAMES.len()).map(|n| n.to_string()).collect();
        let counters = counters.join(" ");
        let read = one(&format!("- 0 5 7 0 0 {counters}")).unwrap();
        assert_eq!((read.worker, read.speed, read.concurrency), (None, 7, None));
        assert_eq!(read.counters.listed, 1);
        for wrong in [
            "",
            "- 0 5 7 0 0 1 2",
            "x 0 5 7 0 0",
            &format!("nothing 0 5 7 0 0 {counters}"),
        ] {
            assert_eq!(one(wrong), None, "{wrong}");
        }
    }
}
