//! `larder openapi`, on shop-api's own document and on large ones of the kinds that public APIs have.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::{code, golden, json, run, run_with, stderr, stdout};

const SHOP: &str = "examples/shop-api/src/openapi.json";

fn annotated(policy: &str, document: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("policy.json");
    std::fs::write(&path, policy).expect("written");
    let output = run_with(&["openapi", path.to_str().expect("UTF-8"), "-"], document.as_bytes());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let again = run_with(&["openapi", path.to_str().expect("UTF-8"), "-"], &output.stdout);
    assert!(again.stdout == output.stdout, "a second time changes nothing");
    stdout(&output)
}

/// Whether `small` is in `large`: objects may have more members, lists more items at their end.
fn is_within(small: &Value, large: &Value) -> bool {
    match (small, large) {
        (Value::Object(small), Value::Object(large)) => {
            small.iter().all(|(key, value)| large.get(key).is_some_and(|other| is_within(value, other)))
        }
        (Value::Array(small), Value::Array(large)) => {
            small.len() <= large.len() && small.iter().zip(large).all(|(value, other)| is_within(value, other))
        }
        (small, large) => small == large,
    }
}

/// Whether the lines are there, in order; a comma may have come to their end.
fn keeps_lines(before: &str, after: &str) {
    let mut left = after.lines();
    for line in before.lines() {
        let line = line.trim_end_matches(',');
        assert!(left.any(|other| other.trim_end_matches(',') == line), "lost: {line}");
    }
}

#[test]
fn the_shops_own_document_says_what_its_policy_does() {
    let output = run(&["openapi", "policies/shop-api.json", SHOP]);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""), "nothing is left out");
    let text = stdout(&output);
    golden("openapi/shop-api.json", &text);
    let before = std::fs::read_to_string(crate::support::root().join(SHOP)).expect("the document");
    let (before, after): (Value, Value) =
        (serde_json::from_str(&before).expect("JSON"), serde_json::from_str(&text).expect("JSON"));
    assert!(is_within(&before, &after));
    let product = &after["paths"]["/v1/products/{id}"]["get"];
    assert_eq!(product["x-larder-policy"]["ttl_seconds"], 60);
    assert_eq!(product["responses"]["304"]["$ref"], "#/components/responses/LarderNotModified");
    assert_eq!(
        product["responses"]["200"]["headers"]["Cache-Control"]["example"],
        "public, must-revalidate, max-age=0"
    );
    let cart = &after["paths"]["/v1/cart"]["get"];
    assert_eq!(cart["x-larder-policy"]["cached"], false);
    assert_eq!(cart["responses"]["200"]["headers"]["Cache-Control"]["example"], "private, no-cache");
    assert!(
        cart["responses"].get("304").is_some() && cart["responses"].get("412").is_none(),
        "revalidated, not stored"
    );
    assert!(after["paths"]["/healthz"]["get"]["responses"].get("304").is_none());
}

#[test]
fn check_fails_until_the_document_says_it_and_in_place_makes_it_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("spec.json");
    std::fs::copy(crate::support::root().join(SHOP), &path).expect("copied");
    let path = path.to_str().expect("UTF-8");
    let arguments = |flag: &'static str| ["openapi", "policies/shop-api.json", path, flag, "--json"];
    let before = run(&arguments("--check"));
    assert_eq!((code(&before), &json(&before)["changed"]), (1, &Value::Bool(true)));
    assert_eq!(code(&run(&arguments("--in-place"))), 0);
    let after = run(&arguments("--check"));
    assert_eq!((code(&after), &json(&after)["changed"]), (0, &Value::Bool(false)));
    // Another policy: what was said before gives way.
    let other = run(&["openapi", "policies/default.json", path, "--in-place"]);
    assert_eq!(code(&other), 0, "{other:?}");
    let text = std::fs::read_to_string(path).expect("written");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(document["paths"]["/v1/products/{id}"]["get"]["x-larder-policy"]["policy"], "default");
}

