//! What stands between an Envoy and a real node, and tells workers of policies: with a poll's answer, as a node does.
//!
//! Everything else goes to the node and back as it is. A poll waits here, by asking the node for what it has at once again and again.

use std::io::{self, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use larder_core::cluster::message::{Message, Policies, Poll, PollAnswer, Watch};
use larder_core::time::Millis;

use super::client::Client;
use super::nodes::endpoint;
use super::origin::{Seen, read_request};

/// Between two looks at the node for a poll that waits.
const LOOK: Duration = Duration::from_millis(10);

/// The tellers of one node.
#[derive(Debug)]
pub struct Pushing {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    node: u16,
    policies: Mutex<Option<Policies>>,
    /// What each worker has said with its last poll.
    watches: Mutex<std::collections::BTreeMap<String, Watch>>,
}

impl Pushing {
    /// Listens for the Envoys of this node.
    ///
    /// # Panics
    /// If there is no port.
    pub fn to(node: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let shared = Arc::new(Shared { node, policies: Mutex::default(), watches: Mutex::default() });
        let serving = shared.clone();
        // Ends with the process: a test's last Envoy is gone by then.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = serving.clone();
                thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Self { port, shared }
    }

    /// Its endpoint in the words of Envoy's configuration.
    pub fn endpoint(&self) -> String {
        endpoint(self.port)
    }

    /// What workers are told from now on.
    pub fn push(&self, policies: Policies) {
        *lock(&self.shared.policies) = Some(policies);
    }

    /// What the workers have said with their last polls.
    pub fn watches(&self) -> Vec<Watch> {
        lock(&self.shared.watches).values().cloned().collect()
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut out = stream.try_clone()?;
        let mut input = BufReader::new(stream);
        let mut node = Client::connect(self.node)?;
        while let Some(seen) = read_request(&mut input, &mut out)? {
            let poll = (seen.target == Poll::PATH).then(|| Poll::decode(seen.body.clone().into())).flatten();
            let response = match poll {
                Some(poll) => self.poll(&mut node, &seen, &poll)?,
                None => ask(&mut node, &seen, &seen.body)?,
            };
            let mut bytes = format!("HTTP/1.1 {} -\r\n", response.status).into_bytes();
            for (name, value) in response.fields.iter().filter(|(name, _)| !is_framing(name)) {
                bytes.extend_from_slice(name.as_bytes());
                bytes.extend_from_slice(b": ");
                bytes.extend_from_slice(value);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", response.body.len()).as_bytes());
            bytes.extend_from_slice(&response.body);
            out.write_all(&bytes)?;
        }
        Ok(())
    }

    fn poll(&self, node: &mut Client, seen: &Seen, poll: &Poll) -> io::Result<super::client::Response> {
        if let Some(watch) = &poll.watch {
            lock(&self.watches).insert(poll.worker.clone(), watch.clone());
        }
        let begun = Instant::now();
        let at_once = Poll { wait_for: Millis(0), ..poll.clone() }.encode();
        loop {
            let news = lock(&self.policies)
                .clone()
                .filter(|news| poll.watch.as_ref().is_some_and(|watch| watch.generation != news.generation));
            let mut response = ask(node, seen, &at_once)?;
            let answer = PollAnswer::decode(response.body.clone().into());
            let says = answer.as_ref().is_none_or(|answer| answer.begins_anew || !answer.records.is_empty());
            if let (Some(news), Some(answer)) = (news, answer) {
                response.body = PollAnswer { policies: Some(news), ..answer }.encode();
                return Ok(response);
            }
            if says || begun.elapsed() >= Duration::from_millis(poll.wait_for.0) {
                return Ok(response);
            }
            thread::park_timeout(LOOK);
        }
    }
}

fn ask(node: &mut Client, seen: &Seen, body: &[u8]) -> io::Result<super::client::Response> {
    let texts: Vec<(&str, String)> = seen
        .fields
        .iter()
        .filter(|(name, _)| !is_framing(name))
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value).into_owned()))
        .collect();
    let fields: Vec<(&str, &str)> = texts.iter().map(|(name, value)| (*name, value.as_str())).collect();
    node.call(&seen.method, &seen.target, &fields, body)
}

fn is_framing(name: &str) -> bool {
    ["content-length", "transfer-encoding", "connection"].iter().any(|framing| name.eq_ignore_ascii_case(framing))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
