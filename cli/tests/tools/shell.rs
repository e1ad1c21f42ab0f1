//! `larder completions` and `larder man`.

use crate::support::{code, run, stdout};

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&["completions", shell]);
        assert_eq!(code(&output), 0);
        let script = stdout(&output);
        assert!(script.contains("explain") && script.contains("deny"), "{shell}");
    }
    assert_eq!(code(&run(&["completions", "cmd"])), 2);
}

#[test]
fn bash_takes_its_script_and_completes() {
    let script = stdout(&run(&["completions", "bash"]));
    let ask = r#"COMP_WORDS=(larder ch); COMP_CWORD=1; _larder larder ch larder; echo "${COMPREPLY[@]}""#;
    let output = std::process::Command::new("bash").args(["-c", &format!("{script}\n{ask}")]).output().expect("bash");
    assert_eq!(stdout(&output).trim(), "check", "{output:?}");
}

#[test]
fn every_command_has_a_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("man1");
    let output = run(&["man", path.to_str().expect("UTF-8")]);
    assert_eq!(code(&output), 0, "{output:?}");
    let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(read("larder.1").contains("larder\\-check(1)"), "{}", read("larder.1"));
    let page = read("larder-check.1");
    assert!(page.contains(".TH larder-check 1") && page.contains("\\-\\-deny"), "{page}");
    assert!(path.join("larder-node-token.1").exists(), "commands below commands");
    assert!(stdout(&run(&["man"])).starts_with(".ie"));
}
