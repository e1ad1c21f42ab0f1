//! The bootstrap files of `envoy/`: each starts in a real Envoy and does what its header says; a bad policy is refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use larder_host_tests::envoy::{Answer, Client, Envoy, Origin, Setup, module_path, render, until};

const POLICY: &str = r#"{
  "version": 1,
  "name": "shop",
  "routes": [
    { "name": "items", "path": "/items/{id}", "ttl": "60s", "etag": "strong", "tags": ["item:{id}"] }
  ]
}"#;

fn origin() -> Origin {
    let origin = Origin::start();
    origin.always("GET", "/items/1", Answer::ok("one").field("content-type", "text/x-item"));
    origin
}

fn start(setup: Setup, origin: &Origin) -> Envoy {
    setup.value("ORIGIN_PORT", origin.port()).start().unwrap_or_else(|error| panic!("{error}"))
}

fn misses_then_hits(envoy: &Envoy, origin: &Origin) {
    let miss = envoy.get("/items/1", &[]);
    assert_eq!((miss.status, miss.text().as_str()), (200, "one"));
    let hit = envoy.get("/items/1", &[]);
    assert_eq!((hit.status, hit.text().as_str()), (200, "one"));
    assert_eq!(hit.field("content-type").as_deref(), Some("text/x-item"));
    assert!(hit.field("cache-status").is_some_and(|status| status.starts_with("Larder; hit")), "{hit:?}");
    assert_eq!(hit.field("etag"), miss.field("etag"));
    assert_eq!(origin.count("/items/1"), 1);
}

#[test]
fn minimal_is_enough_for_a_hit() {
    let origin = origin();
    let envoy = start(Setup::from_file("minimal.yaml").value("POLICY", POLICY), &origin);
    misses_then_hits(&envoy, &origin);
}

