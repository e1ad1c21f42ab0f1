//! `larder warm`: asks for URLs through Envoy before clients do, and says what came of each.

mod openapi;
mod show;
mod sitemap;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use larder_core::Policy;
use larder_node::warming::{self, Coverage, Done, Plan, Planner, Refused, Request, Settings, Site, Via};

use crate::End;
use crate::input::{self, Source};
use crate::policy;
use crate::purge::span;

/// The most requests of one run: two whole sitemaps.
const REQUESTS_MAX: usize = 100_000;

/// Options of `larder warm`.
#[derive(Debug, Args)]
#[command(
    after_help = "Connects to nothing but --via. A URL's host becomes the Host of a request there, and only where the policy has a route \
                  for that host, or where it is --via's own or a --site. Exit code 1: something failed, or there was nothing to ask for."
)]
pub struct Options {
    /// URLs, or paths of the sites
    #[arg(value_name = "URL")]
    urls: Vec<String>,

    /// A policy: what its `warm` entries name is warmed, URLs of its routes are covered, one request for each variant that its keys list
    #[arg(long, value_name = "FILE")]
    policy: Option<Source>,

    /// A file with URLs, one a line; - is standard input
    #[arg(long = "urls", value_name = "FILE")]
    files: Vec<Source>,

    /// A sitemap, or an index of sitemaps: a file, or a URL that is fetched through --via
    #[arg(long = "sitemap", value_name = "URL|FILE")]
    sitemaps: Vec<String>,

    /// An OpenAPI document: its GET operations, with the examples that it gives for their parameters
    #[arg(long = "openapi", value_name = "FILE")]
    documents: Vec<Source>,

    /// Where all requests go: Envoy, or another proxy with the cache
    #[arg(long, value_name = "URL", env = "LARDER_VIA", default_value = "http://127.0.0.1:10000")]
    via: Via,

    /// Where paths belong, and whose URLs are covered: https://api.example.com; may be given more than once [default: --via itself]
    #[arg(long = "site", value_name = "URL")]
    sites: Vec<Site>,

    /// A field to send along
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    headers: Vec<String>,

    /// Requests at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,

    /// Requests a second: 50/s; or off
    #[arg(long, value_name = "N/s", default_value = "50/s", value_parser = rate)]
    rate: Rate,

    /// How often a request is sent again that failed, or was answered by a 5xx or 429
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=20))]
    retries: u32,

    /// How long a request may take with its whole answer
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = span)]
    timeout: Duration,

    /// Follow redirects, at most 5 in a row, to covered URLs
    #[arg(long)]
    follow_redirects: bool,

    /// Say what would be asked for, and ask for nothing
    #[arg(long)]
    dry_run: bool,

    /// Print what came of each request as JSON
    #[arg(long)]
    json: bool,
}

/// Requests a second; none is as many as can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate(pub Option<f64>);

/// What came of everything.
struct Report {
    via: Via,
    /// Requests in the order of the plan, and what came of them; nothing in a dry run.
    requests: Vec<(Arc<Request>, Option<Done>)>,
    refused: Vec<Refused>,
    refused_in_all: usize,
    /// What of documents was left out, and why.
    left_out: Vec<String>,
    took: Duration,
}

