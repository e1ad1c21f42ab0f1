//! The proxy-wasm ABI 0.2.1 as far as Larder uses it, in bytes and without panics.
//!
//! The SDK's own functions take `&str` where the wire has bytes and panic on statuses that a host may well return (a stream
//! that is gone, headers that are out); these return them. Background calls alone go through the SDK, which must know their
//! tokens to route the answers.
#![expect(unsafe_code, reason = "the ABI is a C interface")]

use std::ptr::{null, null_mut};

/// What a host function said instead of Ok.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u32);

impl Status {
    pub const NOT_FOUND: Self = Self(1);
}

/// Severity of a log line.
#[derive(Clone, Copy, Debug)]
pub enum Level {
    Info = 2,
    Error = 4,
    Critical = 5,
}

/// A header map.
#[derive(Clone, Copy, Debug)]
pub enum Map {
    Request = 0,
    Response = 2,
    CallResponse = 6,
}

/// A buffer.
#[derive(Clone, Copy, Debug)]
pub enum Buffer {
    ResponseBody = 1,
    CallResponseBody = 4,
    PluginConfiguration = 7,
}

/// A kind of metric.
#[derive(Clone, Copy, Debug)]
pub enum Metric {
    Counter = 0,
    Gauge = 1,
}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_get_buffer_bytes(kind: u32, start: usize, max: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize) -> u32;
    fn proxy_replace_header_map_value(map: u32, key: *const u8, ks: usize, value: *const u8, vs: usize) -> u32;
    fn proxy_add_header_map_value(map: u32, key: *const u8, ks: usize, value: *const u8, vs: usize) -> u32;
    fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_shared_data(key: *const u8, ks: usize, data: *mut *mut u8, size: *mut usize, cas: *mut u32) -> u32;
    fn proxy_set_shared_data(key: *const u8, ks: usize, value: *const u8, vs: usize, cas: u32) -> u32;
    fn proxy_register_shared_queue(name: *const u8, size: usize, id: *mut u32) -> u32;
    fn proxy_dequeue_shared_queue(id: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_enqueue_shared_queue(id: u32, value: *const u8, size: usize) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_set_effective_context(id: u32) -> u32;
    fn proxy_done() -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        arguments: *const u8,
        arguments_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, size: usize, id: *mut u32) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_increment_metric(id: u32, by: i64) -> u32;
}

fn done_or(status: u32) -> Result<(), Status> {
    if status == 0 { Ok(()) } else { Err(Status(status)) }
}

/// What a host function wrote: memory that it took from this module's allocator, which is the caller's now.
struct Given {
    data: *mut u8,
    size: usize,
}

impl Given {
    const fn nothing() -> Self {
        Self { data: null_mut(), size: 0 }
    }

    fn into_bytes(self, status: u32) -> Result<Vec<u8>, Status> {
        done_or(status)?;
        if self.data.is_null() {
            return Ok(Vec::new());
        }
        // SAFETY: the host asked the SDK's `malloc` for exactly `size` bytes, which made them by `Vec::with_capacity(size)`.
        Ok(unsafe { Vec::from_raw_parts(self.data, self.size, self.size) })
    }
}

/// Writes a line to Envoy's log.
pub fn log(level: Level, message: &str) {
    // SAFETY: pointer and length of a live slice. Nothing can be done where logging fails.
    let _ = unsafe { proxy_log(level as u32, message.as_ptr(), message.len()) };
}

/// The host's wall clock, nanoseconds since 1970; 0 where it has none.
pub fn now_nanos() -> u64 {
    let mut time = 0;
    // SAFETY: the host writes one u64.
    let _ = unsafe { proxy_get_current_time_nanoseconds(&mut time) };
    time
}

/// Asks for a tick every so many milliseconds.
pub fn tick_every(millis: u32) -> Result<(), Status> {
    // SAFETY: plain numbers.
    done_or(unsafe { proxy_set_tick_period_milliseconds(millis) })
}

/// Part of a buffer.
pub fn buffer(kind: Buffer, start: usize, max: usize) -> Result<Vec<u8>, Status> {
    let mut given = Given::nothing();
    // SAFETY: the host writes a pointer and a size.
    let status = unsafe { proxy_get_buffer_bytes(kind as u32, start, max, &mut given.data, &mut given.size) };
    given.into_bytes(status)
}

/// A header map in the ABI's form (see [`crate::head`]).
pub fn map(map: Map) -> Result<Vec<u8>, Status> {
    let mut given = Given::nothing();
    // SAFETY: the host writes a pointer and a size.
    let status = unsafe { proxy_get_header_map_pairs(map as u32, &mut given.data, &mut given.size) };
    given.into_bytes(status)
}

