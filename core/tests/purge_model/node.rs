//! A node of the cluster for one key, made of the core's own decisions.

use bytes::Bytes;
use foldhash::fast::FixedState;
use larder_core::cluster::Call;
use larder_core::cluster::desk::{self, Kept};
use larder_core::cluster::leases::Leases;
use larder_core::cluster::message::{
    Found, Freshen, Lookup, LookupAnswer, Message, PollAnswer, Purge, PurgeAnswer, Release, Store, StoreAnswer,
};
use larder_core::entry::wire;
use larder_core::purge::{Mode, Position, PurgeTable, Record, Scope};
use larder_core::time::Timestamp;

use super::world::Bug;

const LOG: u64 = 42;

#[derive(Debug)]
pub struct Node {
    table: PurgeTable<FixedState>,
    records: Vec<Record>,
    leases: Leases<FixedState>,
    stored: Option<Bytes>,
    bug: Option<Bug>,
}

impl Node {
    pub fn new(bug: Option<Bug>) -> Self {
        let state = FixedState::with_seed(1);
        Self {
            table: PurgeTable::new(64, state.clone()),
            records: Vec::new(),
            leases: Leases::new(64, state, 0),
            stored: None,
            bug,
        }
    }

    pub fn position(&self) -> Position {
        Position { log: LOG, sequence: self.table.head() }
    }

    pub fn purge(&mut self, scope: Scope, mode: Mode) -> Position {
        self.records.push(self.table.append(scope, mode));
        self.position()
    }

    pub fn poll(&self, from: Position) -> PollAnswer {
        let begins_anew = from.log != LOG;
        let records = self.records.iter().filter(|record| record.sequence > from.sequence).cloned();
        PollAnswer {
            position: self.position(),
            begins_anew,
            records: if begins_anew { Vec::new() } else { records.collect() },
            policies: None,
        }
    }

    pub fn answer(&mut self, call: &Call, now: Timestamp) -> Vec<u8> {
        let body = Bytes::from(call.body.clone());
        match call.path {
            Lookup::PATH => self.lookup(&Lookup::decode(body).unwrap(), now).encode(),
            Store::PATH => self.store(&Store::decode(body).unwrap()).encode(),
            Freshen::PATH => self.freshen(&Freshen::decode(body).unwrap()).encode(),
            Release::PATH => {
                let release = Release::decode(body).unwrap();
                self.leases.end(&release.name, release.lease);
                StoreAnswer::Done.encode()
            }
            Purge::PATH => {
                let purge = Purge::decode(body).unwrap();
                purge.purges.into_iter().for_each(|(scope, mode)| {
                    self.purge(scope, mode);
                });
                PurgeAnswer::Done(self.position()).encode()
            }
            other => panic!("a call to {other}"),
        }
    }

    fn lookup(&mut self, lookup: &Lookup, now: Timestamp) -> LookupAnswer {
        let position = self.position();
        let kept = self.stored.as_ref().map(|record| {
            let label = wire::label(record).unwrap();
            desk::judge(&label, &self.table, LOG, now)
        });
        let lease = desk::lease(kept, lookup, &mut self.leases, now);
        let found = match (kept, &self.stored) {
            (Some(Kept::Fresh), Some(record)) => Some((false, record)),
            (Some(Kept::Stale { soft }), Some(record)) => Some((soft && self.bug != Some(Bug::NodeHidesSoft), record)),
            _ => None,
        };
        let found = found.map(|(soft, record)| {
            let (entry, _) = wire::decode(record, &lookup.name).unwrap();
            Found { soft, body_bytes: entry.facts().body.len() as u32, record: record.clone() }
        });
        LookupAnswer { now, position, lease, found, other_variants: false }
    }

    fn store(&mut self, store: &Store) -> StoreAnswer {
        let (entry, fresh_until) = wire::decode(&store.record, &store.name).unwrap();
        let entry = match self.bug {
            Some(Bug::StoreTakesPositionOfArrival) => {
                let mut facts = entry.into_facts();
                facts.position = self.position();
                larder_core::entry::Entry::new(facts)
            }
            _ => entry,
        };
        self.stored = Some(wire::encode(&entry, &store.name, fresh_until, true).into());
        self.leases.end(&store.name, store.lease);
        StoreAnswer::Done
    }

    fn freshen(&mut self, freshen: &Freshen) -> StoreAnswer {
        self.leases.end(&freshen.name, freshen.lease);
        let Some(stored) = &self.stored else { return StoreAnswer::Done };
        let (old, _) = wire::decode(stored, &freshen.name).unwrap();
        if old.facts().times.response != freshen.base {
            return StoreAnswer::Done;
        }
        let (new, fresh_until) = wire::decode(&freshen.record, &freshen.name).unwrap();
        let mut facts = new.into_facts();
        facts.body = old.facts().body.clone();
        self.stored =
            Some(wire::encode(&larder_core::entry::Entry::new(facts), &freshen.name, fresh_until, true).into());
        StoreAnswer::Done
    }
}
