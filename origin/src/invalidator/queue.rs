//! Purges that no node has taken yet, in their order. No I/O and no clock: who calls says what time it is.
//!
//! Invariant: ids grow from front to back, and whatever has an id of [`Queue::settled_through`] or less needs no sending any more
//! (taken, refused for good, or covered by a purge of everything that is queued behind it).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use larder_core::purge::{Mode, Scope};
use tokio::sync::oneshot;

use super::purge::Purge;
use super::ticket::{Accepted, NotAccepted};

/// What becomes of a purge.
pub(super) type Outcome = Result<Accepted, NotAccepted>;

/// A purge as it is queued and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: u64,
    /// When it was asked for, in milliseconds since 1970. Shown only.
    pub(super) asked_ms: u64,
    pub(super) purge: Arc<Purge>,
}

#[derive(Debug)]
struct Waiting {
    entry: Entry,
    /// So many of its scopes are settled.
    done: usize,
    refused: Option<NotAccepted>,
    tickets: Vec<oneshot::Sender<Outcome>>,
}

/// What goes to a node in one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) scopes: Vec<Scope>,
    pub(super) mode: Mode,
    /// When the oldest of them was asked for.
    pub(super) asked_ms: u64,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    id: u64,
    from: usize,
    to: usize,
}

/// What [`Queue::push`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pushed {
    /// As soon as this id is durable, the purge is.
    pub(super) id: u64,
    /// So many scopes became one purge of everything, for want of room.
    pub(super) collapsed: Option<usize>,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    /// Scopes that are not settled.
    scopes: usize,
    scopes_max: usize,
    next_id: u64,
    /// Under way to a node: up to here, or nothing.
    under_way: Option<u64>,
    /// Purges of one scope by what they name: asked for again, they need not be sent again.
    singles: HashMap<(Scope, bool), u64>,
}

impl Queue {
    /// Takes over what was kept. Ids from `next_id` on are free.
    pub(super) fn new(kept: Vec<Entry>, next_id: u64, scopes_max: usize) -> Self {
        let mut queue = Self {
            waiting: VecDeque::new(),
            scopes: 0,
            scopes_max: scopes_max.max(1),
            next_id,
            under_way: None,
            singles: HashMap::new(),
        };
        kept.into_iter().for_each(|entry| queue.append(entry, Vec::new()));
        queue
    }

    /// Scopes that are not settled.
    pub(super) fn len(&self) -> usize {
        self.scopes
    }

