//! Clients at a fixed rate, each with a connection that it keeps and a sense for what it gets: every answer is judged. Knows nothing of
//! faults: whoever reads the samples says which time they belong to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::content::{Asked, Content, Judgement, OBJECTS, SHORT, Target};
use super::dice::Dice;
use crate::http::{Connection, Request, Response};

/// Clients of each Envoy.
const CLIENTS: usize = 8;
/// Whoever waits longer for a byte has had no answer. Twice what a policy lets requests wait for one another (`collapse`).
const PATIENCE: Duration = Duration::from_secs(10);
const COMPLAINTS_MAX: usize = 200;
const LANGUAGES: [&str; 2] = ["en", "de"];

/// Which Envoy was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// One with Larder.
    Larder,
    /// The one without.
    Control,
}

/// How a request came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Good, from the cache.
    Hit,
    /// Good, from the origin, for this reason.
    Miss(&'static str),
    /// Nobody listened: the process was not there.
    Refused,
    /// An error, or no answer.
    Failed,
    /// Older than allowed.
    Stale,
    /// Wrong bytes.
    Wrong,
}

/// A request that has come to its end.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Whom it was sent to.
    pub edge: Edge,
    /// When.
    pub sent: Instant,
    /// How long it took.
    pub took: Duration,
    /// How it came out.
    pub outcome: Outcome,
    /// It had to be sent again, since the kept connection was closed before the answer began.
    pub again: bool,
}

/// Something that should not have come.
#[derive(Clone, Debug)]
pub struct Complaint {
    /// When the request was sent.
    pub sent: Instant,
    /// Whom it was sent to.
    pub edge: Edge,
    /// What was wrong.
    pub what: String,
}

/// Clients that ask until this is dropped.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    content: Arc<Content>,
    over: AtomicBool,
    cold: AtomicU64,
    samples: Mutex<Vec<Sample>>,
    complaints: Mutex<Vec<Complaint>>,
    /// When each client sent what it waits for.
    waiting: Mutex<Vec<Option<Instant>>>,
}

impl Load {
    /// So many requests a second to each of these ports.
    pub fn start(content: &Arc<Content>, edges: &[(Edge, u16)], rate_each: f64) -> Self {
        let count = edges.len() * CLIENTS;
        let shared = Arc::new(Shared {
            content: content.clone(),
            over: AtomicBool::new(false),
            cold: AtomicU64::new(0),
            samples: Mutex::default(),
            complaints: Mutex::default(),
            waiting: Mutex::new(vec![None; count]),
        });
        let every = Duration::from_secs_f64(CLIENTS as f64 / rate_each);
        let clients = (0..count).map(|index| {
            let shared = shared.clone();
            let (edge, port) = edges[index / CLIENTS];
            let dice = Dice::new(index as u64 + 1);
            thread::spawn(move || {
                Client { shared, index, edge, port, dice, connection: None, known: HashMap::new() }.run(every)
            })
        });
        let clients = clients.collect();
        Self { clients, shared }
    }

    /// Takes the samples so far.
    pub fn take(&self) -> Vec<Sample> {
        std::mem::take(&mut *lock(&self.shared.samples))
    }

    /// Takes the complaints so far.
    pub fn complaints(&self) -> Vec<Complaint> {
        std::mem::take(&mut *lock(&self.shared.complaints))
    }

    /// Waits until everything that was sent before `at` has come to its end.
    pub fn settled(&self, at: Instant) {
        let open = || lock(&self.shared.waiting).iter().flatten().any(|sent| *sent < at);
        while open() {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            let _ = client.join();
        }
    }
}

struct Client {
    shared: Arc<Shared>,
    index: usize,
    edge: Edge,
    port: u16,
    dice: Dice,
    connection: Option<Connection>,
    /// ETags of what it has seen.
    known: HashMap<Target, String>,
}

/// Why there is no answer.
enum NoAnswer {
    Refused,
    /// A kept connection was closed before the answer began: a client sends such a request again (RFC 9112, 9.3.1).
    Closed,
    Broken(String),
}

impl Client {
    fn run(mut self, every: Duration) {
        let mut due = Instant::now() + every.mul_f64(self.dice.share());
        while !self.shared.over.load(Ordering::Relaxed) {
            // Who is late does not catch up: the rate is what matters, and not the count.
            let now = Instant::now();
            due = due.max(now);
            thread::sleep(due - now);
            due += every;
            self.once();
        }
    }

