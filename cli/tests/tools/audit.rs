//! `larder audit`.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::{code, golden, json, run, run_with, stderr, stdout};

/// `KIND ENDPOINT` of each finding.
fn found(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().expect("findings");
    findings
        .iter()
        .map(|finding| {
            format!("{} {}", finding["kind"].as_str().unwrap_or("?"), finding["endpoint"].as_str().unwrap_or("?"))
        })
        .collect()
}

const POLICY: &str = r#"{"version":1,"name":"p","routes":[
    {"name":"fixed","path":"/fixed","ttl":"60s"},
    {"name":"item","path":"/items/{id}","class":"catalog"},
    {"name":"never","path":"/never","class":"never"},
    {"name":"cart","path":"/cart","class":"personal"},
    {"name":"gone","path":"/gone","ttl":"60s"}]}"#;

fn audit(of: &str, input: &[u8]) -> (i32, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("policy.json");
    std::fs::write(&path, POLICY).expect("written");
    let output = run_with(&["audit", "--policy", path.to_str().expect("UTF-8"), of, "-", "--json"], input);
    assert!(code(&output) < 2 && stderr(&output).is_empty(), "{output:?}");
    (code(&output), json(&output))
}

#[test]
fn the_shops_document_is_held_against_its_policy() {
    let output =
        run(&["audit", "--policy", "policies/shop-api.json", "--openapi", "examples/shop-api/src/openapi.json"]);
    golden("audit/shop-api.txt", &stdout(&output));
}

#[test]
fn a_document_is_held_against_a_policy() {
    let document = b"openapi: 3.0.0
info: {title: T, version: '1'}
paths:
  /fixed: {get: {responses: {'200': {description: x, headers: {Vary: {schema: {type: string, enum: [Cookie]}}}}}}}
  /items/{id}: {get: {security: [{key: []}], responses: {'200': {description: x, headers: {Set-Cookie: {schema: {type: string}}}}}}, put: {responses: {}}}
  /never: {get: {responses: {'200': {description: x, headers: {Cache-Control: {example: 'public, max-age=60', schema: {type: string}}}}}}}
  /cart: {get: {responses: {'200': {description: x}}}}
  /other: {post: {responses: {}}}
";
    let (code, report) = audit("--openapi", document);
    assert_eq!(code, 1);
    assert_eq!(
        found(&report),
        [
            "without-validator GET /fixed",
            "contradiction GET /fixed",
            "contradiction GET /items/{id}",
            "contradiction GET /never",
            "without-policy POST /other",
            "without-endpoint /gone",
        ],
        "{report:#}"
    );
    let text = |index: usize| report["findings"][index]["text"].as_str().unwrap_or_default();
    assert!(text(1).contains("varies by cookie") && text(1).contains("it would be cached if"), "{}", text(1));
    assert!(text(2).contains("sets a cookie"), "{}", text(2));
    let fine = b"openapi: 3.0.0\npaths:\n  /fixed: {get: {responses: {'200': {description: x, headers: {ETag: {schema: {type: string}}}}}}}\n  /items/{x}: {get: {responses: {'200': {description: x}}}}\n  /never: {get: {responses: {}}}\n  /cart: {get: {responses: {}}}\n  /gone: {get: {responses: {'200': {description: x, headers: {Last-Modified: {schema: {type: string}}}}}}}\n";
    let (code, report) = audit("--openapi", fine);
    assert_eq!((code, found(&report)), (0, Vec::new()), "{report:#}");
}

#[test]
fn a_log_is_held_against_a_policy() {
    let mut log = String::new();
    let mut add = |count: usize, entry: Value| {
        for _ in 0..count {
            let _ = writeln!(log, "{entry}");
        }
    };
    let entry = |path: &str, status: u16, fields: Value| {
        let mut entry =
            serde_json::json!({ "method": "GET", "path": path, "status": status, "cache_control": "-", "etag": "-" });
        for (name, value) in fields.as_object().expect("fields") {
            entry[name] = value.clone();
        }
        entry
    };
    let none = || serde_json::json!({});
    add(40, entry("/fixed", 200, none()));
    add(5, entry("/fixed", 200, serde_json::json!({ "cache_control": "no-store" })));
    add(
        3,
        entry(
            "/fixed",
            200,
            serde_json::json!({ "set_cookie": "a=1", "cache_status": "Larder; fwd=uri-miss; detail=set-cookie" }),
        ),
    );
    add(9, entry("/items/7", 200, serde_json::json!({ "etag": "\"x\"" })));
    add(9, entry("/items/8", 404, none()));
    add(2, entry("/never", 200, serde_json::json!({ "cache_control": "no-store" })));
    add(2, entry("/cart", 200, serde_json::json!({ "cache_control": "private", "user": "me" })));
    add(30, entry("/other/1", 200, none()));
    add(30, entry("/.env", 404, none()));
    log.push_str("what is this\n");
    let (code, report) = audit("--log", log.as_bytes());
    assert_eq!(code, 1);
    assert_eq!(
        found(&report),
        [
            "without-policy GET /other/{id}",
            "without-validator /fixed",
            "contradiction /fixed",
            "contradiction /fixed",
            "contradiction /fixed",
            "contradiction /items/{id}",
            "without-endpoint /gone",
        ],
        "{report:#}"
    );
    let finding = |index: usize| {
        (report["findings"][index]["requests"].as_u64(), report["findings"][index]["text"].as_str().unwrap_or_default())
    };
    assert_eq!(finding(0).0, Some(30));
    assert!(finding(2).0 == Some(5) && finding(2).1.contains("no-store"), "{report:#}");
    assert!(finding(5).0 == Some(9) && finding(5).1.contains("\"404\": \"10s\""), "{report:#}");
    assert!(report["notes"][0].as_str().is_some_and(|note| note.contains("1 lines")), "{report:#}");
}

#[test]
fn output_for_people_has_headings_and_no_control_characters() {
    let log = b"{\"method\":\"GET\",\"path\":\"/\\u001b[31mred\",\"status\":200}\n";
    let output = run_with(&["audit", "--policy", "policies/shop-api.json", "--log", "-"], log);
    let text = stdout(&output);
    assert!(text.starts_with("Endpoints without a policy\n") && !text.contains('\x1b'), "{text:?}");
    assert_eq!(code(&run(&["audit", "--policy", "policies/shop-api.json"])), 2);
    assert_eq!(code(&run_with(&["audit", "--policy", "policies/shop-api.json", "--log", "-"], b"")), 1);
}
