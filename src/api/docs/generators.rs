//! What generators of clients need of the document: each trick in one place, with the generator that needs it.
//!
//! They were found by generating, compiling and running clients (`tests/outside/clients`). `tests/contract/generators.rs`
//! fails without each of them. Some tricks are things that the document does not have, so they have no code here:
//!
//! * No `discriminator`. openapi-generator's Rust client writes the property twice when it has one value for each branch.
//! * No union of an array and an object as an answer. openapi-generator's Java client does not compile with one, its Python
//!   client cannot read it. The list answers tasks only (see [`one_kind_of_list`]), and `count_tasks` counts them under a
//!   path of its own.

use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{AdditionalProperties, ArrayItems, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Content, OpenApi, RefOr, Required};

/// Enumerations that share a value with another one, and what is put before the names of their constants.
const PREFIXES: [(&str, &str); 2] = [("RefusedMetadata", "METADATA_"), ("TargetCloud", "TARGET_")];
/// The body of a deletion.
const DELETE_BODY: &str = "DeleteTask";

/// Gives the document the form that all generators take.
pub(super) fn fit(document: &mut OpenApi) {
    each_schema(document, &mut |schema| {
        plain_references_in_unions(schema);
        no_write_only(schema);
    });
    one_kind_of_list(document);
    optional_delete_body(document);
    distinct_constants(document);
}

/// Takes the text beside `$ref` in a union away: the branch has its own description. Where the union only says that a
/// field may be null, the text is the field's and moves to the union.
///
/// For openapi-generator: Java, C# and Go do not compile otherwise (`put("", ERRORUNKNOWN.class)`), TypeScript has type
/// errors.
fn plain_references_in_unions(schema: &mut Schema) {
    let (items, description) = match schema {
        Schema::OneOf(union) => (&mut union.items, &mut union.description),
        Schema::AnyOf(union) => (&mut union.items, &mut union.description),
        _ => return,
    };
    let nullable = items.iter().any(is_null);
    for item in items {
        if let RefOr::Ref(reference) = item {
            let text = std::mem::take(&mut reference.description);
            reference.summary.clear();
            if nullable && !text.is_empty() && description.is_none() {
                *description = Some(text);
            }
        }
    }
}

fn is_null(schema: &RefOr<Schema>) -> bool {
    matches!(schema, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null))
}

/// Takes `writeOnly` away. Types of requests are never answered, so it says nothing new.
///
/// For hey-api: it leaves the field out of the type `StartTask` and makes a second type of it.
fn no_write_only(schema: &mut Schema) {
    if let Schema::Object(object) = schema {
        object.write_only = None;
    }
}

/// Describes `totalcount` with the one value that goes with the answer of `list_tasks`: `true` answers a number, as in the
/// original, which no union can say in a form that all generators take.
fn one_kind_of_list(document: &mut OpenApi) {
    let operations = document
        .paths
        .paths
        .values_mut()
        .filter_map(|item| item.get.as_mut());
    for parameter in operations.flat_map(|operation| operation.parameters.iter_mut().flatten()) {
        if let RefOr::T(parameter) = parameter
            && parameter.name == "totalcount"
        {
            let only = ObjectBuilder::new()
                .schema_type(Type::Boolean)
                .enum_values(Some([false]));
            parameter.schema = Some(RefOr::T(Schema::Object(only.build())));
        }
    }
}

/// Makes the body of DELETE one that may be left out.
///
/// * `required: false` in so many words, for swagger-typescript-api: it demands a body otherwise.
/// * No `null` in the body's schema. utoipa can only say that a body may be null; openapi-python-client would send what it
///   cannot write down instead of nothing.
/// * No required field in the body, for progenitor: it always sends a body, and `{}` means the same as none.
fn optional_delete_body(document: &mut OpenApi) {
    let deletions = document.paths.paths.values_mut();
    let bodies = deletions.filter_map(|item| item.delete.as_mut()?.request_body.as_mut());
    for body in bodies {
        let RefOr::T(body) = body else { continue };
        body.required = Some(Required::False);
        for content in body.content.values_mut() {
            if let RefOr::T(content) = content
                && let Some(RefOr::T(Schema::OneOf(union))) = &content.schema
                && let Some(reference @ RefOr::Ref(_)) = union.items.first()
            {
                content.schema = Some(reference.clone());
            }
        }
    }
    if let Some(Schema::Object(object)) = component(document, DELETE_BODY) {
        object.required.clear();
    }
}

