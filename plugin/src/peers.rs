//! Purges between the workers' VMs: what one worker invalidates, the others hear.
//!
//! Each VM has a queue of its own. A fixed number of slots in the shared data says which queues there are; a slot holds the
//! queue's number and how often its owner has emptied it. A sender gives up a slot whose owner has not moved for
//! [`UNHEARD_MAX`] messages (its VM died): otherwise messages to the dead would pile up. Should the owner live after all, it
//! finds its slot gone at the next tick, forgets everything it has stored and takes another. So nothing is ever served that a
//! purge should have removed, and nothing grows without bound.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use larder_core::purge::{Made, Word};

use crate::vm::SharedCache;
use crate::{raw, vm};

/// VMs that can hear of one another; more workers push one another out and purge themselves.
const SLOTS: u32 = 128;
/// Messages to a slot without a sign of life of its owner.
const UNHEARD_MAX: u32 = 1024;
/// Messages taken at a time.
const DRAINED_AT_ONCE: usize = 4096;

thread_local! {
    static OWN: RefCell<Option<Own>> = const { RefCell::new(None) };
    static MADE: Cell<u64> = const { Cell::new(0) };
    static UNHEARD: RefCell<BTreeMap<u32, (Slot, u32)>> = const { RefCell::new(BTreeMap::new()) };
}

/// This VM's place.
#[derive(Clone, Debug)]
struct Own {
    number: u32,
    name: String,
    slot: Slot,
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    queue: u32,
    emptied: u32,
}

impl Slot {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (queue, rest) = bytes.split_first_chunk::<4>()?;
        let (emptied, _) = rest.split_first_chunk::<4>()?;
        Some(Self { queue: u32::from_le_bytes(*queue), emptied: u32::from_le_bytes(*emptied) })
    }

    fn to_bytes(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        let (queue, emptied) = bytes.split_at_mut(4);
        queue.copy_from_slice(&self.queue.to_le_bytes());
        emptied.copy_from_slice(&self.emptied.to_le_bytes());
        bytes
    }
}

fn key(number: u32) -> String {
    format!("larder.peer.{number}")
}

/// A message that says nothing.
const CALL: &[u8] = b"!";
/// What an empty slot holds.
const EMPTY: &[u8] = b"-";
/// Holds how many slots were ever taken, so that senders need not look at the others.
const TAKEN: &str = "larder.peers";

/// Makes the slots, where nobody has. Envoy configures its main thread before its workers, so that nobody makes them twice.
pub fn prepare() {
    if raw::shared(&key(0)) != Err(raw::Status::NOT_FOUND) {
        return;
    }
    let _ = raw::set_shared(TAKEN, &0u32.to_le_bytes(), 0);
    for number in (0..SLOTS).rev() {
        let _ = raw::set_shared(&key(number), EMPTY, 0);
    }
}

/// How many slots were ever taken, and the version of that number.
fn taken() -> (u32, u32) {
    let (bytes, version) = raw::shared(TAKEN).unwrap_or_default();
    let count = bytes.first_chunk::<4>().map_or(SLOTS, |count| u32::from_le_bytes(*count));
    (count.min(SLOTS), version)
}

/// Makes senders look at a slot.
fn announce(number: u32) {
    let count = number.saturating_add(1);
    for _ in 0..SLOTS {
        let (known, version) = taken();
        if known >= count || raw::set_shared(TAKEN, &count.to_le_bytes(), version).is_ok() {
            return;
        }
    }
}

/// This VM's number among its peers, once it has one.
pub fn own_number() -> Option<u32> {
    OWN.with_borrow(|own| own.as_ref().map(|own| own.number))
}

/// Takes a slot, or tells the host that the queue is now the current root's; then hears what came meanwhile.
pub fn join() {
    let known = OWN.with_borrow(|own| own.as_ref().map(|own| own.name.clone()));
    match known {
        // The number of a queue stays; whom the host tells about it changes.
        Some(name) => drop(raw::register_queue(&name)),
        None => take_slot(),
    }
    hear();
}

fn take_slot() {
    let free = (0..SLOTS).find_map(|number| {
        let (bytes, version) = raw::shared(&key(number)).ok()?;
        Slot::read(&bytes).is_none().then_some((number, version))
    });
    // All taken: somebody is pushed out, finds out at the next tick and loses nothing but what was stored.
    let any = || (u32::try_from(raw::now_nanos().checked_rem(u64::from(SLOTS)).unwrap_or(0)).unwrap_or(0), 0);
    let (number, version) = free.unwrap_or_else(any);
    let name = format!("larder-{number}-{:x}", raw::now_nanos());
    let Ok(queue) = raw::register_queue(&name) else { return };
    let slot = Slot { queue, emptied: 0 };
    if raw::set_shared(&key(number), &slot.to_bytes(), version).is_ok() {
        announce(number);
        OWN.set(Some(Own { number, name, slot }));
    }
    // Taken by another VM in the same moment: the next tick tries again, and forgets what is stored by then.
}

