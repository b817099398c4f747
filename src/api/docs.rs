//! The OpenAPI document.
//!
//! Paths and schemas come from the routes themselves; here stands what belongs to none of them.

use actix_web::{App, HttpRequest, HttpResponse, web};
use utoipa::openapi::RefOr;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::{Modify, OpenApi};
use utoipa_actix_web::AppExt;

use super::assets::Asset;
use super::error::ErrorBody;
use super::{answers, auth, codes, v1};

/// Where the v1 document is served.
pub const V1_PATH: &str = "/openapi/v1.json";
/// Paths of this module, for [`super::fallback`].
pub const PATHS: &[&str] = &[V1_PATH];

/// What belongs to no single operation of v1.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "oms: object storage migration",
        description = "Copies buckets between S3-compatible object stores, resumes where it stopped, and can be \
                       asked to repeat only what failed. The API is version 1 of Huawei Cloud's Object Storage \
                       Migration Service; what is ours beyond it is marked with `x-oms-extension`.\n\n\
                       A created task starts by itself. When it is paused or has failed, its keys are forgotten: \
                       `start` brings fresh ones and goes on from the last checkpoint. Lengths are counted in \
                       characters, sizes in bytes, speeds in bytes per second, times in milliseconds unless a field \
                       says otherwise. Every answer has the header `X-Request-Id`, under which the log has the \
                       details.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "..", description = "The service that serves this document.")),
    tags(
        (name = "tasks", description = "Migration tasks: create, watch, stop, start, delete."),
        (name = "service", description = "What the service is and allows.")
    ),
    components(schemas(ErrorBody)),
    security(("token" = [])),
    modifiers(&TokenScheme)
)]
struct Base;

/// The security scheme behind the Authorize button.
struct TokenScheme;

impl Modify for TokenScheme {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let text = "The service's token. It is printed at the first start and kept in the data folder.";
        let key = ApiKeyValue::with_description(auth::HEADER, text);
        let scheme = SecurityScheme::ApiKey(ApiKey::Header(key));
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", scheme);
    }
}

/// The document without paths.
#[must_use]
pub(super) fn base() -> utoipa::openapi::OpenApi {
    Base::openapi()
}

/// The whole document of v1.
#[must_use]
pub fn document_v1() -> utoipa::openapi::OpenApi {
    let app = App::new().into_utoipa_app().openapi(base());
    let (_, mut document) = app.service(v1::scope()).split_for_parts();
    mark_own_types(&mut document);
    leave_out_null_bodies(&mut document);
    v1::add_examples(&mut document);
    answers::add_headers(&mut document);
    add_codes(&mut document);
    document
}

/// A body that may be missing is not one that may be `null`: utoipa can only say both. A client that was generated from
/// the union would send what it cannot write down instead of nothing.
fn leave_out_null_bodies(document: &mut utoipa::openapi::OpenApi) {
    let bodies = document.paths.paths.values_mut().filter_map(|item| {
        match item.delete.as_mut()?.request_body.as_mut()? {
            RefOr::T(body) => Some(body),
            RefOr::Ref(_) => None,
        }
    });
    for content in bodies.flat_map(|body| body.content.values_mut()) {
        if let RefOr::T(content) = content
            && let Some(RefOr::T(Schema::OneOf(union))) = &content.schema
            && let Some(reference @ RefOr::Ref(_)) = union.items.first()
        {
            content.schema = Some(reference.clone());
        }
    }
}

/// Adds the catalogue of codes: for programs as `x-oms-codes`, for people as the description of a tag, which Swagger UI
/// shows although it has no operation.
fn add_codes(document: &mut utoipa::openapi::OpenApi) {
    let catalogue = ExtensionsBuilder::new().add("x-oms-codes", codes::catalogue());
    document
        .extensions
        .get_or_insert_default()
        .merge(catalogue.build());
    let tag = TagBuilder::new()
        .name("codes")
        .description(Some(codes::catalogue_text()));
    document.tags.get_or_insert_default().push(tag.build());
}

/// Marks the types that only fields of ours have: utoipa can mark neither an enumeration nor a reference to one.
fn mark_own_types(document: &mut utoipa::openapi::OpenApi) {
    let schemas = document
        .components
        .iter_mut()
        .flat_map(|components| &mut components.schemas);
    for (name, schema) in schemas {
        if v1::OWN_TYPES.contains(&name.as_str())
            && let RefOr::T(Schema::Object(object)) = schema
        {
            let mark = ExtensionsBuilder::new().add("x-oms-extension", true).build();
            object.extensions.get_or_insert_default().merge(mark);
        }
    }
}

/// The document of v1 as the text that is served, checked in and printed by `oms openapi v1`.
#[must_use]
pub fn document_v1_json() -> String {
    let text = document_v1().to_pretty_json();
    text.expect("a document of strings and numbers is JSON") + "\n"
}

/// The document as it is served, made once.
pub struct ServedDocument(Asset);

impl ServedDocument {
    /// Makes the text.
    #[must_use]
    pub fn new() -> Self {
        Self(Asset::of_text("application/json", document_v1_json()))
    }
}

impl Default for ServedDocument {
    fn default() -> Self {
        Self::new()
    }
}

/// `GET /openapi/v1.json`.
pub async fn v1_json(request: HttpRequest, document: web::Data<ServedDocument>) -> HttpResponse {
    document.0.answer(&request)
}
