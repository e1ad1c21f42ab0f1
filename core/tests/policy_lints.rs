//! Lints find what they say they find, at the place that is to blame, and nothing in the policies that are shipped.
#![cfg(not(target_arch = "wasm32"))]

use std::path::Path;

use larder_core::policy::lint::{self, LINTS, Lint};

fn lints(text: &str) -> Vec<Lint> {
    lint::check(text).unwrap_or_else(|errors| panic!("{errors}\n{text}")).lints
}

/// `ID PATH` of each lint of a policy whose inside is given.
fn found(inside: &str) -> Vec<String> {
    let text = format!(r#"{{"version":1,"name":"p",{inside}}}"#);
    lints(&text).iter().map(|lint| format!("{} {}", lint.rule.id, lint.path)).collect()
}

fn route(settings: &str) -> Vec<String> {
    found(&format!(r#""routes":[{{"name":"r","path":"/r","ttl":"60s",{settings}}}]"#))
}

const NOTHING: [&str; 0] = [];

#[test]
fn routes_and_classes() {
    for (inside, want) in [
        (
            r#""classes":{"a":{},"b":{}},"routes":[{"name":"r","path":"/r","class":"a"}]"#,
            &["unused-class classes.b"][..],
        ),
        (
            r#""routes":[{"name":"r","path":"/r"},{"name":"s","path":"/r","methods":["GET"]}]"#,
            &["shadowed-route routes[1].path"],
        ),
        (r#""routes":[{"name":"s","path":"/r","methods":["GET"]},{"name":"r","path":"/r"}]"#, &[]),
        (
            r#""routes":[{"name":"r","path":"/r","ttl":"60s","warm":[{"url":"/s","every":"50s"},{"url":"/r?x=1","every":"50s"}]}]"#,
            &["warm-without-route routes[0].warm[0].url"],
        ),
        (
            r#""routes":[{"name":"r","path":"/r","host":["a.test","*.b.test"],"ttl":"60s",
                "warm":[{"url":"/r","every":"50s"},{"url":"https://x.b.test/r","every":"50s"},{"url":"https://c.test/r","every":"50s"}]}]"#,
            &["warm-without-route routes[0].warm[2].url"],
        ),
        (
            r#""routes":[{"name":"r","path":"/{*all}","ttl":"60s","warm":[{"url":"/s","every":"50s"}]},{"name":"s","path":"/s"}]"#,
            &["warm-without-route routes[0].warm[0].url"],
        ),
        (
            r#""routes":[{"name":"r","path":"/r","ttl":"never","warm":[{"url":"/r","every":"50s"}]}]"#,
            &["warm-without-route routes[0].warm[0].url"],
        ),
    ] {
        assert_eq!(found(inside), want, "{inside}");
    }
    assert_eq!(
        route(r#""jitter":"10%","warm":[{"url":"/r","every":"55s"}]"#),
        ["warm-too-seldom routes[0].warm[0].every"]
    );
    assert_eq!(route(r#""jitter":"10%","warm":[{"url":"/r","every":"54s"}]"#), NOTHING);
}

#[test]
fn lifetimes() {
    for (inside, want) in [
        (r#""routes":[{"name":"r","path":"/r","ttl":{"floor":"1m"}}]"#, &["ttl-without-bound routes[0].ttl"][..]),
        (
            r#""defaults":{"ttl":{"absent":"1m"}},"routes":[{"name":"r","path":"/r"}]"#,
            &["ttl-without-bound defaults.ttl"],
        ),
        (
            r#""defaults":{"ttl":{"absent":"1m"}},"routes":[{"name":"r","path":"/r","ttl":{"ceiling":"1h"}}]"#,
            &["ttl-without-bound defaults.ttl"],
        ),
        (
            r#""routes":[{"name":"r","path":"/r","ttl":{"floor":"1m","ceiling":"1h"}},{"name":"s","path":"/s","ttl":"respect"}]"#,
            &[],
        ),
        (
            r#""routes":[{"name":"r","path":"/r","ttl":"never","stale":{"if_error":"1m"},"tags":["a"]}]"#,
            &["stale-without-ttl routes[0].stale", "no-effect routes[0].tags"],
        ),
        (r#""defaults":{"stale":{"if_error":"1m"}},"routes":[{"name":"r","path":"/r","ttl":"never"}]"#, &[]),
        (
            r#""routes":[{"name":"r","path":"/r","ttl":"never","status_ttl":{"404":"1m"},"stale":{"if_error":"1m"}}]"#,
            &[],
        ),
        (
            r#""routes":[{"name":"r","path":"/r","class":"personal","target_hit_ratio":0.5}]"#,
            &["no-effect routes[0].target_hit_ratio"],
        ),
    ] {
        assert_eq!(found(inside), want, "{inside}");
    }
    for (settings, want) in [
        (
            r#""status_ttl":{"5xx":"2m","404":"1h","410":"7d","200":"7d"}"#,
            &["error-kept-long routes[0].status_ttl.5xx"][..],
        ),
        (r#""heuristic":{"percent":"10%"}"#, &["no-effect routes[0].heuristic"]),
        (r#""methods":["GET"],"post":"store""#, &["no-effect routes[0].post"]),
        (
            r#""client":{"cache_control":{"browser_ttl":"61s"}}"#,
            &["browser-outlives-edge routes[0].client.cache_control.browser_ttl"],
        ),
        (r#""client":{"cache_control":{"browser_ttl":"60s"}}"#, &[]),
    ] {
        assert_eq!(route(settings), want, "{settings}");
    }
}

#[test]
fn targets_are_held_against_what_the_lifetime_gives() {
    for (ttl, target, stale, found_one) in [
        ("60s", "0.998", "0s", false),
        ("60s", "0.999", "0s", true),
        ("2s", "0.95", "0s", false),
        ("2s", "0.96", "0s", true),
        ("2s", "0.96", "1s", false),
        ("0s", "0.01", "0s", true),
        ("365d", "1", "0s", true),
        ("365d", "0.99", "0s", false),
    ] {
        let inside = format!(
            r#""routes":[{{"name":"r","path":"/r","class":"static","ttl":"{ttl}","target_hit_ratio":{target},
                "stale":{{"while_revalidate":"{stale}"}}}}]"#
        );
        let want: &[&str] = if found_one { &["target-above-ttl routes[0].target_hit_ratio"] } else { &[] };
        assert_eq!(found(&inside), want, "{inside}");
    }
}

#[test]
fn variants_and_personal_data() {
    for (settings, want) in [
        (r#""vary":"any""#, &["vary-not-covered routes[0].vary"][..]),
        (
            r#""vary":{"allow":["user-agent","accept","accept-language","x-a"]},"key":{"headers":["x-a"]}"#,
            &["vary-not-covered routes[0].vary.allow[0]", "vary-not-normalised routes[0].vary.allow[2]"],
        ),
        (r#""vary":{"allow":["accept-language"]},"key":{"accept_language":["en"]}"#, &[]),
        (r#""override":"unsafe""#, &["shared-personal-data routes[0].override"]),
        (r#""override":"unsafe","key":{"user":["authorization"]}"#, &[]),
        (
            r#""override":"unsafe","identity":{"authorization":"ignore"}"#,
            &["shared-personal-data routes[0].override", "shared-personal-data routes[0].identity.authorization"],
        ),
        (r#""identity":{"set_cookie":"keep_unsafe"}"#, &["shared-personal-data routes[0].identity.set_cookie"]),
        (r#""identity":{"session_cookies":[]}"#, &["shared-personal-data routes[0].identity.session_cookies"]),
    ] {
        assert_eq!(route(settings), want, "{settings}");
    }
    assert_eq!(
        found(
            r#""classes":{"c":{"override":"unsafe"}},"routes":[{"name":"r","path":"/r","class":"c"},{"name":"s","path":"/s","class":"c"}]"#
        ),
        ["shared-personal-data classes.c.override"]
    );
    for (path, ttl, want) in [
        ("/v1/me/orders", r#""ttl":"60s""#, &["shared-personal-data routes[0].path"][..]),
        ("/v1/me/orders", r#""ttl":"respect""#, &[]),
        ("/v1/me/orders", r#""ttl":"60s","key":{"user":["authorization"]}"#, &[]),
        ("/v1/menus", r#""ttl":"60s""#, &[]),
    ] {
        assert_eq!(found(&format!(r#""routes":[{{"name":"r","path":"{path}",{ttl}}}]"#)), want, "{path} {ttl}");
    }
    assert_eq!(
        found(r#""defaults":{"vary":"any"}"#),
        ["vary-not-covered defaults.vary"],
        "requests that no route matches"
    );
}

#[test]
fn invalidation() {
    let policy = |invalidate: &str| {
        found(&format!(
            r#""routes":[{{"name":"w","path":"/w/{{id}}","ttl":"never","invalidate":{invalidate}}},
                {{"name":"r","path":"/r/{{id}}/x","ttl":"60s","tags":["item:{{id}}","lists"]}}]"#
        ))
    };
    for (invalidate, want) in [
        (r#"{"tags":["item:{id}","lists"]}"#, &[][..]),
        (r#"{"tags":["list"]}"#, &["invalidate-unknown-tag routes[0].invalidate.tags[0]"]),
        (r#"{"paths":["/r/{id}/x","/r*","/r/7*","/w/1"]}"#, &[]),
        (
            r#"{"paths":["/r","/s*"]}"#,
            &[
                "invalidate-path-without-route routes[0].invalidate.paths[0]",
                "invalidate-path-without-route routes[0].invalidate.paths[1]",
            ],
        ),
    ] {
        assert_eq!(policy(invalidate), want, "{invalidate}");
    }
    assert_eq!(
        route(r#""methods":["GET"],"tags":["a"],"invalidate":{"tags":["a"]}"#),
        ["invalidate-never-happens routes[0].invalidate"]
    );
    assert_eq!(found(r#""routes":[{"name":"r","path":"/r","ttl":"2d"}]"#), ["long-ttl-without-purge routes[0].ttl"]);
    let lints = lints(
        r#"{"version":1,"name":"p","routes":[{"name":"r","path":"/r","ttl":"1h","tags":["categories"],"invalidate":{"tags":["categorys"]}}]}"#,
    );
    assert_eq!(lints[0].help, "did you mean \"categories\"?");
}

#[test]
fn a_lint_knows_its_bytes_and_how_many_routes_share_it() {
    let text = "{\"version\":1,\"name\":\"p\",\"classes\":{\n  \"é\": 1, \"a\":{\"ttl\":\"0s\"}},\"routes\":[]}";
    assert!(lint::check(text).is_err(), "a policy with errors has no lints");
    let text = "{\"version\":1,\"name\":\"p\",\"comment\":\"é\",\"defaults\":{\n\"vary\":\"any\"},\"routes\":[\n
        {\"name\":\"a\",\"path\":\"/a\"},{\"name\":\"b\",\"path\":\"/b\"}]}";
    let lints = lints(text);
    assert_eq!(lints.len(), 1, "{lints:?}");
    assert_eq!((lints[0].line, lints[0].column, &text[lints[0].span.clone()]), (2, 8, "\"any\""));
    assert!(
        lints[0].message.ends_with("(and so for 2 other routes)"),
        "the second route, and what none matches: {}",
        lints[0]
    );
}

#[test]
fn the_policies_that_are_shipped_have_no_warnings() {
    for name in ["default", "shop-api", "static-assets"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../policies/{name}.json"));
        let text = std::fs::read_to_string(path).unwrap();
        let warnings: Vec<_> = lints(&text)
            .into_iter()
            .filter(|lint| lint.rule.severity > lint::Severity::Note)
            .map(|l| l.to_string())
            .collect();
        assert_eq!(warnings, NOTHING, "{name}");
    }
}

/// Ten thousand routes, each of them with something to find. Measured on a virtual machine with two busy cores, core built with
/// opt-level 1: 0.4 s for 2.3 MB and 15,000 lints.
#[test]
fn ten_thousand_routes_are_linted_in_one_go() {
    let mut text = r#"{"version":1,"name":"p","classes":{"c":{"kind":"catalog","ttl":"60s"}},"routes":["#.to_owned();
    for n in 0..10_000 {
        let comma = if n == 0 { "" } else { "," };
        text.push_str(&format!(
            r#"{comma}{{"name":"r{n}","path":"/api/{}/{{id}}","host":"*.h{n}.test","class":"c","tags":["t{n}:{{id}}"],
            "invalidate":{{"tags":["u{n}:{{id}}"],"paths":["/api/{n}*"]}},"warm":[{{"url":"https://x.h{n}.test/api/{}/7","every":"50s"}}]}}"#,
            n % 5_000,
            n % 5_000
        ));
    }
    text.push_str("]}");
    let lints = lints(&text);
    let of = |id: &str| lints.iter().filter(|lint| lint.rule.id == id).count();
    assert_eq!(of("invalidate-unknown-tag"), 10_000);
    assert!(LINTS.iter().all(|rule| rule.id == "invalidate-unknown-tag" || of(rule.id) <= 5_000));
}
