//! One target under libFuzzer: `LARDER_FUZZ_TARGET` names it, arguments are libFuzzer's. `--list` prints the targets as JSON.
//! Built and called by `cargo xtask fuzz`.
#![no_main]
#![allow(unsafe_code, reason = "libFuzzer calls functions of C's naming")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use larder_fuzz::{Target, target, targets};
use libfuzzer_sys::fuzz_target;

/// Counters of the module's own code. libFuzzer finds them by the section's name, reads them after each input, and clears them.
const COUNTERS: usize = 1 << 17;
#[unsafe(link_section = "__libfuzzer_extra_counters")]
static COVERED: [AtomicU8; COUNTERS] = [const { AtomicU8::new(0) }; COUNTERS];

fn covered(at: usize, count: u8) {
    COVERED[at % COUNTERS].fetch_max(count, Ordering::Relaxed);
}

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fuzz_target!(
    init: {
        let name = std::env::var("LARDER_FUZZ_TARGET").unwrap_or_default();
        if name == "--list" {
            let all = targets::ALL.iter().map(|target| {
                serde_json::json!({
                    "name": target.name, "about": target.about, "bytes_max": target.bytes_max,
                    "needs_module": target.needs_module, "seeds": target.seeds,
                })
            });
            println!("{}", serde_json::Value::Array(all.collect()));
            std::process::exit(0);
        }
        let Some(target) = target(&name) else {
            let names: Vec<&str> = targets::ALL.iter().map(|target| target.name).collect();
            eprintln!("LARDER_FUZZ_TARGET names no target: it is one of {}", names.join(", "));
            std::process::exit(2);
        };
        let _ = TARGET.set(target);
        targets::tell_covered(covered);
    },
    |data: &[u8]| {
        if let Some(target) = TARGET.get() {
            (target.run)(data);
        }
    }
);
