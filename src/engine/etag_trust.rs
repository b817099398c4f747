//! What a pass has learned about the ETags of both sides: which are hashes of content, and which only look like hashes.
//!
//! For an object that was written as one piece, S3 gives its MD5. For a multipart upload, it gives the MD5 of the MD5 sums of
//! its parts together with the number of parts (Amazon S3 API reference, *Object*, ETag). Stores that encrypt with their own
//! keys, and stores with their own formats, give ETags that only look like that. Each fact is learned from one object and then
//! holds for the whole pass. If a fact is wrong, copies are read back without need, or have a weaker proof.

use std::sync::atomic::{AtomicU8, Ordering};

/// One fact about the ETags of a side.
#[derive(Clone, Copy)]
enum Fact {
    SourceOpaque,
    SourceProved,
    SourceJoinedOpaque,
    SourceJoinedProved,
    SourcePartsMisguessed,
    TargetOpaque,
    TargetPartsOpaque,
    TargetJoinedOpaque,
}

/// The facts learned so far. No fact is forgotten during a pass.
#[derive(Debug, Default)]
pub struct EtagTrust(AtomicU8);

impl EtagTrust {
    fn learn(&self, fact: Fact) {
        self.0.fetch_or(1 << fact as u8, Ordering::Relaxed);
    }

    fn knows(&self, fact: Fact) -> bool {
        self.0.load(Ordering::Relaxed) & (1 << fact as u8) != 0
    }

    /// An ETag of the source looked like an MD5, but was not the MD5 of the bytes.
    pub(super) fn source_is_no_hash(&self) {
        self.learn(Fact::SourceOpaque);
    }

    /// Whether ETags of the source that look like an MD5 prove nothing.
    pub(super) fn source_is_opaque(&self) -> bool {
        self.knows(Fact::SourceOpaque)
    }

    /// An ETag of the source was the MD5 of the bytes that were read.
    pub(super) fn source_is_a_hash(&self) {
        self.learn(Fact::SourceProved);
    }

    /// Whether an ETag of the source that differs from the MD5 of the bytes means that the bytes are corrupt.
    pub(super) fn source_is_proved(&self) -> bool {
        self.knows(Fact::SourceProved)
    }

    /// An ETag of a multipart upload at the source was not the one that S3 computes from its parts.
    pub(super) fn source_multipart_is_no_hash(&self) {
        self.learn(Fact::SourceJoinedOpaque);
    }

    /// Whether ETags of multipart uploads at the source prove nothing.
    pub(super) fn source_multipart_is_opaque(&self) -> bool {
        self.knows(Fact::SourceJoinedOpaque)
    }

    /// An object that was copied with the same parts as at the source got the same ETag.
    pub(super) fn source_multipart_is_a_hash(&self) {
        self.learn(Fact::SourceJoinedProved);
    }

    /// Whether ETags of multipart uploads at the source are the ones that S3 computes.
    pub(super) fn source_multipart_is_proved(&self) -> bool {
        self.knows(Fact::SourceJoinedProved)
    }

    /// The size of the source's parts was guessed, and the guess was wrong.
    pub(super) fn source_parts_were_misguessed(&self) {
        self.learn(Fact::SourcePartsMisguessed);
    }

    /// Whether the size of the source's parts must not be guessed again.
    pub(super) fn source_parts_are_unguessable(&self) -> bool {
        self.knows(Fact::SourcePartsMisguessed)
    }

    /// An ETag of the target looked like an MD5, but was not the MD5 of the bytes at the target.
    pub(super) fn target_is_no_hash(&self) {
        self.learn(Fact::TargetOpaque);
    }

    /// Whether ETags of the target that look like an MD5 prove nothing.
    pub(super) fn target_is_opaque(&self) -> bool {
        self.knows(Fact::TargetOpaque)
    }

    /// The ETag of a part at the target was not the MD5 of the part at the target.
    pub(super) fn target_parts_are_no_hashes(&self) {
        self.learn(Fact::TargetPartsOpaque);
    }

    /// Whether ETags of parts at the target prove nothing.
    pub(super) fn target_parts_are_opaque(&self) -> bool {
        self.knows(Fact::TargetPartsOpaque)
    }

    /// The target gave a completed upload another ETag than S3 computes from its parts.
    pub(super) fn target_multipart_is_no_hash(&self) {
        self.learn(Fact::TargetJoinedOpaque);
    }

    /// Whether ETags of multipart uploads at the target prove nothing.
    pub(super) fn target_multipart_is_opaque(&self) -> bool {
        self.knows(Fact::TargetJoinedOpaque)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Learn = fn(&EtagTrust);
    type Ask = fn(&EtagTrust) -> bool;

    #[test]
    fn each_fact_changes_its_own_answer_and_no_other() {
        let rows: [(&str, Learn, Ask); 8] = [
            (
                "source",
                EtagTrust::source_is_no_hash,
                EtagTrust::source_is_opaque,
            ),
            (
                "source proved",
                EtagTrust::source_is_a_hash,
                EtagTrust::source_is_proved,
            ),
            (
                "source multipart",
                EtagTrust::source_multipart_is_no_hash,
                EtagTrust::source_multipart_is_opaque,
            ),
            (
                "source multipart proved",
                EtagTrust::source_multipart_is_a_hash,
                EtagTrust::source_multipart_is_proved,
            ),
            (
                "source parts",
                EtagTrust::source_parts_were_misguessed,
                EtagTrust::source_parts_are_unguessable,
            ),
            (
                "target",
                EtagTrust::target_is_no_hash,
                EtagTrust::target_is_opaque,
            ),
            (
                "target parts",
                EtagTrust::target_parts_are_no_hashes,
                EtagTrust::target_parts_are_opaque,
            ),
            (
                "target multipart",
                EtagTrust::target_multipart_is_no_hash,
                EtagTrust::target_multipart_is_opaque,
            ),
        ];
        let all = EtagTrust::default();
        for (name, learn, ask) in rows {
            assert!(!ask(&all), "{name} is known before it was learned");
            let one = EtagTrust::default();
            learn(&one);
            let known: Vec<&str> = rows
                .iter()
                .filter(|(_, _, ask)| ask(&one))
                .map(|row| row.0)
                .collect();
            assert_eq!(known, [name]);
            learn(&all);
        }
        assert!(rows.iter().all(|(_, _, ask)| ask(&all)), "a fact was forgotten");
    }
}
