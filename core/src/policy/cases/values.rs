//! Single values of test cases, and choices between forms.

use super::model::{BodyBytes, FieldExpect, OriginExpect};
use crate::policy::decode::{Cx, Decode, Overlay, text};
use crate::policy::errors::Problem;
use crate::policy::model::{FieldValue, is_token};
use crate::policy::spanned::{Node, Value};

/// Longest body that is made from a number.
const BODY_BYTES_MAX: u32 = 16 << 20;

macro_rules! overlay_whole {
    ($($type:ty),*) => { $( impl Overlay for $type {
        fn overlay(&mut self, over: &Self) { self.clone_from(over); }
    } )* };
}
overlay_whole!(BodySpec, Count, FieldLines, FieldTest, Number, OriginTest, Status, StatusTest);

/// A path of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(pub String);

text!(
    Path, "the path of a file",
    parse |text| if text.is_empty() { Err(Problem::default()) } else { Ok(Path(text.to_owned())) },
    text |path| path.0.clone(), pattern Some("^.+$"), examples ["shop.json"]
);

/// What a case is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title(pub String);

text!(
    Title, "a sentence of at most 200 characters on one line",
    parse |text| {
        let fits = !text.trim().is_empty() && text.chars().count() <= 200 && !text.contains(char::is_control);
        if fits { Ok(Title(text.to_owned())) } else { Err(Problem::default()) }
    },
    text |title| title.0.clone(), pattern Some("^[^\\u0000-\\u001f]{1,200}$"), examples ["a product is kept for a minute"]
);

/// A name that later steps use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label(pub String);

text!(
    Label, "a name of at most 32 letters, digits and `_` that begins with a letter",
    parse |text| {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
        let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        // What a placeholder means already is no name.
        let taken = text == "host" || text.starts_with("now");
        if first && rest && !taken && text.len() <= 32 { Ok(Label(text.to_owned())) } else { Err(Problem::default()) }
    },
    text |label| label.0.clone(), pattern Some("^(?!now|host$)[A-Za-z][A-Za-z0-9_]{0,31}$"), examples ["A", "etag"]
);

/// A scheme and a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base(pub String);

text!(
    Base, "a scheme and a host such as \"https://shop.example\"",
    parse |text| {
        let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or_default();
        let fits = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
        if fits { Ok(Base(text.to_owned())) } else { Err(Problem::default()) }
    },
    text |base| base.0.clone(), pattern Some("^https?://[A-Za-z0-9.:\\[\\]-]+$"), examples ["https://shop.example"]
);

/// A method and a target: a path with its query, or a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// `/path?query` or `http://host/path`.
    pub target: String,
}

text!(
    Asked, "a method and a path or URL, such as \"GET /v1/products/7\"",
    parse |text| {
        let wrong = || Problem::default();
        let (method, target) = text.split_once(' ').ok_or_else(wrong)?;
        let is_method = is_token(method) && !method.bytes().any(|b| b.is_ascii_lowercase());
        let starts = ["/", "http://", "https://"].iter().any(|start| target.starts_with(start));
        let fits = is_method && starts && target.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Asked { method: method.to_owned(), target: target.to_owned() }) } else { Err(wrong()) }
    },
    text |asked| format!("{} {}", asked.method, asked.target),
    pattern Some("^[A-Z0-9!#$%&'*+.^_`|~-]+ (/|https?://)[!-~]*$"), examples ["GET /v1/products/7"]
);

/// A status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Status(pub u16);

impl Decode for Status {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match status(node) {
            Some(status) => Some(Self(status)),
            None => cx.expected(node, "a status such as 200"),
        }
    }
}

fn status(node: &Node) -> Option<u16> {
    let Value::Number(text) = &node.value else { return None };
    text.parse().ok().filter(|status| (200..=599).contains(status))
}

/// What a status must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusTest {
    /// This.
    Is(u16),
    /// The connection is closed without an answer.
    Closed,
}

impl Decode for StatusTest {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match (status(node), node.value.as_str()) {
            (Some(status), _) => Some(Self::Is(status)),
            (_, Some("closed")) => Some(Self::Closed),
            _ => cx.expected(node, "a status such as 200, or \"closed\""),
        }
    }
}

