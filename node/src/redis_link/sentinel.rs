//! Which server is the master now, in the sentinels' words.
//!
//! All sentinels are asked at once and the first that names a master is believed, so that a dead one costs nothing. Whether the
//! server takes itself for the master, too, is checked on the connection to it: right after a failover, sentinels may still name
//! the old one.

use std::time::Duration;

use redis::{RedisError, cmd};
use tokio::task::JoinSet;

use super::address::Host;
use super::connect::Connector;
use super::failure::Failure;

/// Asks the sentinels for the master of a service.
pub(super) async fn master(connector: &Connector, sentinels: &[Host], service: &str) -> Result<Host, Failure> {
    let mut asked = JoinSet::new();
    for sentinel in sentinels {
        let (connector, sentinel, service) = (connector.clone(), sentinel.clone(), service.to_owned());
        asked.spawn(async move {
            let answer = ask(&connector, &sentinel, &service).await;
            answer.map_err(|error| format!("sentinel {sentinel}: {error}"))
        });
    }
    let mut reasons = Vec::new();
    while let Some(answer) = asked.join_next().await {
        match answer {
            Ok(Ok(Some(master))) => return Ok(master),
            Ok(Ok(None)) => reasons.push(format!("a sentinel does not know {service:?}")),
            Ok(Err(why)) => reasons.push(why),
            Err(ended) => reasons.push(ended.to_string()),
        }
    }
    reasons.sort();
    Err(Failure::Unreachable(reasons.join("; ")))
}

async fn ask(connector: &Connector, sentinel: &Host, service: &str) -> Result<Option<Host>, RedisError> {
    let mut connection = connector.to_sentinel(sentinel, Duration::ZERO).await?;
    let mut question = cmd("SENTINEL");
    question.arg("get-master-addr-by-name").arg(service);
    let answer: Option<(String, u16)> = question.query_async(&mut connection).await?;
    Ok(answer.map(|(name, port)| Host { name, port }))
}
