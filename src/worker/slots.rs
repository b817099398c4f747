//! Slots for running tasks, shared fairly between projects. Pure.
//!
//! A project may use all slots while no other project waits. Rules for the next free slot:
//! * The project with the fewest running tasks comes first; among equals projects take turns. Within a project the oldest task comes
//!   first, and tasks that a crash interrupted come before waiting ones.
//! * A stalled task (see [`StallDetector`]) does not count, so a slow store does not take slots from others.
//! * A project without a running task does not wait for a project with several: it gets an additional slot.
//! * In any case a project runs at most twice as many tasks as there are slots, and all projects together three times as many. The
//!   number of streams bounds the memory of all of them.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::ledger::Pending;
use crate::task::{ProjectId, TaskId};

/// Time without progress after which a task counts as stalled.
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// Bytes that count as progress while no object is settled: the least that a stream transfers in half a minute.
const MOVED: u64 = 64 << 10;

/// Whether a task makes progress.
#[derive(Clone, Copy, Debug)]
pub(super) struct StallDetector {
    since: Instant,
    settled: Option<i64>,
    bytes: u64,
}

impl StallDetector {
    /// For a task that begins now.
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            since: now,
            settled: None,
            bytes: 0,
        }
    }

    /// Records what the task has done so far.
    pub(super) fn look(&mut self, now: Instant, settled: i64, bytes: u64) {
        if self.settled != Some(settled) || bytes.saturating_sub(self.bytes) >= MOVED {
            *self = Self {
                since: now,
                settled: Some(settled),
                bytes,
            };
        }
    }

    /// Whether it has made no progress for [`STALLED_AFTER`].
    pub(super) fn is_stalled(&self, now: Instant) -> bool {
        now.duration_since(self.since) >= STALLED_AFTER
    }
}

/// A task that runs.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) project: ProjectId,
    pub(super) stalled: bool,
}

/// Maximum number of tasks that may run with this number of slots.
pub(super) const fn most(slots: usize) -> usize {
    slots.saturating_mul(3)
}

