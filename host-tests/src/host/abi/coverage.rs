//! Where an instrumented module counts what it has covered (LLVM's SanitizerCoverage, inline 8-bit counters). Its constructor says so by a
//! call that the linker leaves to the host; a module that is not instrumented makes none. Not of the ABI: no module that Envoy loads may
//! import this (`cargo xtask build` sees to it).

use super::Imports;
use crate::host::vm::VmState;

const INIT: &str = "__sanitizer_cov_8bit_counters_init";

pub(super) fn define(imports: &mut Imports) -> wasmtime::Result<()> {
    imports.names.insert(INIT);
    imports.linker.func_wrap("env", INIT, |mut caller: wasmtime::Caller<'_, VmState>, from: i32, to: i32| {
        caller.data_mut().counters = Some((from as u32 as usize, to as u32 as usize));
    })?;
    Ok(())
}
