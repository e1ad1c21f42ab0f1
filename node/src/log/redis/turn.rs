//! Whose turn it is at something that one node at a time does: a key that expires, with a word in it that only its owner knows.
//!
//! One Redis is asked, the log's own: a failover may lose the key, and two nodes then take the same turn for a while. What takes turns
//! must be such that this costs work and nothing else.

use std::time::Duration;

use redis::{RedisResult, cmd};

use crate::redis_link::Way;

/// Takes the turn, or keeps it; the same however often it is carried out.
const TAKE: &str = r"
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return holder
end
if holder then
  return holder
end
redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
return ARGV[1]
";

/// Gives it back, unless it is another's by now.
const GIVE: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
";

/// Where it stands.
pub(super) fn key(prefix: &str, what: &str) -> String {
    format!("{{{prefix}}}:turn:{what}")
}

pub(super) async fn take(mut way: Way, key: &str, mine: &str, keep_for: Duration) -> RedisResult<String> {
    let millis = u64::try_from(keep_for.as_millis()).unwrap_or(u64::MAX).max(1);
    cmd("EVAL").arg(TAKE).arg(1).arg(key).arg(mine).arg(millis).query_async(&mut way).await
}

pub(super) async fn give(mut way: Way, key: &str, mine: &str) -> RedisResult<()> {
    let _: u64 = cmd("EVAL").arg(GIVE).arg(1).arg(key).arg(mine).query_async(&mut way).await?;
    Ok(())
}
