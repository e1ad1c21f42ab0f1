//! What a client may write of a product: its shape, its limits, and changing it by a patch. Pure; what only the database
//! knows (that the category exists, that the SKU is free) is checked in `products`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::language::Language;

const NAME_CHARS_MAX: usize = 120;
const DESCRIPTION_CHARS_MAX: usize = 2000;
const SKU_CHARS_MAX: usize = 40;
const PRICE_CENTS_MAX: i64 = 100_000_000;
const STOCK_MAX: i64 = 1_000_000;

/// All of a product that a client may write: the body of POST and PUT, and what PATCH changes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProductDraft {
    pub sku: String,
    pub category: String,
    pub price_cents: i64,
    pub stock: i64,
    /// By language; English must be there.
    pub texts: BTreeMap<Language, Text>,
}

/// What a product says in one language.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Text {
    pub name: String,
    pub description: String,
}

impl ProductDraft {
    /// This draft changed by a JSON Merge Patch (RFC 7396), not checked.
    pub(super) fn patched(&self, patch: Value) -> serde_json::Result<Self> {
        let mut merged = serde_json::to_value(self)?;
        merge(&mut merged, patch);
        serde_json::from_value(merged)
    }

    /// What is wrong with it, apart from what only the database knows.
    pub(super) fn check(&self) -> Result<(), String> {
        let sku_characters = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
        if self.sku.is_empty() || self.sku.len() > SKU_CHARS_MAX || !self.sku.chars().all(sku_characters) {
            return Err(format!("sku must be 1 to {SKU_CHARS_MAX} characters of A-Z, 0-9 and -"));
        }
        check_price(self.price_cents)?;
        if !(0..=STOCK_MAX).contains(&self.stock) {
            return Err(format!("stock must be 0 to {STOCK_MAX}"));
        }
        if !self.texts.contains_key(&Language::En) {
            return Err("texts must have en".to_owned());
        }
        for (language, text) in &self.texts {
            let tag = language.tag();
            if text.name.trim().is_empty() || text.name.chars().count() > NAME_CHARS_MAX {
                return Err(format!("texts.{tag}.name must be 1 to {NAME_CHARS_MAX} characters"));
            }
            if text.description.chars().count() > DESCRIPTION_CHARS_MAX {
                return Err(format!("texts.{tag}.description must be at most {DESCRIPTION_CHARS_MAX} characters"));
            }
        }
        Ok(())
    }
}

pub(super) fn check_price(cents: i64) -> Result<(), String> {
    if (1..=PRICE_CENTS_MAX).contains(&cents) {
        Ok(())
    } else {
        Err(format!("the price must be 1 to {PRICE_CENTS_MAX} cents"))
    }
}

/// RFC 7396 section 2: objects merge, null removes, anything else replaces.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Default::default());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(&name);
        } else {
            merge(target.entry(name).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn merge_patch_follows_rfc_7396() {
        let cases = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [1]}), json!({"a": [2]}), json!({"a": [2]})),
            (json!({"a": "b"}), json!(["c"]), json!(["c"])),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ];
        for (mut target, patch, expected) in cases {
            super::merge(&mut target, patch);
            assert_eq!(target, expected);
        }
    }
}
