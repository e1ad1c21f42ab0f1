//! Carries out a scenario's steps in an executor, answering as the origin, and stops at the first step that goes otherwise.

use std::collections::BTreeMap;
use std::time::Duration;

use super::check::{Comparison, Difference, shown};
use super::executor::{
    ArrivalId, ClientId, Event, Executor, Part, Patience, Received, SentReaction, SentRequest, Setting, World,
};
use super::model::{Action, Asked, Body, Check, Expected, Hold, Reaction, Request, Scenario, Step};
use super::report::{Failure, Outcome, Report};
use super::script::{Script, target_parts};
use super::text::{Scope, expand};

/// Carries out one scenario.
pub fn run(scenario: &Scenario, executor: &mut dyn Executor) -> Report {
    let name = executor.name();
    let report = |outcome| Report {
        path: scenario.path.clone(),
        name: scenario.name.clone(),
        title: scenario.title.clone(),
        executor: name,
        outcome,
    };
    let elsewhere = scenario.only.as_ref().filter(|only| !only.executors.iter().any(|known| known == name));
    if let Some(only) = elsewhere {
        return report(Outcome::Skipped(only.reason.clone()));
    }
    let (host, policies) = (host(scenario), policies(scenario));
    let setting = Setting { name: &scenario.name, host: &host, policies: &policies };
    let tolerance = executor.tolerance();
    let outcome = match executor.begin(&setting) {
        Ok(world) => Run::new(world, &host, tolerance).all(&scenario.steps),
        Err(message) => {
            let step = scenario.steps.first();
            Outcome::Failed(Box::new(Failure {
                line: step.map_or(1, |step| step.line),
                step: step.map_or_else(String::new, |step| step.text.clone()),
                differences: vec![Difference::new("the scenario can begin", message)],
                context: Vec::new(),
            }))
        }
    };
    report(outcome)
}

/// The host that a scenario's requests go to; no two scenarios have the same, unless they name one.
pub fn host(scenario: &Scenario) -> String {
    if let Some(host) = &scenario.host {
        return host.clone();
    }
    let (topic, file) = scenario.name.split_once('/').unwrap_or(("scenario", &scenario.name));
    format!("{file}.{topic}.test").to_ascii_lowercase()
}

/// The policies of a scenario in order of their use.
pub fn policies(scenario: &Scenario) -> Vec<String> {
    let host = host(scenario);
    let texts = scenario.steps.iter().filter_map(|step| match &step.action {
        // Who names a host writes it into the policy as it is.
        Action::Policy(text) if scenario.host.is_some() => Some(text.clone()),
        Action::Policy(text) => Some(text.replace("{host}", &host)),
        _ => None,
    });
    texts.collect()
}

/// A request that came to the origin.
struct Seen {
    request: SentRequest,
}

/// An answer that waits for its release.
struct Held {
    arrival: ArrivalId,
    asked: Asked,
    answer: super::executor::SentAnswer,
    part: Part,
}

struct Run<'a> {
    world: Box<dyn World + 'a>,
    host: &'a str,
    tolerance: Duration,
    script: Script,
    seen: Vec<Seen>,
    held: Vec<Held>,
    clients: BTreeMap<String, ClientId>,
    answers: BTreeMap<ClientId, Received>,
    /// How much the origin had seen when a request was sent.
    seen_before: BTreeMap<ClientId, usize>,
    next_client: u64,
    policies_used: usize,
    memories: BTreeMap<String, String>,
}

/// The key of the last request without a name among `clients`; names are in capitals.
const LAST: &str = "last";

type Stopped = Vec<Difference>;

fn stopped(expected: impl Into<String>, found: impl Into<String>) -> Stopped {
    vec![Difference::new(expected, found)]
}

impl<'a> Run<'a> {
    fn new(world: Box<dyn World + 'a>, host: &'a str, tolerance: Duration) -> Self {
        Self {
            world,
            host,
            tolerance,
            script: Script::default(),
            seen: Vec::new(),
            held: Vec::new(),
            clients: BTreeMap::new(),
            answers: BTreeMap::new(),
            seen_before: BTreeMap::new(),
            next_client: 1,
            policies_used: 0,
            memories: BTreeMap::new(),
        }
    }

