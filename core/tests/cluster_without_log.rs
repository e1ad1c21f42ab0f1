//! A node whose purge log is away (its Redis fails over) knows nothing, and says so: what a worker has in memory stays, for as long as the
//! worker itself has heard of the log lately.

use std::sync::Arc;

use larder_core::cluster::Settings;
use larder_core::cluster::leases::Lease;
use larder_core::cluster::message::{LookupAnswer, Message, PollAnswer};
use larder_core::exchange::{RequestVerdict, ResponseVerdict};
use larder_core::flights::StreamId;
use larder_core::purge::{Position, Sequence};
use larder_core::{Exchange, Policy, RequestHead, ResponseHead, Timestamp, Worker};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const LOG: Position = Position { log: 7, sequence: Sequence(3) };
const ANOTHER: Position = Position { log: 8, sequence: Sequence(0) };
const UNKNOWN: Position = Position { log: 0, sequence: Sequence(0) };

/// What became of a request: answered from memory, or by the origin after a look-up was answered by a miss at this position.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Memory,
    Origin,
}

fn ask(worker: &mut Worker, policy: &Arc<Policy>, id: u64, target: &str, position: Position) -> Came {
    let mut exchange = Exchange::new(policy.clone(), StreamId(id));
    let mut out = Vec::new();
    let head = RequestHead {
        method: "GET".into(),
        scheme: "http".into(),
        authority: "h.example".into(),
        target: target.into(),
        ..RequestHead::default()
    };
    let mut verdict = exchange.on_request(NOW, head, worker, &mut out);
    if matches!(verdict, RequestVerdict::Wait) {
        let answer = LookupAnswer { now: NOW, position, lease: Lease::None, found: None, other_variants: false };
        verdict = exchange.on_lookup(NOW, Ok(answer.encode().into()), worker, &mut out);
    }
    match verdict {
        RequestVerdict::Respond(reply) => {
            assert_eq!(reply.body(), b"body");
            Came::Memory
        }
        RequestVerdict::Forward(_) => {
            let response = ResponseHead { status: 200, ..ResponseHead::default() };
            let verdict = exchange.on_response(NOW, response, worker, &mut out);
            assert!(
                matches!(verdict, ResponseVerdict::Pass { capture: true, .. } | ResponseVerdict::Hold),
                "{verdict:?}"
            );
            exchange.on_end(NOW, b"body", worker, &mut out);
            exchange.on_close(worker, &mut out);
            Came::Origin
        }
        other => panic!("{other:?}"),
    }
}

fn started() -> (Worker, Arc<Policy>) {
    let text = r#"{"version":1,"name":"m","defaults":{"ttl":"1h"}}"#;
    let policy = Arc::new(Policy::parse(text).expect("the policy parses"));
    let mut worker = Worker::new(1 << 20, 1);
    worker.use_cluster(Some(Settings::default()));
    worker.heard(NOW, &PollAnswer { position: LOG, begins_anew: true, records: Vec::new(), policies: None });
    (worker, policy)
}

#[test]
fn a_node_that_does_not_know_its_log_empties_nobodys_memory() {
    let (mut worker, policy) = started();
    assert_eq!(ask(&mut worker, &policy, 1, "/a", LOG), Came::Origin);
    assert_eq!(ask(&mut worker, &policy, 2, "/b", UNKNOWN), Came::Origin);
    assert_eq!(ask(&mut worker, &policy, 3, "/a", UNKNOWN), Came::Memory);
    assert_eq!(ask(&mut worker, &policy, 4, "/b", UNKNOWN), Came::Memory, "what came meanwhile is kept, too");
    assert_eq!(worker.purges.position(), LOG);
}

#[test]
fn a_node_that_has_another_log_does() {
    let (mut worker, policy) = started();
    assert_eq!(ask(&mut worker, &policy, 1, "/a", LOG), Came::Origin);
    assert_eq!(ask(&mut worker, &policy, 2, "/b", ANOTHER), Came::Origin);
    assert_eq!(ask(&mut worker, &policy, 3, "/a", ANOTHER), Came::Origin);
}
