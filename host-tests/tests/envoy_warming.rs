//! Warming through a real Envoy with the module: what was warmed is what clients find, scheme and variant included.

use std::sync::Arc;

use larder_core::Policy;
use larder_host_tests::envoy::{Answer, Envoy, Origin, Setup};
use larder_node::warming::{Coverage, Outcome, Planner, Settings, Site, Via, run};

const POLICY: &str = r#"{
  "version": 1,
  "name": "shop",
  "routes": [
    { "name": "list", "path": "/list", "ttl": "60s", "key": { "accept_language": ["en", "de"] },
      "warm": [{ "url": "/list", "every": "50s" }] },
    { "name": "private", "path": "/private", "ttl": "respect" }
  ]
}"#;

/// Warms the policy's entries and these URLs of a site; what came of each.
fn warmed(envoy: &Envoy, site: &str, urls: &[&str]) -> Vec<(Outcome, Option<String>)> {
    let via: Via = format!("http://127.0.0.1:{}", envoy.port()).parse().expect("a proxy");
    let site: Site = site.parse().expect("a site");
    let policy = Arc::new(Policy::parse(POLICY).expect("a policy"));
    let coverage = Coverage::new(vec![policy], vec![site], &via);
    let mut planner = Planner::new(&coverage, 100);
    planner.add_policies();
    urls.iter().for_each(|url| planner.add_url(url));
    let requests: Vec<_> = planner.finish().requests.into_iter().map(Arc::new).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        // One at a time: the origin's answers are then in order.
        let settings = Settings { concurrency: 1, ..Settings::default() };
        let mut way = run(&via, &coverage, &settings, requests);
        let mut done = Vec::new();
        while let Some((_, one)) = way.next().await {
            done.push((one.outcome, one.reason));
        }
        done
    })
}

#[test]
fn what_is_warmed_is_what_clients_find() {
    let origin = Origin::start();
    origin.always("GET", "/list", Answer::ok("list"));
    origin.always("GET", "/private", Answer::ok("mine").field("cache-control", "private"));
    let setup = Setup::from_file("minimal.yaml").value("POLICY", POLICY).value("ORIGIN_PORT", origin.port());
    let envoy = setup.start().unwrap_or_else(|error| panic!("{error}"));
    let warm = |site| warmed(&envoy, site, &["/private"]);
    let private = (Outcome::NotStored, Some("private".to_owned()));
    assert_eq!(warm("http://shop.test"), [(Outcome::Warmed, None), (Outcome::Warmed, None), private.clone()]);
    assert_eq!(origin.count("/list"), 2);
    assert_eq!(warm("http://shop.test"), [(Outcome::Fresh, None), (Outcome::Fresh, None), private.clone()]);
    // The same under https: clients behind a TLS terminator, whose word for it Envoy takes.
    assert_eq!(warm("https://shop.test"), [(Outcome::Warmed, None), (Outcome::Warmed, None), private]);
    assert_eq!(origin.count("/list"), 4);
    for proto in [None, Some("https")] {
        let mut fields = vec![("host", "shop.test"), ("accept-language", "de-CH, en;q=0.5")];
        fields.extend(proto.map(|proto| ("x-forwarded-proto", proto)));
        let found = envoy.get("/list", &fields);
        assert!(
            found.field("cache-status").is_some_and(|status| status.starts_with("Larder; hit")),
            "{proto:?} {found:?}"
        );
    }
    assert_eq!(origin.count("/list"), 4);
}
