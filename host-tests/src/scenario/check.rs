//! Compares what came with what a scenario expects. Only what the scenario names is compared.

use std::collections::BTreeMap;
use std::time::Duration;

use super::executor::{Lines, Received, SentRequest};
use super::model::{Asks, Body, Check, Expected, Test};
use super::text::{Scope, evened, expand, joined};

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Line in the file; the step's own where the line has none.
    pub line: Option<usize>,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
    /// What may be meant or looked at.
    pub hint: Option<String>,
}

impl Difference {
    pub(super) fn new(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { line: None, expected: expected.into(), found: found.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// What a comparison takes into account.
#[derive(Debug)]
pub(super) struct Comparison<'a> {
    pub scope: Scope<'a>,
    pub tolerance: Duration,
    /// Values to be remembered.
    pub remembered: BTreeMap<String, String>,
    pub differences: Vec<Difference>,
}

impl Comparison<'_> {
    pub(super) fn answer(&mut self, expected: &Expected, found: &Received) {
        let status = |status: Option<u16>| status.map_or("closed without an answer".to_owned(), |s| s.to_string());
        let got = (found.status != 0).then_some(found.status);
        if let Some(wanted) = expected.status
            && wanted != got
        {
            self.differences
                .push(Difference::new(format!("status {}", status(wanted)), format!("status {}", status(got))));
        }
        self.fields(&expected.checks, &found.fields);
        if let Some(body) = &expected.body {
            self.body(body, &found.body);
        }
        self.fields(&expected.trailers, &found.trailers);
        for (code, check) in &expected.interim {
            match found.interim.iter().find(|(status, _)| status == code) {
                Some((_, fields)) => self.fields(std::slice::from_ref(check), fields),
                None => {
                    let codes: Vec<String> = found.interim.iter().map(|(status, _)| status.to_string()).collect();
                    let difference = Difference::new(format!("a {code} before the answer"), format!("{codes:?}"));
                    self.differences.push(Difference { line: Some(check.line), ..difference });
                }
            }
        }
        let told = |cut| if cut { "the connection breaks off before the end" } else { "a complete answer" };
        if expected.cut != found.cut {
            self.differences.push(Difference::new(told(expected.cut), told(found.cut)));
        }
    }

    /// What reached the origin, the last request of which is `last`.
    pub(super) fn asks(&mut self, expected: &Asks, found: usize, last: Option<&SentRequest>, is_asked: bool) {
        let told = |count: usize| match count {
            0 => "no request at the origin".to_owned(),
            1 => "1 request at the origin".to_owned(),
            count => format!("{count} requests at the origin"),
        };
        match expected.requests {
            Some(count) if count != found => {
                return self.differences.push(Difference::new(told(count), told(found)));
            }
            None if found == 0 => {
                return self.differences.push(Difference::new("a request at the origin", told(0)));
            }
            _ => {}
        }
        let Some(last) = last else { return };
        if let Some(asked) = expected.asked.as_ref().filter(|_| !is_asked) {
            let expected = format!("{} {} at the origin", asked.method, asked.target);
            self.differences.push(Difference::new(expected, format!("{} {}", last.method, last.target)));
        }
        let before = self.differences.len();
        self.request(&expected.checks, expected.body.as_ref(), last);
        for difference in self.differences.iter_mut().skip(before) {
            difference.expected.push_str(" at the origin");
        }
    }

    pub(super) fn request(&mut self, checks: &[Check], body: Option<&Body>, found: &SentRequest) {
        self.fields(checks, &found.fields);
        if let Some(body) = body {
            self.body(body, found.body.as_deref().unwrap_or_default());
        }
    }

    fn body(&mut self, expected: &Body, found: &[u8]) {
        let expected = expected.bytes();
        if expected != found {
            self.differences
                .push(Difference::new(format!("body {}", shown(&expected)), format!("body {}", shown(found))));
        }
    }

    fn fields(&mut self, checks: &[Check], fields: &Lines) {
        for check in checks {
            let values = || fields.iter().filter(|(name, _)| *name == check.name).map(|(_, value)| value.as_slice());
            let found = values().next().is_some().then(|| joined(values()));
            match self.field(check, found.as_deref()) {
                Ok(None) => {}
                Ok(Some(difference)) => {
                    let hint = difference.hint.clone().or_else(|| similar(&check.name, fields));
                    self.differences.push(Difference { line: Some(check.line), hint, ..difference });
                }
                Err(message) => {
                    let difference = Difference::new(message, "");
                    self.differences.push(Difference { line: Some(check.line), ..difference });
                }
            }
        }
    }

    fn field(&mut self, check: &Check, found: Option<&str>) -> Result<Option<Difference>, String> {
        let name = &check.name;
        let told = found.map_or_else(|| format!("no {name}"), |value| format!("{name}: {value}"));
        let differs = |expected: String| Some(Difference::new(expected, told.clone()));
        Ok(match &check.test {
            Test::Absent if found.is_some() => differs(format!("no {name}")),
            Test::Present if found.is_none() => differs(format!("a field {name}")),
            Test::Absent | Test::Present => None,
            Test::Is(text) => {
                let want = evened(&expand(text, &self.scope)?);
                let same = found.is_some_and(|value| value == want || self.same_time(text, &want, value));
                if same { None } else { differs(format!("{name}: {want}")) }
            }
            Test::Has(text) | Test::HasNot(text) => {
                let want = expand(text, &self.scope)?;
                let has = found.is_some_and(|value| parts(value).any(|part| part.eq_ignore_ascii_case(want.trim())));
                let wanted = matches!(check.test, Test::Has(_));
                let not = if wanted { "" } else { "no " };
                if has == wanted { None } else { differs(format!("{name} with {not}part `{want}`")) }
            }
            Test::Remember(memory) => match found {
                Some(value) => {
                    self.remembered.insert(memory.clone(), value.to_owned());
                    None
                }
                None => differs(format!("a field {name}, to be remembered as {memory}")),
            },
        })
    }

    /// Where real time goes on between two readings of the clock, times near one another count as one.
    fn same_time(&self, written: &str, want: &str, found: &str) -> bool {
        if self.tolerance.is_zero() || !written.contains("{now") {
            return false;
        }
        match (httpdate::parse_http_date(want), httpdate::parse_http_date(found)) {
            (Ok(want), Ok(found)) => {
                let apart = want.duration_since(found).or_else(|_| found.duration_since(want));
                apart.is_ok_and(|apart| apart <= self.tolerance)
            }
            _ => false,
        }
    }
}

/// The parts of a value between commas and semicolons.
fn parts(value: &str) -> impl Iterator<Item = &str> {
    value.split([',', ';']).map(str::trim)
}

/// A field of a name that is nearly the same.
fn similar(name: &str, fields: &Lines) -> Option<String> {
    let close = |other: &str| other != name && (other.contains(name) || name.contains(other)) && other.len() > 3;
    fields.iter().find(|(other, _)| close(other)).map(|(other, _)| format!("there is a field {other}"))
}

/// Bytes as a reader wants to see them.
pub(super) fn shown(bytes: &[u8]) -> String {
    const SHOWN_MAX: usize = 60;
    match bytes.len() {
        0 => "of no bytes".to_owned(),
        len if len > SHOWN_MAX => {
            format!("of {len} bytes that begins with {:?}", String::from_utf8_lossy(&bytes[..SHOWN_MAX]))
        }
        _ => format!("{:?}", String::from_utf8_lossy(bytes)),
    }
}