/// Which pending tasks to lease now, in this order. `last` is the project that was served last.
pub(super) fn choose(
    slots: usize,
    running: &[Running],
    pending: Vec<Pending>,
    last: Option<&ProjectId>,
) -> Vec<TaskId> {
    let mut total = running.len();
    let mut moving = running.iter().filter(|task| !task.stalled).count();
    let mut held: BTreeMap<&ProjectId, usize> = BTreeMap::new();
    for task in running {
        *held.entry(&task.project).or_default() += 1;
    }
    let mut held: BTreeMap<ProjectId, usize> = held.into_iter().map(|(p, n)| (p.clone(), n)).collect();
    let mut waiting: BTreeMap<ProjectId, VecDeque<TaskId>> = BTreeMap::new();
    for Pending { id, project } in pending {
        waiting.entry(project).or_default().push_back(id);
    }
    let mut last = last.cloned();
    let mut chosen = Vec::new();
    loop {
        let several = held.values().any(|count| *count > 1);
        let may = |count: usize| {
            let most_of_one = slots.saturating_mul(2);
            total < most(slots)
                && (count == 0 || count < most_of_one)
                && (moving < slots || (count == 0 && several))
        };
        // Start after the last one, then wrap around.
        let turn = |project: &ProjectId| last.as_ref().is_some_and(|last| project <= last);
        let next = waiting
            .iter()
            .filter(|(_, tasks)| !tasks.is_empty())
            .map(|(project, _)| (held.get(project).copied().unwrap_or(0), turn(project), project))
            .filter(|(count, ..)| may(*count))
            .min()
            .map(|(_, _, project)| project.clone());
        let Some(project) = next else { return chosen };
        let Some(id) = waiting.get_mut(&project).and_then(VecDeque::pop_front) else {
            return chosen;
        };
        chosen.push(id);
        *held.entry(project.clone()).or_default() += 1;
        total += 1;
        moving += 1;
        last = Some(project);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(name: &str) -> ProjectId {
        name.parse().unwrap()
    }

    /// Tasks by name: `a1` is the first of project `a`.
    fn pending(names: &[&str]) -> Vec<Pending> {
        let one = |name: &&str| Pending {
            id: id(name),
            project: project(&name[..1]),
        };
        names.iter().map(one).collect()
    }

    fn id(name: &str) -> TaskId {
        let bytes = name.as_bytes();
        TaskId::new(i64::from(bytes[0]) * 1_000 + name[1..].parse::<i64>().unwrap()).unwrap()
    }

    /// `a` is a running task of project `a`; `A` is a stalled task of project `a`.
    fn running(tasks: &str) -> Vec<Running> {
        tasks
            .chars()
            .map(|c| Running {
                project: project(&c.to_ascii_lowercase().to_string()),
                stalled: c.is_ascii_uppercase(),
            })
            .collect()
    }

    #[test]
    fn slots_are_given_as_the_rules_say() {
        let a = &["a1", "a2", "a3", "a4", "a5", "a6"][..];
        type Row<'a> = (&'a str, &'a str, &'a [&'a str], Option<&'a str>, &'a [&'a str]);
        let rows: &[Row<'_>] = &[
            (
                "one project has all of them",
                "",
                a,
                None,
                &["a1", "a2", "a3", "a4", "a5"],
            ),
            ("and waits for the sixth", "aaaaa", &["a6"], None, &[]),
            (
                "another one does not",
                "aaaaa",
                &["a6", "b1", "b2"],
                None,
                &["b1"],
            ),
            ("nor a third", "aaaaab", &["b2", "c1"], None, &["c1"]),
            (
                "the number holds again when they are through",
                "aaaab",
                &["a6", "b2"],
                None,
                &[],
            ),
            (
                "a free one goes to the project with fewer",
                "aaab",
                &["a4", "b2"],
                None,
                &["b2"],
            ),
            (
                "turn by turn",
                "",
                &["a1", "b1", "c1"],
                Some("a"),
                &["b1", "c1", "a1"],
            ),
            (
                "one of each before a second",
                "",
                &["a1", "a2", "a3", "a4", "a5", "b1", "c1"],
                None,
                &["a1", "b1", "c1", "a2", "a3"],
            ),
            ("projects with one task each wait", "abcde", &["f1"], None, &[]),
            ("but not for those that stalled", "ABCDE", &["f1"], None, &["f1"]),
            ("nor does their own project", "AAAAA", &["a6"], None, &["a6"]),
            (
                "up to twice the number",
                "AAAAAAAAAA",
                &["a6", "b1"],
                None,
                &["b1"],
            ),
            ("and three times in all", "AAAAAAAAAABCDEF", &["g1"], None, &[]),
        ];
        for (what, runs, waits, last, wanted) in rows {
            let last = last.map(project);
            let chosen = choose(5, &running(runs), pending(waits), last.as_ref());
            let wanted: Vec<TaskId> = wanted.iter().map(|name| id(name)).collect();
            assert_eq!(chosen, wanted, "{what}");
        }
        assert_eq!(choose(0, &[], pending(a), None), []);
    }

    #[test]
    fn a_task_has_stalled_when_it_neither_settles_nor_moves() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut stalls = StallDetector::new(start);
        stalls.look(at(5), 0, 0);
        // Single bytes do not count as progress.
        for seconds in 6..35 {
            stalls.look(at(seconds), 0, seconds);
            assert!(!stalls.is_stalled(at(seconds)), "{seconds}");
        }
        assert!(stalls.is_stalled(at(35)));
        stalls.look(at(36), 1, 36);
        assert!(!stalls.is_stalled(at(60)));
        stalls.look(at(60), 1, 36 + MOVED);
        assert!(!stalls.is_stalled(at(89)) && stalls.is_stalled(at(90)));
    }
}
