//! A JSON text as a tree whose every value and key knows where it stands in the file.
//!
//! Decides nothing about policies. It exists because an error of a policy has to name its line and column, and
//! because every error of a file is reported at once: a reader that stops at the first one cannot do either.
//! Total and bounded: depth, number of values and size of the text have limits, and nothing panics.

use std::fmt;

/// Longest text that is read.
pub const TEXT_BYTES_MAX: usize = 4 << 20;
/// Deepest nesting of arrays and objects.
pub const DEPTH_MAX: usize = 32;
/// Most values in a text: bounds the memory a text can ask for.
pub const VALUES_MAX: usize = 400_000;

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// Byte offset of the value's first character.
    pub at: usize,
    pub value: Value,
}

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// As written: the reader of a field decides what numbers it takes.
    Number(String),
    String(String),
    Array(Vec<Node>),
    Object(Vec<Member>),
}

/// A key with its value, in order of the file. Repeated keys are kept: who decodes an object reports them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub key: String,
    /// Byte offset of the key's opening quote.
    pub key_at: usize,
    pub node: Node,
}

/// Where and why a text is not JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub at: usize,
    /// Whether it may be JSON, and is too much of it.
    pub is_limit: bool,
    pub expected: String,
    pub found: String,
}

/// Reads one JSON value that fills `text`.
pub(crate) fn parse(text: &str) -> Result<Node, SyntaxError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(SyntaxError {
            at: 0,
            is_limit: true,
            expected: format!("at most {} MiB of text", TEXT_BYTES_MAX >> 20),
            found: format!("{} bytes", text.len()),
        });
    }
    let mut reader = Reader { text, at: 0, depth: 0, values: 0 };
    if text.starts_with('\u{feff}') {
        reader.at = '\u{feff}'.len_utf8();
    }
    reader.skip_blanks()?;
    let node = reader.value("a JSON object")?;
    reader.skip_blanks()?;
    if reader.at < text.len() {
        return Err(reader.expected("the end of the file"));
    }
    Ok(node)
}

impl Node {
    /// What this value is, for messages: `the string "x"`, `an array`.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "null".into(),
            Value::Bool(value) => value.to_string(),
            Value::Number(text) => format!("the number {}", Clipped(text)),
            Value::String(text) => format!("the string {}", Quoted(text)),
            Value::Array(_) => "an array".into(),
            Value::Object(_) => "an object".into(),
        }
    }
}

impl Value {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
}

/// A text in quotes for a message: control characters escaped, long ones cut.
pub(crate) struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", Clipped(self.0))
    }
}

/// A text for a message: control characters escaped, long ones cut.
pub(crate) struct Clipped<'a>(pub &'a str);

