//! A real node on loopback: raw bytes on a connection, or messages in order. Whatever comes, the node answers each request once and with
//! its marker, goes on to serve others, and hands out under a name only what was stored under it.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_core::cluster::message::{
    Freshen, Lookup, LookupAnswer, Message, Poll, Purge, Release, Report, Store, StoreAnswer,
};
use larder_core::cluster::{MARKER, PROTOCOL};
use larder_core::entry::wire;
use larder_core::purge::{Mode, Scope};
use larder_core::time::{Millis, Seconds, Timestamp};
use larder_node::clock::Clock;
use larder_node::{Config, Limits, Node, Running};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::record::entry;
use crate::input::Input;

/// Nothing here takes so long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);
/// After that much silence the node waits for more.
const SILENCE: Duration = Duration::from_millis(20);
const NOW: Timestamp = Timestamp(1_767_225_600_000);
const NAMES: [&str; 3] = ["one", "another", "a_third-name"];
const HEALTH: &str = "GET /larder/health HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";

#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }
}

thread_local! {
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

/// A first byte that is even: the rest goes onto a connection as it is. An odd one: the rest makes messages.
pub fn run(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    RUNTIME.with_borrow_mut(|runtime| {
        let build = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.get_or_insert_with(build).block_on(async {
            let node = start().await;
            if first & 1 == 0 {
                raw(node.data, rest).await;
            } else {
                messages(node.data, &mut Input::new(rest)).await;
            }
            let answer = until_closed(node.data, HEALTH.as_bytes()).await;
            assert_eq!(answers(&answer).len(), 1, "it goes on to serve others");
        });
    });
}

async fn start() -> Running {
    let limits = Limits {
        poll_max_ms: 1,
        wait_max_ms: 1,
        head_timeout_ms: 30_000,
        body_timeout_ms: 30_000,
        lookup_timeout_ms: 30_000,
        store_timeout_ms: 30_000,
        ..Limits::default()
    };
    let memory = Config::in_memory().expect("a configuration");
    Node::start(Config { admin: None, limits, clock: Arc::new(Still), ..memory }).await.expect("a free port")
}

/// Everything that comes back until the node has closed the connection.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("the node listens");
    let mut answer = Vec::new();
    // The node may have closed it before all is written.
    let _ = stream.write_all(bytes).await;
    // A node that has nothing to say waits for the rest of a request. So it is told that there is none.
    while let Ok(Ok(1..)) = tokio::time::timeout(SILENCE, stream.read_buf(&mut answer)).await {}
    let _ = stream.shutdown().await;
    let rest = async { while stream.read_buf(&mut answer).await.is_ok_and(|count| count > 0) {} };
    tokio::time::timeout(PATIENCE, rest).await.expect("the node neither answers nor closes");
    answer
}

/// What comes back to a request that says that it is the last one.
async fn until_closed(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("the node listens");
    let mut answer = Vec::new();
    let talk = async {
        stream.write_all(bytes).await?;
        stream.read_to_end(&mut answer).await
    };
    tokio::time::timeout(PATIENCE, talk).await.expect("the node answers").expect("a connection");
    answer
}

async fn raw(address: SocketAddr, bytes: &[u8]) {
    let answer = exchange(address, bytes).await;
    if answer.starts_with(b"HTTP/1") {
        for (status, body) in answers(&answer) {
            assert!((200..600).contains(&status));
            drop(body);
        }
    }
}

/// Status and body of each answer.
fn answers(mut bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
        let head = std::str::from_utf8(&bytes[..end]).expect("a head is text");
        bytes = &bytes[end + 4..];
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1."));
        let status: u16 = status.and_then(|line| line.get(2..5)?.parse().ok()).expect("a status");
        let fields: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(": ")).collect();
        let field = |name: &str| fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, v)| *v);
        if status < 200 {
            continue;
        }
        let length: usize = field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        // hyper answers by itself what is no HTTP.
        assert!(field(MARKER).is_some() || (status >= 400 && length == 0), "{head}");
        // To a HEAD, no body comes.
        let body = bytes.get(..length).filter(|body| !body.starts_with(b"HTTP/1.")).unwrap_or_default();
        bytes = &bytes[body.len()..];
        answers.push((status, body.to_vec()));
    }
    answers
}

/// What was stored under each name.
#[derive(Default)]
struct Stored([Vec<Bytes>; NAMES.len()]);

