//! The JSON Schema of policy files, made from the model's types, for editors and other tools.
//!
//! Describes shapes. What only makes sense in combination (a class that exists, a floor under its ceiling) a schema cannot
//! say: `larder check` does. Compiled for the `schema` example and for tests only.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::cases::CaseFile;
use super::model::PolicyFile;

/// The schema of policies, as it is kept in `policies/schema.json`.
pub fn schema_text() -> String {
    text_of::<PolicyFile>("Larder cache policy")
}

/// The schema of files of test cases, as it is kept in `policies/test-schema.json`.
pub fn case_schema_text() -> String {
    text_of::<CaseFile>("Test cases of a Larder cache policy")
}

fn text_of<T: JsonSchema>(title: &str) -> String {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    Tidy.transform(&mut schema);
    schema.insert("title".into(), title.into());
    let mut text = serde_json::to_string_pretty(&Ordered(schema.as_value())).unwrap_or_default();
    text.push('\n');
    text
}

/// Writes objects in an order of our own: whether `serde_json` keeps the order in which they were made or sorts them depends on
/// what else is built along (its feature `preserve_order`), and the file must not.
struct Ordered<'a>(&'a Value);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const FIRST: [&str; 5] = ["$schema", "title", "description", "$ref", "type"];
        match self.0 {
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                let rank = |name: &str| FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len());
                members.sort_by_key(|(name, _)| (*name == "$defs", rank(name), name.as_str()));
                serializer.collect_map(members.into_iter().map(|(name, value)| (name, Ordered(value))))
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Ordered)),
            plain => plain.serialize(serializer),
        }
    }
}

/// A field may be left out, but `null` is no value; descriptions have no line breaks.
struct Tidy;

