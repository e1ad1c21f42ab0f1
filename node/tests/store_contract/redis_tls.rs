//! TLS with a private authority, and logging in.

use std::fs;

use larder_node::store::{StoreError, open};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::servers::Server;
use crate::subject::{HOUR, bytes, name};

/// An authority and a server's certificate by it, as files.
fn certificates(folder: &TempDir) {
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().expect("a key");
    let certificate = authority.self_signed(&authority_key).expect("a certificate");
    fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("write");
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().expect("a key");
    let server = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    let server = server.signed_by(&key, &issuer).expect("a certificate");
    fs::write(folder.path().join("server.pem"), server.pem()).expect("write");
    fs::write(folder.path().join("server.key"), key.serialize_pem()).expect("write");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_checked_against_the_private_authority() {
    let folder = TempDir::new().expect("a folder");
    certificates(&folder);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let tls_port = crate::servers::free_port();
    let _server = Server::redis(&[
        "--tls-port",
        &tls_port.to_string(),
        "--tls-cert-file",
        &path("server.pem"),
        "--tls-key-file",
        &path("server.key"),
        "--tls-ca-cert-file",
        &path("ca.pem"),
        "--tls-auth-clients",
        "no",
        "--requirepass",
        "p@ss:w/rd",
    ]);
    let login = ":p%40ss%3Aw%2Frd";
    let good = format!("rediss://{login}@localhost:{tls_port}?timeout=2s&connect=2s&ca={}", path("ca.pem"));
    let store = open(&good).await.expect("a store");
    store.put(&name("a"), bytes(1, 100_000), HOUR).await.expect("put");
    assert!(store.get(&name("a")).await == Ok(Some(bytes(1, 100_000))));
    // Another authority, another host, no password: no.
    let other = TempDir::new().expect("a folder");
    certificates(&other);
    let foreign = good.replace(&path("ca.pem"), &other.path().join("ca.pem").display().to_string());
    for wrong in [foreign, good.replace("localhost", "127.0.0.1"), good.replace(&format!("{login}@"), "")] {
        let store = open(&wrong).await.expect("a store");
        let error = store.get(&name("a")).await.expect_err(&wrong);
        assert!(matches!(error, StoreError::Unreachable { .. } | StoreError::Refused { .. }), "{wrong}: {error}");
        println!("{error}");
        assert!(!error.to_string().contains("p@ss"), "{error}");
    }
    let missing = open(&good.replace("ca.pem", "no.pem")).await.err().expect("no such file").to_string();
    assert!(missing.contains("no.pem") && !missing.contains("p%40ss"), "{missing}");
}
