//! Bodies stream: what the proxy holds of them is bounded, however long they are and however slow either end is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use larder_origin::proxy::Protocol;
use tokio::sync::mpsc;

use crate::support::{BoxError, Client, Origin, channel, full, proxy, soon, started};

const CHUNK: usize = 64 << 10;
const TOTAL: u64 = 128 << 20;

/// What lies between the one end and the other: windows of 4 MiB on each side, a few chunks, and what the system's sockets hold, which on
/// Linux is up to 10 MiB on each side, or what its administrator says. Half of it all would still be too much for a proxy to hold.
const BETWEEN_MAX: u64 = TOTAL / 2;

/// Sends the whole body; how much has been sent so far.
fn sends(frames: mpsc::Sender<Result<Frame<Bytes>, BoxError>>) -> Arc<AtomicU64> {
    let sent = Arc::new(AtomicU64::new(0));
    let count = sent.clone();
    tokio::spawn(async move {
        let chunk = Bytes::from(vec![b'x'; CHUNK]);
        for _ in 0..TOTAL / CHUNK as u64 {
            if frames.send(Ok(Frame::data(chunk.clone()))).await.is_err() {
                return;
            }
            count.fetch_add(CHUNK as u64, Ordering::SeqCst);
        }
    });
    sent
}

/// Reads it all, and sees that the sender is never far ahead.
async fn reads(mut body: Incoming, sent: &AtomicU64, what: &str) {
    let mut read = 0;
    // The sender gets every chance to run ahead before anything is read.
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    while let Some(frame) = soon(body.frame()).await {
        read += frame.expect("a frame").data_ref().map_or(0, |data| data.len() as u64);
        let between = sent.load(Ordering::SeqCst).saturating_sub(read);
        assert!(between <= BETWEEN_MAX, "{what}: {between} bytes lie in between");
    }
    assert_eq!(read, TOTAL, "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_responses_pass_with_bounded_memory() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for version in [1, 2] {
            let (frames, body) = channel();
            let sent = sends(frames);
            let body = std::sync::Mutex::new(Some(body));
            let origin = Origin::start(move |_| {
                let body = body.lock().expect("a lock").take().expect("one request");
                async { Response::new(body) }
            })
            .await;
            let running = started(proxy(&origin).origin_protocol(protocol)).await;
            let mut client = match version {
                1 => Client::http1(running.address()).await,
                _ => Client::http2(running.address()).await,
            };
            let response = client.send(Request::get("/").body(full("")).expect("a request")).await.expect("a head");
            reads(response.into_body(), &sent, &format!("{protocol:?} to {version}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_requests_pass_with_bounded_memory() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for version in [1, 2] {
            let (frames, body) = channel();
            let sent = sends(frames);
            let what = format!("{version} to {protocol:?}");
            let origin = Origin::start(move |request: Request<Incoming>| {
                let (sent, what) = (sent.clone(), what.clone());
                async move {
                    reads(request.into_body(), &sent, &what).await;
                    Response::new(full("all of it"))
                }
            })
            .await;
            let running = started(proxy(&origin).origin_protocol(protocol)).await;
            let mut client = match version {
                1 => Client::http1(running.address()).await,
                _ => Client::http2(running.address()).await,
            };
            let response = client.ask(Request::post("/").body(body).expect("a request")).await;
            assert_eq!(response.body(), "all of it");
        }
    }
}
