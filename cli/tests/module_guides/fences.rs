//! A guide's fences: what is to be run, what is to be written down, what is to be held against a file.

/// A command, and what the guide shows as its output.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// Line in the guide, from 1.
    pub line: usize,
    pub text: String,
    /// `None`: whatever it says is right.
    pub output: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Fence {
    /// `console`.
    Commands(Vec<Command>),
    /// `json NAME`: a file that the reader writes.
    File { line: usize, name: String, text: String },
    /// `yaml PATH`: a part of a file of the repository.
    Excerpt { line: usize, of: String, text: String },
}

type Wrong = (usize, String);

/// All fences of a guide, in order. One of another kind is an error: nobody would hold it against anything.
pub fn fences(text: &str) -> Result<Vec<Fence>, Wrong> {
    let mut fences = Vec::new();
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    while let Some((line, opening)) = lines.next() {
        let Some(kind) = opening.strip_prefix("```") else { continue };
        let body: Vec<(usize, &str)> = lines.by_ref().take_while(|(_, line)| *line != "```").collect();
        let text = || body.iter().map(|(_, line)| format!("{line}\n")).collect::<String>();
        fences.push(match kind.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["console"] => Fence::Commands(commands(&body)?),
            ["json", name] => Fence::File { line, name: (*name).to_owned(), text: text() },
            ["yaml", of] => Fence::Excerpt { line, of: (*of).to_owned(), text: text() },
            _ => {
                let kinds = "`console`, `json FILE` or `yaml FILE`, see docs/README.md";
                return Err((
                    line,
                    format!("a fence of the kind `{kind}` is held against nothing; a guide has {kinds}"),
                ));
            }
        });
    }
    Ok(fences)
}

/// `$ command`, lines that go on with it (`> …`), and below them its output.
fn commands(body: &[(usize, &str)]) -> Result<Vec<Command>, Wrong> {
    let mut commands: Vec<Command> = Vec::new();
    for (line, text) in body {
        if let Some(command) = text.strip_prefix("$ ") {
            commands.push(Command { line: *line, text: command.to_owned(), output: None });
            continue;
        }
        let Some(last) = commands.last_mut() else {
            return Err((*line, "a `console` fence begins with a command, `$ …`".to_owned()));
        };
        match (text.strip_prefix("> "), &mut last.output) {
            (Some(more), None) => {
                last.text.push('\n');
                last.text.push_str(more);
            }
            (_, output) => {
                let output = output.get_or_insert_default();
                output.push_str(text);
                output.push('\n');
            }
        }
    }
    Ok(commands)
}

#[test]
fn commands_files_and_excerpts_are_told_apart() {
    let text = "a\n```console\n$ one \\\n>   two\nout\n$ three &\n```\n```json p.json\n{}\n```\n```yaml envoy/a.yaml\nb: 1\n```\n";
    let command = |line, text: &str, output: Option<&str>| Command {
        line,
        text: text.to_owned(),
        output: output.map(str::to_owned),
    };
    assert_eq!(
        fences(text),
        Ok(vec![
            Fence::Commands(vec![command(3, "one \\\n  two", Some("out\n")), command(6, "three &", None)]),
            Fence::File { line: 8, name: "p.json".into(), text: "{}\n".into() },
            Fence::Excerpt { line: 11, of: "envoy/a.yaml".into(), text: "b: 1\n".into() },
        ])
    );
    assert!(fences("```sh\nls\n```\n").is_err_and(|(line, _)| line == 1));
    assert!(fences("```console\nls\n```\n").is_err_and(|(line, _)| line == 2));
}
