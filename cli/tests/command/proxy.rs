//! The reverse proxy as people and supervisors run it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use serde_json::Value;

use crate::support::{PATIENCE, Running, larder, run, stderr, stdout};

/// An origin that answers `/slow` with half a body and the rest when it is told to, and everything else at once.
pub struct Origin {
    address: SocketAddr,
    go_on: Sender<()>,
}

impl Origin {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (go_on, told) = channel::<()>();
        let told = std::sync::Arc::new(std::sync::Mutex::new(told));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, told) = (stream.expect("a connection"), told.clone());
                std::thread::spawn(move || answer(stream, &told));
            }
        });
        Self { address, go_on }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn answer(mut stream: TcpStream, told: &std::sync::Mutex<Receiver<()>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a copy"));
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf").expect("written");
        if head.starts_with("GET /slow") {
            let _ = told.lock().expect("a lock").recv();
        }
        let _ = stream.write_all(b"half");
    }
}

/// A running proxy. Killed when dropped.
pub struct Proxy {
    child: Child,
    address: String,
    said: Value,
    log: BufReader<ChildStderr>,
    _folder: tempfile::TempDir,
}

impl Proxy {
    pub fn start(origin: &Origin, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let policy = policy(&folder);
        let origin = origin.url();
        let common = ["proxy", "--listen", "127.0.0.1:0", "--json", "--origin", &origin, "--policy", &policy];
        let mut command = larder(&[&common, arguments].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("standard output")).read_line(&mut line).expect("a line");
        if line.is_empty() {
            panic!("the proxy did not start: {}", stderr(&child.wait_with_output().expect("it ended")));
        }
        let said: Value = serde_json::from_str(&line).expect("JSON");
        let address = said["proxy"].as_str().expect("an address").to_owned();
        let log = BufReader::new(child.stderr.take().expect("standard error"));
        Self { child, address, said, log, _folder: folder }
    }

    pub fn get(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.address);
        ureq::get(url).call().expect("an answer").body_mut().read_to_string().expect("text")
    }

    /// Asks an admin path.
    pub fn admin(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.said["admin"].as_str().expect("an address"));
        ureq::get(url).call().expect("an answer").body_mut().read_to_string().expect("text")
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().expect("kill runs").success());
    }

    /// The log's next line with that text.
    fn line_with(&mut self, text: &str) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            let count = self.log.read_line(&mut line).expect("a line");
            assert!(count > 0, "no line with {text:?}: {all}");
            if line.contains(text) {
                return line;
            }
            all.push_str(&line);
        }
    }

    fn ended(&mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a status") {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::yield_now();
        };
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).expect("text");
        (status.code(), rest)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn policy(folder: &tempfile::TempDir) -> String {
    let file = folder.path().join("policy.json");
    std::fs::write(&file, r#"{"version": 1, "name": "shop", "routes": []}"#).expect("written");
    file.to_str().expect("text").to_owned()
}

/// Begins to read `/slow`, as far as it comes.
fn half_read(proxy: &Proxy) -> TcpStream {
    let mut stream = TcpStream::connect(&proxy.address).expect("a connection");
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").expect("written");
    let mut all = Vec::new();
    while !all.ends_with(b"\r\n\r\nhalf") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a byte");
        all.push(byte[0]);
    }
    stream
}

#[test]
fn a_proxy_says_where_it_listens_and_ends_in_good_order() {
    let origin = Origin::start();
    let mut proxy = Proxy::start(&origin, &[]);
    assert_eq!(proxy.said["origins"], serde_json::json!([origin.url()]));
    assert_eq!((&proxy.said["policy"], &proxy.said["store"]), (&"shop".into(), &"memory".into()));
    assert_eq!((&proxy.said["admin"], &proxy.said["tls"]), (&Value::Null, &false.into()));
    assert_eq!(proxy.get("/"), "halfhalf");
    proxy.signal("-TERM");
    assert_eq!(proxy.ended().0, Some(0));
}

