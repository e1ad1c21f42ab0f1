//! Test cases of a policy (`larder_core::policy::cases`) as scenarios: the same engine runs both.
//!
//! Translates, and decides nothing: what a file may say is core's, how a step runs is `run`'s.

use std::path::Path;
use std::time::Duration;

use larder_core::policy::Named;
use larder_core::policy::cases::{
    self, BodySpec, CacheExpect, Case, CaseFile, CaseStep, Cases, Expect, FieldLines, FieldTest, OriginAnswer,
    OriginFailure, OriginTest, StatusTest,
};
use larder_core::policy::model::{FieldName, FieldValue, Wait};

use super::model::{
    Action, Answer, Asked, Asks, Body, Check, Expected, Hold, Line, Reaction, Request, Scenario, Step, Test,
};

/// Where requests go that name no host.
const BASE: &str = "http://api.test";

/// A case (index in the file's `cases`) as a scenario under a policy's text; `None` where there is no such case. `path` is the file
/// that reports name.
pub fn scenario(cases: &Cases, index: usize, policy: &str, path: &Path) -> Option<Scenario> {
    let case = cases.file.cases.as_ref()?.get(index)?;
    let base = cases.file.base.as_ref().map_or(BASE, |base| base.0.as_str());
    let title = case.name.as_ref().map(|name| name.0.clone()).unwrap_or_default();
    let line = cases.line_of_case(index);
    let step = |action| Step { line, text: format!("cases[{index}]"), action };
    let mut steps = vec![step(Action::Policy(policy.to_owned()))];
    steps.extend(answers(&cases.file, case).map(|answer| step(Action::Origin(answer))));
    for (at, each) in case.steps.iter().flatten().enumerate() {
        let place = Place { cases, case: index, step: at, base };
        steps.extend(place.steps(each));
    }
    let host = base.split_once("://").map(|(_, host)| host.to_owned());
    Some(Scenario { path: path.to_owned(), name: format!("case-{index}"), title, only: None, host, steps })
}

/// The case's own answers, and those of the file to what the case has none for.
fn answers(file: &CaseFile, case: &Case) -> impl Iterator<Item = Answer> {
    let own = case.origin.as_deref().unwrap_or_default();
    let is_own = |shared: &&OriginAnswer| !own.iter().any(|answer| answer.request == shared.request);
    file.origin.iter().flatten().filter(is_own).chain(own).map(answer).collect::<Vec<_>>().into_iter()
}

/// Where in the file a step is.
struct Place<'a> {
    cases: &'a Cases,
    case: usize,
    step: usize,
    base: &'a str,
}

