//! Reads what a decision needs to know of a task, and writes how the work on a task ends.

use std::sync::LazyLock;

use super::database::{Row, Tx, flag, get, sql};
use super::open_shards::{self, OPEN_SHARDS};
use super::rows;
use crate::error::{Error, Result};
use crate::ledger::decisions::facts::{LeaseState, Run, TaskEnd, TaskFacts};
use crate::ledger::json::damaged;
use crate::ledger::{Lease, LeasedShard, Writer};
use crate::task::{Counters, ProjectId, Reason, TaskId, UnixMillis, WorkerId};

/// Reads tasks that are not deleted, as [`read`] wants them; `condition` follows.
pub(super) fn select_facts(condition: &str) -> String {
    let (counters, open_shards) = (rows::pass_counters("p"), OPEN_SHARDS.as_str());
    format!(
        "SELECT t.*, p.number AS pass_number, p.kind AS pass_kind, p.finished AS pass_finished, \
         p.opened_at AS pass_opened_at, {counters}, {open_shards}, \
         (SELECT max(s.seen_at) FROM shards s WHERE s.task_id = t.id AND s.pass = t.pass) AS shards_seen_at, \
         coalesce((SELECT CAST(sum(s.progress) AS BIGINT) FROM shards s WHERE s.task_id = t.id AND s.pass = t.pass), 0) \
         + coalesce(t.pass, 0) * 1000000000 AS progress FROM tasks t \
         LEFT JOIN passes p ON p.task_id = t.id AND p.number = t.pass WHERE t.project <> '' AND {condition}"
    )
}

/// A task, read inside a change.
pub(super) async fn facts(tx: &mut Tx, id: TaskId) -> Result<Option<TaskFacts>> {
    static SELECT: LazyLock<String> = LazyLock::new(|| select_facts("t.id = $1"));
    tx.lock_task(id).await?;
    tx.first(sql(SELECT.as_str()).bind(id.get()), read).await
}

/// A task of a project, read inside a change.
pub(super) async fn facts_in(tx: &mut Tx, project: &ProjectId, id: TaskId) -> Result<Option<TaskFacts>> {
    static SELECT: LazyLock<String> = LazyLock::new(|| select_facts("t.id = $1 AND t.project = $2"));
    tx.lock_task(id).await?;
    let select = sql(SELECT.as_str()).bind(id.get()).bind(project.as_str());
    tx.first(select, read).await
}

/// Whether the holder of the task with this fencing token may write.
pub(super) async fn lease_holds(tx: &mut Tx, id: TaskId, fencing_token: i64) -> Result<bool> {
    let facts = facts(tx, id).await?;
    Ok(facts.is_some_and(|task| task.lease_holds(fencing_token)))
}

/// Whether a writer may write.
pub(super) async fn may_write(tx: &mut Tx, id: TaskId, writer: Writer<'_>) -> Result<bool> {
    match writer {
        Writer::Task(fencing_token) => lease_holds(tx, id, fencing_token).await,
        Writer::Shard(shard) => shard_lease_holds(tx, id, shard).await,
        Writer::Worker(worker) => {
            let one = sql(
                "SELECT CAST(1 AS BIGINT) AS one FROM tasks t WHERE t.id = $1 AND t.project <> '' \
                 AND t.state IN ('running', 'pausing') \
                 AND (t.held_by = $2 OR EXISTS (SELECT 1 FROM shards s WHERE s.task_id = t.id AND s.pass = t.pass \
                 AND s.held_by = $2))",
            )
            .bind(id.get())
            .bind(worker.get());
            Ok(one.maybe(tx).await?.is_some())
        }
    }
}

/// Whether a lease on a shard holds. The row stays locked until the transaction ends.
async fn shard_lease_holds(tx: &mut Tx, id: TaskId, shard: &LeasedShard) -> Result<bool> {
    // It writes nothing new. An update locks the row in either database.
    let lock = sql(concat!(
        "UPDATE shards SET closed = 0",
        open_shards::shard_lease!("$1", "$2", "$3", "$4")
    ))
    .bind(id.get())
    .bind(shard.pass)
    .bind(shard.number)
    .bind(shard.fencing_token);
    Ok(tx.run(lock).await? > 0)
}

