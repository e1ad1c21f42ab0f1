//! The route table, and what holds for every route: errors are JSON, bodies are bounded, requests are counted.

mod account;
mod cart;
mod categories;
mod images;
mod meta;
mod products;
mod reports;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};

use crate::App;
use crate::error::ApiError;

const BODY_BYTES_MAX: usize = 64 * 1024;

pub(crate) fn router(app: App) -> Router {
    let counted = Router::new()
        .route("/v1/products", get(products::list).post(products::add))
        .route("/v1/products/search", get(products::search))
        .route(
            "/v1/products/{id}",
            get(products::show).put(products::replace).patch(products::patch).delete(products::delete),
        )
        .route("/v1/products/{id}/price", get(products::price).put(products::set_price))
        .route("/v1/categories", get(categories::list))
        .route("/v1/categories/{slug}", get(categories::show))
        .route("/v1/cart", get(cart::show).post(cart::add).delete(cart::empty))
        .route("/v1/account", get(account::show))
        .route("/v1/login", post(account::login))
        .route("/v1/session", get(account::session))
        .route("/v1/images/{file}", get(images::show))
        .route("/v1/reports/sales", get(reports::sales))
        .route("/v1/openapi.json", get(meta::openapi))
        .fallback(async || ApiError::nothing_here())
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(app.clone(), count_request));
    Router::new()
        .route("/v1/stats", get(meta::stats))
        .route("/healthz", get(meta::health))
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .merge(counted)
        .with_state(app)
}

async fn count_request(State(app): State<App>, request: Request, next: Next) -> Response {
    app.count_request();
    next.run(request).await
}
