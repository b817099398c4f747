//! Warnings of a task on the wire.

use serde::Serialize;
use utoipa::ToSchema;

use crate::task::KeptWarning;

/// Something that a person should see and that fails nothing.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskWarning {
    /// Which warning it is, in one word. A later version may have words that this one does not.
    #[schema(examples("ScopeEntryEmpty"), extensions(("x-oms-extension" = json!(true))))]
    code: String,
    /// A sentence.
    #[schema(
        examples("no object of the source begins with \"photos/2031/\""),
        extensions(("x-oms-extension" = json!(true)))
    )]
    message: String,
    /// What it is about, for example a prefix; empty when it is about the whole task.
    #[schema(examples("photos/2031/"), extensions(("x-oms-extension" = json!(true))))]
    subject: String,
    /// How often it occurred.
    #[schema(minimum = 1, extensions(("x-oms-extension" = json!(true))))]
    count: i64,
    /// When it occurred first, in milliseconds since 1970.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    first_time: i64,
    /// When it occurred last, in milliseconds since 1970.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    last_time: i64,
}

impl From<KeptWarning> for TaskWarning {
    fn from(warning: KeptWarning) -> Self {
        let KeptWarning {
            code,
            subject,
            message,
            count,
            first_at,
            last_at,
        } = warning;
        Self {
            code,
            message,
            subject,
            count,
            first_time: first_at.0,
            last_time: last_at.0,
        }
    }
}
