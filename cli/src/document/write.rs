//! Values that are added to documents, as JSON and as YAML.

/// A new value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum New {
    Map(Vec<(String, New)>),
    List(Vec<New>),
    Text(String),
    Number(i64),
    Bool(bool),
    Null,
}

impl New {
    /// A mapping.
    pub fn map<K: Into<String>>(members: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Map(members.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A reference to another part of the document.
    pub fn reference(to: &str) -> Self {
        Self::map([("$ref", Self::text(to))])
    }

    /// As JSON on one line; `gap` is what stands after commas and colons.
    pub fn inline(&self, gap: &str) -> String {
        match self {
            Self::Map(members) => {
                let members = members.iter().map(|(key, value)| format!("{}:{gap}{}", quoted(key), value.inline(gap)));
                format!("{{{}}}", members.collect::<Vec<_>>().join(&format!(",{gap}")))
            }
            Self::List(items) => {
                format!("[{}]", items.iter().map(|item| item.inline(gap)).collect::<Vec<_>>().join(&format!(",{gap}")))
            }
            other => other.scalar(),
        }
    }

    /// As JSON over several lines, whose first one stands after `indent`.
    pub fn json(&self, indent: &str, unit: &str) -> String {
        let inner = format!("{indent}{unit}");
        match self {
            Self::Map(members) if !members.is_empty() => {
                // What says one thing stands on one line, as people write it.
                if let [(key, value @ (Self::Text(_) | Self::Number(_) | Self::Bool(_)))] = members.as_slice() {
                    return format!("{{ {}: {} }}", quoted(key), value.scalar());
                }
                let members =
                    members.iter().map(|(key, value)| format!("{inner}{}: {}", quoted(key), value.json(&inner, unit)));
                format!("{{\n{}\n{indent}}}", members.collect::<Vec<_>>().join(",\n"))
            }
            Self::List(items) if items.iter().any(|item| matches!(item, Self::Map(_) | Self::List(_))) => {
                let items = items.iter().map(|item| format!("{inner}{}", item.json(&inner, unit)));
                format!("[\n{}\n{indent}]", items.collect::<Vec<_>>().join(",\n"))
            }
            other => other.inline(" "),
        }
    }

    /// As what follows a key in YAML, whose line has this many blanks before it: on the same line, or below it.
    pub fn yaml(&self, indent: usize) -> String {
        let inner = indent + 2;
        match self {
            Self::Map(members) if !members.is_empty() => members
                .iter()
                .map(|(key, value)| format!("\n{:inner$}{}:{}", "", yaml_key(key), value.yaml(inner)))
                .collect(),
            Self::List(items) if !items.is_empty() => items.iter().map(|item| item.yaml_item(inner)).collect(),
            other => format!(" {}", other.inline(" ")),
        }
    }

    /// As an item of a YAML list whose dashes have this many blanks before them, with a break before it.
    pub fn yaml_item(&self, indent: usize) -> String {
        match self {
            Self::Map(members) if !members.is_empty() => {
                let mut text = String::new();
                for (index, (key, value)) in members.iter().enumerate() {
                    let dash = if index == 0 { "- " } else { "  " };
                    text.push_str(&format!("\n{:indent$}{dash}{}:{}", "", yaml_key(key), value.yaml(indent + 2)));
                }
                text
            }
            other => format!("\n{:indent$}- {}", "", other.inline(" ")),
        }
    }

    fn scalar(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Number(number) => number.to_string(),
            Self::Bool(value) => value.to_string(),
            _ => "null".to_owned(),
        }
    }
}

/// A text in double quotes, which JSON and YAML read alike.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A key as YAML has it: plain where nobody could take it for something else.
pub fn yaml_key(key: &str) -> String {
    const WORDS: [&str; 10] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"];
    let plain = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$')
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'$'))
        && !WORDS.contains(&key.to_ascii_lowercase().as_str());
    if plain { key.to_owned() } else { quoted(key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_yaml_say_the_same() {
        let value = New::map([
            ("a", New::List(vec![New::map([("b", New::text("x: y # \"z\"")), ("c", New::Bool(true))]), New::Null])),
            ("304", New::reference("#/x")),
            ("e", New::Map(Vec::new())),
            ("no", New::List(vec![New::Number(-1), New::text("on")])),
        ]);
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let want = read(&value.inline(""));
        assert_eq!(read(&value.json("  ", "  ")), want);
        let yaml = value.yaml(0);
        assert_eq!(
            yaml,
            "\n  a:\n    - b: \"x: y # \\\"z\\\"\"\n      c: true\n    - null\n  \"304\":\n    $ref: \"#/x\"\n  e: {}\n  \"no\":\n    - -1\n    - \"on\""
        );
    }
}
