//! Product pictures, as JPEG and as PNG.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::App;
use crate::error::ApiError;
use crate::extract::Segment;
use crate::picture::{self, Format};

pub(super) async fn show(State(app): State<App>, Segment(file): Segment<String>) -> Result<Response, ApiError> {
    let not_found = || ApiError::not_found("an image is /v1/images/{product id}.jpg or .png");
    let (id, format) = parse(&file).ok_or_else(not_found)?;
    if !app.db().product_exists(id).await? {
        return Err(ApiError::not_found(format!("there is no product {id}")));
    }
    Ok(([(CONTENT_TYPE, format.media_type())], picture::draw(id as u64, format)).into_response())
}

/// One URL a picture: `7.jpg`, not `07.jpg` or `+7.jpg`.
fn parse(file: &str) -> Option<(i64, Format)> {
    let (stem, extension) = file.rsplit_once('.')?;
    let id: i64 = stem.parse().ok()?;
    let format = match extension {
        "jpg" => Format::Jpeg,
        "png" => Format::Png,
        _ => return None,
    };
    (id > 0 && id.to_string() == stem).then_some((id, format))
}
