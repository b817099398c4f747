//! How many body streams at once, shared fairly between tasks.
//!
//! The process has a bounded number of places for streams, and with it the memory of buffers. Any task may take any free
//! place, so that a single task is never slowed down. When all are taken, a place that becomes free goes to the task that
//! waits and holds the fewest: tasks that hold many get no new one before the others have as many (max-min fairness). A task
//! whose stores are slow on purpose keeps its places for long, so each task is assured of a few places beyond the bound:
//! [`ASSURED`] streams, and one piece of a sequential copy.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::engine::endpoints::Endpoints;
use crate::error::{Error, ErrorKind, Result};

/// Streams that a task gets in any case, also when others hold all places.
pub const ASSURED: usize = 4;
/// Sequential copies at the same time in the whole process. Each holds one piece of its object in memory: 32 MiB in all, and
/// a piece for each task that finds none left.
const SEQUENTIAL: usize = 4;

/// The places of the process, and what its tasks know about their endpoints.
#[derive(Clone, Debug)]
pub struct Streams {
    places: Arc<Pool>,
    pieces: Arc<Pool>,
    endpoints: Endpoints,
}

/// One task's part in them; it ends when this and all its places are dropped.
#[derive(Debug)]
pub struct TaskStreams {
    places: Member,
    pieces: Member,
}

impl Streams {
    /// `count` streams at the same time, besides those that tasks are assured of.
    #[must_use]
    pub fn new(count: usize) -> Self {
        let count = count.max(1);
        Self {
            places: Pool::new(count, ASSURED.min(count)),
            pieces: Pool::new(SEQUENTIAL, 1),
            endpoints: Endpoints::default(),
        }
    }

    /// Streams at the same time, without those that tasks are assured of.
    #[must_use]
    pub fn count(&self) -> usize {
        self.places.shares().places
    }

    /// The endpoints that the tasks of the process talk to.
    #[must_use]
    pub const fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Lets a task take part.
    #[must_use]
    pub fn of_task(&self) -> TaskStreams {
        TaskStreams {
            places: self.places.join(),
            pieces: self.pieces.join(),
        }
    }
}

impl TaskStreams {
    /// Waits for a permit.
    ///
    /// # Errors
    /// `Cancelled` when the process is shutting down.
    pub async fn acquire(&self) -> Result<Permit> {
        self.places.acquire().await
    }

    /// Waits for a permit together with the right to hold one piece of an object in memory.
    ///
    /// # Errors
    /// Those of [`Self::acquire`].
    pub async fn acquire_with_piece(&self) -> Result<(Permit, Permit)> {
        // In this order: who waits for a piece must not keep a place from those who need no piece.
        let piece = self.pieces.acquire().await?;
        Ok((piece, self.places.acquire().await?))
    }
}

#[derive(Debug)]
struct Pool(Mutex<Shares<oneshot::Sender<Permit>>>);

/// A task of a pool.
#[derive(Debug)]
struct Member {
    pool: Arc<Pool>,
    number: u64,
}

/// A place that is taken until it is dropped.
#[derive(Debug)]
pub struct Permit {
    pool: Arc<Pool>,
    number: u64,
}

impl Pool {
    fn new(places: usize, assured: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Shares::new(places, assured))))
    }

    fn shares(&self) -> MutexGuard<'_, Shares<oneshot::Sender<Permit>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(self: &Arc<Self>) -> Member {
        Member {
            pool: Arc::clone(self),
            number: self.shares().join(),
        }
    }
}

