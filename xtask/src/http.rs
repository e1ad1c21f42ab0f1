//! A small HTTP/1.1 client for what demo and bench ask servers on 127.0.0.1: one request, one connection, unless it is kept.
//! Decodes framing and nothing else; follows nothing, retries nothing.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

const CONNECT_WITHIN: Duration = Duration::from_secs(2);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const BODY_BYTES_MAX: u64 = 64 << 20;

/// What to ask for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: &'static str,
    /// Path and query.
    pub target: String,
    /// Fields beside `Host`, `Connection` and `Content-Length`.
    pub fields: Vec<(&'static str, String)>,
    /// The body, with its type; empty for none.
    pub body: Vec<u8>,
}

impl Request {
    /// GET without fields.
    pub fn get(target: impl Into<String>) -> Self {
        Self { method: "GET", target: target.into(), fields: Vec::new(), body: Vec::new() }
    }

    /// With one more field.
    #[must_use]
    pub fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Fields in order, names in lower case.
    pub fields: Vec<(String, String)>,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// From the first byte sent to the last byte read, the connection being there.
    pub took: Duration,
}

impl Response {
    /// The first value of a field; `name` in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends a request to a port of this machine and reads the whole answer.
pub fn send(port: u16, request: &Request) -> Result<Response> {
    let asked = || format!("{} http://127.0.0.1:{port}{}", request.method, request.target);
    exchange(port, request).with_context(asked)
}

/// Like [`send`], to any address, and an error where connecting, sending or reading takes longer than `patience` at once.
pub fn send_to(address: SocketAddr, request: &Request, patience: Duration) -> Result<Response> {
    let asked = || format!("{} http://{address}{}", request.method, request.target);
    let stream = BufReader::new(connect(address, patience).with_context(asked)?);
    Connection { port: address.port(), stream }.ask(request).with_context(asked)
}

/// GET without fields; the body of a 200, an error for anything else.
pub fn text(port: u16, target: &str) -> Result<String> {
    let response = send(port, &Request::get(target))?;
    ensure!(response.status == 200, "GET http://127.0.0.1:{port}{target} is answered by {}", response.status);
    Ok(response.text())
}

/// A connection that is kept for one request after another.
#[derive(Debug)]
pub struct Connection {
    port: u16,
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects to a port of this machine.
    pub fn open(port: u16) -> Result<Self> {
        Self::open_within(port, ANSWER_WITHIN)
    }

    /// Connects to a port of this machine; who waits longer than `patience` for a byte gives up.
    pub fn open_within(port: u16, patience: Duration) -> Result<Self> {
        Ok(Self { port, stream: BufReader::new(connect(local(port), patience)?) })
    }

    /// Waits for the first byte of an answer. `false`: the connection was closed before it.
    pub fn answer_begins(&mut self) -> io::Result<bool> {
        Ok(!self.stream.fill_buf()?.is_empty())
    }

    /// Sends a request without waiting for the answer.
    pub fn send(&mut self, request: &Request) -> Result<()> {
        Ok(self.stream.get_mut().write_all(&encode(self.port, request, true))?)
    }

    /// Reads the answer to a request of that method.
    pub fn receive(&mut self, method: &str) -> Result<Response> {
        receive(&mut self.stream, method)
    }

    /// Sends a request and reads the whole answer.
    pub fn ask(&mut self, request: &Request) -> Result<Response> {
        self.send(request)?;
        self.receive(request.method)
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn connect(address: SocketAddr, patience: Duration) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, CONNECT_WITHIN.min(patience)).context("nobody listens there")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    Ok(stream)
}

fn exchange(port: u16, request: &Request) -> Result<Response> {
    let mut stream = connect(local(port), ANSWER_WITHIN)?;
    let started = Instant::now();
    stream.write_all(&encode(port, request, false))?;
    let mut response = receive(&mut BufReader::new(stream), request.method)?;
    response.took = started.elapsed();
    Ok(response)
}

fn encode(port: u16, request: &Request, keep: bool) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
    if !request.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str(&format!("host: 127.0.0.1:{port}\r\n"));
    }
    for (name, value) in &request.fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !request.body.is_empty() {
        head.push_str(&format!("content-length: {}\r\n", request.body.len()));
    }
    head.push_str(if keep { "\r\n" } else { "connection: close\r\n\r\n" });
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&request.body);
    bytes
}

