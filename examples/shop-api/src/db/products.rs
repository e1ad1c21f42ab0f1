//! Products: reading them in a language, and writing them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, query};

use super::draft::{ProductDraft, Text, check_price};
use super::{Db, Statement, Write};
use crate::language::Language;
use crate::page::Page;

/// The currency of every price.
pub(crate) const CURRENCY: &str = "EUR";

/// A product as a client sees it, its texts in one language.
#[derive(Debug, Serialize)]
pub(crate) struct Product {
    pub id: i64,
    pub sku: String,
    pub category: String,
    pub name: String,
    pub description: String,
    pub price: Money,
    pub stock: i64,
    pub image: String,
    pub created_at: String,
    pub updated_at: String,
    /// The language of the texts: English where the wanted one is missing.
    #[serde(skip)]
    pub language: Language,
}

/// An amount of money.
#[derive(Debug, Serialize)]
pub(crate) struct Money {
    pub cents: i64,
    pub currency: &'static str,
}

impl Money {
    pub(crate) fn of_cents(cents: i64) -> Self {
        Money { cents, currency: CURRENCY }
    }
}

/// The price of a product and since when.
#[derive(Debug, Serialize)]
pub(crate) struct Price {
    pub product_id: i64,
    pub cents: i64,
    pub currency: &'static str,
    pub changed_at: String,
}

/// The order of a list; each has its reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Name,
    NameDescending,
    Price,
    PriceDescending,
    Newest,
    Oldest,
}

/// Why a product was not written (or read to be written).
#[derive(Debug)]
pub(crate) enum ProductRefused {
    NotFound(i64),
    UnknownCategory(String),
    SkuTaken(String),
    Invalid(String),
    Database(sqlx::Error),
}

impl From<sqlx::Error> for ProductRefused {
    fn from(error: sqlx::Error) -> Self {
        ProductRefused::Database(error)
    }
}

/// A page of products and how many there are on all pages.
pub(crate) struct ProductList {
    pub items: Vec<Product>,
    pub total: i64,
}

impl Db {
    /// A page of all products, or of those in a category.
    pub(crate) async fn products(
        &self,
        category_id: Option<i64>,
        sort: Sort,
        page: Page,
        language: Language,
    ) -> sqlx::Result<ProductList> {
        let (count, filter) = match category_id {
            Some(_) => ("SELECT count(*) FROM products WHERE category_id = ?", "p.category_id = ?2"),
            None => ("SELECT count(*) FROM products", "?2 IS NULL"),
        };
        let mut count = query(count);
        if let Some(id) = category_id {
            count = count.bind(id);
        }
        let total = self.one(count).await?.try_get(0)?;

        let order = match sort {
            Sort::Name => "name COLLATE NOCASE, p.id",
            Sort::NameDescending => "name COLLATE NOCASE DESC, p.id DESC",
            Sort::Price => "p.price_cents, p.id",
            Sort::PriceDescending => "p.price_cents DESC, p.id DESC",
            Sort::Newest => "p.created_at DESC, p.id DESC",
            Sort::Oldest => "p.created_at, p.id",
        };
        let sql = format!("{SELECT_PRODUCT} WHERE {filter} ORDER BY {order} LIMIT ?3 OFFSET ?4");
        // Safe: put together from the literals above only.
        let select = query(AssertSqlSafe(sql)).bind(language.tag()).bind(category_id);
        let rows = self.all(select.bind(page.size()).bind(page.offset())).await?;
        Ok(ProductList { items: rows.iter().map(product).collect::<Result<_, _>>()?, total })
    }

    /// A page of the products whose texts in `language` have words that begin with each of `words`, best first.
    pub(crate) async fn search(&self, words: &[&str], page: Page, language: Language) -> sqlx::Result<ProductList> {
        // Words are alphanumeric; quoted, none of them is an FTS5 operator.
        let pattern = words.iter().map(|word| format!("\"{word}\"*")).collect::<Vec<_>>().join(" ");
        let count = query(
            "SELECT count(*) FROM product_search s JOIN product_texts t ON t.id = s.rowid
             WHERE product_search MATCH ? AND t.lang = ?",
        );
        let total = self.one(count.bind(pattern.clone()).bind(language.tag())).await?.try_get(0)?;
        let select = query(
            "SELECT p.id, p.sku, c.slug AS category, t.name, t.description, t.lang,
                    p.price_cents, p.stock, p.created_at, p.updated_at
             FROM product_search s
             JOIN product_texts t ON t.id = s.rowid
             JOIN products p ON p.id = t.product_id
             JOIN categories c ON c.id = p.category_id
             WHERE product_search MATCH ? AND t.lang = ?
             ORDER BY s.rank, p.id LIMIT ? OFFSET ?",
        );
        let select = select.bind(pattern).bind(language.tag()).bind(page.size()).bind(page.offset());
        let rows = self.all(select).await?;
        Ok(ProductList { items: rows.iter().map(product).collect::<Result<_, _>>()?, total })
    }

