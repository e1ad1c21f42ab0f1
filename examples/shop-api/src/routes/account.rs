//! The user's account (by bearer token), and signing in for a session (by cookie).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::App;
use crate::db::{Account, User};
use crate::error::ApiError;
use crate::extract::{Body, SESSION_COOKIE, SessionId, user_with_token};

const SESSION_SECONDS: u32 = 24 * 3600;

pub(super) async fn show(State(app): State<App>, user: User) -> Result<Json<Account>, ApiError> {
    Ok(Json(app.db().account(&user).await?))
}

/// Whose session it is; `null` when it is nobody's.
#[derive(Serialize)]
pub(super) struct Session {
    user: Option<User>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    token: String,
}

pub(super) async fn login(State(app): State<App>, Body(login): Body<Login>) -> Result<Response, ApiError> {
    let user = user_with_token(&app, &login.token).await?;
    let id = app.db().add_session(&user).await?;
    // No `Secure`: the example is served over plain HTTP.
    let cookie = format!("{SESSION_COOKIE}={id}; Path=/; Max-Age={SESSION_SECONDS}; HttpOnly; SameSite=Lax");
    let headers = [(LOCATION, "/v1/session".to_owned()), (SET_COOKIE, cookie), (CACHE_CONTROL, "no-store".to_owned())];
    Ok((StatusCode::CREATED, headers, Json(Session { user: Some(user) })).into_response())
}

pub(super) async fn session(State(app): State<App>, SessionId(id): SessionId) -> Result<Json<Session>, ApiError> {
    let user = match id {
        Some(id) => app.db().user_by_session(id).await?,
        None => None,
    };
    Ok(Json(Session { user }))
}
