//! What handlers take out of a request, with this API's errors where it is not there.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::App;
use crate::db::User;
use crate::error::ApiError;

/// The name of the session cookie.
pub(crate) const SESSION_COOKIE: &str = "session";

/// A JSON body: 415 when it is not said to be JSON, 400 when it is none, 422 when it is another thing than `T`.
pub(crate) struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let Json(value) = Json::from_request(request, state).await?;
        Ok(Body(value))
    }
}

/// The query string: 400 when a parameter is there twice or is not UTF-8. Unknown parameters are passed over.
pub(crate) struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Params(value)),
            Err(rejection) => Err(ApiError::bad_request("bad_query", rejection.body_text())),
        }
    }
}

/// The variable segment of the path: 404 when it cannot be a `T` (a product id that is no number), as nothing is there.
pub(crate) struct Segment<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segment<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Segment(value)),
            Err(_) => Err(ApiError::nothing_here()),
        }
    }
}

impl FromRequestParts<App> for User {
    type Rejection = ApiError;

    /// The user with the request's bearer token; 401 when there is none.
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = header.and_then(bearer_token) else {
            return Err(ApiError::unauthorized("a bearer token is needed", r#"Bearer realm="shop""#));
        };
        user_with_token(app, token).await
    }
}

/// The user with this token, or 401.
pub(crate) async fn user_with_token(app: &App, token: &str) -> Result<User, ApiError> {
    app.db()
        .user_by_token(token.to_owned())
        .await?
        .ok_or_else(|| ApiError::unauthorized("nobody has this token", r#"Bearer realm="shop", error="invalid_token""#))
}

/// The session cookie's value, if the request has one.
pub(crate) struct SessionId(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for SessionId {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let lines = parts.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        Ok(SessionId(pairs.find(|(name, _)| *name == SESSION_COOKIE).map(|(_, value)| value.to_owned())))
    }
}

/// RFC 9110 11.4: the scheme's name is case-insensitive.
fn bearer_token(credentials: &str) -> Option<&str> {
    let (scheme, token) = credentials.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}
