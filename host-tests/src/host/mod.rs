//! A proxy-wasm ABI 0.2.1 host on wasmtime that behaves like Envoy, for testing cache policies without Envoy.
//!
//! It loads any module built with the Rust SDK 0.2.5 and simulates what surrounds it: clients, the filter chain with its
//! pause and resume rules, the router, origins, called clusters, worker threads with shared data, timers. Time moves only
//! when the test moves it; everything else happens at once and in the same order in every run.
//!
//! ```no_run
//! use std::time::Duration;
//! use larder_host_tests::host::{Config, Host, Plugin, Request, Response};
//!
//! let plugin = Plugin::from_file("larder.wasm")?;
//! let mut host = Host::start(&plugin, Config::new(r#"{"version": 1}"#))?;
//!
//! let first = host.request(0, Request::get("/logo.svg"));
//! assert_eq!(host.upstream(first).unwrap().path(), "/logo.svg");
//! host.respond(first, Response::new(200).header("cache-control", "max-age=60").body("<svg/>"));
//! assert_eq!(host.client(first).status(), Some(200));
//!
//! host.advance(Duration::from_secs(30));
//! let second = host.request(0, Request::get("/logo.svg"));
//! assert!(host.upstream(second).is_none(), "served from the cache");
//! assert_eq!(host.client(second).text(), "<svg/>");
//! # Ok::<(), larder_host_tests::host::HostError>(())
//! ```
//!
//! Not simulated: gRPC (its functions exist and fail), TCP filters, retries, the bytes of HTTP/1 and HTTP/2 framing, and the
//! VM that Envoy's main thread runs beside the workers' (it ticks and serves nobody).
//!
//! What Envoy does is pinned by a table (`tests/common/pins.rs`) that runs here and in real Envoy. Where a test needs a
//! rule that is not pinned yet, pin it first: where the two differ, this host is wrong.

mod abi;
mod calls;
mod chain;
mod clock;
mod codec;
mod config;
mod message;
mod observe;
mod plugin;
mod properties;
mod shared;
mod stream;
mod trace;
mod upstream;
mod vm;
mod world;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

pub use calls::{Call, CallId};
pub use config::{Config, FailurePolicy, LogLevel, Route};
pub use message::{Headers, Protocol, Request, Response};
pub use observe::{ClientView, KILLED, LogLine, Outcome, Trap, UpstreamFailure, UpstreamRequest};
pub use plugin::{HostError, Plugin};
pub use trace::CallbackRecord;
pub use world::StreamId;

use clock::Schedule;
use stream::Direction;
use vm::Vm;
use world::{Place, QueueReady, StreamRecord, World};

/// The simulated Envoy with one plugin.
pub struct Host {
    plugin: Plugin,
    world: Rc<RefCell<World>>,
    workers: Vec<Worker>,
    schedule: Schedule,
    next_stream: u64,
    holds_notices: bool,
}

/// A worker thread: its VM, after those that died.
struct Worker {
    vms: Vec<Vm>,
}

impl Host {
    /// Starts the plugin in every worker.
    ///
    /// As Envoy does, the configuration is first tried in a VM of its own: one that returns false there is an error.
    pub fn start(plugin: &Plugin, config: Config) -> Result<Self, HostError> {
        let workers = config.workers.max(1);
        let configuration = config.plugin_config.clone();
        let world = Rc::new(RefCell::new(World::new(config)));
        let mut host = Self {
            plugin: plugin.clone(),
            world,
            workers: Vec::new(),
            schedule: Schedule::default(),
            next_stream: 0,
            holds_notices: false,
        };
        host.try_out(&configuration)?;
        for worker in 0..workers {
            let vm = Vm::start(&host.plugin, &host.world, worker, 0, &configuration)?;
            host.workers.push(Worker { vms: vec![vm] });
        }
        host.settle();
        Ok(host)
    }

    /// Takes up another plugin configuration, as by ECDS: a new root context in the same VMs.
    ///
    /// A configuration that is refused changes nothing. The old root ends when its last stream has ended.
    pub fn reload(&mut self, configuration: impl AsRef<[u8]>) -> Result<(), HostError> {
        let configuration = configuration.as_ref().to_vec();
        self.try_out(&configuration)?;
        self.world.borrow_mut().config.plugin_config.clone_from(&configuration);
        for worker in &mut self.workers {
            if let Some(vm) = worker.vms.last_mut()
                && !vm.reconfigure(&configuration)
            {
                // What the trial took and a worker refuses leaves that worker failed, as in Envoy.
                vm.failed = true;
            }
        }
        self.settle();
        Ok(())
    }

