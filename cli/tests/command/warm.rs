//! Warming as people do it: a real proxy with the cache, an origin behind it, the command in front; and a node that does it by itself.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{PATIENCE, Running, json, larder, run, run_with_input, stderr, stdout};

/// An origin whose answers go by the path, and that remembers what it was asked: `PATH LANGUAGE`.
struct Origin {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Origin {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let seen = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, seen) = (stream.expect("a connection"), seen.clone());
                std::thread::spawn(move || answer(stream, &seen));
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().expect("a lock").clone();
        asked.sort();
        asked
    }

    fn count(&self, what: &str) -> usize {
        self.asked().iter().filter(|asked| *asked == what).count()
    }
}

fn answer(mut stream: TcpStream, seen: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a copy"));
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let language = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("accept-language: ").map(str::to_owned));
        seen.lock().expect("a lock").push(format!("{path} {}", language.unwrap_or_default()).trim().to_owned());
        let (status, fields, body) = match path.as_str() {
            "/private" => ("200 OK", "Cache-Control: private\r\n", "mine".to_owned()),
            "/down" => ("503 Service Unavailable", "", "down".to_owned()),
            "/old" => ("302 Found", "Location: /items/9\r\n", String::new()),
            "/sitemap.xml" => (
                "200 OK",
                "Content-Type: application/xml\r\n",
                "<urlset><url><loc>http://shop.test/items/1</loc></url><url><loc>http://evil.test/items/2</loc></url></urlset>".to_owned(),
            ),
            path => ("200 OK", "Cache-Control: max-age=600\r\nETag: \"1\"\r\n", format!("this is {path}")),
        };
        let length = body.len();
        let text = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{fields}\r\n{body}");
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

const POLICY: &str = r#"{
  "version": 1, "name": "shop",
  "routes": [
    { "name": "list", "host": "shop.test", "path": "/list", "ttl": "10m", "key": { "accept_language": ["en", "de"] }, "tags": ["lists"],
      "warm": [{ "url": "/list", "every": "5m" }] },
    { "name": "rest", "host": "shop.test", "path": "/{*rest}", "ttl": "respect" }
  ]
}"#;

/// `larder proxy` in front of an origin. Killed when dropped.
struct Proxy {
    child: Child,
    url: String,
    policy: String,
    folder: tempfile::TempDir,
}

impl Proxy {
    fn start(origin: &Origin, arguments: &[&str]) -> Self {
        Self::listen("127.0.0.1:0", origin, arguments)
    }

    fn listen(address: &str, origin: &Origin, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let policy = folder.path().join("policy.json");
        std::fs::write(&policy, POLICY).expect("written");
        let policy = policy.to_str().expect("text").to_owned();
        let origin = format!("http://{}", origin.address);
        let common = ["proxy", "--listen", address, "--json", "--origin", &origin, "--policy", &policy];
        let mut command = larder(&[&common, arguments].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("standard output")).read_line(&mut line).expect("a line");
        let said: Value = serde_json::from_str(&line).expect("JSON");
        let url = format!("http://{}", said["proxy"].as_str().expect("an address"));
        Self { child, url, policy, folder }
    }

