//! The loop: the next thing happens, what comes of it is carried on, what clients have seen is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use larder_node::policies::Change;

use super::books::{Books, Who};
use super::clients::Client;
use super::dice::Dice;
use super::export::Said;
use super::fleet::Fleet;
use super::nodes::{Nodes, Ticket};
use super::oracles::Oracles;
use super::plan::{Ask, Identified, Plan, Purging, Pushing, Step, What};
use super::upstream::{Delivery, Exchanged};
use super::wires::{Asked, Sent, whole_ms};
use crate::host::{CallId, HostError, Plugin, StreamId};

/// What no cache may do, and was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which oracle says so.
    pub oracle: &'static str,
    /// What is wrong.
    pub why: String,
    /// When it was seen.
    pub at_ms: u64,
    /// Whose answer it is about, where it is about one.
    pub client: Option<usize>,
}

/// A run's end.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The first violation.
    pub violation: Option<Violation>,
    /// Requests answered.
    pub answered: usize,
    /// Of these, without the origin.
    pub hits: usize,
    /// Requests at the origin.
    pub origin_requests: usize,
    /// Messages to nodes.
    pub messages: usize,
    /// Requests that a node was to serve by itself.
    pub rerouted: usize,
    /// Requests under a policy that was pushed.
    pub policed: usize,
    /// VMs that took the place of others.
    pub vms: usize,
    /// What was done and seen, in order.
    pub trace: Vec<String>,
    /// The same, for a scenario.
    pub(super) said: Vec<Said>,
}

/// What happens at a time.
#[derive(Debug)]
pub(super) enum Event {
    Step(Step),
    /// A client goes away.
    Leaves(usize),
    /// A request reaches the origin.
    AtOrigin(Exchanged),
    /// Something of the origin's answer reaches an Envoy.
    FromOrigin(Exchanged, Delivery),
    /// A message reaches a node.
    AtNode(Sent),
    /// An answer reaches an Envoy.
    FromNode(Asked, Option<Bytes>),
    /// What a node serves reaches an Envoy.
    Served(Asked, Option<http::Response<Bytes>>),
    /// There is no way to the node.
    Refused(Asked),
    /// A purge is sent to a node, once more if need be.
    Purge(Purge),
    NodeUp(usize),
    NodeQuick(usize),
    Rejoined {
        envoy: usize,
        node: usize,
    },
    OriginUp,
    /// No more trouble from here on.
    Calm,
    /// Each worker is asked for the same twice: by then caching must work again.
    Probe(usize),
}

/// A purge on its way to the cluster.
#[derive(Clone, Debug)]
pub(super) struct Purge {
    pub by: Purging,
    pub object: usize,
    pub soft: bool,
    pub floors: Vec<(usize, u64)>,
}

/// Everything.
pub(super) struct World {
    pub plan: Plan,
    pub now_ms: u64,
    pub queue: BTreeMap<(u64, u64), Event>,
    pub serial: u64,
    pub dice: Dice,
    pub fleet: Fleet,
    pub nodes: Nodes,
    pub books: Books,
    pub oracles: Oracles,
    pub clients: BTreeMap<usize, Client>,
    pub next_client: usize,
    pub asked_of_origin: BTreeSet<(usize, u32, StreamId)>,
    /// The newest call of each Envoy that has been seen.
    pub calls: BTreeMap<(usize, u32), CallId>,
    /// Requests that calls are made for.
    pub calls_for: BTreeMap<(usize, u32, CallId), usize>,
    /// Refreshes under way, by whom and of which object.
    pub refreshing: BTreeMap<(Who, usize), Vec<CallId>>,
    pub tickets: BTreeMap<Ticket, Asked>,
    pub next_ticket: Ticket,
    pub down_since: Vec<Option<u64>>,
    pub up_since: Vec<u64>,
    pub partitions: BTreeMap<(usize, usize), u32>,
    /// How manifold each node is slow.
    pub slow: Vec<u32>,
    pub origin_down: u32,
    pub calm: bool,
    pub last_answers: BTreeMap<String, Bytes>,
    pub last_served: BTreeMap<String, http::Response<Bytes>>,
    pub known_etags: BTreeMap<(u8, usize), String>,
    pub fetching: BTreeMap<(Who, StreamId), Exchanged>,
    pub report: Report,
    pub tell: bool,
    /// Envoys whose clocks are so far ahead that nothing the origin sends is fresh there.
    pub ahead: BTreeSet<usize>,
}

/// After the last request, for what is under way.
const LINGER_MS: u64 = 10_000;
/// After the end of all trouble, until caching must work again: the breaker's longest pause and time to hear of the log.
const RECOVERY_MS: u64 = 45_000;
/// A clock that is further ahead of the origin's makes everything old on arrival (RFC 9111 4.2.3).
const AHEAD_MS: u64 = 20_000;
/// Between the two requests of a probe.
const PROBE_GAP_MS: u64 = 3_000;

