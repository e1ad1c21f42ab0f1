//! The sales report: sums over every sale there is.

use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, query};

use super::Db;
use super::products::CURRENCY;

/// All sales, by category and by month.
#[derive(Debug, Serialize)]
pub(crate) struct SalesReport {
    currency: &'static str,
    sales: i64,
    units: i64,
    revenue_cents: i64,
    by_category: Vec<CategorySales>,
    by_month: Vec<MonthSales>,
}

#[derive(Debug, Serialize)]
struct CategorySales {
    category: String,
    units: i64,
    revenue_cents: i64,
}

#[derive(Debug, Serialize)]
struct MonthSales {
    month: String,
    units: i64,
    revenue_cents: i64,
}

impl Db {
    pub(crate) async fn sales_report(&self) -> sqlx::Result<SalesReport> {
        let total = query(
            "SELECT count(*) AS sales, coalesce(sum(quantity), 0) AS units,
                    coalesce(sum(quantity * price_cents), 0) AS revenue_cents FROM sales",
        );
        let by_category = query(
            "SELECT c.slug AS category, sum(s.quantity) AS units, sum(s.quantity * s.price_cents) AS revenue_cents
             FROM sales s JOIN categories c ON c.id = s.category_id GROUP BY c.id ORDER BY revenue_cents DESC, c.id",
        );
        let by_month = query(
            "SELECT substr(sold_at, 1, 7) AS month, sum(quantity) AS units, sum(quantity * price_cents) AS revenue_cents
             FROM sales GROUP BY month ORDER BY month",
        );
        let total = self.one(total).await?;
        Ok(SalesReport {
            currency: CURRENCY,
            sales: total.try_get("sales")?,
            units: total.try_get("units")?,
            revenue_cents: total.try_get("revenue_cents")?,
            by_category: self.all(by_category).await?.iter().map(category_sales).collect::<Result<_, _>>()?,
            by_month: self.all(by_month).await?.iter().map(month_sales).collect::<Result<_, _>>()?,
        })
    }
}

fn category_sales(row: &SqliteRow) -> sqlx::Result<CategorySales> {
    Ok(CategorySales {
        category: row.try_get("category")?,
        units: row.try_get("units")?,
        revenue_cents: row.try_get("revenue_cents")?,
    })
}

fn month_sales(row: &SqliteRow) -> sqlx::Result<MonthSales> {
    Ok(MonthSales {
        month: row.try_get("month")?,
        units: row.try_get("units")?,
        revenue_cents: row.try_get("revenue_cents")?,
    })
}
