//! Every route and every middleware.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::{App, guard, web};
use utoipa_actix_web::AppExt;

use super::state::ApiState;
use super::{closing, cors, docs, fallback, health, rewrite, swagger, track, v1};

/// The application: every route and every middleware; the last one wrapped is the outermost.
pub fn app(
    state: ApiState,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let (app, document) = App::new()
        .into_utoipa_app()
        .openapi(docs::base())
        .service(v1::scope())
        .split_for_parts();
    let others = [health::PATHS, docs::PATHS, swagger::PATHS].concat();
    let templates = fallback::Templates::new(&document, &others);
    let page = |path: &'static str| web::resource(path).guard(guard::Get());
    app.app_data(web::Data::new(state))
        .app_data(web::Data::new(templates))
        .service(page("/livez").to(health::livez))
        .service(page("/readyz").to(health::readyz))
        .service(page(docs::V1_PATH).to(docs::v1_json))
        .service(page("/").to(swagger::redirect))
        .service(page("/swagger-ui").to(swagger::redirect))
        .service(page(swagger::FILES).to(swagger::file))
        .default_service(web::to(fallback::fallback))
        .wrap(from_fn(rewrite::rewrite))
        .wrap(from_fn(cors::cors))
        .wrap(from_fn(track::track))
        .wrap(from_fn(closing::keep))
}
