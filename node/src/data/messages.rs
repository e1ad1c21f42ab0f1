//! From a request to the desk and back.

use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use larder_core::cluster::SERVE;
use larder_core::cluster::message::{
    Denial, Freshen, Lookup, Message, Poll, PollAnswer, Purge, PurgeAnswer, Refusal, Release, Report, Store,
    StoreAnswer, Tell,
};
use larder_core::purge::Position;

use super::answer::{Pieces, marked, message, turned_away};
use super::serving;
use crate::counts::Turned;
use crate::following::of_core;
use crate::listener::body;
use crate::log::{LogId, Read};
use crate::purging::By;
use crate::shared::Shared;
use crate::slot::KeyName;
use crate::tokens::{Scope, Verdict};

/// Where Envoy's active health checks ask: whether this node wants to be asked. A store that is down is no reason to send
/// everything to the other nodes, which mostly have the same.
const HEALTH: &str = "/larder/health";

/// Records in one answer to a poll.
const PAGE: usize = 1024;

/// Answers a request.
pub(super) async fn answer(shared: &Shared, request: Request<Incoming>) -> Response<Pieces> {
    // A node that has much to do is not an ill one: this takes no part in the limit.
    if request.uri().path() == HEALTH && matches!(*request.method(), Method::GET | Method::HEAD) {
        let status = if shared.is_stopping() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        return marked(status, Pieces::default());
    }
    let Ok(admission) = shared.requests.try_acquire() else { return refused(shared, Turned::Requests) };
    let outcome = if *request.method() == Method::POST {
        posted(shared, request, admission).await
    } else if request.headers().contains_key(SERVE) {
        serving::serve(shared, &request).await
    } else if matches!(*request.method(), Method::GET | Method::HEAD) {
        Err(Turned::Path)
    } else {
        Err(Turned::Method)
    };
    outcome.unwrap_or_else(|why| refused(shared, why))
}

fn refused(shared: &Shared, why: Turned) -> Response<Pieces> {
    shared.counts.turned.add(why);
    turned_away(why)
}

async fn posted(shared: &Shared, request: Request<Incoming>, admission: impl Send) -> Result<Response<Pieces>, Turned> {
    let kind = Kind::of(request.uri().path()).ok_or(Turned::Path)?;
    let limits = &shared.limits;
    let bytes_max = match kind {
        Kind::Store | Kind::Freshen | Kind::Tell => limits.fill_bytes_max(),
        _ => limits.message_bytes_max(),
    };
    let mut taken = shared.bodies.begin();
    let body = match body::read(request.into_body(), bytes_max, limits.body_timeout(), &mut taken).await {
        Ok(body) => body,
        // It is a response that is too long, which is a node's word and not an error.
        Err(Turned::TooLong) if matches!(kind, Kind::Store | Kind::Freshen) => {
            shared.counts.refusals.add(Refusal::TooLarge);
            return Ok(message(StoreAnswer::Refused(Refusal::TooLarge).encode()));
        }
        Err(why) => return Err(why),
    };
    perform(shared, kind, body, (admission, taken)).await.map(|pieces| marked(StatusCode::OK, pieces))
}

/// Does what a message asks for. `held` is let go of once waiting is all that is left to do.
pub(crate) async fn perform(shared: &Shared, kind: Kind, body: Bytes, held: impl Send) -> Result<Pieces, Turned> {
    let pieces = |message: Vec<u8>| Pieces::from(Bytes::from(message));
    match kind {
        Kind::Lookup => {
            let lookup: Lookup = decode(body)?;
            let key = key(&lookup.name)?;
            let answer = shared.desk.lookup(&key, &lookup, held).await;
            let front = answer.encode_front();
            let record = answer.found.map(|found| found.record).unwrap_or_default();
            Ok(Pieces::new(front.into(), record))
        }
        Kind::Store => {
            let store: Store = decode(body)?;
            Ok(pieces(shared.desk.store(&key(&store.name)?, &store).await.encode()))
        }
        Kind::Freshen => {
            let freshen: Freshen = decode(body)?;
            Ok(pieces(shared.desk.freshen(&key(&freshen.name)?, &freshen).await.encode()))
        }
        Kind::Release => {
            let release: Release = decode(body)?;
            Ok(pieces(shared.desk.release(&key(&release.name)?, &release).await.encode()))
        }
        Kind::Tell => {
            let tell: Tell = decode(body)?;
            // One after the other: what is said of one key is in order.
            for message in tell.messages {
                told(shared, message).await?;
            }
            Ok(pieces(StoreAnswer::Done.encode()))
        }
        Kind::Purge => Ok(pieces(purge(shared, &decode(body)?).await.encode())),
        Kind::Poll => {
            let asked: Poll = decode(body)?;
            drop(held);
            poll(shared, &asked).await
        }
        Kind::Report => {
            let (report, now): (Report, _) = (decode(body)?, shared.clock.now());
            if let Some(analytics) = &shared.analytics {
                analytics.report(&report, now);
            }
            shared.workers.reports(report, now);
            Ok(pieces(StoreAnswer::Done.encode()))
        }
    }
}

