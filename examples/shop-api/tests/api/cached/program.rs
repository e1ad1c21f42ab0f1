//! `shop-api --cache` as a program: its options, its errors, its end.

use std::process::Command;

use crate::process::{Directory, Program};

fn refused(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shop-api"));
    command.args(["--seed-products", "5"]).args(arguments).envs(environment.iter().copied());
    let output = command.output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn it_caches_and_says_so() {
    let temp = Directory::new("cached");
    let program = Program::start(&["--cache", "--watch-database"], &temp.0);
    let miss = program.request("GET /v1/products/7 HTTP/1.1");
    assert!(miss.contains("cache-status: Larder-Origin; fwd=uri-miss; stored"), "{miss}");
    let hit = program.request("GET /v1/products/7 HTTP/1.1");
    assert!(hit.contains("cache-status: Larder-Origin; hit; ttl="), "{hit}");
    assert!(program.request("GET /v1/stats HTTP/1.1").contains(r#"{"queries":1,"requests":1}"#));
    assert!(program.request("DELETE /v1/products/7 HTTP/1.1").contains("204 No Content"));
    assert!(program.request("GET /v1/products/7 HTTP/1.1").contains("404 Not Found"));
    assert!(program.stop().success());
    assert!(temp.is_empty(), "the temporary database is gone");
}

#[test]
fn what_makes_no_sense_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.json");
    std::fs::write(&policy, r#"{ "version": 1, "name": "shop", "rutes": [] }"#).unwrap();
    let policy = policy.to_str().unwrap();
    for (arguments, reasons) in [
        (&["--policy", policy][..], &["--cache"][..]),
        (&["--cache", "--queue", "q"], &["--node"]),
        (&["--cache", "--policy", "/nowhere.json"], &["/nowhere.json"]),
        (&["--cache", "--policy", policy], &[policy, "did you mean \"routes\""]),
        (&["--cache", "--node", "127.0.0.1:9902"], &["127.0.0.1:9902", "http://"]),
        (&["--cache", "--node", "http://127.0.0.1:9", "--token-file", "/nowhere"], &["/nowhere"]),
        (&["--cache", "--cluster", "http://127.0.0.1"], &["http://127.0.0.1", "no port"]),
    ] {
        let error = refused(arguments, &[]);
        for reason in reasons {
            assert!(error.contains(reason), "{arguments:?}: {error}");
        }
    }
    let error = refused(&["--cache"], &[("LARDER_EDGE_KEY", "short")]);
    assert!(error.contains("LARDER_EDGE_KEY") && error.contains("at least 16"), "{error}");
}