impl fmt::Display for Clipped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_MAX: usize = 60;
        for c in self.0.chars().take(SHOWN_MAX) {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "{}", c.escape_default())?,
                c => write!(f, "{c}")?,
            }
        }
        if self.0.chars().nth(SHOWN_MAX).is_some() { f.write_str("...") } else { Ok(()) }
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    values: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Steps over `byte` where it is next.
    fn take(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    fn error(&self, at: usize, expected: &str, found: impl Into<String>) -> SyntaxError {
        SyntaxError { at, is_limit: false, expected: expected.into(), found: found.into() }
    }

    /// An error about a limit.
    fn limit(&self, expected: String, found: &str) -> SyntaxError {
        SyntaxError { at: self.at, is_limit: true, expected, found: found.into() }
    }

    /// An error about what is next.
    fn expected(&self, expected: &str) -> SyntaxError {
        let found = match self.rest().chars().next() {
            None => "the end of the file".to_owned(),
            Some(c) if c.is_ascii_alphanumeric() => {
                let word: String = self.rest().chars().take_while(|c| c.is_ascii_alphanumeric()).take(20).collect();
                format!("`{word}`")
            }
            Some(c) if c.is_control() => format!("the control character U+{:04X}", u32::from(c)),
            Some(c) => format!("`{c}`"),
        };
        self.error(self.at, expected, found)
    }

    fn skip_blanks(&mut self) -> Result<(), SyntaxError> {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        if matches!(self.peek(), Some(b'/' | b'#')) {
            return Err(self.error(self.at, "no comment (JSON has none; use a \"comment\" field)", "a comment"));
        }
        Ok(())
    }

    fn value(&mut self, expected: &str) -> Result<Node, SyntaxError> {
        self.values += 1;
        if self.values > VALUES_MAX {
            return Err(self.limit(format!("at most {VALUES_MAX} values"), "more"));
        }
        let at = self.at;
        let value = match self.peek() {
            Some(b'{') => self.nested(Self::object)?,
            Some(b'[') => self.nested(Self::array)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number()?),
            _ => self.word(expected)?,
        };
        Ok(Node { at, value })
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, SyntaxError>) -> Result<Value, SyntaxError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.limit(format!("at most {DEPTH_MAX} levels of nesting"), "a deeper one"));
        }
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    /// After `{`.
    fn object(&mut self) -> Result<Value, SyntaxError> {
        let mut members = Vec::new();
        self.skip_blanks()?;
        if self.take(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            let key_at = self.at;
            if self.peek() != Some(b'"') {
                let expected =
                    if members.is_empty() { "a field name in quotes or `}`" } else { "a field name in quotes" };
                return Err(self.expected(expected));
            }
            let key = self.string()?;
            self.skip_blanks()?;
            if !self.take(b':') {
                return Err(self.expected("`:`"));
            }
            self.skip_blanks()?;
            let node = self.value("a value")?;
            members.push(Member { key, key_at, node });
            if !self.another(b'}', "`,` or `}`")? {
                return Ok(Value::Object(members));
            }
        }
    }

    /// After `[`.
    fn array(&mut self) -> Result<Value, SyntaxError> {
        let mut nodes = Vec::new();
        self.skip_blanks()?;
        if self.take(b']') {
            return Ok(Value::Array(nodes));
        }
        loop {
            nodes.push(self.value(if nodes.is_empty() { "a value or `]`" } else { "a value" })?);
            if !self.another(b']', "`,` or `]`")? {
                return Ok(Value::Array(nodes));
            }
        }
    }

    /// Whether a comma says that another element follows; otherwise `close` has been read.
    fn another(&mut self, close: u8, expected: &str) -> Result<bool, SyntaxError> {
        self.skip_blanks()?;
        if self.take(close) {
            return Ok(false);
        }
        let comma_at = self.at;
        if !self.take(b',') {
            return Err(self.expected(expected));
        }
        self.skip_blanks()?;
        if self.peek() == Some(close) {
            return Err(self.error(comma_at, "no comma before the closing bracket", "`,`"));
        }
        Ok(true)
    }

    fn word(&mut self, expected: &str) -> Result<Value, SyntaxError> {
        for (word, value) in [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)] {
            if let Some(rest) = self.rest().strip_prefix(word)
                && !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.expected(expected))
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.expected("a digit"));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<String, SyntaxError> {
        let from = self.at;
        self.take(b'-');
        let leading_zero_at = self.at;
        if self.take(b'0') {
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.error(leading_zero_at, "a number without leading zeros", "`0`"));
            }
        } else {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(self.text.get(from..self.at).unwrap_or_default().to_owned())
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        let open_at = self.at;
        self.at += 1;
        let mut string = String::new();
        loop {
            let rest = self.rest();
            let stop = rest.find(|c: char| c == '"' || c == '\\' || c < ' ').unwrap_or(rest.len());
            string.push_str(rest.get(..stop).unwrap_or_default());
            self.at += stop;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(string);
                }
                Some(b'\\') => string.push(self.escape()?),
                None => return Err(self.error(open_at, "a closing `\"`", "a string that never ends")),
                Some(b'\n' | b'\r') => {
                    return Err(self.error(open_at, "a closing `\"` on the same line", "the end of the line"));
                }
                Some(_) => return Err(self.expected("an escape such as `\\t` for a control character")),
            }
        }
    }

    /// At `\`.
    fn escape(&mut self) -> Result<char, SyntaxError> {
        let at = self.at;
        self.at += 1;
        let Some(letter) = self.rest().chars().next() else {
            return Err(self.expected("the rest of an escape"));
        };
        self.at += letter.len_utf8();
        Ok(match letter {
            '"' | '\\' | '/' => letter,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.unicode(at),
            other => {
                let expected = "one of the escapes \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u";
                return Err(self.error(at, expected, format!("`\\{}`", Clipped(other.encode_utf8(&mut [0; 4])))));
            }
        })
    }

    /// After `\u`; `at` is where the escape begins.
    fn unicode(&mut self, at: usize) -> Result<char, SyntaxError> {
        let high = self.hex4()?;
        let code = if (0xd800..0xdc00).contains(&high) && self.rest().starts_with("\\u") {
            self.at += 2;
            let low = self.hex4()?;
            if !(0xdc00..0xe000).contains(&low) {
                return Err(self.error(at, "a pair of surrogates", "half of one"));
            }
            0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
        } else {
            high
        };
        char::from_u32(code).ok_or_else(|| self.error(at, "a pair of surrogates", "half of one"))
    }

    fn hex4(&mut self) -> Result<u32, SyntaxError> {
        let digits = self.rest().get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|d| u32::from_str_radix(d, 16).ok());
        let code = code.ok_or_else(|| self.expected("four hexadecimal digits"))?;
        self.at += 4;
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn fails(text: &str) -> (usize, String) {
        let error = parse(text).unwrap_err();
        (error.at, format!("expected {}, found {}", error.expected, error.found))
    }

    #[test]
    fn values_keep_their_places() {
        let node = parse("{\n  \"a\": [1, true], \"b\": \"x\\u00e9\\ud83d\\ude00\"\n}").unwrap();
        let Value::Object(members) = &node.value else { panic!("{node:?}") };
        assert_eq!((members[0].key_at, members[0].node.at), (4, 9));
        let Value::Array(items) = &members[0].node.value else { panic!() };
        assert_eq!(items[1], Node { at: 13, value: Value::Bool(true) });
        assert_eq!(members[1].node.value.as_str(), Some("xé😀"));
    }

    #[test]
    fn errors_say_what_was_expected_and_where() {
        for (text, at, message) in [
            ("", 0, "expected a JSON object, found the end of the file"),
            ("{", 1, "expected a field name in quotes or `}`, found the end of the file"),
            ("{\"a\" 1}", 5, "expected `:`, found `1`"),
            ("{\"a\": 1 \"b\": 2}", 8, "expected `,` or `}`, found `\"`"),
            ("{\"a\": 1,}", 7, "expected no comma before the closing bracket, found `,`"),
            ("[1 2]", 3, "expected `,` or `]`, found `2`"),
            ("[01]", 1, "expected a number without leading zeros, found `0`"),
            ("[1.]", 3, "expected a digit, found `]`"),
            ("[-]", 2, "expected a digit, found `]`"),
            ("[tru]", 1, "expected a value or `]`, found `tru`"),
            ("['a']", 1, "expected a value or `]`, found `'`"),
            ("\"abc", 0, "expected a closing `\"`, found a string that never ends"),
            ("\"a\nb\"", 0, "expected a closing `\"` on the same line, found the end of the line"),
            ("\"\\x\"", 1, "expected one of the escapes \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u, found `\\x`"),
            ("\"\\ud800\"", 1, "expected a pair of surrogates, found half of one"),
            ("\"\\ud800\\u0041\"", 1, "expected a pair of surrogates, found half of one"),
            ("\"\\u12\"", 3, "expected four hexadecimal digits, found `12`"),
            ("{} {}", 3, "expected the end of the file, found `{`"),
            ("// x\n{}", 0, "expected no comment (JSON has none; use a \"comment\" field), found a comment"),
        ] {
            assert_eq!(fails(text), (at, message.to_owned()), "{text}");
        }
    }

    #[test]
    fn depth_size_and_number_of_values_are_bounded() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(parse(&deep(DEPTH_MAX)).is_ok());
        assert_eq!(fails(&deep(DEPTH_MAX + 1)).0, DEPTH_MAX);
        assert_eq!(fails(&"[".repeat(1 << 20)).0, DEPTH_MAX);
        assert!(fails(&" ".repeat(TEXT_BYTES_MAX + 1)).1.contains("4 MiB"));
        assert!(fails(&format!("[{}0]", "0,".repeat(VALUES_MAX))).1.contains("values"));
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert_eq!(parse("\u{feff}{}").unwrap().at, 3);
    }
}
