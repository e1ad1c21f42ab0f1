//! What the API answers when it cannot do as asked: a status and `{"error": {"code", "message"}}`. The code is for
//! programs and stays; the message is for people.

use axum::Json;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::http::StatusCode;
use axum::http::header::WWW_AUTHENTICATE;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::db::{CartRefused, ProductRefused};

/// An answer that is an error.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    challenge: Option<&'static str>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        ApiError { status, code, message: message.into(), challenge: None }
    }

    /// 400: the query string or the body cannot be understood.
    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 401: no bearer token, or one that nobody has.
    pub(crate) fn unauthorized(message: &'static str, challenge: &'static str) -> Self {
        let error = Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message);
        ApiError { challenge: Some(challenge), ..error }
    }

    /// 404.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 404 for a path that no resource can have.
    pub(crate) fn nothing_here() -> Self {
        Self::not_found("nothing is here; see /v1/openapi.json")
    }

    /// 405; the router adds `Allow`.
    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this resource does not have that method; see Allow",
        )
    }

    /// 409: right in itself, but not with what the shop holds now.
    pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// 422: well-formed JSON that says something impossible.
    pub(crate) fn unprocessable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": { "code": self.code, "message": self.message } }));
        match self.challenge {
            Some(challenge) => (self.status, [(WWW_AUTHENTICATE, challenge)], body).into_response(),
            None => (self.status, body).into_response(),
        }
    }
}

impl From<sqlx::Error> for ApiError {
    /// 500. The cause goes to standard error, not to the client.
    fn from(error: sqlx::Error) -> Self {
        eprintln!("shop-api: database error: {error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the database could not answer")
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        match rejection {
            JsonRejection::MissingJsonContentType(_) => Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "the body must be JSON, and Content-Type must say so",
            ),
            JsonRejection::JsonDataError(error) => Self::unprocessable("invalid_body", error.body_text()),
            JsonRejection::BytesRejection(error) => error.into(),
            other => Self::bad_request("invalid_json", other.body_text()),
        }
    }
}

impl From<BytesRejection> for ApiError {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the body is too large")
        } else {
            Self::bad_request("unreadable_body", rejection.body_text())
        }
    }
}

impl From<ProductRefused> for ApiError {
    fn from(refused: ProductRefused) -> Self {
        match refused {
            ProductRefused::NotFound(id) => Self::not_found(format!("there is no product {id}")),
            ProductRefused::UnknownCategory(slug) => {
                Self::unprocessable("unknown_category", format!("there is no category {slug:?}"))
            }
            ProductRefused::SkuTaken(sku) => {
                Self::conflict("sku_taken", format!("another product has the SKU {sku:?}"))
            }
            ProductRefused::Invalid(message) => Self::unprocessable("invalid_body", message),
            ProductRefused::Database(error) => error.into(),
        }
    }
}

impl From<CartRefused> for ApiError {
    fn from(refused: CartRefused) -> Self {
        match refused {
            CartRefused::UnknownProduct(id) => {
                Self::unprocessable("unknown_product", format!("there is no product {id}"))
            }
            CartRefused::OutOfStock { stock } => {
                Self::conflict("out_of_stock", format!("the shop has {stock} of this product"))
            }
            CartRefused::Database(error) => error.into(),
        }
    }
}
