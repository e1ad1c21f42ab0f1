//! A worker's side of the policies that a cluster has under a name: what was taken up, what was refused, what to ask for.
//!
//! Without I/O: a host says [`Subscription::watch`] with each poll and hands what came to [`Subscription::heard`]. A policy that this
//! worker cannot read is refused, said so with the next poll, and changes nothing: what ran goes on.

use std::fmt::Write as _;
use std::sync::Arc;

use super::message::{POLICY_BYTES_MAX, Policies, Pushed, Watch};
use crate::policy::Policy;

/// What a worker takes up from its cluster.
#[derive(Clone, Debug)]
pub struct Subscription {
    name: String,
    generation: u64,
    refused: Option<String>,
    active: Option<Taken>,
    shadow: Option<Taken>,
}

/// A version that was taken up.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Counts from 1, per name.
    pub version: u64,
    /// What it says.
    pub policy: Arc<Policy>,
}

/// What came of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// [`Subscription::active`] or [`Subscription::shadow`] is another one now.
    pub changed: bool,
    /// Something was refused, and why: for a line in the log, and to be counted.
    pub refused: Option<String>,
}

/// Longer explanations are cut: they go along with every poll.
const REASON_BYTES_MAX: usize = 2048;

impl Subscription {
    /// A worker that runs what it was configured with: a policy of this name.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), generation: 0, refused: None, active: None, shadow: None }
    }

    /// The name of the policy.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is in force instead of what the worker was configured with.
    pub fn active(&self) -> Option<&Taken> {
        self.active.as_ref()
    }

    /// What is evaluated and reported on, without effect.
    pub fn shadow(&self) -> Option<&Taken> {
        self.shadow.as_ref()
    }

    /// For the next poll.
    pub fn watch(&self) -> Watch {
        Watch { name: self.name.clone(), generation: self.generation, refused: self.refused.clone() }
    }

    /// Takes up what a poll's answer has; an answer without policies changes nothing.
    ///
    /// The policy in force comes first: where it is refused everything stays as it was. A shadow that is refused does not keep the
    /// policy in force from being taken up; there is no shadow then.
    pub fn heard(&mut self, policies: Option<&Policies>) -> Heard {
        let Some(policies) = policies.filter(|policies| policies.generation != self.generation) else {
            return Heard::default();
        };
        self.generation = policies.generation;
        let active = match self.read(policies.active.as_ref(), self.active.as_ref()) {
            Ok(active) => active,
            Err(why) => return self.refuse(false, format!("{why}\nwhat ran before goes on")),
        };
        let shadow = self.read(policies.shadow.as_ref(), self.shadow.as_ref());
        let refused = shadow.as_ref().err().cloned();
        let shadow = shadow.unwrap_or_default();
        let changed = !same(active.as_ref(), self.active.as_ref()) || !same(shadow.as_ref(), self.shadow.as_ref());
        (self.active, self.shadow, self.refused) = (active, shadow, None);
        match refused {
            None => Heard { changed, refused: None },
            Some(why) => self.refuse(changed, format!("{why}\nthere is no shadow; what is in force was taken up")),
        }
    }

    fn refuse(&mut self, changed: bool, mut why: String) -> Heard {
        if why.len() > REASON_BYTES_MAX {
            let end = (0..=REASON_BYTES_MAX).rev().find(|at| why.is_char_boundary(*at)).unwrap_or_default();
            why.truncate(end);
            why.push_str(" ...");
        }
        self.refused = Some(why.clone());
        Heard { changed, refused: Some(why) }
    }

    /// Reads one of the two; the text that is known already is not read again.
    fn read(&self, pushed: Option<&Pushed>, known: Option<&Taken>) -> Result<Option<Taken>, String> {
        let Some(Pushed { version, text }) = pushed else { return Ok(None) };
        let mut refused = format!("version {version} of {:?}: ", self.name);
        if text.len() > POLICY_BYTES_MAX {
            let _ =
                write!(refused, "{} bytes, more than the {POLICY_BYTES_MAX} that go through the cluster", text.len());
            return Err(refused);
        }
        match Policy::parse(text) {
            Ok(policy) if policy.name != self.name => {
                let _ = write!(refused, "the policy's own name is {:?}", policy.name);
                Err(refused)
            }
            Ok(policy) => {
                // The same text keeps what hosts and stored responses know of it.
                let same = known.filter(|known| known.policy.revision == policy.revision);
                let policy = same.map_or_else(|| Arc::new(policy), |known| known.policy.clone());
                Ok(Some(Taken { version: *version, policy }))
            }
            Err(errors) => {
                let _ = write!(refused, "{errors}");
                Err(refused)
            }
        }
    }
}