    fn all(mut self, steps: &[Step]) -> Outcome {
        for step in steps {
            let ended = self.step(&step.action).and_then(|()| match self.world.problems() {
                problems if problems.is_empty() => Ok(()),
                problems => Err(stopped("no trouble in the host", problems.join("; "))),
            });
            if let Err(differences) = ended {
                let context = self.context(&step.action);
                let (line, step) = (step.line, step.text.clone());
                return Outcome::Failed(Box::new(Failure { line, step, differences, context }));
            }
        }
        Outcome::Passed
    }

    fn step(&mut self, action: &Action) -> Result<(), Stopped> {
        match action {
            Action::Policy(_) => {
                let index = self.policies_used;
                self.policies_used += 1;
                if index > 0 {
                    self.world.reload(index).map_err(|error| stopped("the new policy is taken up", error))?;
                    self.settle()?;
                }
                Ok(())
            }
            Action::Origin(answer) => {
                self.script.add(answer.clone());
                Ok(())
            }
            Action::Request { label, request } => self.request(label.as_deref(), request),
            Action::Expect { label, expected } => self.expect(label.as_deref(), expected),
            Action::Waits(label) => {
                self.settle()?;
                let client = self.client(Some(label))?;
                match self.answers.get(&client) {
                    None => Ok(()),
                    Some(answer) => Err(stopped("no answer yet", format!("an answer of status {}", answer.status))),
                }
            }
            Action::Leaves(label) => {
                let client = self.client(Some(label))?;
                self.world.leave(client).map_err(|error| stopped("the client can leave", error))?;
                self.settle()
            }
            Action::Release(asked) => self.release(asked.as_ref()),
            Action::Wait(span) => {
                self.world.wait(*span).map_err(|error| stopped("time passes", error))?;
                self.settle()
            }
            Action::Saw { count, asked, checks, body } => self.saw(*count, asked.as_ref(), checks, body.as_ref()),
            Action::Counted { outcome, times } => {
                self.settle()?;
                let found =
                    self.world.counted(outcome, *times).map_err(|error| stopped("counters can be read", error))?;
                if found == *times {
                    return Ok(());
                }
                Err(stopped(format!("{times} requests counted as {outcome}"), format!("{found}")))
            }
        }
    }

    fn scope(&mut self) -> (u64, &str) {
        (self.world.now(), self.host)
    }

    fn expand(&mut self, text: &str) -> Result<String, Stopped> {
        let (now, host) = self.scope();
        let host = host.to_owned();
        expand(text, &Scope { host: &host, now, memories: &self.memories }).map_err(|error| stopped(error, ""))
    }

    fn client(&self, label: Option<&str>) -> Result<ClientId, Stopped> {
        let name = label.unwrap_or(LAST);
        self.clients.get(name).copied().ok_or_else(|| match label {
            Some(name) => stopped(format!("a request `{name}: GET /path` before this"), "none"),
            None => stopped("a request without a name before this", "none"),
        })
    }

    fn request(&mut self, label: Option<&str>, request: &Request) -> Result<(), Stopped> {
        let target = self.expand(&request.asked.target)?;
        let (scheme, authority, target) = target_parts(&target, self.host);
        let mut sent = SentRequest {
            method: request.asked.method.clone(),
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            target: target.to_owned(),
            fields: Vec::new(),
            body: request.body.as_ref().map(Body::bytes),
            chunked: request.chunked,
        };
        for line in &request.fields {
            sent.fields.push((line.name.clone(), self.expand(&line.value)?.into_bytes()));
        }
        if let Some((index, reaction)) = self.script.next_reaction(&sent, self.host) {
            let reaction = match reaction {
                Reaction::Respond(status) => SentReaction::Respond(status),
                Reaction::Refuse => SentReaction::Refuse,
                Reaction::Reset => SentReaction::Reset,
                Reaction::Silence => SentReaction::Silence,
            };
            let never_arrives =
                self.world.expect_reaction(&mut sent, reaction).map_err(|error| stopped("a failure set up", error))?;
            if never_arrives {
                self.script.use_up(index);
            }
        }
        let client = ClientId(self.next_client);
        self.next_client += 1;
        self.clients.insert(label.unwrap_or(LAST).to_owned(), client);
        self.seen_before.insert(client, self.seen.len());
        self.world.send(client, sent).map_err(|error| stopped("the request can be sent", error))?;
        if label.is_none() {
            self.await_answer(client)?;
        }
        self.settle()
    }