/// A row of [`select_facts`].
pub(super) fn read(row: &Row) -> Result<TaskFacts> {
    let moment = |column| Ok::<_, Error>(get::<Option<i64>>(row, column)?.map(UnixMillis));
    let (task_seen, shards_seen) = (moment("seen_at")?, moment("shards_seen_at")?);
    let mut counters = rows::counters(row)?;
    for shard in open_shards::read(row)? {
        counters += shard.counters;
    }
    let progress: i64 = get(row, "progress")?;
    Ok(TaskFacts {
        state: rows::state(row)?,
        fencing_token: get(row, "fencing_token")?,
        pass: rows::pass(row)?,
        forgetting: flag(row, "forgetting")?,
        counters,
        run: Run {
            since: moment("running_since")?,
            seen: task_seen.max(shards_seen.filter(|_| task_seen.is_some())),
        },
        lease: match get::<i64>(row, "held")? {
            0 => LeaseState::Nobody,
            1 => LeaseState::Leased,
            2 => LeaseState::Confirmed,
            _ => return Err(damaged("holder of a task")),
        },
        holder: holder(row, task_seen)?,
        trouble: trouble(row)?,
        crashes: if get::<i64>(row, "counted_progress")? == progress {
            get(row, "crashes")?
        } else {
            0
        },
        progress,
    })
}

fn holder(row: &Row, seen: Option<UnixMillis>) -> Result<Option<Lease>> {
    let worker = get::<Option<i64>>(row, "held_by")?.and_then(WorkerId::known);
    Ok(worker
        .zip(seen)
        .map(|(worker, seen_at)| Lease { worker, seen_at }))
}

/// The columns `trouble_code` and `trouble_message`.
fn trouble(row: &Row) -> Result<Option<Reason>> {
    rows::reason_in(row, "trouble_code", "trouble_message")
}

/// Checks that an update has changed the row of its task. The update requires the state that was read before; inside the
/// transaction nobody else can have changed it.
pub(super) fn one_row(touched: u64) -> Result<()> {
    if touched == 1 {
        Ok(())
    } else {
        Err(Error::internal("a task changed its state inside a transaction"))
    }
}

/// Writes how the work on a task ends: all leases end, and the task's credentials are wiped. The caller truncates the log after
/// the commit.
pub(super) async fn leave(tx: &mut Tx, id: TaskId, leaving: &TaskEnd) -> Result<()> {
    let TaskEnd {
        from,
        to,
        reason,
        ran_for,
        ended_at,
    } = leaving;
    let update = sql(
        "UPDATE tasks SET state = $3, reason_code = $4, reason_message = $5, running_since = NULL, held = 0, held_by = NULL, \
         fencing_token = 0, findings = NULL, trouble_code = NULL, trouble_message = NULL, crashes = 0, \
         ran_for = ran_for + $6, ended_at = $7 WHERE id = $1 AND state = $2",
    )
    .bind(id.get())
    .bind(from.name())
    .bind(to.name())
    .bind(reason.as_ref().map(|reason| reason.kind.name()))
    .bind(reason.as_ref().map(|reason| reason.message.as_str()))
    .bind(*ran_for)
    .bind(ended_at.map(|moment| moment.0));
    one_row(tx.run(update).await?)?;
    // A lease on a shard exists only while the task runs. So a commit need not look at the task.
    let free = sql(
        "UPDATE shards SET held_by = NULL, fencing_token = 0, lost_leases = 0 WHERE task_id = $1 AND closed = 0 \
         AND (held_by IS NOT NULL OR lost_leases > 0)",
    )
    .bind(id.get());
    tx.run(free).await?;
    let wipe = sql("DELETE FROM credentials WHERE task_id = $1").bind(id.get());
    tx.run(wipe).await.map(drop)
}

/// The counters of a task: those of its last pass and of its open shards.
pub(super) fn task_counters(row: &Row) -> Result<Counters> {
    let mut counters = rows::counters(row)?;
    for shard in open_shards::read(row)? {
        counters += shard.counters;
    }
    Ok(counters)
}
