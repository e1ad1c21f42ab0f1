//! The purge log: appending, following; and what workers report.

use super::codec::{Message, flag, millis, option, position, put_option, put_position, put_u64};
use super::policies::{Policies, Watch};
use crate::binary::{Reader, put, put_len};
use crate::purge::{Mode, Position, Record, Scope, Sequence};
use crate::time::Millis;

/// Purges to be appended, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purge {
    /// Who asks, for the node's own log.
    pub who: String,
    /// The bearer token of a client that asks, where it is not the worker itself.
    pub token: Option<Vec<u8>>,
    /// What to purge.
    pub purges: Vec<(Scope, Mode)>,
}

/// What became of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeAnswer {
    /// In the log; the last one stands here.
    Done(Position),
    /// Not in the log.
    Denied(Denial),
}

/// Why a node does not purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// No token, or none that the node knows.
    Unauthorized,
    /// The token is not for purging.
    Forbidden,
    /// The log cannot be written now.
    Unavailable,
}

/// A worker asks for what comes after its position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Poll {
    /// Which worker: unique in the fleet, and the same for as long as it lives.
    pub worker: String,
    /// Up to where it has heard; the default is nothing yet.
    pub position: Position,
    /// How long to wait for something new.
    pub wait_for: Millis,
    /// So long after an answer the worker goes on to use its memory without having heard more.
    pub lag_max: Millis,
    /// Which policy it runs; `None` where it takes up none from the cluster.
    pub watch: Option<Watch>,
}

/// What comes after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollAnswer {
    /// The log's identity, and up to where these records lead.
    pub position: Position,
    /// The worker's position was of another log or too old: it begins anew at `position`, and what it has stored is void.
    pub begins_anew: bool,
    /// In order.
    pub records: Vec<Record>,
    /// Where the worker watches a policy, and the cluster has another generation of it than the worker.
    pub policies: Option<Policies>,
}

/// What a worker has counted since its last report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Which worker.
    pub worker: String,
    /// Counters by name with labels (`larder_requests_total;route=items;outcome=hit`), and by how much they grew.
    pub counts: Vec<(String, u64)>,
    /// Gauges by name with labels, and where they stand.
    pub gauges: Vec<(String, u64)>,
    /// The URLs that were asked for most.
    pub keys: Vec<ReportedKey>,
}

/// A URL that was asked for: one whose responses are everybody's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportedKey {
    /// As purges name it.
    pub url: String,
    /// Under which rules, as counters have it: `;policy=shop;route=items;class=catalog`.
    pub labels: String,
    /// How often since the last report. Of URLs that are asked for seldom, not all requests are known.
    pub requests: u64,
    /// How often a store had the answer.
    pub hits: u64,
}

impl Purge {
    /// Where it is sent.
    pub const PATH: &str = "/larder/purge";
}

impl Poll {
    /// Where it is sent.
    pub const PATH: &str = "/larder/poll";
}

impl PollAnswer {
    /// The message up to its policies, which are the last in it. With [`Policies::encode_back`] after it, it is whole: a node that tells many
    /// workers of a policy has that in memory once.
    pub fn encode_front(&self) -> Vec<u8> {
        let mut front = Self { policies: None, ..self.clone() }.encode();
        // That there are none.
        front.pop();
        front
    }
}

impl Report {
    /// Where it is sent.
    pub const PATH: &str = "/larder/report";
}

impl Message for Purge {
    const KIND: u8 = 7;

    fn write(&self, out: &mut Vec<u8>) {
        put(out, self.who.as_bytes());
        out.push(u8::from(self.token.is_some()));
        put(out, self.token.as_deref().unwrap_or_default());
        put_len(out, self.purges.len());
        for (scope, mode) in &self.purges {
            put(out, &scope.encode(*mode));
        }
    }

    fn read(reader: &mut Reader) -> Option<Self> {
        let who = reader.text()?;
        let token = reader.optional_bytes()?.map(|token| token.to_vec());
        let mut purges = Vec::new();
        for _ in 0..reader.list()? {
            purges.push(Scope::decode(&reader.bytes()?)?);
        }
        Some(Self { who, token, purges })
    }
}

impl Message for PurgeAnswer {
    const KIND: u8 = 8;

    fn write(&self, out: &mut Vec<u8>) {
        let (number, position) = match self {
            Self::Done(position) => (0, *position),
            Self::Denied(Denial::Unauthorized) => (1, Position::default()),
            Self::Denied(Denial::Forbidden) => (2, Position::default()),
            Self::Denied(Denial::Unavailable) => (3, Position::default()),
        };
        out.push(number);
        put_position(out, position);
    }

    fn read(reader: &mut Reader) -> Option<Self> {
        let number = reader.u8()?;
        let position = position(reader)?;
        match number {
            0 => Some(Self::Done(position)),
            _ if position != Position::default() => None,
            1 => Some(Self::Denied(Denial::Unauthorized)),
            2 => Some(Self::Denied(Denial::Forbidden)),
            3 => Some(Self::Denied(Denial::Unavailable)),
            _ => None,
        }
    }
}

