//! Asking the admin planes of nodes.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use serde_json::Value;
use ureq::http::{Response, StatusCode};
use ureq::typestate::WithoutBody;
use ureq::{Agent, Body, RequestBuilder};

/// Beyond what the question itself waits.
const TIMEOUT: Duration = Duration::from_secs(10);

type Answer = Result<Response<Body>, ureq::Error>;

/// Which nodes are asked, and with which token.
#[derive(Clone, Debug, Args)]
pub struct Nodes {
    /// The admin plane of a node; several where they do not share a purge log
    #[arg(
        long = "node",
        value_name = "URL",
        env = "LARDER_NODE",
        default_value = "http://127.0.0.1:9902",
        value_delimiter = ','
    )]
    nodes: Vec<String>,

    /// A file that holds the token; otherwise the variable LARDER_TOKEN, where it is set
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// A node that can be asked.
pub struct Asker {
    /// Its URL.
    pub url: String,
    agent: Agent,
    token: Option<String>,
}

/// A node's answer that says no.
#[derive(Debug)]
pub struct Refused {
    /// The node.
    pub url: String,
    status: StatusCode,
    /// Problem details (RFC 9457).
    pub problem: Value,
}

impl std::error::Error for Refused {}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} says {}", self.url, self.status)?;
        match self.problem.get("detail").and_then(Value::as_str) {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

/// What stands at a place of an answer (RFC 6901); null where nothing does.
pub fn at<'a>(value: &'a Value, place: &str) -> &'a Value {
    const NOTHING: &Value = &Value::Null;
    value.pointer(place).unwrap_or(NOTHING)
}

impl Nodes {
    /// The first node: for questions that all of them answer alike.
    pub fn first(&self) -> anyhow::Result<Asker> {
        self.askers()?.into_iter().next().context("--node names no node")
    }

    /// The nodes.
    pub fn askers(&self) -> anyhow::Result<Vec<Asker>> {
        let token = match &self.token_file {
            Some(file) => {
                let text = std::fs::read_to_string(file);
                let text = text.with_context(|| format!("cannot read the token in {}", file.display()))?;
                Some(text.trim().to_owned())
            }
            None => std::env::var("LARDER_TOKEN").ok().filter(|token| !token.is_empty()),
        };
        let agent: Agent = Agent::config_builder().http_status_as_error(false).build().into();
        let asker = |url: &String| {
            let url = url.trim_end_matches('/').to_owned();
            if !url.starts_with("http://") {
                bail!("--node {url}: write http://host:port (the admin plane speaks HTTP without TLS)");
            }
            Ok(Asker { url, agent: agent.clone(), token: token.clone() })
        };
        self.nodes.iter().map(asker).collect()
    }
}

impl Asker {
    /// Reads what is at a path. The node may take `wait` to answer.
    pub fn read(&self, path: &str, wait: Duration) -> anyhow::Result<Value> {
        self.answer(self.without_body(self.agent.get(self.at(path)), wait))
    }

    /// Reads the text at a path, as it is.
    pub fn read_text(&self, path: &str) -> anyhow::Result<String> {
        let (status, body) = self.received(self.without_body(self.agent.get(self.at(path)), Duration::ZERO))?;
        if status.is_success() { Ok(body) } else { Err(self.refused(status, &body)) }
    }

    /// Asks for what is at a path to go.
    pub fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.answer(self.without_body(self.agent.delete(self.at(path)), Duration::ZERO))
    }

    /// Sends JSON to a path.
    pub fn send(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send_text(path, &body.to_string())
    }

    /// Sends a text that is JSON to a path.
    pub fn send_text(&self, path: &str, body: &str) -> anyhow::Result<Value> {
        let request = self.authorized(self.agent.post(self.at(path))).content_type("application/json");
        self.answer(request.config().timeout_global(Some(TIMEOUT)).build().send(body))
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn authorized<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn without_body(&self, request: RequestBuilder<WithoutBody>, wait: Duration) -> Answer {
        self.authorized(request).config().timeout_global(Some(TIMEOUT + wait)).build().call()
    }

    fn received(&self, answer: Answer) -> anyhow::Result<(StatusCode, String)> {
        let mut answer = answer.with_context(|| format!("cannot ask {}", self.url))?;
        let body = answer.body_mut().read_to_string().with_context(|| format!("{} broke off", self.url))?;
        Ok((answer.status(), body))
    }

    fn answer(&self, answer: Answer) -> anyhow::Result<Value> {
        let (status, body) = self.received(answer)?;
        match serde_json::from_str(&body) {
            Ok(json) if status.is_success() => Ok(json),
            _ => Err(self.refused(status, &body)),
        }
    }

    fn refused(&self, status: StatusCode, body: &str) -> anyhow::Error {
        let url = self.url.clone();
        match serde_json::from_str(body) {
            Ok(problem) => Refused { url, status, problem }.into(),
            Err(_) => anyhow!("{url} says {status}, and nothing that a node says: is it the admin plane?"),
        }
    }
}
