//! What the streams of one VM share: the caches, the streams that wait, the clock.
//!
//! A VM serves one thread. Its memory outlives configurations: a reload makes a new root in the same VM, which takes over the
//! cache of its `root_id`. Filters with different root ids have caches of their own, since the same URL may mean
//! different things to them.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use larder_core::Policy;
use larder_core::cluster::Subscription;
use larder_core::cluster::message::Policies;
use larder_core::edge::Edge;
use larder_core::purge::{Made, Mode, Scope, Word};
use larder_core::time::Timestamp;
use larder_core::worker::Worker;

use crate::config::{ClusterSettings, Settings};
use crate::raw::Level;
use crate::stream::Stream;
use crate::{metrics, peers, raw, root};

/// A configuration in force, shared by its root and the streams made under it. Another policy makes another one of the same root.
#[derive(Debug)]
pub struct Plugin {
    /// The root's context number.
    pub root: u32,
    /// What was configured.
    pub settings: Rc<Settings>,
    /// In force: the cluster's, where there is one under the name of the configured one.
    pub policy: Arc<Policy>,
    /// Markers for layers at the origin.
    edge: Edge,
    /// The root id, which names the cache.
    name: Vec<u8>,
    cache: OnceCell<SharedCache>,
    /// Another configuration serves.
    leaving: Rc<Cell<bool>>,
}

/// A cache, as streams and roots hold it.
pub type SharedCache = Rc<RefCell<Cache>>;

/// The core's worker, and whose counters are in it.
#[derive(Debug)]
pub struct Cache {
    /// The core's side.
    pub worker: Worker,
    /// Under whose policy the tally counts.
    tallied: Rc<Plugin>,
    /// What is taken up of the policies that are pushed to the cluster.
    pub subscription: Option<Subscription>,
}

thread_local! {
    static CACHES: RefCell<Vec<(Vec<u8>, SharedCache)>> = const { RefCell::new(Vec::new()) };
    static WAITING: RefCell<BTreeMap<u32, Rc<RefCell<Stream>>>> = const { RefCell::new(BTreeMap::new()) };
}

/// The host's wall clock.
pub fn now() -> Timestamp {
    Timestamp(raw::now_nanos() / 1_000_000)
}

impl Plugin {
    /// A configuration. Touches nothing that is shared: Envoy configures on threads that serve nobody.
    pub fn new(root: u32, settings: Settings, edge: Edge) -> Rc<Self> {
        let name = raw::property("plugin_root_id").unwrap_or_default();
        let policy = pushed(&name, &settings).unwrap_or_else(|| settings.policy.clone());
        let (settings, leaving) = (Rc::new(settings), Rc::default());
        Rc::new(Self { root, settings, policy, edge, name, cache: OnceCell::new(), leaving })
    }

    /// The same under another policy, for requests from now on.
    fn under(&self, policy: Arc<Policy>) -> Rc<Self> {
        Rc::new(Self {
            root: self.root,
            settings: self.settings.clone(),
            policy,
            edge: self.edge.clone(),
            name: self.name.clone(),
            cache: self.cache.clone(),
            leaving: self.leaving.clone(),
        })
    }

    /// Another configuration serves from now on.
    pub fn leave(&self) {
        self.leaving.set(true);
    }

    /// Whether it serves the same filter as another one.
    pub fn is_in_place_of(&self, other: &Self) -> bool {
        self.name == other.name
    }

    /// Whether another configuration serves.
    pub fn is_leaving(&self) -> bool {
        self.leaving.get()
    }

    /// The cache, made at the first request of the VM. `salt` is what an attacker does not know.
    pub fn cache(self: &Rc<Self>, salt: impl FnOnce() -> u64) -> SharedCache {
        if let Some(cache) = self.cache.get() {
            return cache.clone();
        }
        let cache = self.adopted().unwrap_or_else(|| {
            let mut worker = Worker::new(self.settings.l1_bytes, salt());
            worker.use_cluster(self.settings.cluster.as_ref().map(ClusterSettings::for_core));
            worker.edge = self.edge.clone();
            worker.holds = self.settings.hold;
            let subscription = self.settings.follows().map(Subscription::new);
            let cache = Rc::new(RefCell::new(Cache { worker, tallied: self.clone(), subscription }));
            CACHES.with_borrow_mut(|caches| caches.push((self.name.clone(), cache.clone())));
            peers::join();
            if self.settings.cluster.is_some() {
                // The root begins to follow the purge log at once.
                peers::call_root();
            }
            cache
        });
        let _ = self.cache.set(cache.clone());
        cache
    }

    /// The cache, where the VM has one already.
    pub fn known_cache(self: &Rc<Self>) -> Option<SharedCache> {
        if self.cache.get().is_none() {
            let _ = self.cache.set(self.adopted()?);
        }
        self.cache.get().cloned()
    }

    /// Takes over the cache that an earlier configuration filled, and the purges meant for this VM.
    fn adopted(self: &Rc<Self>) -> Option<SharedCache> {
        let cache = CACHES.with_borrow(|caches| {
            let (_, cache) = caches.iter().find(|(name, _)| *name == self.name)?;
            Some(cache.clone())
        })?;
        {
            let mut cache = cache.borrow_mut();
            if cache.subscription.as_ref().map(Subscription::name) != self.settings.follows() {
                cache.subscribe(self.settings.follows());
            }
            let worker = &mut cache.worker;
            worker.shelf.set_bytes_max(self.settings.l1_bytes);
            worker.use_cluster(self.settings.cluster.as_ref().map(ClusterSettings::for_core));
            worker.edge = self.edge.clone();
            worker.holds = self.settings.hold;
        }
        peers::join();
        Some(cache)
    }
}

