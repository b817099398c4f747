//! What was found for each entry of a task's scope.

use crate::task::Key;

/// The keys of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardScope {
    /// All keys that begin with the prefix.
    Prefix(Key),
    /// The single keys of the task's scope ([`crate::task::spec::Scope::single_keys`]), or the lines of its manifest. The
    /// checkpoint of a manifest is a position in the file.
    Keys,
    /// The recorded failures, in key order.
    Failures,
}

/// One entry of a scope: a prefix, or all single keys together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundEntry {
    /// Which one.
    pub scope: ShardScope,
    /// Number of objects that the source has. For a prefix, the number that the last full pass listed.
    pub objects: i64,
    /// Their bytes, as the last full pass listed them.
    pub bytes: i64,
    /// Number of names that the source does not have. 0 for a prefix.
    pub not_found: i64,
}

/// What was found for a scope. The objects of all entries, the objects of the rest and the names that were not found add up
/// to the listed objects in the task's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundScope {
    /// The first entries.
    pub entries: Vec<FoundEntry>,
    /// Number of further prefixes.
    pub rest: i64,
    /// Objects below those prefixes.
    pub rest_objects: i64,
    /// Bytes of those objects.
    pub rest_bytes: i64,
    /// Number of prefixes, among all, that were listed completely and have no object.
    pub empty_prefixes: i64,
}

impl FoundScope {
    /// Number of objects that the source has for all entries.
    #[must_use]
    pub fn objects(&self) -> i64 {
        self.rest_objects + self.entries.iter().map(|entry| entry.objects).sum::<i64>()
    }
}