/// One of several. What is refused is counted, and no reason not to go on.
async fn told(shared: &Shared, message: Bytes) -> Result<(), Turned> {
    if let Some(store) = Store::decode(message.clone()) {
        shared.desk.store(&key(&store.name)?, &store).await;
    } else if let Some(freshen) = Freshen::decode(message.clone()) {
        shared.desk.freshen(&key(&freshen.name)?, &freshen).await;
    } else {
        let release: Release = decode(message)?;
        shared.desk.release(&key(&release.name)?, &release).await;
    }
    Ok(())
}

/// What a path asks for.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Lookup,
    Store,
    Freshen,
    Release,
    Tell,
    Purge,
    Poll,
    Report,
}

impl Kind {
    pub(crate) fn of(path: &str) -> Option<Self> {
        match path {
            Lookup::PATH => Some(Self::Lookup),
            Store::PATH => Some(Self::Store),
            Freshen::PATH => Some(Self::Freshen),
            Release::PATH => Some(Self::Release),
            Tell::PATH => Some(Self::Tell),
            Purge::PATH => Some(Self::Purge),
            Poll::PATH => Some(Self::Poll),
            Report::PATH => Some(Self::Report),
            _ => None,
        }
    }
}

fn decode<M: Message>(body: Bytes) -> Result<M, Turned> {
    M::decode(body).ok_or(Turned::Malformed)
}

fn key(name: &str) -> Result<KeyName, Turned> {
    KeyName::new(name).ok_or(Turned::Malformed)
}

async fn purge(shared: &Shared, purge: &Purge) -> PurgeAnswer {
    let (who, by) = match &purge.token {
        // The worker itself: its invalidations need no token, since it could store what it likes, too.
        None => (purge.who.as_str(), By::Worker),
        Some(token) => {
            let verdict = shared.tokens.as_ref().map_or(Verdict::Unknown, |known| known.judge(token, Scope::Purge));
            match verdict {
                Verdict::Allowed(who) => (who, By::Operator),
                Verdict::NotForThat(who) => {
                    shared.purging.denied(who);
                    return PurgeAnswer::Denied(Denial::Forbidden);
                }
                Verdict::Unknown => {
                    shared.purging.denied(&purge.who);
                    return PurgeAnswer::Denied(Denial::Unauthorized);
                }
            }
        }
    };
    match shared.purging.purge(who, by, &purge.purges).await {
        Ok(position) => PurgeAnswer::Done(position),
        Err(_) => PurgeAnswer::Denied(Denial::Unavailable),
    }
}

/// A worker that polls, for as long as it does.
struct Polling<'a> {
    shared: &'a Shared,
    worker: &'a str,
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.shared.workers.polled(self.worker, self.shared.clock.now());
    }
}

async fn poll(shared: &Shared, poll: &Poll) -> Result<Pieces, Turned> {
    let _permit = shared.polls.try_acquire().map_err(|_| Turned::Polls)?;
    shared.workers.polls(&poll.worker, poll.position, poll.lag_max, poll.watch.as_ref(), shared.clock.now());
    let _polling = Polling { shared, worker: &poll.worker };
    let anew = |position: Position| PollAnswer { position, begins_anew: true, records: Vec::new(), policies: None };
    let mut news = poll.watch.as_ref().and_then(|watch| shared.policies.news(watch));
    if poll.position.log == 0 {
        return shared.following.head().await.map(|head| with_news(&anew(head), news)).map_err(|_| Turned::Log);
    }
    let log = shared.following.log();
    let after = |wait| log.read(LogId(poll.position.log), poll.position.sequence, PAGE, wait);
    let wait = Duration::from_millis(poll.wait_for.0.min(shared.limits.poll_max_ms));
    // Whoever is to take up a policy is told now.
    let wait = if news.is_some() { Duration::ZERO } else { wait };
    let until_news = async {
        match &poll.watch {
            Some(watch) => shared.policies.until_news(watch).await,
            None => std::future::pending().await,
        }
    };
    let read = tokio::select! {
        // The log first: where both have something, neither waits for another poll.
        biased;
        read = after(wait) => read,
        () = shared.stopped() => {
            let answer =
                PollAnswer { position: poll.position, begins_anew: false, records: Vec::new(), policies: None };
            return Ok(with_news(&answer, None));
        }
        found = until_news, if news.is_none() => {
            news = Some(found);
            after(Duration::ZERO).await
        }
    };
    if let (None, Some(watch)) = (&news, &poll.watch) {
        news = shared.policies.news(watch);
    }
    let answer = match read.map_err(|_| Turned::Log)? {
        Read::Page(page) => {
            // Not the head: in a log that nodes share, it may lie before what this worker has from another node.
            let sequence = page.records.last().map_or(poll.position.sequence, |record| record.sequence);
            let position = Position { sequence, ..poll.position };
            PollAnswer { position, begins_anew: false, records: page.records, policies: None }
        }
        Read::TooOld { head, .. } | Read::Other { head } => anew(of_core(head)),
    };
    Ok(with_news(&answer, news))
}

/// An answer, and the policies that the worker does not have yet.
fn with_news(answer: &PollAnswer, news: Option<Bytes>) -> Pieces {
    match news {
        Some(news) => Pieces::new(answer.encode_front().into(), news),
        None => Bytes::from(answer.encode()).into(),
    }
}