impl Cache {
    /// The worker, for calls under this configuration. Counters belong to a policy's routes: those of another are sent first.
    pub fn worker_for(&mut self, plugin: &Rc<Plugin>) -> &mut Worker {
        if !Rc::ptr_eq(&self.tallied, plugin) {
            self.send_counts();
            self.tallied = plugin.clone();
        }
        &mut self.worker
    }

    /// Sends the counters.
    pub fn send_counts(&mut self) {
        metrics::send(&self.tallied.policy, &mut self.worker);
    }

    fn subscribe(&mut self, name: Option<&str>) {
        self.send_counts();
        self.subscription = name.map(Subscription::new);
        self.worker.set_shadow(None);
    }
}

/// The policy that the cluster has in place of the configured one, where this VM knows of it already: a reload does not go back.
fn pushed(name: &[u8], settings: &Settings) -> Option<Arc<Policy>> {
    let follows = settings.follows()?;
    CACHES.with_borrow(|caches| {
        let (_, cache) = caches.iter().find(|(of, _)| of == name)?;
        let cache = cache.borrow();
        let subscription = cache.subscription.as_ref().filter(|subscription| subscription.name() == follows)?;
        subscription.active().map(|active| active.policy.clone())
    })
}

/// Takes up what a poll's answer has of policies, in a callback of a root. Streams under way end under the policy they began with.
pub fn take_up(cache: &SharedCache, policies: Option<&Policies>) {
    let active = {
        let mut cache = cache.borrow_mut();
        let cache = &mut *cache;
        let Some(subscription) = &mut cache.subscription else { return };
        let heard = subscription.heard(policies);
        if let Some(why) = heard.refused {
            metrics::count_refused(subscription.name());
            for line in why.lines() {
                raw::log(Level::Error, &format!("larder: a policy from the cluster is refused: {line}"));
            }
        }
        if !heard.changed {
            return;
        }
        let (active, shadow) = (subscription.active().cloned(), subscription.shadow().cloned());
        let version = active.as_ref().map_or(0, |active| active.version);
        let what = if version == 0 { "the configured policy".to_owned() } else { format!("version {version}") };
        raw::log(Level::Info, &format!("larder: of {:?}, {what} is in force now", subscription.name()));
        metrics::set_version(subscription.name(), version);
        cache.send_counts();
        cache.worker.set_shadow(shadow.as_ref().map(|shadow| &shadow.policy));
        active.map(|active| active.policy)
    };
    let name = CACHES
        .with_borrow(|caches| caches.iter().find(|(_, known)| Rc::ptr_eq(known, cache)).map(|(name, _)| name.clone()));
    root::replace(|plugin| {
        if Some(&plugin.name) != name.as_ref() {
            return None;
        }
        let policy = active.as_ref().filter(|active| plugin.settings.follows() == Some(&active.name));
        let policy = policy.unwrap_or(&plugin.settings.policy);
        (!Arc::ptr_eq(policy, &plugin.policy)).then(|| plugin.under(policy.clone()))
    });
}

/// Purges in every cache of this VM, without anybody's word.
pub fn purge_all() {
    hear(&Word::Purged(Made::default(), Scope::All, Mode::Hard), None);
}

/// Takes up what is said of purges in every cache of this VM.
pub fn hear(word: &Word, except: Option<&SharedCache>) {
    let caches = CACHES.with_borrow(|caches| caches.iter().map(|(_, cache)| cache.clone()).collect::<Vec<_>>());
    for cache in caches {
        if !except.is_some_and(|except| Rc::ptr_eq(except, &cache)) {
            cache.borrow_mut().worker.take_word(word.clone());
        }
    }
}

/// Whether a cache of this VM has stopped asking its cluster, probes apart; nothing where there is no cluster.
pub fn breaker_open() -> Option<bool> {
    CACHES.with_borrow(|caches| {
        let open =
            |cache: &SharedCache| cache.borrow().worker.cluster.as_ref().map(|cluster| cluster.breaker.is_open());
        caches.iter().filter_map(|(_, cache)| open(cache)).reduce(|one, other| one || other)
    })
}

/// Bytes and keys in memory, over all caches of this VM.
pub fn in_memory() -> (u64, u64) {
    CACHES.with_borrow(|caches| {
        caches.iter().fold((0, 0), |(bytes, keys), (_, cache)| {
            let cache = cache.borrow();
            let shelf = &cache.worker.shelf;
            (shelf.bytes().saturating_add(bytes), (shelf.len() as u64).saturating_add(keys))
        })
    })
}

/// Notes a stream that waits: it may be woken by another's callback.
pub fn wait(id: u32, stream: Rc<RefCell<Stream>>) {
    WAITING.with_borrow_mut(|waiting| waiting.insert(id, stream));
}

/// A stream that no longer waits.
pub fn stop_waiting(id: u32) -> Option<Rc<RefCell<Stream>>> {
    WAITING.with_borrow_mut(|waiting| waiting.remove(&id))
}