fn receive(input: &mut impl BufRead, method: &str) -> Result<Response> {
    let mut head = head(input)?;
    while (100..200).contains(&head.status) {
        head = self::head(input)?;
    }
    let chunked = head.field("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    head.body = if method == "HEAD" || matches!(head.status, 204 | 304) {
        Vec::new()
    } else if chunked {
        chunks(input)?
    } else if let Some(length) = head.field("content-length") {
        let length = length.parse().with_context(|| format!("content-length: {length}"))?;
        exactly(input, length)?
    } else {
        let mut body = Vec::new();
        input.take(BODY_BYTES_MAX).read_to_end(&mut body)?;
        body
    };
    Ok(head)
}

fn head(input: &mut impl BufRead) -> Result<Response> {
    let status_line = line(input)?;
    let status = status_line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse().ok());
    let Some(status) = status else { bail!("the answer begins with {status_line:?}") };
    let mut fields = Vec::new();
    loop {
        let line = line(input)?;
        if line.is_empty() {
            return Ok(Response { status, fields, body: Vec::new(), took: Duration::ZERO });
        }
        let (name, value) = line.split_once(':').with_context(|| format!("a field without a colon: {line:?}"))?;
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn chunks(input: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(input)?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        let length = u64::from_str_radix(digits, 16).with_context(|| format!("a chunk of size {size:?}"))?;
        if length == 0 {
            while !line(input)?.is_empty() {}
            return Ok(body);
        }
        body.extend(exactly(input, length)?);
        ensure!(line(input)?.is_empty(), "a chunk longer than its size");
    }
}

fn exactly(input: &mut impl BufRead, length: u64) -> Result<Vec<u8>> {
    ensure!(length <= BODY_BYTES_MAX, "a body of {length} bytes");
    let mut body = Vec::new();
    input.take(length).read_to_end(&mut body)?;
    ensure!(body.len() as u64 == length, "the body was cut after {} of {length} bytes", body.len());
    Ok(body)
}

fn line(input: &mut impl BufRead) -> Result<String> {
    let mut bytes = Vec::new();
    input.take(64 << 10).read_until(b'\n', &mut bytes)?;
    ensure!(bytes.ends_with(b"\n"), "the connection was closed before the answer was complete");
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, wire: &str) -> Result<Response> {
        receive(&mut wire.as_bytes(), method)
    }

    #[test]
    fn bodies_are_framed_by_length_by_chunks_and_by_the_end() {
        let by_length = read("GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A: b\r\n\r\nabcdef").unwrap();
        assert_eq!((by_length.status, by_length.text().as_str(), by_length.field("x-a")), (200, "abc", Some("b")));
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nt: u\r\n\r\n";
        assert_eq!(read("GET", chunked).unwrap().text(), "abc");
        assert_eq!(read("GET", "HTTP/1.0 200 OK\r\n\r\nabc").unwrap().text(), "abc");
    }

    #[test]
    fn answers_without_a_body_are_not_waited_for() {
        for (method, status) in [("HEAD", 200), ("GET", 304), ("GET", 204)] {
            let wire = format!("HTTP/1.1 {status} X\r\ncontent-length: 7\r\n\r\n");
            assert_eq!(read(method, &wire).unwrap().body, b"");
        }
        let early = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(read("GET", early).unwrap().status, 200);
    }

    #[test]
    fn broken_answers_are_errors() {
        for wire in [
            "",
            "HTTP/1.1 200",
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabc",
            "SSH-2.0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx\r\n\r\n",
        ] {
            assert!(read("GET", wire).is_err(), "{wire:?}");
        }
    }
}
