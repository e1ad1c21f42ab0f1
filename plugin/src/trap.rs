//! A crash on demand, for `cargo xtask chaos`: behind the feature `trap`, which no module that anybody ships is built with
//! (`cargo xtask build` refuses one that has this).

use crate::head::Head;
use crate::raw::{self, Map};

/// The field of a request that is not to be survived.
const FIELD: &str = "x-larder-trap";

/// Traps where the request of the current callback asks for it: the VM is gone, as by a bug in the module.
pub fn if_asked() {
    let Ok(bytes) = raw::map(Map::Request) else { return };
    if Head::read(bytes).fields.first(FIELD).is_some() {
        core::arch::wasm32::unreachable();
    }
}

/// By this export `cargo xtask build` knows such a module.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "an export")]
pub extern "C" fn larder_has_a_trap() {}