/// A document with many paths in YAML, as people and generators write it.
fn yaml(paths: usize) -> String {
    let mut text = "# The API of everything.\nopenapi: 3.1.0\ninfo:\n  title: \"Everything: all of it\"\n  version: 1.0.0\n  description: |\n    Long.\n\n      - with: colons\n\nservers:\n  - url: https://{env}.example.com/v2\n    variables:\n      env: {default: api, enum: [api, test]}\nx-common: &errors\n  \"404\": {$ref: '#/components/responses/Gone'}\npaths:\n".to_owned();
    for n in 0..paths {
        let _ = write!(
            text,
            "  /items{n}/{{id}}:   # item {n}\n    parameters:\n    - {{name: id, in: path, required: true, schema: {{type: string}}}}\n    get:\n      operationId: get{n}\n      parameters:\n        - $ref: '#/components/parameters/Page'\n      responses:\n        '200':\n          description: >-\n            Folded,\n            and \"quoted\"\n          headers:\n            X-Total: {{schema: {{type: integer}}}}\n          content:\n            application/json:\n              schema: {{$ref: \"#/components/schemas/Item\"}}\n        '404':\n          $ref: '#/components/responses/Gone'\n    put:\n      responses:\n        2XX:\n          description: done # yes\n        default: {{description: no}}\n\n"
        );
    }
    text.push_str("  /me: {get: {responses: {'200': {description: you}}}}\n  /odd:\n    get:\n      responses:\n        <<: *errors\n        '200': {description: odd}\ncomponents:\n  parameters:\n    Page: {name: page, in: query, schema: {type: integer}}\n  responses:\n    Gone:\n      description: |+\n        Gone.\n\n  schemas:\n    Item: {type: object}\n# The end, without a line's end");
    text
}

const EVERYTHING: &str = r#"{"version":1,"name":"everything","routes":[
    {"name":"me","path":"/v2/me","class":"personal"},
    {"name":"item","path":"/v2/{kind}/{id}","class":"catalog","ttl":"60s","status_ttl":{"404":"5s"},
     "tags":["{kind}:{id}"],"invalidate":{"tags":["{kind}:{id}"]}}]}"#;

#[test]
fn a_large_document_in_yaml_keeps_its_lines_its_remarks_and_its_quirks() {
    let before = yaml(600);
    let after = annotated(EVERYTHING, &before);
    // Lines of flow mappings that have got more are longer now; all others are there as they were.
    let flow =
        |line: &&str| !line.contains("/me: {") && !line.contains("description: odd") && !line.contains("default: {");
    keeps_lines(&before.lines().filter(flow).collect::<Vec<_>>().join("\n"), &after);
    assert_eq!(after.matches("x-larder-policy:").count() + after.matches("\"x-larder-policy\":").count(), 1_202);
    assert_eq!(after.matches("\"304\":\n          $ref: \"#/components/responses/LarderNotModified\"").count(), 601);
    assert!(after.contains("/me: {get: {responses: {'200': {description: you, \"headers\":"), "flow stays flow");
    let gone = after.split("    Gone:\n").nth(1).expect("the component");
    assert!(
        gone.starts_with("      description: |+\n        Gone.\n\n      headers:\n        Age:"),
        "{}",
        &gone[..200]
    );
    assert!(
        after.ends_with("# The end, without a line's end") || after.contains("# The end, without a line's end"),
        "remarks stay"
    );
    golden("openapi/yaml.yaml", &annotated(EVERYTHING, &yaml(1)));
}

