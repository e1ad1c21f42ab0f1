//! Test cases of a policy: JSON files beside it that say what clients ask for, what the origin answers, how time passes, and what
//! must come of it.
//!
//! Reads and checks the files, with the policy's own reader: every error of a file at once, each with line, column and path.
//! Runs nothing: `larder test` hands the cases to the real module.

mod check;
mod model;
mod values;

pub use model::*;
pub use values::*;

use super::decode::{Cx, Decode};
use super::errors::{Step as PathStep, locate};
use super::spanned::Node;
use super::{PolicyErrors, root};

/// A file of test cases, and where in it everything stands.
#[derive(Clone, Debug)]
pub struct Cases {
    /// What the file says.
    pub file: CaseFile,
    root: Node,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl Cases {
    /// Reads a file. Everything that is wrong with it is reported at once.
    ///
    /// # Errors
    /// What is wrong with it; never empty.
    pub fn parse(text: &str) -> Result<Self, PolicyErrors> {
        let root = root(text, "a file of test cases")?;
        let mut cx = Cx::without_policy_hints();
        let file = CaseFile::decode(&root, &mut cx);
        let mut errors = cx.errors;
        let file = file.unwrap_or_default();
        check::check(&file, &root, &mut errors);
        if !errors.is_empty() {
            return Err(errors.placed(text));
        }
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Ok(Self { file, root, lines })
    }

    /// The line, from 1, of a case (index in `cases`).
    pub fn line_of_case(&self, case: usize) -> usize {
        self.line(&["cases".into(), case.into()])
    }

    /// The line, from 1, of something in a step: `["expect", "headers", "etag"]`, or of the deepest part of that which is there.
    pub fn line_in_step(&self, case: usize, step: usize, part: &[&str]) -> usize {
        let mut path: Vec<PathStep> = vec!["cases".into(), case.into(), "steps".into(), step.into()];
        path.extend(part.iter().map(|name| PathStep::from(*name)));
        self.line(&path)
    }

    fn line(&self, path: &[PathStep]) -> usize {
        let at = locate(&self.root, path);
        self.lines.partition_point(|begin| *begin <= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn errors(text: &str) -> String {
        Cases::parse(text).expect_err(text).in_file("t").to_string()
    }

    fn with_steps(steps: &str) -> String {
        format!(r#"{{"version":1,"policy":"p.json","cases":[{{"name":"c","steps":[{steps}]}}]}}"#)
    }

    #[test]
    fn a_file_is_read_with_the_lines_of_its_parts() {
        let text = r#"{
  "version": 1,
  "policy": "p.json",
  "cases": [
    { "name": "one",
      "origin": [{ "request": "GET /a", "headers": { "Set-Cookie": ["a=1", "b=2"] }, "body": { "bytes": 3 } }],
      "steps": [
        { "request": "GET /a",
          "expect": { "status": 200, "headers": { "age": 3, "etag": { "save": "tag" }, "vary": false },
                      "cache": { "hit": true, "ttl": -3 }, "origin": { "requests": 1, "headers": { "x": "{tag}" } } } },
        { "wait": "1h30m" }
      ] }
  ]
}
"#;
        let cases = Cases::parse(text).unwrap();
        assert_eq!(cases.line_of_case(0), 5);
        assert_eq!(cases.line_in_step(0, 0, &["expect", "cache", "hit"]), 10);
        assert_eq!(cases.line_in_step(0, 1, &["expect"]), 11);
        let case = &cases.file.cases.as_ref().unwrap()[0];
        let lines = &case.origin.as_ref().unwrap()[0].headers.as_ref().unwrap().0[0];
        assert_eq!((lines.0.0.as_str(), lines.1.0.len()), ("set-cookie", 2));
        // What is written reads back as the same.
        let written = serde_json::to_string(&cases.file).unwrap();
        assert_eq!(Cases::parse(&written).unwrap().file, cases.file);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, want) in [
            ("{", "t:1:2: this is not JSON: expected"),
            (r#"{"version":1,"policy":"p","cases":[]}"#, "t:1:35: cases: expected at least one case, found none"),
            (r#"{"version":1,"policy":"p","cases":[],"bse":"http://a"}"#, "did you mean \"base\"?"),
            (&with_steps(""), "cases[0].steps: expected at least one step, found none"),
            (
                &with_steps("{}"),
                "cases[0].steps[0]: expected one of request, wait, origin, release, answer, found none",
            ),
            (&with_steps(r#"{"request":"GET /a","wait":"1s"}"#), "found request and wait"),
            (&with_steps(r#"{"request":"get /a"}"#), "steps[0].request: expected a method and a path or URL"),
            (&with_steps(r#"{"wait":"1s","expect":{}}"#), "steps[0].expect: a step that waits has none"),
            (&with_steps(r#"{"request":"GET /a","as":"A","expect":{}}"#), "goes with its answer"),
            (&with_steps(r#"{"answer":"A"}"#), "steps[0].answer: no request before this is called \"A\""),
            (
                &with_steps(r#"{"request":"GET /a","expect":{"cache":{"fwd":"miss-uri"}}}"#),
                "expect.cache.fwd: expected \"bypass\" or",
            ),
            (
                &with_steps(r#"{"request":"GET /a","expect":{"headers":{"a b":true}}}"#),
                "expected the name of a header field",
            ),
            (
                &with_steps(r#"{"request":"GET /a","expect":{"status":20}}"#),
                "expected a status such as 200, or \"closed\"",
            ),
            (
                &with_steps(r#"{"origin":{"request":"GET /a","fails":"reset","status":200}}"#),
                "origin.status: an origin that fails says nothing",
            ),
            (
                &with_steps(r#"{"wait":"24855d"},{"wait":"24855d"}"#),
                "steps[1]: expected at most 100 years in all of a case",
            ),
            (&with_steps(r#"{"request":"GET /a","ttl":"1s"}"#), "steps[0].ttl: unknown field \"ttl\""),
        ] {
            let got = errors(text);
            assert!(got.contains(want), "{text}\nwant {want}\ngot  {got}");
        }
        let twice = with_steps(r#"{"wait":"1s"}"#)
            .replace(r#"{"name":"c""#, r#"{"name":"c","steps":[{"wait":"1s"}]},{"name":"c""#);
        assert!(errors(&twice).contains("cases[1].name: the case before has this name"), "{}", errors(&twice));
    }
}
