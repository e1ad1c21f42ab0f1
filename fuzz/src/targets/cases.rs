//! Files of test cases for policies: as policies, and each case becomes a scenario.

use std::path::Path;

use larder_core::policy::cases::Cases;
use larder_host_tests::scenario::cases::scenario;

use super::policy::assert_placed;

/// A file's text.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Cases::parse(text) {
        Err(errors) => assert_placed(text, &errors),
        Ok(cases) => {
            let lines = text.split('\n').count();
            let all = cases.file.cases.as_deref().unwrap_or_default();
            for (index, case) in all.iter().enumerate() {
                assert!((1..=lines).contains(&cases.line_of_case(index)));
                let scenario = scenario(&cases, index, "{}", Path::new("policies/x.test.json"));
                let scenario = scenario.expect("there is such a case");
                let steps = case.steps.as_ref().map_or(0, Vec::len);
                assert!(scenario.steps.len() > steps, "each step does something, and so does the policy");
                assert!(scenario.steps.iter().all(|step| (1..=lines).contains(&step.line)));
            }
            assert!(scenario(&cases, all.len(), "{}", Path::new("x")).is_none());
        }
    }
}
