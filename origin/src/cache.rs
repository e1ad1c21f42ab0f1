//! What the requests of one layer share: the core's worker behind a lock, the requests that wait, the bodies on their way.
//!
//! Each step of an exchange is one critical section: the core decides, whoever is to be woken is told, and a follower gets its
//! end of the leader's body before the leader can go on. Effects beside that are carried out by the caller, outside the lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use larder_core::cluster::message::{Policies, PollAnswer, ReportedKey};
use larder_core::cluster::subscription::{Heard, Subscription};
use larder_core::cluster::{Call, CallFailure};
use larder_core::exchange::Effect;
use larder_core::flights::{StreamId, Wake};
use larder_core::policy::Policy;
use larder_core::tally::Tally;
use larder_core::time::Timestamp;
use larder_core::worker::Worker;
use tokio::sync::{Semaphore, mpsc};

use crate::clock::{self, Clock};
use crate::link::Link;
use crate::tape::Tape;
use crate::telemetry::Telemetry;

/// One layer's cache.
pub(crate) struct Cache {
    inner: Mutex<Inner>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) refreshes: Arc<Semaphore>,
    pub(crate) link: Option<Link>,
    telemetry: Telemetry,
}

/// How the layer behaves, beyond what the policy says.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where the request does not say it.
    pub(crate) scheme: Scheme,
    /// The inner service must answer by then.
    pub(crate) timeout: Option<Duration>,
    /// A refresh that nobody waits for must have its answer by then.
    pub(crate) refresh_timeout: Duration,
    /// A body that is being stored and from which nothing comes for so long is not stored.
    pub(crate) stall_timeout: Duration,
}

/// Behind the lock.
pub(crate) struct Inner {
    pub(crate) worker: Worker,
    /// In force: the cluster's, where there is one under the name of the application's own.
    policy: Arc<Policy>,
    /// The application's own.
    configured: Arc<Policy>,
    /// What is taken up of the policies that are pushed to the cluster.
    pub(crate) subscription: Option<Subscription>,
    /// Whose counts the worker's are.
    counting: Arc<Policy>,
    /// Those of others, and of shadows that are over.
    counted: Vec<(Arc<Policy>, Tally)>,
    next: u64,
    mailboxes: HashMap<StreamId, mpsc::UnboundedSender<Wake>>,
    tapes: HashMap<StreamId, Tape>,
}

impl Inner {
    /// A number for a new stream, and the policy it is served under.
    pub(crate) fn begin(&mut self) -> (StreamId, Arc<Policy>) {
        self.next = self.next.wrapping_add(1);
        (StreamId(self.next), self.policy.clone())
    }

    /// The worker, for calls under this policy. Counts belong to a policy's routes.
    pub(crate) fn worker_for(&mut self, policy: &Arc<Policy>) -> &mut Worker {
        if !Arc::ptr_eq(policy, &self.counting) {
            let before = std::mem::replace(&mut self.counting, policy.clone());
            let own = self.counted.iter().position(|(of, _)| Arc::ptr_eq(of, policy));
            let tally = own.map(|at| self.counted.swap_remove(at).1).unwrap_or_else(|| self.worker.empty_tally());
            let counts = std::mem::replace(&mut self.worker.tally, tally);
            self.counted.push((before, counts));
        }
        &mut self.worker
    }

    /// Whether something was counted.
    pub(crate) fn has_counts(&self) -> bool {
        let shadow = || self.worker.shadow.as_ref().is_some_and(|shadow| !shadow.tally.is_empty());
        !self.worker.tally.is_empty() || !self.counted.is_empty() || shadow()
    }

    /// Hands on what was counted, by whose rules.
    pub(crate) fn take_counts(&mut self, mut take: impl FnMut(&Policy, &mut Tally)) {
        for (policy, mut tally) in std::mem::take(&mut self.counted) {
            take(&policy, &mut tally);
        }
        take(&self.counting, &mut self.worker.tally);
        if let Some(shadow) = &mut self.worker.shadow {
            let policy = shadow.policy().clone();
            take(&policy, &mut shadow.tally);
        }
    }

