//! The carts: one a user.

use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, query};

use super::products::Money;
use super::{Db, Statement, User};
use crate::language::Language;

/// A user's cart at today's prices.
#[derive(Debug, Serialize)]
pub(crate) struct Cart {
    items: Vec<CartItem>,
    total: Money,
}

#[derive(Debug, Serialize)]
struct CartItem {
    product_id: i64,
    name: String,
    quantity: i64,
    price: Money,
    total: Money,
}

/// Why nothing was put into a cart.
#[derive(Debug)]
pub(crate) enum CartRefused {
    UnknownProduct(i64),
    OutOfStock { stock: i64 },
    Database(sqlx::Error),
}

impl From<sqlx::Error> for CartRefused {
    fn from(error: sqlx::Error) -> Self {
        CartRefused::Database(error)
    }
}

impl Db {
    pub(crate) async fn cart(&self, user: &User, language: Language) -> sqlx::Result<Cart> {
        cart(&self.all(select_cart(user, language)).await?)
    }

    /// Adds `quantity` of a product to what the cart has of it, up to the shop's stock.
    pub(crate) async fn add_to_cart(
        &self,
        user: &User,
        product_id: i64,
        quantity: i64,
        language: Language,
    ) -> Result<Cart, CartRefused> {
        let mut write = self.write().await?;
        let select = query("SELECT stock FROM products WHERE id = ?").bind(product_id);
        let row = write.optional(select).await?.ok_or(CartRefused::UnknownProduct(product_id))?;
        let stock: i64 = row.try_get("stock")?;
        let upsert = query(
            "INSERT INTO cart_items (user_id, product_id, quantity) VALUES (?, ?, ?)
             ON CONFLICT DO UPDATE SET quantity = quantity + excluded.quantity RETURNING quantity",
        );
        let row = write.one(upsert.bind(user.id).bind(product_id).bind(quantity)).await?;
        if row.try_get::<i64, _>("quantity")? > stock {
            return Err(CartRefused::OutOfStock { stock });
        }
        let rows = write.all(select_cart(user, language)).await?;
        write.commit().await?;
        Ok(cart(&rows)?)
    }

    pub(crate) async fn empty_cart(&self, user: &User) -> sqlx::Result<()> {
        let mut write = self.write().await?;
        write.execute(query("DELETE FROM cart_items WHERE user_id = ?").bind(user.id)).await?;
        write.commit().await
    }
}

fn select_cart(user: &User, language: Language) -> Statement {
    let select = query(
        "SELECT i.product_id, coalesce(wanted.name, english.name) AS name, i.quantity, p.price_cents
         FROM cart_items i
         JOIN products p ON p.id = i.product_id
         JOIN product_texts english ON english.product_id = p.id AND english.lang = 'en'
         LEFT JOIN product_texts wanted ON wanted.product_id = p.id AND wanted.lang = ?
         WHERE i.user_id = ? ORDER BY i.product_id",
    );
    select.bind(language.tag()).bind(user.id)
}

fn cart(rows: &[SqliteRow]) -> sqlx::Result<Cart> {
    let mut items = Vec::with_capacity(rows.len());
    let mut total = 0;
    for row in rows {
        let (quantity, cents): (i64, i64) = (row.try_get("quantity")?, row.try_get("price_cents")?);
        total += quantity * cents;
        items.push(CartItem {
            product_id: row.try_get("product_id")?,
            name: row.try_get("name")?,
            quantity,
            price: Money::of_cents(cents),
            total: Money::of_cents(quantity * cents),
        });
    }
    Ok(Cart { items, total: Money::of_cents(total) })
}
