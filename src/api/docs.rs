//! The OpenAPI document and the pages that show it.
//!
//! Paths and schemas come from the routes themselves; here stands what belongs to none of them.

use actix_web::{App, HttpResponse, http::header, web};
use utoipa::openapi::RefOr;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_actix_web::AppExt;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::error::ErrorBody;
use super::{auth, v1};

/// Where the v1 document is served.
pub const V1_PATH: &str = "/openapi/v1.json";
/// Where people read it.
pub const SWAGGER_PATH: &str = "/swagger-ui/";
/// Paths of this module, for [`super::fallback`].
pub const PATHS: &[&str] = &[V1_PATH, "/", "/swagger-ui"];

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
                       details. HEAD is answered as GET, without the body. Bytes that are no HTTP request never reach \
                       the API: their answers, 400, 408 (the request did not come in time) and 431 (its head is too \
                       large), have no body and no `X-Request-Id`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/", description = "The service that serves this document.")),
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

/// The text of the document, made once.
#[derive(Clone)]
pub struct DocumentText(pub String);

/// `GET /openapi/v1.json`.
pub async fn v1_json(text: web::Data<DocumentText>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(text.0.clone())
}

/// The Swagger UI, from files inside the binary.
pub fn swagger_ui() -> SwaggerUi {
    let config = Config::new([V1_PATH])
        .persist_authorization(true)
        .display_operation_id(true)
        .validator_url("none");
    SwaggerUi::new("/swagger-ui/{_:.*}").config(config)
}

/// Sends a browser to the Swagger UI.
pub async fn to_swagger_ui() -> HttpResponse {
    HttpResponse::Found()
        .insert_header((header::LOCATION, SWAGGER_PATH))
        .finish()
}
