//! `refresh_ahead`: which responses are refreshed before they expire.

use super::settings::{OffWord, or_words};
use super::values::{Percent, Span};
use crate::policy::decode::{Cx, Decode, Overlay, object};
use crate::policy::spanned::{Node, Value};

/// How long before its end a lifetime counts as nearly over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum AheadWindow {
    /// A share of the lifetime.
    Share(Percent),
    /// A span, whatever the lifetime is.
    Span(Span),
}

impl Decode for AheadWindow {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.value {
            Value::String(text) if text.ends_with('%') => Percent::decode(node, cx).map(Self::Share),
            Value::String(text) if text.starts_with(|c: char| c.is_ascii_digit()) => {
                Span::decode(node, cx).map(Self::Span)
            }
            _ => cx.expected(node, "a share such as \"10%\" or a duration such as \"30s\""),
        }
    }
}

impl Overlay for AheadWindow {
    fn overlay(&mut self, over: &Self) {
        *self = *over;
    }
}

object! {
    /// When a response is refreshed ahead of its end.
    pub struct AheadBounds {
        required {
            /// How long before its end: a share of the lifetime, from `"1%"` to `"50%"`, or a duration, of which never more
            /// than half of the lifetime counts.
            pub within: AheadWindow = "within",
        }
        /// How often it must have been used by one worker since it was stored or confirmed. Default: 3.
        pub hits: u32 = "hits",
    }
}

/// Which responses are refreshed in the background before they expire, so that nobody waits for those that are asked for all the time.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum RefreshAheadSetting {
    /// None.
    Word(OffWord),
    /// Those that are used often, so long before their end.
    Window(AheadWindow),
    /// In detail.
    Bounds(AheadBounds),
}

impl Decode for RefreshAheadSetting {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.value {
            Value::Object(_) => AheadBounds::decode(node, cx).map(Self::Bounds),
            Value::String(text) if let Some(word) = OffWord::from_word(text) => Some(Self::Word(word)),
            Value::String(text) if text.starts_with(|c: char| c.is_ascii_digit()) => {
                AheadWindow::decode(node, cx).map(Self::Window)
            }
            _ => {
                let expected =
                    "\"off\", a share such as \"10%\", a duration such as \"30s\" or an object with \"within\"";
                or_words(node, cx, OffWord::WORDS, expected)
            }
        }
    }
}

impl Overlay for RefreshAheadSetting {
    fn overlay(&mut self, over: &Self) {
        match (self, over) {
            (Self::Bounds(under), Self::Bounds(over)) => under.overlay(over),
            (under, over) => under.clone_from(over),
        }
    }
}
