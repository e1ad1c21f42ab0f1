//! The executor `origin`: the tower layer of larder-origin in front of the scripted origin, on simulated time.
//!
//! One thread runs everything: after each step the tasks are let go on until none of them has anything left to do, and time moves
//! only when the script says so. A tower service cannot say 1xx, which is what scenarios about them are not for it for.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body::Body as _;
use larder_origin::{CacheLayer, CacheService, Clock};
use metrics_util::MetricKind;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::runtime::Runtime;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use self::origin::{Origin, RequestBody, Script};
use super::executor::{
    ArrivalId, ClientId, Event, Executor, Part, Patience, Received, SentAnswer, SentReaction, SentRequest, Setting,
    World,
};

mod origin;

/// 2026-01-01T00:00:00Z.
const START_MS: u64 = 1_767_225_600_000;
/// How long this proxy waits for a silent origin.
const PATIENCE: Duration = Duration::from_secs(1);
/// As much memory as the other executors have.
const MEMORY_BYTES: u64 = 16 << 20;
/// Time goes in steps of this, so that one deadline comes after the other.
const STEP: Duration = Duration::from_millis(10);
/// Beyond this nothing has a deadline.
const STEPPED: Duration = Duration::from_secs(60);
/// More turns than any chain of tasks waking one another needs here.
const TURNS: usize = 200;

/// Runs scenarios in the layer.
#[derive(Debug, Default)]
pub struct InOrigin;

impl InOrigin {
    /// The executor.
    pub fn new() -> Self {
        Self
    }
}

impl Executor for InOrigin {
    fn name(&self) -> &'static str {
        "origin"
    }

    fn begin(&mut self, setting: &Setting<'_>) -> Result<Box<dyn World + '_>, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .map_err(|error| error.to_string())?;
        let began = runtime.block_on(async { Instant::now() });
        let layer = CacheLayer::builder()
            .policy(setting.policies.first().cloned().ok_or("no policy")?)
            .memory(MEMORY_BYTES)
            .cache_name("Larder")
            .clock(Simulated { began })
            .build()
            .map_err(|error| error.to_string())?;
        let script = Script::default();
        let service = layer.layer(Origin(script.clone()));
        let recorder = DebuggingRecorder::new();
        Ok(Box::new(Layered {
            snapshotter: recorder.snapshotter(),
            recorder,
            runtime,
            began,
            policies: setting.policies.to_vec(),
            layer,
            service,
            script,
            clients: BTreeMap::new(),
            methods: BTreeMap::new(),
            counts: BTreeMap::new(),
        }))
    }
}

/// The runtime's own time, which stands still between steps.
struct Simulated {
    began: Instant,
}

impl Clock for Simulated {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(START_MS) + self.began.elapsed()
    }
}

struct Layered {
    runtime: Runtime,
    began: Instant,
    recorder: DebuggingRecorder,
    snapshotter: Snapshotter,
    policies: Vec<String>,
    layer: CacheLayer,
    service: CacheService<Origin>,
    script: Script,
    clients: BTreeMap<ClientId, AbortHandle>,
    methods: BTreeMap<ArrivalId, String>,
    counts: BTreeMap<String, u64>,
}

impl Layered {
    fn run<T>(&self, step: impl Future<Output = T>) -> T {
        metrics::with_local_recorder(&self.recorder, || {
            self.runtime.block_on(async {
                let done = step.await;
                calm().await;
                done
            })
        })
    }

    fn pass(&self, span: Duration) {
        self.run(async {
            let mut left = span;
            let mut stepped = Duration::ZERO;
            while !left.is_zero() {
                let step = if stepped < STEPPED { STEP.min(left) } else { left };
                tokio::time::advance(step).await;
                calm().await;
                left -= step;
                stepped += step;
            }
        });
    }
}

/// Lets every task go on until it waits. The runtime never sleeps meanwhile, so its time stands still.
async fn calm() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