impl Place<'_> {
    fn line(&self, part: &[&str]) -> usize {
        self.cases.line_in_step(self.case, self.step, part)
    }

    /// The scenario's steps for one of the case; two for a request of which something is expected.
    fn steps(&self, step: &CaseStep) -> Vec<Step> {
        let expect = |label| step.expect.as_ref().map(|expect| self.expect(label, expect));
        let actions: Vec<Action> = if let Some(asked) = &step.request {
            let request = Action::Request {
                label: step.name.as_ref().map(|name| name.0.clone()),
                request: Request {
                    asked: self.absolute(asked),
                    fields: lines(step.headers.as_ref()),
                    body: step.body.as_ref().map(body),
                    chunked: false,
                },
            };
            std::iter::once(request).chain(expect(None)).collect()
        } else if let Some(Wait(span)) = step.wait {
            vec![Action::Wait(Duration::from_millis(span.0))]
        } else if let Some(origin) = &step.origin {
            vec![Action::Origin(answer(origin))]
        } else if let Some(asked) = &step.release {
            vec![Action::Release(Some(asked_of(asked)))]
        } else if let Some(label) = &step.answer {
            let all = Expect::default();
            vec![self.expect(Some(label.0.clone()), step.expect.as_ref().unwrap_or(&all))]
        } else {
            Vec::new()
        };
        let text = format!("cases[{}].steps[{}]: {}", self.case, self.step, told(step));
        let line = self.line(&[]);
        actions.into_iter().map(|action| Step { line, text: text.clone(), action }).collect()
    }

    fn absolute(&self, asked: &cases::Asked) -> Asked {
        let mut asked = asked_of(asked);
        if asked.target.starts_with('/') {
            asked.target.insert_str(0, self.base);
        }
        asked
    }

    fn expect(&self, label: Option<String>, expect: &Expect) -> Action {
        let mut checks = expect.cache.as_ref().map(|cache| self.cache(cache)).unwrap_or_default();
        checks.extend(self.checks(expect.headers.as_ref(), &["expect", "headers"]));
        let status = expect.status.map(|status| match status {
            StatusTest::Is(status) => Some(status),
            StatusTest::Closed => None,
        });
        let expected = Expected {
            status,
            checks,
            body: expect.body.as_ref().map(body),
            trailers: Vec::new(),
            interim: Vec::new(),
            cut: false,
            origin: expect.origin.as_ref().map(|origin| self.asks(origin)),
        };
        Action::Expect { label, expected }
    }

    fn asks(&self, origin: &OriginTest) -> Asks {
        let asks = Asks { requests: None, asked: None, checks: Vec::new(), body: None };
        match origin {
            OriginTest::Asked(true) => asks,
            OriginTest::Asked(false) => Asks { requests: Some(0), ..asks },
            OriginTest::Like(like) => Asks {
                requests: like.requests.map(|count| count.0 as usize),
                asked: like.request.as_ref().map(asked_of),
                checks: self.checks(like.headers.as_ref(), &["expect", "origin", "headers"]),
                body: like.body.as_ref().map(body),
            },
        }
    }

    fn checks(&self, fields: Option<&Named<FieldName, FieldTest>>, at: &[&str]) -> Vec<Check> {
        let mut checks = Vec::new();
        for (name, test) in fields.into_iter().flat_map(|fields| &fields.0) {
            let line = self.line(&[at, &[name.0.as_str()]].concat());
            let tests = match test {
                FieldTest::There(true) => vec![Test::Present],
                FieldTest::There(false) => vec![Test::Absent],
                FieldTest::Number(number) => vec![Test::Is(number.0.to_string())],
                FieldTest::Is(value) => vec![Test::Is(value.0.clone())],
                FieldTest::More(more) => {
                    let is = more.is.iter().map(|value| Test::Is(value.0.clone()));
                    let has = more.has.iter().flatten().map(|part| Test::Has(part.0.clone()));
                    let has_not = more.has_not.iter().flatten().map(|part| Test::HasNot(part.0.clone()));
                    let save = more.save.iter().map(|label| Test::Remember(label.0.clone()));
                    is.chain(has).chain(has_not).chain(save).collect()
                }
            };
            checks.extend(tests.into_iter().map(|test| Check { line, name: name.0.clone(), test }));
        }
        checks
    }

    fn cache(&self, cache: &CacheExpect) -> Vec<Check> {
        let flag = |name: &'static str, value: Option<bool>| {
            let test = |there| if there { Test::Has(name.to_owned()) } else { Test::HasNot(name.to_owned()) };
            value.map(|there| (name, test(there)))
        };
        let part = |name: &'static str, key: &str, value: Option<String>| {
            value.map(|value| (name, Test::Has(format!("{key}={value}"))))
        };
        let told = [
            flag("hit", cache.hit),
            part("fwd", "fwd", cache.fwd.map(|fwd| fwd.word().to_owned())),
            part("fwd_status", "fwd-status", cache.fwd_status.map(|status| status.0.to_string())),
            flag("stored", cache.stored),
            flag("collapsed", cache.collapsed),
            part("ttl", "ttl", cache.ttl.map(|ttl| ttl.0.to_string())),
            part("detail", "detail", cache.detail.as_ref().map(|detail| detail.0.clone())),
        ];
        let check = |(part, test)| {
            let line = self.line(&["expect", "cache", part]);
            Check { line, name: "cache-status".to_owned(), test }
        };
        told.into_iter().flatten().map(check).collect()
    }
}

/// A step for those who read a report.
fn told(step: &CaseStep) -> String {
    let of = |asked: &cases::Asked| format!("{} {}", asked.method, asked.target);
    if let Some(asked) = &step.request {
        of(asked)
    } else if let Some(Wait(span)) = step.wait {
        format!("wait {} ms", span.0)
    } else if let Some(origin) = &step.origin {
        format!("origin {}", origin.request.as_ref().map(of).unwrap_or_default())
    } else if let Some(asked) = &step.release {
        format!("release {}", of(asked))
    } else {
        format!("answer {}", step.answer.as_ref().map(|label| label.0.as_str()).unwrap_or_default())
    }
}

fn asked_of(asked: &cases::Asked) -> Asked {
    Asked { method: asked.method.clone(), target: asked.target.clone() }
}

fn body(spec: &BodySpec) -> Body {
    match spec {
        BodySpec::Text(text) => Body::Text(text.clone()),
        BodySpec::Bytes(bytes) => Body::Bytes(bytes.bytes.map_or(0, |count| count.0 as usize)),
    }
}

fn lines(fields: Option<&Named<FieldName, FieldLines>>) -> Vec<Line> {
    let all = fields.into_iter().flat_map(|fields| &fields.0);
    let line = |name: &FieldName, value: &FieldValue| Line { name: name.0.clone(), value: value.0.clone() };
    all.flat_map(|(name, lines)| lines.0.iter().map(move |value| line(name, value))).collect()
}

fn answer(answer: &OriginAnswer) -> Answer {
    let asked = answer.request.as_ref().map(asked_of).unwrap_or(Asked { method: String::new(), target: String::new() });
    let reaction = match answer.fails {
        None => Reaction::Respond(answer.status.map_or(200, |status| status.0)),
        Some(OriginFailure::Refused) => Reaction::Refuse,
        Some(OriginFailure::Reset) => Reaction::Reset,
        Some(OriginFailure::Silence) => Reaction::Silence,
    };
    Answer {
        fields: lines(answer.headers.as_ref()),
        body: answer.body.as_ref().map_or(Body::None, body),
        hold: if answer.held == Some(true) { Hold::All } else { Hold::Nothing },
        after: answer.after.map_or(Duration::ZERO, |Wait(span)| Duration::from_millis(span.0)),
        ..Answer::new(asked, reaction)
    }
}
