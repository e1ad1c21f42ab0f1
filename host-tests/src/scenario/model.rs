//! What a scenario file says: a title, then steps. Data only; `parse` makes it, `run` carries it out.

use std::path::PathBuf;
use std::time::Duration;

/// A scenario file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The file.
    pub path: PathBuf,
    /// `topic/file` without the ending.
    pub name: String,
    /// What holds, in one sentence.
    pub title: String,
    /// Where it can run, if not everywhere.
    pub only: Option<Only>,
    /// The host that requests go to by default; one of its own from its name otherwise.
    pub host: Option<String>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// A restriction to some executors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Only {
    /// Their names.
    pub executors: Vec<String>,
    /// Why the others cannot.
    pub reason: String,
}

/// One step and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Line in the file, from 1.
    pub line: usize,
    /// Its first line.
    pub text: String,
    /// What to do.
    pub action: Action,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The policy; the first one is loaded before everything else, a later one is a reload.
    Policy(String),
    /// An answer of the origin.
    Origin(Answer),
    /// A request; one with a name runs on by itself, one without is answered before the next step.
    Request {
        /// The name.
        label: Option<String>,
        /// The request.
        request: Request,
    },
    /// The answer that a client must have got.
    Expect {
        /// Whose; the last request without a name otherwise.
        label: Option<String>,
        /// What it is like.
        expected: Expected,
    },
    /// That client must have no answer yet.
    Waits(String),
    /// That client closes its connection.
    Leaves(String),
    /// Lets held answers go: the oldest of a method and target, or all.
    Release(Option<Asked>),
    /// Time passes.
    Wait(Duration),
    /// What must have reached the origin so far.
    Saw {
        /// How many requests.
        count: usize,
        /// Of which kind; all otherwise.
        asked: Option<Asked>,
        /// What the last of them is like.
        checks: Vec<Check>,
        /// Its body.
        body: Option<Body>,
    },
    /// A counter's increase since the beginning.
    Counted {
        /// The outcome's name.
        outcome: String,
        /// How many.
        times: u64,
    },
}

/// A method and a target: `/path?query`, `http://host/path`, or the beginning of one and a `*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The target.
    pub target: String,
}

/// A client's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Method and target; a target that begins with `http` names its host.
    pub asked: Asked,
    /// Field lines.
    pub fields: Vec<Line>,
    /// The body.
    pub body: Option<Body>,
    /// The body comes in chunks, its length is not told.
    pub chunked: bool,
}

/// A field line; values may hold placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Lower-case name.
    pub name: String,
    /// The value as written.
    pub value: String,
}

/// A body as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// This text.
    Text(String),
    /// So many bytes of a pattern.
    Bytes(usize),
    /// Nothing.
    None,
}

impl Body {
    /// The bytes.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Bytes(count) => (0..*count).map(|at| b"0123456789abcdef"[at % 16]).collect(),
            Self::None => Vec::new(),
        }
    }
}

/// What the origin does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// A response of this status.
    Respond(u16),
    /// No connection can be made.
    Refuse,
    /// The connection is cut before a response.
    Reset,
    /// Nothing, until the proxy loses patience.
    Silence,
}

/// What of an answer waits for its release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Nothing.
    Nothing,
    /// All of it.
    All,
    /// The body; the head goes at once.
    Body,
}

/// A scripted answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// To which requests.
    pub asked: Asked,
    /// What happens.
    pub reaction: Reaction,
    /// Field lines.
    pub fields: Vec<Line>,
    /// The body.
    pub body: Body,
    /// Trailers.
    pub trailers: Vec<Line>,
    /// 1xx responses before it.
    pub interim: Vec<(u16, Line)>,
    /// The length is not told in advance.
    pub chunked: bool,
    /// What waits.
    pub hold: Hold,
    /// The connection is cut after so many bytes of the body.
    pub cut_after: Option<usize>,
    /// Time that passes before it.
    pub after: Duration,
}

impl Answer {
    /// A 200 without anything.
    pub fn new(asked: Asked, reaction: Reaction) -> Self {
        Self {
            asked,
            reaction,
            fields: Vec::new(),
            body: Body::None,
            trailers: Vec::new(),
            interim: Vec::new(),
            chunked: false,
            hold: Hold::Nothing,
            cut_after: None,
            after: Duration::ZERO,
        }
    }
}

/// An expectation of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Line in the file.
    pub line: usize,
    /// Lower-case name.
    pub name: String,
    /// What is expected.
    pub test: Test,
}

/// What is expected of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// Its lines, joined, are this.
    Is(String),
    /// One of its parts between `,` and `;` is this.
    Has(String),
    /// None of its parts is this.
    HasNot(String),
    /// It is not there.
    Absent,
    /// It is there.
    Present,
    /// It is there, and is remembered for `{name}`.
    Remember(String),
}

/// What an answer must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The status, where it is compared; `None` in it is a connection closed without an answer.
    pub status: Option<Option<u16>>,
    /// Fields.
    pub checks: Vec<Check>,
    /// The body.
    pub body: Option<Body>,
    /// Trailers.
    pub trailers: Vec<Check>,
    /// 1xx responses, by status and one field.
    pub interim: Vec<(u16, Check)>,
    /// The connection broke off before the end.
    pub cut: bool,
    /// What must have reached the origin since the request was sent.
    pub origin: Option<Asks>,
}

/// What must have reached the origin since a request was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asks {
    /// How many requests; at least one otherwise.
    pub requests: Option<usize>,
    /// Method and target of the last of them.
    pub asked: Option<Asked>,
    /// Its fields.
    pub checks: Vec<Check>,
    /// Its body.
    pub body: Option<Body>,
}
