//! Where scenarios run: the interface that every executor has, and the plain messages that go through it.
//!
//! An executor moves messages and time. It knows nothing of scripts and expectations: `run` answers as the origin, request by
//! request, and compares.

use std::time::Duration;

/// Names a client's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

/// Names a request at the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArrivalId(pub u64);

/// Field lines: lower-case names and raw values, in order.
pub type Lines = Vec<(String, Vec<u8>)>;

/// A request as a client sends it or as the origin gets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentRequest {
    /// Method.
    pub method: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Host, with port where given.
    pub authority: String,
    /// Path and query.
    pub target: String,
    /// Fields.
    pub fields: Lines,
    /// The body, where there is one.
    pub body: Option<Vec<u8>>,
    /// The body's length is not told.
    pub chunked: bool,
}

/// An answer of the origin, ready to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentAnswer {
    /// What happens.
    pub reaction: SentReaction,
    /// Fields, without framing unless the scenario gives it.
    pub fields: Lines,
    /// The body.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: Lines,
    /// 1xx responses before it.
    pub interim: Vec<(u16, Lines)>,
    /// The length is not told in advance.
    pub chunked: bool,
    /// The connection is cut after so many bytes of the body.
    pub cut_after: Option<usize>,
}

/// What the origin does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SentReaction {
    /// A response of this status.
    Respond(u16),
    /// No connection.
    Refuse,
    /// The connection is cut before a response.
    #[default]
    Reset,
    /// The proxy's patience ends.
    Silence,
}

/// Which part of an answer goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The head; the rest comes later.
    Head,
    /// What follows the head.
    Rest,
}

/// What a client got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Status; 0 where the connection closed without an answer.
    pub status: u16,
    /// Fields.
    pub fields: Lines,
    /// The body.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: Lines,
    /// 1xx responses before it.
    pub interim: Vec<(u16, Lines)>,
    /// The connection broke off before the end.
    pub cut: bool,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request reached the origin.
    Arrived(ArrivalId, SentRequest),
    /// A client has its answer.
    Answered(ClientId, Received),
}

/// How long an executor on real time waits for the next event. One on simulated time never waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Something must come.
    Expecting,
    /// Until things have calmed down.
    Settling,
}

/// How a scenario begins.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// `topic/file`.
    pub name: &'a str,
    /// The host that the scenario's requests go to by default; no other scenario has it, nor hosts that end in it.
    pub host: &'a str,
    /// The policies in order of their use.
    pub policies: &'a [String],
}

/// Something that runs scenarios.
pub trait Executor {
    /// Its name, as `only` lines write it.
    fn name(&self) -> &'static str;

    /// How far apart two readings of its clock may be where a scenario takes them for one (real time goes on).
    fn tolerance(&self) -> Duration {
        Duration::ZERO
    }

    /// Told before the first scenario which ones will come.
    fn prepare(&mut self, settings: &[Setting<'_>]) -> Result<(), String> {
        let _ = settings;
        Ok(())
    }

    /// An empty cache under the first policy.
    fn begin(&mut self, setting: &Setting<'_>) -> Result<Box<dyn World + '_>, String>;
}

/// One run of one scenario.
pub trait World {
    /// Milliseconds since 1970 by the clock that the cache reads.
    fn now(&mut self) -> u64;

    /// Sends a request.
    fn send(&mut self, client: ClientId, request: SentRequest) -> Result<(), String>;

    /// The next event; `None` where nothing moves any more.
    fn next(&mut self, patience: Patience) -> Result<Option<Event>, String>;

    /// The request arrived is about to be answered like this.
    fn answer(&mut self, arrival: ArrivalId, answer: &SentAnswer, part: Part) -> Result<(), String>;

    /// Told before a request goes out what the origin would do with it, where that has to be set up. True says that
    /// the request will not arrive, since the executor itself makes it fail.
    fn expect_reaction(&mut self, request: &mut SentRequest, reaction: SentReaction) -> Result<bool, String> {
        let _ = (request, reaction);
        Ok(false)
    }

    /// A client goes away.
    fn leave(&mut self, client: ClientId) -> Result<(), String>;

    /// Time passes.
    fn wait(&mut self, span: Duration) -> Result<(), String>;

    /// Another policy, the `index`th of the setting.
    fn reload(&mut self, index: usize) -> Result<(), String>;

    /// How many requests had this outcome since the beginning. One on real time looks again until there are as many as
    /// expected, or time is up.
    fn counted(&mut self, outcome: &str, expected: u64) -> Result<u64, String>;

    /// What went wrong in the host itself since it was last asked (a trapped VM, say).
    fn problems(&mut self) -> Vec<String> {
        Vec::new()
    }
}
