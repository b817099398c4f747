//! Counts bytes on the wire, for the speed that is shown, and bytes of large objects under way, for the progress.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::task::Key;

/// The speed is an average over this time, as in OMS.
const WINDOW: Duration = Duration::from_secs(5);
/// Part number of the only stream of an object without parts.
pub const WHOLE: u32 = 0;

/// Counts the bytes that a task has moved since it was leased.
#[derive(Debug, Default)]
pub struct Progress {
    bytes: AtomicU64,
    samples: Mutex<VecDeque<(Instant, u64)>>,
    /// Objects under way that are large enough to be shown.
    meters: Mutex<HashMap<Key, Arc<Meter>>>,
}

impl Progress {
    /// Adds bytes that were read from the source and handed to the target.
    pub fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes per second over the last five seconds.
    pub fn speed(&self, now: Instant) -> i64 {
        let bytes = self.bytes.load(Ordering::Relaxed);
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        while samples.len() > 1
            && samples
                .get(1)
                .is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW)
        {
            samples.pop_front();
        }
        samples.push_back((now, bytes));
        let Some((since, before)) = samples.front().copied() else {
            return 0;
        };
        let millis = now.duration_since(since).as_millis().max(1);
        let per_second = u128::from(bytes.saturating_sub(before)) * 1000 / millis;
        if now == since {
            0
        } else {
            i64::try_from(per_second).unwrap_or(i64::MAX)
        }
    }

    /// Watches an object from now on.
    pub fn watch(&self, key: &Key) -> Arc<Meter> {
        let meter = Arc::new(Meter::default());
        self.meters().insert(key.clone(), Arc::clone(&meter));
        meter
    }

    /// Stops watching an object.
    pub fn unwatch(&self, key: &Key, meter: &Arc<Meter>) {
        let mut meters = self.meters();
        if meters.get(key).is_some_and(|found| Arc::ptr_eq(found, meter)) {
            meters.remove(key);
        }
    }

    /// Begins to send a part of an object, or all of it ([`WHOLE`]). Bytes sent earlier for the same part do not count any
    /// more.
    pub fn flow(self: &Arc<Self>, key: &Key, part: u32) -> Flow {
        let meter = self.meters().get(key).cloned();
        Flow {
            cell: meter.map(|meter| meter.begin(part)),
            progress: Arc::clone(self),
        }
    }

    /// Begins to read back what the target already has: it counts only for the speed.
    pub fn read_again(self: &Arc<Self>) -> Flow {
        Flow {
            cell: None,
            progress: Arc::clone(self),
        }
    }

    /// Records that the target has acknowledged a part.
    pub fn keep(&self, key: &Key, part: u32, bytes: u64) {
        if let Some(meter) = self.meters().get(key) {
            meter.keep(part, bytes);
        }
    }

    /// Records that the target has exactly these parts of the object's upload.
    pub fn resume(&self, key: &Key, parts: impl Iterator<Item = (u32, u64)>) {
        if let Some(meter) = self.meters().get(key) {
            meter.clear();
            parts.for_each(|(part, bytes)| meter.keep(part, bytes));
        }
    }

    fn meters(&self) -> MutexGuard<'_, HashMap<Key, Arc<Meter>>> {
        self.meters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the bytes of one object that are at the target or on their way.
#[derive(Debug, Default)]
pub struct Meter {
    parts: Mutex<BTreeMap<u32, PartBytes>>,
    /// The highest value so far: when a part is sent again, progress does not go back.
    most: AtomicU64,
}

#[derive(Debug, Default)]
struct PartBytes {
    bytes: Arc<AtomicU64>,
    /// Whether the target has acknowledged the part.
    kept: bool,
}

impl Meter {
    /// Bytes at the target or on their way; never less than before.
    pub fn bytes(&self) -> u64 {
        let now = self.parts().values().map(PartBytes::bytes).sum();
        self.most.fetch_max(now, Ordering::Relaxed).max(now)
    }

    /// Bytes of parts that the target has acknowledged; a resumed upload keeps them.
    pub fn kept(&self) -> u64 {
        self.parts()
            .values()
            .filter(|sent| sent.kept)
            .map(PartBytes::bytes)
            .sum()
    }

