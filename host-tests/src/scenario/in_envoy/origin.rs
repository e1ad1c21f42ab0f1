//! The origin behind Envoy: it reads requests and sends the bytes that it is told, connection by connection.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::scenario::executor::{ArrivalId, Event, Lines, Part, SentAnswer, SentReaction, SentRequest};

/// What a connection is told.
#[derive(Debug)]
enum Order {
    Bytes(Vec<u8>),
    /// The answer is complete; the next request may come.
    Next,
    Close,
}

type Orders = Arc<Mutex<HashMap<ArrivalId, (Sender<Order>, String)>>>;

/// The origin.
#[derive(Debug)]
pub(super) struct Origin {
    pub port: u16,
    orders: Orders,
    arrivals: Arc<AtomicU64>,
}

impl Origin {
    /// Begins to listen; requests go to `events`.
    pub fn start(events: Sender<Event>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let (orders, arrivals) = (Orders::default(), Arc::new(AtomicU64::new(0)));
        let origin = Self { port, orders: orders.clone(), arrivals: arrivals.clone() };
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let (orders, arrivals, events) = (orders.clone(), arrivals.clone(), events.clone());
                thread::spawn(move || serve(connection, &orders, &arrivals, &events));
            }
        });
        Ok(origin)
    }

    /// Requests that have arrived.
    pub fn arrived(&self) -> u64 {
        self.arrivals.load(Ordering::SeqCst)
    }

    /// Requests that have no whole answer yet.
    pub fn unanswered(&self) -> u64 {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    /// Sends a part of an answer. Where Envoy has gone away meanwhile, nothing happens.
    pub fn answer(&self, arrival: ArrivalId, answer: &SentAnswer, part: Part) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((sender, method)) = orders.get(&arrival) else { return };
        let status = match answer.reaction {
            SentReaction::Respond(status) => status,
            SentReaction::Refuse | SentReaction::Reset => {
                let _ = sender.send(Order::Close);
                orders.remove(&arrival);
                return;
            }
            SentReaction::Silence => return,
        };
        let bodiless = method == "HEAD" || matches!(status, 204 | 304);
        let chunked = answer.chunked || !answer.trailers.is_empty();
        let mut bytes = Vec::new();
        if part != Part::Rest {
            head(&mut bytes, answer, status, method, chunked);
        }
        if part != Part::Head && !bodiless {
            body(&mut bytes, answer, chunked);
        }
        let _ = sender.send(Order::Bytes(bytes));
        if part != Part::Head {
            let _ = sender.send(if answer.cut_after.is_some() { Order::Close } else { Order::Next });
            orders.remove(&arrival);
        }
    }
}

fn put_lines(bytes: &mut Vec<u8>, lines: &Lines) {
    for (name, value) in lines {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
}

fn head(bytes: &mut Vec<u8>, answer: &SentAnswer, status: u16, method: &str, chunked: bool) {
    for (status, lines) in &answer.interim {
        bytes.extend_from_slice(format!("HTTP/1.1 {status} Interim\r\n").as_bytes());
        put_lines(bytes, lines);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("HTTP/1.1 {status} Scripted\r\n").as_bytes());
    put_lines(bytes, &answer.fields);
    // An answer to HEAD without a body says nothing of the length of what GET would get.
    let silent = matches!(status, 100..=199 | 204 | 304) || (method == "HEAD" && answer.body.is_empty());
    let told = answer.fields.iter().any(|(name, _)| name == "content-length");
    if chunked {
        bytes.extend_from_slice(b"transfer-encoding: chunked\r\n");
    } else if !told && !silent {
        bytes.extend_from_slice(format!("content-length: {}\r\n", answer.body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
}

fn body(bytes: &mut Vec<u8>, answer: &SentAnswer, chunked: bool) {
    const CHUNK_BYTES: usize = 16 * 1024;
    let count = answer.cut_after.unwrap_or(answer.body.len()).min(answer.body.len());
    let (sent, _) = answer.body.split_at(count);
    if !chunked {
        bytes.extend_from_slice(sent);
        return;
    }
    for piece in sent.chunks(CHUNK_BYTES) {
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    if answer.cut_after.is_none() {
        bytes.extend_from_slice(b"0\r\n");
        put_lines(bytes, &answer.trailers);
        bytes.extend_from_slice(b"\r\n");
    }
}

fn serve(connection: TcpStream, orders: &Orders, arrivals: &AtomicU64, events: &Sender<Event>) {
    let _ = connection.set_nodelay(true);
    let Ok(mut output) = connection.try_clone() else { return };
    let mut input = BufReader::new(connection);
    while let Ok(Some(request)) = read(&mut input) {
        let (sender, receiver): (Sender<Order>, Receiver<Order>) = channel();
        let mut known = orders.lock().unwrap_or_else(PoisonError::into_inner);
        let arrival = ArrivalId(arrivals.fetch_add(1, Ordering::SeqCst) + 1);
        known.insert(arrival, (sender, request.method.clone()));
        // Under the lock, so that events come in the order of their numbers.
        let sent = events.send(Event::Arrived(arrival, request));
        drop(known);
        if sent.is_err() || !obey(&mut output, &receiver) {
            break;
        }
    }
    let _ = output.shutdown(Shutdown::Both);
}

/// Carries out orders for one request; whether the connection goes on.
fn obey(output: &mut TcpStream, orders: &Receiver<Order>) -> bool {
    loop {
        match orders.recv() {
            Ok(Order::Bytes(bytes)) => {
                if output.write_all(&bytes).is_err() {
                    return false;
                }
            }
            Ok(Order::Next) => return true,
            Ok(Order::Close) | Err(_) => return false,
        }
    }
}

fn read(input: &mut BufReader<TcpStream>) -> io::Result<Option<SentRequest>> {
    let Some(line) = read_line(input)? else { return Ok(None) };
    let mut words = line.split(' ').map(str::to_owned);
    let mut request = SentRequest {
        method: words.next().unwrap_or_default(),
        target: words.next().unwrap_or_default(),
        scheme: "http".to_owned(),
        ..SentRequest::default()
    };
    request.fields = read_fields(input)?;
    let field = |name: &str| {
        let line = request.fields.iter().find(|(known, _)| known == name);
        line.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    };
    request.authority = field("host").unwrap_or_default();
    if let Some(length) = field("content-length").and_then(|length| length.parse().ok()).filter(|length| *length > 0) {
        let mut body = vec![0; length];
        input.read_exact(&mut body)?;
        request.body = Some(body);
    } else if field("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        request.body = Some(read_chunks(input)?);
        request.chunked = true;
    }
    Ok(Some(request))
}

fn read_chunks(input: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(input)?.unwrap_or_default();
        let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16);
        match size.map_err(io::Error::other)? {
            0 => {
                read_fields(input)?;
                return Ok(body);
            }
            size => {
                let at = body.len();
                body.resize(at + size, 0);
                if let Some(room) = body.get_mut(at..) {
                    input.read_exact(room)?;
                }
                read_line(input)?;
            }
        }
    }
}

fn read_fields(input: &mut BufReader<TcpStream>) -> io::Result<Lines> {
    let mut fields = Lines::new();
    loop {
        let mut line = Vec::new();
        input.read_until(b'\n', &mut line)?;
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(fields);
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii();
        fields.push((String::from_utf8_lossy(name).to_ascii_lowercase(), value.to_vec()));
    }
}

fn read_line(input: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let count = input.read_until(b'\n', &mut line)?;
    Ok((count > 0).then(|| String::from_utf8_lossy(line.trim_ascii()).into_owned()))
}