impl serde::Serialize for StatusTest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Is(status) => serializer.serialize_u16(*status),
            Self::Closed => serializer.serialize_str("closed"),
        }
    }
}

/// How many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Count(pub u32);

impl Decode for Count {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let Value::Number(text) = &node.value else { return cx.expected(node, "a whole number") };
        match text.parse().ok().filter(|count| *count <= BODY_BYTES_MAX) {
            Some(count) => Some(Self(count)),
            None => cx.expected(node, format!("a whole number, at most {BODY_BYTES_MAX}")),
        }
    }
}

/// A whole number that may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Number(pub i64);

impl Decode for Number {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.value {
            Value::Number(text) if let Ok(number) = text.parse() => Some(Self(number)),
            _ => cx.expected(node, "a whole number"),
        }
    }
}

/// The lines of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldLines(pub Vec<FieldValue>);

impl Decode for FieldLines {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.value {
            Value::Array(_) => Vec::decode(node, cx).map(Self),
            Value::String(_) => FieldValue::decode(node, cx).map(|value| Self(vec![value])),
            _ => cx.expected(node, "the value of a header field, or a list of them"),
        }
    }
}

impl serde::Serialize for FieldLines {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [only] => only.serialize(serializer),
            lines => lines.serialize(serializer),
        }
    }
}

/// A body.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum BodySpec {
    /// This text.
    Text(String),
    /// So many bytes.
    Bytes(BodyBytes),
}

impl Decode for BodySpec {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.value {
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Object(_) => BodyBytes::decode(node, cx).map(Self::Bytes),
            _ => cx.expected(node, "a text, or an object such as {\"bytes\": 3000}"),
        }
    }
}

/// What a field must be.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum FieldTest {
    /// Whether it is there.
    There(bool),
    /// This number.
    Number(Count),
    /// This, all lines joined by commas.
    Is(FieldValue),
    /// More.
    More(FieldExpect),
}

impl Decode for FieldTest {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.value {
            Value::Bool(there) => Some(Self::There(*there)),
            Value::Number(_) => Count::decode(node, cx).map(Self::Number),
            Value::String(_) => FieldValue::decode(node, cx).map(Self::Is),
            Value::Object(_) => FieldExpect::decode(node, cx).map(Self::More),
            _ => cx.expected(node, "a value, true, false or an object such as {\"has\": [\"public\"]}"),
        }
    }
}

/// What must have reached the origin.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum OriginTest {
    /// Something at all, or nothing.
    Asked(bool),
    /// How it was.
    Like(OriginExpect),
}

impl Decode for OriginTest {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.value {
            Value::Bool(asked) => Some(Self::Asked(*asked)),
            Value::Object(_) => OriginExpect::decode(node, cx).map(Self::Like),
            _ => cx.expected(node, "true, false or an object such as {\"requests\": 1}"),
        }
    }
}

#[cfg(any(test, feature = "schema"))]
mod schema {
    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    use super::{BODY_BYTES_MAX, Count, FieldLines, FieldValue, Number, Status, StatusTest};

    macro_rules! plain {
        ($name:ident, $schema:expr) => {
            impl JsonSchema for $name {
                fn schema_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }

                fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                    let schema: fn(&mut SchemaGenerator) -> Schema = $schema;
                    schema(generator)
                }
            }
        };
    }

    plain!(Status, |_| json_schema!({ "type": "integer", "minimum": 200, "maximum": 599, "examples": [200] }));
    plain!(StatusTest, |_| json_schema!({
        "description": "Expected: a status such as 200, or \"closed\".",
        "anyOf": [{ "type": "integer", "minimum": 200, "maximum": 599 }, { "const": "closed" }],
        "examples": [200, "closed"],
    }));
    plain!(Count, |_| json_schema!({ "type": "integer", "minimum": 0, "maximum": BODY_BYTES_MAX, "examples": [1] }));
    plain!(Number, |_| json_schema!({ "type": "integer", "examples": [30, -3] }));
    plain!(FieldLines, |generator| {
        let line = generator.subschema_for::<FieldValue>();
        json_schema!({ "anyOf": [line.clone(), { "type": "array", "items": line }] })
    });
}
