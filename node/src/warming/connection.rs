//! One connection to the proxy, kept for the next request. HTTP/1.1, whose requests may be for any host.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderValue};
use hyper::http::response::Parts;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::request::Fields;
use super::target::{Target, Via};

/// How the cache is told that clients come by TLS.
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// A connection, where there is one.
#[derive(Default)]
pub(super) struct Connection(Option<Open>);

struct Open {
    sender: SendRequest<Empty<Bytes>>,
    driver: JoinHandle<()>,
}

/// An answer whose body was read.
pub(super) struct Answer {
    pub(super) head: Parts,
    pub(super) bytes: u64,
}

impl Connection {
    /// Sends a GET, reads the answer to its end and drops it. Says what failed, for people.
    pub(super) async fn get(
        &mut self,
        via: &Via,
        target: &Target,
        fields: &Fields,
        connect_timeout: Duration,
    ) -> Result<Answer, String> {
        if let Some(mut kept) = self.0.take()
            && kept.sender.ready().await.is_ok()
        {
            // It may have been closed from afar just now: then nobody has answered, and a GET may be sent again.
            match ask(&mut kept.sender, request(target, fields)?).await {
                Ok(answer) => {
                    self.0 = Some(kept);
                    return Ok(answer);
                }
                Err(error) if !(error.is_canceled() || error.is_incomplete_message()) => return Err(text(&error)),
                Err(_) => {}
            }
        }
        let mut open = Open::new(via, connect_timeout).await?;
        let answer = ask(&mut open.sender, request(target, fields)?).await.map_err(|error| text(&error))?;
        self.0 = Some(open);
        Ok(answer)
    }
}

impl Open {
    async fn new(via: &Via, limit: Duration) -> Result<Self, String> {
        let cannot = |why: String| format!("cannot connect to {via}: {why}");
        let stream = timeout(limit, TcpStream::connect(via.address())).await;
        let stream = stream.map_err(|_| cannot(format!("no answer within {} ms", limit.as_millis())))?;
        let stream = stream.map_err(|error| cannot(error.to_string()))?;
        // A head is one small segment, and nothing comes after it.
        drop(stream.set_nodelay(true));
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| cannot(text(&error)))?;
        let driver = tokio::spawn(async move {
            // Whoever sends is told of what fails.
            drop(connection.await);
        });
        Ok(Self { sender, driver })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn ask(
    sender: &mut SendRequest<Empty<Bytes>>,
    request: hyper::Request<Empty<Bytes>>,
) -> Result<Answer, hyper::Error> {
    let (head, mut body) = sender.send_request(request).await?.into_parts();
    let mut bytes = 0u64;
    while let Some(frame) = body.frame().await {
        bytes = bytes.saturating_add(frame?.data_ref().map_or(0, Bytes::len) as u64);
    }
    Ok(Answer { head, bytes })
}

fn request(target: &Target, fields: &Fields) -> Result<hyper::Request<Empty<Bytes>>, String> {
    let mut request = hyper::Request::new(Empty::new());
    let unsendable = |_| format!("{target} cannot be sent");
    *request.uri_mut() = target.path().parse().map_err(unsendable)?;
    let headers = request.headers_mut();
    let host = HeaderValue::from_str(target.authority()).map_err(|_| format!("{target} cannot be sent"))?;
    headers.insert(HOST, host);
    if target.scheme() == "https" {
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
    }
    for (name, value) in fields {
        headers.append(name, value.clone());
    }
    Ok(request)
}

/// An error with what is behind it.
fn text(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
