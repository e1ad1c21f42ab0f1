//! A policy in the shadow: what it counts, and that nobody gets anything else because of it.

use std::sync::Arc;

use larder_core::Policy;
use larder_core::purge::{Mode, Scope};

use super::world::{Lines, World, whole};

const FRESH: Lines<'_> = &[("cache-control", "max-age=60"), ("content-length", "4")];
const PRIVATE: Lines<'_> = &[("cache-control", "private, max-age=60"), ("content-length", "4")];

/// One worker under `defaults`, and a route for everything with other settings in the shadow.
fn world(defaults: &str, shadow: &str) -> World {
    let mut world = World::new(defaults);
    world.worker.set_shadow(Some(&policy(shadow)));
    world
}

fn policy(settings: &str) -> Arc<Policy> {
    let comma = if settings.is_empty() { "" } else { "," };
    let text = format!(
        r#"{{"version":1,"name":"test","routes":[{{"name":"all","path":"/{{*rest}}","comment":"-"{comma}{settings}}}]}}"#
    );
    Arc::new(Policy::parse(&text).unwrap_or_else(|errors| panic!("{errors}")))
}

/// What was counted since this was last asked, in the order of the counters' names.
fn counted(world: &mut World) -> String {
    let shadow = world.worker.shadow.as_mut().expect("a shadow");
    let mut lines: Vec<String> = shadow
        .tally
        .take()
        .map(|(_, count, sum)| {
            let (name, labels) = count.parts();
            let label: String = labels.iter().flatten().map(|(_, value)| format!(" {value}")).collect();
            let name = name.trim_start_matches("larder_shadow_").trim_end_matches("_total");
            format!("{name}{label} {sum}")
        })
        .collect();
    lines.sort();
    lines.join(", ")
}

