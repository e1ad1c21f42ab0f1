//! Where a guide's commands run: a folder of its own with the example policies, the programs under their names, and addresses that
//! nobody else has.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

/// What guides call the addresses that their programs listen on.
pub const ADDRESSES: [&str; 6] = ["SHOP", "EDGE", "NODE", "ADMIN", "NODE2", "ADMIN2"];

/// Below these, no system gives ports to those who ask for any.
const PORTS: std::ops::Range<u16> = 18_000..30_000;

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository")
}

/// A guide's folder.
pub struct Place {
    folder: tempfile::TempDir,
    /// Names and values of `ADDRESSES`.
    pub addresses: Vec<(&'static str, String)>,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Self { folder, addresses: ADDRESSES.iter().map(|name| (*name, free_address())).collect() };
        for part in ["work/policies", "bin", "logs"] {
            std::fs::create_dir_all(place.path(part)).expect("a folder");
        }
        for entry in std::fs::read_dir(root().join("policies")).expect("policies/ can be read").flatten() {
            if entry.path().is_file() {
                let to = place.path("work/policies").join(entry.file_name());
                std::fs::copy(entry.path(), to).expect("copied");
            }
        }
        symlink(env!("CARGO_BIN_EXE_larder"), place.path("bin/larder")).expect("a link");
        symlink(shop_api(), place.path("bin/shop-api")).expect("a link");
        place
    }

    /// Something in the folder.
    pub fn path(&self, part: &str) -> PathBuf {
        self.folder.path().join(part)
    }

    /// A file that the guide has its reader write.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path("work").join(name), text).expect("written");
    }
}

/// The module that `larder test` runs.
pub fn module() -> PathBuf {
    let named = std::env::var_os("LARDER_WASM").filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = named.unwrap_or_else(|| root().join("target/larder.wasm"));
    assert!(path.exists(), "no module at {}: run `cargo xtask build`, or set LARDER_WASM", path.display());
    path
}

fn shop_api() -> PathBuf {
    let named = std::env::var_os("LARDER_SHOP_API").filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = named.unwrap_or_else(|| Path::new(env!("CARGO_BIN_EXE_larder")).with_file_name("shop-api"));
    assert!(path.exists(), "no shop API at {}: run `cargo build -p shop-api`, or set LARDER_SHOP_API", path.display());
    path
}

/// An address on loopback where nobody listens, and that no other guide of this process gets.
fn free_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let span = PORTS.end - PORTS.start;
    // Processes begin in different places.
    let offset = (std::process::id() % u32::from(span)) as u16;
    loop {
        let tried = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(tried < span, "no port is free");
        let port = PORTS.start + (offset + tried) % span;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return format!("127.0.0.1:{port}");
        }
    }
}