impl Member {
    async fn acquire(&self) -> Result<Permit> {
        let place = || Permit {
            pool: Arc::clone(&self.pool),
            number: self.number,
        };
        let waiting = {
            let mut shares = self.pool.shares();
            if shares.take(self.number) {
                drop(shares);
                return Ok(place());
            }
            let (sender, receiver) = oneshot::channel();
            shares.wait(self.number, sender);
            receiver
        };
        // A place that was given to a wait which is over comes back by itself: it is dropped with the channel.
        let closed = |_| Error::new(ErrorKind::Cancelled, "shutting down");
        waiting.await.map_err(closed)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.pool.shares().leave(self.number);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let given = self.pool.shares().give_back(self.number);
        // Outside of the lock: a place that nobody waits for any more is dropped here, and so given to the next.
        for (number, waiter) in given {
            let place = Self {
                pool: Arc::clone(&self.pool),
                number,
            };
            drop(waiter.send(place));
        }
    }
}

/// Who holds how many places, and who waits. Pure: `W` is what a waiter is woken by.
#[derive(Debug)]
struct Shares<W> {
    places: usize,
    assured: usize,
    taken: usize,
    joined: u64,
    turns: u64,
    members: BTreeMap<u64, Share<W>>,
}

#[derive(Debug)]
struct Share<W> {
    held: usize,
    waiting: VecDeque<W>,
    /// When it was last given a place that it waited for: of two that hold as many, the other comes first.
    turn: u64,
    left: bool,
}

impl<W> Shares<W> {
    const fn new(places: usize, assured: usize) -> Self {
        Self {
            places,
            assured,
            taken: 0,
            joined: 0,
            turns: 0,
            members: BTreeMap::new(),
        }
    }

    fn join(&mut self) -> u64 {
        self.joined += 1;
        let share = Share {
            held: 0,
            waiting: VecDeque::new(),
            turn: 0,
            left: false,
        };
        self.members.insert(self.joined, share);
        self.joined
    }

    fn leave(&mut self, number: u64) {
        if let Some(share) = self.members.get_mut(&number) {
            share.left = true;
            share.waiting.clear();
            if share.held == 0 {
                self.members.remove(&number);
            }
        }
    }

    /// Takes a place at once, if the member may have one. While places are free nobody waits, so nobody is passed over.
    fn take(&mut self, number: u64) -> bool {
        let free = self.taken < self.places;
        let Some(share) = self.members.get_mut(&number) else {
            return false;
        };
        if free || share.held < self.assured {
            share.held += 1;
            self.taken += 1;
            return true;
        }
        false
    }

    fn wait(&mut self, number: u64, waiter: W) {
        if let Some(share) = self.members.get_mut(&number) {
            share.waiting.push_back(waiter);
        }
    }

    /// Gives a place back, and gives places to those who may have them now.
    fn give_back(&mut self, number: u64) -> Vec<(u64, W)> {
        if let Some(share) = self.members.get_mut(&number) {
            share.held = share.held.saturating_sub(1);
            self.taken = self.taken.saturating_sub(1);
            if share.left && share.held == 0 {
                self.members.remove(&number);
            }
        }
        let mut given = Vec::new();
        while let Some((number, share)) = self.next() {
            share.held += 1;
            let Some(waiter) = share.waiting.pop_front() else {
                break;
            };
            given.push((number, waiter));
            self.taken += 1;
            self.turns += 1;
            let turn = self.turns;
            if let Some(share) = self.members.get_mut(&number) {
                share.turn = turn;
            }
        }
        given
    }

