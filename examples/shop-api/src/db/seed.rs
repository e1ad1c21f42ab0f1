//! Fills an empty database with the same shop every time: categories, products in three languages, a year of sales, and
//! three users. One statement a table, so that it takes a fraction of a second.

use serde_json::{Value, json};
use sqlx::{Sqlite, Transaction};

use super::words::{CATEGORIES, CLOSINGS, COLOURS, Category, MAKINGS, OPENINGS, SERIES, Words};
use crate::language::Language;
use crate::mix::Mix;

/// The users of the seeded shop: name, and with `-token` appended their bearer token.
pub(super) const USERS: [(&str, &str); 3] = [("Alice", "alice"), ("Bob", "bob"), ("Carol", "carol")];

/// 2024-01-01T00:00:00Z: the day the shop opened.
const OPENED: u64 = 1_704_067_200;
const DAY: u64 = 24 * 3600;
const SALES_PER_PRODUCT: u64 = 4;

/// Inserts the whole shop with `products` products.
pub(super) async fn fill(tx: &mut Transaction<'static, Sqlite>, products: u32) -> sqlx::Result<()> {
    let shop = Shop::generate(u64::from(products));
    let categories: Vec<_> = CATEGORIES.iter().zip(1..).map(|(category, id)| json!([id, category.slug])).collect();
    let category_texts: Vec<_> = (CATEGORIES.iter().zip(1..))
        .flat_map(|(category, id)| each_language(&category.name).map(move |(lang, name)| json!([id, lang, name])))
        .collect();

    // The rows travel as one JSON array of arrays a table.
    let inserts = [
        ("INSERT INTO categories (id, slug) SELECT value ->> 0, value ->> 1 FROM json_each(?)", categories),
        (
            "INSERT INTO category_texts (category_id, lang, name)
             SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)",
            category_texts,
        ),
        (
            "INSERT INTO products
                 (id, sku, category_id, price_cents, stock, created_at, updated_at, price_changed_at)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4,
                    strftime('%Y-%m-%dT%H:%M:%SZ', value ->> 5, 'unixepoch'),
                    strftime('%Y-%m-%dT%H:%M:%SZ', value ->> 6, 'unixepoch'),
                    strftime('%Y-%m-%dT%H:%M:%SZ', value ->> 6, 'unixepoch')
             FROM json_each(?)",
            shop.products,
        ),
        (
            "INSERT INTO product_texts (product_id, lang, name, description)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)",
            shop.product_texts,
        ),
        (
            "INSERT INTO sales (product_id, category_id, quantity, price_cents, sold_at)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3,
                    strftime('%Y-%m-%dT%H:%M:%SZ', value ->> 4, 'unixepoch')
             FROM json_each(?)",
            shop.sales,
        ),
        (
            "INSERT INTO users (id, name, email, token, member_since)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3,
                    strftime('%Y-%m-%dT%H:%M:%SZ', value ->> 4, 'unixepoch')
             FROM json_each(?)",
            users(),
        ),
        (
            "INSERT INTO cart_items (user_id, product_id, quantity)
             SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)
             WHERE value ->> 1 IN (SELECT id FROM products)",
            // Different carts, so that one user's cart shown to another is seen at once.
            vec![json!([1, 1, 1]), json!([1, 2, 3]), json!([2, 3, 2])],
        ),
    ];
    for (sql, rows) in inserts {
        sqlx::query(sql).bind(Value::Array(rows).to_string()).execute(&mut **tx).await?;
    }
    Ok(())
}

/// The rows of the tables that depend on the number of products.
#[derive(Default)]
struct Shop {
    products: Vec<Value>,
    product_texts: Vec<Value>,
    sales: Vec<Value>,
}

impl Shop {
    fn generate(products: u64) -> Self {
        let mut shop = Shop::default();
        for id in 1..=products {
            shop.add_product(id);
        }
        shop
    }

    fn add_product(&mut self, id: u64) {
        let mut mix = Mix::new(0x5EED, id);
        let category_index = mix.below(CATEGORIES.len() as u64);
        let category: &Category = &CATEGORIES[category_index as usize];
        let category_id = category_index + 1;
        let kind = mix.pick(&category.kinds);
        let (series, colour) = (*mix.pick(&SERIES), mix.pick(&COLOURS));
        let sentences: [&Words; 3] = [mix.pick(&OPENINGS), mix.pick(&MAKINGS), mix.pick(&CLOSINGS)];

        // Prices as shops have them: 4.99 to 499.99.
        let price_cents = (5 + mix.below(496)) * 100 - 1;
        let stock = mix.below(200);
        let created = OPENED + mix.below(365 * DAY);
        let updated = created + mix.below(180 * DAY);
        let sku = format!("{}-{id:06}", category.slug[..3].to_ascii_uppercase());
        self.products.push(json!([id, sku, category_id, price_cents, stock, created, updated]));

        for (language, lang) in Language::ALL.into_iter().enumerate() {
            let name = format!("{} {series}, {}", kind[language], colour[language]);
            let description = sentences.map(|sentence| sentence[language]).join(" ");
            self.product_texts.push(json!([id, lang.tag(), name, description]));
        }
        for _ in 0..SALES_PER_PRODUCT {
            let sold = OPENED + 365 * DAY + mix.below(365 * DAY);
            self.sales.push(json!([id, category_id, 1 + mix.below(5), price_cents, sold]));
        }
    }
}

fn users() -> Vec<Value> {
    (USERS.iter().zip(1u64..))
        .map(|((name, user), id)| {
            json!([id, name, format!("{user}@shop.example"), format!("{user}-token"), OPENED + id * 30 * DAY])
        })
        .collect()
}

fn each_language(words: &'static Words) -> impl Iterator<Item = (&'static str, &'static str)> {
    Language::ALL.into_iter().map(Language::tag).zip(words.iter().copied())
}
