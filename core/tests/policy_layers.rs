//! Which setting is in force: route over class over `defaults` over the kind's presets over the built-in defaults, and what
//! the kinds `personal` and `never` promise whatever `defaults` says.

use larder_core::fields::RequestHead;
use larder_core::policy::Policy;
use larder_core::policy::rules::{
    AuthorizationRule, ClientCacheControl, EtagRule, Heuristic, Kind, QueryRule, Rules, Scope, SetCookieRule,
    StaleWindow, StatusPattern, Ttl, UserPart,
};
use larder_core::time::{Millis, Seconds};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn policy(body: &str) -> Policy {
    let text = format!("{{\"version\": 1, \"name\": \"t\", {body}}}");
    Policy::parse(&text).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The rules of the route `/r` of a policy with these defaults, classes and route settings.
fn rules(defaults: &str, classes: &str, route: &str) -> Rules {
    let policy = policy(&format!(
        r#""defaults": {{{defaults}}}, "classes": {{{classes}}}, "routes": [{{"name": "r", "path": "/r" {route}}}]"#
    ));
    let head = RequestHead { method: "GET".into(), target: "/r".into(), ..RequestHead::default() };
    policy.route(&head).rules.as_ref().clone()
}

fn secs(secs: u64) -> Seconds {
    Seconds::saturating(secs)
}

const RESPECT: Ttl = Ttl::Respect { floor: None, ceiling: None, absent: None };

fn absent(span: u64) -> Ttl {
    Ttl::Respect { floor: None, ceiling: None, absent: Some(secs(span)) }
}

#[test]
fn nothing_set_is_what_rules_rs_says() {
    let rules = rules("", "", "");
    assert_eq!((&*rules.route, &*rules.class, rules.kind), ("r", "_defaults", Kind::Plain));
    assert_eq!(rules.ttl, RESPECT);
    assert!(rules.status_ttl.is_empty());
    assert_eq!((rules.heuristic, rules.jitter_percent), (None, 0));
    assert_eq!((rules.stale.while_revalidate, rules.stale.if_error), (StaleWindow::Origin, StaleWindow::Origin));
    assert_eq!(rules.client.cache_control, None);
    assert!(rules.client.remove.is_empty());
    assert_eq!((rules.etag, rules.add_last_modified), (EtagRule::Origin, false));
    assert_eq!((&rules.key.query, rules.key.sort_query, rules.key.no_vary_search), (&QueryRule::All, false, true));
    assert!(rules.key.headers.is_empty() && rules.key.cookies.is_empty() && rules.key.user.is_empty());
    assert_eq!((&rules.key.accept_encoding, &rules.key.accept_language), (&None, &None));
    assert_eq!(rules.identity.authorization, AuthorizationRule::Rfc9111);
    assert_eq!(rules.identity.session_cookies, ["*"]);
    assert!(rules.identity.ignore_cookies.iter().any(|name| name == "_ga_*"));
    assert_eq!(rules.identity.set_cookie, SetCookieRule::NotStored);
    assert_eq!(rules.vary_allow.unwrap(), ["accept", "accept-encoding", "accept-language", "origin"]);
    assert!(rules.tags.templates.is_empty());
    assert_eq!(rules.tags.fields, ["surrogate-key", "cache-tag", "cache-groups"]);
    assert!(rules.invalidate.tags.is_empty() && rules.invalidate.paths.is_empty() && !rules.invalidate.soft);
    assert!(!rules.obey_request_directives && !rules.override_unsafe);
    assert!(!rules.store_post && !rules.store_parts);
    assert_eq!(rules.targeted, ["cdn-cache-control"]);
    assert_eq!(rules.collapse_wait, Some(Millis(5000)));
    let limits = rules.limits;
    assert_eq!((limits.object_bytes_max, limits.hold_bytes_max), (1 << 20, 64 << 10));
    assert_eq!((limits.variants_per_key_max, limits.tags_per_entry_max), (16, 64));
}

#[test]
fn every_setting_arrives() {
    let rules = rules(
        r#""ttl": "1h30m", "status_ttl": {"4xx": "never", "404": "10s", "5xx": {"absent": "1s"}}, "heuristic": {"max": "1h"},
           "jitter": "50%", "stale": {"while_revalidate": "30s", "if_error": "0s"},
           "client": {"cache_control": {"browser_ttl": "5s", "scope": "public", "immutable": true, "stale_while_revalidate": "1m",
             "stale_if_error": "2m"}, "remove": ["Server"]},
           "etag": "weak", "last_modified": "stored",
           "key": {"query": {"deny": ["utm_*"]}, "sort_query": true, "no_vary_search": false, "headers": ["X-Tenant"],
             "cookies": ["currency"], "accept_encoding": ["br", "gzip"], "accept_language": ["en", "pt-BR"],
             "user": ["authorization", "cookie:sid", "header:X-User"]},
           "identity": {"authorization": "bypass", "session_cookies": [], "ignore_cookies": ["x*"], "set_cookie": "strip"},
           "vary": "any", "tags": ["all"], "tag_fields": [], "invalidate": {"tags": ["all"], "paths": ["/r*"], "mode": "soft"},
           "request_directives": "obey", "post": "store", "partial": "store", "targeted": ["Edge-Cache-Control"], "collapse": {"wait": "250ms"},
           "limits": {"object_bytes": "2MB", "hold_bytes": 0, "variants_per_key": 3, "tags_per_entry": 5},
           "warm": [{"url": "/r", "every": "1m", "headers": {"accept": "text/html"}}], "target_hit_ratio": 0.5"#,
        "",
        "",
    );
    assert_eq!(rules.ttl, Ttl::Fixed(secs(5400)));
    assert_eq!(
        rules.status_ttl,
        [
            (StatusPattern::Exact(404), Ttl::Fixed(secs(10))),
            (StatusPattern::Class(4), Ttl::Never),
            (StatusPattern::Class(5), absent(1))
        ],
        "exact ones first"
    );
    assert_eq!(rules.heuristic, Some(Heuristic { percent: 10, max: secs(3600) }));
    assert_eq!(rules.jitter_percent, 50);
    assert_eq!(rules.stale.while_revalidate, StaleWindow::Policy(secs(30)));
    assert_eq!(rules.stale.if_error, StaleWindow::Policy(Seconds::ZERO));
    let told = ClientCacheControl {
        browser_ttl: Some(secs(5)),
        scope: Some(Scope::Public),
        immutable: true,
        stale_while_revalidate: Some(secs(60)),
        stale_if_error: Some(secs(120)),
        ..ClientCacheControl::default()
    };
    assert_eq!(rules.client.cache_control, Some(told));
    assert_eq!(rules.client.remove, ["server"]);
    assert_eq!((rules.etag, rules.add_last_modified), (EtagRule::Weak, true));
    assert_eq!(rules.key.query, QueryRule::Deny(vec!["utm_*".into()]));
    assert!(rules.key.sort_query && !rules.key.no_vary_search);
    assert_eq!(
        (&rules.key.headers[..], &rules.key.cookies[..]),
        (&["x-tenant".to_owned()][..], &["currency".to_owned()][..])
    );
    assert_eq!(rules.key.accept_encoding.unwrap(), ["br", "gzip"]);
    assert_eq!(rules.key.accept_language.unwrap(), ["en", "pt-BR"]);
    let user = [UserPart::Authorization, UserPart::Cookie("sid".into()), UserPart::Header("x-user".into())];
    assert_eq!(rules.key.user, user);
    assert_eq!(rules.identity.authorization, AuthorizationRule::Bypass);
    assert!(rules.identity.session_cookies.is_empty());
    assert_eq!(rules.identity.ignore_cookies, ["x*"]);
    assert_eq!(rules.identity.set_cookie, SetCookieRule::Strip);
    assert_eq!(rules.vary_allow, None);
    assert!(rules.tags.fields.is_empty());
    let expand = |list: &[larder_core::policy::template::Template]| -> Vec<_> {
        list.iter().map(|template| template.expand(&Vec::new()).unwrap()).collect()
    };
    assert_eq!(expand(&rules.tags.templates), ["all"]);
    assert_eq!(
        (expand(&rules.invalidate.tags), expand(&rules.invalidate.paths)),
        (vec!["all".into()], vec!["/r*".into()])
    );
    assert!(rules.invalidate.soft && rules.obey_request_directives);
    assert!(rules.store_post && rules.store_parts);
    assert_eq!(rules.targeted, ["edge-cache-control"]);
    assert_eq!(rules.collapse_wait, Some(Millis(250)));
    let limits = rules.limits;
    assert_eq!((limits.object_bytes_max, limits.hold_bytes_max), (2_000_000, 0));
    assert_eq!((limits.variants_per_key_max, limits.tags_per_entry_max), (3, 5));
}

#[test]
fn route_over_class_over_defaults_over_kind() {
    let class = r#""c": {"kind": "catalog" "#;
    for (defaults, in_class, route, want) in [
        ("", "", "", absent(60)),
        (r#""ttl": "2m""#, "", "", Ttl::Fixed(secs(120))),
        (r#""ttl": "2m""#, r#", "ttl": "3m""#, "", Ttl::Fixed(secs(180))),
        (r#""ttl": "2m""#, r#", "ttl": "3m""#, r#", "ttl": "4m""#, Ttl::Fixed(secs(240))),
        (r#""ttl": "2m""#, r#", "ttl": "3m""#, r#", "ttl": "respect""#, RESPECT),
        (r#""ttl": "never""#, "", r#", "ttl": {"absent": "5s"}"#, absent(5)),
        // Bounds are laid over one another by field, those of the kind included.
        (
            r#""ttl": {"floor": "1s"}"#,
            r#", "ttl": {"ceiling": "5m"}"#,
            r#", "ttl": {"floor": "2s"}"#,
            Ttl::Respect { floor: Some(secs(2)), ceiling: Some(secs(300)), absent: Some(secs(60)) },
        ),
        // What the kind presets gives way to a policy's bounds.
        (
            "",
            r#", "ttl": {"ceiling": "10s"}"#,
            "",
            Ttl::Respect { floor: None, ceiling: Some(secs(10)), absent: Some(secs(10)) },
        ),
        (
            "",
            r#", "ttl": {"floor": "2m"}"#,
            "",
            Ttl::Respect { floor: Some(secs(120)), ceiling: None, absent: Some(secs(120)) },
        ),
    ] {
        let rules = rules(defaults, &format!("{class}{in_class}}}"), &format!(r#", "class": "c"{route}"#));
        assert_eq!(rules.ttl, want, "{defaults} {in_class} {route}");
    }
}

#[test]
fn objects_are_merged_by_field_and_lists_are_replaced() {
    let rules = rules(
        r#""status_ttl": {"404": "1s", "410": "1s"}, "tags": ["a"], "client": {"cache_control": {"scope": "public"}}"#,
        r#""c": {"key": {"query": {"deny": ["a"]}, "sort_query": true}, "client": {"cache_control": {"browser_ttl": "5s"}}}"#,
        r#", "class": "c", "status_ttl": {"404": "9s"}, "tags": ["b"], "key": {"query": {"allow": ["b"]}}"#,
    );
    assert_eq!(
        rules.status_ttl,
        [(StatusPattern::Exact(404), Ttl::Fixed(secs(9))), (StatusPattern::Exact(410), Ttl::Fixed(secs(1)))]
    );
    let tags: Vec<_> = rules.tags.templates.iter().map(ToString::to_string).collect();
    assert_eq!(tags, ["b"]);
    assert_eq!((rules.key.query, rules.key.sort_query), (QueryRule::Allow(vec!["b".into()]), true));
    let told = rules.client.cache_control.unwrap();
    assert_eq!((told.browser_ttl, told.scope), (Some(secs(5)), Some(Scope::Public)));
}

#[test]
fn the_kinds_preset_what_their_table_says() {
    let of = |class: &str| rules("", "", &format!(r#", "class": "{class}""#));
    use StaleWindow::{Origin, Policy};
    for (class, kind, ttl, jitter, while_revalidate, if_error, etag) in [
        ("static", Kind::Static, absent(86_400), 0, Policy(secs(86_400)), Policy(secs(604_800)), EtagRule::Origin),
        ("reference", Kind::Reference, absent(3600), 10, Policy(secs(600)), Policy(secs(86_400)), EtagRule::Strong),
        ("catalog", Kind::Catalog, absent(60), 10, Policy(secs(30)), Policy(secs(3600)), EtagRule::Strong),
        ("volatile", Kind::Volatile, absent(1), 0, Origin, Policy(secs(60)), EtagRule::Strong),
        ("personal", Kind::Personal, Ttl::Never, 0, Origin, Origin, EtagRule::Strong),
        ("never", Kind::Never, Ttl::Never, 0, Origin, Origin, EtagRule::Origin),
    ] {
        let rules = of(class);
        assert_eq!((rules.kind, rules.ttl, rules.jitter_percent, rules.etag), (kind, ttl, jitter, etag), "{class}");
        assert_eq!((rules.stale.while_revalidate, rules.stale.if_error), (while_revalidate, if_error), "{class}");
        assert_eq!(rules.client.cache_control.is_some(), class == "personal", "{class}");
    }
    let personal = of("personal").client;
    let told = ClientCacheControl { scope: Some(Scope::Private), no_cache: true, ..ClientCacheControl::default() };
    assert_eq!(personal.cache_control, Some(told));
    assert_eq!(personal.remove, ["pragma", "expires", "surrogate-control"]);
}

#[test]
fn a_static_class_with_a_fixed_lifetime_is_immutable_at_the_client() {
    let told = rules("", "", r#", "class": "static", "ttl": "7d""#).client.cache_control.unwrap();
    assert_eq!((told.browser_ttl, told.scope, told.immutable), (Some(secs(604_800)), Some(Scope::Public), true));
    let capped = rules("", "", r#", "class": "static", "ttl": "800d""#).client.cache_control.unwrap();
    assert_eq!(capped.browser_ttl, Some(secs(31_536_000)));
    let untouched = rules("", "", r#", "class": "static", "ttl": "7d", "client": {"cache_control": "origin"}"#);
    assert_eq!(untouched.client.cache_control, None);
}

#[test]
fn defaults_do_not_break_what_personal_and_never_promise() {
    let defaults = r#""ttl": "1h", "status_ttl": {"404": "1m"}, "heuristic": {"percent": "10%"},
        "stale": {"if_error": "1d"}, "client": {"cache_control": {"browser_ttl": "1h", "scope": "public"}},
        "jitter": "5%", "warm": [{"url": "/r", "every": "1m"}]"#;
    for class in ["personal", "never"] {
        let rules = rules(defaults, "", &format!(r#", "class": "{class}""#));
        assert_eq!((rules.ttl, rules.heuristic, rules.status_ttl.len()), (Ttl::Never, None, 0), "{class}");
        assert_eq!(rules.stale.if_error, StaleWindow::Origin, "{class}");
        assert_ne!(rules.client.cache_control.and_then(|told| told.scope), Some(Scope::Public), "{class}");
        assert_eq!(rules.jitter_percent, 5, "{class}: the others hold");
    }
}

#[test]
fn a_personal_class_is_stored_where_the_key_has_the_user() {
    let class = r#""account": {"kind": "personal", "key": {"user": ["authorization"]}}"#;
    assert_eq!(rules("", class, r#", "class": "account""#).ttl, RESPECT);
    assert_eq!(rules("", class, r#", "class": "account", "ttl": "10s""#).ttl, Ttl::Fixed(secs(10)));
    assert_eq!(rules("", class, r#", "class": "account", "key": {"user": []}"#).ttl, Ttl::Never);
    assert_eq!(rules(r#""ttl": "1h""#, class, r#", "class": "account""#).ttl, RESPECT, "not from the defaults");
}

#[test]
fn unsafe_is_said_by_the_route_or_its_class() {
    let open = r#""identity": {"authorization": "ignore"}"#;
    let rules_of = |class: &str, route: &str| rules("", class, route);
    let by_route = rules_of(&format!(r#""c": {{{open}}}"#), r#", "class": "c", "override": "unsafe""#);
    let by_class = rules_of(r#""c": {"override": "unsafe"}"#, &format!(r#", "class": "c", {open}"#));
    for rules in [by_route, by_class] {
        assert!(rules.override_unsafe);
        assert_eq!(rules.identity.authorization, AuthorizationRule::Ignore);
    }
}

#[test]
fn requests_without_a_route_are_under_the_defaults() {
    let policy =
        policy(r#""defaults": {"ttl": "5s"}, "routes": [{"name": "a", "path": "/a"}, {"name": "b", "path": "/b"}]"#);
    let head = RequestHead { method: "GET".into(), target: "/c".into(), ..RequestHead::default() };
    let rules = policy.route(&head).rules;
    assert_eq!((&*rules.route, &*rules.class, rules.ttl), ("_unmatched", "_defaults", Ttl::Fixed(secs(5))));
    let indexes: Vec<_> = policy.routes().map(|summary| summary.rules.index).collect();
    assert_eq!((indexes, rules.index), (vec![0, 1], 2), "dense, the unmatched last");
}

#[test]
fn aims_are_laid_over_one_another_too() {
    let policy = policy(
        r#""defaults": {"target_hit_ratio": 0.5, "warm": [{"url": "/a", "every": "1m"}]},
           "routes": [{"name": "a", "path": "/a"}, {"name": "b", "path": "/b", "target_hit_ratio": 0.9, "warm": []},
                      {"name": "c", "path": "/c", "class": "never"}]"#,
    );
    let aims: Vec<_> =
        policy.routes().map(|summary| (summary.aims.warm.len(), summary.aims.target_hit_ratio)).collect();
    assert_eq!(aims, [(1, Some(0.5)), (0, Some(0.9)), (0, Some(0.5))]);
}

#[test]
fn another_text_is_another_revision() {
    let one = policy(r#""routes": []"#);
    assert_eq!(one.revision, policy(r#""routes": []"#).revision);
    assert_ne!(one.revision, policy(r#""routes": [ ]"#).revision);
    assert_eq!(one.name, "t");
}

#[test]
fn odd_paths_are_routed_and_reported() {
    let policy = policy(
        r#""routes": [{"name": "account", "path": "/v1/account", "class": "personal"}, {"name": "rest", "path": "/v1/{*rest}"}]"#,
    );
    for (target, route, suspicious) in [
        ("/v1/account", "account", false),
        ("/v1/account/", "account", false),
        ("/v1/account?x=/../;", "account", false),
        ("/v1/%61ccount", "account", true),
        ("/v1//account", "rest", true),
        ("/v1/x/../account", "rest", true),
        ("/v1/x/%2e%2e/account", "rest", true),
        ("/v1/x%2f..%2faccount", "rest", true),
        ("/v1/account;a=1", "rest", true),
        ("/v1/account%3ba=1", "rest", true),
        ("/v1/account%00.css", "rest", true),
        ("/v1\\account", "_unmatched", true),
        ("/v1/caf%C3%A9%20x", "rest", false),
    ] {
        let head = RequestHead { method: "GET".into(), target: target.into(), ..RequestHead::default() };
        let matched = policy.route(&head);
        assert_eq!((&*matched.rules.route, matched.suspicious_path), (route, suspicious), "{target}");
    }
}