    fn once(&mut self) {
        let (target, variant) = self.wish();
        // One in four knows what it had.
        let etag = if self.dice.below(4) == 0 { self.known.get(&target).cloned() } else { None };
        let (request, asked) = self.shared.content.ask(target, variant, etag);
        let sent = Instant::now();
        self.wait_since(Some(sent));
        let mut answer = self.ask(&request);
        let again = matches!(answer, Err(NoAnswer::Closed));
        if again {
            answer = self.ask(&request);
        }
        let outcome = self.judged(target, &asked, sent, answer);
        let sample = Sample { edge: self.edge, sent, took: sent.elapsed(), outcome, again };
        lock(&self.shared.samples).push(sample);
        self.wait_since(None);
    }

    fn judged(&mut self, target: Target, asked: &Asked, sent: Instant, answer: Result<Response, NoAnswer>) -> Outcome {
        let (outcome, what) = match answer {
            Ok(response) => match self.shared.content.judge(asked, &response) {
                Judgement::Good { miss, etag, .. } => {
                    // An ETag says for which variant it is.
                    if let (Some(etag), Target::Object(_) | Target::Short(_)) = (etag, target) {
                        self.known.insert(target, etag);
                    }
                    return miss.map_or(Outcome::Hit, Outcome::Miss);
                }
                Judgement::Stale(what) => (Outcome::Stale, format!("stale: {what}")),
                Judgement::Wrong(what) => (Outcome::Wrong, format!("wrong: {what}")),
                Judgement::Failed(what) => (Outcome::Failed, what),
            },
            Err(NoAnswer::Refused) => (Outcome::Refused, format!("{}: nobody answers", target.path())),
            Err(NoAnswer::Closed) => (Outcome::Failed, "closed twice before the answer began".to_owned()),
            Err(NoAnswer::Broken(why)) => (Outcome::Failed, format!("{}: {why}", target.path())),
        };
        let mut complaints = lock(&self.shared.complaints);
        if complaints.len() < COMPLAINTS_MAX {
            complaints.push(Complaint { sent, edge: self.edge, what });
        }
        outcome
    }

    fn ask(&mut self, request: &Request) -> Result<Response, NoAnswer> {
        let kept = self.connection.take();
        let was_kept = kept.is_some();
        let opened = kept.map_or_else(|| Connection::open_within(self.port, PATIENCE), Ok);
        let mut connection = opened.map_err(|_| NoAnswer::Refused)?;
        // On a new connection: who accepts connections and goes away is as good as not there.
        let closed = || if was_kept { NoAnswer::Closed } else { NoAnswer::Refused };
        connection.send(request).map_err(|_| closed())?;
        match connection.answer_begins() {
            Ok(true) => {}
            Ok(false) => return Err(closed()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                return Err(NoAnswer::Broken(format!("no answer within {} s", PATIENCE.as_secs())));
            }
            Err(_) => return Err(closed()),
        }
        let response = connection.receive(request.method).map_err(|error| NoAnswer::Broken(format!("{error:#}")))?;
        if response.field("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(response)
    }

    /// What is asked for: mostly the same things, as anywhere.
    fn wish(&mut self) -> (Target, &'static str) {
        let language = LANGUAGES[self.dice.below(LANGUAGES.len())];
        let target = match self.dice.below(100) {
            // The first of few are asked for more often than the last.
            0..74 => Target::Object(self.dice.below(OBJECTS).min(self.dice.below(OBJECTS))),
            74..79 => Target::Object(OBJECTS - 1 - self.dice.below(40)),
            79..89 => Target::Short(self.dice.below(SHORT as usize) as u64),
            89..94 => Target::Account,
            _ => Target::Cold(self.shared.cold.fetch_add(1, Ordering::Relaxed)),
        };
        let user = ["Bearer anna", "Bearer ben"][self.dice.below(2)];
        (target, if target == Target::Account { user } else { language })
    }

    fn wait_since(&self, since: Option<Instant>) {
        if let Some(waiting) = lock(&self.shared.waiting).get_mut(self.index) {
            *waiting = since;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