fn same(one: Option<&Taken>, other: Option<&Taken>) -> bool {
    let what = |taken: &Taken| (taken.version, taken.policy.revision);
    one.map(what) == other.map(what)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn pushed(version: u64, text: &str) -> Option<Pushed> {
        Some(Pushed { version, text: text.to_owned() })
    }

    fn policy(ttl: &str) -> String {
        format!(r#"{{"version":1,"name":"shop","defaults":{{"ttl":"{ttl}"}}}}"#)
    }

    fn versions(subscription: &Subscription) -> (Option<u64>, Option<u64>) {
        (subscription.active().map(|taken| taken.version), subscription.shadow().map(|taken| taken.version))
    }

    #[test]
    fn what_the_cluster_has_is_taken_up_and_given_up() {
        let mut subscription = Subscription::new("shop");
        assert_eq!(subscription.watch(), Watch { name: "shop".into(), ..Watch::default() });
        assert_eq!(subscription.heard(None), Heard::default());
        let one = Policies { generation: 9, active: pushed(3, &policy("1s")), shadow: pushed(4, &policy("2s")) };
        assert_eq!(subscription.heard(Some(&one)), Heard { changed: true, refused: None });
        assert_eq!((versions(&subscription), subscription.watch().generation), ((Some(3), Some(4)), 9));
        assert_eq!(subscription.heard(None), Heard::default(), "an answer without policies keeps what there is");
        assert_eq!(versions(&subscription), (Some(3), Some(4)));
        // A node that lost what it knew numbers anew: smaller is no older.
        let back = Policies { generation: 2, active: None, shadow: None };
        assert_eq!(subscription.heard(Some(&back)), Heard { changed: true, refused: None });
        assert_eq!((versions(&subscription), subscription.watch().generation), ((None, None), 2));
    }

    #[test]
    fn the_same_text_stays_the_same_policy() {
        let mut subscription = Subscription::new("shop");
        let of = |generation, shadow| Policies { generation, active: pushed(1, &policy("1s")), shadow };
        subscription.heard(Some(&of(1, None)));
        let before = subscription.active().unwrap().policy.clone();
        assert!(subscription.heard(Some(&of(2, pushed(2, &policy("2s"))))).changed, "a shadow began");
        assert!(Arc::ptr_eq(&before, &subscription.active().unwrap().policy));
        assert!(!subscription.heard(Some(&of(3, pushed(2, &policy("2s"))))).changed);
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_nothing_changes() {
        let long = format!("{}{}", policy("1s"), " ".repeat(POLICY_BYTES_MAX));
        let other = r#"{"version":1,"name":"other"}"#;
        for (text, says) in
            [("{", "JSON"), (r#"{"version":1,"name":"shop","x":1}"#, "x"), (other, "other"), (&long, "bytes")]
        {
            let mut subscription = Subscription::new("shop");
            let good = Policies { generation: 1, active: pushed(1, &policy("1s")), shadow: pushed(2, &policy("2s")) };
            subscription.heard(Some(&good));
            let bad = Policies { generation: 2, active: pushed(3, text), shadow: None };
            let heard = subscription.heard(Some(&bad));
            let why = heard.refused.expect("refused");
            assert!(!heard.changed && why.contains("version 3") && why.contains(says), "{why}");
            assert_eq!(versions(&subscription), (Some(1), Some(2)));
            let watch = subscription.watch();
            assert_eq!((watch.generation, watch.refused), (2, Some(why)), "said with the next poll, once");
            assert_eq!(subscription.heard(Some(&bad)), Heard::default());
            let mended = Policies { generation: 3, active: pushed(4, &policy("4s")), shadow: None };
            assert!(subscription.heard(Some(&mended)).changed);
            assert_eq!((versions(&subscription), subscription.watch().refused), ((Some(4), None), None));
        }
    }

    #[test]
    fn a_bad_shadow_does_not_keep_a_good_policy_away() {
        let mut subscription = Subscription::new("shop");
        let both = Policies { generation: 1, active: pushed(1, &policy("1s")), shadow: pushed(2, "{}") };
        let heard = subscription.heard(Some(&both));
        assert!(heard.changed);
        let why = heard.refused.expect("refused");
        assert!(why.contains("version 2") && why.contains("taken up"), "{why}");
        assert_eq!(versions(&subscription), (Some(1), None));
    }

    #[test]
    fn explanations_are_short_enough_to_go_along() {
        let mut subscription = Subscription::new("shop");
        let text = format!(r#"{{"version":1,"name":"{}"}}"#, "ä".repeat(4000));
        let heard = subscription.heard(Some(&Policies { generation: 1, active: pushed(1, &text), shadow: None }));
        assert!(heard.refused.is_some_and(|why| why.len() <= REASON_BYTES_MAX + 4));
    }
}
