//! Every scenario in `scenarios/` on the real module in the wasmtime host. `SCENARIO=freshness/` runs those whose names begin
//! so; `LARDER_WASM` names the module, else it is `larder.wasm` in cargo's target folder.

use std::path::Path;

use larder_host_tests::envoy::module_path;
use larder_host_tests::scenario::{Report, Summary, Wasmtime, in_folder, run_all};

#[test]
fn every_scenario_holds_for_the_module_in_wasmtime() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let wanted = std::env::var("SCENARIO").unwrap_or_default();
    let mut files = in_folder(&folder).expect("the folder of scenarios can be read");
    files.retain(|file| file.strip_prefix(&folder).is_ok_and(|name| name.to_string_lossy().starts_with(&wanted)));
    assert!(!files.is_empty(), "no scenario's name begins with {wanted:?}");
    let mut wasmtime = Wasmtime::new(&module_path()).expect("the module can be loaded");
    let reports = match run_all(&files, &mut wasmtime) {
        Ok(reports) => reports,
        Err(errors) => panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    };
    let summary = Summary::of(&reports);
    println!("wasmtime: {summary}");
    let failed: Vec<String> = reports.iter().filter(|report| !report.is_good()).map(Report::to_string).collect();
    assert!(failed.is_empty(), "{}\n{summary}", failed.join("\n"));
}
