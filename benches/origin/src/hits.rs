//! Hits without a network: a layer's service is called, its answer read to the end and dropped, on one thread.

use std::future::poll_fn;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use nix::time::{ClockId, clock_gettime};
use serde::Serialize;
use tower::{Layer, Service};

use crate::counting;
use crate::handler::{ENTITY_TAG, Handler};
use crate::subjects::{self, Subject};

/// Requests that are made ready before the clock runs: few, since a server has just read what it answers.
const BATCH: usize = 32;
/// Requests after which an answer has to come from the store, if one ever does.
const WARM_REQUESTS: u32 = 1000;

/// What is asked.
#[derive(Clone, Debug, clap::Args)]
pub struct Question {
    /// The document's length
    #[arg(long, default_value_t = 1024)]
    bytes: usize,
    /// Ask whether the document has changed, which it has not
    #[arg(long)]
    conditional: bool,
    /// How long
    #[arg(long, default_value_t = 1000)]
    millis: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    /// Answers.
    hits: u64,
    /// The status code of each.
    status: u16,
    /// Nanoseconds on a core for one.
    ns_per_hit: f64,
    /// Allocations for one.
    allocations_per_hit: f64,
    /// Bytes of them.
    bytes_per_hit: f64,
}

/// Measures a subject.
pub async fn measure(subject: Subject, question: &Question) -> Result<Figures> {
    let handler = Handler::of(question.bytes);
    let service = handler.clone();
    match subject {
        Subject::Bare => run(service, None, question).await,
        Subject::Larder => run(subjects::larder()?.layer(service), Some(&handler), question).await,
        Subject::TowerHttpCache => run(subjects::tower_http_cache().layer(service), Some(&handler), question).await,
        Subject::HttpCacheTowerServer => {
            run(subjects::http_cache_tower_server().layer(service), Some(&handler), question).await
        }
    }
}

async fn run<S, R>(mut service: S, cached: Option<&Handler>, question: &Question) -> Result<Figures>
where
    S: Service<Request<Empty<Bytes>>, Response = Response<R>>,
    S::Error: std::fmt::Debug,
    R: http_body::Body<Data = Bytes> + Unpin,
    R::Error: std::fmt::Debug,
{
    let request = request(question.conditional)?;
    let status = warm(&mut service, cached, &request).await?;
    let before = cached.map(Handler::asked);

    let counted = requests(&request);
    counting::begin();
    let mut lengths = 0;
    for request in counted {
        lengths += ask(&mut service, request).await?.1;
    }
    let counts = counting::end();
    // Whoever does not answer 304 sends all of it.
    let expected = if status == 304 { 0 } else { question.bytes };
    ensure!(lengths == expected * BATCH, "bodies of {} bytes instead of {expected}", lengths / BATCH);

    let (mut hits, mut spent) = (0u64, Duration::ZERO);
    while spent < Duration::from_millis(question.millis) {
        let batch = requests(&request);
        let began = on_core()?;
        for request in batch {
            ask(&mut service, request).await?;
        }
        spent += on_core()?.saturating_sub(began);
        hits += BATCH as u64;
    }
    ensure!(
        cached.map(Handler::asked) == before,
        "the handler was asked, though this was to be answered from the store"
    );
    let each = |sum: u64| sum as f64 / BATCH as f64;
    Ok(Figures {
        hits,
        status,
        ns_per_hit: spent.as_secs_f64() * 1e9 / hits as f64,
        allocations_per_hit: each(counts.allocations),
        bytes_per_hit: each(counts.bytes),
    })
}

/// The processor time that this thread has had: what else runs on the machine does not count.
fn on_core() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

fn requests(request: &Request<Empty<Bytes>>) -> Vec<Request<Empty<Bytes>>> {
    std::iter::repeat_n(request, BATCH).cloned().collect()
}

/// What a browser asks, as HTTP/1.1 carries it.
fn request(conditional: bool) -> Result<Request<Empty<Bytes>>> {
    let mut request = Request::get("/document.json")
        .header("host", "127.0.0.1:8080")
        .header("accept", "application/json, text/plain, */*")
        .header("accept-encoding", "gzip, deflate, br")
        .header("accept-language", "en-US,en;q=0.5")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
        .header("referer", "http://localhost/catalogue");
    if conditional {
        request = request.header("if-none-match", ENTITY_TAG);
    }
    Ok(request.body(Empty::new())?)
}

/// Asks until an answer comes from the store: storing may go on behind the first one's back. The status of that answer.
async fn warm<S, R>(service: &mut S, cached: Option<&Handler>, request: &Request<Empty<Bytes>>) -> Result<u16>
where
    S: Service<Request<Empty<Bytes>>, Response = Response<R>>,
    S::Error: std::fmt::Debug,
    R: http_body::Body<Data = Bytes> + Unpin,
    R::Error: std::fmt::Debug,
{
    for _ in 0..WARM_REQUESTS {
        let before = cached.map(Handler::asked);
        let (status, _) = ask(service, request.clone()).await?;
        if cached.map(Handler::asked) == before {
            return Ok(status);
        }
        tokio::task::yield_now().await;
    }
    bail!("nothing is ever answered from the store")
}

/// One request, read to its end: the status and the body's length.
async fn ask<S, R>(service: &mut S, request: Request<Empty<Bytes>>) -> Result<(u16, usize)>
where
    S: Service<Request<Empty<Bytes>>, Response = Response<R>>,
    S::Error: std::fmt::Debug,
    R: http_body::Body<Data = Bytes> + Unpin,
    R::Error: std::fmt::Debug,
{
    poll_fn(|cx| service.poll_ready(cx)).await.ok().context("not ready")?;
    let response = service.call(request).await.ok().context("no answer")?;
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.ok().context("a body broke off")?;
        length += frame.data_ref().map_or(0, Bytes::len);
    }
    ensure!(status == 200 || status == 304, "status {status}");
    Ok((status, length))
}
