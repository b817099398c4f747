//! The rules of a copy as they stand in the ledger.

use serde::{Deserialize, Serialize};

use super::text::damaged;
use crate::error::{Error, Result};
use crate::task::rules::{ConsistencyCheck, CopyRules, MinimumProof, OverwriteMode, RefusedMetadata};
use crate::task::storage::StoragePolicy;

/// Names of the reference; each is absent where a version did not know it.
#[derive(Serialize, Deserialize)]
#[serde(default)]
pub(super) struct RulesRow {
    overwrite: String,
    consistency: String,
    minimum_proof: String,
    storage: Option<String>,
    refused_metadata: String,
}

impl Default for RulesRow {
    fn default() -> Self {
        Self::from(CopyRules::default())
    }
}

impl From<CopyRules> for RulesRow {
    fn from(rules: CopyRules) -> Self {
        let CopyRules {
            overwrite,
            consistency,
            minimum_proof,
            storage,
            refused_metadata,
        } = rules;
        Self {
            overwrite: overwrite.name().to_owned(),
            consistency: consistency.name().to_owned(),
            minimum_proof: minimum_proof.name().to_owned(),
            storage: storage.map(|policy| policy.name().to_owned()),
            refused_metadata: refused_metadata.name().to_owned(),
        }
    }
}

impl TryFrom<RulesRow> for CopyRules {
    type Error = Error;
    fn try_from(row: RulesRow) -> Result<Self> {
        let RulesRow {
            overwrite,
            consistency,
            minimum_proof,
            storage,
            refused_metadata,
        } = row;
        let policy = |name: String| StoragePolicy::from_name(&name).ok_or_else(|| damaged("storage"));
        Ok(Self {
            overwrite: OverwriteMode::from_name(&overwrite).ok_or_else(|| damaged("overwrite"))?,
            consistency: ConsistencyCheck::from_name(&consistency).ok_or_else(|| damaged("consistency"))?,
            minimum_proof: MinimumProof::from_name(&minimum_proof).ok_or_else(|| damaged("minimum_proof"))?,
            storage: storage.map(policy).transpose()?,
            refused_metadata: RefusedMetadata::from_name(&refused_metadata)
                .ok_or_else(|| damaged("refused_metadata"))?,
        })
    }
}