impl World for Layered {
    fn now(&mut self) -> u64 {
        let elapsed = self.run(async { self.began.elapsed() });
        START_MS + u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }

    fn send(&mut self, client: ClientId, request: SentRequest) -> Result<(), String> {
        let wrong = |error: http::Error| error.to_string();
        let body = RequestBody { bytes: request.body.clone().map(Bytes::from), chunked: request.chunked };
        let mut sent = Request::new(body);
        *sent.method_mut() = Method::from_bytes(request.method.as_bytes()).map_err(|error| error.to_string())?;
        *sent.uri_mut() = Uri::builder()
            .scheme(request.scheme.as_str())
            .authority(request.authority.as_str())
            .path_and_query(request.target.as_str())
            .build()
            .map_err(wrong)?;
        *sent.headers_mut() = origin::headers(&request.fields)?;
        let (mut service, script) = (self.service.clone(), self.script.clone());
        let task = self.runtime.spawn(async move {
            let Ok(response) = service.call(sent).await;
            let received = receive(response, &request.method).await;
            script.state().events.push_back(Event::Answered(client, received));
        });
        self.run(async {});
        self.clients.insert(client, task.abort_handle());
        Ok(())
    }

    fn next(&mut self, _patience: Patience) -> Result<Option<Event>, String> {
        self.run(async {});
        let event = self.script.state().events.pop_front();
        if let Some(Event::Arrived(arrival, request)) = &event {
            self.methods.insert(*arrival, request.method.clone());
        }
        Ok(event)
    }

    fn answer(&mut self, arrival: ArrivalId, answer: &SentAnswer, part: Part) -> Result<(), String> {
        if answer.reaction == SentReaction::Silence {
            self.pass(PATIENCE);
        }
        let method = self.methods.get(&arrival).map_or("GET", String::as_str);
        if part != Part::Rest {
            self.script.state().head(arrival, answer, method)?;
        }
        self.run(async {});
        if part != Part::Head {
            self.script.state().rest(arrival, answer)?;
        }
        self.run(async {});
        Ok(())
    }

    fn leave(&mut self, client: ClientId) -> Result<(), String> {
        if let Some(task) = self.clients.remove(&client) {
            task.abort();
        }
        self.run(async {});
        Ok(())
    }

    fn wait(&mut self, span: Duration) -> Result<(), String> {
        self.pass(span);
        Ok(())
    }

    fn reload(&mut self, index: usize) -> Result<(), String> {
        let policy = self.policies.get(index).ok_or("no such policy")?;
        self.run(async { self.layer.handle().set_policy(policy) }).map_err(|error| error.to_string())
    }

    fn counted(&mut self, outcome: &str, _expected: u64) -> Result<u64, String> {
        self.run(async { self.layer.handle().flush_metrics() });
        for (key, _, _, value) in self.snapshotter.snapshot().into_vec() {
            let (kind, key) = key.into_parts();
            let label = key.labels().find(|label| label.key() == "outcome");
            if let (MetricKind::Counter, "larder_requests_total", Some(label), DebugValue::Counter(count)) =
                (kind, key.name(), label, value)
            {
                // A snapshot takes what it shows.
                *self.counts.entry(label.value().to_owned()).or_default() += count;
            }
        }
        Ok(self.counts.get(outcome).copied().unwrap_or_default())
    }
}

/// Reads an answer to its end.
async fn receive(response: Response<larder_origin::Body>, method: &str) -> Received {
    let (parts, mut body) = response.into_parts();
    let mut received =
        Received { status: parts.status.as_u16(), fields: origin::lines(&parts.headers), ..Received::default() };
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(chunk)) => received.body.extend_from_slice(&chunk),
            Ok(Err(frame)) => received.trailers = frame.trailers_ref().map(origin::lines).unwrap_or_default(),
            Err(_) => {
                received.cut = true;
                break;
            }
        }
    }
    if method == "HEAD" || matches!(received.status, 204 | 304) {
        received.body.clear();
    }
    received
}
