//! A proxy with a cache, or what is said to be one.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use larder_core::Policy;
use larder_node::warming::Via;
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::task::JoinHandle;

/// Nothing in these tests takes longer, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A request that has come.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub headers: HeaderMap,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

/// How a request is answered: the how-manieth it is, from 0, and what it is.
pub type Answers = dyn Fn(usize, &Asked) -> Answer + Send + Sync;

pub enum Answer {
    Now(Response<Full<Bytes>>),
    /// Once all that wait for one another are there.
    Together(Arc<Barrier>, Response<Full<Bytes>>),
    /// Once that has happened.
    Never,
}

pub struct Proxy {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer with this `Cache-Status`.
pub fn says(status: u16, cache_status: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"body")));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    if !cache_status.is_empty() {
        response.headers_mut().insert("cache-status", cache_status.parse().expect("a value"));
    }
    response
}

pub fn stored() -> Answer {
    Answer::Now(says(200, "Larder; fwd=uri-miss; stored"))
}

impl Proxy {
    pub async fn start(answers: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static) -> Self {
        let answers: Arc<Answers> = Arc::new(answers);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (asked, connections) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::<AtomicUsize>::default());
        let (seen, came) = (asked.clone(), connections.clone());
        let task = tokio::spawn(async move {
            let mut serving = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                came.fetch_add(1, Ordering::Relaxed);
                let (answers, seen) = (answers.clone(), seen.clone());
                serving.spawn(async move {
                    let service = service_fn(|request: Request<_>| answer(answers.clone(), seen.clone(), &request));
                    // Whoever asks may go.
                    drop(
                        hyper::server::conn::http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service)
                            .await,
                    );
                });
            }
        });
        Self { address, asked, connections, task }
    }

    pub fn via(&self) -> Via {
        format!("http://{}", self.address).parse().expect("a proxy")
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("a lock").clone()
    }

    pub fn paths(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.path).collect()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Waits until so many requests have come for a path.
    pub async fn is_asked(&self, path: &str, times: usize) {
        let what = format!("{times} requests for {path}");
        eventually(&what, async || (self.paths().iter().filter(|asked| *asked == path).count() >= times).then_some(()))
            .await;
    }
}

fn answer(
    answers: Arc<Answers>,
    seen: Arc<Mutex<Vec<Asked>>>,
    request: &Request<hyper::body::Incoming>,
) -> impl Future<Output = Result<Response<Full<Bytes>>, Infallible>> + use<> {
    let asked = Asked { path: request.uri().to_string(), headers: request.headers().clone() };
    let number = {
        let mut seen = seen.lock().expect("a lock");
        seen.push(asked.clone());
        seen.len() - 1
    };
    async move {
        match answers(number, &asked) {
            Answer::Now(response) => Ok(response),
            Answer::Together(all, response) => {
                all.wait().await;
                Ok(response)
            }
            Answer::Never => std::future::pending().await,
        }
    }
}

/// Asks again and again until the answer is something.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        tokio::task::yield_now().await;
    }
}

pub fn policy(routes: &str) -> Arc<Policy> {
    let text = format!(r#"{{"version":1,"name":"p","routes":[{routes}]}}"#);
    Arc::new(Policy::parse(&text).expect("a policy"))
}
