//! `larder explain`.

use crate::support::{code, golden, json, run, run_with, stderr, stdout};

const AT: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

fn explain(arguments: &[&str]) -> String {
    let output = run(&[&["explain", "--policy", "policies/shop-api.json", "--at", AT], arguments].concat());
    assert_eq!(code(&output), 0, "{output:?}");
    stdout(&output)
}

#[test]
fn decisions_are_told_step_by_step() {
    for (name, arguments) in [
        (
            "stored",
            &[
                "GET",
                "https://shop.test/v1/products/7?utm_source=x",
                "-H",
                "Accept-Language: de-AT, en;q=0.5",
                "--response-bytes",
                "40",
            ][..],
        ),
        (
            "cookie",
            &[
                "GET",
                "https://shop.test/v1/products?page=2",
                "--status",
                "200",
                "--response-header",
                "Set-Cookie: a=1",
                "--response-header",
                "Cache-Control: private",
            ],
        ),
        ("session", &["GET", "https://shop.test/v1/categories", "-H", "Cookie: session=abc"]),
        ("error", &["GET", "https://shop.test/v1/categories", "--status", "503"]),
        ("never", &["GET", "https://shop.test/healthz"]),
        ("personal", &["GET", "https://shop.test/v1/cart", "-H", "Cookie: session=abc", "--response-bytes", "9"]),
        ("write", &["PATCH", "https://shop.test/v1/products/7", "--has-body", "--status", "204"]),
        ("only-if-cached", &["GET", "https://shop.test/v1/products", "-H", "Cache-Control: only-if-cached"]),
        (
            "unmatched",
            &[
                "GET",
                "https://shop.test/nowhere",
                "--response-header",
                "Cache-Control: max-age=5",
                "--response-header",
                "ETag: \"1\"",
            ],
        ),
    ] {
        golden(&format!("explain/{name}.txt"), &explain(arguments));
    }
}

#[test]
fn a_response_is_read_from_a_file_with_its_head() {
    let response = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=5\r\nContent-Length: 2\r\n\r\nhi";
    let arguments =
        ["explain", "GET", "https://a.test/x", "--policy", "policies/default.json", "--response", "-", "--json"];
    let output = run_with(&arguments, response);
    let told = json(&output);
    assert_eq!((&told["verdict"]["is"], &told["verdict"]["fresh_for"]), (&"stored".into(), &5.into()), "{told}");
    assert_eq!(told["again"]["from"], "cache");
    assert_eq!((&told["agrees"], &told["response"]["assumed"]), (&true.into(), &false.into()));
    let broken = run_with(&arguments, b"HTTP/1.1 200 OK\r\nCache-Control: max-age=5\r\nContent-Length: 9\r\n\r\nhi");
    assert_eq!(json(&broken)["verdict"]["reason"], "truncated");
    let wrong = run_with(&arguments, b"<html>");
    assert_eq!(code(&wrong), 1);
    assert!(stderr(&wrong).contains("status line"), "{wrong:?}");
}

#[test]
fn what_is_wrong_is_named() {
    for (arguments, code_wanted, text) in [
        (&["GET", "a.test/x", "--policy", "policies/default.json"][..], 1, "no URL"),
        (&["GET", "/x", "--policy", "policies/broken/top-level-typo.json"], 1, "top-level-typo.json:"),
        (&["GET", "/x", "--policy", "policies/nowhere.json"], 1, "nowhere.json"),
        (&["GET", "/x"], 2, "--policy"),
        (&["GET", "/x", "--policy", "policies/default.json", "-H", "no field"], 2, "Name: value"),
        (&["GET", "/x", "--policy", "policies/default.json", "--at", "yesterday"], 1, "yesterday"),
    ] {
        let output = run(&[&["explain"], arguments].concat());
        assert_eq!(code(&output), code_wanted, "{output:?}");
        assert!(stderr(&output).contains(text), "{output:?}");
    }
}