    /// Envoy's trial of a configuration in a VM that serves nobody.
    fn try_out(&mut self, configuration: &[u8]) -> Result<(), HostError> {
        const TRIAL: usize = usize::MAX;
        let logged = self.world.borrow().logs.len();
        let result = Vm::start(&self.plugin, &self.world, TRIAL, 0, configuration);
        let mut world = self.world.borrow_mut();
        world.calls.retain(|_, call| call.worker != TRIAL);
        world.trace.records.retain(|record| record.worker != TRIAL);
        world.queues.retain(|queue| queue.worker != TRIAL);
        match result {
            Ok(_) => {
                world.logs.truncate(logged);
                Ok(())
            }
            Err(HostError::Rejected(_)) => {
                let lines = world.logs[logged..].iter().map(|line| line.message.clone()).collect();
                Err(HostError::Rejected(lines))
            }
            Err(other) => Err(other),
        }
    }

    /// A client sends a request to a worker.
    pub fn request(&mut self, worker: usize, request: Request) -> StreamId {
        self.next_stream += 1;
        let id = StreamId(self.next_stream);
        let alive = self.revive(worker);
        let generation = self.workers[worker].vms.len() - 1;
        let vm = &mut self.workers[worker].vms[generation];
        let context = vm.next_context();
        let place = Place { worker, generation, context };
        let bypass = !alive && vm.fail_open;
        let headers = {
            let mut world = self.world.borrow_mut();
            let now = world.now;
            let record = StreamRecord {
                place,
                client: ClientView::new(),
                upstream: None,
                protocol: request.protocol,
                method: request.headers.text(":method").unwrap_or_default(),
                properties: BTreeMap::new(),
                route: None,
                started: now,
                last_activity: now,
                code_details: None,
                response_code: None,
                request_bytes: 0,
                ended: false,
            };
            world.streams.insert(id, record);
            world.live.insert(id);
            codec::request_headers(&request, &world.config, id.0)
        };
        vm.open_stream(context, id, bypass);
        let has_more = request.open || request.trailers.is_some();
        vm.on_headers(context, Direction::Request, headers, request.body.is_empty() && !has_more);
        if !request.body.is_empty() {
            // HTTP/1's end is an event of its own, after the last byte.
            let frame_ends = !has_more && request.protocol == Protocol::Http2;
            vm.on_data(context, Direction::Request, request.body, frame_ends);
            if !has_more && !frame_ends {
                vm.on_data(context, Direction::Request, Vec::new(), true);
            }
        }
        if let Some(trailers) = request.trailers {
            vm.on_trailers(context, Direction::Request, trailers);
        }
        self.settle();
        id
    }

    /// More of an [open](Request::open) request's body.
    pub fn send_body(&mut self, stream: StreamId, body: impl AsRef<[u8]>, end: bool) {
        self.in_vm(stream, |vm, context| vm.on_data(context, Direction::Request, body.as_ref().to_vec(), end));
    }

    /// The client goes away: the connection is closed, or the HTTP/2 stream reset.
    pub fn client_gone(&mut self, stream: StreamId) {
        self.in_vm(stream, |vm, context| vm.finish(context, Outcome::Aborted, Some("downstream_remote_disconnect")));
    }

    /// What the client of a stream has seen so far.
    ///
    /// # Panics
    /// If the stream is of another host.
    pub fn client(&self, stream: StreamId) -> ClientView {
        self.world.borrow().streams[&stream].client.clone()
    }

    /// Whether a stream has ended, in one way or another.
    pub fn is_over(&self, stream: StreamId) -> bool {
        self.world.borrow().streams.get(&stream).is_none_or(|record| record.ended)
    }

    /// `response.code_details` as the access log would show it.
    pub fn code_details(&self, stream: StreamId) -> Option<String> {
        self.world.borrow().streams.get(&stream)?.code_details.clone()
    }

    /// A property that the plugin set on a stream.
    pub fn stream_property(&self, stream: StreamId, path: &[&str]) -> Option<Vec<u8>> {
        let path = path.join("\0").into_bytes();
        self.world.borrow().streams.get(&stream)?.properties.get(&path).cloned()
    }

    /// The value of a counter or gauge, by the name that the plugin defined.
    pub fn metric(&self, name: &str) -> Option<u64> {
        let world = self.world.borrow();
        world.counters.get(name).or_else(|| world.gauges.get(name)).copied()
    }

    /// All counters and gauges.
    pub fn metrics(&self) -> BTreeMap<String, u64> {
        let world = self.world.borrow();
        world.counters.iter().chain(&world.gauges).map(|(name, value)| (name.clone(), *value)).collect()
    }

    /// What was recorded in a histogram.
    pub fn histogram(&self, name: &str) -> Vec<u64> {
        self.world.borrow().histograms.get(name).cloned().unwrap_or_default()
    }

    /// What the plugin logged, at [`Config::log_level`] or above.
    pub fn logs(&self) -> Vec<LogLine> {
        self.world.borrow().logs.clone()
    }

    /// The VMs that died.
    pub fn traps(&self) -> Vec<Trap> {
        self.world.borrow().traps.clone()
    }

    /// A shared data value.
    pub fn shared_data(&self, key: &str) -> Option<Vec<u8>> {
        self.world.borrow().shared.get(key.as_bytes()).map(|(value, _)| value)
    }

