//! What an audit has found.

use std::fmt::Write as _;

use serde::Serialize;

use crate::paint::Paint;

/// What an audit has found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// What was looked at: `12 operations`, `4000 requests`.
    pub looked_at: String,
    pub findings: Vec<Finding>,
    /// What could not be looked at.
    pub notes: Vec<String>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub kind: Kind,
    /// `GET /v1/products/{id}`.
    pub endpoint: String,
    /// The route that it is under.
    pub route: Option<String>,
    /// Requests that it is about, where there is a log.
    pub requests: Option<u64>,
    pub text: String,
}

/// What kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// No route has it.
    WithoutPolicy,
    /// Clients have nothing to revalidate with.
    WithoutValidator,
    /// Its answers are not what the policy takes them for.
    Contradiction,
    /// A route that nothing is under.
    WithoutEndpoint,
}

impl Kind {
    const ALL: [Self; 4] = [Self::WithoutPolicy, Self::WithoutValidator, Self::Contradiction, Self::WithoutEndpoint];

    const fn heading(self) -> &'static str {
        match self {
            Self::WithoutPolicy => "Endpoints without a policy",
            Self::WithoutValidator => "Endpoints whose answers have no validator",
            Self::Contradiction => "Answers that contradict their policy",
            Self::WithoutEndpoint => "Routes that nothing is under",
        }
    }
}

impl Report {
    /// Adds a finding.
    pub fn add(
        &mut self,
        kind: Kind,
        endpoint: &str,
        route: Option<&str>,
        requests: Option<u64>,
        text: impl Into<String>,
    ) {
        self.findings.push(Finding {
            kind,
            endpoint: endpoint.to_owned(),
            route: route.map(str::to_owned),
            requests,
            text: text.into(),
        });
    }

    /// For programs.
    pub fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// For people.
    pub fn text(&self, paint: Paint) -> String {
        let mut out = String::new();
        for kind in Kind::ALL {
            let of: Vec<&Finding> = self.findings.iter().filter(|finding| finding.kind == kind).collect();
            if of.is_empty() {
                continue;
            }
            let _ = writeln!(out, "{}", paint.strong(kind.heading()));
            for finding in of {
                let requests = finding.requests.map(|count| format!(", {count} requests")).unwrap_or_default();
                let route = finding.route.as_ref().filter(|_| kind != Kind::WithoutEndpoint);
                let route = route
                    .map(|route| format!(" (route {route}{requests})"))
                    .or((!requests.is_empty()).then(|| format!(" ({})", &requests[2..])));
                let _ = writeln!(
                    out,
                    "  {}{}\n    {}",
                    clean(&finding.endpoint),
                    clean(&route.unwrap_or_default()),
                    clean(&finding.text)
                );
            }
            out.push('\n');
        }
        self.notes.iter().for_each(|note| {
            let _ = writeln!(out, "{}\n", clean(note));
        });
        let _ = match self.findings.len() {
            0 => writeln!(out, "{}: {}, nothing found", paint.good("ok"), self.looked_at),
            1 => writeln!(out, "{}: {}, 1 finding", paint.bad("failed"), self.looked_at),
            count => writeln!(out, "{}: {}, {count} findings", paint.bad("failed"), self.looked_at),
        };
        out
    }
}

/// Without control characters: logs have what clients sent.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
