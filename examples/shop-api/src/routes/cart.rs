//! The cart of the user whose bearer token the request carries.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::App;
use crate::db::{Cart, User};
use crate::error::ApiError;
use crate::extract::Body;
use crate::language::{Language, Translated};

const QUANTITY_MAX: i64 = 1000;

pub(super) async fn show(State(app): State<App>, user: User, language: Language) -> Result<Translated<Cart>, ApiError> {
    Ok(Translated(language, app.db().cart(&user, language).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Addition {
    product_id: i64,
    #[serde(default = "one")]
    quantity: i64,
}

fn one() -> i64 {
    1
}

pub(super) async fn add(
    State(app): State<App>,
    user: User,
    language: Language,
    Body(addition): Body<Addition>,
) -> Result<Response, ApiError> {
    if !(1..=QUANTITY_MAX).contains(&addition.quantity) {
        return Err(ApiError::unprocessable("invalid_body", format!("quantity must be 1 to {QUANTITY_MAX}")));
    }
    let cart = app.db().add_to_cart(&user, addition.product_id, addition.quantity, language).await?;
    Ok((StatusCode::CREATED, [(LOCATION, "/v1/cart")], Translated(language, cart)).into_response())
}

pub(super) async fn empty(State(app): State<App>, user: User) -> Result<StatusCode, ApiError> {
    app.db().empty_cart(&user).await?;
    Ok(StatusCode::NO_CONTENT)
}