/// Removes every line of a name.
pub fn remove_field(map: Map, name: &str) -> Result<(), Status> {
    // SAFETY: pointer and length of a live slice.
    done_or(unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

/// Replaces every line of a name by one.
pub fn set_field(map: Map, name: &str, value: &[u8]) -> Result<(), Status> {
    // SAFETY: pointers and lengths of live slices.
    done_or(unsafe {
        proxy_replace_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

/// Adds a line.
pub fn add_field(map: Map, name: &str, value: &[u8]) -> Result<(), Status> {
    // SAFETY: pointers and lengths of live slices.
    done_or(unsafe { proxy_add_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// A property by its path, the parts joined by NUL. `None` where it is not set or there is none.
pub fn property(path: &str) -> Option<Vec<u8>> {
    let mut given = Given::nothing();
    // SAFETY: pointer and length of a live slice; the host writes a pointer and a size.
    let status = unsafe { proxy_get_property(path.as_ptr(), path.len(), &mut given.data, &mut given.size) };
    given.into_bytes(status).ok()
}

/// A value that the VMs share, and its version.
pub fn shared(key: &str) -> Result<(Vec<u8>, u32), Status> {
    let mut given = Given::nothing();
    let mut version = 0;
    // SAFETY: pointer and length of a live slice; the host writes a pointer, a size and a version.
    let status =
        unsafe { proxy_get_shared_data(key.as_ptr(), key.len(), &mut given.data, &mut given.size, &mut version) };
    Ok((given.into_bytes(status)?, version))
}

/// Sets a value that the VMs share, where it still has this version; 0 is any.
pub fn set_shared(key: &str, value: &[u8], version: u32) -> Result<(), Status> {
    // SAFETY: pointers and lengths of live slices.
    done_or(unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), version) })
}

/// Registers a queue for the current root; its number is valid in every VM.
pub fn register_queue(name: &str) -> Result<u32, Status> {
    let mut id = 0;
    // SAFETY: pointer and length of a live slice; the host writes a number.
    done_or(unsafe { proxy_register_shared_queue(name.as_ptr(), name.len(), &mut id) })?;
    Ok(id)
}

/// The next message of a queue.
pub fn dequeue(queue: u32) -> Option<Vec<u8>> {
    let mut given = Given::nothing();
    // SAFETY: the host writes a pointer and a size.
    let status = unsafe { proxy_dequeue_shared_queue(queue, &mut given.data, &mut given.size) };
    given.into_bytes(status).ok()
}

/// Appends a message to a queue.
pub fn enqueue(queue: u32, message: &[u8]) -> Result<(), Status> {
    // SAFETY: pointer and length of a live slice.
    done_or(unsafe { proxy_enqueue_shared_queue(queue, message.as_ptr(), message.len()) })
}

/// Lets the effective context's paused request go on.
pub fn resume_request() -> Result<(), Status> {
    // SAFETY: plain numbers.
    done_or(unsafe { proxy_continue_stream(0) })
}

/// Lets the effective context's paused response go on.
pub fn resume_response() -> Result<(), Status> {
    // SAFETY: plain numbers.
    done_or(unsafe { proxy_continue_stream(1) })
}

/// Has Envoy choose the effective context's route anew, by the request's head as it is now.
pub fn clear_route_cache() -> Result<(), Status> {
    const NAME: &str = "clear_route_cache";
    let mut given = Given::nothing();
    // SAFETY: pointer and length of a live slice, no arguments; the host writes a pointer and a size.
    let status =
        unsafe { proxy_call_foreign_function(NAME.as_ptr(), NAME.len(), null(), 0, &mut given.data, &mut given.size) };
    given.into_bytes(status).map(drop)
}

/// Answers the effective context's request. `fields` is in the ABI's form.
pub fn send_response(status: u16, fields: &[u8], body: &[u8]) -> Result<(), Status> {
    const DETAILS: &str = "larder";
    let body_at = if body.is_empty() { null() } else { body.as_ptr() };
    // SAFETY: pointers and lengths of live slices; -1 is "no gRPC status".
    done_or(unsafe {
        proxy_send_local_response(
            u32::from(status),
            DETAILS.as_ptr(),
            DETAILS.len(),
            body_at,
            body.len(),
            fields.as_ptr(),
            fields.len(),
            -1,
        )
    })
}

/// Makes later calls act on another context.
pub fn act_for(context: u32) -> Result<(), Status> {
    // SAFETY: plain numbers.
    done_or(unsafe { proxy_set_effective_context(context) })
}

/// Says that a context which was not done is now.
pub fn done() -> Result<(), Status> {
    // SAFETY: no arguments.
    done_or(unsafe { proxy_done() })
}

/// Defines a metric, or finds the one of this name.
pub fn define_metric(kind: Metric, name: &str) -> Result<u32, Status> {
    let mut id = 0;
    // SAFETY: pointer and length of a live slice; the host writes a number.
    done_or(unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &mut id) })?;
    Ok(id)
}

/// Sets a gauge.
pub fn record_metric(id: u32, value: u64) -> Result<(), Status> {
    // SAFETY: plain numbers.
    done_or(unsafe { proxy_record_metric(id, value) })
}

/// Adds to a counter; hosts refuse 0.
pub fn increment_metric(id: u32, by: i64) -> Result<(), Status> {
    // SAFETY: plain numbers.
    done_or(unsafe { proxy_increment_metric(id, by) })
}
