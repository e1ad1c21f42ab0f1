//! What came of a request, by what the cache says of it (RFC 9211).

use std::time::Duration;

use larder_core::Fields;
use larder_core::exchange::CACHE_NAME;
use larder_core::field::cache_status::{self, Said};
use serde::Serialize;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The origin was asked, or is being asked, and the response is stored.
    Warmed,
    /// It was there already.
    Fresh,
    /// There is an answer, and the cache has not stored it.
    NotStored,
    /// There is no answer, or one that says that something is wrong.
    Failed,
}

impl Outcome {
    /// The label in counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warmed => "warmed",
            Self::Fresh => "fresh",
            Self::NotStored => "not_stored",
            Self::Failed => "failed",
        }
    }
}

/// A request that is over.
#[derive(Clone, Debug)]
pub struct Done {
    /// What came of it.
    pub outcome: Outcome,
    /// Why it is not stored, or what failed.
    pub reason: Option<String>,
    /// The last answer's status.
    pub status: Option<u16>,
    /// Seconds that it is fresh yet, where the cache says so.
    pub ttl: Option<i64>,
    /// The bytes of the answer's body.
    pub bytes: u64,
    /// How often it was sent.
    pub attempts: u32,
    /// How long all of it took.
    pub took: Duration,
    /// Tags that the response's own fields give it.
    pub(crate) tags: Vec<String>,
}

/// What an answer comes to.
pub(super) struct Judged {
    pub(super) outcome: Outcome,
    pub(super) reason: Option<String>,
    pub(super) ttl: Option<i64>,
}

/// Judges by status and fields.
pub(super) fn judge(status: u16, fields: &Fields) -> Judged {
    let all = cache_status::read(fields);
    // The cache that is warmed, wherever it stands; else the one nearest to here.
    let said = all.iter().rev().find(|said| said.cache == CACHE_NAME).or(all.last());
    let Some(said) = said else {
        let reason = "the answer has no Cache-Status: is there a cache?".to_owned();
        return failed_by(status).unwrap_or(Judged { outcome: Outcome::NotStored, reason: Some(reason), ttl: None });
    };
    let ttl = said.ttl;
    let judged = |outcome, reason| Judged { outcome, reason, ttl };
    match said {
        Said { hit: true, ttl: Some(ttl), detail, .. } if *ttl < 0 => match detail.as_deref() {
            Some("stale-while-revalidate") => judged(Outcome::Warmed, Some("stale, and being refreshed".to_owned())),
            detail => judged(Outcome::Failed, Some(format!("answered stale ({})", detail.unwrap_or("no detail")))),
        },
        Said { hit: true, .. } => judged(Outcome::Fresh, None),
        Said { stored: true, .. } => judged(Outcome::Warmed, None),
        // Another's request has just fetched it.
        Said { collapsed: true, .. } if status < 400 => judged(Outcome::Fresh, None),
        said => failed_by(status).unwrap_or_else(|| judged(Outcome::NotStored, Some(why(said, status)))),
    }
}

fn failed_by(status: u16) -> Option<Judged> {
    (status >= 400).then(|| Judged { outcome: Outcome::Failed, reason: Some(format!("status {status}")), ttl: None })
}

fn why(said: &Said, status: u16) -> String {
    let what = match (&said.detail, &said.fwd) {
        (Some(detail), _) => detail.clone(),
        (None, Some(fwd)) => fwd.clone(),
        (None, None) => "no reason given".to_owned(),
    };
    if (300..400).contains(&status) { format!("{what} (status {status}, not followed)") } else { what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caches_word_is_what_counts() {
        use Outcome::{Failed, Fresh, NotStored, Warmed};
        for (status, line, outcome, reason) in [
            (200, "Larder; fwd=uri-miss; stored", Warmed, None),
            (200, "Larder; fwd=stale; fwd-status=304; stored", Warmed, None),
            (404, "Larder; fwd=uri-miss; stored", Warmed, None),
            (200, "Larder; hit; ttl=41", Fresh, None),
            (200, "Larder; hit; ttl=41; detail=cluster", Fresh, None),
            (200, "Larder; hit; ttl=-3; detail=stale-while-revalidate", Warmed, Some("stale, and being refreshed")),
            (200, "Larder; hit; ttl=-3; detail=stale-if-error", Failed, Some("answered stale (stale-if-error)")),
            (200, "Larder; fwd=uri-miss; detail=no-store", NotStored, Some("no-store")),
            (200, "Larder; fwd=bypass", NotStored, Some("bypass")),
            (302, "Larder; fwd=uri-miss; detail=status", NotStored, Some("status (status 302, not followed)")),
            (404, "Larder; fwd=uri-miss; detail=status", Failed, Some("status 404")),
            (200, "Larder; fwd=uri-miss; stored, CDN; fwd=bypass", Warmed, None),
            (200, "Larder; fwd=bypass, Other; hit", NotStored, Some("bypass")),
            (200, "Origin; hit, \"my cache\"; fwd=uri-miss; stored", Warmed, None),
            (200, "", NotStored, Some("the answer has no Cache-Status: is there a cache?")),
            (502, "", Failed, Some("status 502")),
        ] {
            let mut fields = Fields::new();
            if !line.is_empty() {
                fields.add("cache-status", line);
            }
            let judged = judge(status, &fields);
            assert_eq!((judged.outcome, judged.reason.as_deref()), (outcome, reason), "{status} {line}");
        }
    }
}
