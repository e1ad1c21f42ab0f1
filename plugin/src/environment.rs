//! The VM's environment variables (Envoy's `vm_config.environment_variables`), where secrets are kept out of the configuration.
//!
//! The two functions are WASI's; Envoy offers them to every VM, and an empty environment to one that was given none.
#![expect(unsafe_code, reason = "functions of the host")]

use larder_core::edge::{Edge, Keys};

/// The keys shared with layers at the origin. One that is there has requests marked.
const EDGE_KEY: &str = "LARDER_EDGE_KEY";

/// No environment is that large.
const BYTES_MAX: usize = 1 << 20;

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn environ_sizes_get(count: *mut usize, size: *mut usize) -> u32;
    fn environ_get(pointers: *mut *mut u8, bytes: *mut u8) -> u32;
}

/// What this edge does with markers.
///
/// # Errors
/// The keys are of no use, for a log line that does not show them.
pub fn edge() -> Result<Edge, String> {
    match variable(EDGE_KEY).filter(|keys| !keys.trim().is_empty()) {
        None => Ok(Edge::default()),
        Some(keys) => Keys::parse(&keys).map(Edge::signing).map_err(|error| format!("{EDGE_KEY}: {error}")),
    }
}

/// A variable's value.
fn variable(name: &str) -> Option<String> {
    let environment = bytes()?;
    let mut lines = environment.split(|byte| *byte == 0);
    let value = lines.find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    String::from_utf8(value.to_vec()).ok()
}

/// `NAME=VALUE`, each with a zero byte behind it.
fn bytes() -> Option<Vec<u8>> {
    let (mut count, mut size) = (0usize, 0usize);
    // SAFETY: both point to a number each, which is what the host writes.
    if unsafe { environ_sizes_get(&mut count, &mut size) } != 0 || size > BYTES_MAX || count > size {
        return None;
    }
    let mut pointers = vec![std::ptr::null_mut::<u8>(); count];
    let mut bytes = vec![0u8; size];
    // SAFETY: there is room for as many pointers and bytes as the host has said that it writes.
    let status = unsafe { environ_get(pointers.as_mut_ptr(), bytes.as_mut_ptr()) };
    (status == 0).then_some(bytes)
}
