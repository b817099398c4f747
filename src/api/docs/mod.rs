//! The OpenAPI document.
//!
//! Paths and schemas come from the routes themselves; here stands what belongs to none of them.

mod generators;
mod links;
mod ordered;
mod rendering_30;

use std::sync::LazyLock;

use actix_web::{App, HttpRequest, HttpResponse};
use utoipa::openapi::RefOr;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::{Modify, OpenApi};
use utoipa_actix_web::AppExt;

use super::assets::Asset;
use super::error::{ApiError, ErrorBody};
use super::query::Query;
use super::{answers, auth, codes, v1};
use crate::error::Error;

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
                       details. HEAD is answered as GET, without the body. Bytes that are no HTTP request never reach \
                       the API: their answers, 400, 408 (the request did not come in time) and 431 (its head is too \
                       large), have no body and no `X-Request-Id`.\n\n\
                       Compatibility: within version 1, operations, fields and values keep their names and meanings. \
                       New operations, optional fields of requests, fields of answers and values of enumerations in \
                       answers may be added, so clients should ignore what they do not know. What is going to be \
                       removed is marked `deprecated` first, for at least one release. This document is OpenAPI 3.1; \
                       `?openapi=3.0` answers the same as OpenAPI 3.0.3.",
        contact(name = "The operator of this service"),
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    external_docs(
        url = "https://support.huaweicloud.com/intl/en-us/oms/index.html",
        description = "Documentation of Huawei Cloud's Object Storage Migration Service, whose API this is."
    ),
    servers((url = "..", description = "The service that serves this document, also below a path prefix.")),
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
    v1::add_examples(&mut document);
    answers::add_headers(&mut document);
    add_codes(&mut document);
    links::add(&mut document);
    generators::fit(&mut document);
    document
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

/// A version of OpenAPI that the document can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rendering {
    /// OpenAPI 3.1, as the document is made.
    V31,
    /// OpenAPI 3.0.3, for older tools.
    V30,
}

/// The document of v1 as the text that is served, checked in and printed by `oms openapi v1`.
#[must_use]
pub fn document_v1_json(rendering: Rendering) -> String {
    let document = document_v1();
    let text = match rendering {
        Rendering::V31 => document.to_json().and_then(|text| ordered::pretty(&text)),
        Rendering::V30 => serde_json::to_value(&document)
            .and_then(|document| serde_json::to_string_pretty(&rendering_30::document(document))),
    };
    text.expect("a document of strings and numbers is JSON") + "\n"
}

/// The document as 3.1 and as 3.0.3. Making one takes about as long as everything else of a start, so each is made when it
/// is first asked for.
static V31: LazyLock<Asset> = LazyLock::new(|| served(Rendering::V31));
static V30: LazyLock<Asset> = LazyLock::new(|| served(Rendering::V30));

fn served(rendering: Rendering) -> Asset {
    Asset::of_text("application/json", document_v1_json(rendering))
}

/// `GET /openapi/v1.json`, with `openapi=3.0` in the query as OpenAPI 3.0.3.
///
/// # Errors
/// OMS.0064 for another version, OMS.0074 for a parameter that is not known.
pub async fn v1_json(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let query = Query::parse(request.query_string(), &[("openapi", codes::INVALID_VALUE)])?;
    let document: &Asset = match query.get("openapi") {
        None | Some("3.1") => &V31,
        Some("3.0") => &V30,
        Some(_) => {
            let error = Error::invalid("openapi must be 3.0 or 3.1");
            return Err(error.with_code(codes::INVALID_VALUE).into());
        }
    };
    Ok(document.answer(&request))
}
