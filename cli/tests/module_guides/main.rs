//! The guides in `docs/`: every command in them is run, in a folder of its own, with real processes, and what they show as its output
//! must be its output. A guide is a file; this needs no word about it.
//!
//! Which fences there are, and what each is held against, is in `docs/README.md`. `GUIDE=purging` runs one guide. `LARDER_WASM` names the
//! module, else it is `larder.wasm` in the workspace's target folder; `LARDER_SHOP_API` the shop API's program, else it is `shop-api` beside
//! the `larder` under test.

mod attacks;
mod fences;
mod place;
mod session;
mod wildcard;

use std::path::{Path, PathBuf};

use fences::{Fence, fences};
use place::{Place, root};
use session::Session;

/// Pages that are no guides: what they are about is looked up in them and not done.
const REFERENCES: [&str; 9] = [
    "README.md",
    "analytics.md",
    "faults.md",
    "fuzzing.md",
    "metrics.md",
    "origin.md",
    "performance.md",
    "security.md",
    "tracing.md",
];

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn pages() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("docs")).expect("docs/ can be read");
    let mut pages: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    pages.retain(|path| name(path).ends_with(".md"));
    pages.sort();
    pages
}

fn guides() -> Vec<PathBuf> {
    let wanted = std::env::var("GUIDE").unwrap_or_default();
    let mut guides = pages();
    guides.retain(|path| name(path).starts_with(&wanted) && !REFERENCES.contains(&name(path).as_str()));
    assert!(!guides.is_empty(), "no guide's name begins with {wanted:?}");
    guides
}

#[test]
fn every_command_of_every_guide_does_what_the_guide_says() {
    let guides = guides();
    // Each has its own folder, shell and addresses.
    let wrong: Vec<String> = std::thread::scope(|threads| {
        let running: Vec<_> = guides.iter().map(|guide| threads.spawn(|| run(guide))).collect();
        running.into_iter().filter_map(|guide| guide.join().expect("it ended").err()).collect()
    });
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
}

#[test]
fn the_index_names_every_page() {
    let index = std::fs::read_to_string(root().join("docs/README.md")).expect("docs/README.md can be read");
    for name in pages().iter().map(|page| name(page)).filter(|name| name != "README.md") {
        assert!(index.contains(&format!("| [{name}]({name}) |")), "docs/README.md has no row for {name}");
    }
    for reference in REFERENCES {
        assert!(root().join("docs").join(reference).is_file(), "there is no docs/{reference}");
    }
}

/// Runs a guide from its first line to its last; what is wrong with it, if something is.
fn run(guide: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(guide).map_err(|error| error.to_string())?;
    run_text(&format!("docs/{}", name(guide)), &text)
}

fn run_text(name: &str, text: &str) -> Result<(), String> {
    let at = |line: usize, message: String| format!("{name}:{line}: {message}");
    let fences = fences(text).map_err(|(line, message)| at(line, message))?;
    let place = Place::new();
    let mut session = Session::start(&place);
    for fence in &fences {
        match fence {
            Fence::Commands(commands) => {
                for command in commands {
                    session.run(command).map_err(|message| at(command.line, message))?;
                }
            }
            Fence::File { name, text, .. } => place.write(name, text),
            Fence::Excerpt { line, of, text } => excerpt(of, text).map_err(|message| at(*line, message))?,
        }
    }
    Ok(())
}

#[test]
fn what_a_guide_has_wrong_is_told_with_its_line() {
    for (text, want) in [
        ("```console\n$ true\n$ exit_with() { return 3; }\n$ exit_with\n```\n", "g.md:4: `exit_with` ends with 3"),
        (
            "```console\n$ echo a\nb\n```\n",
            "g.md:2: `echo a` does not say what the guide shows\n--- shown\nb\n--- said\na\n",
        ),
        ("```console\n$ exit 0\n```\n", "g.md:2: `exit 0` ended the shell"),
        ("```sh\nls\n```\n", "g.md:1: a fence of the kind `sh` is held against nothing"),
        (
            "```yaml envoy/minimal.yaml\n- name: larder\nno such line\n```\n",
            "g.md:1: envoy/minimal.yaml does not have these lines",
        ),
        ("```yaml envoy/none.yaml\na\n```\n", "g.md:1: envoy/none.yaml: "),
    ] {
        let told = run_text("g.md", text).expect_err(text);
        assert!(told.starts_with(want), "{text}\n{told}");
    }
    let right = "```json a.json\n{}\n```\n```console\n$ cat a.json\n{}\n$ A=1\n$ echo $A \\\n>   b\n1 …\n```\n";
    assert_eq!(run_text("g.md", right), Ok(()));
}

/// The lines of an excerpt must stand in the file that it is from, one after the other; `…` leaves some out.
fn excerpt(of: &str, text: &str) -> Result<(), String> {
    let file = std::fs::read_to_string(root().join(of)).map_err(|error| format!("{of}: {error}"))?;
    let lines: Vec<&str> = file.lines().map(str::trim).collect();
    let mut begins = 0..lines.len();
    let wanted: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let stands_at = |begin: usize| {
        let mut rest = &lines[begin..];
        let mut skips = false;
        for want in &wanted {
            if *want == "…" {
                skips = true;
                continue;
            }
            let found = rest.iter().position(|line| line == want).filter(|at| skips || *at == 0);
            let Some(found) = found else { return Err(*want) };
            rest = &rest[found + 1..];
            skips = false;
        }
        Ok(())
    };
    let mut last = wanted.first().copied().unwrap_or_default();
    let found =
        begins.any(|begin| stands_at(begin).map_err(|want| last = if want == wanted[0] { last } else { want }).is_ok());
    if found { Ok(()) } else { Err(format!("{of} does not have these lines in a row; not found: {last}")) }
}
