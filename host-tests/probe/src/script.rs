//! `x-probe: script`: host calls, one a `;`, their results one a line. Statuses are the ABI's numbers.
//!
//! `get N` `all N` `add N V` `replace N V` `remove N` `pairs` on the request headers; `property a.b.c`; `set-property a V`;
//! `shared-get K` `shared-set K V CAS` `shared-remove K`; `queue N` `resolve N` `push ID V` `pop ID`;
//! `counter N` `gauge N` `histogram N` `increment ID BY` `record ID V` `metric ID`; `foreign N`; `effective ID`;
//! `call CLUSTER` (fails or pauses nothing); `many N` (N headers set at once, then counted); `config`; `ticks`; `seen`; `time`; `level`.

use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::types::{MapType, MetricType, Status};

use crate::root::{CONFIG, SEEN, TICKS};

const REQUEST: MapType = MapType::HttpRequestHeaders;

unsafe extern "C" {
    fn proxy_increment_metric(id: u32, by: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_get_metric(id: u32, value: *mut u64) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_add_header_map_value(
        kind: u32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_get_header_map_value(
        kind: u32,
        key: *const u8,
        key_size: usize,
        value: *mut *mut u8,
        value_size: *mut usize,
    ) -> u32;
    fn proxy_grpc_cancel(token: u32) -> u32;
    fn proxy_done() -> u32;
}

/// The status of adding a field, without the SDK's panic.
pub fn add_status(kind: MapType, name: &str, value: &str) -> u32 {
    unsafe { proxy_add_header_map_value(kind as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len()) }
}

/// The status of reading a field, without the SDK's panic.
pub fn get_status(kind: MapType, name: &str) -> u32 {
    let (mut value, mut size) = (std::ptr::null_mut(), 0);
    unsafe { proxy_get_header_map_value(kind as u32, name.as_ptr(), name.len(), &mut value, &mut size) }
}

pub fn run(script: &str) -> String {
    script.split(';').map(|line| format!("{}\n", step(line.trim()))).collect()
}

fn step(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let number = |at: usize| words[at].parse::<i64>().unwrap();
    match words.as_slice() {
        ["get", name] => text(hostcalls::get_map_value_bytes(REQUEST, name).unwrap()),
        ["all", name] => {
            let map = hostcalls::get_map_bytes(REQUEST).unwrap();
            let values = map.iter().filter(|(n, _)| n == name).map(|(_, v)| String::from_utf8_lossy(v).into_owned());
            values.collect::<Vec<_>>().join("|")
        }
        ["add", name, value] => status(hostcalls::add_map_value_bytes(REQUEST, name, value.as_bytes())),
        ["replace", name, value] => status(hostcalls::set_map_value_bytes(REQUEST, name, Some(value.as_bytes()))),
        ["remove", name] => status(hostcalls::remove_map_value(REQUEST, name)),
        ["pairs"] => {
            let map = hostcalls::get_map_bytes(REQUEST).unwrap();
            map.iter()
                .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)))
                .collect::<Vec<_>>()
                .join("|")
        }
        ["many", count] => {
            let keep = hostcalls::get_map_bytes(REQUEST).unwrap();
            let names: Vec<String> = (0..count.parse().unwrap()).map(|n: usize| format!("x-many-{n}")).collect();
            let all = names.iter().map(|name| (name.as_str(), b"1".as_slice())).collect();
            hostcalls::set_map_bytes(REQUEST, all).unwrap();
            let left = hostcalls::get_map_bytes(REQUEST).unwrap().len();
            hostcalls::set_map_bytes(REQUEST, keep.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect()).unwrap();
            left.to_string()
        }
        ["property", path] => match hostcalls::get_property(path.split('.').collect()).unwrap() {
            Some(value) if value.iter().all(|byte| (32..127).contains(byte)) => text(Some(value)),
            Some(value) if value.len() == 8 => i64::from_le_bytes(value.try_into().unwrap()).to_string(),
            Some(value) => format!("{value:?}"),
            None => "none".to_owned(),
        },
        ["set-property", path, value] => {
            status(hostcalls::set_property(path.split('.').collect(), Some(value.as_bytes())))
        }
        ["shared-get", key] => {
            let (value, cas) = hostcalls::get_shared_data(key).unwrap();
            format!("{} {}", text(value), if cas.is_some() { "cas" } else { "-" })
        }
        ["shared-set", key, value, cas] => {
            let current = hostcalls::get_shared_data(key).unwrap().1;
            let cas = match *cas {
                "0" => None,
                "right" => current,
                "wrong" => Some(current.unwrap_or(0) + 17),
                other => panic!("cas {other}"),
            };
            status(hostcalls::set_shared_data(key, Some(value.as_bytes()), cas))
        }
        ["shared-remove", key] => status(hostcalls::set_shared_data(key, None, None)),
        ["queue", name] => hostcalls::register_shared_queue(name).unwrap().to_string(),
        ["resolve", name] => {
            hostcalls::resolve_shared_queue("", name).unwrap().map_or("none".to_owned(), |id| id.to_string())
        }
        ["push", id, value] => status(hostcalls::enqueue_shared_queue(id.parse().unwrap(), Some(value.as_bytes()))),
        ["pop", id] => match hostcalls::dequeue_shared_queue(id.parse().unwrap()) {
            Ok(item) => text(item),
            Err(status) => (status as u32).to_string(),
        },
        ["counter", name] => hostcalls::define_metric(MetricType::Counter, name).unwrap().to_string(),
        ["gauge", name] => hostcalls::define_metric(MetricType::Gauge, name).unwrap().to_string(),
        ["histogram", name] => hostcalls::define_metric(MetricType::Histogram, name).unwrap().to_string(),
        ["increment", ..] => unsafe { proxy_increment_metric(number(1) as u32, number(2)) }.to_string(),
        ["record", ..] => unsafe { proxy_record_metric(number(1) as u32, number(2) as u64) }.to_string(),
        ["metric", id] => {
            let mut value = 0;
            let status = unsafe { proxy_get_metric(id.parse().unwrap(), &mut value) };
            format!("{status} {value}")
        }
        // A counter's, incremented by name in one step, for ids that differ between hosts.
        ["bump", name, by] => {
            let id = hostcalls::define_metric(MetricType::Counter, name).unwrap();
            let mut value = 0;
            let by = unsafe { proxy_increment_metric(id, by.parse().unwrap()) };
            let read = unsafe { proxy_get_metric(id, &mut value) };
            format!("{by} {read} {value}")
        }
        ["foreign", name] => match hostcalls::call_foreign_function(name, None) {
            Ok(_) => "0".to_owned(),
            Err(status) => (status as u32).to_string(),
        },
        ["effective", id] => unsafe { proxy_set_effective_context(id.parse().unwrap()) }.to_string(),
        ["call", cluster] => {
            let headers = vec![(":method", "GET"), (":path", "/"), (":authority", "probe")];
            status(hostcalls::dispatch_http_call(cluster, headers, None, vec![], Duration::from_secs(1)).map(|_| ()))
        }
        ["call-without-path", cluster] => {
            let headers = vec![(":method", "GET"), (":authority", "probe")];
            status(hostcalls::dispatch_http_call(cluster, headers, None, vec![], Duration::from_secs(1)).map(|_| ()))
        }
        ["grpc", cluster] => {
            let call = hostcalls::dispatch_grpc_call(cluster, "s", "m", vec![], None, Duration::from_secs(1));
            format!("{} {}", status(call.map(|_| ())), unsafe { proxy_grpc_cancel(1) })
        }
        ["done"] => unsafe { proxy_done() }.to_string(),
        ["response-header", name] => get_status(MapType::HttpResponseHeaders, name).to_string(),
        ["config"] => CONFIG.with_borrow(Clone::clone),
        ["ticks"] => TICKS.get().to_string(),
        ["seen"] => SEEN.with_borrow(|seen| seen.join("|")),
        ["time"] => {
            let now = hostcalls::get_current_time().unwrap();
            now.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis().to_string()
        }
        ["level"] => (hostcalls::get_log_level().unwrap() as u32).to_string(),
        ["log", word] => status(hostcalls::log(proxy_wasm::types::LogLevel::Warn, word)),
        other => panic!("no such step: {other:?}"),
    }
}

fn text(value: Option<Vec<u8>>) -> String {
    value.map_or("none".to_owned(), |value| String::from_utf8_lossy(&value).into_owned())
}

fn status(result: Result<(), Status>) -> String {
    (result.err().unwrap_or(Status::Ok) as u32).to_string()
}