/// Warms.
pub fn run(options: &Options) -> anyhow::Result<End> {
    let policies: Vec<Arc<Policy>> = options.policy.iter().map(policy::read).collect::<anyhow::Result<_>>()?;
    let coverage = Coverage::new(policies, options.sites.clone(), &options.via);
    let settings = Settings {
        concurrency: usize::from(options.concurrency),
        rate: options.rate.0,
        retries: options.retries,
        timeout: options.timeout,
        follow_redirects: options.follow_redirects,
        ..Settings::default()
    };
    let mut left_out = Vec::new();
    let plan = plan(options, &coverage, &mut left_out)?;
    if plan.requests.is_empty() && plan.refused_in_all == 0 && left_out.is_empty() {
        bail!("there is nothing to warm: name URLs, --urls, --sitemap, --openapi, or a --policy with \"warm\" entries");
    }
    let Plan { requests, refused, refused_in_all } = plan;
    let requests: Vec<Arc<Request>> = requests.into_iter().map(Arc::new).collect();
    let began = Instant::now();
    let done = if options.dry_run { Vec::new() } else { carried_out(options, &coverage, &settings, &requests)? };
    let mut done = done.into_iter();
    let requests = requests.into_iter().map(|request| (request, done.next().flatten())).collect();
    let report =
        Report { via: options.via.clone(), requests, refused, refused_in_all, left_out, took: began.elapsed() };
    if options.json {
        report.say_json()?
    } else {
        report.say(options.dry_run)?
    }
    Ok(if report.is_good() { End::Done } else { End::Failed })
}

fn plan(options: &Options, coverage: &Coverage, left_out: &mut Vec<String>) -> anyhow::Result<Plan> {
    let mut planner = Planner::new(coverage, REQUESTS_MAX);
    for header in &options.headers {
        let (name, value) =
            header.split_once(':').with_context(|| format!("--header {header:?}: write NAME: VALUE"))?;
        planner.field(name, value).map_err(|why| anyhow::anyhow!("--header {header:?}: {why}"))?;
    }
    planner.add_policies();
    options.urls.iter().for_each(|url| planner.add_url(url));
    for file in &options.files {
        let text = input::read(file)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.for_each(|line| planner.add_url(line));
    }
    for sitemap in &options.sitemaps {
        let fetched = sitemap::Fetching { via: &options.via, coverage, timeout: options.timeout };
        sitemap::urls(sitemap, &fetched, left_out, |url| planner.add_url(url))?;
    }
    let is_credential = |header: &String| {
        let name = header.split(':').next().unwrap_or_default().trim();
        ["authorization", "cookie"].iter().any(|known| name.eq_ignore_ascii_case(known))
    };
    let has_credentials = options.headers.iter().any(is_credential);
    for document in &options.documents {
        openapi::urls(document, has_credentials, left_out, |url| planner.add_url(url))?;
    }
    Ok(planner.finish())
}

/// What came of each request, in their order.
fn carried_out(
    options: &Options,
    coverage: &Coverage,
    settings: &Settings,
    requests: &[Arc<Request>],
) -> anyhow::Result<Vec<Option<Done>>> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
    let bar = show::bar(requests.len(), options.json);
    let mut all: Vec<Option<Done>> = requests.iter().map(|_| None).collect();
    runtime.block_on(async {
        let mut way = warming::run(&options.via, coverage, settings, requests.to_vec());
        let mut counts = show::Counts::default();
        while let Some((place, done)) = way.next().await {
            counts.add(done.outcome);
            bar.set_message(counts.short());
            bar.inc(1);
            if let Some(slot) = all.get_mut(place) {
                *slot = Some(done);
            }
        }
    });
    bar.finish_and_clear();
    Ok(all)
}

/// `50/s`, `50`, `0.5/s`, `off`.
pub fn rate(text: &str) -> Result<Rate, String> {
    if text == "off" {
        return Ok(Rate(None));
    }
    match text.strip_suffix("/s").unwrap_or(text).parse::<f64>() {
        Ok(rate) if rate.is_finite() && (0.001..=1e6).contains(&rate) => Ok(Rate(Some(rate))),
        _ => Err(format!("{text:?} is no rate: write 50/s, 0.5/s or off")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_by_the_second_or_off() {
        for (text, want) in [("50/s", Some(50.0)), ("7", Some(7.0)), ("0.5/s", Some(0.5)), ("off", None)] {
            assert_eq!(rate(text), Ok(Rate(want)), "{text}");
        }
        for text in ["0/s", "-1", "x", "", "1/m", "inf", "NaN"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }
}
