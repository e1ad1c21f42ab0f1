//! The host functions of proxy-wasm ABI 0.2.1, by subject, and how they reach the guest's memory.
//!
//! Every function that SDK 0.2.5 can import is here. Each decides its answer as Envoy's `context.cc` and the C++ host do;
//! what changes a stream's course (`continue_stream`, `send_local_response`, …) is only queued and runs after the callback.

mod buffers;
mod calls;
mod coverage;
mod environment;
mod headers;
mod metrics;
mod shared;
mod stream;
mod system;

use std::collections::BTreeSet;

use wasmtime::{Caller, Linker};

use super::message::Headers;
use super::vm::VmState;

/// Results of host calls (`WasmResult`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ok = 0,
    NotFound = 1,
    BadArgument = 2,
    ParseFailure = 4,
    InvalidMemoryAccess = 6,
    Empty = 7,
    CasMismatch = 8,
    Unimplemented = 12,
}

/// Why a host call did not succeed: an answer for the guest, or the end of the VM.
pub(crate) enum Stop {
    Status(Status),
    Trap(wasmtime::Error),
}

impl From<Status> for Stop {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

pub(crate) type Answer = Result<(), Stop>;

/// Guest-to-host lists beyond these limits arrive as empty lists (`limits.h` of the C++ host).
const PAIRS_MAX: usize = 1024;
const PAIRS_BYTES_MAX: usize = 1 << 20;

/// A linker that collects the names it defines, to tell unknown imports by name.
pub(crate) struct Imports {
    pub linker: Linker<VmState>,
    /// Of module `env`.
    pub names: BTreeSet<&'static str>,
}

impl Imports {
    /// Whether the host has this function.
    pub fn has(&self, module: &str, name: &str) -> bool {
        match module {
            "env" => self.names.contains(name),
            environment::MODULE => environment::NAMES.contains(&name),
            _ => false,
        }
    }
}

/// Defines one host function: counts the call, runs the body, turns its answer into the ABI's number.
macro_rules! host_fn {
    ($imports:ident, $name:literal, |$caller:ident $(, $arg:ident : $ty:ty)*| $body:expr) => {
        $imports.names.insert($name);
        $imports.linker.func_wrap("env", $name, |mut $caller: wasmtime::Caller<'_, $crate::host::vm::VmState> $(, $arg: $ty)*| {
            $caller.data_mut().count($name);
            #[allow(unused_mut, reason = "not every function needs the memory")]
            let mut run = || -> $crate::host::abi::Answer { $body };
            $crate::host::abi::code(run())
        })?;
    };
}
pub(crate) use host_fn;

pub(crate) fn code(answer: Answer) -> wasmtime::Result<i32> {
    match answer {
        Ok(()) => Ok(Status::Ok as i32),
        Err(Stop::Status(status)) => Ok(status as i32),
        Err(Stop::Trap(error)) => Err(error),
    }
}

pub(crate) fn imports(engine: &wasmtime::Engine) -> wasmtime::Result<Imports> {
    let mut imports = Imports { linker: Linker::new(engine), names: BTreeSet::new() };
    environment::define(&mut imports)?;
    system::define(&mut imports)?;
    buffers::define(&mut imports)?;
    headers::define(&mut imports)?;
    shared::define(&mut imports)?;
    stream::define(&mut imports)?;
    calls::define(&mut imports)?;
    metrics::define(&mut imports)?;
    coverage::define(&mut imports)?;
    Ok(imports)
}

/// Copies `size` bytes at `pointer` out of the guest.
fn read(caller: &Caller<'_, VmState>, pointer: i32, size: i32) -> Result<Vec<u8>, Stop> {
    let memory = caller.data().memory.ok_or(Status::InvalidMemoryAccess)?;
    let (start, size) = (pointer as u32 as usize, size as u32 as usize);
    let bytes = memory.data(caller).get(start..start.saturating_add(size)).ok_or(Status::InvalidMemoryAccess)?;
    Ok(bytes.to_vec())
}

fn write(caller: &mut Caller<'_, VmState>, pointer: i32, bytes: &[u8]) -> Answer {
    let memory = caller.data().memory.ok_or(Status::InvalidMemoryAccess)?;
    memory.write(caller, pointer as u32 as usize, bytes).map_err(|_| Stop::Status(Status::InvalidMemoryAccess))
}

fn write_u32(caller: &mut Caller<'_, VmState>, pointer: i32, value: u32) -> Answer {
    write(caller, pointer, &value.to_le_bytes())
}

/// Hands bytes to the guest in memory that its own `malloc` gives. Nothing is allocated for an empty value: the pointer is null.
fn give(caller: &mut Caller<'_, VmState>, bytes: &[u8], pointer_out: i32, size_out: i32) -> Answer {
    let mut pointer = 0;
    if !bytes.is_empty() {
        let malloc = caller.data().malloc.clone().ok_or(Status::InvalidMemoryAccess)?;
        pointer = malloc.call(&mut *caller, bytes.len() as i32).map_err(Stop::Trap)?;
        if pointer == 0 {
            return Err(Status::InvalidMemoryAccess.into());
        }
        write(caller, pointer, bytes)?;
    }
    write_u32(caller, pointer_out, pointer as u32)?;
    write_u32(caller, size_out, bytes.len() as u32)
}

/// The ABI's form of a list of pairs; the empty list has no bytes at all.
fn serialise_pairs(headers: &Headers) -> Vec<u8> {
    if headers.is_empty() {
        return Vec::new();
    }
    let mut bytes = (headers.len() as u32).to_le_bytes().to_vec();
    for (name, value) in headers.iter() {
        bytes.extend((name.len() as u32).to_le_bytes());
        bytes.extend((value.len() as u32).to_le_bytes());
    }
    for (name, value) in headers.iter() {
        bytes.extend(name.as_bytes());
        bytes.push(0);
        bytes.extend(value);
        bytes.push(0);
    }
    bytes
}

/// Reads the guest's list of pairs. Beyond the C++ host's limits, or malformed: silently empty, as there.
fn parse_pairs(bytes: &[u8]) -> Headers {
    fn parse(bytes: &[u8]) -> Option<Headers> {
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
        let count = word(0)?;
        if count > PAIRS_MAX || bytes.len() > PAIRS_BYTES_MAX {
            return None;
        }
        let mut headers = Headers::new();
        let mut at = 4 + count * 8;
        for pair in 0..count {
            let (name_size, value_size) = (word(4 + pair * 8)?, word(8 + pair * 8)?);
            let name = bytes.get(at..at.checked_add(name_size)?)?;
            at += name_size + 1;
            let value = bytes.get(at..at.checked_add(value_size)?)?;
            at += value_size + 1;
            headers.append(&String::from_utf8_lossy(name), value);
        }
        Some(headers)
    }
    parse(bytes).unwrap_or_default()
}
