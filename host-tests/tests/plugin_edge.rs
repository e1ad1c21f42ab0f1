//! The edge's side of the marker: from the VM's environment to the request at the origin.

use larder_core::Timestamp;
use larder_core::edge::{Edge, Keys, MARK};
use larder_host_tests::envoy::module_path;
use larder_host_tests::host::{Config, Host, HostError, Plugin, Request};

const POLICY: &str = r#"{ "version": 1, "name": "edge", "defaults": { "ttl": "10s" } }"#;
const KEY: &str = "a-key-of-some-length";

fn start(keys: Option<&str>) -> Result<Host, HostError> {
    let plugin = Plugin::from_file(module_path()).expect("the module can be loaded");
    let variable = |keys: &str| ("LARDER_EDGE_KEY".to_owned(), keys.to_owned());
    let environment = std::iter::once(("OTHER".to_owned(), "x".to_owned())).chain(keys.map(variable)).collect();
    Host::start(&plugin, Config { environment, ..Config::new(POLICY) })
}

#[test]
fn what_is_forwarded_carries_a_marker_made_with_the_first_key() {
    let mut host = start(Some("a-key-of-some-length another-key-of-length")).expect("the keys are fine");
    let origin = Edge::heeding(Keys::parse(KEY).expect("a key"));
    for request in [Request::get("/a"), Request::new("POST", "/a"), Request::get("/b").header(MARK, "1-1-forged")] {
        let stream = host.request(0, request);
        let upstream = host.upstream(stream).expect("it is forwarded");
        let mark = upstream.headers.text(MARK).expect("a marker");
        assert!(origin.vouches(Some(mark.as_bytes()), Timestamp::from_secs(1_767_225_600)), "{mark}");
    }
}

#[test]
fn without_a_key_there_is_no_marker_and_a_clients_own_goes_no_further() {
    for keys in [None, Some("")] {
        let mut host = start(keys).expect("it starts");
        let stream = host.request(0, Request::get("/a").header(MARK, "1-1-forged"));
        assert_eq!(host.upstream(stream).expect("it is forwarded").headers.text(MARK), None);
    }
}

#[test]
fn a_key_of_no_use_is_refused_without_being_shown() {
    let error = start(Some("short")).err().expect("refused").to_string();
    assert!(!error.contains("short"), "{error}");
}