impl Transform for Tidy {
    fn transform(&mut self, schema: &mut schemars::Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        object.remove("default");
        if let Some(text) = object.get("description").and_then(|d| d.as_str()) {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            object.insert("description".into(), text.into());
        }
        if let Some(types) = object.get_mut("type")
            && let Some(list) = types.as_array_mut()
        {
            list.retain(|name| name != "null");
            if let [only] = list.as_slice() {
                *types = only.clone();
            }
        }
        let is_null = |schema: &Value| schema.get("type").is_some_and(|name| name == "null");
        let Some(choices) = object.get_mut("anyOf").and_then(|any| any.as_array_mut()) else { return };
        choices.retain(|choice| !is_null(choice));
        if let [only] = choices.as_slice()
            && let Some(only) = only.as_object().cloned()
        {
            object.remove("anyOf");
            for (name, value) in only {
                object.entry(name).or_insert(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Map, json};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::policy::decode::{Cx, Decode, Object};
    use crate::policy::model::{self, PolicyFile};
    use crate::policy::spanned;

    fn schema() -> Value {
        serde_json::from_str(&schema_text()).unwrap()
    }

    fn decode(text: &str) -> Result<PolicyFile, String> {
        let root = spanned::parse(text).map_err(|error| format!("{error:?}"))?;
        let mut cx = Cx::new();
        let file = PolicyFile::decode(&root, &mut cx);
        match file {
            Some(file) if cx.errors.is_empty() => Ok(file),
            _ => Err(cx.errors.placed(text).to_string()),
        }
    }

    /// Values that `schema` allows: every choice, every field, every example, one at a time.
    fn samples(schema: &Value, root: &Value) -> Vec<Value> {
        if let Some(target) = schema.get("$ref") {
            let name = target.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
            return samples(&root["$defs"][name], root);
        }
        if let Some(only) = schema.get("const") {
            return vec![only.clone()];
        }
        if let Some(examples) = schema.get("examples") {
            return examples.as_array().unwrap().clone();
        }
        if let Some(choices) = schema.get("oneOf").or(schema.get("anyOf")) {
            return choices.as_array().unwrap().iter().flat_map(|choice| samples(choice, root)).collect();
        }
        match schema["type"].as_str() {
            Some("boolean") => vec![json!(true), json!(false)],
            Some("integer") => vec![json!(1)],
            Some("string") => vec![json!("text")],
            Some("array") => samples(&schema["items"], root).into_iter().map(|item| json!([item])).collect(),
            Some("object") if schema["additionalProperties"] != json!(false) => {
                let names = samples(&schema["propertyNames"], root);
                let values = samples(&schema["additionalProperties"], root);
                let with_name =
                    |name: &Value| Value::Object(Map::from_iter([(name.as_str().unwrap().into(), values[0].clone())]));
                let first = names[0].as_str().unwrap();
                let with_value = |value: &Value| Value::Object(Map::from_iter([(first.into(), value.clone())]));
                names.iter().map(with_name).chain(values.iter().map(with_value)).collect()
            }
            Some("object") => {
                let fields = schema["properties"].as_object().unwrap();
                let required: Vec<_> = schema["required"].as_array().into_iter().flatten().collect();
                let mut least = Map::new();
                for name in required {
                    let name = name.as_str().unwrap();
                    least.insert(name.into(), samples(&fields[name], root)[0].clone());
                }
                let mut all = vec![Value::Object(least.clone())];
                for (name, field) in fields {
                    for value in samples(field, root) {
                        let mut object = least.clone();
                        object.insert(name.clone(), value);
                        all.push(Value::Object(object));
                    }
                }
                all
            }
            other => panic!("{other:?} in {schema}"),
        }
    }

    /// Every place in `value`, as JSON pointers.
    fn places(value: &Value, at: &str, into: &mut Vec<String>) {
        into.push(at.to_owned());
        match value {
            Value::Object(members) => {
                members.iter().for_each(|(name, v)| places(v, &format!("{at}/{}", name.replace('/', "~1")), into))
            }
            Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| places(v, &format!("{at}/{i}"), into)),
            _ => {}
        }
    }

    #[test]
    fn what_the_schema_allows_is_decoded_and_survives_being_written() {
        let schema = schema();
        let all = samples(&schema, &schema);
        assert!(all.len() > 400, "{}", all.len());
        for sample in all {
            let text = sample.to_string();
            let file = decode(&text).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
            let written = serde_json::to_string(&file).unwrap();
            assert_eq!(decode(&written).as_ref(), Ok(&file), "{text}\n{written}");
        }
    }

    #[test]
    fn what_the_schema_does_not_allow_is_refused() {
        let schema = schema();
        let mut seen = BTreeSet::new();
        for sample in samples(&schema, &schema) {
            let mut all = Vec::new();
            places(&sample, "", &mut all);
            for place in all {
                if !seen.insert(place.clone()) {
                    continue;
                }
                // `null` is no value anywhere, and no object has a field of this name (nor `null` under a name of its own).
                let mut changed = sample.clone();
                *changed.pointer_mut(&place).unwrap() = Value::Null;
                assert!(decode(&changed.to_string()).is_err(), "null at {place}");
                let mut changed = sample.clone();
                if let Some(object) = changed.pointer_mut(&place).unwrap().as_object_mut() {
                    object.insert("no_such_field".into(), Value::Null);
                    assert!(decode(&changed.to_string()).is_err(), "a new field at {place}");
                    let required: Vec<_> = object_required(&sample, &place);
                    for name in required {
                        let mut changed = sample.clone();
                        changed.pointer_mut(&place).unwrap().as_object_mut().unwrap().remove(&name);
                        assert!(decode(&changed.to_string()).is_err(), "without {name} at {place}");
                    }
                }
            }
        }
        assert!(seen.len() > 150, "{}", seen.len());
    }

    /// The required fields of the object at `place`, by the decoder.
    fn object_required(sample: &Value, place: &str) -> Vec<String> {
        let names = if place.is_empty() {
            PolicyFile::required()
        } else if place.starts_with("/routes/") && place.matches('/').count() == 2 {
            model::Route::required()
        } else {
            vec![]
        };
        names.into_iter().filter(|name| sample.pointer(place).unwrap().get(name).is_some()).map(str::to_owned).collect()
    }

    #[test]
    fn schema_and_decoder_know_the_same_fields() {
        let schema = schema();
        let mut checked = BTreeSet::new();
        let mut check = |name: &str, schema: &Value, mut fields: Vec<&str>, mut required: Vec<&str>| {
            let mut known: Vec<_> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            known.sort_unstable();
            fields.sort_unstable();
            assert_eq!(known, fields, "{name}");
            let mut needed: Vec<_> =
                schema["required"].as_array().into_iter().flatten().map(|n| n.as_str().unwrap()).collect();
            needed.sort_unstable();
            required.sort_unstable();
            assert_eq!(needed, required, "{name}");
            assert_eq!(schema["additionalProperties"], json!(false), "{name}");
            checked.insert(name.to_owned());
        };
        check("PolicyFile", &schema, PolicyFile::fields(), PolicyFile::required());
        macro_rules! check_all {
            ($($name:ident),*) => { $(
                check(stringify!($name), &schema["$defs"][stringify!($name)], model::$name::fields(), model::$name::required());
            )* };
        }
        check_all!(
            Class,
            Route,
            Settings,
            TtlBounds,
            HeuristicBounds,
            StaleSettings,
            AheadBounds,
            ClientSettings,
            ClientDirectives,
            KeySettings,
            QueryList,
            IdentitySettings,
            VaryList,
            InvalidateSettings,
            CollapseBounds,
            LimitSettings,
            Warm
        );
        let objects = schema["$defs"].as_object().unwrap().iter().filter(|(_, def)| def["type"] == "object");
        for (name, _) in objects {
            assert!(checked.contains(name), "{name} is not compared");
        }
    }

    #[test]
    fn every_field_and_choice_is_described() {
        fn walk(value: &Value, at: &str) {
            if let Some(fields) = value.get("properties").and_then(|p| p.as_object()) {
                for (name, field) in fields {
                    let text = field.get("description").and_then(|d| d.as_str()).unwrap_or_default();
                    assert!(text.len() > 5 && text.ends_with('.'), "{at}/{name}: {text:?}");
                }
            }
            match value {
                Value::Object(members) => members.iter().for_each(|(name, v)| walk(v, &format!("{at}/{name}"))),
                Value::Array(items) => items.iter().for_each(|v| walk(v, at)),
                _ => {}
            }
        }
        walk(&schema(), "");
        walk(&serde_json::from_str(&case_schema_text()).unwrap(), "");
    }

    #[test]
    fn test_cases_that_the_schema_allows_are_decoded_and_survive_being_written() {
        let schema: Value = serde_json::from_str(&case_schema_text()).unwrap();
        let decode = |text: &str| {
            let root = spanned::parse(text).unwrap();
            let mut cx = Cx::without_policy_hints();
            let file = CaseFile::decode(&root, &mut cx);
            assert!(cx.errors.is_empty(), "{text}\n{}", cx.errors.placed(text));
            file.unwrap()
        };
        let all = samples(&schema, &schema);
        assert!(all.len() > 60, "{}", all.len());
        for sample in all {
            let file = decode(&sample.to_string());
            assert_eq!(decode(&serde_json::to_string(&file).unwrap()), file, "{sample}");
        }
    }

    #[test]
    fn schema_and_decoder_of_test_cases_know_the_same_fields() {
        let schema: Value = serde_json::from_str(&case_schema_text()).unwrap();
        let mut compared = 0;
        let mut check = |name: &str, schema: &Value, mut fields: Vec<&str>| {
            let known: Vec<_> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            let known: BTreeSet<_> = known.into_iter().collect();
            fields.sort_unstable();
            assert_eq!(known.into_iter().collect::<Vec<_>>(), fields, "{name}");
            assert_eq!(schema["additionalProperties"], json!(false), "{name}");
            compared += 1;
        };
        check("CaseFile", &schema, CaseFile::fields());
        macro_rules! check_all {
            ($($name:ident),*) => { $(
                check(stringify!($name), &schema["$defs"][stringify!($name)], crate::policy::cases::$name::fields());
            )* };
        }
        check_all!(Case, OriginAnswer, CaseStep, Expect, CacheExpect, OriginExpect, FieldExpect, BodyBytes);
        let objects = schema["$defs"].as_object().unwrap().values().filter(|def| def["type"] == "object").count();
        assert_eq!(compared, objects + 1);
    }

    #[cfg(not(target_arch = "wasm32"))]
    #[test]
    fn the_schemas_in_the_repository_are_current() {
        for (name, text) in [("schema.json", schema_text()), ("test-schema.json", case_schema_text())] {
            let file = format!("{}/../policies/{name}", env!("CARGO_MANIFEST_DIR"));
            let kept = std::fs::read_to_string(file).unwrap_or_default();
            assert!(kept == text, "policies/{name}: run cargo xtask tidy --fix");
        }
    }
}
