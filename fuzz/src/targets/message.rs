//! Messages between workers and nodes: what reads as a message is what would be written of it. So every message has one form, and
//! nothing that was cut, lengthened or bent reads as another.

use bytes::Bytes;
use larder_core::cluster::PROTOCOL;
use larder_core::cluster::message::{
    Freshen, Lookup, LookupAnswer, Message, Policies, Poll, PollAnswer, Purge, PurgeAnswer, Release, Report, Store,
    StoreAnswer, Tell,
};
use larder_core::purge::{Scope, is_under};

/// The first byte chooses the kind; the rest is what stands behind the bytes in front.
pub fn run(data: &[u8]) {
    let Some((kind, fields)) = data.split_first() else { return };
    match kind % 15 {
        0 => drop(again::<Lookup>(fields)),
        1 => {
            if let Some(answer) = again::<LookupAnswer>(fields) {
                let record = answer.found.as_ref().map(|found| found.record.clone()).unwrap_or_default();
                assert_eq!([&answer.encode_front()[..], &record].concat(), answer.encode());
            }
        }
        2 => drop(again::<Store>(fields)),
        3 => drop(again::<Freshen>(fields)),
        4 => drop(again::<Release>(fields)),
        5 => drop(again::<StoreAnswer>(fields)),
        6 => drop(again::<Purge>(fields)),
        7 => drop(again::<PurgeAnswer>(fields)),
        8 => drop(again::<Poll>(fields)),
        9 => {
            if let Some(answer) = again::<PollAnswer>(fields) {
                let back = answer.policies.as_ref().map_or_else(|| vec![0], Policies::encode_back);
                assert_eq!([answer.encode_front(), back].concat(), answer.encode());
            }
        }
        10 => drop(again::<Report>(fields)),
        11 => raw(fields),
        12 => scope(fields),
        13 => prefix(fields),
        _ => drop(again::<Tell>(fields)),
    }
}

/// Reads a message of a kind, and what is cut from it or added to it.
fn again<M: Message + PartialEq + std::fmt::Debug>(fields: &[u8]) -> Option<M> {
    let whole = Bytes::from([&b"LRDM"[..], &[PROTOCOL, M::KIND], fields].concat());
    let message = M::decode(whole.clone())?;
    assert_eq!(message.encode(), whole, "what was read is written otherwise");
    assert_eq!(M::decode(whole.slice(..whole.len() - 1)), None, "a byte less");
    assert_eq!(M::decode([&whole[..], &[0]].concat().into()), None, "a byte more");
    Some(message)
}

/// Bytes of any beginning are at most one kind of message.
fn raw(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let kinds = [
        Lookup::decode(bytes.clone()).is_some(),
        LookupAnswer::decode(bytes.clone()).is_some(),
        Store::decode(bytes.clone()).is_some(),
        Freshen::decode(bytes.clone()).is_some(),
        Release::decode(bytes.clone()).is_some(),
        StoreAnswer::decode(bytes.clone()).is_some(),
        Purge::decode(bytes.clone()).is_some(),
        PurgeAnswer::decode(bytes.clone()).is_some(),
        Poll::decode(bytes.clone()).is_some(),
        PollAnswer::decode(bytes.clone()).is_some(),
        Report::decode(bytes.clone()).is_some(),
        Tell::decode(bytes).is_some(),
    ];
    assert!(kinds.iter().filter(|is| **is).count() <= 1);
}

fn scope(bytes: &[u8]) {
    if let Some((scope, mode)) = Scope::decode(bytes) {
        assert_eq!(scope.encode(mode), bytes);
    }
}

/// Whether a URL lies under a prefix, against its segments one by one.
fn prefix(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Some((url, prefix)) = text.split_once('\n') else { return };
    let naive = if prefix.ends_with('/') {
        url.starts_with(prefix)
    } else {
        let ends: Vec<usize> = url.char_indices().filter(|(_, c)| matches!(c, '/' | '?')).map(|(at, _)| at).collect();
        ends.into_iter().chain([url.len()]).any(|end| &url[..end] == prefix)
    };
    assert_eq!(is_under(url, prefix), naive, "{url:?} {prefix:?}");
}