/// Names the constants of enumerations that share a value with another one.
///
/// For openapi-generator: Go declares the constants of all enumerations in one package, without the name of the type.
fn distinct_constants(document: &mut OpenApi) {
    for (name, prefix) in PREFIXES {
        if let Some(Schema::Object(object)) = component(document, name) {
            let values = object.enum_values.iter().flatten();
            let names: Vec<String> = values
                .filter_map(|value| value.as_str())
                .map(|value| format!("{prefix}{}", constant(value)))
                .collect();
            let extension = ExtensionsBuilder::new().add("x-enum-varnames", names);
            object.extensions.get_or_insert_default().merge(extension.build());
        }
    }
}

/// A value as the name of a constant: `HuaweiCloud` becomes `HUAWEI_CLOUD`.
fn constant(value: &str) -> String {
    let mut name = String::new();
    let mut lower = false;
    for letter in value.chars() {
        if letter.is_ascii_uppercase() && lower {
            name.push('_');
        }
        lower = letter.is_ascii_lowercase();
        name.push(if letter.is_ascii_alphanumeric() {
            letter.to_ascii_uppercase()
        } else {
            '_'
        });
    }
    name
}

fn component<'a>(document: &'a mut OpenApi, name: &str) -> Option<&'a mut Schema> {
    match document.components.as_mut()?.schemas.get_mut(name)? {
        RefOr::T(schema) => Some(schema),
        RefOr::Ref(_) => None,
    }
}

/// Visits every schema, those inside of others too.
fn each_schema(document: &mut OpenApi, visit: &mut dyn FnMut(&mut Schema)) {
    let components = document.components.iter_mut();
    for schema in components.flat_map(|components| components.schemas.values_mut()) {
        walk(schema, visit);
    }
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            each_schema_of(operation, visit);
        }
    }
}

fn each_schema_of(operation: &mut Operation, visit: &mut dyn FnMut(&mut Schema)) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && let Some(schema) = &mut parameter.schema
        {
            walk(schema, visit);
        }
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.content
            .values_mut()
            .for_each(|content| walk_content(content, visit));
    }
    for answer in operation.responses.responses.values_mut() {
        if let RefOr::T(answer) = answer {
            answer
                .content
                .values_mut()
                .for_each(|content| walk_content(content, visit));
        }
    }
}

fn walk_content(content: &mut RefOr<Content>, visit: &mut dyn FnMut(&mut Schema)) {
    if let RefOr::T(content) = content
        && let Some(schema) = &mut content.schema
    {
        walk(schema, visit);
    }
}

fn walk(schema: &mut RefOr<Schema>, visit: &mut dyn FnMut(&mut Schema)) {
    let RefOr::T(schema) = schema else { return };
    visit(schema);
    match schema {
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                walk(items, visit);
            }
        }
        Schema::Object(object) => {
            for property in object.properties.values_mut() {
                walk(property, visit);
            }
            if let Some(AdditionalProperties::RefOr(inner)) = object.additional_properties.as_deref_mut() {
                walk(inner, visit);
            }
        }
        Schema::OneOf(union) => union.items.iter_mut().for_each(|item| walk(item, visit)),
        Schema::AnyOf(union) => union.items.iter_mut().for_each(|item| walk(item, visit)),
        Schema::AllOf(whole) => whole.items.iter_mut().for_each(|item| walk(item, visit)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_words_between_underscores() {
        for (value, name) in [
            ("HuaweiCloud", "HUAWEI_CLOUD"),
            ("AWS", "AWS"),
            ("leave_out", "LEAVE_OUT"),
            ("zh-cn", "ZH_CN"),
        ] {
            assert_eq!(constant(value), name);
        }
    }
}
