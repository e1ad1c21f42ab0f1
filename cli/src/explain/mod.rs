//! `larder explain`: why a request is answered as it is, and what would change that.

mod json;
mod message;
mod show;

use std::time::SystemTime;

use anyhow::{Context, bail};
use clap::Args;
use larder_core::explain::{Question, explain};
use larder_core::field::date;
use larder_core::{ResponseHead, Timestamp};

use crate::End;
use crate::input::{self, Source};
use crate::paint::{Paint, say};

/// Options of `larder explain`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without --response and --status the origin is taken to answer 200 without any field about caching."
)]
pub struct Options {
    /// The request's method
    #[arg(value_name = "METHOD")]
    method: String,

    /// The request's URL
    #[arg(value_name = "URL")]
    url: String,

    /// The policy; - is standard input
    #[arg(long, short, value_name = "FILE")]
    policy: Source,

    /// A request field
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = message::field)]
    headers: Vec<(String, Vec<u8>)>,

    /// The request has a body
    #[arg(long)]
    has_body: bool,

    /// The origin's response with its head, as `curl -i` prints it; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["status", "response_headers", "response_bytes"])]
    response: Option<Source>,

    /// The response's status
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(100..600))]
    status: Option<u16>,

    /// A response field
    #[arg(long = "response-header", value_name = "NAME: VALUE", value_parser = message::field)]
    response_headers: Vec<(String, Vec<u8>)>,

    /// The length of the response's body
    #[arg(long, value_name = "BYTES", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1 << 28))]
    response_bytes: u32,

    /// When the request comes: seconds since 1970 or an HTTP date; now, if left out
    #[arg(long, value_name = "TIME")]
    at: Option<String>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Explains.
pub fn run(options: &Options) -> anyhow::Result<End> {
    if options.policy == Source::Stdin && options.response == Some(Source::Stdin) {
        bail!("standard input is either the policy or the response");
    }
    let policy = crate::policy::read(&options.policy)?;
    let request = message::request(&options.method, &options.url, &options.headers, options.has_body)?;
    let (response, body) = response(options)?;
    let assumed = options.response.is_none() && options.status.is_none() && options.response_headers.is_empty();
    let now = now(options.at.as_deref())?;
    let question = Question { policy: &policy, now, request, response, body: &body };
    let explanation = explain(&question);
    if options.json {
        say(&json::text(&question, &explanation, assumed)?)?;
    } else {
        say(&show::text(&question, &explanation, assumed, Paint::of_stdout()))?;
    }
    if !explanation.agrees {
        eprintln!(
            "larder: the steps and the exchange contradict each other. This is an error of Larder: please report it"
        );
        return Ok(End::Failed);
    }
    Ok(End::Done)
}

fn response(options: &Options) -> anyhow::Result<(ResponseHead, Vec<u8>)> {
    if let Some(source) = &options.response {
        let bytes = input::read_bytes(source)?;
        return message::response(&bytes).with_context(|| format!("{source} is no HTTP response"));
    }
    let body = vec![b'x'; options.response_bytes as usize];
    let fields = message::fields(&options.response_headers);
    let status = options.status.unwrap_or(200);
    Ok((ResponseHead { status, fields, ends: false, ..ResponseHead::default() }, body))
}

fn now(at: Option<&str>) -> anyhow::Result<Timestamp> {
    let here = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let here = Timestamp(u64::try_from(here.as_millis()).unwrap_or(u64::MAX));
    let Some(at) = at else { return Ok(here) };
    if let Ok(seconds) = at.parse() {
        return Ok(Timestamp::from_secs(seconds));
    }
    date::parse(at.as_bytes(), here).with_context(|| format!("{at:?} is neither a number of seconds nor an HTTP date"))
}
