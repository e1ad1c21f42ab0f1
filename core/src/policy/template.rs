//! Templates over path parameters: tags such as `product:{id}`, paths such as `/v1/products/{id}`.
//!
//! Decides how a parameter, which a client chooses, is put into a tag or a path, so that it cannot become more than
//! one value: see [`Template::expand`].

use std::fmt;

use super::errors::Problem;
use super::path::{decoded, is_unreserved};
use super::spanned::Quoted;

/// Named values taken from a request's path by its route, as received (percent-encodings are kept).
pub type Params = Vec<(String, String)>;

/// Longest template.
const TEXT_BYTES_MAX: usize = 256;

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    form: Form,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Param(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Tag,
    Path,
}

impl Template {
    /// A tag: visible ASCII without the characters that separate tags in header fields.
    pub(crate) fn tag(text: &str) -> Result<Self, Problem> {
        if !text.bytes().all(|b| (b'!'..=b'~').contains(&b) && !matches!(b, b',' | b'"')) {
            return Err(Problem::expected("a tag of visible ASCII without blanks, commas and quotes"));
        }
        Self::parse(text, Form::Tag)
    }

    /// A path; a `*` at its end makes it a prefix.
    pub(crate) fn path(text: &str) -> Result<Self, Problem> {
        let odd = |b: u8| !(b'!'..=b'~').contains(&b) || matches!(b, b'?' | b'#' | b'\\');
        if !text.starts_with('/') || text.bytes().any(odd) {
            return Err(Problem::default());
        }
        if text.strip_suffix('*').unwrap_or(text).contains('*') {
            return Err(Problem::expected("a `*` at the very end only"));
        }
        Self::parse(text, Form::Path)
    }

    fn parse(text: &str, form: Form) -> Result<Self, Problem> {
        if text.is_empty() || text.len() > TEXT_BYTES_MAX {
            return Err(Problem::expected(format!("1 to {TEXT_BYTES_MAX} characters")));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, braced) = rest.split_once('{').map_or((rest, None), |(l, b)| (l, Some(b)));
            if literal.contains('}') {
                return Err(Problem::new("a `}` without its `{`").found(Quoted(text).to_string()));
            }
            if !literal.is_empty() {
                parts.push(Part::Text(literal.to_owned()));
            }
            let Some(braced) = braced else { break };
            let Some((name, after)) = braced.split_once('}') else {
                return Err(Problem::new("a `{` without its `}`").found(Quoted(text).to_string()));
            };
            if !is_param_name(name) {
                let expected = "a parameter's name in the braces: letters, digits and `_`";
                return Err(Problem::expected(expected).found(Quoted(name).to_string()));
            }
            parts.push(Part::Param(name.to_owned()));
            rest = after;
        }
        Ok(Self { parts, form })
    }

    /// The parameters that are named, in order.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Param(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// Fills in `params`; `None` where one is missing.
    ///
    /// In a tag, a value is brought to one form, whichever way its characters were percent-encoded, so that `a%40b` and
    /// `a@b` are the same tag; what separates tags in header fields stays encoded. In a path a value stays as it was
    /// received, since that is what the key has, but for `*`: whether a path is a prefix is the policy's choice.
    pub fn expand(&self, params: &Params) -> Option<String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Param(name) => {
                    let value = &params.iter().find(|(n, _)| n == name)?.1;
                    match self.form {
                        Form::Tag => push_canonical(&mut text, value),
                        Form::Path => text.push_str(&value.replace('*', "%2A")),
                    }
                }
            }
        }
        Some(text)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Param(name) => write!(f, "{{{name}}}"),
        })
    }
}

/// Whether `name` can be the name of a path parameter.
pub(crate) fn is_param_name(name: &str) -> bool {
    name.len() <= 64
        && name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Appends `value` with everything plain that may be plain in a tag, and everything else percent-encoded.
fn push_canonical(text: &mut String, value: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let hex = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0') as char;
    for &byte in decoded(value.as_bytes()).iter() {
        if is_unreserved(byte) || b"!$&'()*+/:;=@".contains(&byte) {
            text.push(byte as char);
        } else {
            text.extend(['%', hex(byte >> 4), hex(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn params(value: &str) -> Params {
        vec![("id".into(), value.into())]
    }

    #[test]
    fn a_parameter_in_a_tag_has_one_form() {
        let tag = Template::tag("product:{id}").unwrap();
        for (value, want) in [
            ("7", "product:7"),
            ("a@b", "product:a@b"),
            ("a%40b", "product:a@b"),
            ("caf%c3%a9", "product:caf%C3%A9"),
            ("café", "product:caf%C3%A9"),
            ("a,b", "product:a%2Cb"),
            ("a%20b", "product:a%20b"),
            ("a%", "product:a%25"),
            ("a\"b", "product:a%22b"),
        ] {
            assert_eq!(tag.expand(&params(value)).as_deref(), Some(want));
        }
        assert_eq!(tag.expand(&Vec::new()), None);
        assert_eq!(tag.params().collect::<Vec<_>>(), ["id"]);
        assert_eq!(tag.to_string(), "product:{id}");
    }

    #[test]
    fn a_parameter_in_a_path_cannot_make_it_a_prefix() {
        let path = Template::path("/v1/products/{id}").unwrap();
        assert_eq!(path.expand(&params("a%20b")).as_deref(), Some("/v1/products/a%20b"));
        assert_eq!(path.expand(&params("*")).as_deref(), Some("/v1/products/%2A"));
        assert_eq!(Template::path("/v1/{id}*").unwrap().expand(&params("x")).as_deref(), Some("/v1/x*"));
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for tag in ["", "a b", "a,b", "a{", "a}", "{}", "{a b}", "{1}", "{a}}", "é", "{{a}}", "\n"] {
            assert!(Template::tag(tag).is_err(), "{tag}");
        }
        for path in ["", "v1", "/a*b", "/a**", "/a?b", "/a#b", "/ ", "/{", "/\\"] {
            assert!(Template::path(path).is_err(), "{path}");
        }
        assert!(Template::tag(&"a".repeat(257)).is_err());
    }
}
