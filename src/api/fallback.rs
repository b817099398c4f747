//! What no route took: 405 with `Allow` where the path exists with another method, else 404.
//!
//! The routing macros make one resource per method, so that actix itself cannot tell the two apart. The templates come
//! from the generated document, so a route cannot be forgotten here.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::PathItem;

use super::error::ApiError;
use super::swagger;

/// The path templates that exist, each with its methods.
#[derive(Clone, Debug)]
pub struct Templates(Vec<(String, Vec<Method>)>);

impl Templates {
    /// The templates of a document, and paths beside it that take GET and HEAD.
    #[must_use]
    pub fn new(document: &OpenApi, others: &[&str]) -> Self {
        let documented = document
            .paths
            .paths
            .iter()
            .map(|(path, item)| (path.clone(), methods(item)));
        let others = others
            .iter()
            .map(|path| ((*path).to_owned(), vec![Method::GET, Method::HEAD]));
        Self(documented.chain(others).collect())
    }

    /// The methods of `path` for an `Allow` header; `None` when no template matches.
    #[must_use]
    pub fn allow(&self, path: &str) -> Option<String> {
        let mut names: Vec<&str> = self
            .0
            .iter()
            .filter(|(template, _)| matches(template, path))
            .flat_map(|(_, methods)| methods.iter().map(Method::as_str))
            .collect();
        names.sort_unstable();
        names.dedup();
        (!names.is_empty()).then(|| names.join(", "))
    }
}

fn methods(item: &PathItem) -> Vec<Method> {
    let all = [
        (item.get.is_some(), Method::GET),
        // Answered as GET, without the body.
        (item.get.is_some(), Method::HEAD),
        (item.put.is_some(), Method::PUT),
        (item.post.is_some(), Method::POST),
        (item.delete.is_some(), Method::DELETE),
        (item.patch.is_some(), Method::PATCH),
        (item.options.is_some(), Method::OPTIONS),
        (item.trace.is_some(), Method::TRACE),
    ];
    all.into_iter()
        .filter(|(there, _)| *there)
        .map(|(_, method)| method)
        .collect()
}

fn matches(template: &str, path: &str) -> bool {
    let (mut wanted, mut found) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return true,
            (Some(name), Some(part)) if name.starts_with('{') && !part.is_empty() => {}
            (Some(name), Some(part)) if name == part => {}
            _ => return false,
        }
    }
}

/// Default service of the application and of each version's scope.
///
/// # Errors
/// Always: 405 or 404.
pub async fn fallback(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let templates = request.app_data::<web::Data<Templates>>();
    // Only a GET of a file that does not exist comes this far; what else is wrong with a page is the method.
    if request.path().starts_with(swagger::PATH) && request.method() != Method::GET {
        return Err(ApiError::wrong_method("GET, HEAD".to_owned()));
    }
    Err(
        match templates.and_then(|templates| templates.allow(request.path())) {
            Some(allow) => ApiError::wrong_method(allow),
            None => ApiError::unknown_path(),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_match_whole_segments() {
        assert!(matches("/v1/{a}/task/{b}", "/v1/x/task/1"));
        for other in [
            "/v1/x/task",
            "/v1/x/task/",
            "/v1//task/1",
            "/v1/x/task/1/2",
            "/v2/x/task/1",
        ] {
            assert!(!matches("/v1/{a}/task/{b}", other), "{other}");
        }
    }

    #[test]
    fn the_methods_of_all_matching_templates_are_allowed() {
        let templates = Templates(vec![
            ("/a/{x}".to_owned(), vec![Method::PUT, Method::GET]),
            ("/a/b".to_owned(), vec![Method::GET, Method::DELETE]),
        ]);
        assert_eq!(templates.allow("/a/b").as_deref(), Some("DELETE, GET, PUT"));
        assert_eq!(templates.allow("/b"), None);
    }
}
