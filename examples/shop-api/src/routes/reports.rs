//! Reports that take their time.

use axum::Json;
use axum::extract::State;

use crate::App;
use crate::db::SalesReport;
use crate::error::ApiError;

/// Sums over all sales, and slow: the delay stands for the joins over millions of rows that a real report has.
pub(super) async fn sales(State(app): State<App>) -> Result<Json<SalesReport>, ApiError> {
    tokio::time::sleep(app.report_delay()).await;
    Ok(Json(app.db().sales_report().await?))
}
