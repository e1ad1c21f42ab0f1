//! The program itself: its ready line, its shutdown, and its database files.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{fs, process};

use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

/// A running `shop-api`; killed when a test fails before it ended.
pub struct Program {
    child: Child,
    ready: String,
}

impl Program {
    pub fn start(arguments: &[&str], temp: &Path) -> Program {
        let mut child = Command::new(env!("CARGO_BIN_EXE_shop-api"))
            .args(["--seed-products", "20"])
            .args(arguments)
            .env("TMPDIR", temp)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        Program { child, ready: ready.trim_end().to_owned() }
    }

    fn address(&self) -> &str {
        self.ready.strip_prefix("listening on http://").unwrap()
    }

    pub fn request(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        write!(stream, "{request}\r\nhost: shop\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    pub fn stop(mut self) -> ExitStatus {
        self.signal("-TERM");
        self.child.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Has an effect only where a test failed: one that passed has waited for the end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory for one test, removed at its end.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("shop-api-test-{name}-{}", process::id()));
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    pub fn is_empty(&self) -> bool {
        fs::read_dir(&self.0).unwrap().next().is_none()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn it_says_where_it_listens_and_ends_on_a_signal() {
    let temp = Directory::new("signals");
    for signal in ["-TERM", "-INT"] {
        let mut program = Program::start(&[], &temp.0);
        assert!(program.request("GET /healthz HTTP/1.1").starts_with("HTTP/1.1 200 OK"), "{}", program.ready);
        assert!(!temp.is_empty(), "the temporary database is there");
        program.signal(signal);
        assert!(program.child.wait().unwrap().success());
        assert!(temp.is_empty(), "the temporary database is gone");
    }
}

#[test]
fn idle_connections_do_not_hold_it_up_and_requests_under_way_are_answered() {
    let temp = Directory::new("graceful");
    let mut program = Program::start(&["--report-ms", "700"], &temp.0);
    let _silent = TcpStream::connect(program.address()).unwrap();
    let mut slow = TcpStream::connect(program.address()).unwrap();
    slow.write_all(b"GET /v1/reports/sales HTTP/1.1\r\nhost: shop\r\n\r\n").unwrap();
    // The request is under way when the counter says so.
    let deadline = Instant::now() + Duration::from_secs(30);
    while !program.request("GET /v1/stats HTTP/1.1").contains(r#""requests":1"#) {
        assert!(Instant::now() < deadline, "the request did not arrive");
    }
    program.signal("-TERM");
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("by_category"), "{answer}");
    assert!(program.child.wait().unwrap().success());
}

#[test]
fn the_ready_line_can_be_json() {
    let temp = Directory::new("json");
    let mut program = Program::start(&["--json"], &temp.0);
    let ready: Value = serde_json::from_str(&program.ready).unwrap();
    program.ready = format!("listening on {}", ready["listening"].as_str().unwrap());
    assert!(program.request("GET /v1/categories HTTP/1.1").contains("200 OK"));
    assert!(program.stop().success());
}

#[test]
fn a_named_database_keeps_what_was_written() {
    let directory = Directory::new("db");
    let arguments = ["--db", &directory.file("shop.db")];
    let program = Program::start(&arguments, &directory.0);
    assert!(program.request("DELETE /v1/products/20 HTTP/1.1").contains("204 No Content"));
    assert!(program.stop().success());

    let program = Program::start(&arguments, &directory.0);
    assert!(program.request("GET /v1/products HTTP/1.1").contains(r#""total":19"#));
    assert!(program.stop().success());
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let directory = Directory::new("text");
    let path = directory.file("notes.txt");
    fs::write(&path, "not a database, but longer than the header that one would have. ".repeat(20)).unwrap();
    assert_refused(&path, "file is not a database");
}

#[tokio::test]
async fn a_database_of_something_else_is_refused_and_left_alone() {
    let directory = Directory::new("foreign");
    let path = directory.file("other.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut other = options.connect().await.unwrap();
    sqlx::raw_sql("CREATE TABLE notes (text TEXT)").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    assert_refused(&path, "it holds something else than a shop; name another file");
}

fn assert_refused(path: &str, reason: &str) {
    let before = fs::read(path).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_shop-api")).args(["--db", path]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(error.contains(path) && error.contains(reason), "{error}");
    assert_eq!(fs::read(path).unwrap(), before);
}

#[test]
fn a_taken_port_is_an_error_that_says_what_to_do() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_shop-api")).args(["--listen", &address]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(error.contains(&format!("cannot listen on {address}; choose another address with --listen")), "{error}");
}