impl Message for Poll {
    const KIND: u8 = 9;

    fn write(&self, out: &mut Vec<u8>) {
        put(out, self.worker.as_bytes());
        put_position(out, self.position);
        put_u64(out, self.wait_for.0);
        put_u64(out, self.lag_max.0);
        put_option(out, self.watch.as_ref(), Watch::put);
    }

    fn read(reader: &mut Reader) -> Option<Self> {
        Some(Self {
            worker: reader.text()?,
            position: position(reader)?,
            wait_for: millis(reader)?,
            lag_max: millis(reader)?,
            watch: option(reader, Watch::take)?,
        })
    }
}

impl Message for PollAnswer {
    const KIND: u8 = 10;

    fn write(&self, out: &mut Vec<u8>) {
        put_position(out, self.position);
        out.push(u8::from(self.begins_anew));
        put_len(out, self.records.len());
        for record in &self.records {
            put_u64(out, record.sequence.0);
            put(out, &record.scope.encode(record.mode));
        }
        put_option(out, self.policies.as_ref(), Policies::put);
    }

    fn read(reader: &mut Reader) -> Option<Self> {
        let position = position(reader)?;
        let begins_anew = flag(reader)?;
        let mut records = Vec::new();
        for _ in 0..reader.list()? {
            let sequence = Sequence(reader.u64()?);
            let (scope, mode) = Scope::decode(&reader.bytes()?)?;
            records.push(Record { sequence, scope, mode });
        }
        Some(Self { position, begins_anew, records, policies: option(reader, Policies::take)? })
    }
}

impl Message for Report {
    const KIND: u8 = 11;

    fn write(&self, out: &mut Vec<u8>) {
        put(out, self.worker.as_bytes());
        for list in [&self.counts, &self.gauges] {
            put_len(out, list.len());
            for (name, number) in list {
                put(out, name.as_bytes());
                put_u64(out, *number);
            }
        }
        put_len(out, self.keys.len());
        for key in &self.keys {
            put(out, key.url.as_bytes());
            put(out, key.labels.as_bytes());
            put_u64(out, key.requests);
            put_u64(out, key.hits);
        }
    }

    fn read(reader: &mut Reader) -> Option<Self> {
        let worker = reader.text()?;
        let mut list = || {
            let mut rows = Vec::new();
            for _ in 0..reader.list()? {
                rows.push((reader.text()?, reader.u64()?));
            }
            Some(rows)
        };
        let (counts, gauges) = (list()?, list()?);
        let mut keys = Vec::new();
        for _ in 0..reader.list()? {
            let (url, labels) = (reader.text()?, reader.text()?);
            keys.push(ReportedKey { url, labels, requests: reader.u64()?, hits: reader.u64()? });
        }
        Some(Self { worker, counts, gauges, keys })
    }
}

#[cfg(test)]
mod tests {
    use super::super::policies::Pushed;
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const AT: Position = Position { log: 3, sequence: Sequence(4) };

    #[test]
    fn messages_come_back_as_they_were() {
        let purge = Purge {
            who: "w".into(),
            token: Some(b"secret".to_vec()),
            purges: vec![(Scope::All, Mode::Soft), (Scope::Tag("t".into()), Mode::Hard)],
        };
        assert_eq!(Purge::decode(purge.encode().into()), Some(purge));
        let denials = [Denial::Unauthorized, Denial::Forbidden, Denial::Unavailable].map(PurgeAnswer::Denied);
        for answer in denials.into_iter().chain([PurgeAnswer::Done(AT)]) {
            assert_eq!(PurgeAnswer::decode(answer.encode().into()), Some(answer));
        }
        let watch = Watch { name: "shop".into(), generation: 7, refused: Some("no".into()) };
        for watch in [None, Some(watch)] {
            let poll = Poll { worker: "w".into(), position: AT, wait_for: Millis(1), lag_max: Millis(2), watch };
            assert_eq!(Poll::decode(poll.encode().into()), Some(poll));
        }
        let records = vec![Record { sequence: Sequence(4), scope: Scope::Url("u".into()), mode: Mode::Hard }];
        let pushed = Pushed { version: 3, text: "{}".into() };
        let policies = Policies { generation: 8, active: Some(pushed), shadow: None };
        for policies in [None, Some(policies)] {
            let answer = PollAnswer { position: AT, begins_anew: true, records: records.clone(), policies };
            if let Some(policies) = &answer.policies {
                assert_eq!([answer.encode_front(), policies.encode_back()].concat(), answer.encode());
            }
            assert_eq!(PollAnswer::decode(answer.encode().into()), Some(answer));
        }
        let key = ReportedKey { url: "http://h/".into(), labels: ";route=a".into(), requests: 3, hits: 2 };
        let (counts, gauges) = (vec![("a;b=c".into(), 1)], vec![("g".into(), u64::MAX)]);
        let report = Report { worker: "w".into(), counts, gauges, keys: vec![key] };
        assert_eq!(Report::decode(report.encode().into()), Some(report));
    }
}
