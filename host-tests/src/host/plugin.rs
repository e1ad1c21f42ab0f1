//! A compiled module, checked before anything of it runs. Compile once, start many hosts from it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use wasmtime::{Engine, InstancePre, Module, OptLevel, RegallocAlgorithm};

use super::abi;
use super::vm::VmState;

/// A proxy-wasm module, compiled.
#[derive(Clone)]
pub struct Plugin {
    pub(crate) engine: Engine,
    pub(crate) instance: InstancePre<VmState>,
}

/// Why a module or a configuration was not taken.
#[derive(Debug)]
pub enum HostError {
    /// The file cannot be read.
    Unreadable(String, std::io::Error),
    /// Not a wasm module, or one that cannot be compiled.
    Invalid(String),
    /// Imports that no proxy-wasm ABI 0.2.1 host has, each as `module.name`.
    UnknownImports(Vec<String>),
    /// The module does not export `proxy_abi_version_0_2_1`.
    UnknownAbi,
    /// `on_vm_start` or `on_configure` returned false; with the lines that were logged meanwhile.
    Rejected(Vec<String>),
    /// The module trapped while it started.
    Trapped(String),
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(f, "cannot read {path}: {error}"),
            Self::Invalid(why) => write!(f, "not a usable wasm module: {why}"),
            Self::UnknownImports(names) => {
                write!(f, "the module imports what the host does not have: {}", names.join(", "))
            }
            Self::UnknownAbi => write!(f, "the module does not export proxy_abi_version_0_2_1"),
            Self::Rejected(lines) => write!(f, "the plugin refused its configuration: {}", lines.join("; ")),
            Self::Trapped(why) => write!(f, "the module trapped at its start: {why}"),
        }
    }
}

impl std::error::Error for HostError {}

impl Plugin {
    /// Loads and compiles the module in a file. Compiling takes seconds, so a file's module is kept for the process.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, HostError> {
        static KEPT: Mutex<BTreeMap<Vec<u8>, Plugin>> = Mutex::new(BTreeMap::new());
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|error| HostError::Unreadable(path.display().to_string(), error))?;
        // Under the lock, so that tests that begin together compile once.
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plugin) = kept.get(&bytes) {
            return Ok(plugin.clone());
        }
        let plugin = Self::from_bytes(&bytes)?;
        kept.insert(bytes, plugin.clone());
        Ok(plugin)
    }

    /// Compiles a module.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HostError> {
        let invalid = |error: wasmtime::Error| HostError::Invalid(format!("{error:#}"));
        let mut settings = wasmtime::Config::new();
        // Tests run little code once: compile fast rather than well.
        settings.cranelift_opt_level(OptLevel::None).cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
        let engine = Engine::new(&settings).map_err(invalid)?;
        let module = Module::new(&engine, bytes).map_err(invalid)?;
        let imports = abi::imports(&engine).map_err(invalid)?;
        let unknown: Vec<String> = module
            .imports()
            .filter(|import| !imports.has(import.module(), import.name()))
            .map(|import| format!("{}.{}", import.module(), import.name()))
            .collect();
        if !unknown.is_empty() {
            return Err(HostError::UnknownImports(unknown));
        }
        if module.get_export("proxy_abi_version_0_2_1").is_none() {
            return Err(HostError::UnknownAbi);
        }
        let instance = imports.linker.instantiate_pre(&module).map_err(invalid)?;
        Ok(Self { engine, instance })
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin").finish_non_exhaustive()
    }
}
