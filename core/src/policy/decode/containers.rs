//! Lists and maps of the model.

use std::collections::BTreeSet;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Cx, Decode, Overlay};
use crate::policy::errors::Problem;
use crate::policy::spanned::{Node, Value};

impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let Value::Array(nodes) = &node.value else { return cx.expected(node, "a list") };
        if nodes.len() > T::LIST_MAX {
            let problem = Problem::expected(format!("at most {} of them", T::LIST_MAX));
            cx.problem(node.at, problem.found(nodes.len().to_string()));
            return None;
        }
        let items: Vec<_> = nodes.iter().enumerate().map(|(index, node)| cx.within::<T>(index, node)).collect();
        if T::LIST_IN_PARTS {
            // What could not be read is reported; what could is checked further.
            return Some(items.into_iter().flatten().collect());
        }
        items.into_iter().collect()
    }
}

/// A JSON object whose names are data: classes by name, lifetimes by status. In order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<K, V>(pub Vec<(K, V)>);

impl<K, V> Default for Named<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// The name of an entry of a [`Named`].
pub(crate) trait Key: Sized {
    fn parse(text: &str) -> Result<Self, Problem>;
    fn text(&self) -> String;
}

impl<K: Key, V: Decode> Decode for Named<K, V> {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        const ENTRIES_MAX: usize = 4096;
        let Value::Object(members) = &node.value else { return cx.expected(node, "an object") };
        if members.len() > ENTRIES_MAX {
            let problem = Problem::expected(format!("at most {ENTRIES_MAX} of them"));
            cx.problem(node.at, problem.found(members.len().to_string()));
            return None;
        }
        let mut seen = BTreeSet::new();
        let mut entries = Vec::new();
        for member in members {
            if !seen.insert(member.key.as_str()) {
                cx.problem_in(member.key.as_str(), member.key_at, Problem::new("this name is here twice"));
                continue;
            }
            let value = cx.within::<V>(member.key.as_str(), &member.node);
            match (K::parse(&member.key), value) {
                (Err(problem), _) => cx.problem_in(member.key.as_str(), member.key_at, problem),
                (Ok(key), Some(value)) => entries.push((key, value)),
                (Ok(_), None) => {}
            }
        }
        Some(Self(entries))
    }
}

impl<K: Clone + PartialEq, V: Clone + Overlay> Overlay for Named<K, V> {
    fn overlay(&mut self, over: &Self) {
        for (key, value) in &over.0 {
            match self.0.iter_mut().find(|(k, _)| k == key) {
                Some((_, under)) => under.overlay(value),
                None => self.0.push((key.clone(), value.clone())),
            }
        }
    }
}

impl<K: Key, V: Serialize> Serialize for Named<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(&key.text(), value)?;
        }
        map.end()
    }
}

#[cfg(any(test, feature = "schema"))]
impl<K: schemars::JsonSchema, V: schemars::JsonSchema> schemars::JsonSchema for Named<K, V> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("{}By{}", V::schema_name(), K::schema_name()).into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "propertyNames": generator.subschema_for::<K>(),
            "additionalProperties": generator.subschema_for::<V>(),
        })
    }
}
