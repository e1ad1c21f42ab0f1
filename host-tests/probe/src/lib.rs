//! A plugin that does what a request's `x-probe` header says, so that tests can pin what a host makes of it.
//!
//! It runs in the wasmtime host and in real Envoy alike; expectations are written against what the client, the origin
//! and the called cluster see. Every stream also notes its callbacks; `events` reads the notes of another stream.
//!
//! | `x-probe` | what the stream does | further request headers |
//! |---|---|---|
//! | (none) | passes everything, noting callbacks under `x-id` | `x-id` |
//! | `events` | local reply: the notes of the stream that had this `x-id` | `x-of` |
//! | `reply` | local reply from the request headers | `x-status`, `x-body`, `x-reply` (fields, see below) |
//! | `reply-twice` | two local replies, 200 `first` and 201 `second` | |
//! | `call` | calls a cluster, pausing, then answers with what came back or, with `x-then: resume`, goes on with `x-called` set | `x-cluster`, `x-path`, `x-timeout` (ms), `x-then`, `x-body-continue` |
//! | `call-gone` | calls, and notes `late reply` if the reply comes to a stream that ended | as `call` |
//! | `hop` | enters `proxy_on_queue_ready` from the request headers and says what the root saw | |
//! | `coalesce` | followers of one path wait for one call of the root, which answers or resumes all | `x-cluster`, `x-then` |
//! | `hold` | pauses for ever, under a name by which `cross` finds it | `x-key` |
//! | `cross` | when its response headers or (`x-when: body`) body come, answers the held streams of that key | `x-key`, `x-when` |
//! | `resume-self` | resumes its own request within the request headers callback, returning Pause or (`x-then: continue`) Continue | `x-then` |
//! | `close` | resets the stream in the request headers | |
//! | `script` | runs host calls, one a line, and answers with their results | `x-script`, see `script.rs` |
//! | `etag` | holds the response until its end, then sets `etag: "LENGTH"` | |
//! | `bail` | as `etag`, but lets go with `x-bailed` once more than `x-limit` bytes are held | `x-limit` |
//! | `late-header` | tries to add a response header in every body callback and notes the status | `x-hold` (pause headers first) |
//! | `replace` | answers 200 `replaced` from the response headers | `x-reply`, `x-body`, `x-status` |
//! | `late-replace` | holds, then answers 304 at the end of the body | |
//! | `mid-replace` | sends a local reply after its response headers went on | |
//! | `rewrite` | holds, then replaces the body by `rewritten` | |
//! | `wait` | pauses the response for a call, then sets `x-waited` and resumes | `x-cluster`, `x-body-continue` |
//! | `panic` | panics in the callback named by `x-when`: `request`, `response`, `body`, `log` | `x-when` |
//! | `grow` | allocates `x-size` MiB | `x-size` |
//!
//! `x-reply` is `name: value|name: value`, with `\r` and `\n` written as such. Responses to local replies from the request
//! path carry `x-own: 1`, set in `on_http_response_headers`; `x-own-set: name: value` and `x-own-remove: name` edit there.
//!
//! The plugin configuration is words: `reject` and `panic` in `on_configure`, `tick=MS`, `drain` (`on_done` returns false
//! until the root's calls are answered), `name=X` (shown by `script`'s `config`). `reject` in the VM configuration: `on_vm_start`
//! returns false.

#![allow(unsafe_code, reason = "raw host calls show statuses on which the SDK panics, and the SDK's export is entered")]
#![allow(missing_docs, reason = "the entry point comes from a macro")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a probe shows what panics do")]

mod root;
mod script;
mod stream;

use proxy_wasm::traits::RootContext;
use proxy_wasm::types::LogLevel;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|id| -> Box<dyn RootContext> { Box::new(root::Root::new(id)) });
}}
