//! How time, memory and the ledger grow with the number of objects.
//!
//! # How a listing is divided
//!
//! A shard is a contiguous range of a listing. It has a checkpoint, counters of its own, and ends with an inclusive key. While a
//! shard waits for its listing although objects could be copied, it is split: `oms` asks the store for the first key after a few
//! names, and cuts the range at the keys that the store gives. At most 16 shards of a task run at a time. Splits take at most 320
//! requests for a pass and one more for each hundred pages.
//!
//! * Where keys lie does not matter: the names are computed in the alphabet of the keys that were seen.
//! * Stores that list by path (SeaweedFS) are split like those that list by bytes, because a cut is a key of the listing itself.
//! * A source that ignores where a listing begins, or that lists in no order, is listed by one reader. So is a source whose target
//!   lists in no known order. The log says so. Manifests and lists of single keys are not split.
//! * If the last key of a range is deleted while the order of the listing is unclear, the ranges of that prefix become one shard
//!   again, and begin anew.
//! * The next full pass of the task begins with ranges of about the same size.
//!
//! # A billion objects, on paper
//!
//! | what | how much |
//! |---|---|
//! | listing requests | 1,000,000 at each side, and up to 10,320 to split |
//! | a pass with nothing to do, stores 40 ms away | 16 readers of 25,000 keys per second would take 45 minutes; two cores compare about 290,000 keys per second: an hour |
//! | copying objects of 4 KiB, stores 40 ms away | about 4,600 objects per second for a task of 50 threads: 2.5 days |
//! | copying objects of 4 KiB, near stores | about 17,000 objects per second on two cores: 16 hours |
//! | shards in the ledger | some hundred rows of about 300 bytes |
//! | failures in the ledger | at most 1,000,000 rows of about 500 bytes; the task ends when there are more |
//! | report lines | about 70 bytes an object; they are written to the target in files of 64 MiB and then deleted from the ledger |
//! | commits | one a second for each running shard: 1.4 million a day |
//! | memory | as for 200,000 objects: it depends on the readers and on what is in flight, not on the number of objects |
//!
//! One process is the ceiling: its processor cores, its network, and one SQLite file.
