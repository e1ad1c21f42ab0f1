//! A scripted origin: raw HTTP/1.1 over TCP, a thread per connection.
//!
//! Tests say what to answer to a method and path, down to the bytes, to pauses and cuts; the origin notes what it was asked.
//! It knows nothing of caching and makes up nothing: what is not scripted gets a 500 that says so.

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::wait::{LIMIT, until};

/// A request as the origin got it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The target, with its query.
    pub target: String,
    /// Fields in order, names as received.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Seen {
    /// The first value of a field; what is not UTF-8 is replaced.
    pub fn field(&self, name: &str) -> Option<String> {
        let line = self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8_lossy(&line.1).into_owned())
    }
}

/// A gate in an answer: the origin stops there until the test opens it.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    open: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everybody through, now and later.
    pub fn open(&self) {
        *lock(&self.open.0) = true;
        self.open.1.notify_all();
    }

    fn pass(&self) {
        let open = lock(&self.open.0);
        // A test that forgets its gate must not leave threads behind.
        let _ = self.open.1.wait_timeout_while(open, LIMIT, |open| !*open);
    }
}

/// What the origin answers: bytes, stops, cuts.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    steps: Vec<Step>,
    /// The head being put together; written out when something else follows.
    head: Option<Head>,
}

#[derive(Clone, Debug)]
enum Step {
    Bytes(Vec<u8>),
    Wait(Gate),
    Cut,
}

#[derive(Clone, Debug)]
struct Head {
    status: u16,
    fields: Vec<(String, Vec<u8>)>,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Whole(Vec<u8>),
    None,
    Chunks(Vec<Vec<u8>>, Vec<(String, String)>),
    Declared(usize, Vec<u8>),
}

impl Answer {
    /// A response with this status and body, and its `content-length`.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::with(status, Body::Whole(body.into()))
    }

    /// 200 with this body.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, body)
    }

    /// A response without a body and without `content-length` (304, 204).
    pub fn bodiless(status: u16) -> Self {
        Self::with(status, Body::None)
    }

    /// A chunked response; each piece is a chunk of its own.
    pub fn chunked(status: u16, chunks: &[&[u8]]) -> Self {
        Self::with(status, Body::Chunks(chunks.iter().map(|chunk| chunk.to_vec()).collect(), Vec::new()))
    }

    /// A response that declares more bytes than it sends; the connection is closed after them.
    pub fn truncated(status: u16, declared: usize, body: impl Into<Vec<u8>>) -> Self {
        Self::with(status, Body::Declared(declared, body.into())).cut()
    }

    /// These bytes, whatever they are.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { steps: vec![Step::Bytes(bytes.into())], head: None }
    }

    /// No response: the connection is closed.
    pub fn hang_up() -> Self {
        Self { steps: vec![Step::Cut], head: None }
    }

    fn with(status: u16, body: Body) -> Self {
        Self { steps: Vec::new(), head: Some(Head { status, fields: Vec::new(), body }) }
    }

    /// Adds a field.
    #[must_use]
    pub fn field(self, name: &str, value: &str) -> Self {
        self.field_bytes(name, value.as_bytes())
    }

    /// Adds a field whose value may be anything.
    #[must_use]
    pub fn field_bytes(mut self, name: &str, value: &[u8]) -> Self {
        if let Some(head) = &mut self.head {
            head.fields.push((name.to_owned(), value.to_vec()));
        }
        self
    }

    /// Adds a trailer; the body must be chunked.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        if let Some(Head { body: Body::Chunks(_, trailers), .. }) = &mut self.head {
            trailers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Sends these bytes first, for 1xx responses.
    #[must_use]
    pub fn after_raw(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.steps.insert(0, Step::Bytes(bytes.into()));
        self
    }

    /// Waits before the response.
    #[must_use]
    pub fn held_by(mut self, gate: &Gate) -> Self {
        self.steps.insert(0, Step::Wait(gate.clone()));
        self
    }

    /// Waits after what has been said so far.
    #[must_use]
    pub fn then_wait(mut self, gate: &Gate) -> Self {
        self.flush();
        self.steps.push(Step::Wait(gate.clone()));
        self
    }

    /// Sends these bytes after what has been said so far.
    #[must_use]
    pub fn then_raw(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.flush();
        self.steps.push(Step::Bytes(bytes.into()));
        self
    }

    /// Closes the connection after what has been said so far.
    #[must_use]
    pub fn cut(mut self) -> Self {
        self.flush();
        self.steps.push(Step::Cut);
        self
    }

    fn flush(&mut self) {
        if let Some(head) = self.head.take() {
            self.steps.push(Step::Bytes(head.bytes(false)));
        }
    }

    fn steps(&self, is_head: bool) -> Vec<Step> {
        let mut steps = self.steps.clone();
        steps.extend(self.head.as_ref().map(|head| Step::Bytes(head.bytes(is_head))));
        steps
    }
}

impl Head {
    fn bytes(&self, is_head: bool) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 {} Scripted\r\n", self.status).into_bytes();
        let mut line = |name: &str, value: &[u8]| {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        };
        for (name, value) in &self.fields {
            line(name, value);
        }
        match &self.body {
            Body::None => {}
            Body::Whole(body) => line("content-length", body.len().to_string().as_bytes()),
            Body::Declared(length, _) => line("content-length", length.to_string().as_bytes()),
            Body::Chunks(..) => line("transfer-encoding", b"chunked"),
        }
        bytes.extend_from_slice(b"\r\n");
        if is_head {
            return bytes;
        }
        match &self.body {
            Body::None => {}
            Body::Whole(body) | Body::Declared(_, body) => bytes.extend_from_slice(body),
            Body::Chunks(chunks, trailers) => {
                for chunk in chunks {
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n");
                for (name, value) in trailers {
                    bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
                }
                bytes.extend_from_slice(b"\r\n");
            }
        }
        bytes
    }
}