async fn messages(address: SocketAddr, input: &mut Input<'_>) {
    let mut stored = Stored::default();
    let mut stream = TcpStream::connect(address).await.expect("the node listens");
    for _ in 0..12 {
        if input.is_empty() {
            return;
        }
        let at = input.below(NAMES.len());
        let name = NAMES[at].to_owned();
        let lease = input.number();
        match input.byte() % 9 {
            0..=2 => {
                let entry = entry(input);
                let record = Bytes::from(wire::encode(&entry, &name, Timestamp(input.number()), true));
                let (now, keep_for) = (Timestamp(input.number()), Seconds::saturating(input.number()));
                let variants_max = input.byte().into();
                stored.0[at].push(record.clone());
                let message = Store { name, now, lease, keep_for, variants_max, record };
                let answer = ask(&mut stream, Store::PATH, &message.encode()).await;
                assert!(StoreAnswer::decode(answer.into()).is_some());
            }
            3..=4 => {
                let request = entry(input).into_facts().fields;
                let message = Lookup {
                    name: name.clone(),
                    fields: request,
                    lease_for: Millis(input.number()),
                    wait_for: Millis(input.number()),
                    inline_bytes_max: u32::MAX,
                };
                let answer = ask(&mut stream, Lookup::PATH, &message.encode()).await;
                let answer = LookupAnswer::decode(answer.into()).expect("a look-up's answer");
                if let Some(found) = answer.found {
                    let (entry, _) = wire::decode(&found.record, &name).expect("a record of this name");
                    let is_this = |record: &Bytes| {
                        wire::decode(record, &name).is_ok_and(|(kept, _)| {
                            kept.facts().body == entry.facts().body && kept.facts().url == entry.facts().url
                        })
                    };
                    assert!(stored.0[at].iter().any(is_this), "never stored under this name");
                }
            }
            5 => {
                let scope = match input.byte() % 4 {
                    0 => Scope::Url(input.text(20)),
                    1 => Scope::Tag(input.text(20)),
                    2 => Scope::Prefix(input.text(20)),
                    _ => Scope::All,
                };
                let mode = if input.flag() { Mode::Soft } else { Mode::Hard };
                let message = Purge { who: name, token: None, purges: vec![(scope, mode)] };
                ask(&mut stream, Purge::PATH, &message.encode()).await;
            }
            6 => {
                let entry = entry(input);
                let record = wire::encode(&entry, &name, Timestamp(input.number()), false).into();
                let (now, base) = (Timestamp(input.number()), entry.facts().times.response);
                let body_bytes = u32::from(input.byte());
                let keep_for = Seconds::saturating(input.number());
                // The body stays that of what was stored; all else is the new record's.
                for before in stored.0[at].clone() {
                    if let Ok((before, until)) = wire::decode(&before, &name) {
                        let mut facts = entry.facts().clone();
                        facts.body = before.facts().body.clone();
                        stored.0[at]
                            .push(wire::encode(&larder_core::entry::Entry::new(facts), &name, until, true).into());
                    }
                }
                let message = Freshen { name, now, lease, keep_for, base, body_bytes, record };
                ask(&mut stream, Freshen::PATH, &message.encode()).await;
            }
            7 => {
                let message = Release { name, lease, uncacheable: input.flag(), forget: input.flag() };
                ask(&mut stream, Release::PATH, &message.encode()).await;
            }
            _ => {
                let (path, kind) = input.one_of(&[
                    (Store::PATH, Store::KIND),
                    (Lookup::PATH, Lookup::KIND),
                    (Freshen::PATH, Freshen::KIND),
                    (Purge::PATH, Purge::KIND),
                    (Poll::PATH, Poll::KIND),
                    (Report::PATH, Report::KIND),
                ]);
                let message = [&b"LRDM"[..], &[PROTOCOL, kind], input.bytes(120)].concat();
                ask(&mut stream, path, &message).await;
            }
        }
    }
}

/// One request on a connection that stays open, and its answer's body.
async fn ask(stream: &mut TcpStream, path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n", body.len());
    let talk = async {
        stream.write_all(&[head.as_bytes(), body].concat()).await?;
        let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let count = stream.read(&mut buffer).await?;
            assert!(count > 0, "the connection was closed in front of an answer");
            bytes.extend_from_slice(&buffer[..count]);
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
                let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
                let length: usize = length.and_then(|length| length.parse().ok()).expect("a length");
                if bytes.len() >= end + 4 + length {
                    return std::io::Result::Ok(bytes);
                }
            }
        }
    };
    let bytes = tokio::time::timeout(PATIENCE, talk).await.expect("the node answers").expect("a connection");
    let mut answers = answers(&bytes);
    assert_eq!(answers.len(), 1);
    answers.remove(0).1
}