/// Runs a plan. `tell` keeps what was done and seen.
///
/// # Errors
/// The module cannot be started.
pub fn run(plugin: &Plugin, plan: &Plan, tell: bool) -> Result<Report, HostError> {
    let mut plan = plan.clone();
    // What the probe asks for in the end: nobody else does, so that it is not there.
    plan.options.objects.push(super::catalog::Kind::Public);
    let options = plan.options.clone();
    let mut world = World {
        now_ms: 0,
        queue: BTreeMap::new(),
        serial: 0,
        dice: Dice::of(plan.seed, "wires"),
        fleet: Fleet::start(plugin, &options)?,
        nodes: Nodes::start(&options, super::fleet::BASE_MS),
        books: Books::new(&options),
        oracles: Oracles::new(),
        clients: BTreeMap::new(),
        next_client: 1,
        asked_of_origin: BTreeSet::new(),
        calls: BTreeMap::new(),
        calls_for: BTreeMap::new(),
        refreshing: BTreeMap::new(),
        tickets: BTreeMap::new(),
        next_ticket: 1,
        down_since: vec![None; options.nodes],
        up_since: vec![0; options.nodes],
        partitions: BTreeMap::new(),
        slow: vec![0; options.nodes],
        origin_down: 0,
        calm: false,
        last_answers: BTreeMap::new(),
        last_served: BTreeMap::new(),
        known_etags: BTreeMap::new(),
        fetching: BTreeMap::new(),
        report: Report::default(),
        tell,
        ahead: BTreeSet::new(),
        plan,
    };
    for (at, step) in world.plan.steps.clone() {
        world.at(at, Event::Step(step));
    }
    let calm = options.length_ms + LINGER_MS;
    world.at(calm, Event::Calm);
    if options.probed {
        world.at(calm + RECOVERY_MS, Event::Probe(1));
        world.at(calm + RECOVERY_MS + PROBE_GAP_MS, Event::Probe(2));
        world.go(calm + RECOVERY_MS + PROBE_GAP_MS + LINGER_MS)?;
    } else {
        world.go(calm + LINGER_MS)?;
    }
    Ok(world.report)
}

impl World {
    /// Something will happen.
    pub(super) fn at(&mut self, at_ms: u64, event: Event) {
        self.serial += 1;
        self.queue.insert((at_ms.max(self.now_ms), self.serial), event);
    }

    /// Something will happen after a while.
    pub(super) fn after(&mut self, by_ms: u64, event: Event) {
        self.at(self.now_ms + by_ms, event);
    }

