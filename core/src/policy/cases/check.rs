//! What only makes sense in combination: a step is one thing, a name is known before it is used.

use std::collections::BTreeSet;

use super::model::{Case, CaseFile, CaseStep, OriginAnswer};
use crate::policy::errors::{Collected, Problem, Step};
use crate::policy::spanned::{Node, Quoted};

/// What a step can be.
const KINDS: [&str; 5] = ["request", "wait", "origin", "release", "answer"];

/// Longest time that passes in a case, in milliseconds: dates in HTTP end with the year 9999.
const TIME_MAX: u64 = 100 * 365 * 86_400_000;

/// Longest time that an answer may take, in milliseconds: it may be given as often as there are steps.
const AFTER_MAX: u64 = 86_400_000;

pub(super) fn check(file: &CaseFile, root: &Node, errors: &mut Collected) {
    let mut checker = Checker { root, errors };
    for (index, answer) in file.origin.iter().flatten().enumerate() {
        checker.answer(answer, &["origin".into(), index.into()]);
    }
    let Some(cases) = &file.cases else { return };
    if cases.is_empty() {
        checker.say(&["cases".into()], Problem::expected("at least one case").found("none"));
    }
    let mut names = BTreeSet::new();
    for (index, case) in cases.iter().enumerate() {
        let path: Vec<Step> = vec!["cases".into(), index.into()];
        if let Some(name) = &case.name
            && !names.insert(&name.0)
        {
            checker.say(&under(&path, &["name"]), Problem::new("the case before has this name: two cases need two"));
        }
        checker.case(case, &path);
    }
}

struct Checker<'a> {
    root: &'a Node,
    errors: &'a mut Collected,
}

fn under(path: &[Step], parts: &[&str]) -> Vec<Step> {
    path.iter().cloned().chain(parts.iter().map(|part| Step::from(*part))).collect()
}

impl Checker<'_> {
    fn say(&mut self, path: &[Step], problem: Problem) {
        self.errors.add_at_path(self.root, path, problem);
    }

    fn case(&mut self, case: &Case, path: &[Step]) {
        for (index, answer) in case.origin.iter().flatten().enumerate() {
            let mut path = under(path, &["origin"]);
            path.push(index.into());
            self.answer(answer, &path);
        }
        let Some(steps) = &case.steps else { return };
        if steps.is_empty() {
            self.say(&under(path, &["steps"]), Problem::expected("at least one step").found("none"));
        }
        let mut running = BTreeSet::new();
        let mut passed = 0u64;
        for (index, step) in steps.iter().enumerate() {
            let mut path = under(path, &["steps"]);
            path.push(index.into());
            self.step(step, &path, &mut running);
            let before = passed;
            passed = passed.saturating_add(step.wait.map_or(0, |wait| wait.0.0));
            if before <= TIME_MAX && passed > TIME_MAX {
                self.say(&path, Problem::expected("at most 100 years in all of a case").found("more"));
            }
        }
    }

    fn step<'a>(&mut self, step: &'a CaseStep, path: &[Step], running: &mut BTreeSet<&'a str>) {
        let there = [
            step.request.is_some(),
            step.wait.is_some(),
            step.origin.is_some(),
            step.release.is_some(),
            step.answer.is_some(),
        ];
        let found: Vec<&str> = KINDS.into_iter().zip(there).filter_map(|(kind, there)| there.then_some(kind)).collect();
        let kind = match found.as_slice() {
            [kind] => *kind,
            // A kind whose value could not be read has been reported.
            [] if self.errors.is_about(|about| KINDS.iter().any(|kind| about == text(path, kind))) => return,
            [] => {
                let expected = format!("one of {}", KINDS.join(", "));
                return self.say(path, Problem::expected(expected).found("none"));
            }
            several => {
                let expected = format!("one of {}", KINDS.join(", "));
                return self.say(path, Problem::expected(expected).found(several.join(" and ")));
            }
        };
        let details = [("headers", step.headers.is_some()), ("body", step.body.is_some()), ("as", step.name.is_some())];
        for (name, _) in details.into_iter().filter(|(_, there)| *there && kind != "request") {
            self.say(&under(path, &[name]), Problem::new("this goes with a request"));
        }
        if step.expect.is_some() && !matches!(kind, "request" | "answer") {
            let what = match kind {
                "wait" => "a step that waits has none",
                "release" => "a step that releases has none",
                _ => "an answer of the origin has none",
            };
            self.say(&under(path, &["expect"]), Problem::new(format!("{what}: it goes with a request or an answer")));
        }
        if let Some(name) = &step.name {
            if step.expect.is_some() {
                let message =
                    format!("what a request called \"{0}\" gets goes with its answer: {{\"answer\": \"{0}\"}}", name.0);
                self.say(&under(path, &["expect"]), Problem::new(message));
            }
            running.insert(&name.0);
        }
        if let Some(name) = &step.answer
            && !running.contains(name.0.as_str())
        {
            let message = format!("no request before this is called {}", Quoted(&name.0));
            self.say(&under(path, &["answer"]), Problem::new(message).nearest(running.iter().next().copied()));
        }
        if let Some(answer) = &step.origin {
            self.answer(answer, &under(path, &["origin"]));
        }
    }

    fn answer(&mut self, answer: &OriginAnswer, path: &[Step]) {
        if answer.after.is_some_and(|after| after.0.0 > AFTER_MAX) {
            self.say(&under(path, &["after"]), Problem::expected("at most \"1d\"").found("more"));
        }
        if answer.fails.is_none() {
            return;
        }
        let said = [
            ("status", answer.status.is_some()),
            ("headers", answer.headers.is_some()),
            ("body", answer.body.is_some()),
        ];
        for (name, _) in said.into_iter().filter(|(_, there)| *there) {
            self.say(&under(path, &[name]), Problem::new("an origin that fails says nothing"));
        }
    }
}

fn text(path: &[Step], name: &str) -> String {
    crate::policy::errors::path_text(&under(path, &[name]))
}
