//! The simulated world: the same in every run, and what it once found stays mended. `cargo xtask sim` runs it for many seeds.

use std::fs;
use std::path::Path;

use larder_host_tests::envoy::module_path;
use larder_host_tests::host::Plugin;
use larder_host_tests::sim::{Plan, Report, run};

fn plugin() -> Plugin {
    Plugin::from_file(module_path()).expect("the module can be loaded")
}

fn ran(plan: &Plan, tell: bool) -> Report {
    run(&plugin(), plan, tell).expect("the world begins")
}

#[test]
fn a_seed_is_the_same_world_every_time() {
    for seed in [5, 29, 47] {
        let (one, two) = (ran(&Plan::draw(seed), true), ran(&Plan::draw(seed), true));
        assert_eq!(one.violation, None, "seed {seed}");
        assert!(one.trace.len() > 50, "seed {seed}");
        let differs = one.trace.iter().zip(&two.trace).find(|(one, two)| one != two);
        assert_eq!((differs, one.trace.len()), (None, two.trace.len()), "seed {seed}");
    }
}

#[test]
fn some_worlds_hold_what_is_promised() {
    let (mut answered, mut hits, mut messages) = (0, 0, 0);
    let (mut rerouted, mut policed, mut vms) = (0, 0, 0);
    for seed in 1..=60 {
        let report = ran(&Plan::draw(seed), false);
        assert_eq!(report.violation, None, "seed {seed}: larder-sim --seed {seed} tells more");
        answered += report.answered;
        hits += report.hits;
        messages += report.messages;
        rerouted += report.rerouted;
        policed += report.policed;
        vms += report.vms;
    }
    // A world in which nothing is cached, or nobody asks a node, proves nothing.
    assert!(answered > 3_000 && hits > 800 && messages > 5_000, "{answered} {hits} {messages}");
    assert!(rerouted > 50 && policed > 200 && vms > 10, "{rerouted} {policed} {vms}");
}

#[test]
fn plans_that_failed_once_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
    let mut plans = 0;
    for file in fs::read_dir(folder).expect("the folder") {
        let file = file.expect("a file").path();
        let text = fs::read_to_string(&file).expect("a plan");
        let plan: Plan = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert_eq!(ran(&plan, false).violation, None, "larder-sim --plan {}", file.display());
        plans += 1;
    }
    assert!(plans >= 2);
}