    /// Notes what was done or seen.
    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if self.tell {
            let line = format!("{:>6} {}", self.now_ms, line());
            self.report.trace.push(line);
        }
    }

    /// Notes what clients and the origin did.
    pub(super) fn say(&mut self, said: impl FnOnce() -> Said) {
        if self.tell {
            self.report.said.push(said());
        }
    }

    /// Notes what must not be.
    pub(super) fn judge(&mut self, verdict: Result<(), (&'static str, String)>) {
        if let (Err((oracle, why)), None) = (verdict, &self.report.violation) {
            let at_ms = self.now_ms;
            self.note(|| format!("VIOLATION {oracle}: {why}"));
            self.report.violation = Some(Violation { oracle, why, at_ms, client: None });
        }
    }

    fn go(&mut self, end_ms: u64) -> Result<(), HostError> {
        while self.report.violation.is_none() {
            let queued = self.queue.keys().next().map(|(at, _)| *at);
            // Rounded up: nothing is due before.
            let due = self.fleet.next_due().map(|due| self.now_ms.saturating_add(whole_ms(due)));
            let Some(next) = queued.into_iter().chain(due).min().filter(|next| *next <= end_ms) else { break };
            self.pass(next.max(self.now_ms) - self.now_ms);
            while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now_ms) {
                let event = entry.remove();
                self.happen(event)?;
                self.carry();
            }
            self.carry();
        }
        if self.report.violation.is_none() {
            let verdict = self.oracles.end(&self.books, &self.fleet, self.clients.values());
            self.judge(verdict);
        }
        Ok(())
    }

    fn pass(&mut self, by_ms: u64) {
        let by = Duration::from_millis(by_ms);
        self.now_ms += by_ms;
        self.fleet.advance(by);
        let answered = self.nodes.advance(by, super::fleet::BASE_MS + self.now_ms);
        self.answered(answered);
    }

    /// What came of the last event goes on its way.
    fn carry(&mut self) {
        self.take_up_forwarded();
        self.take_up_calls();
        let answered = self.nodes.advance(Duration::ZERO, super::fleet::BASE_MS + self.now_ms);
        self.answered(answered);
        self.look_at_clients();
    }

    fn happen(&mut self, event: Event) -> Result<(), HostError> {
        match event {
            Event::Step(step) => return self.step(step),
            Event::Leaves(client) => self.leaves(client),
            Event::AtOrigin(exchanged) => self.at_origin(exchanged),
            Event::FromOrigin(exchanged, delivery) => self.hear_origin(exchanged, delivery),
            Event::AtNode(sent) => self.at_node(sent),
            Event::FromNode(asked, answer) => self.hear_node(&asked, answer),
            Event::Served(asked, response) => self.hear_served(&asked, response),
            Event::Refused(asked) => self.refused(&asked),
            Event::Purge(purge) => self.send_purge(purge),
            Event::NodeUp(node) => self.node_up(node),
            Event::NodeQuick(node) => {
                if let Some(slow) = self.slow.get_mut(node) {
                    *slow = slow.saturating_sub(1);
                }
            }
            Event::Rejoined { envoy, node } => {
                if let Some(depth) = self.partitions.get_mut(&(envoy, node)) {
                    *depth = depth.saturating_sub(1);
                }
            }
            Event::OriginUp => self.origin_down = self.origin_down.saturating_sub(1),
            Event::Calm => {
                self.note(|| "no more trouble".to_owned());
                self.calm = true;
            }
            Event::Probe(which) => self.probe(which),
        }
        Ok(())
    }

    fn step(&mut self, step: Step) -> Result<(), HostError> {
        if !matches!(step, Step::Ask(_)) {
            self.note(|| format!("{step:?}"));
        }
        match step {
            Step::Ask(ask) => self.ask(ask),
            Step::Write { object, purge, soft } => self.write(object, purge, soft),
            Step::Policy(to) => self.change_policy(to),
            Step::Trap { envoy, worker } => self.vm_dies(envoy, worker),
            Step::NodeSlow { node, for_ms } => {
                if let Some(slow) = self.slow.get_mut(node) {
                    *slow += 1;
                }
                self.after(for_ms, Event::NodeQuick(node));
            }
            Step::NodeDown { node, for_ms } => {
                self.node_down(node);
                self.after(for_ms, Event::NodeUp(node));
            }
            Step::Partition { envoy, node, for_ms } => {
                *self.partitions.entry((envoy, node)).or_default() += 1;
                self.after(for_ms, Event::Rejoined { envoy, node });
            }
            Step::OriginDown { for_ms } => {
                self.origin_down += 1;
                self.after(for_ms, Event::OriginUp);
            }
            Step::EnvoyRestart { envoy } => {
                self.clients_of_gone(envoy);
                return self.fleet.restart(envoy, self.now_ms);
            }
            Step::Reload { envoy } => return self.fleet.reload(envoy),
            Step::ClockForward { envoy, by_ms } => {
                if by_ms > AHEAD_MS {
                    self.ahead.insert(envoy);
                }
                if let Some(envoy) = self.fleet.envoys.get_mut(envoy) {
                    let to = envoy.host.now() + Duration::from_millis(by_ms);
                    envoy.host.set_wall_clock(to);
                }
            }
        }
        Ok(())
    }

    fn change_policy(&mut self, to: Pushing) {
        let change = match to {
            Pushing::Version(number) => {
                Change::Push { text: self.books.text(number), comment: "", shadow: false, again: false }
            }
            Pushing::Rollback => Change::Rollback { to: None },
            Pushing::Withdraw => Change::Withdraw,
        };
        let Some(changed) = self.nodes.change_policy(&change) else { return };
        if let Pushing::Version(number) = to {
            self.books.version_is(changed.last, number);
        }
        self.books.put_in_force(self.now_ms, changed.active.map(|active| active.version));
        self.note(|| format!("in force: {:?}", changed.active));
    }

    fn write(&mut self, object: usize, by: Purging, soft: bool) {
        let version = self.books.change(self.now_ms, object);
        let floors = match by {
            Purging::None => return,
            Purging::All => {
                (0..self.plan.options.objects.len()).map(|object| (object, self.books.origin.version(object))).collect()
            }
            _ => vec![(object, version)],
        };
        self.send_purge(Purge { by, object, soft, floors });
    }

    fn probe(&mut self, which: usize) {
        let object = self.plan.options.objects.len() - 1;
        for envoy in 0..self.plan.options.envoys {
            for worker in 0..self.plan.options.workers {
                let ask = Ask {
                    envoy,
                    worker,
                    object,
                    what: What::Get,
                    user: 0,
                    by: Identified::Authorization,
                    language: 0,
                    leaves_after_ms: None,
                };
                let stores = self.plan.options.l1_bytes > 0 || self.plan.options.nodes > 0;
                if which == 2 && stores && !self.ahead.contains(&envoy) {
                    self.oracles.expect_hit(self.next_client);
                }
                self.ask(ask);
            }
        }
    }
}