/// A document with many paths in JSON: references, shared responses, deep schemas.
fn large_json(paths: usize) -> Value {
    let mut document = serde_json::json!({
        "openapi": "3.0.3", "info": { "title": "Big \u{1f600}", "version": "1" },
        "servers": [{ "url": "https://api.example.com/v2" }], "paths": {},
        "components": {
            "responses": { "Item": { "description": "An item." }, "Mixed": { "description": "Of all." } },
            "headers": { "LarderAge": { "description": "Somebody's own", "schema": { "type": "string" } } },
            "schemas": {}
        }
    });
    for n in 0..paths {
        let schema = serde_json::json!({ "type": "object", "properties": { "a": { "enum": ["é", "\\", "\"", "\u{7f}"] }, "b": { "items": [[[{}]]] } } });
        document["components"]["schemas"][format!("S{n}")] = schema;
        document["paths"][format!("/items{n}/{{id}}")] = serde_json::json!({
            "get": { "responses": { "200": { "$ref": "#/components/responses/Item" }, "404": { "description": "Gone." } }, "tags": ["t"] },
            "delete": { "responses": { "204": { "description": "" }, "200": { "$ref": "#/components/responses/Mixed" } } },
            "post": { "responses": {} }
        });
        document["paths"][format!("/other{n}")] =
            serde_json::json!({ "get": { "responses": { "200": { "$ref": "#/components/responses/Mixed" } } } });
    }
    document
}

#[test]
fn large_documents_in_json_are_kept_whether_pretty_or_on_one_line() {
    let document = large_json(400);
    let pretty = serde_json::to_string_pretty(&document).expect("text");
    let tight = document.to_string();
    let spaced = pretty.replace("  ", "\t");
    for before in [&pretty, &tight, &spaced] {
        let after = annotated(EVERYTHING, before);
        let read: Value = serde_json::from_str(&after).expect("JSON");
        let own = "LarderAge";
        let mut known = document.clone();
        known["components"]["headers"].as_object_mut().expect("headers").remove(own);
        assert!(is_within(&known, &read));
        let item = &read["components"]["responses"]["Item"]["headers"];
        assert_eq!(item["ETag"]["$ref"], "#/components/headers/LarderETag", "all who refer to it agree");
        assert!(read["components"]["responses"]["Mixed"].get("headers").is_none(), "those who refer to it do not");
        assert_eq!(
            read["paths"]["/items7/{id}"]["get"]["responses"]["404"]["headers"]["Age"]["$ref"],
            "#/components/headers/LarderAge"
        );
        assert_eq!(read["paths"]["/items7/{id}"]["post"]["x-larder-policy"]["invalidates"]["own_url"], true);
        assert_eq!(after.lines().count() == 1, before.lines().count() == 1, "on one line it stays");
    }
    let mut plain = document;
    plain["components"]["headers"] = serde_json::json!({ "Own": { "schema": {} } });
    let pretty = serde_json::to_string_pretty(&plain).expect("text");
    // What was empty has got something.
    let full = |line: &&str| !line.ends_with("{}") && !line.ends_with("{},");
    keeps_lines(&pretty.lines().filter(full).collect::<Vec<_>>().join("\n"), &annotated(EVERYTHING, &pretty));
}

#[test]
fn what_cannot_be_said_is_noted_and_what_is_no_openapi_is_refused() {
    let output = run_with(&["openapi", "policies/default.json", "-"], b"openapi: 3.0.0\npaths:\n  /a: {$ref: other.yaml}\n  /b: &b\n    get: &g\n      responses:\n        '200': {$ref: 'other.yaml#/x'}\n  /c:\n    get: *g\n");
    assert_eq!(code(&output), 0, "{output:?}");
    let notes = stderr(&output);
    assert!(
        notes.contains("GET /c is written elsewhere") && notes.contains("other.yaml#/x is in another document"),
        "{notes}"
    );
    for (document, part) in [
        (&b"swagger: '2.0'\n"[..], "Swagger 2"),
        (b"a: [", "1:"),
        (b"{\"openapi\": \"3.0.0\",}}", "line 1"),
        (b"openapi: 3.0.0\npaths:\n  /a: {}\n  /a: {}\n", "twice"),
        (b"\xff", "UTF-8"),
    ] {
        let output = run_with(&["openapi", "policies/default.json", "-"], document);
        assert_eq!((code(&output), stdout(&output).as_str()), (1, ""), "{output:?}");
        assert!(stderr(&output).contains(part), "{output:?}");
    }
}
