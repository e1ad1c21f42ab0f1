//! Products and their prices.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;

use crate::App;
use crate::cache::Changed;
use crate::db::{Price, Product, ProductDraft, Sort};
use crate::error::ApiError;
use crate::extract::{Body, Params, Segment};
use crate::language::{Language, Translated};
use crate::page::{Page, Paged};

const SEARCH_CHARS_MAX: usize = 100;

/// Kept as text, so that a bad value gets an error that names it.
#[derive(Deserialize)]
pub(super) struct ListParams {
    page: Option<String>,
    per_page: Option<String>,
    sort: Option<String>,
    category: Option<String>,
}

pub(super) async fn list(
    State(app): State<App>,
    language: Language,
    Params(params): Params<ListParams>,
) -> Result<Translated<Paged<Product>>, ApiError> {
    let page = Page::parse(params.page.as_deref(), params.per_page.as_deref())?;
    let sort = sort(params.sort.as_deref())?;
    let category_id = match params.category {
        None => None,
        Some(slug) => Some(app.db().category_id(slug.clone()).await?.ok_or_else(|| {
            ApiError::bad_request("unknown_category", format!("there is no category {slug:?}; see /v1/categories"))
        })?),
    };
    let found = app.db().products(category_id, sort, page, language).await?;
    Ok(Translated(language, page.of(found.items, found.total)))
}

#[derive(Deserialize)]
pub(super) struct SearchParams {
    q: Option<String>,
    page: Option<String>,
    per_page: Option<String>,
}

pub(super) async fn search(
    State(app): State<App>,
    language: Language,
    Params(params): Params<SearchParams>,
) -> Result<Translated<Paged<Product>>, ApiError> {
    let page = Page::parse(params.page.as_deref(), params.per_page.as_deref())?;
    let wanted = params.q.unwrap_or_default();
    let words: Vec<_> = wanted.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    if words.is_empty() || wanted.chars().count() > SEARCH_CHARS_MAX {
        let message = format!("q must have a word or number in it and at most {SEARCH_CHARS_MAX} characters");
        return Err(ApiError::bad_request("bad_search", message));
    }
    let found = app.db().search(&words, page, language).await?;
    Ok(Translated(language, page.of(found.items, found.total)))
}

pub(super) async fn show(
    State(app): State<App>,
    language: Language,
    Segment(id): Segment<i64>,
) -> Result<Translated<Product>, ApiError> {
    app.db().product(id, language).await?.map(translated).ok_or_else(|| no_product(id))
}

pub(super) async fn add(
    State(app): State<App>,
    language: Language,
    Body(draft): Body<ProductDraft>,
) -> Result<Response, ApiError> {
    let write = move |app: App| async move { app.db().add_product(&draft, language).await };
    let product = app.write(write, |product| Changed::Product(product.id)).await?;
    let location = format!("/v1/products/{}", product.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], translated(product)).into_response())
}

pub(super) async fn replace(
    State(app): State<App>,
    language: Language,
    Segment(id): Segment<i64>,
    Body(draft): Body<ProductDraft>,
) -> Result<Translated<Product>, ApiError> {
    let write = move |app: App| async move { app.db().replace_product(id, &draft, language).await };
    Ok(translated(app.write(write, move |_| Changed::Product(id)).await?))
}

pub(super) async fn patch(
    State(app): State<App>,
    language: Language,
    Segment(id): Segment<i64>,
    Body(patch): Body<Value>,
) -> Result<Translated<Product>, ApiError> {
    let write = move |app: App| async move { app.db().patch_product(id, patch, language).await };
    Ok(translated(app.write(write, move |_| Changed::Product(id)).await?))
}

pub(super) async fn delete(State(app): State<App>, Segment(id): Segment<i64>) -> Result<StatusCode, ApiError> {
    let write = move |app: App| async move { app.db().delete_product(id).await };
    app.write(write, move |()| Changed::ProductGone(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn price(State(app): State<App>, Segment(id): Segment<i64>) -> Result<Json<Price>, ApiError> {
    app.db().price(id).await?.map(Json).ok_or_else(|| no_product(id))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPrice {
    cents: i64,
}

pub(super) async fn set_price(
    State(app): State<App>,
    Segment(id): Segment<i64>,
    Body(price): Body<NewPrice>,
) -> Result<Json<Price>, ApiError> {
    let write = move |app: App| async move { app.db().set_price(id, price.cents).await };
    Ok(Json(app.write(write, move |_| Changed::Price(id)).await?))
}

/// In the language of its texts, which is English where the wanted one is missing.
fn translated(product: Product) -> Translated<Product> {
    Translated(product.language, product)
}

fn no_product(id: i64) -> ApiError {
    ApiError::not_found(format!("there is no product {id}"))
}

fn sort(name: Option<&str>) -> Result<Sort, ApiError> {
    Ok(match name {
        None | Some("name") => Sort::Name,
        Some("-name") => Sort::NameDescending,
        Some("price") => Sort::Price,
        Some("-price") => Sort::PriceDescending,
        Some("newest") => Sort::Newest,
        Some("-newest") => Sort::Oldest,
        Some(_) => {
            let message = "sort must be name, price or newest, or one of these with a - before it";
            return Err(ApiError::bad_request("bad_sort", message));
        }
    })
}
