//! Scenarios: readable files that say what an HTTP cache must do, and executors that carry them out.
//!
//! A scenario (`scenarios/<topic>/<name>.scn`, grammar in `scenarios/README.md`) scripts an origin, sends requests, lets time pass and
//! says what clients and origin must see. The same file runs in every [`Executor`]. Test cases of policies ([`cases`]) become scenarios,
//! too. Holds no caching rule itself.
//!
//! ```no_run
//! use larder_host_tests::scenario::{Core, run_file};
//! let report = run_file("scenarios/freshness/max-age.scn".as_ref(), &mut Core::new())?;
//! println!("{report}");
//! # Ok::<(), larder_host_tests::scenario::SyntaxError>(())
//! ```

pub mod cases;
mod check;
pub mod executor;
mod files;
#[cfg(feature = "surroundings")]
mod in_envoy;
#[cfg(feature = "surroundings")]
mod in_origin;
mod in_process;
mod in_wasmtime;
pub mod model;
mod parse;
mod report;
mod run;
mod script;
mod text;

use std::path::Path;

pub use check::Difference;
pub use executor::Executor;
pub use files::{in_folder, run_all};
#[cfg(feature = "surroundings")]
pub use in_envoy::InEnvoy;
#[cfg(feature = "surroundings")]
pub use in_origin::InOrigin;
pub use in_process::{Core, Shadow, Told};
pub use in_wasmtime::Wasmtime;
pub use parse::{SyntaxError, parse, read};
pub use report::{Failure, Outcome, Report, Summary};
pub use run::{host, policies, run};

/// Carries out the scenario in a file.
pub fn run_file(path: &Path, executor: &mut dyn Executor) -> Result<Report, SyntaxError> {
    Ok(run(&read(path)?, executor))
}