    /// Warms through it.
    fn warm(&self, arguments: &[&str]) -> Output {
        run(&[&["warm", "--via", &self.url, "--policy", &self.policy, "--rate", "off", "--retries", "0"], arguments]
            .concat())
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.to_str().expect("text").to_owned()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn outcomes(output: &Output) -> Vec<(String, String)> {
    let report = json(output);
    let requests = report["requests"].as_array().expect("a list");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut outcomes: Vec<_> =
        requests.iter().map(|request| (text(&request["url"]), text(&request["outcome"]))).collect();
    outcomes.sort();
    outcomes
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(url, outcome)| ((*url).to_owned(), (*outcome).to_owned())).collect()
}

#[test]
fn what_a_policy_names_is_warmed_once_in_each_variant_and_is_then_there() {
    let origin = Origin::start();
    let proxy = Proxy::start(&origin, &[]);
    let first = proxy.warm(&["--json", "http://shop.test/items/1"]);
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    let (list, item) = ("http://shop.test/list", "http://shop.test/items/1");
    assert_eq!(outcomes(&first), pairs(&[(item, "warmed"), (list, "warmed"), (list, "warmed")]));
    assert_eq!(json(&first)["counts"], json!({"warmed": 3, "fresh": 0, "not_stored": 0, "failed": 0}));
    assert_eq!(origin.asked(), ["/items/1", "/list de", "/list en"]);
    let again = proxy.warm(&["http://shop.test/items/1"]);
    assert!(
        stdout(&again).starts_with("warmed 0, already fresh 3, not stored 0, failed 0: 3 requests through http://127"),
        "{again:?}"
    );
    assert!(stderr(&again).is_empty() && !stdout(&again).contains('\x1b'), "{again:?}");
    // A client finds it.
    let mut client = ureq::get(format!("{}/list", proxy.url))
        .header("host", "shop.test")
        .header("accept-language", "de-AT")
        .call()
        .expect("an answer");
    assert!(client.headers()["cache-status"].to_str().expect("text").contains("; hit"), "{client:?}");
    assert_eq!(client.body_mut().read_to_string().expect("text"), "this is /list");
    assert_eq!(origin.asked().len(), 3);
}

#[test]
fn what_is_not_stored_and_what_fails_is_told_with_the_reason() {
    let origin = Origin::start();
    let proxy = Proxy::start(&origin, &[]);
    let input = "http://shop.test/private\n# not this one\n\nhttp://shop.test/down\n/list\n";
    let arguments = [
        "warm",
        "--via",
        &proxy.url,
        "--policy",
        &proxy.policy,
        "--site",
        "http://shop.test",
        "--retries",
        "1",
        "--urls",
        "-",
    ];
    let output = run_with_input(&arguments, input);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = stdout(&output);
    assert!(text.starts_with("warmed 2, already fresh 0, not stored 1, failed 1: 4 requests"), "{text}");
    assert!(text.contains("not stored, private: 1\n  http://shop.test/private\n"), "{text}");
    assert!(text.contains("failed, status 503: 1\n  http://shop.test/down\n"), "{text}");
    assert_eq!(origin.count("/down"), 2, "sent again once");
}

#[test]
fn sitemaps_and_documents_name_urls_and_never_whom_to_connect_to() {
    let origin = Origin::start();
    let proxy = Proxy::start(&origin, &[]);
    let elsewhere = TcpListener::bind("127.0.0.1:0").expect("a port");
    elsewhere.set_nonblocking(true).expect("set");
    let evil = elsewhere.local_addr().expect("an address");
    let index = format!(
        "<sitemapindex><sitemap><loc>http://shop.test/sitemap.xml</loc></sitemap><sitemap><loc>http://{evil}/sitemap.xml</loc></sitemap>\
         <sitemap><loc>/etc/passwd</loc></sitemap></sitemapindex>"
    );
    let index = proxy.file("index.xml", index.as_bytes());
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(format!("<urlset><url><loc>http://shop.test/items/3?a=1&amp;b=2</loc></url><url><loc>http://{evil}/x</loc></url></urlset>").as_bytes()).expect("packed");
    let packed = proxy.file("more.xml.gz", &packed.finish().expect("packed"));
    let document = proxy.file(
        "api.yaml",
        b"openapi: 3.0.3\nservers: [{url: 'http://shop.test'}]\npaths:\n  /items/{id}:\n    get: {parameters: [{in: path, name: id, example: 4}]}\n  /carts/{id}: {get: {}}\n",
    );
    let output = proxy.warm(&["--json", "--sitemap", &index, "--sitemap", &packed, "--openapi", &document]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let (list, item) = ("http://shop.test/list", |id: &str| format!("http://shop.test/items/{id}"));
    let (first, third, fourth) = (item("1"), item("3?a=1&b=2"), item("4"));
    assert_eq!(
        outcomes(&output),
        pairs(&[(&first, "warmed"), (&third, "warmed"), (&fourth, "warmed"), (list, "warmed"), (list, "warmed")])
    );
    let report = json(&output);
    let refused: Vec<&str> =
        report["refused"].as_array().expect("a list").iter().filter_map(|one| one["url"].as_str()).collect();
    assert_eq!(refused, ["http://evil.test/items/2", &format!("http://{evil}/x")]);
    let left_out: Vec<&str> = report["left_out"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(left_out.len(), 3, "{left_out:?}");
    assert!(
        left_out[0].contains(&evil.to_string())
            && left_out[1].contains("/etc/passwd")
            && left_out[2].contains("/carts/{id}")
    );
    assert_eq!(
        elsewhere.accept().map_err(|error| error.kind()).err(),
        Some(std::io::ErrorKind::WouldBlock),
        "nobody connects"
    );
}

#[test]
fn a_dry_run_asks_for_nothing_and_redirects_are_followed_where_asked_for() {
    let origin = Origin::start();
    let proxy = Proxy::start(&origin, &[]);
    let dry = proxy.warm(&["--dry-run", "http://other.test/"]);
    assert_eq!(dry.status.code(), Some(0));
    let text = stdout(&dry);
    assert!(
        text.contains(
            "GET http://shop.test/list (accept-language: en)\nGET http://shop.test/list (accept-language: de)\n"
        ),
        "{text}"
    );
    assert!(text.contains("not asked for: 1\n  http://other.test/: no route of the policy matches it\n"), "{text}");
    assert!(origin.asked().is_empty());
    let left = proxy.warm(&["--json", "http://shop.test/old"]);
    assert!(outcomes(&left).contains(&("http://shop.test/old".to_owned(), "not_stored".to_owned())), "{left:?}");
    assert_eq!(origin.count("/items/9"), 0);
    let followed = proxy.warm(&["--json", "--follow-redirects", "http://shop.test/old"]);
    assert!(outcomes(&followed).contains(&("http://shop.test/old".to_owned(), "warmed".to_owned())), "{followed:?}");
    assert_eq!(origin.count("/items/9"), 1);
}

#[test]
fn what_makes_no_sense_is_said() {
    for (arguments, code, part) in [
        (&["--via", "https://h", "/a"][..], 2, "is behind TLS"),
        (&["--via", "http://127.0.0.1:1"], 1, "there is nothing to warm"),
        (&["--via", "http://127.0.0.1:1", "--rate", "x", "/a"], 2, "is no rate"),
        (&["--via", "http://127.0.0.1:1", "--header", "Host: h", "/a"], 1, "is not one to be set here"),
        (&["--via", "http://127.0.0.1:1", "--sitemap", "/nowhere.xml"], 1, "the sitemap /nowhere.xml"),
        (&["--via", "http://127.0.0.1:1", "--sitemap", "http://169.254.169.254/s.xml"], 1, "is not a named site"),
    ] {
        let output = run(&[&["warm"], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(stderr(&output).contains(part), "{output:?}");
    }
    let gone = run(&["warm", "--via", "http://127.0.0.1:1", "--retries", "0", "/a"]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(stdout(&gone).contains("failed, cannot connect to http://127.0.0.1:1"), "{gone:?}");
    let nothing = run(&["warm", "--via", "http://127.0.0.1:1", "http://evil.test/"]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(stdout(&nothing).contains("http://evil.test/: evil.test is not a named site"), "{nothing:?}");
}

#[test]
fn a_node_warms_by_itself_and_again_after_a_purge() {
    let origin = Origin::start();
    let proxy = Proxy::start(&origin, &[]);
    let node = Running::start(&["--warm-via", &proxy.url, "--policy", &proxy.policy]);
    let shown = || {
        let mut answer = ureq::get(format!("{}/v1/warming", node.admin)).call().expect("an answer");
        answer.body_mut().read_json::<Value>().expect("JSON")
    };
    let outcomes = |shown: &Value| {
        let requests = shown["requests"].as_array().expect("a list").clone();
        requests
            .iter()
            .map(|request| request["last"]["outcome"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let until = |what: &str, good: &dyn Fn(&Value) -> bool| {
        let end = Instant::now() + PATIENCE;
        loop {
            let shown = shown();
            if good(&shown) {
                return shown;
            }
            assert!(Instant::now() < end, "{what}: {shown}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    };
    until("warmed at its start", &|shown| outcomes(shown) == ["warmed", "warmed"]);
    assert_eq!(origin.asked(), ["/list de", "/list en"]);
    // The proxy has a cache of its own, which does not hear of the node's purges: it is still fresh there.
    assert_eq!(node.run(&["purge", "--tag", "lists"]).status.code(), Some(0));
    let after = until("asked again after the purge", &|shown| outcomes(shown) == ["fresh", "fresh"]);
    assert_eq!((&after["holder"]["state"], &after["refused_in_all"]), (&json!("here"), &json!(0)));
    let (code, said) = node.terminate();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("this node warms"), "{said}");
    // What is pushed is warmed, whatever the node was given.
    let bare = Running::start(&["--warm-via", &proxy.url]);
    let pushed = bare.run(&["policy", "push", &proxy.policy]);
    assert_eq!(pushed.status.code(), Some(0), "{pushed:?}");
    let end = Instant::now() + PATIENCE;
    loop {
        let shown = ureq::get(format!("{}/v1/warming", bare.admin)).call().expect("an answer").body_mut().read_json();
        let shown: Value = shown.expect("JSON");
        if outcomes(&shown) == ["fresh", "fresh"] {
            break;
        }
        assert!(Instant::now() < end, "{shown}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let wrong = run(&["node", "--warm-rate", "5"]);
    assert!(stderr(&wrong).contains("nothing is warmed without --warm-via"), "{wrong:?}");
}

#[test]
fn a_purge_at_the_node_brings_the_origins_new_answer_before_any_client_asks() {
    let origin = Origin::start();
    // Each of the two is told where the other is: this one is not there yet.
    let address = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let policy = folder.path().join("policy.json");
    std::fs::write(&policy, POLICY).expect("written");
    let via = format!("http://{address}");
    let node = Running::start(&["--warm-via", &via, "--policy", policy.to_str().expect("text")]);
    let _proxy = Proxy::listen(&address, &origin, &["--store", &format!("http://{}", node.data)]);
    ureq::post(format!("{}/v1/warming", node.admin)).send_json(json!({})).expect("taken");
    let until = |times| {
        let end = Instant::now() + PATIENCE;
        while origin.count("/list de") < times || origin.count("/list en") < times {
            assert!(Instant::now() < end, "{:?}", origin.asked());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    };
    until(1);
    assert_eq!(node.run(&["purge", "--tag", "lists"]).status.code(), Some(0));
    until(2);
    assert_eq!(node.run(&["purge", "--prefix", "http://shop.test/other"]).status.code(), Some(0));
    assert_eq!(origin.asked().len(), 4);
}

#[test]
fn a_node_warms_what_the_policy_names_that_is_pushed_and_after_a_rollback_what_was_before() {
    let origin = Origin::start();
    let proxy = Proxy::start(&origin, &[]);
    let node = Running::start(&["--warm-via", &proxy.url, "--policy", &proxy.policy]);
    let until = |what: &str| {
        let end = Instant::now() + PATIENCE;
        while origin.count(what) == 0 {
            assert!(Instant::now() < end, "{what}: {:?}", origin.asked());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    };
    let total = || {
        let mut answer = ureq::get(format!("{}/v1/warming", node.admin)).call().expect("an answer");
        answer.body_mut().read_json::<Value>().expect("JSON")["total"].as_u64()
    };
    until("/list de");
    let more = POLICY.replace(r#""every": "5m" }"#, r#""every": "5m" }, { "url": "/list?page=2", "every": "5m" }"#);
    let (more, other) = (proxy.file("more.json", more.as_bytes()), POLICY.replace("\"shop\"", "\"another\""));
    assert_eq!(node.run(&["policy", "push", &proxy.policy]).status.code(), Some(0));
    assert_eq!(node.run(&["policy", "push", &more]).status.code(), Some(0));
    until("/list?page=2 de");
    assert_eq!(total(), Some(4));
    // One of a name that the node was not given is not its business.
    let other = proxy.file("other.json", other.replace("/list", "/other").as_bytes());
    assert_eq!(node.run(&["policy", "push", &other]).status.code(), Some(0));
    assert_eq!(node.run(&["policy", "rollback", "shop"]).status.code(), Some(0));
    let end = Instant::now() + PATIENCE;
    while total() != Some(2) {
        assert!(Instant::now() < end, "{:?}", total());
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert_eq!(origin.count("/other en"), 0);
}
