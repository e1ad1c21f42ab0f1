//! The command, run in the root of the repository, and outputs to hold its own against.
//!
//! `LARDER_BLESS=1 cargo test -p larder --test tools` writes the golden files anew; read the difference.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs the command to its end, with something on standard input.
pub fn run_with(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.args(arguments).current_dir(root());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut stdin = child.stdin.take().expect("standard input");
    std::thread::scope(|threads| {
        // A command that fails early does not read all of it.
        threads.spawn(move || stdin.write_all(input).is_ok());
        child.wait_with_output().expect("it ends")
    })
}

/// Runs the command to its end.
pub fn run(arguments: &[&str]) -> Output {
    run_with(arguments, b"")
}

pub fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Holds a text against `golden/NAME`.
pub fn golden(name: &str, got: &str) {
    golden_in("tests/tools/golden", name, got);
}

/// Holds a text against a file of another folder.
pub fn golden_in(folder: &str, name: &str, got: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(name);
    if std::env::var_os("LARDER_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, got).expect("written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == got, "{}\n--- expected\n{expected}\n--- got\n{got}", path.display());
}
