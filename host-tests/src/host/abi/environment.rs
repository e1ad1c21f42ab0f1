//! The VM's environment variables: the two functions of WASI that a plugin needs for them. Envoy's host has more, and this one would
//! say so by refusing the module.

use wasmtime::Caller;

use super::{Answer, Imports, Status, write, write_u32};
use crate::host::vm::VmState;

pub(super) const MODULE: &str = "wasi_snapshot_preview1";
pub(super) const NAMES: [&str; 2] = ["environ_sizes_get", "environ_get"];

/// `NAME=VALUE`, each with a zero byte behind it.
fn lines(caller: &Caller<'_, VmState>) -> Vec<Vec<u8>> {
    let variables = &caller.data().world.borrow().config.environment;
    variables.iter().map(|(name, value)| format!("{name}={value}\0").into_bytes()).collect()
}

/// WASI's numbers: 0 is success, 21 a bad address.
fn errno(answer: Answer) -> wasmtime::Result<i32> {
    Ok(if super::code(answer)? == Status::Ok as i32 { 0 } else { 21 })
}

pub(super) fn define(imports: &mut Imports) -> wasmtime::Result<()> {
    let [sizes, get] = NAMES;
    imports.linker.func_wrap(MODULE, sizes, |mut caller: Caller<'_, VmState>, count: i32, size: i32| {
        let lines = lines(&caller);
        let bytes: usize = lines.iter().map(Vec::len).sum();
        errno(
            write_u32(&mut caller, count, lines.len() as u32).and_then(|()| write_u32(&mut caller, size, bytes as u32)),
        )
    })?;
    imports.linker.func_wrap(MODULE, get, |mut caller: Caller<'_, VmState>, mut pointers: i32, mut at: i32| {
        for line in lines(&caller) {
            let written = write_u32(&mut caller, pointers, at as u32).and_then(|()| write(&mut caller, at, &line));
            if written.is_err() {
                return errno(written);
            }
            pointers += 4;
            at += line.len() as i32;
        }
        Ok(0)
    })?;
    Ok(())
}
