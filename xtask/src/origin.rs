//! A small HTTP/1.1 server in this program, for origins that count or whose answers change: a thread for each connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result};

const BODY_BYTES_MAX: u64 = 1 << 20;

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Fields in order, names in lower case.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Received {
    /// The first value of a field; `name` in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What to answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Fields beside `Content-Length`.
    pub fields: Vec<(&'static str, String)>,
    /// The body; a 304 is sent without.
    pub body: Vec<u8>,
}

impl Reply {
    /// A response without fields.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, fields: Vec::new(), body: body.into() }
    }

    /// With one more field.
    #[must_use]
    pub fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    fn bytes(&self, method: &str) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} X\r\n", self.status);
        for (name, value) in &self.fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.status == 304 {
            head.push_str("\r\n");
            return head.into_bytes();
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", self.body.len()));
        let mut bytes = head.into_bytes();
        if method != "HEAD" {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// A running server; it accepts nothing more when this is dropped.
#[derive(Debug)]
pub struct Origin {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    ended: Arc<AtomicBool>,
}

impl Origin {
    /// Answers each request by what `answer` says.
    pub fn start(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot bind a port of 127.0.0.1")?;
        let port = listener.local_addr().context("a listener without an address")?.port();
        let ended = Arc::new(AtomicBool::new(false));
        let (answer, over) = (Arc::new(answer), ended.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), answer) = (stream, answer.clone()) else { continue };
                // A connection ends with an error where the other side has gone.
                thread::spawn(move || converse(stream, &*answer));
            }
        });
        Ok(Self { port, ended })
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // It waits for a connection: this one.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn converse(mut stream: TcpStream, answer: &dyn Fn(&Received) -> Reply) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream.try_clone()?);
    while let Some(received) = receive(&mut input)? {
        stream.write_all(&answer(&received).bytes(&received.method))?;
    }
    Ok(())
}

/// The next request; `None` where there is no more.
fn receive(input: &mut impl BufRead) -> Result<Option<Received>> {
    let Some(first) = line(input)? else { return Ok(None) };
    let mut words = first.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let (method, target) = (method.to_owned(), target.to_owned());
    let mut fields = Vec::new();
    while let Some(line) = line(input)?.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').context("a field without a colon")?;
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut received = Received { method, target, fields, body: Vec::new() };
    let length = received.field("content-length").map_or(Ok(0), str::parse::<u64>)?;
    input.take(length.min(BODY_BYTES_MAX)).read_to_end(&mut received.body)?;
    Ok(Some(received))
}

fn line(input: &mut impl BufRead) -> Result<Option<String>> {
    let mut bytes = Vec::new();
    input.take(64 << 10).read_until(b'\n', &mut bytes)?;
    let whole = bytes.ends_with(b"\n");
    Ok(whole.then(|| String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Connection, Request};

    #[test]
    fn requests_are_answered_one_after_the_other_on_one_connection() {
        let origin = Origin::start(|received| {
            let status = if received.method == "POST" { 201 } else { 200 };
            Reply::new(status, [received.target.as_bytes(), &received.body].concat()).field("x-a", "b")
        })
        .unwrap();
        let mut connection = Connection::open(origin.port).unwrap();
        assert_eq!(connection.ask(&Request::get("/a")).unwrap().text(), "/a");
        let post = Request { method: "POST", body: b"!".to_vec(), ..Request::get("/b") };
        let response = connection.ask(&post).unwrap();
        assert_eq!((response.status, response.text().as_str(), response.field("x-a")), (201, "/b!", Some("b")));
        let head = Request { method: "HEAD", ..Request::get("/c") };
        assert_eq!(connection.ask(&head).unwrap().body, b"");
        assert_eq!(connection.ask(&Request::get("/d")).unwrap().text(), "/d");
    }

    #[test]
    fn a_request_has_its_fields_and_its_end() {
        let received =
            receive(&mut &b"POST /x HTTP/1.1\r\nHost: n\r\ncontent-length: 2\r\n\r\nabc"[..]).unwrap().unwrap();
        assert_eq!((received.field("host"), received.body.as_slice()), (Some("n"), &b"ab"[..]));
        assert_eq!(receive(&mut &b""[..]).unwrap(), None);
        assert_eq!(receive(&mut &b"GET /x"[..]).unwrap(), None);
    }
}
