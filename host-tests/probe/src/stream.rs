//! A stream that behaves as its `x-probe` header says; the table is in `lib.rs`.

use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, MapType};

use crate::root::{HELD, Job, SEEN, hop};
use crate::script;

pub struct Stream {
    context: u32,
    root: u32,
    options: Vec<(String, String)>,
    mode: String,
    events: Vec<String>,
    replied: bool,
    waiting: bool,
    held: usize,
}

impl Stream {
    pub fn new(context: u32, root: u32) -> Self {
        let (options, events) = (Vec::new(), Vec::new());
        Self { context, root, options, mode: String::new(), events, replied: false, waiting: false, held: 0 }
    }

    fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn says(&self, name: &str, value: &str) -> bool {
        self.option(name) == Some(value)
    }

    /// Notes a callback where `events` finds it, as long as the request named itself.
    fn note(&mut self, event: String) {
        self.events.push(event);
        if let Some(id) = self.option("x-id") {
            let notes = self.events.join("\n");
            hostcalls::set_shared_data(&format!("events:{id}"), Some(notes.as_bytes()), None).unwrap();
        }
    }

    fn reply(&mut self, status: u32, body: &str) -> Action {
        self.replied = true;
        self.send_http_response(status, vec![], Some(body.as_bytes()));
        Action::Pause
    }

    /// The reply that `x-status`, `x-reply` and `x-body` describe.
    fn reply_as_told(&mut self, body: &str) -> Action {
        self.replied = true;
        let status = self.option("x-status").map_or(200, |status| status.parse().unwrap());
        let fields = fields(self.option("x-reply").unwrap_or_default());
        let body = self.option("x-body").unwrap_or(body).to_owned();
        let fields = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        hostcalls::send_http_response(status, fields, (!body.is_empty()).then_some(body.as_bytes())).unwrap();
        Action::Pause
    }

    fn call(&mut self) -> Action {
        let cluster = self.option("x-cluster").unwrap_or("l2").to_owned();
        let path = self.option("x-path").unwrap_or("/called").to_owned();
        let timeout = self.option("x-timeout").map_or(1000, |timeout| timeout.parse().unwrap());
        let headers = vec![(":method", "GET"), (":path", path.as_str()), (":authority", "l2")];
        let call = self.dispatch_http_call(&cluster, headers, None, vec![], Duration::from_millis(timeout));
        match call {
            Ok(_) => {
                self.waiting = true;
                Action::Pause
            }
            Err(status) => self.reply(500, &format!("{status:?}")),
        }
    }

    fn cross(&mut self) {
        let key = self.option("x-key").unwrap().to_owned();
        for context in HELD.with_borrow_mut(|held| held.remove(&key)).unwrap_or_default() {
            match hostcalls::set_effective_context(context) {
                Ok(()) => hostcalls::send_http_response(200, vec![], Some(b"crossed")).unwrap(),
                Err(status) => SEEN.with_borrow_mut(|seen| seen.push(format!("cross {}", status as u32))),
            }
        }
        hostcalls::set_effective_context(self.context).unwrap();
    }

    fn panic_in(&self, place: &str) {
        assert!(self.mode != "panic" || !self.says("x-when", place), "as told, in {place}");
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, end: bool) -> Action {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        self.options = self.get_http_request_headers_bytes().into_iter().map(|(n, v)| (n, text(v))).collect();
        self.mode = self.option("x-probe").unwrap_or_default().to_owned();
        self.note(format!("request headers end={end}"));
        self.panic_in("request");
        match self.mode.as_str() {
            "reply" => self.reply_as_told(""),
            "reply-twice" => {
                self.reply(200, "first");
                self.reply(201, "second")
            }
            "events" => {
                let key = format!("events:{}", self.option("x-of").unwrap());
                let notes = hostcalls::get_shared_data(&key).unwrap().0.unwrap_or_default();
                self.reply(200, &String::from_utf8_lossy(&notes))
            }
            "script" => {
                let answers = script::run(self.option("x-script").unwrap());
                if self.says("x-then", "continue") { Action::Continue } else { self.reply(200, &answers) }
            }
            "call" | "call-gone" => self.call(),
            "hop" => {
                let note = format!("hop {}", self.option("x-id").unwrap_or("-"));
                hop(self.root, Job::Note(note));
                let seen = SEEN.with_borrow(|seen| seen.last().cloned().unwrap_or_default());
                self.reply(200, &seen)
            }
            "coalesce" => {
                let path = self.option(":path").unwrap().to_owned();
                let cluster = self.option("x-cluster").unwrap_or("l2").to_owned();
                let resume = self.says("x-then", "resume");
                hop(self.root, Job::Follow { context: self.context, path, cluster, resume });
                self.waiting = true;
                Action::Pause
            }
            "hold" => {
                let key = self.option("x-key").unwrap_or_default().to_owned();
                HELD.with_borrow_mut(|held| held.entry(key).or_default().push(self.context));
                self.waiting = true;
                Action::Pause
            }
            "resume-self" => {
                self.resume_http_request();
                if self.says("x-then", "continue") { Action::Continue } else { Action::Pause }
            }
            "close" => {
                self.reset_http_request();
                Action::Pause
            }
            "grow" => {
                let size: usize = self.option("x-size").unwrap().parse().unwrap();
                let mut kept = Vec::new();
                for _ in 0..size {
                    kept.push(vec![1_u8; 1 << 20]);
                }
                let bytes: usize = kept.iter().map(Vec::len).sum();
                self.reply(200, &bytes.to_string())
            }
            _ => Action::Continue,
        }
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        self.note(format!("request body {size} end={end}"));
        if self.waiting && self.option("x-body-continue").is_none() { Action::Pause } else { Action::Continue }
    }

