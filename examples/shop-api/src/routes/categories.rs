//! Categories.

use axum::extract::State;

use crate::App;
use crate::db::Category;
use crate::error::ApiError;
use crate::extract::Segment;
use crate::language::{Language, Translated};

/// An object and not a bare array, so that it can grow.
#[derive(serde::Serialize)]
pub(super) struct CategoryList {
    items: Vec<Category>,
}

pub(super) async fn list(State(app): State<App>, language: Language) -> Result<Translated<CategoryList>, ApiError> {
    Ok(Translated(language, CategoryList { items: app.db().categories(language).await? }))
}

pub(super) async fn show(
    State(app): State<App>,
    language: Language,
    Segment(slug): Segment<String>,
) -> Result<Translated<Category>, ApiError> {
    let category = app.db().category(slug.clone(), language).await?;
    let category = category.ok_or_else(|| ApiError::not_found(format!("there is no category {slug:?}")))?;
    Ok(Translated(language, category))
}
