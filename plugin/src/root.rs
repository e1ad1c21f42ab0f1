//! The root context: configuration, housekeeping, background calls.
//!
//! Envoy configures twice on its main thread and once per worker; a configuration touches nothing that is shared. A reload
//! makes a new root in the same VM; the old one goes when its streams and its background calls are over.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use crate::config::Settings;
use crate::raw::{self, Buffer, Level};
use crate::stream::HttpStream;
use crate::vm::{self, Plugin};
use crate::{cluster, effects, environment, hop, metrics, peers, refresh};

/// A root context.
pub struct Root {
    id: u32,
    leaving: bool,
}

thread_local! {
    /// What each root serves under. Not the roots' own, since a poll's answer may put another policy in place for any of them.
    static PLUGINS: RefCell<BTreeMap<u32, Rc<Plugin>>> = const { RefCell::new(BTreeMap::new()) };
}

/// The configuration of a root.
pub fn plugin_of(root: u32) -> Option<Rc<Plugin>> {
    PLUGINS.with_borrow(|plugins| plugins.get(&root).cloned())
}

/// Puts others in the place of configurations, as this says.
pub fn replace(by: impl Fn(&Plugin) -> Option<Rc<Plugin>>) {
    PLUGINS.with_borrow_mut(|plugins| {
        for plugin in plugins.values_mut() {
            if let Some(other) = by(plugin) {
                *plugin = other;
            }
        }
    });
}

impl Root {
    /// A root that is not configured yet.
    pub fn new(id: u32) -> Self {
        Self { id, leaving: false }
    }

    fn plugin(&self) -> Option<Rc<Plugin>> {
        plugin_of(self.id)
    }

    fn pending(&self) -> usize {
        refresh::pending(self.id).saturating_add(cluster::pending(self.id))
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, header_count: usize, body_size: usize, _: usize) {
        if !cluster::answered(self.id, token, header_count, body_size) {
            refresh::answered(self.id, token, header_count, body_size);
        }
        if self.leaving && self.pending() == 0 {
            let _ = raw::act_for(self.id);
            let _ = raw::done();
        }
    }

    fn on_done(&mut self) -> bool {
        cluster::run_left(self.id);
        if let Some(plugin) = self.plugin() {
            if let Some(cache) = plugin.known_cache() {
                cache.borrow_mut().send_counts();
            }
            plugin.leave();
        }
        self.leaving = self.pending() > 0;
        !self.leaving
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let configuration = raw::buffer(Buffer::PluginConfiguration, 0, usize::MAX).unwrap_or_default();
        let read = Settings::parse(&configuration)
            .and_then(|settings| Ok((settings, environment::edge().map_err(|error| vec![error])?)));
        match read {
            Ok((settings, edge)) => {
                let tick = u32::try_from(settings.tick.0).unwrap_or(u32::MAX);
                let plugin = Plugin::new(self.id, settings, edge);
                PLUGINS.with_borrow_mut(|plugins| plugins.insert(self.id, plugin));
                peers::prepare();
                let _ = raw::tick_every(tick);
                true
            }
            Err(errors) => {
                for error in errors {
                    raw::log(Level::Error, &format!("larder: {error}"));
                }
                raw::log(Level::Error, "larder: the configuration is refused");
                false
            }
        }
    }

    fn on_tick(&mut self) {
        // Envoy ticks on threads that serve nobody, too: they have no cache.
        let Some(plugin) = self.plugin() else { return };
        let Some(cache) = plugin.known_cache() else { return };
        let now = vm::now();
        let overdue = cache.borrow_mut().worker.flights.overdue(now);
        effects::wake(self.id, now, overdue);
        effects::wake_left(self.id);
        cluster::run_left(self.id);
        peers::tick();
        cluster::tick(self.id, now, &plugin, &cache);
        cache.borrow_mut().send_counts();
        metrics::send_gauges();
    }

    fn on_queue_ready(&mut self, queue: u32) {
        if queue == hop::HOP {
            refresh::run_queued(self.id);
            cluster::run_queued(self.id);
        } else {
            peers::hear();
            effects::wake_left(self.id);
            cluster::run_left(self.id);
            if let Some(plugin) = self.plugin().filter(|plugin| plugin.settings.cluster.is_some())
                && let Some(cache) = plugin.known_cache()
            {
                cluster::tick(self.id, vm::now(), &plugin, &cache);
            }
        }
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        match self.plugin() {
            Some(plugin) => Some(Box::new(HttpStream::new(id, plugin))),
            None => Some(Box::new(Unconfigured)),
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        PLUGINS.with_borrow_mut(|plugins| plugins.remove(&self.id));
        refresh::abandon(self.id);
        cluster::abandon(self.id);
    }
}

/// A stream of a root that has no configuration: everything passes.
struct Unconfigured;

impl Context for Unconfigured {}
impl HttpContext for Unconfigured {}
