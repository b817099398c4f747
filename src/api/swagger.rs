//! The Swagger UI, from files inside the binary.
//!
//! Every address in it is relative, so that it works behind a proxy that puts a prefix before the path.

use std::sync::{Arc, LazyLock};

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use utoipa_swagger_ui::Config;

use super::assets::Asset;
use super::error::ApiError;

/// Where the page is.
pub const PATH: &str = "/swagger-ui/";
/// The route of its files.
pub const FILES: &str = "/swagger-ui/{file:.*}";
/// Paths that lead to it, for [`super::fallback`].
pub const PATHS: &[&str] = &["/", "/swagger-ui", PATH];
/// The document, as seen from the page.
const DOCUMENT: &str = "../openapi/v1.json";

/// The page. The one that comes with Swagger UI has its name as the title.
const PAGE: &str = include_str!("swagger.html");
/// What the page needs, with Swagger UI's own names.
const NAMES: &[&str] = &[
    "favicon-16x16.png",
    "favicon-32x32.png",
    "index.css",
    "swagger-initializer.js",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
    "swagger-ui.css",
];

/// The files by name.
static ASSETS: LazyLock<Vec<(&'static str, Asset)>> = LazyLock::new(|| {
    let page = Asset::of_text("text/html; charset=utf-8", PAGE);
    let config = Arc::new(config());
    let others = NAMES.iter().filter_map(|name| {
        let file = utoipa_swagger_ui::serve(name, config.clone()).ok()??;
        let asset = if file.gzpipped {
            Asset::of_packed(&file.content_type, file.bytes)
        } else {
            Asset::of_text(&file.content_type, file.bytes.into_owned())
        };
        Some((*name, asset))
    });
    others.chain([("", page)]).collect()
});

/// How the page shows the document.
fn config() -> Config<'static> {
    Config::new([DOCUMENT])
        // The token is forgotten with the page: whoever opens the browser next does not have it.
        .persist_authorization(false)
        .display_operation_id(true)
        .show_extensions(true)
        .show_common_extensions(true)
        .default_models_expand_depth(0)
        .validator_url("none")
}

/// `GET /swagger-ui/…`.
///
/// # Errors
/// 404 for a file that the page does not need.
pub async fn file(request: HttpRequest, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let found = ASSETS.iter().find(|(known, _)| *known == name.as_str());
    let (_, asset) = found.ok_or_else(ApiError::unknown_path)?;
    Ok(asset.answer(&request))
}

/// Sends a browser to the page, from `/` and from `/swagger-ui`.
pub async fn redirect() -> HttpResponse {
    HttpResponse::Found()
        .insert_header((header::LOCATION, "swagger-ui/"))
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_the_page_needs_is_there() {
        let known: Vec<_> = ASSETS.iter().map(|(name, _)| *name).collect();
        assert_eq!(known.len(), NAMES.len() + 1);
        for part in PAGE.split(['"', '\'']).filter(|part| part.starts_with("./")) {
            assert!(NAMES.contains(&&part[2..]), "{part}");
        }
    }
}