    /// When the oldest was asked for.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        self.waiting.front().map(|waiting| waiting.entry.asked_ms)
    }

    /// The newest id that was given away.
    pub(super) fn newest(&self) -> u64 {
        self.next_id.saturating_sub(1)
    }

    /// Whatever has this id or a smaller one needs no sending any more.
    pub(super) fn settled_through(&self) -> u64 {
        self.waiting.front().map_or(self.next_id, |waiting| waiting.entry.id).saturating_sub(1)
    }

    /// What is not settled and has a larger id than this.
    pub(super) fn after(&self, id: u64) -> Vec<Entry> {
        let from = self.waiting.partition_point(|waiting| waiting.entry.id <= id);
        self.waiting.range(from..).map(|waiting| waiting.entry.clone()).collect()
    }

    /// Appends a purge. Where there is no room, it and all that waits become one purge of everything: too much, but nothing is lost.
    pub(super) fn push(&mut self, purge: Purge, asked_ms: u64, ticket: oneshot::Sender<Outcome>) -> Pushed {
        if let Some(id) = self.join(&purge) {
            let at = self.waiting.partition_point(|waiting| waiting.entry.id < id);
            if let Some(waiting) = self.waiting.get_mut(at) {
                waiting.tickets.push(ticket);
                return Pushed { id, collapsed: None };
            }
        }
        let wanted = self.scopes.saturating_add(purge.scopes().len());
        if wanted <= self.scopes_max {
            let id = self.append_new(purge, asked_ms, vec![ticket]);
            return Pushed { id, collapsed: None };
        }
        let all_soft =
            purge.mode() == Mode::Soft && self.waiting.iter().all(|waiting| waiting.entry.purge.mode() == Mode::Soft);
        let everything = if all_soft { Purge::new().all().soft() } else { Purge::new().all() };
        let asked_ms = self.oldest_ms().unwrap_or(asked_ms);
        let mut tickets: Vec<_> = self.waiting.drain(..).flat_map(|waiting| waiting.tickets).collect();
        tickets.push(ticket);
        self.scopes = 0;
        self.singles.clear();
        let id = self.append_new(everything, asked_ms, tickets);
        Pushed { id, collapsed: Some(wanted) }
    }

    /// The first purges that may go together: of one mode, and within limits (one scope always goes).
    /// They count as under way until [`Queue::returned`].
    pub(super) fn next(&mut self, scopes_max: usize, bytes_max: usize) -> Option<Batch> {
        let first = self.waiting.front()?;
        let mut batch = Batch {
            scopes: Vec::new(),
            mode: first.entry.purge.mode(),
            asked_ms: first.entry.asked_ms,
            parts: Vec::new(),
        };
        let mut bytes = 0;
        'full: for Waiting { entry, done, .. } in &self.waiting {
            if entry.purge.mode() != batch.mode {
                break;
            }
            let mut part = Part { id: entry.id, from: *done, to: *done };
            for scope in entry.purge.scopes().iter().skip(*done) {
                bytes += text_len(scope);
                if !batch.scopes.is_empty() && (batch.scopes.len() >= scopes_max || bytes > bytes_max) {
                    batch.parts.extend((part.to > part.from).then_some(part));
                    break 'full;
                }
                batch.scopes.push(scope.clone());
                part.to += 1;
            }
            batch.parts.push(part);
        }
        self.under_way = batch.parts.last().map(|part| part.id);
        Some(batch)
    }

    /// Nothing is under way any more.
    pub(super) fn returned(&mut self) {
        self.under_way = None;
    }

    /// A node has taken a batch.
    pub(super) fn accepted(&mut self, batch: &Batch, accepted: &Accepted) {
        self.settle(batch, accepted, None);
    }

    /// No node will ever take a batch.
    pub(super) fn refused(&mut self, batch: &Batch, why: &NotAccepted) {
        self.settle(batch, &Accepted::default(), Some(why));
    }

    /// Nobody will be told any more.
    pub(super) fn forget_tickets(&mut self) {
        self.waiting.iter_mut().for_each(|waiting| waiting.tickets.clear());
    }

    fn settle(&mut self, batch: &Batch, accepted: &Accepted, refused: Option<&NotAccepted>) {
        for part in &batch.parts {
            // What was collapsed meanwhile is not there any more.
            let Some(first) = self.waiting.front_mut() else { return };
            if first.entry.id != part.id || first.done != part.from {
                return;
            }
            first.done = part.to;
            self.scopes = self.scopes.saturating_sub(part.to.saturating_sub(part.from));
            if first.refused.is_none() {
                first.refused = refused.cloned();
            }
            if first.done < first.entry.purge.scopes().len() {
                continue;
            }
            let Some(settled) = self.waiting.pop_front() else { return };
            if let [scope] = settled.entry.purge.scopes() {
                let single = (scope.clone(), settled.entry.purge.mode() == Mode::Soft);
                if self.singles.get(&single) == Some(&settled.entry.id) {
                    self.singles.remove(&single);
                }
            }
            let outcome = settled.refused.map_or_else(|| Ok(accepted.clone()), Err);
            for ticket in settled.tickets {
                // Not everybody waits for it.
                let _ = ticket.send(outcome.clone());
            }
        }
    }

    /// A purge of the same that waits and is not under way: sent later than now, it does for both.
    fn join(&self, purge: &Purge) -> Option<u64> {
        let [scope] = purge.scopes() else { return None };
        let id = *self.singles.get(&(scope.clone(), purge.mode() == Mode::Soft))?;
        self.under_way.is_none_or(|under_way| id > under_way).then_some(id)
    }

    fn append_new(&mut self, purge: Purge, asked_ms: u64, tickets: Vec<oneshot::Sender<Outcome>>) -> u64 {
        let id = self.next_id;
        self.append(Entry { id, asked_ms, purge: Arc::new(purge) }, tickets);
        id
    }

    fn append(&mut self, entry: Entry, tickets: Vec<oneshot::Sender<Outcome>>) {
        self.next_id = self.next_id.max(entry.id.saturating_add(1));
        self.scopes = self.scopes.saturating_add(entry.purge.scopes().len());
        if let [scope] = entry.purge.scopes() {
            self.singles.insert((scope.clone(), entry.purge.mode() == Mode::Soft), entry.id);
        }
        self.waiting.push_back(Waiting { entry, done: 0, refused: None, tickets });
    }
}

