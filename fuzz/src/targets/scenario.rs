//! Scenario files: any text is a scenario or an error with its line.

use std::path::Path;

use larder_host_tests::scenario::{model::Action, parse};

/// A file's text.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Policies are files beside it, and texts within it; here there are none of the former.
    let path = Path::new("nowhere/topic/name.scn");
    let lines = text.lines().count().max(1);
    match parse(path, text) {
        Err(error) => {
            assert!((1..=lines).contains(&error.line), "{error}");
            assert!(!error.message.is_empty());
        }
        Ok(scenario) => {
            assert_eq!(scenario.name, "topic/name");
            assert!(!scenario.title.is_empty() && matches!(scenario.steps[0].action, Action::Policy(_)));
            let mut before = 0;
            for step in &scenario.steps {
                assert!(step.line > before && step.line <= lines, "in the order of lines");
                before = step.line;
            }
            // Blank lines and comments say nothing.
            let other = text.lines().flat_map(|line| ["# a comment", "", line]).collect::<Vec<_>>().join("\n");
            let again = parse(path, &other).expect("a scenario with comments");
            let said = |scenario: larder_host_tests::scenario::model::Scenario| {
                scenario.steps.into_iter().map(|step| step.text).collect::<Vec<_>>()
            };
            assert_eq!(said(again), said(scenario));
        }
    }
}
