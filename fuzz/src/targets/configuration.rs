//! The plugin's configuration, in the real module: any bytes are taken or refused with a reason in the log, and nothing traps. What is
//! taken serves a request; what is refused on a reload leaves what ran.

use larder_host_tests::host::{Config, Host, HostError, LogLevel, Request, Response};

use super::module::{covered, plugin};

/// The configuration's bytes.
pub fn run(data: &[u8]) {
    let config = Config { clusters: vec!["larder_nodes".to_owned()], log_level: LogLevel::Warn, ..Config::new(data) };
    match Host::start(plugin(), config) {
        Ok(mut host) => {
            let stream = host.request(0, Request::get("/a"));
            for call in host.calls() {
                host.fail_call(call.id);
            }
            if host.upstream(stream).is_some() {
                host.respond(stream, Response::new(200).header("cache-control", "max-age=9").body("a"));
            }
            assert_eq!(host.client(stream).status(), Some(200));
            assert!(host.traps().is_empty(), "{:?}", host.traps());
            covered(&host, 1);
        }
        Err(HostError::Rejected(lines)) => {
            assert!(lines.iter().any(|line| !line.trim().is_empty()), "refused without a reason");
            reload(data);
        }
        Err(other) => panic!("{other}"),
    }
}

fn reload(data: &[u8]) {
    let policy = r#"{ "version": 1, "name": "p", "routes": [ { "name": "a", "path": "/a", "ttl": "1m" } ] }"#;
    let mut host = Host::start(plugin(), Config::new(policy)).expect("a policy");
    assert!(matches!(host.reload(data), Err(HostError::Rejected(_))));
    let stream = host.request(0, Request::get("/a"));
    host.respond(stream, Response::new(200).body("a"));
    let stream = host.request(0, Request::get("/a"));
    assert!(host.upstream(stream).is_none() && host.client(stream).text() == "a", "what ran runs on");
    assert!(host.traps().is_empty(), "{:?}", host.traps());
    covered(&host, 1);
}
