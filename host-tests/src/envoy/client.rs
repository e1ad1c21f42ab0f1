//! An HTTP/1.1 client that shows responses as they are on the wire: order and bytes of fields, 1xx, trailers, cuts.
//!
//! Follows nothing, retries nothing, decodes nothing but the framing.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::wait::LIMIT;

/// A response, or as much of it as came.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Fields in order of arrival, names as received.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body, without its framing.
    pub body: Vec<u8>,
    /// Fields after a chunked body.
    pub trailers: Vec<(String, Vec<u8>)>,
    /// 1xx responses that came first.
    pub interim: Vec<Interim>,
    /// Whether body and trailers arrived whole.
    pub complete: bool,
}

/// A 1xx response.
#[derive(Clone, Debug)]
pub struct Interim {
    /// The status code.
    pub status: u16,
    /// Its fields.
    pub fields: Vec<(String, Vec<u8>)>,
}

impl Response {
    /// The first value of a field, whatever the case of its name; what is not UTF-8 is replaced.
    pub fn field(&self, name: &str) -> Option<String> {
        self.all(name).into_iter().next()
    }

    /// Every value of a field, in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        let lines = self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        lines.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A status and the fields after it.
type Head = (u16, Vec<(String, Vec<u8>)>);

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects to a port of this machine.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(port: u16) -> io::Result<Self> {
        Self::connect_within(port, LIMIT)
    }

    /// Connects; reads give up after `patience`.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect_within(port: u16, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends a request. `Host` is `localhost` and `Content-Length` the body's length where `fields` do not say otherwise.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> io::Result<()> {
        let has = |name: &str| fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if !has("host") {
            head.push_str("host: localhost\r\n");
        }
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() && !has("content-length") && !has("transfer-encoding") {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.send_raw(&bytes)
    }

    /// Reads the response to a request of this method.
    ///
    /// # Errors
    /// The connection ended or nothing came before a whole head was there. A cut body is no error: see `complete`.
    pub fn receive(&mut self, method: &str) -> io::Result<Response> {
        let mut interim = Vec::new();
        loop {
            let (status, fields) = self.head()?;
            if (100..200).contains(&status) && status != 101 {
                interim.push(Interim { status, fields });
                continue;
            }
            let mut response = Response { status, fields, interim, ..Response::default() };
            let bodiless = method == "HEAD" || matches!(status, 101 | 204 | 304);
            response.complete = bodiless || self.body(&mut response).is_ok();
            return Ok(response);
        }
    }

    /// One request and its response.
    ///
    /// # Errors
    /// As [`Client::send`] and [`Client::receive`].
    pub fn call(&mut self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> io::Result<Response> {
        self.send(method, target, fields, body)?;
        self.receive(method)
    }

    /// Reads exactly this many bytes, whatever they are.
    ///
    /// # Errors
    /// They do not come.
    pub fn receive_raw(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// The connection's socket, to close it from elsewhere.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub fn socket(&self) -> io::Result<TcpStream> {
        self.stream.get_ref().try_clone()
    }

    /// Goes away.
    pub fn close(self) {
        let _ = self.stream.get_ref().shutdown(Shutdown::Both);
    }

    fn head(&mut self) -> io::Result<Head> {
        let line = self.line()?;
        let text = String::from_utf8_lossy(&line).into_owned();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("not a status line: {text:?}")))?;
        Ok((status, self.fields()?))
    }

    fn fields(&mut self) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
            let (name, value) = line.split_at(colon);
            let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii();
            fields.push((String::from_utf8_lossy(name).into_owned(), value.to_vec()));
        }
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(line)
    }

    fn body(&mut self, response: &mut Response) -> io::Result<()> {
        if response.all("transfer-encoding").iter().any(|coding| coding.contains("chunked")) {
            return self.chunks(response);
        }
        match response.field("content-length").and_then(|length| length.parse::<u64>().ok()) {
            Some(length) => {
                let read = (&mut self.stream).take(length).read_to_end(&mut response.body)?;
                if read as u64 == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
            }
            None => self.stream.read_to_end(&mut response.body).map(drop),
        }
    }

    fn chunks(&mut self, response: &mut Response) -> io::Result<()> {
        loop {
            let line = self.line()?;
            let size = String::from_utf8_lossy(&line);
            let size = u64::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16);
            let size = size.map_err(io::Error::other)?;
            if size == 0 {
                response.trailers = self.fields()?;
                return Ok(());
            }
            let read = (&mut self.stream).take(size).read_to_end(&mut response.body)?;
            if read as u64 != size {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.line()?;
        }
    }
}

/// GET on a connection of its own.
///
/// # Panics
/// Where there is no response.
#[track_caller]
pub fn get(port: u16, target: &str, fields: &[(&str, &str)]) -> Response {
    request(port, "GET", target, fields, b"")
}

/// HEAD on a connection of its own.
///
/// # Panics
/// Where there is no response.
#[track_caller]
pub fn head(port: u16, target: &str, fields: &[(&str, &str)]) -> Response {
    request(port, "HEAD", target, fields, b"")
}

/// Any request on a connection of its own.
///
/// # Panics
/// Where there is no response.
#[track_caller]
pub fn request(port: u16, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Response {
    match try_request(port, method, target, fields, body) {
        Ok(response) => response,
        Err(error) => panic!("{method} {target}: no response: {error}"),
    }
}

pub(super) fn try_request(
    port: u16,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Response> {
    Client::connect(port)?.call(method, target, fields, body)
}
