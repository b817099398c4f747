//! Names that some targets do not keep as they are written. For example, file-backed stores make one folder of `a//b`
//! and `a/b`, so that one object overwrites the other.
//!
//! At each start of a task, each kind of such names is tested once, when the first name of the kind comes up. The test
//! writes an object below the task's own probe prefix. A bucket without such names needs no test. Objects of a kind
//! that the target does not keep fail before they are copied or compared.

use crate::engine::context::Context;
use crate::engine::errors::PassError;
use crate::engine::name_kinds::{Kept, Kinds, NameKind};
use crate::engine::{preflight, retry};
use crate::error::{ErrorKind, Result};
use crate::object::{NewObject, WriteIf};
use crate::task::{Key, Warning, WarningCode};

/// Returns the kinds of names among these keys that the target does not keep. Each kind is tested once. If the target
/// cannot be asked now, the kind counts as not kept, and this answer is not remembered.
///
/// # Errors
/// Those of [`Context::warn`].
pub(super) async fn not_kept<'a>(
    ctx: &Context,
    keys: impl Iterator<Item = &'a Key>,
) -> std::result::Result<Kinds, PassError> {
    let prefix = ctx.task.spec.target_prefix.as_bytes();
    let present = keys.fold(0, |kinds, key| kinds | Kinds::of(prefix, key.as_bytes()).0);
    let present = Kinds(present);
    let mut refused = Kinds::default();
    if present == refused {
        return Ok(refused);
    }
    for (kind, known) in NameKind::ALL.into_iter().zip(&ctx.names.0) {
        if !present.has(kind) {
            continue;
        }
        let kept = known.get_or_try_init(|| try_name(ctx, kind)).await;
        match kept {
            Ok(Kept::Yes) => {}
            Ok(Kept::No) => {
                refused.0 |= kind.bit();
                let warning = Warning::new(WarningCode::TargetChangesNames, kind.describe());
                ctx.warn(warning.about(kind.example())).await?;
            }
            Err(error) => {
                tracing::warn!(task.id = %ctx.task.id, ?kind, %error, "the names that the target keeps could not be tested");
                refused.0 |= kind.bit();
            }
        }
    }
    Ok(refused)
}

/// Writes a name of this kind and checks under which name the target has it. If the target refuses the write, the kind
/// counts as kept: the object itself will be refused in the same way, with the target's own message.
async fn try_name(ctx: &Context, kind: NameKind) -> Result<Kept> {
    let (pace, target) = (ctx.tuning.pace, &ctx.target);
    let [name, folded] = kind.samples(ctx.task.id);
    let new = NewObject {
        kms: ctx.task.spec.kms,
        ..NewObject::default()
    };
    let md5 = Some(preflight::EMPTY_MD5);
    let write = || target.put(&name, &new, 0, md5, &WriteIf::Always, preflight::empty());
    match retry::run(pace, write).await {
        Ok(_) => {}
        Err(error) if error.is_retryable() => return Err(error.during("try a name")),
        Err(error) => {
            tracing::debug!(task.id = %ctx.task.id, ?kind, %error, "the target refuses such names");
            return Ok(Kept::Yes);
        }
    }
    let (under_name, under_other) = tokio::join!(is_there(ctx, &name), is_there(ctx, &folded));
    let kept = match (under_name, under_other) {
        (Ok(Some(true) | None), Ok(Some(false) | None)) => Ok(Kept::Yes),
        (Ok(_), Ok(_)) => Ok(Kept::No),
        (Err(error), _) | (_, Err(error)) => Err(error.during("look for a name")),
    };
    let mut left = None;
    if let Ok(Kept::No) = kept {
        left = preflight::remove(target, pace, &folded).await;
    }
    let left = preflight::remove(target, pace, &name).await.or(left);
    if let Some(warning) = left {
        ctx.recorded_warnings.defer(warning);
    }
    kept
}

/// Whether the target has an object of this name; `None` if the target does not say.
async fn is_there(ctx: &Context, key: &Key) -> Result<Option<bool>> {
    match retry::run(ctx.tuning.pace, || ctx.target.head(key, None)).await {
        Ok(_) => Ok(Some(true)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Some(false)),
        Err(error) if error.is_retryable() => Err(error),
        Err(_) => Ok(None),
    }
}
