//! Asking the admin planes of nodes.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;
use ureq::Agent;

/// Beyond what the question itself waits.
const TIMEOUT: Duration = Duration::from_secs(10);

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

/// What stands at a place of an answer (RFC 6901); null where nothing does.
pub fn at<'a>(value: &'a Value, place: &str) -> &'a Value {
    const NOTHING: &Value = &Value::Null;
    value.pointer(place).unwrap_or(NOTHING)
}

impl Nodes {
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
        let mut request = self.agent.get(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = request.config().timeout_global(Some(TIMEOUT + wait)).build().call();
        self.answer(answer)
    }

    /// Sends JSON to a path.
    pub fn send(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let mut request = self.agent.post(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = request.config().timeout_global(Some(TIMEOUT)).build().send_json(body);
        self.answer(answer)
    }

    fn answer(&self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> anyhow::Result<Value> {
        let mut answer = answer.with_context(|| format!("cannot ask {}", self.url))?;
        let status = answer.status();
        let body = answer.body_mut().read_to_string().with_context(|| format!("{} broke off", self.url))?;
        let json: Option<Value> = serde_json::from_str(&body).ok();
        match json {
            Some(json) if status.is_success() => Ok(json),
            Some(json) => match json.get("detail").and_then(Value::as_str) {
                Some(detail) => bail!("{} says {status}: {detail}", self.url),
                None => bail!("{} says {status}", self.url),
            },
            None => bail!("{} says {status}, and nothing that a node says: is it the admin plane?", self.url),
        }
    }
}
