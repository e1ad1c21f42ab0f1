//! Holds a reply against the OpenAPI document: its path and method are there, its status, headers and content type are
//! named, and its body fits the schema. Of JSON Schema it knows what the document uses, and fails on anything else.

use serde_json::Value;

use super::Reply;

pub fn document() -> Value {
    serde_json::from_str(include_str!("../../../src/openapi.json")).unwrap()
}

/// Panics with the place when the reply is not what the document says. A path that is not in the document must be 404.
pub fn check(method: &str, path: &str, reply: &Reply) {
    let document = document();
    let place = format!("{method} {path} -> {}", reply.status);
    let path = path.split('?').next().unwrap();
    let error = &document["components"]["schemas"]["Error"];
    let Some(item) = path_item(&document, path) else {
        assert_eq!(reply.status, 404, "{place}: not in the document");
        return fits(&document, error, &reply.json(), &place);
    };
    let operation = match method {
        "HEAD" => &item["get"],
        _ => &item[method.to_lowercase()],
    };
    if operation.is_null() {
        assert_eq!(reply.status, 405, "{place}: not in the document");
        return fits(&document, error, &reply.json(), &place);
    }
    let response = resolved(&document, &operation["responses"][reply.status.as_str()]);
    assert!(!response.is_null(), "{place}: this status is not in the document");

    if let Some(headers) = response["headers"].as_object() {
        for (name, header) in headers {
            let value = reply.header(name);
            assert!(!value.is_empty(), "{place}: no {name}");
            fits(&document, &resolved(&document, header)["schema"], &value.into(), &format!("{place} {name}"));
        }
    }
    let Some(content) = response["content"].as_object() else {
        assert!(reply.body.is_empty(), "{place}: a body where the document has none");
        return;
    };
    let media_type = reply.header("content-type");
    let media = content.get(media_type).unwrap_or_else(|| panic!("{place}: {media_type} is not in the document"));
    if let Some(schema) = media.get("schema")
        && method != "HEAD"
    {
        fits(&document, schema, &reply.json(), &place);
    }
}

/// The document's entry for a path; one without variables goes before one with.
fn path_item<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    let paths = document["paths"].as_object().unwrap();
    paths.get(path).or_else(|| paths.iter().find(|(template, _)| matches(template, path)).map(|(_, item)| item))
}

fn matches(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let alike = |(part, segment): (&&str, &&str)| part == segment || part.starts_with('{') && !segment.is_empty();
    template.len() == path.len() && template.iter().zip(&path).all(alike)
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let Some(reference) = value["$ref"].as_str() else { return value };
    let pointer = reference.strip_prefix('#').unwrap();
    document.pointer(pointer).unwrap_or_else(|| panic!("{reference} is not in the document"))
}

fn fits(document: &Value, schema: &Value, value: &Value, place: &str) {
    if let Err(reason) = validate(document, schema, value) {
        panic!("{place}: {reason} in {value}");
    }
}

fn validate(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let schema = resolved(document, schema);
    for (keyword, rule) in schema.as_object().unwrap() {
        let holds = match keyword.as_str() {
            "type" => match rule {
                Value::Array(types) => types.iter().any(|kind| is(kind, value)),
                kind => is(kind, value),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_i64().is_none_or(|number| number >= rule.as_i64().unwrap()),
            "maximum" => value.as_i64().is_none_or(|number| number <= rule.as_i64().unwrap()),
            "required" => rule.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
            "additionalProperties" => {
                assert_eq!(rule, false);
                value
                    .as_object()
                    .is_none_or(|object| object.keys().all(|name| schema["properties"].get(name).is_some()))
            }
            "properties" => {
                for (name, schema) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        validate(document, schema, value).map_err(|reason| format!("{name}: {reason}"))?;
                    }
                }
                true
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    validate(document, rule, item)?;
                }
                true
            }
            "oneOf" => {
                let fitting = |schema: &&Value| validate(document, schema, value).is_ok();
                rule.as_array().unwrap().iter().filter(fitting).count() == 1
            }
            "format" => match rule.as_str().unwrap() {
                "date-time" => value.as_str().is_some_and(|text| text.len() == 20 && text.ends_with('Z')),
                "uri-reference" => value.as_str().is_some_and(|text| text.starts_with("/v1/")),
                "int64" => value.is_i64(),
                other => panic!("the format {other} is not known to this test"),
            },
            "description" => true,
            other => panic!("the keyword {other} is not known to this test"),
        };
        if !holds {
            return Err(format!("{keyword} {rule} does not hold"));
        }
    }
    Ok(())
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        other => panic!("the type {other} is not known to this test"),
    }
}
