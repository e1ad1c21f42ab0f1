//! The executor `envoy`: the real module in a real Envoy, whose wall clock scenarios move.
//!
//! One Envoy with one worker serves all scenarios, each on the listener of its policy and under a host name of its own. Real
//! time goes on meanwhile, by milliseconds where scenarios move it by seconds.

mod bootstrap;
mod origin;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::executor::{
    ArrivalId, ClientId, Event, Executor, Part, Patience, Received, SentAnswer, SentReaction, SentRequest, Setting,
    World,
};
use crate::envoy::{Client, Envoy, Response, Setup, get, module_path};
use bootstrap::{IMPATIENT, Listener, PROBE, Ports, REFUSED};
use origin::Origin;

/// Whatever must come has come by then, or something is broken.
const DEADLINE: Duration = Duration::from_secs(5);
/// What Envoy says it has sent on, or answered, has come by then.
const ON_ITS_WAY: Duration = Duration::from_secs(3);
/// Looks at a counter are so far apart.
const LOOK: Duration = Duration::from_millis(20);

/// Runs scenarios on a real Envoy. It is started by [`Executor::prepare`], which has to be told of all scenarios.
#[derive(Debug)]
pub struct InEnvoy {
    events: Receiver<Event>,
    sender: Sender<Event>,
    origin: Origin,
    envoy: Option<Envoy>,
    folder: PathBuf,
    ahead: Duration,
    /// Listener and port, by all the policies of a scenario.
    listeners: HashMap<String, (String, u16)>,
    /// Listeners whose policy has changed, and to which of their scenario's.
    changed: HashMap<String, usize>,
    probe: u16,
    finished: Arc<AtomicU64>,
    runs: u64,
    problems_told: usize,
}

impl InEnvoy {
    /// The executor; Envoy does not run yet.
    ///
    /// # Errors
    /// No port or no folder of its own.
    pub fn new() -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (sender, events) = channel();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("larder-scenarios-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self {
            events,
            origin: Origin::start(sender.clone())?,
            sender,
            envoy: None,
            folder,
            ahead: Duration::ZERO,
            listeners: HashMap::new(),
            changed: HashMap::new(),
            probe: 0,
            finished: Arc::default(),
            runs: 0,
            problems_told: 0,
        })
    }

    fn envoy(&self) -> Result<&Envoy, String> {
        self.envoy.as_ref().ok_or_else(|| "Envoy was not started: run scenarios by `run_all`".to_owned())
    }

    /// Puts a policy's file into place for a watched listener.
    fn put(&self, listener: &str, policy: &str) -> io::Result<()> {
        let folder = self.folder.join(listener);
        fs::create_dir_all(&folder)?;
        let text = bootstrap::resource(listener, policy, &module_path().display().to_string());
        let fresh = self.folder.join(format!("{listener}.new"));
        fs::write(&fresh, text)?;
        fs::rename(fresh, folder.join("filter.yaml"))
    }

    fn start(&mut self, settings: &[Setting<'_>]) -> Result<(), String> {
        let nobody = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let nobody = nobody.map_err(|error| error.to_string())?.port();
        let mut listeners: Vec<Listener> = Vec::new();
        let mut names: HashMap<String, String> = HashMap::new();
        for setting in settings {
            let name = format!("policy-{}", listeners.len());
            let known = names.entry(key(setting.policies)).or_insert_with(|| name.clone());
            let (true, Some(policy)) = (*known == name, setting.policies.first()) else { continue };
            let watched = setting.policies.len() > 1;
            if watched {
                self.put(&name, policy).map_err(|error| error.to_string())?;
            }
            listeners.push(Listener { name, policy: policy.clone(), watched });
        }
        let ports = Ports { origin: self.origin.port, nobody };
        let text = bootstrap::bootstrap(&listeners, ports, &self.folder);
        let setup = Setup::new(text).movable_clock().log_level("warning,wasm:info");
        let envoy = setup.start().map_err(|error| error.to_string())?;
        let ports = ports_of(&envoy.admin("/listeners"));
        let port = |name: &str| ports.get(name).copied().ok_or_else(|| format!("Envoy has no listener {name}"));
        self.probe = port(PROBE)?;
        for (key, name) in names {
            self.listeners.insert(key, (name.clone(), port(&name)?));
        }
        self.envoy = Some(envoy);
        Ok(())
    }
}

