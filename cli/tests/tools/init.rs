//! `larder init`: what it writes passes `larder check`, whatever it is made from.

use std::fmt::Write as _;

use serde_json::Value;

use crate::support::{code, golden, json, run, run_with, stderr, stdout};

/// The policy that is made from a document or a log, which passes every lint that is more than a note.
fn made(from: &str, input: &[u8]) -> Value {
    let output = run_with(&["init", from, "-"], input);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let checked = run_with(&["check", "--deny", "warnings", "-"], &output.stdout);
    assert_eq!(code(&checked), 0, "{}\n{}", stdout(&checked), stdout(&output));
    json(&output)
}

fn route<'a>(policy: &'a Value, path: &str) -> &'a Value {
    let routes = policy["routes"].as_array().expect("routes");
    routes.iter().find(|route| route["path"] == path).unwrap_or_else(|| panic!("{path} in {policy:#}"))
}

#[test]
fn a_policy_is_made_from_the_shops_document() {
    let output = run(&["init", "--openapi", "examples/shop-api/src/openapi.json", "--name", "shop"]);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    golden("init/shop-api.json", &stdout(&output));
    let document =
        std::fs::read(crate::support::root().join("examples/shop-api/src/openapi.json")).expect("the document");
    let policy = made("--openapi", &document);
    let product = route(&policy, "/v1/products/{id}");
    assert_eq!((&product["class"], &product["tags"][0]), (&"catalog".into(), &"products:{id}".into()));
    assert_eq!(product["invalidate"]["tags"][1], "products");
    assert_eq!(product["key"]["accept_language"][1], "de");
    assert!(product["comment"].as_str().is_some_and(|comment| comment.starts_with("Guessed: ")));
    assert_eq!(route(&policy, "/v1/cart")["class"], "personal");
    assert_eq!(route(&policy, "/healthz")["class"], "never");
}

