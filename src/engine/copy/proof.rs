//! What proves a copy, and the check that no copy counts with a weaker proof than its task asks for.

use crate::engine::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::task::rules::MinimumProof;

/// What proves that the target has the same bytes as the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The target's ETag equals the source's.
    ETag,
    /// A hash computed while streaming, or from the bytes read back, equals the other side's.
    Checksum,
    /// Exactly the listed number of bytes was transferred, from one version of the source.
    Size,
}

impl Proof {
    /// The word for it in lists and counters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ETag => "etag",
            Self::Checksum => "checksum",
            Self::Size => "size",
        }
    }

    /// Whether the proof is at least as strong as the minimum.
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

/// Refuses a proof that is weaker than the task asks for. If the proof is known beforehand, this happens before any byte is
/// sent.
///
/// # Errors
/// `Unsupported` with the code `ProofTooWeak`.
pub(in crate::engine) fn gate(ctx: &Context, proof: Proof) -> Result<()> {
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

/// Whether hashes must be computed that the default does not need.
pub(in crate::engine) fn wants_hashes(ctx: &Context) -> bool {
    ctx.task.spec.rules.minimum_proof > MinimumProof::Size
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
                .iter()
                .copied()
                .filter(|minimum| proof.meets(*minimum))
                .collect();
            assert_eq!(found, met, "{proof:?}");
        }
    }
}