    /// A shadow is over: what it has counted stays.
    fn put_shadow_by(&mut self) {
        let tally = self.worker.empty_tally();
        if let Some(shadow) = &mut self.worker.shadow {
            self.counted.push((shadow.policy().clone(), std::mem::replace(&mut shadow.tally, tally)));
        }
    }

    /// Takes up what a poll's answer has of policies, for requests from now on. The version that is in force then, where that has changed
    /// (0 is the application's own), and why something was refused.
    pub(crate) fn take_up(&mut self, policies: Option<&Policies>) -> (Option<u64>, Option<String>) {
        let Some(subscription) = &mut self.subscription else { return (None, None) };
        let Heard { changed, refused } = subscription.heard(policies);
        let version = subscription.active().map_or(0, |active| active.version);
        if changed {
            self.choose();
        }
        (changed.then_some(version), refused)
    }

    fn configure(&mut self, policy: Arc<Policy>) {
        if let Some(subscription) = &mut self.subscription
            && subscription.name() != policy.name
        {
            *subscription = Subscription::new(&policy.name);
        }
        self.configured = policy;
        self.choose();
    }

    /// Puts in force and in the shadow what is to be.
    fn choose(&mut self) {
        let active = self.subscription.as_ref().and_then(Subscription::active);
        self.policy = active.map_or(&self.configured, |active| &active.policy).clone();
        self.put_shadow_by();
        let shadow = self.subscription.as_ref().and_then(Subscription::shadow);
        self.worker.set_shadow(shadow.map(|shadow| &shadow.policy));
    }

    /// The body of this stream's response, for others.
    pub(crate) fn tape_of(&self, id: StreamId) -> Option<&Tape> {
        self.tapes.get(&id)
    }

    pub(crate) fn keep_tape(&mut self, id: StreamId, tape: Tape) {
        self.tapes.insert(id, tape);
    }

    /// The mailbox of a stream that waits.
    pub(crate) fn mailbox(&mut self, id: StreamId) -> mpsc::UnboundedReceiver<Wake> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.mailboxes.insert(id, sender);
        receiver
    }

    pub(crate) fn forget(&mut self, id: StreamId) {
        self.mailboxes.remove(&id);
        self.tapes.remove(&id);
    }

    fn deliver(&mut self, id: StreamId, wake: Wake) {
        // One that is gone has left its flight, too, or is about to.
        let _ = self.mailboxes.get(&id).map(|mailbox| mailbox.send(wake));
    }
}