    pub(crate) async fn product(&self, id: i64, language: Language) -> sqlx::Result<Option<Product>> {
        self.optional(select_product(id, language)).await?.as_ref().map(product).transpose()
    }

    pub(crate) async fn product_exists(&self, id: i64) -> sqlx::Result<bool> {
        Ok(self.optional(query("SELECT 1 FROM products WHERE id = ?").bind(id)).await?.is_some())
    }

    pub(crate) async fn price(&self, id: i64) -> sqlx::Result<Option<Price>> {
        let select = query("SELECT id, price_cents, price_changed_at FROM products WHERE id = ?").bind(id);
        self.optional(select).await?.as_ref().map(price).transpose()
    }

    /// Sets a price.
    pub(crate) async fn set_price(&self, id: i64, cents: i64) -> Result<Price, ProductRefused> {
        check_price(cents).map_err(ProductRefused::Invalid)?;
        let mut write = self.write().await?;
        let update = query(
            "UPDATE products SET price_cents = ?, price_changed_at = strftime('%Y-%m-%dT%H:%M:%SZ'),
                 updated_at = strftime('%Y-%m-%dT%H:%M:%SZ')
             WHERE id = ? RETURNING id, price_cents, price_changed_at",
        );
        let row = write.optional(update.bind(cents).bind(id)).await?.ok_or(ProductRefused::NotFound(id))?;
        let price = price(&row)?;
        write.commit().await?;
        Ok(price)
    }

    /// Adds a product; what comes back is as a client in `language` sees it.
    pub(crate) async fn add_product(
        &self,
        draft: &ProductDraft,
        language: Language,
    ) -> Result<Product, ProductRefused> {
        draft.check().map_err(ProductRefused::Invalid)?;
        let mut write = self.write().await?;
        let category_id = write.category_id(&draft.category).await?;
        let insert = query(
            "INSERT INTO products (sku, category_id, price_cents, stock, created_at, updated_at, price_changed_at)
             VALUES (?1, ?2, ?3, ?4, strftime('%Y-%m-%dT%H:%M:%SZ'), strftime('%Y-%m-%dT%H:%M:%SZ'),
                     strftime('%Y-%m-%dT%H:%M:%SZ'))
             RETURNING id",
        );
        let insert = insert.bind(draft.sku.clone()).bind(category_id).bind(draft.price_cents).bind(draft.stock);
        let id = write.one(insert).await.map_err(|error| sku_taken(error, &draft.sku))?.try_get("id")?;
        write.insert_texts(id, draft).await?;
        let row = write.one(select_product(id, language)).await?;
        let product = product(&row)?;
        write.commit().await?;
        Ok(product)
    }

    /// Puts `draft` in the place of product `id`, texts included.
    pub(crate) async fn replace_product(
        &self,
        id: i64,
        draft: &ProductDraft,
        language: Language,
    ) -> Result<Product, ProductRefused> {
        draft.check().map_err(ProductRefused::Invalid)?;
        let mut write = self.write().await?;
        write.replace_product(id, draft).await?;
        let row = write.one(select_product(id, language)).await?;
        let product = product(&row)?;
        write.commit().await?;
        Ok(product)
    }

    /// Changes product `id` by a JSON Merge Patch (RFC 7396) of its draft. Read and written in one transaction, so two
    /// patches of different fields both hold.
    pub(crate) async fn patch_product(
        &self,
        id: i64,
        patch: Value,
        language: Language,
    ) -> Result<Product, ProductRefused> {
        let mut write = self.write().await?;
        let draft = write.draft(id).await?.ok_or(ProductRefused::NotFound(id))?;
        let draft = draft.patched(patch).map_err(|error| ProductRefused::Invalid(error.to_string()))?;
        draft.check().map_err(ProductRefused::Invalid)?;
        write.replace_product(id, &draft).await?;
        let row = write.one(select_product(id, language)).await?;
        let product = product(&row)?;
        write.commit().await?;
        Ok(product)
    }

    /// Deletes a product; its sales stay.
    pub(crate) async fn delete_product(&self, id: i64) -> Result<(), ProductRefused> {
        let mut write = self.write().await?;
        if write.execute(query("DELETE FROM products WHERE id = ?").bind(id)).await? == 0 {
            return Err(ProductRefused::NotFound(id));
        }
        Ok(write.commit().await?)
    }
}

