//! Every scenario in `scenarios/` in the layer of larder-origin, on simulated time. `SCENARIO=freshness/` runs those whose names begin so.

use std::path::Path;

use larder_host_tests::scenario::{InOrigin, Report, Summary, in_folder, run_all};

#[test]
fn every_scenario_holds_in_the_layer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let wanted = std::env::var("SCENARIO").unwrap_or_default();
    let mut files = in_folder(&folder).expect("the folder of scenarios can be read");
    files.retain(|file| file.strip_prefix(&folder).is_ok_and(|name| name.to_string_lossy().starts_with(&wanted)));
    assert!(!files.is_empty(), "no scenario's name begins with {wanted:?}");
    let reports = match run_all(&files, &mut InOrigin::new()) {
        Ok(reports) => reports,
        Err(errors) => panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    };
    let summary = Summary::of(&reports);
    println!("origin: {summary}");
    let failed: Vec<String> = reports.iter().filter(|report| !report.is_good()).map(Report::to_string).collect();
    assert!(failed.is_empty(), "{}\n{summary}", failed.join("\n"));
}