#[derive(Debug, Default)]
struct Script {
    once: HashMap<(String, String), VecDeque<Answer>>,
    always: HashMap<(String, String), Answer>,
    seen: Vec<Seen>,
}

#[derive(Debug, Default)]
struct Shared {
    script: Mutex<Script>,
    connections: Mutex<Vec<TcpStream>>,
    gone: AtomicBool,
}

/// The origin. Dropping it closes its port and its connections.
#[derive(Debug)]
pub struct Origin {
    port: u16,
    shared: Arc<Shared>,
}

impl Origin {
    /// An origin on a port that the kernel chooses.
    ///
    /// # Panics
    /// Where this machine has no free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound port").port();
        let shared = Arc::new(Shared::default());
        let serving = shared.clone();
        thread::spawn(move || accept(&listener, &serving));
        Self { port, shared }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Answers the next such request with this, after those that were scripted before.
    pub fn once(&self, method: &str, target: &str, answer: Answer) -> &Self {
        let key = (method.to_owned(), target.to_owned());
        lock(&self.shared.script).once.entry(key).or_default().push_back(answer);
        self
    }

    /// Answers every such request with this, where nothing scripted by [`Origin::once`] is left.
    pub fn always(&self, method: &str, target: &str, answer: Answer) -> &Self {
        lock(&self.shared.script).always.insert((method.to_owned(), target.to_owned()), answer);
        self
    }

    /// Every request so far, in order of arrival.
    pub fn requests(&self) -> Vec<Seen> {
        lock(&self.shared.script).seen.clone()
    }

    /// How many requests there were for a target, whatever their method.
    pub fn count(&self, target: &str) -> usize {
        lock(&self.shared.script).seen.iter().filter(|seen| seen.target == target).count()
    }

    /// Waits until there were this many requests for a target.
    ///
    /// # Panics
    /// Where they do not come.
    #[track_caller]
    pub fn await_count(&self, target: &str, count: usize) {
        until(&format!("{count} requests for {target}"), || (self.count(target) >= count).then_some(()));
    }

    /// Stops: the port is closed, connections are cut.
    pub fn stop(self) {}
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.gone.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, which then lets go of the port.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        for connection in lock(&self.shared.connections).drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.gone.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        if let Ok(copy) = stream.try_clone() {
            lock(&shared.connections).push(copy);
        }
        let shared = shared.clone();
        thread::spawn(move || {
            // Whatever goes wrong on a connection shows in what the client sees.
            let _ = serve(stream, &shared);
        });
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    while let Some(seen) = read_request(&mut input, &mut out)? {
        let is_head = seen.method == "HEAD";
        let answer = shared.answer(seen);
        for step in answer.steps(is_head) {
            match step {
                Step::Bytes(bytes) => out.write_all(&bytes)?,
                Step::Wait(gate) => gate.pass(),
                Step::Cut => {
                    let _ = out.shutdown(Shutdown::Write);
                    // What the peer still sends is read, so that its kernel does not turn the close into a reset.
                    let _ = io::copy(&mut input, &mut io::sink());
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

impl Shared {
    fn answer(&self, seen: Seen) -> Answer {
        let mut script = lock(&self.script);
        let key = (seen.method.clone(), seen.target.clone());
        script.seen.push(seen);
        let once = script.once.get_mut(&key).and_then(VecDeque::pop_front);
        once.or_else(|| script.always.get(&key).cloned())
            .unwrap_or_else(|| Answer::new(500, format!("not scripted: {} {}\n", key.0, key.1)))
    }
}

pub(super) fn read_request(input: &mut BufReader<TcpStream>, out: &mut TcpStream) -> io::Result<Option<Seen>> {
    let Some(line) = read_line(input)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&line).into_owned();
    let mut words = text.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default().to_owned();
    let fields = read_fields(input)?;
    let mut seen = Seen { method, target, fields, body: Vec::new() };
    if seen.field("expect").is_some() {
        out.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    if seen.field("transfer-encoding").is_some() {
        loop {
            let line = read_line(input)?.unwrap_or_default();
            let size = usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16).map_err(io::Error::other)?;
            let from = seen.body.len();
            seen.body.resize(from + size, 0);
            input.read_exact(&mut seen.body[from..])?;
            if size == 0 {
                read_fields(input)?;
                break;
            }
            read_line(input)?;
        }
    } else if let Some(length) = seen.field("content-length").and_then(|length| length.parse().ok()) {
        seen.body.resize(length, 0);
        input.read_exact(&mut seen.body)?;
    }
    Ok(Some(seen))
}

fn read_fields(input: &mut BufReader<TcpStream>) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut fields = Vec::new();
    while let Some(line) = read_line(input)?.filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii();
        fields.push((String::from_utf8_lossy(name).into_owned(), value.to_vec()));
    }
    Ok(fields)
}

fn read_line(input: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if input.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    while matches!(line.last(), Some(b'\n' | b'\r')) {
        line.pop();
    }
    Ok(Some(line))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