impl Write<'_> {
    async fn category_id(&mut self, slug: &str) -> Result<i64, ProductRefused> {
        let select = query("SELECT id FROM categories WHERE slug = ?").bind(slug.to_owned());
        let row = self.optional(select).await?.ok_or_else(|| ProductRefused::UnknownCategory(slug.to_owned()))?;
        Ok(row.try_get("id")?)
    }

    async fn draft(&mut self, id: i64) -> sqlx::Result<Option<ProductDraft>> {
        let select = query(
            "SELECT p.sku, c.slug, p.price_cents, p.stock
             FROM products p JOIN categories c ON c.id = p.category_id WHERE p.id = ?",
        );
        let Some(row) = self.optional(select.bind(id)).await? else { return Ok(None) };
        let mut texts = BTreeMap::new();
        let select = query("SELECT lang, name, description FROM product_texts WHERE product_id = ?").bind(id);
        for text in self.all(select).await? {
            texts.insert(
                language(&text)?,
                Text { name: text.try_get("name")?, description: text.try_get("description")? },
            );
        }
        Ok(Some(ProductDraft {
            sku: row.try_get("sku")?,
            category: row.try_get("slug")?,
            price_cents: row.try_get("price_cents")?,
            stock: row.try_get("stock")?,
            texts,
        }))
    }

    async fn replace_product(&mut self, id: i64, draft: &ProductDraft) -> Result<(), ProductRefused> {
        let category_id = self.category_id(&draft.category).await?;
        let update = query(
            "UPDATE products SET
                 price_changed_at = iif(price_cents = ?3, price_changed_at, strftime('%Y-%m-%dT%H:%M:%SZ')),
                 sku = ?1, category_id = ?2, price_cents = ?3, stock = ?4, updated_at = strftime('%Y-%m-%dT%H:%M:%SZ')
             WHERE id = ?5",
        );
        let update = update.bind(draft.sku.clone()).bind(category_id).bind(draft.price_cents).bind(draft.stock);
        let updated = self.execute(update.bind(id)).await.map_err(|error| sku_taken(error, &draft.sku))?;
        if updated == 0 {
            return Err(ProductRefused::NotFound(id));
        }
        self.execute(query("DELETE FROM product_texts WHERE product_id = ?").bind(id)).await?;
        Ok(self.insert_texts(id, draft).await?)
    }

    async fn insert_texts(&mut self, id: i64, draft: &ProductDraft) -> sqlx::Result<()> {
        for (language, text) in &draft.texts {
            let insert = query("INSERT INTO product_texts (product_id, lang, name, description) VALUES (?, ?, ?, ?)");
            let insert = insert.bind(id).bind(language.tag()).bind(text.name.clone()).bind(text.description.clone());
            self.execute(insert).await?;
        }
        Ok(())
    }
}

fn sku_taken(error: sqlx::Error, sku: &str) -> ProductRefused {
    match error.as_database_error() {
        Some(cause) if cause.is_unique_violation() => ProductRefused::SkuTaken(sku.to_owned()),
        _ => ProductRefused::Database(error),
    }
}

/// `?1` is the wanted language.
const SELECT_PRODUCT: &str = "
    SELECT p.id, p.sku, c.slug AS category,
           coalesce(wanted.name, english.name) AS name,
           coalesce(wanted.description, english.description) AS description,
           coalesce(wanted.lang, english.lang) AS lang,
           p.price_cents, p.stock, p.created_at, p.updated_at
    FROM products p
    JOIN categories c ON c.id = p.category_id
    JOIN product_texts english ON english.product_id = p.id AND english.lang = 'en'
    LEFT JOIN product_texts wanted ON wanted.product_id = p.id AND wanted.lang = ?1";

fn select_product(id: i64, language: Language) -> Statement {
    // Safe: a literal.
    query(AssertSqlSafe(format!("{SELECT_PRODUCT} WHERE p.id = ?2"))).bind(language.tag()).bind(id)
}

fn product(row: &SqliteRow) -> sqlx::Result<Product> {
    let id = row.try_get("id")?;
    Ok(Product {
        id,
        sku: row.try_get("sku")?,
        category: row.try_get("category")?,
        name: row.try_get("name")?,
        description: row.try_get("description")?,
        price: Money::of_cents(row.try_get("price_cents")?),
        stock: row.try_get("stock")?,
        image: format!("/v1/images/{id}.jpg"),
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
        language: language(row)?,
    })
}

fn price(row: &SqliteRow) -> sqlx::Result<Price> {
    Ok(Price {
        product_id: row.try_get("id")?,
        cents: row.try_get("price_cents")?,
        currency: CURRENCY,
        changed_at: row.try_get("price_changed_at")?,
    })
}

fn language(row: &SqliteRow) -> sqlx::Result<Language> {
    let tag: String = row.try_get("lang")?;
    Language::from_tag(&tag).ok_or_else(|| sqlx::Error::Decode(format!("unknown language {tag:?}").into()))
}
