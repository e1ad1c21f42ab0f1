//! Categories and how many products each has.

use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, query};

use super::Db;
use crate::language::Language;

/// A category, its name in one language.
#[derive(Debug, Serialize)]
pub(crate) struct Category {
    slug: String,
    name: String,
    products: i64,
}

impl Db {
    /// All categories, in the order of the shop.
    pub(crate) async fn categories(&self, language: Language) -> sqlx::Result<Vec<Category>> {
        let select = query(
            "SELECT c.slug, t.name, (SELECT count(*) FROM products p WHERE p.category_id = c.id) AS products
             FROM categories c JOIN category_texts t ON t.category_id = c.id AND t.lang = ?
             ORDER BY c.id",
        );
        self.all(select.bind(language.tag())).await?.iter().map(category).collect()
    }

    pub(crate) async fn category(&self, slug: String, language: Language) -> sqlx::Result<Option<Category>> {
        let select = query(
            "SELECT c.slug, t.name, (SELECT count(*) FROM products p WHERE p.category_id = c.id) AS products
             FROM categories c JOIN category_texts t ON t.category_id = c.id AND t.lang = ?
             WHERE c.slug = ?",
        );
        self.optional(select.bind(language.tag()).bind(slug)).await?.as_ref().map(category).transpose()
    }

    pub(crate) async fn category_id(&self, slug: String) -> sqlx::Result<Option<i64>> {
        let select = query("SELECT id FROM categories WHERE slug = ?").bind(slug);
        self.optional(select).await?.map(|row| row.try_get("id")).transpose()
    }
}

fn category(row: &SqliteRow) -> sqlx::Result<Category> {
    Ok(Category { slug: row.try_get("slug")?, name: row.try_get("name")?, products: row.try_get("products")? })
}
