//! Several calls as one: what nobody waits for, told to a node with one request.
//!
//! Envoy spends as much on a call that stores a kilobyte as on a request of its own. What a worker has to tell within one turn of its
//! event loop therefore goes together, as far as it is known to go to the same node: a lease says which node gave it.

use bytes::Bytes;

use super::message::{Message, Tell};
use super::{Call, TELL_TIMEOUT};

/// Longer bodies go alone: copying them costs more than the request.
const ALONE_ABOVE: usize = 32 << 10;
/// Bytes of a call that several are put into.
const BYTES_MAX: usize = 128 << 10;
/// Messages in a call.
pub const MESSAGES_MAX: usize = 64;

/// The same calls, or fewer that say the same: those of one group become one. What is said of one key stays in order.
pub fn together(calls: Vec<Call>) -> Vec<Call> {
    let mut out: Vec<Gathered> = Vec::with_capacity(calls.len());
    for call in calls {
        let fits = |gathered: &&mut Gathered| {
            gathered.group == call.group
                && gathered.calls.len() < MESSAGES_MAX
                && gathered.bytes.saturating_add(call.body.len()) <= BYTES_MAX
        };
        let bytes = call.body.len();
        let alone = call.group == 0 || bytes > ALONE_ABOVE;
        // The newest of a group takes more, so that an older one's are sent first.
        match out.iter_mut().rev().find(|gathered| gathered.group == call.group).filter(fits).filter(|_| !alone) {
            Some(gathered) => {
                gathered.bytes = gathered.bytes.saturating_add(bytes);
                gathered.calls.push(call);
            }
            None => {
                // Nothing is put behind what goes alone.
                let bytes = if alone { BYTES_MAX } else { bytes };
                out.push(Gathered { group: call.group, bytes, calls: vec![call] });
            }
        }
    }
    out.into_iter().filter_map(Gathered::into_call).collect()
}

struct Gathered {
    group: u32,
    bytes: usize,
    calls: Vec<Call>,
}

impl Gathered {
    fn into_call(mut self) -> Option<Call> {
        if self.calls.len() < 2 {
            return self.calls.pop();
        }
        let name = self.calls.first()?.name.clone();
        let messages = self.calls.into_iter().map(|call| Bytes::from(call.body)).collect();
        let body = Tell { messages }.encode();
        Some(Call { path: Tell::PATH, name, body, timeout: TELL_TIMEOUT, group: self.group })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn call(group: u32, name: &str, bytes: usize) -> Call {
        let body = name.bytes().cycle().take(bytes).collect();
        Call { path: "/larder/store", name: name.into(), body, timeout: TELL_TIMEOUT, group }
    }

    /// Each call as its path's last word, whom it is addressed to, and what is said in it.
    fn said(calls: Vec<Call>) -> Vec<(String, String, Vec<String>)> {
        let first = |body: &[u8]| String::from_utf8_lossy(body.get(..1).unwrap_or_default()).into_owned();
        let messages = |call: &Call| match Tell::decode(call.body.clone().into()) {
            Some(tell) => tell.messages.iter().map(|message| first(message)).collect(),
            None => vec![first(&call.body)],
        };
        let path = |call: &Call| call.path.rsplit('/').next().unwrap_or_default().to_owned();
        together(calls).iter().map(|call| (path(call), call.name.clone(), messages(call))).collect()
    }

    fn row(path: &str, name: &str, messages: &[&str]) -> (String, String, Vec<String>) {
        (path.into(), name.into(), messages.iter().map(|text| text.to_string()).collect())
    }

    #[test]
    fn calls_of_a_group_become_one_and_those_of_none_stay_alone() {
        let calls = vec![call(1, "a", 10), call(0, "b", 10), call(2, "c", 10), call(1, "d", 10), call(0, "e", 10)];
        let expected = [
            row("tell", "a", &["a", "d"]),
            row("store", "b", &["b"]),
            row("store", "c", &["c"]),
            row("store", "e", &["e"]),
        ];
        assert_eq!(said(calls), expected);
        assert_eq!(said(vec![]), []);
    }

    #[test]
    fn long_ones_go_alone_and_nothing_overtakes_them() {
        let calls = vec![call(1, "a", 10), call(1, "b", ALONE_ABOVE + 1), call(1, "c", 10), call(1, "d", 10)];
        assert_eq!(said(calls), [row("store", "a", &["a"]), row("store", "b", &["b"]), row("tell", "c", &["c", "d"])]);
    }

    #[test]
    fn no_call_says_more_than_so_much() {
        let many = together((0..150).map(|_| call(1, "a", 10)).collect());
        assert_eq!(
            many.iter().filter_map(|c| Some(Tell::decode(c.body.clone().into())?.messages.len())).sum::<usize>(),
            150
        );
        assert_eq!(many.len(), 3);
        let long = together((0..8).map(|_| call(1, "a", ALONE_ABOVE)).collect());
        assert!(long.len() == 2 && long.iter().all(|call| call.body.len() <= BYTES_MAX + 64));
    }
}
