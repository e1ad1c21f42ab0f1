//! Every scenario in `scenarios/` on the core alone. `SCENARIO=freshness/` runs those whose names begin so.

use std::path::Path;
use std::sync::Arc;

use larder_core::Policy;
use larder_host_tests::scenario::{Core, Report, Shadow, Summary, in_folder, run_all};

#[test]
fn every_scenario_holds_in_the_core() {
    every_scenario_holds(&mut Core::new());
}

/// Keeps everything from everybody for as long as it can, under other keys.
const GREEDY: &str = r#"{
  "version": 1,
  "name": "greedy",
  "routes": [
    { "name": "all", "path": "/{*rest}", "comment": "in the shadow only", "override": "unsafe", "ttl": "1h",
      "status_ttl": { "4xx": "1h", "5xx": "1h" }, "key": { "query": "none" }, "etag": "strong",
      "stale": { "while_revalidate": "1h", "if_error": "1h" }, "invalidate": { "paths": ["/*"] },
      "identity": { "authorization": "ignore", "set_cookie": "keep" }, "vary": "any" }
  ]
}"#;

/// All that clients and origins get is the same, to the byte, whatever runs in the shadow.
#[test]
fn a_shadow_changes_nothing() {
    let mut plain = Core::new();
    every_scenario_holds(&mut plain);
    let greedy = Arc::new(Policy::parse(GREEDY).unwrap_or_else(|errors| panic!("{errors}")));
    for shadow in [Shadow::Same, Shadow::Policy(greedy)] {
        let mut shaded = Core::with(shadow.clone());
        every_scenario_holds(&mut shaded);
        let (plain, shaded) = (plain.told(), shaded.told());
        assert_eq!(plain.seen.len(), shaded.seen.len());
        for (plain, shaded) in plain.seen.iter().zip(&shaded.seen) {
            assert_eq!(plain, shaded);
        }
        assert_eq!(plain.counts, shaded.counts);
        assert!(shaded.shadow["larder_shadow_requests_total hit"] > 100, "{:?}", shaded.shadow);
        println!("{shadow:?}: {:?}, and in force: {:?}", shaded.shadow, shaded.counts);
    }
}

fn every_scenario_holds(core: &mut Core) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let wanted = std::env::var("SCENARIO").unwrap_or_default();
    let mut files = in_folder(&folder).expect("the folder of scenarios can be read");
    files.retain(|file| file.strip_prefix(&folder).is_ok_and(|name| name.to_string_lossy().starts_with(&wanted)));
    assert!(!files.is_empty(), "no scenario's name begins with {wanted:?}");
    let reports = match run_all(&files, core) {
        Ok(reports) => reports,
        Err(errors) => panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    };
    let summary = Summary::of(&reports);
    println!("core: {summary}");
    let failed: Vec<String> = reports.iter().filter(|report| !report.is_good()).map(Report::to_string).collect();
    assert!(failed.is_empty(), "{}\n{summary}", failed.join("\n"));
}
