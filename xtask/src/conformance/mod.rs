//! `cargo xtask conformance`: the public HTTP cache test suite against Larder, in real Envoy or as a proxy of its own.
//! Starts the suite's origin and Envoy, has the suite's own client judge, and compares with what is known to fail. What a
//! test means is the suite's business, how an answer comes about is the plugin's: nothing here knows a test by name.

mod expected;
mod proxy;
mod report;
mod suite;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::envoy::{Envoy, Launch};
use crate::{Verdict, build, paths, setup};
use proxy::Proxy;
use suite::{Origin, Suite};

const BOOTSTRAP: &str = "envoy/conformance.yaml";
const POLICY: &str = "policies/conformance.json";
/// What the proxy falls short of in the suite's main branch, beside its list.
const MORE_OF_PROXY: &str = "conformance/expected-main-proxy.txt";
/// A surprise counts where it comes again in this many further runs.
const RUNS_MORE: usize = 2;

/// Run the public HTTP cache test suite against Larder in real Envoy, or against `larder proxy`
///
/// Installs the suite (npm's http-cache-tests, locked by conformance/package-lock.json) below the target folder, starts its
/// origin and Envoy with envoy/conformance.yaml and policies/conformance.json, and prints what passed and what did not.
/// Succeeds where exactly the tests listed in conformance/expected.txt do not pass; what differs is asked again, twice.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// What to test
    #[arg(long, value_enum, default_value_t = Target::Envoy)]
    target: Target,
    /// Run this test only, and print its requests and responses
    #[arg(long, value_name = "TEST")]
    id: Option<String>,
    /// Write the results there, in the suite's own format
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A checkout of github.com/http-tests/cache-tests (with its node modules) to run instead of the npm release;
    /// compared with conformance/expected-main.txt
    #[arg(long, value_name = "FOLDER")]
    suite: Option<PathBuf>,
    /// Use this module instead of building one
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
    /// Print the lines that the list of expected failures lacks, ready to be given a reason
    #[arg(long)]
    missing: bool,
}

/// What stands between the suite's client and its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// Envoy with Larder
    Envoy,
    /// `larder proxy`: the layer in front of any origin, without an Envoy
    Proxy,
    /// The same Envoy without Larder: what the suite says of a proxy that stores nothing
    Bare,
}

/// What was started, and where the suite's client asks.
enum Front {
    Envoy(Envoy),
    Proxy(Proxy),
}

impl Front {
    fn start(args: &Args, origin: u16, folder: &Path) -> Result<Self> {
        if args.target == Target::Proxy {
            return Proxy::start(origin, &paths::root().join(POLICY), folder).map(Self::Proxy);
        }
        let (binary, _) = setup::envoy::ensure().context("no Envoy")?;
        let values = BTreeMap::from([
            ("ORIGIN_PORT", origin.to_string()),
            ("LARDER_WASM", module(args)?.display().to_string()),
            ("POLICY", read(POLICY)?),
        ]);
        let bootstrap = read(BOOTSTRAP)?;
        let template = if args.target == Target::Bare { without_larder(&bootstrap)? } else { bootstrap };
        let launch = Launch {
            name: "conformance",
            binary: &binary,
            template: &template,
            values,
            folder,
            core: None,
            workers: 1,
            epoch: None,
        };
        launch.start().map(Self::Envoy)
    }

    fn port(&self) -> u16 {
        match self {
            Self::Envoy(envoy) => envoy.port,
            Self::Proxy(proxy) => proxy.port,
        }
    }
}

pub fn main(args: &Args) -> Result<Verdict> {
    let folder = paths::scratch("conformance");
    let suite = match &args.suite {
        Some(folder) => Suite::checkout(folder)?,
        None => Suite::installed(&folder)?,
    };
    let origin = Origin::start(&suite, &folder)?;
    let front = Front::start(args, origin.port, &folder)?;
    let outcome = suite.run(front.port(), &folder, args.id.as_deref())?;
    if let Some(path) = &args.json {
        fs::write(path, outcome.json()?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.id.is_none() {
        print!("{}", report::table(&outcome));
    }
    if args.target == Target::Bare {
        return Ok(Verdict::Good);
    }
    let list = if args.suite.is_some() { "conformance/expected-main.txt" } else { "conformance/expected.txt" };
    let mut expected = expected::parse(&read(list)?).with_context(|| format!("in {list}"))?;
    if args.suite.is_some() && args.target == Target::Proxy {
        expected.extend(expected::parse(&read(MORE_OF_PROXY)?).with_context(|| format!("in {MORE_OF_PROXY}"))?);
    }
    let mut surprises = expected::compare(&expected, &outcome, args.id.is_none());
    for _ in 0..RUNS_MORE {
        if surprises.is_empty() || args.id.is_some() {
            break;
        }
        eprintln!("... {} surprises; running the suite again to see whether they last", surprises.len());
        let again = suite.run(front.port(), &folder, None)?;
        surprises = expected::lasting(surprises, &expected::compare(&expected, &again, true));
    }
    print!("{}", expected::text(&surprises, list));
    if args.missing {
        print!("{}", expected::missing(&surprises));
    }
    Ok(if surprises.is_empty() { Verdict::Good } else { Verdict::Bad })
}

fn module(args: &Args) -> Result<PathBuf> {
    match (&args.wasm, args.target) {
        (Some(path), _) => std::path::absolute(path).with_context(|| format!("no path: {}", path.display())),
        (None, Target::Bare | Target::Proxy) => Ok(paths::wasm()),
        (None, Target::Envoy) => {
            let (toolchain, _) = setup::wasm::ensure().context("no compiler for wasm")?;
            Ok(build::release(&toolchain)?.path)
        }
    }
}

fn read(path: &str) -> Result<String> {
    let file = paths::root().join(Path::new(path));
    fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
}

/// The bootstrap without the lines between the two comments that frame the plugin.
fn without_larder(bootstrap: &str) -> Result<String> {
    let parts = bootstrap
        .split_once("# larder begins")
        .and_then(|(before, rest)| rest.split_once("# larder ends").map(|(_, after)| format!("{before}#{after}")));
    match parts {
        Some(text) => Ok(text),
        None => bail!("{BOOTSTRAP} does not frame the plugin by its two comments"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugin_can_be_taken_out_of_the_bootstrap() {
        let whole = read(BOOTSTRAP).unwrap();
        let bare = without_larder(&whole).unwrap();
        assert!(whole.contains("LARDER_WASM}\"") && !bare.contains("LARDER_WASM}\""));
        assert!(bare.contains("envoy.filters.http.router"));
        assert!(without_larder("a: b").is_err());
    }
}