    fn begin(&self, part: u32) -> Arc<AtomicU64> {
        let mut parts = self.parts();
        // An object is sent either in one stream or in parts.
        parts.retain(|number, _| *number != part && (*number == WHOLE) == (part == WHOLE));
        Arc::clone(&parts.entry(part).or_default().bytes)
    }

    fn keep(&self, part: u32, bytes: u64) {
        let sent = PartBytes {
            bytes: Arc::new(AtomicU64::new(bytes)),
            kept: true,
        };
        self.parts().insert(part, sent);
    }

    fn clear(&self) {
        self.parts().clear();
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<u32, PartBytes>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartBytes {
    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Where the bytes of a stream are counted.
#[derive(Clone, Debug)]
pub struct Flow {
    progress: Arc<Progress>,
    /// Bytes of its object, if that is watched.
    cell: Option<Arc<AtomicU64>>,
}

impl Flow {
    /// Of a stream that counts nowhere.
    pub fn uncounted() -> Self {
        Self {
            progress: Arc::default(),
            cell: None,
        }
    }

    /// Adds bytes that were read from the source and handed to the target.
    pub fn add(&self, bytes: u64) {
        self.progress.add(bytes);
        if let Some(cell) = &self.cell {
            cell.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_is_an_average_over_the_window() {
        let progress = Progress::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(progress.speed(start), 0);
        progress.add(1000);
        assert_eq!(progress.speed(at(1)), 1000);
        for second in 2..=10 {
            progress.add(100);
            progress.speed(at(second));
        }
        assert_eq!(progress.speed(at(10)), 100);
        assert_eq!(progress.speed(at(30)), 0);
    }

    #[test]
    fn a_part_that_is_sent_again_counts_once_and_turns_nothing_back() {
        let progress = Arc::new(Progress::default());
        let key = Key::from("k");
        let meter = progress.watch(&key);
        progress.flow(&key, 1).add(10);
        let second = progress.flow(&key, 2);
        second.add(7);
        assert_eq!((meter.bytes(), meter.kept()), (17, 0));
        progress.keep(&key, 1, 10);
        let again = progress.flow(&key, 2);
        again.add(3);
        assert_eq!((meter.bytes(), meter.kept()), (17, 10), "not less than before");
        // Bytes that the first attempt still sends are not counted for the object.
        second.add(100);
        again.add(7);
        assert_eq!(meter.bytes(), 20);
        progress.keep(&key, 2, 10);
        assert_eq!((meter.bytes(), meter.kept()), (20, 20));
        assert_eq!(progress.bytes(), 127, "the wire has carried it all");
    }

    #[test]
    fn parts_of_an_open_upload_count_once() {
        let progress = Arc::new(Progress::default());
        let key = Key::from("k");
        let meter = progress.watch(&key);
        progress.flow(&key, WHOLE).add(5);
        progress.resume(&key, [(1, 8), (3, 8)].into_iter());
        assert_eq!((meter.bytes(), meter.kept()), (16, 16));
        progress.read_again().add(8);
        assert_eq!(meter.bytes(), 16);
        progress.flow(&key, 2).add(2);
        assert_eq!((meter.bytes(), meter.kept()), (18, 16));
        progress.resume(&key, std::iter::empty());
        assert_eq!(meter.kept(), 0, "the upload was begun anew");
    }

    #[test]
    fn an_object_that_nobody_watches_counts_for_the_speed_only() {
        let progress = Arc::new(Progress::default());
        let key = Key::from("k");
        let first = progress.watch(&key);
        let second = progress.watch(&key);
        progress.unwatch(&key, &first);
        progress.flow(&key, WHOLE).add(1);
        assert_eq!(
            (first.bytes(), second.bytes()),
            (0, 1),
            "a key that is in work twice"
        );
        progress.unwatch(&key, &second);
        progress.flow(&key, WHOLE).add(1);
        progress.keep(&key, 1, 9);
        assert_eq!((second.bytes(), progress.bytes()), (1, 2));
    }
}
