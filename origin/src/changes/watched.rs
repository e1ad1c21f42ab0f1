//! Which rows become which tags. Text in, parts out; what SQL is made of them is each database's matter.

use super::errors::ChangesError;

/// A table, and the tags that its rows stand for.
///
/// ```
/// use larder_origin::changes::Watched;
///
/// let products = Watched::table("products").tag("product-{id}").tag("category-{category_id}").tag("product-lists");
/// ```
///
/// In a template, `{name}` is the value of that column as text; `{{` and `}}` are braces. Where a column is null, the tag is not purged.
/// A change purges what the row stood for before and what it stands for after.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it watches nothing before it is given to a database"]
pub struct Watched {
    pub(super) schema: Option<String>,
    pub(super) table: String,
    pub(super) tags: Vec<String>,
    pub(super) soft: bool,
}

/// A part of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Column(String),
}

impl Watched {
    /// A table by its name, exactly as the database has it.
    pub fn table(name: impl Into<String>) -> Self {
        Self { schema: None, table: name.into(), tags: Vec::new(), soft: false }
    }

    /// The schema that the table is in. Postgres only; otherwise the first of the search path that has it.
    pub fn in_schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// A tag that each row stands for, with the values of columns in braces.
    pub fn tag(mut self, template: impl Into<String>) -> Self {
        self.tags.push(template.into());
        self
    }

    /// Makes stale instead of gone: stale-while-revalidate and stale-if-error still apply.
    pub fn soft(mut self) -> Self {
        self.soft = true;
        self
    }

    /// The tags in their parts.
    pub(super) fn parts(&self) -> Result<Vec<Vec<Part>>, ChangesError> {
        if self.tags.is_empty() {
            return Err(ChangesError::NoTags { table: self.table.clone() });
        }
        let parsed = self.tags.iter().map(|template| {
            parse(template).map_err(|why| ChangesError::Template {
                table: self.table.clone(),
                template: template.clone(),
                why,
            })
        });
        parsed.collect()
    }

    /// Holds the templates against the columns that there are.
    pub(super) fn check_columns(&self, parts: &[Vec<Part>], columns: &[String]) -> Result<(), ChangesError> {
        for part in parts.iter().flatten() {
            if let Part::Column(column) = part
                && !columns.contains(column)
            {
                return Err(ChangesError::NoColumn {
                    table: self.table.clone(),
                    column: column.clone(),
                    columns: columns.to_vec(),
                });
            }
        }
        Ok(())
    }
}

fn parse(template: &str) -> Result<Vec<Part>, String> {
    let (mut parts, mut text) = (Vec::new(), String::new());
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, after) = rest.split_at(at);
        text.push_str(before);
        if let Some(after) = after.strip_prefix("{{") {
            text.push('{');
            rest = after;
        } else if let Some(after) = after.strip_prefix("}}") {
            text.push('}');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let (column, after) = after.split_once('}').ok_or("a { is not closed")?;
            if column.is_empty() || column.contains('{') {
                return Err(format!("{{{column}}} names no column"));
            }
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(Part::Column(column.to_owned()));
            rest = after;
        } else {
            return Err("a } closes nothing; write }} for a brace".to_owned());
        }
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    if parts.is_empty() {
        return Err("it is empty".to_owned());
    }
    if template.contains('\0') {
        return Err("it holds a NUL".to_owned());
    }
    Ok(parts)
}

/// A name, as SQL has it.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_have_text_and_columns() {
        let text = |text: &str| Part::Text(text.to_owned());
        let column = |name: &str| Part::Column(name.to_owned());
        for (template, want) in [
            ("all", vec![text("all")]),
            ("{id}", vec![column("id")]),
            ("p-{id}", vec![text("p-"), column("id")]),
            ("{a}{b c}:x", vec![column("a"), column("b c"), text(":x")]),
            ("{{{id}}}", vec![text("{"), column("id"), text("}")]),
        ] {
            assert_eq!(parse(template), Ok(want), "{template}");
        }
        for bad in ["", "{", "}", "a{b", "a}b", "{}", "{a{b}", "\0"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(identifier("a\"; drop table b; --"), "\"a\"\"; drop table b; --\"");
    }
}