#[test]
fn a_proxy_is_part_of_the_cluster_before_its_first_request() {
    let (node, origin) = (Running::start(&[]), Origin::start());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pushed.json");
    // What the proxy is configured with stores nothing of an answer that says nothing of caching.
    std::fs::write(&file, r#"{"version": 1, "name": "shop", "defaults": {"ttl": "60s"}, "routes": []}"#)
        .expect("written");
    let push = node.run(&["policy", "push", file.to_str().expect("text")]);
    assert!(push.status.success(), "{push:?}");

    let proxy = Proxy::start(&origin, &["--store", &format!("http://{}", node.data)]);
    let purge = node.run(&["purge", "--all"]);
    assert!(purge.status.success() && stdout(&purge).contains("1 of 1 workers"), "{purge:?}");
    let first = ureq::get(format!("http://{}/", proxy.address)).call().expect("an answer");
    let status = first.headers()["cache-status"].to_str().expect("text");
    assert!(status.contains("stored"), "the first request is under the pushed policy: {status}");
}

#[test]
fn a_proxy_whose_cluster_is_silent_serves_all_the_same() {
    let origin = Origin::start();
    // It listens, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let store = format!("http://{}", silent.local_addr().expect("an address"));
    let mut proxy = Proxy::start(&origin, &["--store", &store]);
    assert!(proxy.line_with("the cluster has said nothing yet").contains("policy.json"));
    assert_eq!(proxy.get("/"), "halfhalf");
}

#[test]
fn what_is_under_way_is_waited_for() {
    let origin = Origin::start();
    let mut proxy = Proxy::start(&origin, &["--admin", "127.0.0.1:0"]);
    let mut reading = half_read(&proxy);
    proxy.signal("-INT");
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(&proxy.address).is_ok() {
        assert!(Instant::now() < deadline, "it goes on listening");
        std::thread::yield_now();
    }
    let ready = ureq::get(format!("http://{}/ready", proxy.said["admin"].as_str().expect("an address"))).call();
    assert!(ready.is_err_and(|error| error.to_string().contains("503")));
    origin.go_on.send(()).expect("it waits");
    let mut rest = String::new();
    reading.read_to_string(&mut rest).expect("the rest");
    assert_eq!(rest, "half");
    assert_eq!(proxy.ended().0, Some(0));
}

#[test]
fn what_takes_too_long_and_who_is_told_twice_are_failures() {
    let origin = Origin::start();
    let mut proxy = Proxy::start(&origin, &["--limit", "stop_timeout_ms=50"]);
    let _reading = half_read(&proxy);
    proxy.signal("-TERM");
    let (code, said) = proxy.ended();
    assert_eq!(code, Some(1));
    assert!(said.contains("still being worked on"), "{said}");

    let mut proxy = Proxy::start(&origin, &["--limit", "stop_timeout_ms=3600000"]);
    let _reading = half_read(&proxy);
    proxy.signal("-TERM");
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(&proxy.address).is_ok() {
        assert!(Instant::now() < deadline, "it goes on listening");
        std::thread::yield_now();
    }
    proxy.signal("-TERM");
    let (code, said) = proxy.ended();
    assert_eq!(code, Some(1));
    assert!(said.contains("told to stop twice"), "{said}");
}

#[test]
fn operators_see_how_it_is_and_what_it_does() {
    let origin = Origin::start();
    let proxy = Proxy::start(&origin, &["--admin", "127.0.0.1:0"]);
    assert_eq!((proxy.admin("/health"), proxy.admin("/ready")), ("ok\n".into(), "ready\n".into()));
    for _ in 0..3 {
        proxy.get("/");
    }
    let deadline = Instant::now() + PATIENCE;
    let metrics = loop {
        // A response is counted when it has ended, which the client may know first.
        let metrics = proxy.admin("/metrics");
        if metrics.contains(r#"larder_proxy_requests_total{status="2xx",end="complete"} 3"#) {
            break metrics;
        }
        assert!(Instant::now() < deadline, "{metrics}");
        std::thread::yield_now();
    };
    for line in [
        r#"larder_proxy_upstream_requests_total{status="2xx"} 3"#,
        "larder_proxy_upstream_seconds_count 3",
        r#"larder_proxy_upstream_seconds_bucket{le="60"} 3"#,
        r#"larder_proxy_connections{side="origin"} "#,
        "larder_proxy_response_bytes_total 24",
        "# TYPE larder_proxy_requests_total counter",
        "# HELP larder_proxy_requests_total ",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    // What the cache has counted, up to the last request.
    let counted = metrics.lines().filter(|line| line.starts_with("larder_requests_total{"));
    let counted = counted.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum::<u64>();
    assert_eq!(counted, 3, "{metrics}");
}

#[test]
fn the_access_log_says_what_happened_and_no_secrets() {
    let origin = Origin::start();
    let mut proxy = Proxy::start(&origin, &["--access-log", "--log", "json"]);
    let url = format!("http://{}/account?token=secret", proxy.address);
    ureq::get(url)
        .header("authorization", "Bearer secret")
        .header("cookie", "secret=1")
        .call()
        .expect("an answer")
        .body_mut()
        .read_to_string()
        .expect("text");
    let line = proxy.line_with("/account");
    let event: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((&event["target"], &event["method"]), (&"larder::access".into(), &"GET".into()));
    assert_eq!((&event["path"], &event["status"]), (&"/account".into(), &200.into()));
    assert_eq!((&event["host"], &event["client"]), (&proxy.address.clone().into(), &"127.0.0.1".into()));
    assert_eq!((&event["bytes"], &event["end"]), (&8.into(), &"complete".into()), "{line}");
    assert!(!line.contains("secret"), "{line}");
}

#[test]
fn a_certificate_is_read_anew_on_hangup() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let (chain, key) = (file("chain.pem"), file("key.pem"));
    let issue = || {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        std::fs::write(&chain, made.cert.pem()).expect("written");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    };
    issue();
    let origin = Origin::start();
    let mut proxy = Proxy::start(&origin, &["--tls-cert", &chain, "--tls-key", &key]);
    assert_eq!(proxy.said["tls"], true);
    issue();
    proxy.signal("-HUP");
    proxy.line_with("the certificate was read anew");
    std::fs::write(&key, "no key").expect("written");
    proxy.signal("-HUP");
    assert!(proxy.line_with("was not read anew").contains("key.pem"));
    proxy.signal("-TERM");
    assert_eq!(proxy.ended().0, Some(0));
}

#[test]
fn what_is_wrong_with_a_proxy_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = policy(&folder);
    let bad = folder.path().join("bad.json");
    std::fs::write(&bad, r#"{"version": 1, "name": "x", "routes": [{"name": "a", "path": "/", "tll": "1s"}]}"#)
        .expect("written");
    let bad = bad.to_str().expect("text").to_owned();
    let origin = ["--origin", "http://127.0.0.1:1"];
    for (arguments, code, text) in [
        (&["--policy", &good][..], 2, "--origin"),
        (&["--origin", "http://127.0.0.1:1"], 2, "--policy"),
        (&["--origin", "127.0.0.1:1", "--policy", &good], 2, "http://host:port"),
        (&["--origin", "http://h/base", "--policy", &good], 2, "no path"),
        (&[origin[0], origin[1], "--policy", "/nowhere/policy.json"], 1, "/nowhere/policy.json"),
        (&[origin[0], origin[1], "--policy", &bad], 1, "ttl"),
        (&[origin[0], origin[1], "--policy", &good, "--store", "papyrus:"], 1, "papyrus"),
        (&[origin[0], origin[1], "--policy", &good, "--limit", "body_max=3"], 1, "body_bytes_max"),
        (&[origin[0], origin[1], "--policy", &good, "--trust", "10.0.0.0/99"], 2, "10.0.0.0/8"),
        (&[origin[0], origin[1], "--policy", &good, "--tls-cert", "/nowhere/chain.pem"], 2, "--tls-key"),
        (
            &[
                origin[0],
                origin[1],
                "--policy",
                &good,
                "--tls-cert",
                "/nowhere/chain.pem",
                "--tls-key",
                "/nowhere/key.pem",
            ],
            1,
            "/nowhere/chain.pem",
        ),
        (
            &["--origin", "https://localhost:1", "--policy", &good, "--origin-ca", "/nowhere/ca.pem"],
            1,
            "/nowhere/ca.pem",
        ),
    ] {
        let output = run(&[&["proxy", "--listen", "127.0.0.1:0"], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        assert!(stderr(&output).contains(text), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn help_has_examples() {
    let output = run(&["proxy", "--help"]);
    assert!(stdout(&output).contains("larder proxy --origin http://127.0.0.1:3000 --policy"));
}