impl Drop for InEnvoy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn key(policies: &[String]) -> String {
    policies.join("\0")
}

/// `NAME::ADDRESS:PORT`, line by line.
fn ports_of(listeners: &str) -> BTreeMap<String, u16> {
    let lines = listeners.lines().filter_map(|line| {
        let (name, address) = line.split_once("::")?;
        Some((name.to_owned(), address.trim().rsplit_once(':')?.1.parse().ok()?))
    });
    lines.collect()
}

impl Executor for InEnvoy {
    fn name(&self) -> &'static str {
        "envoy"
    }

    fn tolerance(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn prepare(&mut self, settings: &[Setting<'_>]) -> Result<(), String> {
        self.start(settings)
    }

    fn begin(&mut self, setting: &Setting<'_>) -> Result<Box<dyn World + '_>, String> {
        let policies = setting.policies.to_vec();
        let (listener, port) =
            self.listeners.get(&key(&policies)).cloned().ok_or("Envoy has no listener with this policy")?;
        let reloaded = self.changed.get(&listener).is_some_and(|index| *index != 0);
        self.runs += 1;
        let policy_names = policies.iter().filter_map(|text| {
            let policy: serde_json::Value = serde_json::from_str(text).ok()?;
            Some(format!("policy={}", policy.get("name")?.as_str()?))
        });
        let policy_names = policy_names.collect();
        let mut world = Real {
            executor: self,
            host: setting.host.to_owned(),
            listener,
            port,
            policies,
            policy_names,
            sockets: BTreeMap::new(),
            counted_before: BTreeMap::new(),
            sent_before: 0,
            left: 0,
        };
        if reloaded {
            // Another run may have left the last policy there.
            world.reload(0)?;
        }
        world.counted_before = world.counters()?;
        Ok(Box::new(world))
    }
}

/// What Envoy counts.
struct Traffic {
    /// Requests sent to the origin.
    sent: u64,
    /// Of these, those without a whole answer yet.
    active: u64,
    /// Requests that wait for a connection to the origin.
    pending: u64,
    /// Clients' requests that are over.
    completed: u64,
}

struct Real<'a> {
    executor: &'a mut InEnvoy,
    host: String,
    listener: String,
    port: u16,
    policies: Vec<String>,
    policy_names: Vec<String>,
    sockets: BTreeMap<ClientId, TcpStream>,
    counted_before: BTreeMap<String, u64>,
    /// Requests that Envoy counts as sent though they never came, since their clients left at once.
    sent_before: u64,
    left: u64,
}

impl World for Real<'_> {
    fn now(&mut self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + self.executor.ahead;
        u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
    }

    fn send(&mut self, client: ClientId, request: SentRequest) -> Result<(), String> {
        let failed = |error: io::Error| error.to_string();
        let mut connection = Client::connect(self.port).map_err(failed)?;
        connection.send_raw(&bytes_of(&request)).map_err(failed)?;
        self.sockets.insert(client, connection.socket().map_err(failed)?);
        let (sender, finished) = (self.executor.sender.clone(), self.executor.finished.clone());
        let client = self.global(client);
        thread::spawn(move || {
            let received = connection.receive(&request.method).map_or_else(|_| Received::default(), received);
            finished.fetch_add(1, Ordering::SeqCst);
            let _ = sender.send(Event::Answered(client, received));
        });
        Ok(())
    }

    fn next(&mut self, patience: Patience) -> Result<Option<Event>, String> {
        match patience {
            Patience::Expecting => self.take(DEADLINE),
            Patience::Settling => self.settled(),
        }
    }

    fn answer(&mut self, arrival: ArrivalId, answer: &SentAnswer, part: Part) -> Result<(), String> {
        self.executor.origin.answer(arrival, answer, part);
        Ok(())
    }

    fn expect_reaction(&mut self, request: &mut SentRequest, reaction: SentReaction) -> Result<bool, String> {
        match reaction {
            SentReaction::Refuse => request.fields.push((REFUSED.to_owned(), b"1".to_vec())),
            SentReaction::Silence => request.fields.push((IMPATIENT.to_owned(), b"1".to_vec())),
            SentReaction::Respond(_) | SentReaction::Reset => {}
        }
        Ok(reaction == SentReaction::Refuse)
    }

    fn leave(&mut self, client: ClientId) -> Result<(), String> {
        if let Some(socket) = self.sockets.remove(&client) {
            let _ = socket.shutdown(Shutdown::Both);
        }
        Ok(())
    }

    fn wait(&mut self, span: Duration) -> Result<(), String> {
        self.executor.ahead += span;
        let envoy = self.executor.envoy.as_mut().ok_or("Envoy does not run")?;
        envoy.advance(span);
        Ok(())
    }

    fn reload(&mut self, index: usize) -> Result<(), String> {
        let policy = self.policies.get(index).ok_or("no such policy")?;
        let before = self.reloads()?;
        self.executor.put(&self.listener, policy).map_err(|error| error.to_string())?;
        let begun = Instant::now();
        while self.reloads()? <= before {
            if begun.elapsed() > DEADLINE {
                return Err("Envoy did not take up the policy in time".to_owned());
            }
            thread::park_timeout(LOOK);
        }
        self.executor.changed.insert(self.listener.clone(), index);
        self.probe();
        Ok(())
    }

    fn counted(&mut self, outcome: &str, expected: u64) -> Result<u64, String> {
        let begun = Instant::now();
        loop {
            // The plugin counts by itself and tells Envoy now and then.
            let sum = self.counters()?.get(outcome).copied().unwrap_or_default();
            let found = sum - self.counted_before.get(outcome).copied().unwrap_or_default();
            if found >= expected || begun.elapsed() > DEADLINE {
                return Ok(found);
            }
            thread::park_timeout(LOOK);
        }
    }

    fn problems(&mut self) -> Vec<String> {
        let Ok(envoy) = self.executor.envoy() else { return Vec::new() };
        let log = envoy.log();
        let bad = |line: &&str| line.contains("[critical]") || line.contains("panicked at");
        let problems: Vec<String> = log.lines().filter(bad).map(str::to_owned).collect();
        let fresh = problems.get(self.executor.problems_told..).unwrap_or_default().to_vec();
        self.executor.problems_told = problems.len();
        fresh
    }
}