fn text_len(scope: &Scope) -> usize {
    match scope {
        Scope::Url(text) | Scope::Tag(text) | Scope::Prefix(text) => text.len(),
        Scope::All => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Told = oneshot::Receiver<Outcome>;

    fn push(queue: &mut Queue, purge: Purge) -> (Pushed, Told) {
        let (ticket, told) = oneshot::channel();
        (queue.push(purge, 0, ticket), told)
    }

    fn tag(queue: &mut Queue, tag: &str) -> Told {
        push(queue, Purge::new().tag(tag)).1
    }

    fn names(scopes: &[Scope]) -> String {
        let name = |scope: &Scope| {
            if *scope == Scope::All {
                "*".to_owned()
            } else {
                String::from_utf8(scope.encode(Mode::Hard)[2..].to_vec()).expect("text")
            }
        };
        scopes.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    fn position(sequence: u64) -> Accepted {
        Accepted { sequence, ..Accepted::default() }
    }

    fn refusal() -> NotAccepted {
        NotAccepted::Refused { status: 400, detail: "no".into() }
    }

    #[test]
    fn a_batch_has_one_mode_and_keeps_the_order() {
        let mut queue = Queue::new(Vec::new(), 1, 100);
        let _told = [tag(&mut queue, "a"), push(&mut queue, Purge::new().tag("b").url("c")).1];
        let _soft = push(&mut queue, Purge::new().tag("d").soft());
        let _hard = tag(&mut queue, "e");
        let mut sent = Vec::new();
        while let Some(batch) = queue.next(10, 1000) {
            sent.push((names(&batch.scopes), batch.mode == Mode::Soft));
            queue.accepted(&batch, &position(1));
        }
        assert_eq!(sent, [("a b c".into(), false), ("d".into(), true), ("e".into(), false)]);
        assert_eq!((queue.len(), queue.settled_through(), queue.newest()), (0, 4, 4));
    }

    #[test]
    fn a_purge_larger_than_a_batch_is_told_at_its_end() {
        let mut queue = Queue::new(Vec::new(), 1, 100);
        let (_, mut told) = push(&mut queue, Purge::new().tags(["a", "b", "c", "d", "e"]));
        for (sequence, want) in [(1, "a b"), (2, "c d"), (3, "e")] {
            assert!(told.try_recv().is_err());
            let batch = queue.next(2, 1000).expect("a batch");
            assert_eq!(names(&batch.scopes), want);
            queue.accepted(&batch, &position(sequence));
        }
        assert_eq!(told.try_recv(), Ok(Ok(position(3))));
        // By bytes, too; one always goes.
        let _told = push(&mut queue, Purge::new().tags(["long", "x", "longer"]));
        let batch = queue.next(10, 2).expect("a batch");
        assert_eq!(names(&batch.scopes), "long");
    }

    #[test]
    fn a_refused_part_is_told_and_the_rest_goes_on() {
        let mut queue = Queue::new(Vec::new(), 1, 100);
        let (_, mut told) = push(&mut queue, Purge::new().tags(["a", "bad", "c"]));
        let mut other = tag(&mut queue, "d");
        for want in ["a", "bad", "c", "d"] {
            let batch = queue.next(1, 1000).expect("a batch");
            assert_eq!(names(&batch.scopes), want);
            if want == "bad" { queue.refused(&batch, &refusal()) } else { queue.accepted(&batch, &position(1)) }
        }
        assert_eq!(told.try_recv(), Ok(Err(refusal())));
        assert_eq!(other.try_recv(), Ok(Ok(position(1))));
    }

    #[test]
    fn the_same_again_joins_unless_it_is_under_way() {
        let mut queue = Queue::new(Vec::new(), 1, 100);
        let mut first = tag(&mut queue, "a");
        let mut second = tag(&mut queue, "a");
        assert_eq!(queue.len(), 1);
        let batch = queue.next(10, 1000).expect("a batch");
        let mut third = tag(&mut queue, "a");
        assert_eq!(queue.len(), 2, "the one under way may be from before the change");
        let _soft = push(&mut queue, Purge::new().tag("a").soft());
        assert_eq!(queue.len(), 3, "hard is not soft");
        queue.returned();
        queue.accepted(&batch, &position(1));
        assert!(first.try_recv().is_ok() && second.try_recv().is_ok() && third.try_recv().is_err());
        let mut fourth = tag(&mut queue, "a");
        assert_eq!(queue.len(), 2);
        let batch = queue.next(10, 1000).expect("a batch");
        queue.accepted(&batch, &position(2));
        assert!(third.try_recv().is_ok() && fourth.try_recv().is_ok());
    }

    #[test]
    fn a_full_queue_becomes_a_purge_of_everything() {
        let mut queue = Queue::new(Vec::new(), 1, 3);
        let mut told: Vec<Told> = ["a", "b", "c"].map(|name| tag(&mut queue, name)).into();
        let stale = queue.next(2, 1000).expect("a batch");
        let (pushed, last) = push(&mut queue, Purge::new().tag("d").soft());
        told.push(last);
        assert_eq!((pushed.collapsed, queue.len()), (Some(4), 1));
        // What was under way comes back, and settles nothing that is still there.
        queue.returned();
        queue.accepted(&stale, &position(1));
        assert_eq!(queue.len(), 1);
        told.push(tag(&mut queue, "e"));
        let batch = queue.next(10, 1000).expect("a batch");
        assert_eq!((names(&batch.scopes).as_str(), batch.mode), ("* e", Mode::Hard));
        queue.accepted(&batch, &position(2));
        assert!(told.iter_mut().all(|told| told.try_recv() == Ok(Ok(position(2)))));
        assert_eq!(queue.settled_through(), queue.newest());
    }

    #[test]
    fn all_soft_stays_soft_when_it_is_everything() {
        let mut queue = Queue::new(Vec::new(), 1, 1);
        let _told = [push(&mut queue, Purge::new().tag("a").soft()), push(&mut queue, Purge::new().tag("b").soft())];
        assert_eq!(queue.next(10, 1000).expect("a batch").mode, Mode::Soft);
    }

    /// A node, a queue and its user do anything in any order. Whatever each purge names has to be taken, by a request that began after
    /// it was asked for, before the user is told.
    #[test]
    fn nothing_is_lost_whatever_happens() {
        for seed in 0..500 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut queue = Queue::new(Vec::new(), 1, if random.bool() { 8 } else { 1000 });
            let mut asked: Vec<(u32, Purge, Told)> = Vec::new();
            let mut taken: Vec<(u32, Scope)> = Vec::new();
            let mut under_way: Option<(u32, Batch)> = None;
            for now in 0..200 {
                match random.u8(0..4) {
                    0 | 1 => {
                        let tags: Vec<String> =
                            (0..random.usize(1..4)).map(|_| format!("t{}", random.u8(0..6))).collect();
                        let purge = Purge::new().tags(tags);
                        let (_, told) = push(&mut queue, purge.clone());
                        asked.push((now, purge, told));
                    }
                    2 if under_way.is_none() => {
                        under_way = queue.next(random.usize(1..5), 1000).map(|batch| (now, batch));
                    }
                    _ => {
                        let Some((began, batch)) = under_way.take() else { continue };
                        queue.returned();
                        let (is_taken, is_heard) = (random.bool(), random.bool());
                        if is_taken {
                            taken.extend(batch.scopes.iter().map(|scope| (began, scope.clone())));
                        }
                        if is_taken && is_heard {
                            queue.accepted(&batch, &position(taken.len() as u64));
                        }
                    }
                }
            }
            queue.returned();
            while let Some(batch) = queue.next(3, 1000) {
                taken.extend(batch.scopes.iter().map(|scope| (1000, scope.clone())));
                queue.accepted(&batch, &position(taken.len() as u64));
            }
            for (when, purge, mut told) in asked {
                let end = told.try_recv().expect("told").expect("accepted").sequence as usize;
                for scope in purge.scopes() {
                    let counts =
                        |(began, taken): &(u32, Scope)| *began > when && (taken == scope || *taken == Scope::All);
                    assert!(taken[..end].iter().any(counts), "seed {seed}: {scope:?} asked for at {when}");
                }
            }
            assert_eq!((queue.len(), queue.settled_through()), (0, queue.newest()), "seed {seed}");
        }
    }
}