impl Cache {
    pub(crate) fn new(
        worker: Worker,
        policy: Arc<Policy>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        refreshes_max: usize,
        link: Option<Link>,
    ) -> Self {
        let telemetry = Telemetry::new(worker.name);
        let inner = Inner {
            worker,
            configured: policy.clone(),
            subscription: None,
            counting: policy.clone(),
            counted: Vec::new(),
            policy,
            next: 0,
            mailboxes: HashMap::new(),
            tapes: HashMap::new(),
        };
        Self {
            inner: Mutex::new(inner),
            clock,
            settings,
            refreshes: Arc::new(Semaphore::new(refreshes_max)),
            link,
            telemetry,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The core keeps no state that a panic could leave half made; losing the cache would be worse.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Timestamp {
        clock::timestamp(&*self.clock)
    }

    /// One step: what `act` returns, and what is to be carried out beside waking.
    pub(crate) fn step<T>(&self, act: impl FnOnce(&mut Inner, Timestamp, &mut Vec<Effect>) -> T) -> (T, Vec<Effect>) {
        let mut effects = Vec::new();
        let mut inner = self.lock();
        // Read under the lock: time does not go back between two steps.
        let now = self.now();
        let done = act(&mut inner, now, &mut effects);
        effects.retain(|effect| match effect {
            Effect::Wake(id, wake) => {
                inner.deliver(*id, *wake);
                false
            }
            _ => true,
        });
        self.telemetry.take(now, &mut inner, self.link.is_some());
        (done, effects)
    }

    /// Asks the cluster.
    pub(crate) async fn call(&self, call: &Call) -> Result<Bytes, CallFailure> {
        match &self.link {
            Some(link) => link.call(call).await,
            None => Err(CallFailure::Unreachable),
        }
    }

    /// Wakes whoever has waited long enough.
    pub(crate) fn wake_overdue(&self) {
        let mut inner = self.lock();
        let now = self.now();
        for (id, wake) in inner.worker.flights.overdue(now) {
            inner.deliver(id, wake);
        }
    }

    /// Reports what has been counted, now.
    pub(crate) fn report(&self) {
        let mut inner = self.lock();
        let now = self.now();
        self.telemetry.report(now, &mut inner, self.link.is_some());
    }

    /// What has been counted since it was last asked, for the cluster.
    pub(crate) fn take_counts(&self) -> (Vec<(String, u64)>, Vec<ReportedKey>) {
        self.report();
        self.telemetry.take_counts()
    }

    pub(crate) fn give_back_counts(&self, counts: Vec<(String, u64)>) {
        self.telemetry.give_back(counts);
    }

    /// Has the cluster's policies taken up, under the name of the application's own.
    pub(crate) fn follow_policies(&self) {
        let mut inner = self.lock();
        inner.subscription = Some(Subscription::new(&inner.configured.name));
    }

    /// Another policy of the application's own, for requests from now on.
    pub(crate) fn set_policy(&self, policy: Arc<Policy>) {
        self.lock().configure(policy);
    }

    /// The cluster has answered a poll.
    pub(crate) fn heard(&self, answer: &PollAnswer) {
        let ((name, version, refused), _) = self.step(|inner, now, _| {
            inner.worker.heard(now, answer);
            let (version, refused) = inner.take_up(answer.policies.as_ref());
            let name = inner.subscription.as_ref().map(|subscription| subscription.name().to_owned());
            (name.unwrap_or_default(), version, refused)
        });
        if let Some(version) = version {
            tracing::info!(target: "larder", policy = name, version, "the cluster's word on policies is taken up");
            self.telemetry.policy_version(&name, version);
        }
        if let Some(why) = refused {
            tracing::error!(target: "larder", policy = name, why, "a policy from the cluster is refused");
            self.telemetry.policy_refused(&name, self.link.is_some());
        }
        if let Some(link) = &self.link {
            link.note_heard();
        }
    }
}

#[cfg(all(test, feature = "cluster"))]
mod tests {
    use larder_core::cluster::message::Pushed;
    use larder_core::purge::Position;

    use super::*;
    use crate::service::CacheLayer;

    fn text(name: &str, ttl: &str) -> String {
        format!(r#"{{ "version": 1, "name": "{name}", "defaults": {{ "ttl": "{ttl}" }} }}"#)
    }

    /// A layer of a cluster that nobody asks.
    fn layer(follows: bool) -> CacheLayer {
        let builder = CacheLayer::builder().policy(text("shop", "1s")).cluster(["http://127.0.0.1:1"]);
        builder.follow_policies(follows).build().expect("a layer")
    }

    fn answer(generation: u64, active: Option<&str>, shadow: Option<&str>) -> PollAnswer {
        let pushed = |text: &str| Pushed { version: generation, text: text.to_owned() };
        let policies = Policies { generation, active: active.map(pushed), shadow: shadow.map(pushed) };
        let position = Position { log: 7, ..Position::default() };
        PollAnswer { position, begins_anew: false, records: Vec::new(), policies: Some(policies) }
    }

    /// The revisions of what is in force and what is in the shadow.
    fn running(cache: &Cache) -> (u64, Option<u64>) {
        let (running, _) = cache.step(|inner, _, _| {
            let (_, policy) = inner.begin();
            (policy.revision, inner.worker.shadow.as_ref().map(|shadow| shadow.policy().revision))
        });
        running
    }

    fn revision(text: &str) -> u64 {
        Policy::parse(text).expect("a policy").revision
    }

    #[test]
    fn what_the_cluster_has_takes_the_place_of_the_layers_own() {
        let cache = layer(true).handle().cache;
        let (own, two, three) = (text("shop", "1s"), text("shop", "2s"), text("shop", "3s"));
        assert_eq!(running(&cache), (revision(&own), None));
        cache.heard(&answer(1, Some(&two), Some(&three)));
        assert_eq!(running(&cache), (revision(&two), Some(revision(&three))));
        cache.heard(&answer(2, Some("{"), None));
        assert_eq!(running(&cache), (revision(&two), Some(revision(&three))), "refused");
        let watch = cache.step(|inner, _, _| inner.subscription.as_ref().map(Subscription::watch)).0;
        assert!(watch.is_some_and(|watch| watch.generation == 2 && watch.refused.is_some()));
        let told: Vec<_> = cache.take_counts().0.into_iter().filter(|(name, _)| name.contains("refused")).collect();
        assert_eq!(told, [("larder_policy_refused_total;policy=shop".to_owned(), 1)]);
        // The application's own changes meanwhile, and is what there is when the cluster has none.
        cache.set_policy(Arc::new(Policy::parse(&three).expect("a policy")));
        assert_eq!(running(&cache).0, revision(&two));
        cache.heard(&answer(3, None, None));
        assert_eq!(running(&cache), (revision(&three), None));
        // Under another name nothing of that counts.
        cache.heard(&answer(4, Some(&two), None));
        let other = text("other", "1s");
        cache.set_policy(Arc::new(Policy::parse(&other).expect("a policy")));
        assert_eq!(running(&cache).0, revision(&other));
    }

    #[test]
    fn a_layer_that_is_told_not_to_follow_asks_for_nothing() {
        let cache = layer(false).handle().cache;
        cache.heard(&answer(1, Some(&text("shop", "2s")), None));
        assert_eq!(running(&cache).0, revision(&text("shop", "1s")));
        assert!(cache.step(|inner, _, _| inner.subscription.is_none()).0);
    }

    #[test]
    fn counts_stay_with_the_policy_that_they_were_made_under() {
        use larder_core::tally::{Count, Outcome};
        let cache = layer(true).handle().cache;
        let own = cache.step(|inner, _, _| inner.begin().1).0;
        let two =
            r#"{ "version": 1, "name": "shop", "routes": [ { "name": "all", "path": "/{*rest}", "comment": "-" } ] }"#;
        cache.heard(&answer(1, Some(two), Some(two)));
        let new = cache.step(|inner, _, _| inner.begin().1).0;
        cache.step(|inner, _, _| {
            for (policy, by) in [(&own, 1), (&new, 10), (&own, 2), (&new, 20)] {
                inner.worker_for(policy).tally.add(0, Count::Request(Outcome::Hit), by);
            }
            let shadow = inner.worker.shadow.as_mut().expect("a shadow");
            shadow.tally.add(0, Count::ShadowRequest(larder_core::shadow::ShadowOutcome::Hit), 5);
        });
        cache.heard(&answer(2, None, None));
        let mut counted: Vec<(String, u64)> = cache.take_counts().0;
        counted.sort();
        let requests = |route: &str, by| {
            (format!("larder_requests_total;policy=shop;route={route};class=_defaults;outcome=hit"), by)
        };
        let shadow = "larder_shadow_requests_total;policy=shop;route=all;class=_defaults;outcome=hit".to_owned();
        assert_eq!(counted, [requests("_unmatched", 3), requests("all", 30), (shadow, 5)]);
    }
}
