//! What was found of the entries of a task's scope.

use crate::task::Key;

/// What a shard walks over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardScope {
    /// All keys that begin with the prefix.
    Prefix(Key),
    /// The single keys of the task's scope ([`crate::task::spec::Scope::single_keys`]), or the lines of its manifest;
    /// the checkpoint of a list is a position in the file.
    Keys,
    /// The recorded failures, in key order.
    Failures,
}

/// One entry of a scope: a prefix, or all names that the task gives one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundEntry {
    /// Which one.
    pub scope: ShardScope,
    /// Objects that the source has. For a prefix those that the last full pass listed.
    pub objects: i64,
    /// Their bytes, as the last full pass listed them.
    pub bytes: i64,
    /// Names that the source does not have; 0 for a prefix.
    pub not_found: i64,
}

/// What was found of a scope. The objects of all entries and of the rest, with the names that were not found, are those
/// that the task's counters hold as listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundScope {
    /// The first entries.
    pub entries: Vec<FoundEntry>,
    /// Prefixes beyond them.
    pub rest: i64,
    /// Objects below those prefixes.
    pub rest_objects: i64,
    /// Bytes of those objects.
    pub rest_bytes: i64,
    /// Prefixes of all that were listed to their end and have no object.
    pub empty_prefixes: i64,
}

impl FoundScope {
    /// Objects that the source has, of all entries.
    #[must_use]
    pub fn objects(&self) -> i64 {
        self.rest_objects + self.entries.iter().map(|entry| entry.objects).sum::<i64>()
    }
}
