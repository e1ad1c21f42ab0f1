//! What the application does with its cache.

use larder_origin::{BuildError, CacheLayer};

use crate::common::{Layered, Scripted, field, layer, send, service, stored};

const TAGS: &str = r#""ttl": "60s", "tags": ["all"]"#;

async fn fill(service: &Layered, origin: &Scripted, path: &str) {
    let request = send(service, path);
    drop(origin.asked().await.answer(200, &[("surrogate-key", "own other")]));
    drop(request.await.expect("an answer"));
    while stored(service, path).await.is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn purges_hold_at_once() {
    let layer = layer(TAGS);
    let (service, origin) = service(&layer);
    let handle = layer.handle();
    type Act<'a> = Box<dyn Fn() + 'a>;
    let purges: [(&str, Act<'_>); 6] = [
        ("tag of the policy", Box::new(|| handle.purge_tag("all"))),
        ("tag of the response", Box::new(|| handle.purge_tag("own"))),
        ("URL", Box::new(|| handle.purge_url("HTTP://H.example:80/a/b").expect("a URL"))),
        ("prefix", Box::new(|| handle.purge_prefix("http://h.example/a").expect("a URL"))),
        ("all", Box::new(|| handle.purge_all())),
        ("soft", Box::new(|| handle.soft_purge_tag("own"))),
    ];
    for (what, purge) in &purges {
        fill(&service, &origin, "/a/b").await;
        purge();
        assert_eq!(stored(&service, "/a/b").await, None, "{what}");
    }
    fill(&service, &origin, "/a/b").await;
    handle.purge_tag("al");
    handle.purge_prefix("http://h.example/a/bc").expect("a URL");
    assert!(stored(&service, "/a/b").await.is_some(), "others stay");
    assert!(handle.bytes() > 0);
    assert!(handle.purge_url("/a/b").is_err());
}

#[tokio::test(start_paused = true)]
async fn a_policy_can_be_changed_and_a_bad_one_is_refused() {
    let layer = layer(TAGS);
    let (service, origin) = service(&layer);
    fill(&service, &origin, "/a").await;
    let refused = layer.handle().set_policy(r#"{ "version": 1, "name": "test", "defaults": { "tll": "1s" } }"#);
    assert!(refused.expect_err("refused").to_string().contains("did you mean \"ttl\""));
    assert!(stored(&service, "/a").await.is_some());
    layer.handle().set_policy(r#"{ "version": 1, "name": "test", "defaults": { "ttl": "never" } }"#).expect("a policy");
    let request = send(&service, "/a");
    drop(origin.asked().await.answer(200, &[]));
    assert_eq!(field(&request.await.expect("an answer"), "cache-status"), "Larder-Origin; fwd=bypass; detail=policy");
}

#[test]
fn what_is_no_layer_says_why() {
    assert!(matches!(CacheLayer::builder().build(), Err(BuildError::NoPolicy)));
    let missing = CacheLayer::from_file("/nowhere/policy.json").expect_err("no file");
    assert!(missing.to_string().starts_with("cannot read the policy /nowhere/policy.json"), "{missing}");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bad.json");
    std::fs::write(&file, r#"{ "version": 1, "name": "x", "rutes": [] }"#).expect("written");
    let bad = CacheLayer::from_file(&file).expect_err("refused").to_string();
    assert!(bad.contains(&format!("{}:1:30: ", file.display())) && bad.contains("routes"), "{bad}");
    let policy = r#"{ "version": 1, "name": "x" }"#;
    assert!(matches!(CacheLayer::builder().policy("{").build(), Err(BuildError::Policy(_))));
    let named = CacheLayer::builder().policy(policy).cache_name("two words").build();
    assert!(matches!(named, Err(BuildError::Name(_))));
    #[cfg(feature = "cluster")]
    {
        let no_port = CacheLayer::builder().policy(policy).cluster(["http://h"]).build().expect_err("no port");
        assert!(no_port.to_string().contains("no port"), "{no_port}");
    }
}