#[test]
fn the_same_policy_counts_what_the_one_in_force_does() {
    let mut world = world(r#""ttl":"10s""#, r#""ttl":"10s""#);
    world.fetch(("GET", "/a", &[]), 200, &[], "hello");
    assert_eq!(counted(&mut world), "requests miss 1");
    assert_eq!(world.stored("/a", &[]), whole("hello"));
    assert_eq!(counted(&mut world), "requests hit 1, store_bytes 5");
    world.wait(10);
    world.fetch(("GET", "/a", &[]), 200, &[], "other");
    assert_eq!(counted(&mut world), "requests miss 1", "its lifetime is over: that it changed is nobody's trouble");
    world.fetch(("GET", "/b", &[]), 200, &[("cache-control", "no-store")], "b");
    world.fetch(("GET", "/c", &[]), 404, &[], "c");
    world.fetch(("POST", "/a", &[]), 200, &[], "d");
    assert_eq!(counted(&mut world), "requests bypass 1, requests not_stored 2");
    world.fetch(("GET", "/a", &[]), 200, &[], "other");
    assert_eq!(counted(&mut world), "requests miss 1", "the POST has invalidated it");
}

#[test]
fn what_was_stored_before_the_shadow_began_counts_under_the_same_key() {
    let mut world = World::new(r#""ttl":"60s""#);
    world.fetch(("GET", "/a", &[]), 200, &[], "hello");
    world.wait(30);
    world.worker.set_shadow(Some(&policy(r#""ttl":"40s""#)));
    world.stored("/a", &[]);
    assert_eq!(counted(&mut world), "requests hit 1, store_bytes 5");
    world.wait(10);
    world.stored("/a", &[]);
    assert_eq!(counted(&mut world), "requests miss 1", "40 seconds old");
    world.wait(15);
    world.stored("/a", &[]);
    assert_eq!(counted(&mut world), "requests hit 1, store_bytes 5", "fetched anew 15 seconds ago, it would be");
    world.worker.set_shadow(Some(&policy(r#""ttl":"40s","key":{"headers":["x-a"]}"#)));
    world.stored("/a", &[]);
    assert_eq!(counted(&mut world), "requests miss 1", "under another key nobody knows");
    world.stored("/a", &[]);
    assert_eq!(counted(&mut world), "requests hit 1, store_bytes 5");
}

#[test]
fn a_hit_that_would_have_been_another_response_is_told() {
    let mut world = world(r#""ttl":"10s""#, r#""ttl":"60s""#);
    world.fetch(("GET", "/a", &[]), 200, &[], "one");
    world.wait(11);
    world.fetch(("GET", "/a", &[]), 200, &[], "one");
    assert_eq!(counted(&mut world), "differs staler 1, requests hit 1, requests miss 1, store_bytes 3");
    world.wait(11);
    world.fetch(("GET", "/a", &[]), 200, &[], "two");
    assert_eq!(counted(&mut world), "differs other_body 1, differs staler 1, requests hit 1, store_bytes 3");
    world.wait(11);
    world.fetch(("GET", "/a", &[]), 404, &[], "gone");
    assert_eq!(counted(&mut world), "differs other_body 1, differs staler 1, requests hit 1, store_bytes 3");
    world.wait(11);
    world.fetch(("GET", "/a", &[]), 503, &[], "down");
    assert_eq!(counted(&mut world), "differs staler 1, requests hit 1, store_bytes 3", "better than a failure");
    world.wait(11);
    world.fetch(("GET", "/a", &[]), 200, &[("vary", "*")], "two");
    assert_eq!(
        counted(&mut world),
        "differs staler 1, requests hit 1, store_bytes 3",
        "not stored: nobody saw its body"
    );
}

#[test]
fn without_a_body_to_look_at_validators_tell() {
    let mut world = world(r#""ttl":"never""#, r#""ttl":"60s""#);
    for (etag, counts) in [
        ("\"1\"", "requests miss 1"),
        ("\"1\"", "differs staler 1, requests hit 1, store_bytes 3"),
        ("\"2\"", "differs other_body 1, differs staler 1, requests hit 1, store_bytes 3"),
    ] {
        world.fetch(("GET", "/a", &[]), 200, &[("etag", etag), ("content-length", "3")], "abc");
        assert_eq!(counted(&mut world), counts, "{etag}");
    }
}

#[test]
fn confirmed_by_the_origin_it_is_the_same_response() {
    let mut world = world("", r#""ttl":"60s""#);
    let lines: Lines<'_> = &[("cache-control", "max-age=10"), ("etag", "\"1\"")];
    world.fetch(("GET", "/a", &[]), 200, lines, "one");
    world.wait(11);
    world.fetch(("GET", "/a", &[]), 304, lines, "");
    assert_eq!(counted(&mut world), "differs staler 1, requests hit 1, requests miss 1, store_bytes 3");
    world.wait(50);
    world.fetch(("GET", "/a", &[]), 304, lines, "");
    assert_eq!(counted(&mut world), "requests miss 1", "61 seconds old");
    world.wait(11);
    world.fetch(("GET", "/a", &[]), 304, lines, "");
    assert_eq!(counted(&mut world), "differs staler 1, requests hit 1, store_bytes 3");
}

#[test]
fn what_would_be_shared_though_it_is_somebodys_is_told() {
    let unsafely = r#""ttl":"60s","override":"unsafe","identity":{"set_cookie":"strip"}"#;
    for (sent, lines) in [
        (&[("authorization", "Bearer x")][..], FRESH),
        (&[("cookie", "session=x")], FRESH),
        (&[], PRIVATE),
        (&[], &[("cache-control", "max-age=60"), ("set-cookie", "session=x"), ("content-length", "4")]),
    ] {
        let mut world = world("", unsafely);
        world.fetch(("GET", "/a", sent), 200, lines, "mine");
        assert_eq!(counted(&mut world), "differs identity 1, requests miss 1", "{sent:?} {lines:?}");
        world.fetch(("GET", "/a", sent), 200, lines, "mine");
        assert_eq!(counted(&mut world), "differs identity 1, requests hit 1, store_bytes 4", "{sent:?} {lines:?}");
    }
    // Whose it is stands in the key in force, and not in the shadow's.
    let mut apart = world(r#""ttl":"60s","key":{"user":["authorization"]}"#, unsafely);
    apart.fetch(("GET", "/a", &[("authorization", "Bearer x")]), 200, FRESH, "mine");
    apart.fetch(("GET", "/a", &[("authorization", "Bearer y")]), 200, FRESH, "them");
    let told = "differs identity 2, differs other_body 1, requests hit 1, requests miss 1, store_bytes 4";
    assert_eq!(counted(&mut apart), told);
    // A key that names the user shares with nobody.
    let mut keyed = world("", r#""key":{"user":["authorization"]}"#);
    for counts in ["requests miss 1", "requests hit 1, store_bytes 4"] {
        keyed.fetch(("GET", "/a", &[("authorization", "Bearer x")]), 200, FRESH, "mine");
        assert_eq!(counted(&mut keyed), counts);
    }
    // What says that it may be shared is shared by both.
    let mut public = world("", "");
    let lines: Lines<'_> = &[("cache-control", "public, max-age=60")];
    public.fetch(("GET", "/a", &[("authorization", "Bearer x")]), 200, lines, "ours");
    public.stored("/a", &[("authorization", "Bearer y")]);
    assert_eq!(counted(&mut public), "requests hit 1, requests miss 1, store_bytes 4");
}

#[test]
fn purges_and_its_own_rules_empty_it() {
    let tagged = r#""ttl":"60s""#;
    let scopes = [
        Scope::Url("http://h.example/a".into()),
        Scope::Prefix("http://h.example/".into()),
        Scope::Tag("t".into()),
        Scope::All,
    ];
    for scope in scopes {
        let mut world = world(r#""ttl":"never""#, tagged);
        world.fetch(("GET", "/a", &[]), 200, &[("surrogate-key", "t")], "a");
        world.worker.purge(scope.clone(), Mode::Hard);
        counted(&mut world);
        world.fetch(("GET", "/a", &[]), 200, &[("surrogate-key", "t")], "b");
        assert_eq!(counted(&mut world), "requests miss 1", "{scope:?}");
        world.worker.purge(Scope::Tag("other".into()), Mode::Hard);
        world.fetch(("GET", "/a", &[]), 200, &[("surrogate-key", "t")], "b");
        assert!(counted(&mut world).contains("requests hit 1"), "{scope:?}");
    }
    let mut world = world(r#""ttl":"never""#, r#""ttl":"60s","invalidate":{"paths":["/a"]}"#);
    world.fetch(("GET", "/a", &[]), 200, &[], "a");
    world.fetch(("POST", "/b", &[]), 200, &[], "");
    counted(&mut world);
    world.fetch(("GET", "/a", &[]), 200, &[], "b");
    assert_eq!(counted(&mut world), "requests miss 1", "by the shadow's own word");
}

#[test]
fn variants_and_conditions_of_clients() {
    let mut world = world(r#""ttl":"never""#, r#""ttl":"60s""#);
    let vary: Lines<'_> = &[("vary", "accept")];
    world.fetch(("GET", "/a", &[("accept", "a")]), 200, vary, "a");
    world.fetch(("GET", "/a", &[("accept", "b")]), 200, vary, "b");
    assert_eq!(counted(&mut world), "requests miss 2");
    world.fetch(("GET", "/a", &[("accept", "a")]), 200, vary, "a");
    assert_eq!(counted(&mut world), "differs staler 1, requests hit 1");
    world.fetch(("GET", "/b", &[("if-none-match", "\"1\"")]), 304, &[], "");
    assert_eq!(counted(&mut world), "requests miss 1", "it would have asked for a whole response");
    world.fetch(("GET", "/b", &[]), 200, &[], "b");
    assert_eq!(counted(&mut world), "requests miss 1", "and nothing is known of that");
    world.fetch(("HEAD", "/b", &[]), 200, &[], "");
    assert_eq!(counted(&mut world), "differs staler 1, requests hit 1");
    world.fetch(("HEAD", "/c", &[]), 200, &[], "");
    assert_eq!(counted(&mut world), "requests not_stored 1");
}

#[test]
fn an_exchange_that_began_before_the_shadow_changed_counts_for_neither() {
    let mut world = world("", "");
    let at_origin = world.forward("GET", "/a", &[]);
    world.worker.set_shadow(Some(&policy(r#""ttl":"1s""#)));
    world.answer(at_origin, 200, FRESH, "four");
    assert_eq!(counted(&mut world), "");
    let at_origin = world.forward("GET", "/b", &[]);
    world.worker.set_shadow(None);
    world.answer(at_origin, 200, FRESH, "four");
    assert!(world.worker.shadow.is_none());
    assert_eq!(world.stored("/b", &[]), whole("four"));
}

#[test]
fn what_nobody_saw_differs_from_nothing() {
    // Half as long: it would have asked anew at 30 seconds, and what it would have got then nobody knows.
    let mut world = world(r#""ttl":"50s""#, r#""ttl":"30s""#);
    world.fetch(("GET", "/a", &[]), 200, &[], "one");
    world.wait(40);
    world.stored("/a", &[]);
    assert_eq!(counted(&mut world), "requests miss 2");
    world.wait(20);
    world.fetch(("GET", "/a", &[]), 200, &[], "two");
    assert_eq!(counted(&mut world), "requests hit 1, store_bytes 3");
    // A client that takes stale responses gets none that are staler than it said.
    let mut lenient = self::world("", r#""request_directives":"obey""#);
    lenient.fetch(("GET", "/a", &[]), 200, FRESH, "four");
    lenient.wait(65);
    lenient.fetch(("GET", "/a", &[("cache-control", "max-stale=10")]), 200, FRESH, "four");
    assert_eq!(counted(&mut lenient), "requests hit 1, requests miss 1, store_bytes 4");
}

#[test]
fn a_stale_hit_is_one_that_would_be_refreshed() {
    let stale = r#""ttl":"10s","stale":{"while_revalidate":"60s"}"#;
    let mut world = world(r#""ttl":"never""#, stale);
    world.fetch(("GET", "/a", &[]), 200, &[], "one");
    world.wait(15);
    world.fetch(("GET", "/a", &[]), 200, &[("etag", "\"2\"")], "two");
    world.wait(9);
    world.fetch(("GET", "/a", &[]), 200, &[("etag", "\"2\"")], "two");
    assert_eq!(counted(&mut world), "differs staler 2, requests hit 2, requests miss 1");
}
