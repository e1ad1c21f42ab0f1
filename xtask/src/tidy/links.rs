//! Relative links in Markdown: the file is there, and so is the heading its anchor names. Links to other sites are not followed.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use super::{Finding, Source};
use crate::paths;

/// Every link that leads nowhere.
pub fn check(files: &[Source]) -> Vec<Finding> {
    let root = paths::root();
    check_with(files, &|path| root.join(path).exists())
}

fn check_with(files: &[Source], exists: &dyn Fn(&Path) -> bool) -> Vec<Finding> {
    let pages: HashMap<&Path, Vec<String>> =
        files.iter().filter(|file| file.is("md")).map(|file| (file.path.as_path(), anchors(&file.text))).collect();
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is("md")) {
        for (line, link) in links(&file.text) {
            if let Some(problem) = problem(&file.path, link, &pages, exists) {
                findings.push(file.finding(line, format!("the link {link}: {problem}")));
            }
        }
    }
    findings
}

fn problem(
    page: &Path,
    link: &str,
    pages: &HashMap<&Path, Vec<String>>,
    exists: &dyn Fn(&Path) -> bool,
) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let folder = page.parent().unwrap_or(Path::new(""));
    let target = match path.strip_prefix('/') {
        _ if path.is_empty() => page.to_path_buf(),
        Some(from_root) => PathBuf::from(from_root),
        None => normal(&folder.join(path)),
    };
    if !exists(&target) {
        return Some(format!("there is no {}", target.display()));
    }
    let headings = pages.get(target.as_path())?;
    let anchor = anchor?;
    (!headings.iter().any(|heading| heading == anchor))
        .then(|| format!("{} has no heading for #{anchor}", target.display()))
}

/// The path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts
}

/// The targets of `[text](target)`, `![text](target)` and `[name]: target`, with their lines.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    for (number, line) in prose(text) {
        let line = line.trim_end();
        if let Some((name, target)) = line.strip_prefix('[').and_then(|line| line.split_once("]: "))
            && !name.contains(']')
        {
            links.extend(target.split_whitespace().next().map(|target| (number, target)));
        }
        for (at, _) in line.match_indices("](") {
            let inside = line[..at].matches('`').count() % 2 == 1;
            let rest = &line[at + 2..];
            let target = rest.split_once(')').map_or(rest, |(target, _)| target);
            let target = target.split_whitespace().next().unwrap_or_default();
            if !inside && !target.is_empty() {
                links.push((number, target.trim_matches(['<', '>'])));
            }
        }
    }
    links
}

/// The anchors GitHub gives to a page's headings: lower case, punctuation gone, spaces to hyphens, a number for repeats.
fn anchors(text: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    for (_, line) in prose(text) {
        let Some(heading) =
            line.strip_prefix('#').map(|line| line.trim_start_matches('#')).and_then(|line| line.strip_prefix(' '))
        else {
            continue;
        };
        let kept = heading
            .trim()
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .collect::<String>();
        let anchor = kept.replace(' ', "-");
        let repeats = anchors.iter().filter(|known| **known == anchor).count();
        anchors.push(anchor.clone());
        if repeats > 0 {
            anchors.push(format!("{anchor}-{repeats}"));
        }
    }
    anchors
}

/// The numbered lines outside fenced code.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut fence: Option<&str> = None;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let start = ["```", "~~~"].into_iter().find(|mark| line.trim_start().starts_with(mark));
        match (fence, start) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => lines.push((index + 1, line)),
            (Some(_), _) => {}
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_pages(pages: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<Source> =
            pages.iter().map(|(path, text)| Source { path: PathBuf::from(path), text: (*text).to_owned() }).collect();
        let exists = |path: &Path| path == Path::new("docs") || pages.iter().any(|(name, _)| Path::new(name) == path);
        check_with(&files, &exists).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        let readme = "# One, two: three\n[a](docs/b.md#under) ![b](x.png \"t\") [c](#one-two-three) [d](docs)\n[e](https://x/y) [f]\n\n[f]: /x.png\n";
        let page = "# Top\n## Under\n[up](../README.md) [self](./b.md#top)\n## Under\n[again](#under-1)\n";
        assert_eq!(check_pages(&[("README.md", readme), ("docs/b.md", page), ("x.png", "")]), Vec::<String>::new());
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let found = check_pages(&[("README.md", "[a](b.md)\n\n[c](#d)\n[e]: f.md\n")]);
        let expected = [
            "README.md:1: the link b.md: there is no b.md",
            "README.md:3: the link #d: README.md has no heading for #d",
            "README.md:4: the link f.md: there is no f.md",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn code_holds_no_links() {
        assert_eq!(check_pages(&[("a.md", "```\n[a](b)\n# c\n```\n`[a](b)` and `x[0](y)`\n")]), Vec::<String>::new());
    }
}