#[test]
fn demo_counts_for_prometheus_with_labels() {
    let origin = origin();
    let envoy = start(Setup::from_file("demo.yaml").value("POLICY", POLICY), &origin);
    misses_then_hits(&envoy, &origin);
    let labels = r#"policy="shop",route="items",class="_defaults""#;
    // Envoy gives labels in an order of its own.
    let counted = |name: &str, wanted: &[&str], value: &str| {
        until(&format!("{name} {wanted:?} {value}"), || {
            envoy.prometheus().into_iter().find(|line| {
                line.starts_with(&format!("{name}{{"))
                    && labels.split(',').chain(wanted.iter().copied()).all(|label| line.contains(label))
                    && line.ends_with(&format!(" {value}"))
            })
        });
    };
    counted("larder_requests_total", &[r#"outcome="miss""#], "1");
    counted("larder_requests_total", &[r#"outcome="hit""#], "1");
    counted("larder_store_bytes_total", &[], "3");
    counted("larder_origin_bytes_total", &[], "3");
    until("how long hits took, in buckets that add up", || {
        let buckets = envoy.prometheus().into_iter().filter(|line| {
            line.starts_with("larder_request_duration_milliseconds_bucket{") && line.contains(r#"outcome="hit""#)
        });
        let buckets: Vec<String> = buckets.collect();
        let is_last = |line: &&String| line.contains(r#"le="+Inf""#) && line.contains(r#"policy="shop""#);
        (buckets.iter().find(is_last)?.ends_with(" 1") && !buckets.iter().any(|line| line.contains("route=")))
            .then_some(())
    });
    until("the gauge of keys", || {
        envoy.prometheus().into_iter().find(|line| line.starts_with("larder_l1_keys{") && line.ends_with(" 1"))
    });
    let names = envoy.prometheus();
    assert!(!names.iter().any(|line| line.starts_with("larder") && line.contains(';')), "{names:?}");
}

#[test]
fn a_bad_policy_is_refused_and_its_errors_are_logged_with_their_places() {
    let origin = origin();
    let policy = POLICY.replace("\"ttl\"", "\"tll\"").replace("\"strong\"", "\"stong\"");
    let setup = Setup::from_file("minimal.yaml").value("POLICY", policy).value("ORIGIN_PORT", origin.port());
    let error = setup.start().expect_err("Envoy refuses to start");
    assert!(error.log.contains("policy:5:") && error.log.contains("routes[0].tll"), "{error}");
    assert!(error.log.contains("did you mean \"ttl\"?") && error.log.contains("routes[0].etag"), "{error}");
}

#[test]
fn settings_around_the_policy_are_taken_and_checked() {
    let origin = origin();
    let wrapped =
        format!(r#"{{ "policy": {POLICY}, "l1_bytes": "1MiB", "tick": "50ms", "refresh": {{ "timeout": "2s" }} }}"#);
    let envoy = start(Setup::from_file("minimal.yaml").value("POLICY", &wrapped), &origin);
    misses_then_hits(&envoy, &origin);
    for (from, to, says) in [
        ("\"tick\"", "\"tock\"", "unknown field `tock`"),
        ("1MiB", "1 furlong", "expected a size such as \\\"16MiB\\\""),
        ("\"1MiB\"", "\"5GiB\"", "l1_bytes: at most 768MiB"),
    ] {
        let setup = Setup::from_file("minimal.yaml").value("POLICY", wrapped.replace(from, to));
        let error = setup.value("ORIGIN_PORT", origin.port()).start().expect_err("Envoy refuses to start");
        let says = says.replace('\\', "");
        assert!(error.log.contains(&says), "{says}: {error}");
    }
}

/// Istio's and Envoy Gateway's own resources cannot set `allow_on_headers_stop_iteration`.
#[test]
fn without_stop_iteration_in_header_callbacks_the_plugin_must_not_hold() {
    let origin = origin();
    let template = fs::read_to_string(larder_host_tests::envoy::bootstrap_folder().join("minimal.yaml")).unwrap();
    let flag = template.lines().find(|line| line.trim_start().starts_with("allow_on_headers_stop_iteration")).unwrap();
    let setup = Setup::new(template.replace(flag, ""));
    let envoy = start(setup.value("POLICY", format!(r#"{{ "policy": {POLICY}, "hold": false }}"#)), &origin);
    let miss = envoy.get("/items/1", &[("if-none-match", "\"other\"")]);
    assert_eq!((miss.status, miss.text().as_str(), miss.field("etag")), (200, "one", None));
    let hit = envoy.get("/items/1", &[]);
    assert!(hit.field("etag").is_some() && origin.count("/items/1") == 1, "{hit:?}");
}

#[test]
fn a_struct_in_place_of_a_string_is_explained() {
    let template = fs::read_to_string(larder_host_tests::envoy::bootstrap_folder().join("minimal.yaml")).unwrap();
    let (before, after) = template.split_once("                  value: |\n                    ${POLICY}\n").unwrap();
    let before = before.replace("google.protobuf.StringValue", "google.protobuf.Struct");
    let setup = Setup::new(format!("{before}                  value: {{ version: 1, name: shop }}\n{after}"));
    let error = setup.value("ORIGIN_PORT", 1).start().expect_err("Envoy refuses to start");
    assert!(error.log.contains("google.protobuf.Struct") && error.log.contains("StringValue"), "{error}");
}

/// The folder that Envoy watches.
struct Watched(PathBuf);

impl Watched {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("larder-ecds-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// Puts a policy in force as an operator would: a new file, moved over the old one.
    fn put(&self, policy: &str) {
        let template = larder_host_tests::envoy::bootstrap_folder().join("ecds-filter.yaml");
        let values = [("LARDER_WASM", module_path().display().to_string()), ("POLICY", policy.to_owned())];
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let text = render(&fs::read_to_string(template).unwrap(), &values).unwrap();
        let fresh = self.0.join("larder.yaml.new");
        fs::write(&fresh, text).unwrap();
        fs::rename(fresh, self.0.join("larder.yaml")).unwrap();
    }

    fn folder(&self) -> &Path {
        &self.0
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const UPDATES: &str = "config_reload";
const REJECTED: &str = "update_rejected";

fn ecds_stat(envoy: &Envoy, ending: &str) -> u64 {
    let stats = envoy.admin("/stats");
    let lines = stats.lines().filter(|line| line.contains("extension_config_discovery") && line.contains("larder"));
    let mut values = lines.filter_map(|line| line.split_once(": "));
    values.find(|(name, _)| name.ends_with(ending)).and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}

#[test]
fn ecds_reloads_under_load_lose_no_request_and_keep_what_is_stored() {
    let origin = origin();
    origin.always("GET", "/other", Answer::ok("other"));
    let watched = Watched::new("load");
    watched.put(POLICY);
    let setup = Setup::from_file("ecds.yaml").value("FILTER_FOLDER", watched.folder().display()).concurrency(2);
    let envoy = start(setup, &origin);
    until("the first policy", || (envoy.get("/items/1", &[]).field("cache-status").is_some()).then_some(()));

    let stop = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let failures = Arc::new(Mutex::new(Vec::new()));
    let loaders: Vec<_> = (0..4)
        .map(|index| {
            let (stop, served, failures, port) = (stop.clone(), served.clone(), failures.clone(), envoy.port());
            thread::spawn(move || {
                let mut client = Client::connect(port).expect("a connection");
                let path = if index == 0 { "/other" } else { "/items/1" };
                while !stop.load(Ordering::Relaxed) {
                    match client.call("GET", path, &[], b"") {
                        Ok(response) if response.status == 200 && response.complete => {
                            served.fetch_add(1, Ordering::Relaxed);
                        }
                        other => {
                            failures.lock().unwrap().push(format!("{other:?}"));
                            return;
                        }
                    }
                }
            })
        })
        .collect();
    let more = |by: usize| {
        let from = served.load(Ordering::Relaxed);
        until("requests going through", || {
            let bad = failures.lock().unwrap().clone();
            assert!(bad.is_empty(), "{bad:?}");
            (served.load(Ordering::Relaxed) >= from + by).then_some(())
        });
    };
    for round in 0..6 {
        more(100);
        let reloads = ecds_stat(&envoy, UPDATES);
        watched.put(&POLICY.replace("60s", &format!("{}s", 61 + round)));
        until("the reload", || (ecds_stat(&envoy, UPDATES) > reloads).then_some(()));
    }
    more(100);
    // A policy that is refused changes nothing.
    watched.put(&POLICY.replace("\"ttl\"", "\"tll\""));
    until("the rejection", || (ecds_stat(&envoy, REJECTED) > 0).then_some(()));
    more(100);
    stop.store(true, Ordering::Relaxed);
    for loader in loaders {
        loader.join().unwrap();
    }
    assert_eq!(*failures.lock().unwrap(), Vec::<String>::new());
    assert!(envoy.log().contains("routes[0].tll"), "the refused policy's errors are logged");
    assert!(origin.count("/items/1") <= 2, "each worker asked once: {}", origin.count("/items/1"));
}

/// Twice within a second is possible, and by default Envoy answers by errors until the second is over (pinned in envoy_pins.rs).
#[test]
fn every_bootstrap_replaces_a_module_that_fails_and_does_not_wait_with_it() {
    let folder = larder_host_tests::envoy::bootstrap_folder();
    let mut seen = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (index, _) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("failure_policy:")) {
            seen += 1;
            assert!(lines[index].starts_with("failure_policy: FAIL_RELOAD"), "{}", path.display());
            let next = lines.get(index + 1).copied().unwrap_or_default();
            assert!(
                next.starts_with("reload_config: { backoff: { base_interval: 0.01s } }"),
                "{}: {next}",
                path.display()
            );
        }
    }
    assert!(seen >= 6, "{seen}");
}