    fn on_http_request_trailers(&mut self, count: usize) -> Action {
        self.note(format!("request trailers {count}"));
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, end: bool) -> Action {
        let details = self.get_property(vec!["response", "code_details"]).unwrap_or_default();
        self.note(format!("response headers end={end} details={}", String::from_utf8_lossy(&details)));
        self.panic_in("response");
        if self.replied {
            self.set_http_response_header("x-own", Some("1"));
            for (name, value) in fields(self.option("x-own-set").unwrap_or_default()) {
                self.set_http_response_header(&name, Some(&value));
            }
            if let Some(name) = self.option("x-own-remove").map(str::to_owned) {
                self.set_http_response_header(&name, None);
            }
            return Action::Continue;
        }
        match self.mode.as_str() {
            "replace" => self.reply_as_told("replaced"),
            "etag" | "bail" | "late-replace" | "rewrite" if !end => {
                if self.mode == "rewrite" {
                    self.set_http_response_header("content-length", None);
                }
                Action::Pause
            }
            "late-header" if self.option("x-hold").is_some() => Action::Pause,
            "wait" => self.call(),
            "cross" if !self.says("x-when", "body") => {
                self.cross();
                Action::Continue
            }
            _ => Action::Continue,
        }
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        self.note(format!("response body {size} end={end}"));
        self.panic_in("body");
        if self.replied {
            return Action::Continue;
        }
        match self.mode.as_str() {
            "etag" => {
                if !end {
                    return Action::Pause;
                }
                let whole = self.get_http_response_body(0, usize::MAX).unwrap_or_default();
                self.set_http_response_header("etag", Some(&format!("\"{}\"", whole.len())));
                Action::Continue
            }
            "bail" => {
                self.held = size;
                let limit = self.option("x-limit").unwrap().parse().unwrap();
                if size > limit {
                    self.set_http_response_header("x-bailed", Some("1"));
                    self.mode = "bailed".to_owned();
                }
                if size > limit || end { Action::Continue } else { Action::Pause }
            }
            "late-header" => {
                let status = script::add_status(MapType::HttpResponseHeaders, "x-late", "1");
                self.note(format!("late header {status}"));
                Action::Continue
            }
            "late-replace" if end => self.reply(304, ""),
            "late-replace" => Action::Pause,
            "mid-replace" => self.reply(200, "too late"),
            "rewrite" if end => {
                self.set_http_response_body(0, usize::MAX, b"rewritten");
                Action::Continue
            }
            "rewrite" => Action::Pause,
            "wait" if self.waiting && self.option("x-body-continue").is_none() => Action::Pause,
            "cross" if self.says("x-when", "body") => {
                self.cross();
                Action::Continue
            }
            _ => Action::Continue,
        }
    }

    fn on_http_response_trailers(&mut self, count: usize) -> Action {
        self.note(format!("response trailers {count}"));
        if self.mode == "etag" {
            self.set_http_response_header("etag", Some("\"by trailers\""));
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        let path = script::get_status(MapType::HttpRequestHeaders, ":path");
        let status = script::get_status(MapType::HttpResponseHeaders, ":status");
        self.note(format!("log {path} {status}"));
        self.panic_in("log");
    }
}

impl Context for Stream {
    fn on_http_call_response(&mut self, _token: u32, headers: usize, body: usize, trailers: usize) {
        self.waiting = false;
        self.note(format!("call reply {headers} {body} {trailers}"));
        if self.mode == "wait" {
            let late = script::add_status(MapType::HttpResponseHeaders, "x-waited", "1");
            self.note(format!("waited {late}"));
            self.resume_http_response();
            return;
        }
        if self.says("x-then", "resume") {
            self.set_http_request_header("x-called", Some("1"));
            self.resume_http_request();
            return;
        }
        if headers == 0 {
            self.reply(502, "failed");
            return;
        }
        let status = self.get_http_call_response_header_bytes(":status").unwrap_or_default();
        let names = self.get_http_call_response_headers_bytes();
        let mut names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let names = names.join(",");
        let text = self.get_http_call_response_body(0, usize::MAX).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[..text.len().min(100)]).into_owned();
        let status = String::from_utf8_lossy(&status).into_owned();
        self.reply(200, &format!("status={status} names={names} size={body} body={text}"));
    }

    fn on_done(&mut self) -> bool {
        self.note("done".to_owned());
        true
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.note("delete".to_owned());
    }
}

/// `name: value|name: value`, with `\r` and `\n` as written escapes.
fn fields(text: &str) -> Vec<(String, String)> {
    let unescape = |value: &str| value.replace("\\r", "\r").replace("\\n", "\n");
    let pairs = text.split('|').filter_map(|field| field.split_once(": "));
    pairs.map(|(name, value)| (name.to_owned(), unescape(value))).collect()
}
