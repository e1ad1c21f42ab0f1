//! One wasm VM: its contexts, how its exports are called, and what is run after each call.
//!
//! Invariant: no host function runs another callback; whatever would is queued in `deferred` and run when the guest has
//! returned, as Envoy does. So the guest is never entered twice, except by itself.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use wasmtime::{Extern, Func, Instance, Memory, ResourceLimiter, Store, TypedFunc, Val};

use super::calls::{Call, CallReply};
use super::codec::LocalReply;
use super::config::FailurePolicy;
use super::observe::Trap;
use super::plugin::{HostError, Plugin};
use super::stream::{Direction, Stream};
use super::trace::CallbackRecord;
use super::world::World;

/// Envoy honours no shorter tick than about this (measured: a 1 ms period ticks every 4 ms).
const TICK_MIN: Duration = Duration::from_millis(4);

/// A root context: one configuration of the plugin in this VM.
#[derive(Debug, Default)]
pub(crate) struct Root {
    /// Readable during the call callback only.
    pub reply: Option<CallReply>,
    pub tick: Option<Tick>,
    /// A newer root took over; this one goes when its last stream has gone.
    pub retired: bool,
    /// `on_done` returned false: waits for `proxy_done`.
    pub pending_done: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Tick {
    pub period: Duration,
    pub due: u64,
}

/// What host functions queue for after the callback.
#[derive(Debug)]
pub(crate) enum Deferred {
    Continue(u32, Direction),
    Reply(u32, Box<LocalReply>),
    Close(u32),
    DeleteRoot(u32),
}

/// What host functions see: the store's data.
pub(crate) struct VmState {
    pub world: Rc<RefCell<World>>,
    pub worker: usize,
    pub generation: usize,
    pub memory: Option<Memory>,
    pub malloc: Option<TypedFunc<i32, i32>>,
    /// Where in its memory the module counts what it has covered, if it does: from and to.
    pub counters: Option<(usize, usize)>,
    pub roots: BTreeMap<u32, Root>,
    pub streams: BTreeMap<u32, Stream>,
    pub next_context: u32,
    pub next_token: u32,
    pub metrics: Vec<String>,
    /// The plugin configuration, readable during `on_configure` only.
    pub configuring: Option<Vec<u8>>,
    pub current: u32,
    pub effective: u32,
    pub stop_iteration: bool,
    pub deferred: VecDeque<Deferred>,
    record: Option<CallbackRecord>,
    limit: MemoryLimit,
}

struct MemoryLimit(usize);

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= self.0)
    }

    fn table_growing(&mut self, _current: usize, _desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

impl VmState {
    /// The context that host calls act on: the effective one while it lives, else that of the callback.
    pub fn context(&self) -> u32 {
        if self.effective != 0 && self.has_context(self.effective) { self.effective } else { self.current }
    }

    pub fn has_context(&self, context: u32) -> bool {
        self.roots.contains_key(&context) || self.streams.contains_key(&context)
    }

    pub fn stream(&mut self) -> Option<&mut Stream> {
        let context = self.context();
        self.streams.get_mut(&context)
    }

    pub fn root_id(&self) -> u32 {
        let context = self.context();
        self.streams.get(&context).map_or(context, |stream| stream.root)
    }

    pub fn root(&mut self) -> Option<&mut Root> {
        let root = self.root_id();
        self.roots.get_mut(&root)
    }

    pub fn set_tick_period(&mut self, milliseconds: u32) {
        let now = self.world.borrow().now;
        if let Some(root) = self.root() {
            let period = Duration::from_millis(u64::from(milliseconds)).max(TICK_MIN);
            root.tick = (milliseconds > 0).then(|| Tick { period, due: now + period.as_nanos() as u64 });
        }
    }

    pub fn count(&mut self, name: &'static str) {
        if let Some(record) = &mut self.record {
            record.host_calls.push(name);
        }
    }
}

pub(crate) struct Vm {
    pub store: Store<VmState>,
    exports: BTreeMap<String, Func>,
    pub failed: bool,
    pub created: u64,
    /// Each configuration's root, the newest last.
    pub serving: u32,
    pub fail_open: bool,
    pub headers_stop: bool,
}

impl Vm {
    /// Instantiates the module, starts it and configures a first root context.
    pub fn start(
        plugin: &Plugin,
        world: &Rc<RefCell<World>>,
        worker: usize,
        generation: usize,
        configuration: &[u8],
    ) -> Result<Self, HostError> {
        let config = world.borrow().config.clone();
        let created = world.borrow().now;
        let state = VmState {
            world: world.clone(),
            worker,
            generation,
            memory: None,
            malloc: None,
            counters: None,
            roots: BTreeMap::new(),
            streams: BTreeMap::new(),
            next_context: 0,
            next_token: 0,
            metrics: Vec::new(),
            configuring: None,
            current: 0,
            effective: 0,
            stop_iteration: false,
            deferred: VecDeque::new(),
            record: None,
            limit: MemoryLimit(config.memory_limit_bytes),
        };
        let mut store = Store::new(&plugin.engine, state);
        store.limiter(|state| &mut state.limit);
        let trapped = |error: wasmtime::Error| HostError::Trapped(format!("{error:#}"));
        let instance: Instance = plugin.instance.instantiate(&mut store).map_err(trapped)?;
        let mut exports = BTreeMap::new();
        let all: Vec<(String, Extern)> =
            instance.exports(&mut store).map(|export| (export.name().to_owned(), export.into_extern())).collect();
        for (name, export) in all {
            match export {
                Extern::Func(function) => _ = exports.insert(name, function),
                Extern::Memory(memory) => store.data_mut().memory = Some(memory),
                _ => {}
            }
        }
        let malloc = exports.get("malloc").or_else(|| exports.get("proxy_on_memory_allocate"));
        store.data_mut().malloc = malloc.and_then(|function| function.typed(&store).ok());
        let mut vm = Self {
            store,
            exports,
            failed: false,
            created,
            serving: 0,
            fail_open: config.failure_policy == FailurePolicy::Open,
            headers_stop: config.allow_on_headers_stop_iteration,
        };
        vm.invoke("_initialize", 0, &[]);
        let root = vm.create_root();
        let vm_config_size = config.vm_config.len() as i32;
        let started = vm.invoke("proxy_on_vm_start", root, &[root as i32, vm_config_size]).is_none_or(|ok| ok != 0);
        vm.drain();
        if vm.failed || !started || !vm.configure(root, configuration) {
            return Err(vm.refusal());
        }
        vm.serving = root;
        Ok(vm)
    }

    /// A further configuration in the same VM. False: the plugin refused it, or trapped.
    pub fn reconfigure(&mut self, configuration: &[u8]) -> bool {
        if self.failed {
            return true;
        }
        let root = self.create_root();
        if !self.configure(root, configuration) {
            return false;
        }
        let old = std::mem::replace(&mut self.serving, root);
        if let Some(old_root) = self.store.data_mut().roots.get_mut(&old) {
            old_root.retired = true;
        }
        self.retire(old);
        true
    }

    fn refusal(&self) -> HostError {
        let world = self.store.data().world.borrow();
        if self.failed {
            return HostError::Trapped(world.traps.last().map(|trap| trap.message.clone()).unwrap_or_default());
        }
        HostError::Rejected(world.logs.iter().map(|line| line.message.clone()).collect())
    }

    pub fn next_context(&mut self) -> u32 {
        let state = self.store.data_mut();
        state.next_context += 1;
        state.next_context
    }

    fn create_root(&mut self) -> u32 {
        let root = self.next_context();
        self.store.data_mut().roots.insert(root, Root::default());
        self.invoke("proxy_on_context_create", root, &[root as i32, 0]);
        self.drain();
        root
    }

    fn configure(&mut self, root: u32, configuration: &[u8]) -> bool {
        self.store.data_mut().configuring = Some(configuration.to_vec());
        let size = configuration.len() as i32;
        let taken = self.invoke("proxy_on_configure", root, &[root as i32, size]).is_none_or(|ok| ok != 0);
        self.store.data_mut().configuring = None;
        self.drain();
        taken && !self.failed
    }

    /// Lets a retired root go once no stream uses it.
    pub fn retire(&mut self, root: u32) {
        let state = self.store.data_mut();
        let idle = !state.streams.values().any(|stream| stream.root == root);
        if !idle || self.failed || !state.roots.get(&root).is_some_and(|root| root.retired && !root.pending_done) {
            return;
        }
        let done = self.invoke("proxy_on_done", root, &[root as i32]).is_none_or(|done| done != 0);
        if done {
            self.delete_root(root);
        } else if let Some(root) = self.store.data_mut().roots.get_mut(&root) {
            root.pending_done = true;
        }
        self.drain();
    }

    /// Its outstanding calls are cancelled without a callback.
    pub fn delete_root(&mut self, root: u32) {
        self.invoke("proxy_on_delete", root, &[root as i32]);
        let state = self.store.data_mut();
        state.roots.remove(&root);
        let (worker, generation) = (state.worker, state.generation);
        let mut world = state.world.borrow_mut();
        world.calls.retain(|_, call| (call.worker, call.generation, call.root) != (worker, generation, root));
    }

    pub fn tick(&mut self, root: u32) {
        let now = self.store.data().world.borrow().now;
        if let Some(tick) = self.store.data_mut().roots.get_mut(&root).and_then(|root| root.tick.as_mut()) {
            tick.due = now + tick.period.as_nanos() as u64;
        }
        self.invoke("proxy_on_tick", root, &[root as i32]);
        self.drain();
    }

    pub fn queue_ready(&mut self, root: u32, queue: u32) {
        if self.store.data().roots.contains_key(&root) {
            self.invoke("proxy_on_queue_ready", root, &[root as i32, queue as i32]);
            self.drain();
        }
    }

    /// Delivers a call's reply to the root that owns it.
    pub fn call_reply(&mut self, call: &Call, reply: CallReply) {
        let sizes = match &reply {
            CallReply::Answered { headers, body, trailers } => {
                [headers.len(), body.len(), trailers.as_ref().map_or(0, |trailers| trailers.len())]
            }
            CallReply::Failed => [0; 3],
        };
        let Some(root) = self.store.data_mut().roots.get_mut(&call.root) else { return };
        root.reply = Some(reply);
        let [headers, body, trailers] = sizes.map(|size| size as i32);
        let arguments = [call.root as i32, call.token as i32, headers, body, trailers];
        self.invoke("proxy_on_http_call_response", call.root, &arguments);
        if let Some(root) = self.store.data_mut().roots.get_mut(&call.root) {
            root.reply = None;
        }
        self.drain();
    }

    /// Nothing runs in it from now on, and its calls are answered to nobody.
    pub fn die(&mut self, why: Trap) {
        if self.failed {
            return;
        }
        self.failed = true;
        let state = self.store.data();
        let (worker, generation) = (state.worker, state.generation);
        let mut world = state.world.borrow_mut();
        world.traps.push(why);
        world.calls.retain(|_, call| (call.worker, call.generation) != (worker, generation));
    }

    /// Calls an export for a context. `None`: there is no such export, the VM is dead, or it died in the call.
    pub fn invoke(&mut self, name: &'static str, context: u32, arguments: &[i32]) -> Option<i32> {
        if self.failed {
            return None;
        }
        let function = *self.exports.get(name)?;
        let state = self.store.data_mut();
        state.current = context;
        state.effective = 0;
        state.stop_iteration = false;
        state.record = Some(CallbackRecord {
            worker: state.worker,
            context,
            stream: state.streams.get(&context).map(|stream| stream.id),
            callback: name,
            host_calls: Vec::new(),
        });
        let arguments: Vec<Val> = arguments.iter().map(|argument| Val::I32(*argument)).collect();
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        let outcome = function.call(&mut self.store, &arguments, &mut results);
        let state = self.store.data_mut();
        state.current = 0;
        state.effective = 0;
        let worker = state.worker;
        let mut world = state.world.borrow_mut();
        if let Some(record) = state.record.take() {
            world.trace.push(record);
        }
        if let Err(error) = outcome {
            drop(world);
            self.die(Trap { worker, callback: name, message: format!("{error:#}") });
            return None;
        }
        drop(world);
        match results.first() {
            Some(Val::I32(result)) => Some(*result),
            _ => Some(0),
        }
    }

    /// Runs what the last callback queued, and what that queues in turn.
    pub fn drain(&mut self) {
        self.store.data_mut().stop_iteration = false;
        while let Some(action) = self.store.data_mut().deferred.pop_front() {
            match action {
                Deferred::Continue(context, direction) => self.resume(context, direction),
                Deferred::Reply(context, reply) => self.local_reply(context, *reply),
                Deferred::Close(context) => self.close(context),
                Deferred::DeleteRoot(root) => self.delete_root(root),
            }
        }
    }
}