    /// All keys of shared data with the sizes of their values.
    pub fn shared_data_sizes(&self) -> BTreeMap<Vec<u8>, usize> {
        self.world.borrow().shared.iter().map(|(key, value)| (key.to_vec(), value.len())).collect()
    }

    /// The callbacks that ran since the start or the last [`clear_trace`](Self::clear_trace), with their host calls.
    pub fn trace(&self) -> Vec<CallbackRecord> {
        self.world.borrow().trace.records.iter().cloned().collect()
    }

    /// Forgets the callbacks that ran so far.
    pub fn clear_trace(&mut self) {
        self.world.borrow_mut().trace.records.clear();
    }

    /// The wasm memory of a worker's VM, in bytes.
    pub fn memory_bytes(&self, worker: usize) -> usize {
        let vm = self.workers[worker].vms.last();
        vm.and_then(|vm| Some(vm.store.data().memory?.data_size(&vm.store))).unwrap_or(0)
    }

    /// What the module has counted of its own code in a worker's VM, where it was built to: see `abi/coverage.rs`.
    pub fn covered(&self, worker: usize) -> &[u8] {
        let counted = self.workers.get(worker).and_then(|worker| {
            let store = &worker.vms.last()?.store;
            let (from, to) = store.data().counters?;
            store.data().memory?.data(store).get(from..to)
        });
        counted.unwrap_or_default()
    }

    /// How many streams a worker has that did not end yet.
    pub fn live_streams(&self, worker: usize) -> usize {
        self.workers[worker].vms.iter().map(|vm| vm.store.data().streams.len()).sum()
    }

    /// How many root contexts a worker's VM has: more than one while a reload waits for streams or calls.
    pub fn roots(&self, worker: usize) -> usize {
        self.workers[worker].vms.last().map_or(0, |vm| vm.store.data().roots.len())
    }

    /// Gives a worker a fresh VM after a trap, where the failure policy says so. Whether its VM lives.
    fn revive(&mut self, worker: usize) -> bool {
        let Some(vm) = self.workers[worker].vms.last() else { return false };
        if !vm.failed {
            return true;
        }
        let (policy, backoff, now, configuration) = {
            let world = self.world.borrow();
            let config = &world.config;
            (config.failure_policy, config.reload_backoff, world.now, config.plugin_config.clone())
        };
        let young = now < vm.created.saturating_add(backoff.as_nanos() as u64);
        if policy != FailurePolicy::Reload || young {
            return false;
        }
        let generation = self.workers[worker].vms.len();
        match Vm::start(&self.plugin, &self.world, worker, generation, &configuration) {
            Ok(vm) => {
                self.workers[worker].vms.push(vm);
                true
            }
            Err(_) => false,
        }
    }

    /// A worker's VM dies between two callbacks, as it does where another request makes it trap: streams that wait hang until they are idle
    /// for too long, those that flow are cut, and the next request gets what the failure policy says.
    pub fn trap(&mut self, worker: usize) {
        if let Some(vm) = self.workers.get_mut(worker).and_then(|worker| worker.vms.last_mut()) {
            vm.die(Trap { worker, callback: KILLED, message: "by the test".to_owned() });
        }
    }

    /// How many VMs a worker had before the one that it has.
    pub fn generation(&self, worker: usize) -> usize {
        self.workers.get(worker).map_or(0, |worker| worker.vms.len().saturating_sub(1))
    }

    /// Runs something for a stream that did not end, then what it posted.
    fn in_vm(&mut self, stream: StreamId, run: impl FnOnce(&mut Vm, u32)) {
        let place = self.world.borrow().streams.get(&stream).filter(|record| !record.ended).map(|record| record.place);
        if let Some(place) = place {
            run(&mut self.workers[place.worker].vms[place.generation], place.context);
        }
        self.settle();
    }

    /// Has notices of queues wait, as they do in Envoy until its event loop comes around; and delivers them.
    pub fn hold_notices(&mut self, hold: bool) {
        self.holds_notices = hold;
        self.settle();
    }

    /// Leaves a message in every queue of a worker, as another build of the module would that shares its `vm_id`.
    pub fn leave_message(&mut self, worker: usize, message: &[u8]) {
        {
            let mut world = self.world.borrow_mut();
            let world = &mut *world;
            for (at, queue) in world.queues.iter_mut().enumerate().filter(|(_, queue)| queue.worker == worker) {
                queue.items.push_back(message.to_vec());
                let (generation, root) = (queue.generation, queue.root);
                world.posted.push_back(QueueReady { worker, generation, root, queue: at as u32 + 1 });
            }
        }
        self.settle();
    }

    /// Delivers what was posted to other VMs, until nothing is left.
    fn settle(&mut self) {
        while !self.holds_notices {
            let Some(ready) = self.world.borrow_mut().posted.pop_front() else { return };
            let vm = self.workers.get_mut(ready.worker).and_then(|worker| worker.vms.get_mut(ready.generation));
            if let Some(vm) = vm {
                vm.queue_ready(ready.root, ready.queue);
            }
        }
    }
}
