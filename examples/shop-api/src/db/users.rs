//! Users, their bearer tokens and their sessions.

use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, query};

use super::Db;

/// Who asks.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct User {
    pub id: i64,
    pub name: String,
}

/// What a user sees of themselves.
#[derive(Debug, Serialize)]
pub(crate) struct Account {
    id: i64,
    name: String,
    email: String,
    member_since: String,
    cart_items: i64,
}

impl Db {
    pub(crate) async fn user_by_token(&self, token: String) -> sqlx::Result<Option<User>> {
        let select = query("SELECT id, name FROM users WHERE token = ?").bind(token);
        self.optional(select).await?.as_ref().map(user).transpose()
    }

    /// A session ends after a day.
    pub(crate) async fn user_by_session(&self, session: String) -> sqlx::Result<Option<User>> {
        let select = query(
            "SELECT u.id, u.name FROM sessions s JOIN users u ON u.id = s.user_id
             WHERE s.id = ? AND s.created_at > strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-1 day')",
        );
        self.optional(select.bind(session)).await?.as_ref().map(user).transpose()
    }

    pub(crate) async fn account(&self, user: &User) -> sqlx::Result<Account> {
        let select = query(
            "SELECT id, name, email, member_since,
                    (SELECT coalesce(sum(quantity), 0) FROM cart_items WHERE user_id = users.id) AS cart_items
             FROM users WHERE id = ?",
        );
        let row = self.one(select.bind(user.id)).await?;
        Ok(Account {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            email: row.try_get("email")?,
            member_since: row.try_get("member_since")?,
            cart_items: row.try_get("cart_items")?,
        })
    }

    /// Begins a session and returns its id, which nobody can guess.
    pub(crate) async fn add_session(&self, user: &User) -> sqlx::Result<String> {
        let mut write = self.write().await?;
        let insert = query(
            "INSERT INTO sessions (id, user_id, created_at)
             VALUES (lower(hex(randomblob(16))), ?, strftime('%Y-%m-%dT%H:%M:%SZ')) RETURNING id",
        );
        let id = write.one(insert.bind(user.id)).await?.try_get("id")?;
        write.commit().await?;
        Ok(id)
    }
}

fn user(row: &SqliteRow) -> sqlx::Result<User> {
    Ok(User { id: row.try_get("id")?, name: row.try_get("name")? })
}
