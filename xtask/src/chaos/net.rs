//! A network of its own for one node, which can be cut: a network namespace, joined to ours by a pair of virtual interfaces. Everything in
//! it stays on this machine. Needs to be root; says why where it cannot be had.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{paths, process};

const PREFIX: &str = "larder-chaos-";

/// A namespace with a link to ours. Removed on drop.
#[derive(Debug)]
pub struct Net {
    name: String,
    /// Its end of the link.
    far: String,
    /// Our address on the link.
    pub here: Ipv4Addr,
    /// The address in the namespace.
    pub there: Ipv4Addr,
}

impl Net {
    /// Makes one. An error that says why, where this machine does not permit it.
    pub fn new() -> Result<Self> {
        paths::find_program("ip").context("the program ip (iproute2) is missing")?;
        remove_left();
        let pid = std::process::id();
        // From the range for benchmarks (RFC 2544), which nobody routes; a /30 that follows from our process id.
        let subnet = pid % (1 << 14);
        let base = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + (subnet << 2);
        let (name, near, far) = (format!("{PREFIX}{pid}"), format!("lc{pid}a"), format!("lc{pid}b"));
        run(&["netns", "add", &name])?;
        let net = Self { name, far, here: Ipv4Addr::from(base + 1), there: Ipv4Addr::from(base + 2) };
        let (name, far) = (&*net.name, &*net.far);
        run(&["link", "add", &near, "type", "veth", "peer", "name", far, "netns", name])?;
        run(&["address", "add", &format!("{}/30", net.here), "dev", &near])?;
        run(&["link", "set", &near, "up"])?;
        run(&["-n", name, "address", "add", &format!("{}/30", net.there), "dev", far])?;
        run(&["-n", name, "link", "set", "lo", "up"])?;
        run(&["-n", name, "link", "set", far, "up"])?;
        Ok(net)
    }

    /// A command that runs in the namespace, under the process id that it is started with.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Nothing passes any more, in either direction, and nobody is told.
    pub fn cut(&self) -> Result<()> {
        run(&["-n", &self.name, "link", "set", &self.far, "down"])
    }

    /// Everything passes again.
    pub fn mend(&self) -> Result<()> {
        run(&["-n", &self.name, "link", "set", &self.far, "up"])
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // The link goes with it.
        let _ = run(&["netns", "delete", &self.name]);
    }
}

/// Namespaces of runs that were ended by a signal.
fn remove_left() {
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|pid| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = run(&["netns", "delete", &name]);
        }
    }
}

fn run(words: &[&str]) -> Result<()> {
    let mut command = Command::new("ip");
    command.args(words);
    let (status, text) = process::capture(&mut command, &paths::scratch("chaos-ip.log"))?;
    if !status.success() {
        bail!("{}: {}", process::line(&command), text.trim());
    }
    Ok(())
}
