//! Results for programs.

use larder_host_tests::scenario::{Difference, Failure};
use serde_json::{Value, json};

use super::files::{Loaded, Unusable, Why};
use super::{Ran, RanCase, Results};
use crate::check;

/// One document about all files.
pub fn text(results: &Results) -> anyhow::Result<String> {
    let (all, failed) = (results.cases().count(), results.failed());
    let document = json!({
        "ok": failed == 0 && results.unusable.is_empty(),
        "passed": all - failed,
        "failed": failed,
        "files": results.ran.iter().map(file).collect::<Vec<_>>(),
        "unusable": results.unusable.iter().map(unusable).collect::<Vec<_>>(),
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// The cases that there are.
pub fn list(files: &[Loaded]) -> anyhow::Result<String> {
    let file = |file: &Loaded| {
        let case = |(index, name): (usize, &str)| json!({ "name": name, "line": file.cases.line_of_case(index) });
        json!({ "file": file.name, "policy": file.policy_name, "cases": file.names().map(case).collect::<Vec<_>>() })
    };
    Ok(serde_json::to_string_pretty(&files.iter().map(file).collect::<Vec<_>>())? + "\n")
}

fn file(ran: &Ran) -> Value {
    json!({ "file": ran.file, "policy": ran.policy, "cases": ran.cases.iter().map(case).collect::<Vec<_>>() })
}

fn case(case: &RanCase) -> Value {
    json!({
        "name": case.name,
        "line": case.line,
        "ok": case.failure.is_none(),
        "seconds": case.took.as_secs_f64(),
        "failure": case.failure.as_deref().map(failure),
    })
}

fn failure(failure: &Failure) -> Value {
    let difference = |difference: &Difference| {
        json!({
            "line": difference.line.unwrap_or(failure.line),
            "expected": difference.expected,
            "got": difference.found,
            "hint": difference.hint,
        })
    };
    json!({
        "line": failure.line,
        "step": failure.step,
        "differences": failure.differences.iter().map(difference).collect::<Vec<_>>(),
        "context": failure.context,
    })
}

fn unusable(file: &Unusable) -> Value {
    match &file.why {
        Why::Unread(why) => json!({ "file": file.name, "unread": why, "findings": [] }),
        Why::Errors(text, errors) => {
            json!({ "file": file.name, "unread": null, "findings": check::findings_json(text, errors) })
        }
    }
}
