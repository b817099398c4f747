//! The status of a task: a number on the wire, which generated clients know by a name.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Every number with its name, as in the OMS reference.
const NAMES: [(u8, &str); 6] = [
    (0, "INITIALIZING"),
    (1, "WAITING"),
    (2, "RUNNING"),
    (3, "PAUSED"),
    (4, "FAILED"),
    (5, "SUCCEEDED"),
];

/// Describes the numbers that [`super::progress::number_of`] answers.
pub struct TaskStatus;

impl TaskStatus {
    /// From the lowest number to the highest.
    pub const NUMBERS: RangeInclusive<i64> = NAMES[0].0 as i64..=NAMES[NAMES.len() - 1].0 as i64;
}

impl PartialSchema for TaskStatus {
    fn schema() -> RefOr<Schema> {
        let names = NAMES.map(|(_, name)| name);
        let extensions = ExtensionsBuilder::new().add("x-enum-varnames", names.to_vec());
        let schema = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
            .enum_values(Some(NAMES.map(|(number, _)| number)))
            .description(Some(
                "Status of a task: 1 waiting, 2 running (also while it is about to pause), 3 paused, 4 failed, 5 succeeded. \
                 0, being initialized, is part of the reference and does not occur.",
            ))
            .extensions(Some(extensions.build()));
        RefOr::T(Schema::Object(schema.build()))
    }
}

impl ToSchema for TaskStatus {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("TaskStatus")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1::progress::number_of;
    use crate::task::State;

    #[test]
    fn every_state_has_a_number_with_a_name() {
        for &state in State::ALL {
            assert!(
                NAMES.iter().any(|(number, _)| *number == number_of(state)),
                "{state:?}"
            );
        }
    }
}
