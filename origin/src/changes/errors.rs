//! What can be wrong with what is to be watched, or with the database.

/// Why changes cannot be watched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangesError {
    /// A tag's template cannot be read.
    #[error("the tag template {template:?} of the table {table:?}: {why}")]
    Template {
        /// Of which table.
        table: String,
        /// As it was given.
        template: String,
        /// What is wrong with it.
        why: String,
    },
    /// A table has no tags, and so its changes would purge nothing.
    #[error("the table {table:?} has no tag templates, so its changes would purge nothing")]
    NoTags {
        /// Which table.
        table: String,
    },
    /// The database has no such table.
    #[error("the database has no table {table:?}")]
    NoTable {
        /// As it was given.
        table: String,
    },
    /// A template names a column that the table does not have.
    #[error("the table {table:?} has no column {column:?}; it has {}", .columns.join(", "))]
    NoColumn {
        /// Which table.
        table: String,
        /// As the template has it.
        column: String,
        /// What there is.
        columns: Vec<String>,
    },
    /// A table is given twice.
    #[error("the table {table:?} is watched twice; give all its tags at once")]
    Twice {
        /// Which table.
        table: String,
    },
    /// The database says no.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
}
