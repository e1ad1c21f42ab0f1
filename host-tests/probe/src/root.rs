//! The root context: configuration words, ticks, the hop, and calls that outlive their streams.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use crate::stream::Stream;

unsafe extern "C" {
    /// The SDK's own export: entering it from a stream's callback runs code as the root.
    fn proxy_on_queue_ready(context: u32, queue: u32);
}

/// Never a real queue.
const HOP: u32 = u32::MAX;

thread_local! {
    static JOBS: RefCell<Vec<Job>> = const { RefCell::new(Vec::new()) };
    static FLIGHTS: RefCell<HashMap<String, Vec<(u32, bool)>>> = RefCell::new(HashMap::new());
    /// Streams that `hold` paused, by key.
    pub static HELD: RefCell<HashMap<String, Vec<u32>>> = RefCell::new(HashMap::new());
    pub static TICKS: Cell<u64> = const { Cell::new(0) };
    pub static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    pub static CONFIG: RefCell<String> = const { RefCell::new(String::new()) };
}

pub enum Job {
    Note(String),
    Follow { context: u32, path: String, cluster: String, resume: bool },
}

/// Runs a job as the root, now.
pub fn hop(root: u32, job: Job) {
    JOBS.with_borrow_mut(|jobs| jobs.push(job));
    unsafe { proxy_on_queue_ready(root, HOP) }
}

pub struct Root {
    id: u32,
    drain: bool,
    pending: HashMap<u32, String>,
    done: bool,
}

impl Root {
    pub fn new(id: u32) -> Self {
        Self { id, drain: false, pending: HashMap::new(), done: false }
    }

    fn job(&mut self, job: Job) {
        match job {
            Job::Note(text) => SEEN.with_borrow_mut(|seen| seen.push(text)),
            Job::Follow { context, path, cluster, resume } => {
                let first = FLIGHTS.with_borrow_mut(|flights| {
                    let waiting = flights.entry(path.clone()).or_default();
                    waiting.push((context, resume));
                    waiting.len() == 1
                });
                if first {
                    let headers = vec![(":method", "GET"), (":path", path.as_str()), (":authority", "flight")];
                    let token = hostcalls::dispatch_http_call(&cluster, headers, None, vec![], Duration::from_secs(5));
                    self.pending.insert(token.unwrap(), path);
                }
            }
        }
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, _trailers: usize) {
        let Some(path) = self.pending.remove(&token) else { return };
        let body = hostcalls::get_buffer(proxy_wasm::types::BufferType::HttpCallResponseBody, 0, body);
        let body = body.unwrap().unwrap_or_default();
        let waiting = FLIGHTS.with_borrow_mut(|flights| flights.remove(&path)).unwrap_or_default();
        for (context, resume) in waiting {
            if hostcalls::set_effective_context(context).is_err() {
                SEEN.with_borrow_mut(|seen| seen.push(format!("gone {path}")));
                continue;
            }
            if resume {
                hostcalls::set_map_value(proxy_wasm::types::MapType::HttpRequestHeaders, "x-flight", Some("landed"))
                    .unwrap();
                hostcalls::resume_http_request().unwrap();
            } else {
                let fields = vec![("x-flight", "landed")];
                hostcalls::send_http_response(if headers == 0 { 502 } else { 200 }, fields, Some(&body)).unwrap();
            }
        }
        hostcalls::set_effective_context(self.id).unwrap();
        if self.done && self.pending.is_empty() {
            SEEN.with_borrow_mut(|seen| seen.push("drained".to_owned()));
            self.done();
        }
    }

    fn on_done(&mut self) -> bool {
        self.done = true;
        SEEN.with_borrow_mut(|seen| seen.push(format!("root done, {} pending", self.pending.len())));
        !self.drain || self.pending.is_empty()
    }
}

impl RootContext for Root {
    fn on_vm_start(&mut self, _size: usize) -> bool {
        let config = self.get_vm_configuration().unwrap_or_default();
        !String::from_utf8_lossy(&config).contains("reject")
    }

    fn on_configure(&mut self, size: usize) -> bool {
        let config = String::from_utf8(self.get_plugin_configuration().unwrap_or_default()).unwrap();
        assert_eq!(config.len(), size);
        for word in config.split_whitespace() {
            match word.split_once('=') {
                Some(("tick", period)) => self.set_tick_period(Duration::from_millis(period.parse().unwrap())),
                _ if word == "drain" => self.drain = true,
                _ if word == "panic" => panic!("as configured"),
                _ if word == "reject" => {
                    hostcalls::log(proxy_wasm::types::LogLevel::Error, "rejected as configured").unwrap();
                    return false;
                }
                _ => {}
            }
        }
        CONFIG.with_borrow_mut(|held| *held = config);
        true
    }

    fn on_tick(&mut self) {
        TICKS.set(TICKS.get() + 1);
    }

    fn on_queue_ready(&mut self, queue: u32) {
        if queue == HOP {
            for job in JOBS.with_borrow_mut(std::mem::take) {
                self.job(job);
            }
            return;
        }
        while let Ok(Some(item)) = self.dequeue_shared_queue(queue) {
            SEEN.with_borrow_mut(|seen| seen.push(format!("queue: {}", String::from_utf8_lossy(&item))));
        }
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(context, self.id)))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