/// Takes up the purges that wait in this VM's queue.
pub fn hear() {
    let Some(own) = OWN.with_borrow(Clone::clone) else { return };
    let (mut heard, mut any) = (0usize, false);
    while let Some(message) = raw::dequeue(own.slot.queue) {
        let word = Word::decode(&message);
        if let Some(word) = &word {
            vm::hear(word, None);
            any = true;
        } else if message != CALL {
            // Another build of this module, in the time between the two: what it has purged is not known.
            vm::purge_all();
            any = true;
        }
        heard = heard.saturating_add(1);
        if heard >= DRAINED_AT_ONCE {
            break;
        }
    }
    if any {
        let slot = Slot { emptied: own.slot.emptied.wrapping_add(1), ..own.slot };
        keep_slot(&own, slot);
    }
}

/// Housekeeping: hears what came, and makes sure that others still know this VM.
pub fn tick() {
    match OWN.with_borrow(Clone::clone) {
        None => start_over(),
        Some(own) => {
            hear();
            if OWN.with_borrow(Option::is_some) && !holds(&own) {
                start_over();
            }
        }
    }
}

fn holds(own: &Own) -> bool {
    let held = raw::shared(&key(own.number)).ok().and_then(|(bytes, _)| Slot::read(&bytes));
    held.is_some_and(|held| held.queue == own.slot.queue)
}

fn keep_slot(own: &Own, slot: Slot) {
    let kept = raw::shared(&key(own.number)).ok().is_some_and(|(bytes, version)| {
        Slot::read(&bytes).is_some_and(|held| held.queue == slot.queue)
            && raw::set_shared(&key(own.number), &slot.to_bytes(), version).is_ok()
    });
    if kept {
        OWN.set(Some(Own { slot, ..own.clone() }));
    } else {
        start_over();
    }
}

/// Purges may have been missed: nothing that is stored can be trusted.
fn start_over() {
    vm::purge_all();
    OWN.set(None);
    take_slot();
}

/// Has the host call this VM's root soon, by a message to its own queue that says nothing.
pub fn call_root() {
    if let Some(queue) = OWN.with_borrow(|own| own.as_ref().map(|own| own.slot.queue)) {
        let _ = raw::enqueue(queue, CALL);
    }
}

/// What a purge of this VM's is known by. A queue's number is no other VM's, not even a later one's.
pub fn made() -> Made {
    MADE.set(MADE.get().wrapping_add(1));
    Made { by: own_queue(), number: MADE.get() }
}

fn own_queue() -> u32 {
    OWN.with_borrow(|own| own.as_ref().map_or(0, |own| own.slot.queue))
}

/// Says to the other VMs that what this one has purged is not in the log yet.
pub fn still_telling() {
    tell(&[Word::StillTelling(own_queue())]);
}

/// Says something to the other VMs, and to the other caches of this one.
pub fn say(words: &[Word], except: &SharedCache) {
    words.iter().for_each(|word| vm::hear(word, Some(except)));
    tell(words);
}

/// Tells the other VMs.
fn tell(words: &[Word]) {
    let own = own_number();
    let messages: Vec<Vec<u8>> = words.iter().map(Word::encode).collect();
    let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
    for number in (0..taken().0).filter(|number| Some(*number) != own) {
        let Ok((bytes, version)) = raw::shared(&key(number)) else { return };
        let Some(slot) = Slot::read(&bytes) else { continue };
        let unheard = UNHEARD.with_borrow_mut(|unheard| {
            let known = unheard.entry(number).or_insert((slot, 0));
            if known.0 != slot {
                *known = (slot, 0);
            }
            known.1 = known.1.saturating_add(count);
            known.1
        });
        if unheard > UNHEARD_MAX {
            let _ = raw::set_shared(&key(number), EMPTY, version);
            UNHEARD.with_borrow_mut(|unheard| unheard.remove(&number));
            // Nobody reads them any more; a living owner starts over.
            for _ in 0..UNHEARD_MAX.saturating_mul(4) {
                if raw::dequeue(slot.queue).is_none() {
                    break;
                }
            }
            continue;
        }
        for message in &messages {
            let _ = raw::enqueue(slot.queue, message);
        }
    }
}