    fn await_answer(&mut self, client: ClientId) -> Result<(), Stopped> {
        while !self.answers.contains_key(&client) {
            if !self.turn(Patience::Expecting)? {
                let differences = Difference::new("an answer", "none");
                return Err(vec![match self.held.len() {
                    0 => differences,
                    count => differences.hint(format!(
                        "{count} answers of the origin are held; a request that waits for one needs a name, as in \
                         `A: GET /path` (\"as\" in a policy's test), and a `release`"
                    )),
                }]);
            }
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), Stopped> {
        while self.turn(Patience::Settling)? {}
        Ok(())
    }

    /// Takes up one event; false where there is none.
    fn turn(&mut self, patience: Patience) -> Result<bool, Stopped> {
        let event = self.world.next(patience).map_err(|error| stopped("things go on", error))?;
        match event {
            None => return Ok(false),
            Some(Event::Answered(client, received)) => {
                self.answers.insert(client, received);
            }
            Some(Event::Arrived(arrival, request)) => self.arrived(arrival, request)?,
        }
        Ok(true)
    }

    fn arrived(&mut self, arrival: ArrivalId, request: SentRequest) -> Result<(), Stopped> {
        let asked = Asked { method: request.method.clone(), target: request.target.clone() };
        let Some(answer) = self.script.take(&request, self.host) else {
            let found = format!("{} {} (host {})", asked.method, asked.target, request.authority);
            self.seen.push(Seen { request });
            let hint = format!("the origin needs an answer to `{} {}` before this", asked.method, asked.target);
            return Err(vec![Difference::new("only requests that the origin has an answer for", found).hint(hint)]);
        };
        if answer.reaction != Reaction::Refuse {
            self.seen.push(Seen { request });
        }
        if !answer.after.is_zero() {
            self.world.wait(answer.after).map_err(|error| stopped("time passes", error))?;
        }
        let now = self.world.now();
        let scope = Scope { host: self.host, now, memories: &self.memories };
        let sent = super::script::sent(&answer, &scope).map_err(|error| stopped(error, ""))?;
        let (now_part, later) = match answer.hold {
            Hold::Nothing => (Some(Part::Whole), None),
            Hold::All => (None, Some(Part::Whole)),
            Hold::Body => (Some(Part::Head), Some(Part::Rest)),
        };
        if let Some(part) = now_part {
            self.world.answer(arrival, &sent, part).map_err(|error| stopped("the origin can answer", error))?;
        }
        if let Some(part) = later {
            self.held.push(Held { arrival, asked, answer: sent, part });
        }
        Ok(())
    }

    fn release(&mut self, asked: Option<&Asked>) -> Result<(), Stopped> {
        let wanted = |held: &Held| asked.is_none_or(|asked| *asked == held.asked);
        let count = if asked.is_some() { 1 } else { self.held.len() };
        let mut released = Vec::new();
        for _ in 0..count {
            if let Some(at) = self.held.iter().position(wanted) {
                released.push(self.held.remove(at));
            }
        }
        if released.is_empty() {
            return Err(stopped("a held answer", "none is held, or its request has not reached the origin"));
        }
        for held in released {
            let went = self.world.answer(held.arrival, &held.answer, held.part);
            went.map_err(|error| stopped("the origin can answer", error))?;
        }
        self.settle()
    }

    fn expect(&mut self, label: Option<&str>, expected: &Expected) -> Result<(), Stopped> {
        let client = self.client(label)?;
        self.await_answer(client)?;
        let now = self.world.now();
        let scope = Scope { host: self.host, now, memories: &self.memories };
        let tolerance = self.tolerance;
        let mut comparison = Comparison { scope, tolerance, remembered: BTreeMap::new(), differences: Vec::new() };
        if let Some(found) = self.answers.get(&client) {
            comparison.answer(expected, found);
        }
        if let Some(asks) = &expected.origin {
            let before = self.seen_before.get(&client).copied().unwrap_or_default();
            let seen = self.seen.get(before..).unwrap_or_default();
            let last = seen.last().map(|seen| &seen.request);
            let is_asked = |asked: &Asked| last.is_some_and(|last| super::script::is_asked(asked, last, self.host));
            comparison.asks(asks, seen.len(), last, asks.asked.as_ref().is_none_or(is_asked));
        }
        let Comparison { remembered, differences, .. } = comparison;
        self.memories.extend(remembered);
        if differences.is_empty() { Ok(()) } else { Err(differences) }
    }

    fn saw(
        &mut self,
        count: usize,
        asked: Option<&Asked>,
        checks: &[Check],
        body: Option<&Body>,
    ) -> Result<(), Stopped> {
        self.settle()?;
        while self.matching(asked)?.len() < count && self.turn(Patience::Expecting)? {}
        let found = self.matching(asked)?;
        if found.len() != count {
            let of = asked.map_or_else(String::new, |asked| format!(" {} {}", asked.method, asked.target));
            return Err(stopped(format!("{count} requests{of} at the origin"), format!("{}", found.len())));
        }
        let Some(last) = found.last().map(|at| self.seen[*at].request.clone()) else { return Ok(()) };
        let now = self.world.now();
        let scope = Scope { host: self.host, now, memories: &self.memories };
        let tolerance = self.tolerance;
        let mut comparison = Comparison { scope, tolerance, remembered: BTreeMap::new(), differences: Vec::new() };
        comparison.request(checks, body, &last);
        let Comparison { remembered, differences, .. } = comparison;
        self.memories.extend(remembered);
        if differences.is_empty() { Ok(()) } else { Err(differences) }
    }

    fn matching(&mut self, asked: Option<&Asked>) -> Result<Vec<usize>, Stopped> {
        let all = 0..self.seen.len();
        let Some(asked) = asked else { return Ok(all.collect()) };
        let asked = Asked { target: self.expand(&asked.target)?, ..asked.clone() };
        Ok(all.filter(|at| super::script::is_asked(&asked, &self.seen[*at].request, self.host)).collect())
    }

    /// What a reader wants to see beside a difference.
    fn context(&self, action: &Action) -> Vec<String> {
        let mut lines = Vec::new();
        let label = match action {
            Action::Expect { label, .. } | Action::Request { label, .. } => Some(label.as_deref().unwrap_or(LAST)),
            _ => None,
        };
        if let Some(answer) = label.and_then(|label| self.clients.get(label)).and_then(|id| self.answers.get(id)) {
            lines.push(format!("the whole answer: {}", answer.status));
            lines.extend(answer.fields.iter().map(|(name, value)| format!("  {name}: {}", clipped(value))));
            lines.push(format!("  body {}", shown(&answer.body)));
        }
        lines.push(format!("{} requests at the origin", self.seen.len()));
        for Seen { request } in &self.seen {
            lines.push(format!("  {} {} (host {})", request.method, request.target, request.authority));
            if matches!(action, Action::Saw { .. }) {
                lines.extend(request.fields.iter().map(|(name, value)| format!("    {name}: {}", clipped(value))));
            }
        }
        lines
    }
}

fn clipped(value: &[u8]) -> String {
    const SHOWN_MAX: usize = 160;
    let text = String::from_utf8_lossy(value);
    if text.len() <= SHOWN_MAX {
        return text.into_owned();
    }
    format!("{}... ({} bytes)", text.chars().take(SHOWN_MAX).collect::<String>(), text.len())
}