impl Drop for Real<'_> {
    fn drop(&mut self) {
        for socket in self.sockets.values() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Real<'_> {
    /// Clients are numbered per scenario; events of earlier ones must not be taken for this one's.
    fn global(&self, client: ClientId) -> ClientId {
        ClientId(self.executor.runs << 32 | client.0)
    }

    /// The next event of this scenario within a time.
    fn take(&mut self, within: Duration) -> Result<Option<Event>, String> {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = match self.executor.events.recv_timeout(left) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => return Err("the origin is gone".to_owned()),
            };
            match event {
                Event::Answered(client, received) => {
                    let local = ClientId(client.0 & u64::from(u32::MAX));
                    if client.0 >> 32 == self.executor.runs && self.sockets.remove(&local).is_some() {
                        return Ok(Some(Event::Answered(local, received)));
                    }
                }
                Event::Arrived(arrival, request) => {
                    let host = request.authority.split(':').next().unwrap_or_default();
                    if host.ends_with(&self.host) {
                        return Ok(Some(Event::Arrived(arrival, request)));
                    }
                    // A refresh that an earlier scenario left behind.
                    let own = SentAnswer { reaction: SentReaction::Reset, ..SentAnswer::default() };
                    self.executor.origin.answer(arrival, &own, Part::Whole);
                }
            }
        }
    }

    /// The next event, or `None` once Envoy has taken up everything and nothing is on its way from it.
    fn settled(&mut self) -> Result<Option<Event>, String> {
        let begun = Instant::now();
        loop {
            self.probe();
            if let Some(event) = self.take(Duration::ZERO)? {
                return Ok(Some(event));
            }
            let Traffic { sent, active, pending, completed } = self.traffic()?;
            let arrived = self.executor.origin.arrived() + self.sent_before;
            let finished = self.executor.finished.load(Ordering::SeqCst) + self.left;
            // What the origin has answered, clients' requests and refreshes alike, has reached the module.
            let taken = active <= self.executor.origin.unanswered();
            if pending == 0 && taken && sent <= arrived && completed <= finished {
                return self.take(Duration::ZERO);
            }
            if begun.elapsed() > ON_ITS_WAY {
                self.sent_before += sent.saturating_sub(arrived);
                self.left += completed.saturating_sub(finished);
                return Ok(None);
            }
            if let Some(event) = self.take(LOOK)? {
                return Ok(Some(event));
            }
        }
    }

    /// Envoy's worker takes up connections in order: when a later one is answered, those before have been taken up.
    fn probe(&self) {
        for _ in 0..2 {
            get(self.executor.probe, "/", &[]);
        }
    }

    fn traffic(&self) -> Result<Traffic, String> {
        const WANTED: &str =
            "/stats?filter=(origin.upstream_rq_(total|active|pending_active)|scenarios.downstream_rq_completed)$";
        let stats = self.executor.envoy()?.admin(&WANTED.replace('|', "%7C"));
        let value = |ending: &str| {
            let line = stats.lines().filter_map(|line| line.split_once(": ")).find(|(name, _)| name.ends_with(ending));
            line.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
        };
        Ok(Traffic {
            sent: value("upstream_rq_total"),
            active: value("upstream_rq_active"),
            pending: value("upstream_rq_pending_active"),
            completed: value("downstream_rq_completed"),
        })
    }

    fn reloads(&self) -> Result<u64, String> {
        let stats = self.executor.envoy()?.admin("/stats?filter=config_reload$");
        let ours = format!(".{}.", self.listener);
        let line = stats.lines().filter_map(|line| line.split_once(": ")).find(|(name, _)| name.contains(&ours));
        Ok(line.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0))
    }

    /// Requests by outcome, of this scenario's policies.
    fn counters(&self) -> Result<BTreeMap<String, u64>, String> {
        let stats = self.executor.envoy()?.admin("/stats?filter=larder_requests_total");
        let mut sums = BTreeMap::new();
        for (name, value) in stats.lines().filter_map(|line| line.rsplit_once(": ")) {
            let labels: Vec<&str> = name.split(';').collect();
            let ours = self.policy_names.iter().any(|policy| labels.contains(&policy.as_str()));
            let outcome = labels.iter().find_map(|label| label.strip_prefix("outcome="));
            if let (true, Some(outcome), Ok(value)) = (ours, outcome, value.trim().parse::<u64>()) {
                *sums.entry(outcome.to_owned()).or_default() += value;
            }
        }
        Ok(sums)
    }
}

fn received(response: Response) -> Received {
    Received {
        status: response.status,
        fields: response.fields,
        body: response.body,
        trailers: response.trailers,
        interim: response.interim.into_iter().map(|interim| (interim.status, interim.fields)).collect(),
        cut: !response.complete,
    }
}

/// A request as it goes over the wire.
fn bytes_of(request: &SentRequest) -> Vec<u8> {
    let mut bytes =
        format!("{} {} HTTP/1.1\r\nhost: {}\r\n", request.method, request.target, request.authority).into_bytes();
    for (name, value) in &request.fields {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    match (&request.body, request.chunked) {
        (Some(body), true) => {
            bytes.extend_from_slice(format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n", body.len()).as_bytes());
            bytes.extend_from_slice(body);
            bytes.extend_from_slice(b"\r\n0\r\n\r\n");
        }
        (Some(body), false) => {
            bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
            bytes.extend_from_slice(body);
        }
        (None, _) => bytes.extend_from_slice(b"\r\n"),
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_found_by_their_names() {
        let ports = ports_of("probe::127.0.0.1:4001\npolicy-0::127.0.0.1:4002\n");
        assert_eq!((ports["probe"], ports["policy-0"]), (4001, 4002));
    }
}
