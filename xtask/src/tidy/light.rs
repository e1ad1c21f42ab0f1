//! What a user of larder-origin does not compile, by the features asked for: who keeps a cache in memory needs no client of anything.
//! Knows cargo's answer and the table; which feature brings what is origin/Cargo.toml's business.

use std::path::PathBuf;

use super::Finding;
use crate::cargo::cargo;
use crate::process;

const ORIGIN: &str = "larder-origin";
const MANIFEST: &str = "origin/Cargo.toml";

/// Features, and words that no crate that they compile has in its name.
const ABSENT: &[(&str, &[&str])] = &[
    ("", &["axum", "hyper", "metrics", "node", "redis", "rustls", "sqlx"]),
    ("cluster,invalidator,metrics", &["axum", "node", "redis", "rustls", "sqlx"]),
    ("store", &["redis", "rustls", "sqlx"]),
];

/// Crates from the table that are compiled nevertheless.
pub fn check() -> Vec<Finding> {
    ABSENT.iter().flat_map(|(features, absent)| findings(features, absent, compiled(features))).collect()
}

/// The names of all crates that end up in a program with these features of ours and no others.
fn compiled(features: &str) -> anyhow::Result<String> {
    let mut tree = cargo();
    tree.args(["tree", "--locked", "--package", ORIGIN, "--no-default-features", "--features", features]);
    process::stdout(tree.args(["--edges", "normal", "--prefix", "none", "--format", "{p}"]))
}

fn findings(features: &str, absent: &[&str], compiled: anyhow::Result<String>) -> Vec<Finding> {
    let finding = |message: String| Finding { file: PathBuf::from(MANIFEST), line: 1, message };
    let compiled = match compiled {
        Ok(compiled) => compiled,
        Err(error) => return vec![finding(format!("cannot tell what features [{features}] compile: {error:#}"))],
    };
    let mut names: Vec<&str> = compiled.lines().filter_map(|line| line.split(' ').next()).collect();
    names.sort_unstable();
    names.dedup();
    let strange = names.into_iter().filter(|name| name.split(['-', '_']).any(|word| absent.contains(&word)));
    strange
        .map(|name| {
            finding(format!("features [{features}] compile {name}: make the dependency, or its feature, optional"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_that_a_feature_must_not_bring_are_found_once_by_any_word_of_their_names() {
        let tree = "larder-origin v0.1.0 (/larder/origin)\nhttp v1.5.0\ntokio-rustls v0.26.0\nhttp v1.5.0 (*)\n\
                    sqlx-core v0.9.0\ntokio-rustls v0.26.0 (*)\npreredis v1.0.0\n";
        let found = findings("store", &["redis", "rustls", "sqlx"], Ok(tree.to_owned()));
        let messages: Vec<&str> = found.iter().map(|finding| finding.message.as_str()).collect();
        assert!(
            matches!(messages.as_slice(), [sqlx, rustls] if sqlx.starts_with("features [store] compile sqlx-core: ")
                && rustls.starts_with("features [store] compile tokio-rustls: ")),
            "{messages:?}"
        );
        let failed = findings("", &["redis"], Err(anyhow::anyhow!("no such feature")));
        assert!(matches!(failed.as_slice(), [only] if only.message.contains("no such feature")), "{failed:?}");
    }

    #[test]
    fn what_is_compiled_without_features_is_known() {
        let compiled = compiled("").expect("cargo's answer");
        assert!(compiled.lines().any(|line| line.starts_with("larder-core ")), "{compiled}");
        assert!(compiled.lines().any(|line| line.starts_with("tower-layer ")), "{compiled}");
    }
}
