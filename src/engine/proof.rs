//! What proves a copy, and the gate that no copy passes with less than its task asks for.

use std::sync::atomic::Ordering;

use http_body_util::BodyExt as _;
use md5::{Digest as _, Md5};

use super::retry::{At as _, Attempt};
use super::{Context, feed};
use crate::error::{Error, ErrorKind, Result};
use crate::object::Portion;
use crate::task::Key;
use crate::task::rules::MinimumProof;

/// What proved that the target's bytes are the source's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The target's tag equals the source's.
    ETag,
    /// A hash computed while streaming, or of what was read back, equals the other side's.
    Checksum,
    /// Exactly the listed number of bytes went through, under one version of the source.
    Size,
}

impl Proof {
    /// Whether it is at least as strong as asked for.
    #[must_use]
    pub fn meets(self, minimum: MinimumProof) -> bool {
        let strength = match self {
            Self::Size => MinimumProof::Size,
            Self::Checksum => MinimumProof::Checksum,
            Self::ETag => MinimumProof::ETag,
        };
        strength >= minimum
    }
}

/// Refuses a proof that is weaker than asked for. Where the proof is known beforehand, before a byte is sent.
///
/// # Errors
/// `Unsupported` with the code `ProofTooWeak`.
pub(super) fn gate(ctx: &Context, proof: Proof) -> Result<()> {
    let minimum = ctx.task.spec.rules.minimum_proof;
    if proof.meets(minimum) {
        return Ok(());
    }
    let text = format!(
        "the copy could only be proved by {}, the task asks for {}",
        match proof {
            Proof::Size => "size",
            Proof::Checksum => "checksum",
            Proof::ETag => "etag",
        },
        minimum.name()
    );
    Err(Error::new(ErrorKind::Unsupported, text).with_code("ProofTooWeak"))
}

/// Whether hashes have to be computed that the default would spare.
pub(super) fn wants_hashes(ctx: &Context) -> bool {
    ctx.task.spec.rules.minimum_proof > MinimumProof::Size
}

/// Stores that keep folders (SeaweedFS) take bytes under a key that ends with `/`, give their tag back, and keep none of
/// them. Only the size that they tell afterwards shows it.
pub(super) async fn holds_bytes(ctx: &Context, key: &Key, size: u64) -> Attempt<()> {
    let stored = feed::head(ctx.tuning.pace, &ctx.target, key).await.at_target()?;
    if stored.is_some_and(|info| info.size == size) {
        return Ok(());
    }
    let text = "the target keeps no bytes under a key that ends with '/'";
    Err(Error::new(ErrorKind::Unsupported, text).with_code("FolderWithContent")).at_target()
}

/// The target's tag is not what was expected: either it does not give MD5 sums, or it stored other bytes. Reading the
/// object once tells which; wrong bytes are removed.
pub(super) async fn read_back(ctx: &Context, key: &Key, size: u64, wanted: [u8; 16]) -> Attempt<Proof> {
    let mut object = ctx.target.get(key, Portion::Whole, None).await.at_target()?;
    let mut hash = Md5::new();
    let mut read = 0;
    while let Some(frame) = object.body.frame().await {
        if let Ok(data) = frame.at_target()?.into_data() {
            read += data.len() as u64;
            hash.update(&data);
        }
    }
    if read == size && <[u8; 16]>::from(hash.finalize()) == wanted {
        ctx.target_tags_opaque.store(true, Ordering::Relaxed);
        return Ok(Proof::Checksum);
    }
    ctx.target.delete(key).await.at_target()?;
    Err(Error::new(
        ErrorKind::Integrity,
        "the target stored other bytes than were sent; they were removed",
    ))
    .at_target()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_weaker_proof_meets_a_minimum() {
        use MinimumProof as M;
        for (proof, met) in [
            (Proof::Size, vec![M::Size]),
            (Proof::Checksum, vec![M::Size, M::Checksum]),
            (Proof::ETag, vec![M::Size, M::Checksum, M::ETag]),
        ] {
            let found: Vec<M> = M::ALL
                .into_iter()
                .filter(|minimum| proof.meets(*minimum))
                .collect();
            assert_eq!(found, met, "{proof:?}");
        }
    }
}