    /// The waiting member that holds the fewest, if it may have a place.
    fn next(&mut self) -> Option<(u64, &mut Share<W>)> {
        let free = self.taken < self.places;
        let assured = self.assured;
        self.members
            .iter_mut()
            .filter(|(_, share)| !share.waiting.is_empty() && (free || share.held < assured))
            .min_by_key(|(_, share)| (share.held, share.turn))
            .map(|(number, share)| (*number, share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn held<W>(shares: &Shares<W>, number: u64) -> usize {
        shares.members.get(&number).map_or(0, |share| share.held)
    }

    /// Takes as many as there are for this member, and waits for more.
    fn fill(shares: &mut Shares<u32>, number: u64, waiters: u32) -> usize {
        let mut taken = 0;
        while shares.take(number) {
            taken += 1;
        }
        for waiter in 0..waiters {
            shares.wait(number, waiter);
        }
        taken
    }

    #[test]
    fn a_single_task_has_every_place() {
        let mut shares = Shares::new(128, ASSURED);
        let one = shares.join();
        assert_eq!(fill(&mut shares, one, 1), 128);
        assert_eq!(shares.give_back(one), [(one, 0)]);
    }

    #[test]
    fn a_task_that_comes_late_starts_at_once_and_gets_what_becomes_free() {
        let mut shares = Shares::new(128, ASSURED);
        let greedy = [shares.join(), shares.join(), shares.join()];
        for number in greedy {
            fill(&mut shares, number, 1_000);
        }
        let honest = shares.join();
        assert_eq!(fill(&mut shares, honest, 1_000), ASSURED);
        // The others give theirs back one after another, and ask for it again.
        for n in 0..600 {
            let from = greedy[n % 3];
            if held(&shares, from) > 0 {
                shares.give_back(from);
            }
        }
        let all = [greedy[0], greedy[1], greedy[2], honest].map(|n| held(&shares, n));
        assert_eq!(all.iter().sum::<usize>(), 128, "{all:?}");
        assert!(all.iter().all(|held| held.abs_diff(32) <= 1), "{all:?}");
    }

    #[test]
    fn a_task_that_has_left_waits_for_nothing_and_is_forgotten() {
        let mut shares = Shares::new(1, 1);
        let (one, other) = (shares.join(), shares.join());
        assert!(shares.take(one) && !shares.take(one));
        shares.wait(one, 7);
        shares.leave(one);
        assert!(shares.take(other));
        shares.wait(other, 8);
        assert_eq!(shares.give_back(one), []);
        assert!(!shares.members.contains_key(&one));
        assert_eq!(shares.give_back(other), [(other, 8)]);
    }

    proptest! {
        #[test]
        fn no_place_is_lost_and_nobody_waits_while_one_is_free(
            places in 1_usize..9,
            assured in 1_usize..4,
            steps in prop::collection::vec((0_u64..4, any::<bool>()), 1..200),
        ) {
            let mut shares = Shares::new(places, assured);
            for _ in 0..4 {
                shares.join();
            }
            for (number, asks) in steps {
                let number = number + 1;
                if asks {
                    if !shares.take(number) {
                        shares.wait(number, ());
                    }
                } else if held(&shares, number) > 0 {
                    shares.give_back(number);
                }
                let held: usize = shares.members.values().map(|share| share.held).sum();
                prop_assert_eq!(held, shares.taken);
                prop_assert!(held <= places + 4 * assured);
                let waits = |share: &&Share<()>| !share.waiting.is_empty();
                if held < places {
                    prop_assert!(!shares.members.values().any(|share| waits(&share)));
                }
                for share in shares.members.values().filter(waits) {
                    prop_assert!(share.held >= assured);
                }
            }
        }
    }

    #[tokio::test]
    async fn no_more_pieces_are_held_than_there_is_memory_for() {
        let streams = Streams::new(100).of_task();
        let mut held = Vec::new();
        for _ in 0..SEQUENTIAL {
            held.push(streams.acquire_with_piece().await.unwrap());
        }
        let waiting = streams.acquire_with_piece();
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        // Who needs no piece does not wait.
        drop(streams.acquire().await.unwrap());
        held.pop();
        assert!(futures_util::poll!(&mut waiting).is_ready());
    }

    #[tokio::test]
    async fn a_wait_that_was_given_up_keeps_no_place() {
        let streams = Streams::new(1);
        let (one, other) = (streams.of_task(), streams.of_task());
        let place = one.acquire().await.unwrap();
        let assured = other.acquire().await.unwrap();
        {
            let given_up = other.acquire();
            tokio::pin!(given_up);
            assert!(futures_util::poll!(&mut given_up).is_pending());
        }
        let waiting = one.acquire();
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(assured);
        drop(place);
        assert!(futures_util::poll!(&mut waiting).is_ready());
    }
}
