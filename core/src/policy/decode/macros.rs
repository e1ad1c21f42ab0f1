//! The declarations of the model's objects, words and texts: one list of tokens each, from which the type, its
//! schema, its decoder and its known names are made.

/// An object: every field is optional in the struct, since a file with errors is read to its end; the decoder reports
/// those of `required` that are missing. `flatten` takes over the fields of another object, `list_max`
/// lets a list of these be longer than others, and be checked though some of its items could not be read.
macro_rules! object {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $(list_max = $list_max:literal,)?
            $(required { $( $(#[$rmeta:meta])* pub $rfield:ident: $rtype:ty = $rjson:tt, )* })?
            $( $(#[$fmeta:meta])* pub $field:ident: $type:ty = $json:tt, )*
            $(flatten { $(#[$smeta:meta])* pub $inner:ident: $itype:ty, })?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
        #[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
        pub struct $name {
            $($(
                $(#[$rmeta])*
                #[serde(rename = $rjson, skip_serializing_if = "Option::is_none")]
                #[cfg_attr(any(test, feature = "schema"), schemars(required))]
                pub $rfield: Option<$rtype>,
            )*)?
            $(
                $(#[$fmeta])*
                #[serde(rename = $json, skip_serializing_if = "Option::is_none")]
                pub $field: Option<$type>,
            )*
            $(
                $(#[$smeta])*
                #[serde(flatten)]
                pub $inner: $itype,
            )?
        }

        impl $crate::policy::decode::Object for $name {
            fn fields() -> Vec<&'static str> {
                #[allow(unused_mut)]
                let mut names = vec![$($( $rjson, )*)? $( $json, )*];
                $( names.extend(<$itype as $crate::policy::decode::Object>::fields()); )?
                names
            }

            fn required() -> Vec<&'static str> {
                vec![$($( $rjson, )*)?]
            }

            fn member(
                &mut self,
                member: &$crate::policy::spanned::Member,
                cx: &mut $crate::policy::decode::Cx,
            ) -> bool {
                match member.key.as_str() {
                    $($( $rjson => self.$rfield = cx.within(member.key.as_str(), &member.node), )*)?
                    $( $json => self.$field = cx.within(member.key.as_str(), &member.node), )*
                    _ => return false $( || self.$inner.member(member, cx) )?,
                }
                true
            }
        }

        impl $crate::policy::decode::Decode for $name {
            $(
                const LIST_MAX: usize = $list_max;
                const LIST_IN_PARTS: bool = true;
            )?
            fn decode(
                node: &$crate::policy::spanned::Node,
                cx: &mut $crate::policy::decode::Cx,
            ) -> Option<Self> {
                $crate::policy::decode::decode_object(node, cx)
            }
        }

        impl $crate::policy::decode::Overlay for $name {
            fn overlay(&mut self, over: &Self) {
                $($( self.$rfield.overlay(&over.$rfield); )*)?
                $( self.$field.overlay(&over.$field); )*
                $( self.$inner.overlay(&over.$inner); )?
            }
        }
    };
}
pub(crate) use object;

/// A choice between words.
macro_rules! words {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $( $(#[$vmeta:meta])* $variant:ident = $json:tt, )* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
        #[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
        pub enum $name { $( $(#[$vmeta])* #[serde(rename = $json)] $variant, )* }

        impl $name {
            /// The words, as they are written.
            pub const WORDS: &[&str] = &[$( $json, )*];

            /// The choice that `word` stands for.
            pub fn from_word(word: &str) -> Option<Self> {
                match word {
                    $( $json => Some(Self::$variant), )*
                    _ => None,
                }
            }

            /// How the choice is written.
            pub const fn word(self) -> &'static str {
                match self { $( Self::$variant => $json, )* }
            }
        }

        impl $crate::policy::decode::Decode for $name {
            fn decode(
                node: &$crate::policy::spanned::Node,
                cx: &mut $crate::policy::decode::Cx,
            ) -> Option<Self> {
                let word = node.value.as_str();
                if let Some(choice) = word.and_then(Self::from_word) {
                    return Some(choice);
                }
                let known: Vec<_> = Self::WORDS.iter().map(|word| format!("\"{word}\"")).collect();
                let nearest = word.and_then(|w| $crate::policy::nearest::nearest(w, Self::WORDS.iter().copied()));
                let problem = $crate::policy::errors::Problem::expected(known.join(" or "));
                cx.problem(node.at, problem.found(node.describe()).nearest(nearest));
                None
            }
        }

        impl $crate::policy::decode::Overlay for $name {
            fn overlay(&mut self, over: &Self) {
                *self = *over;
            }
        }
    };
}
pub(crate) use words;

/// A string with a syntax: decoded by `$parse: fn(&str) -> Result<Self, Problem>`, written by `$text: fn(&Self) -> String`,
/// described in the schema by a pattern and examples.
macro_rules! text {
    (
        $name:ident, $description:literal, parse $parse:expr, text $text:expr,
        pattern $pattern:expr, examples [$($example:literal),* $(,)?]
    ) => {
        impl $crate::policy::decode::Decode for $name {
            fn decode(
                node: &$crate::policy::spanned::Node,
                cx: &mut $crate::policy::decode::Cx,
            ) -> Option<Self> {
                let parse: fn(&str) -> Result<Self, $crate::policy::errors::Problem> = $parse;
                let Some(text) = node.value.as_str() else {
                    return cx.expected(node, $description);
                };
                match parse(text) {
                    Ok(value) => Some(value),
                    Err(mut problem) => {
                        if problem.message.is_empty() && problem.expected.is_none() {
                            problem.expected = Some($description.to_owned());
                        }
                        if problem.found.is_none() && problem.expected.is_some() {
                            problem.found = Some(node.describe());
                        }
                        cx.problem(node.at, problem);
                        None
                    }
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let text: fn(&Self) -> String = $text;
                serializer.serialize_str(&text(self))
            }
        }

        impl $crate::policy::decode::Overlay for $name {
            fn overlay(&mut self, over: &Self) {
                self.clone_from(over);
            }
        }

        #[cfg(any(test, feature = "schema"))]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let mut schema = schemars::json_schema!({
                    "type": "string",
                    "description": concat!("Expected: ", $description, "."),
                    "examples": [$($example),*],
                });
                let pattern: Option<&str> = $pattern;
                if let Some(pattern) = pattern {
                    schema.insert("pattern".into(), pattern.into());
                }
                schema
            }
        }
    };
}
pub(crate) use text;
