//! Processes that are killed while they purge, and two that want one queue. The other process is this test binary again, with an
//! environment variable that says what to do.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use larder_origin::Invalidator;
use larder_origin::invalidator::{BuildError, PurgeError};

use crate::support::{Cluster, until, within};

const DIRECTORY: &str = "LARDER_TEST_CHILD_DIRECTORY";
const NODE: &str = "LARDER_TEST_CHILD_NODE";

/// Another process; it is killed with the value.
struct Process {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Runs one test of this file in a process of its own, by way of `shell` where that is not empty.
    fn start(test: &str, directory: &Path, node: &str, shell: &str) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut command = match shell {
            "" => Command::new(&program),
            shell => {
                let mut command = Command::new("sh");
                command.args(["-c", &format!("{shell}; exec \"$0\" \"$@\"")]).arg(&program);
                command
            }
        };
        command.args(["--exact", &format!("killed::{test}"), "--nocapture", "--test-threads=1"]);
        command.env(DIRECTORY, directory).env(NODE, node).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a process");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        Self { child, lines }
    }

    /// The next line that begins with `mark`, without it.
    fn next(&mut self, mark: &str) -> Option<String> {
        self.lines.find_map(|line| line.ok()?.split_once(mark).map(|(_, rest)| rest.to_owned()))
    }

    fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("said");
}

/// What the other process is given, where this is the other process.
fn child() -> Option<(String, String)> {
    Some((std::env::var(DIRECTORY).ok()?, std::env::var(NODE).ok()?))
}

/// Purges without end, several at a time, and says what is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_purges_without_end() {
    let Some((directory, node)) = child() else { return };
    let invalidator = Invalidator::builder().node(node).directory(directory).build().expect("an invalidator");
    let tasks = (0..4).map(|task| {
        let invalidator = invalidator.clone();
        tokio::spawn(async move {
            for number in 0u64.. {
                invalidator.purge_tag(format!("{task}.{number}")).await.expect("kept");
                say(&format!("kept:{task}.{number}"));
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("it goes on");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_to_be_kept_outlives_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    for (round, kept_min) in [1, 40, 700].into_iter().enumerate() {
        let mut cluster = Cluster::down();
        let mut process = Process::start("child_purges_without_end", folder.path(), &cluster.url(), "");
        let mut kept: Vec<String> = (0..kept_min).map(|_| process.next("kept:").expect("a purge")).collect();
        process.kill();
        // What it said before it was killed counts, too.
        kept.extend(std::iter::from_fn(|| process.next("kept:")));
        let invalidator = cluster.invalidator().directory(folder.path()).build().expect("an invalidator");
        assert!(invalidator.status().waiting >= kept.len());
        cluster.start().await;
        within(invalidator.flushed()).await;
        let purged = cluster.purged().await;
        let missing: Vec<&String> = kept.iter().filter(|tag| !purged.contains(tag)).collect();
        assert!(missing.is_empty(), "round {round}: {missing:?} of {}", kept.len());
        let mut last: HashMap<String, u64> = HashMap::new();
        for tag in &purged {
            let (task, number) = tag.split_once('.').expect("a task");
            let number: u64 = number.parse().expect("a number");
            let before = last.insert(task.to_owned(), number);
            assert_eq!(number, before.map_or(0, |before| before + 1), "round {round}: {tag} in its task's order");
        }
        drop(invalidator);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_while_purges_are_sent_loses_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = Cluster::new().await;
    let mut process = Process::start("child_purges_without_end", folder.path(), &cluster.url(), "");
    let mut kept: Vec<String> = (0..300).map(|_| process.next("kept:").expect("a purge")).collect();
    process.kill();
    kept.extend(std::iter::from_fn(|| process.next("kept:")));
    let invalidator = cluster.invalidator().directory(folder.path()).build().expect("an invalidator");
    within(invalidator.flushed()).await;
    let purged = cluster.purged().await;
    let missing: Vec<&String> = kept.iter().filter(|tag| !purged.contains(tag)).collect();
    assert!(missing.is_empty(), "{missing:?} of {}", kept.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_do_not_get_one_directory() {
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = Cluster::down();
    let mut process = Process::start("child_purges_without_end", folder.path(), &cluster.url(), "");
    process.next("kept:").expect("it has the directory");
    let builder = cluster.invalidator().directory(folder.path());
    match builder.clone().build() {
        Err(BuildError::InUse { directory }) => assert_eq!(directory, folder.path()),
        other => panic!("{other:?}"),
    }
    process.kill();
    builder.build().expect("free with the process");
}

/// Purges whenever it is told to, and says what came of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_purges_when_told() {
    let Some((directory, node)) = child() else { return };
    let invalidator = Invalidator::builder().node(node).directory(directory).build().expect("an invalidator");
    for line in std::io::stdin().lines() {
        match invalidator.purge_tag(line.expect("a tag")).await {
            Ok(_) => say("said:kept"),
            Err(PurgeError::NotDurable(_)) => {
                let status = invalidator.status();
                assert!(status.not_durable.is_some(), "{status:?}");
                say(&format!("said:memory {}", status.waiting));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// The disk that is full is a limit on the length of files, which the other process gets from its shell.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_said_and_written_to_when_there_is_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut cluster = Cluster::down();
    let shell = "trap '' XFSZ; ulimit -S -f 1";
    let mut process = Process::start("child_purges_when_told", folder.path(), &cluster.url(), shell);
    let mut input = process.child.stdin.take().expect("its input");
    let mut ask = |process: &mut Process, tag: &str| {
        writeln!(input, "{tag}").expect("asked");
        process.next("said:").expect("an answer")
    };
    let long = "x".repeat(300);
    let tags = ["a".to_owned() + &long, "b".to_owned() + &long, "c".to_owned() + &long];
    // A block is 512 or 1024 bytes: there is room for one or two of these.
    let said: Vec<String> = tags.iter().map(|tag| ask(&mut process, tag)).collect();
    assert!(said[0] == "kept" && said[2] == "memory 3", "{said:?}");
    let pid = process.child.id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().expect("prlimit");
    assert!(raised.success());
    assert_eq!(ask(&mut process, "d"), "kept");
    process.kill();
    let invalidator = cluster.invalidator().directory(folder.path()).build().expect("an invalidator");
    cluster.start().await;
    within(invalidator.flushed()).await;
    let want: Vec<String> = tags.into_iter().chain(["d".to_owned()]).collect();
    until("all four", async || cluster.purged().await == want).await;
}