#[test]
fn what_a_document_says_of_its_answers_is_heeded() {
    let document = b"openapi: 3.1.0
info: {title: T, version: '1'}
servers: [{url: https://h.test/api}]
security: [{key: []}]
paths:
  /a: {get: {responses: {'200': {description: x}}}}
  /b: {get: {security: [], responses: {'200': {description: x, headers: {Cache-Control: {schema: {const: no-store}}}}}}}
  /c: {get: {security: [{}], responses: {'200': {description: x, headers: {Set-Cookie: {schema: {type: string}}}}}}}
  /d/{name}.png: {get: {security: [], responses: {'200': {description: x, content: {image/png: {}}}}}}
  /e/{x}/f/{x.y}: {get: {security: [], operationId: 'a b!', parameters: [{in: query, name: 'f[]'}], responses: {}}, post: {responses: {}}}
  /g;h: {get: {responses: {}}}
  /e/{z}/f/{w}/: {delete: {responses: {}}}
  /login: {post: {responses: {}}}
";
    let policy = made("--openapi", document);
    let class = |path: &str| route(&policy, path)["class"].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (class("/api/a"), class("/api/b"), class("/api/c"), class("/api/d/{name}")),
        ("personal".into(), "never".into(), "personal".into(), "static".into())
    );
    let item = route(&policy, "/api/e/{x}/f/{x_y}");
    assert_eq!(item["name"], "a-b");
    assert!(item.get("methods").is_none() && item["key"].get("query").is_none(), "{item}");
    assert_eq!(policy["routes"].as_array().map(Vec::len), Some(5), "{policy:#}");
    let output = run_with(&["init", "--openapi", "-"], document);
    assert!(stderr(&output).contains("/g;h"), "what is left out is said");
}

/// A log of a shop: lines of one format.
fn log(line: impl Fn(&str, &str, u16, bool) -> String) -> Vec<u8> {
    let mut log = String::new();
    for n in 0..400 {
        let _ = writeln!(log, "{}", line("GET", &format!("/v1/products/{}", n % 20), 200, false));
        let _ = writeln!(log, "{}", line("GET", "/v1/products?page=1&utm_source=x", 200, false));
        if n % 40 == 0 {
            let _ = writeln!(log, "{}", line("PATCH", &format!("/v1/products/{n}"), 200, true));
            let _ = writeln!(log, "{}", line("GET", "/v1/profiles", 200, true));
            let _ = writeln!(log, "{}", line("GET", "/healthz", 200, false));
            let _ = writeln!(log, "{}", line("GET", &format!("/wp-admin/{n}.php"), 404, false));
        }
    }
    log.push_str("garbage\n\n# remark\n");
    log.into_bytes()
}

#[test]
fn a_policy_is_made_from_a_log_in_each_format() {
    let combined = log(|method, target, status, known| {
        let user = if known { "frank" } else { "-" };
        format!(
            "1.2.3.4 - {user} [10/Oct/2026:13:55:36 +0000] \"{method} {target} HTTP/1.1\" {status} 12 \"-\" \"curl\""
        )
    });
    let envoy = log(|method, target, status, _| {
        format!(
            "[2026-04-15T20:17:00.310Z] \"{method} {target} HTTP/2\" {status} - 0 12 3 2 \"-\" \"curl\" \"id\" \"shop.test\" \"1.2.3.4:80\""
        )
    });
    let as_json = log(|method, target, status, known| {
        serde_json::json!({ "method": method, "path": target, "status": status, "user": if known { "f" } else { "-" } })
            .to_string()
    });
    for (format, text) in [("combined", &combined), ("envoy", &envoy), ("json", &as_json)] {
        let policy = made("--log", text);
        let product = route(&policy, "/v1/products/{id}");
        assert_eq!(
            (&product["tags"][0], &product["invalidate"]["tags"][1]),
            (&"products:{id}".into(), &"products".into()),
            "{format}"
        );
        let list = route(&policy, "/v1/products");
        assert!(
            list["comment"].as_str().is_some_and(|text| text.contains("99 %") && text.contains("utm_source")),
            "{format}: {list}"
        );
        assert_eq!(route(&policy, "/healthz")["class"], "never");
        let paths: Vec<&str> =
            policy["routes"].as_array().expect("routes").iter().filter_map(|route| route["path"].as_str()).collect();
        assert!(
            !paths.iter().any(|path| path.contains("wp-admin")),
            "{format}: what is not there is no endpoint: {paths:?}"
        );
        if format != "envoy" {
            assert_eq!(route(&policy, "/v1/profiles")["class"], "personal", "{format}: who asked was known");
        }
        let output = run_with(&["init", "--log", "-"], text);
        assert!(stderr(&output).contains("1 lines"), "{output:?}");
    }
}

#[test]
fn hostile_logs_make_policies_that_pass_as_well() {
    let mut log = String::new();
    for n in 0..30_000u64 {
        let word: String = (0..5).map(|i| (b'a' + ((n >> (i * 3)) & 7) as u8) as char).collect();
        let _ = writeln!(
            log,
            "{{\"method\":\"M{n}\",\"path\":\"/{word}/%ff/../;{n}/{{x}}?{word}=\\u0000\",\"status\":200}}"
        );
        let _ = writeln!(log, "{{\"method\":\"GET\",\"path\":\"/{word}/{word}/{n}/\",\"status\":200}}");
    }
    log.push_str(&"x".repeat(1 << 20));
    made("--log", log.as_bytes());
}

#[test]
fn what_cannot_be_used_is_named_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("policy.json");
    let path = path.to_str().expect("UTF-8");
    let arguments = ["init", "--openapi", "examples/shop-api/src/openapi.json", "-o", path];
    assert_eq!(code(&run(&arguments)), 0);
    let again = run(&arguments);
    assert_eq!(code(&again), 1);
    assert!(stderr(&again).contains("policy.json"), "{again:?}");
    assert_eq!(code(&run_with(&["init", "--log", "-"], b"nothing\nof use\n")), 1);
    assert_eq!(code(&run_with(&["init", "--openapi", "-"], b"{}")), 1);
    assert_eq!(code(&run(&["init"])), 2);
}
