//! An Envoy process of demo or bench: bootstrap rendered from a template, ports found out, ready before it is used.
//! Does not know what is in the bootstrap; which binary to take is `setup::envoy`'s business.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::http;
use crate::process::{Service, tail};

const READY_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// How to start an Envoy.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The name for messages and files.
    pub name: &'a str,
    /// The binary.
    pub binary: &'a Path,
    /// The bootstrap template's text.
    pub template: &'a str,
    /// What stands for its placeholders; `LISTEN_PORT` and `ADMIN_PORT` are 0 (any free one) unless they are given.
    pub values: BTreeMap<&'static str, String>,
    /// Where bootstrap and log are written.
    pub folder: &'a Path,
    /// The processor core to stay on.
    pub core: Option<usize>,
    /// Worker threads.
    pub workers: u32,
    /// Which one of those that take over from one another it is; none where it is alone.
    pub epoch: Option<Epoch>,
}

/// An Envoy's place among those that take over listeners from one another (hot restart).
#[derive(Clone, Debug)]
pub struct Epoch {
    /// 0 for the first.
    pub number: u32,
    /// Where the first writes what names their shared memory, and the others read it.
    pub base_id: PathBuf,
}

/// A running Envoy. Stopped on drop.
#[derive(Debug)]
pub struct Envoy {
    service: Service,
    /// The port of its first listener.
    pub port: u16,
    /// The port of its admin interface.
    pub admin: u16,
}

impl Launch<'_> {
    /// Starts Envoy and waits until it is ready.
    pub fn start(mut self) -> Result<Envoy> {
        for name in ["LISTEN_PORT", "ADMIN_PORT"] {
            self.values.entry(name).or_insert_with(|| "0".to_owned());
        }
        let text = render(self.template, &self.values).with_context(|| format!("the bootstrap of {}", self.name))?;
        let file = |suffix: &str| self.folder.join(format!("{}{suffix}", self.name));
        let (config, address) = (file(".yaml"), file(".admin"));
        fs::create_dir_all(self.folder).with_context(|| format!("cannot create {}", self.folder.display()))?;
        fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
        let _ = fs::remove_file(&address);
        let mut command = pinned(self.binary, self.core);
        command.args(["--concurrency", &self.workers.to_string(), "-l", "warning"]);
        command.args(["--component-log-level", "wasm:info", "--drain-time-s", "1", "--parent-shutdown-time-s", "2"]);
        match &self.epoch {
            None => command.arg("--disable-hot-restart"),
            Some(epoch) => epoch.tell(&mut command)?,
        };
        command.arg("-c").arg(&config).arg("--admin-address-path").arg(&address);
        // What it writes where it runs (a profiled V8 does) is among its other files.
        command.current_dir(self.folder);
        let service = Service::spawn(self.name, &mut command, &file(".log"))?;
        let mut envoy = Envoy { service, port: 0, admin: 0 };
        envoy.await_ready(&address, self.epoch.as_ref().map_or(0, |epoch| epoch.number))?;
        Ok(envoy)
    }
}

impl Epoch {
    fn tell<'a>(&self, command: &'a mut Command) -> Result<&'a mut Command> {
        command.args(["--restart-epoch", &self.number.to_string()]);
        if self.number == 0 {
            let _ = fs::remove_file(&self.base_id);
            return Ok(command.arg("--use-dynamic-base-id").arg("--base-id-path").arg(&self.base_id));
        }
        let id = fs::read_to_string(&self.base_id);
        let id = id.with_context(|| format!("the first Envoy wrote no {}", self.base_id.display()))?;
        Ok(command.args(["--base-id", id.trim()]))
    }
}

impl Envoy {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.service.pid()
    }

    /// An error, with the end of its log, if it has ended.
    pub fn still_runs(&mut self) -> Result<()> {
        match self.service.ended() {
            None => Ok(()),
            Some(status) => bail!("Envoy ended ({status}). {}", tail(self.service.log())),
        }
    }

    /// Waits for something that Envoy comes to by itself.
    pub fn wait_until(&mut self, what: &str, within: Duration, condition: impl Fn(&Self) -> bool) -> Result<()> {
        let deadline = Instant::now() + within;
        while !condition(self) {
            self.still_runs()?;
            if Instant::now() >= deadline {
                bail!("Envoy waits in vain for {what}. {}", tail(self.service.log()));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// A counter or gauge by its full name; 0 where there is none.
    pub fn stat(&self, name: &str) -> Result<u64> {
        stat(self.admin, name)
    }

    /// The process.
    pub fn service(&mut self) -> &mut Service {
        &mut self.service
    }

    fn await_ready(&mut self, address: &Path, epoch: u32) -> Result<()> {
        let (mut admin, mut port) = (None, None);
        self.service.wait_until("listener", READY_WITHIN, || {
            admin = admin.or_else(|| port_of(&fs::read_to_string(address).unwrap_or_default()));
            port = admin.filter(|admin| epoch == 0 || epoch_of(*admin) == Some(epoch)).and_then(listening);
            port.is_some()
        })?;
        let ports = admin.zip(port).ok_or_else(|| anyhow!("Envoy is ready and tells no ports"));
        (self.admin, self.port) = ports?;
        Ok(())
    }
}

/// A counter or gauge of the Envoy with this admin port, by its full name; 0 where there is none.
pub fn stat(admin: u16, name: &str) -> Result<u64> {
    let stats = http::text(admin, &format!("/stats?filter=^{name}$"))?;
    let value = stats.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.map_or(Ok(0), |value| value.trim().parse().with_context(|| format!("Envoy's {name} is {value}")))
}

/// Which epoch the Envoy is of that has this admin port just now.
fn epoch_of(admin: u16) -> Option<u32> {
    let text = http::text(admin, "/server_info").ok()?;
    let info: serde_json::Value = serde_json::from_str(&text).ok()?;
    // Left out where it is 0.
    info.pointer("/command_line_options/restart_epoch").map_or(Some(0), |epoch| epoch.as_u64()?.try_into().ok())
}

/// The first listener's port, once Envoy says that it is ready.
fn listening(admin: u16) -> Option<u16> {
    http::text(admin, "/ready").ok()?;
    http::text(admin, "/listeners").ok()?.lines().find_map(port_of)
}

fn port_of(address: &str) -> Option<u16> {
    address.trim().rsplit_once(':')?.1.parse().ok().filter(|port| *port != 0)
}

/// `program`, kept on one processor core if one is given.
pub fn pinned(program: &Path, core: Option<usize>) -> Command {
    let Some(core) = core else { return Command::new(program) };
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string()]).arg(program);
    command
}

/// Puts values in place of `${NAME}`, except in comments. A value of several lines takes on the indentation of the line it
/// stands in, so that a policy keeps its lines inside a YAML block scalar. (The real-Envoy tests read the same templates so.)
pub fn render(template: &str, values: &BTreeMap<&'static str, String>) -> Result<String> {
    let mut out = String::with_capacity(template.len());
    for line in template.split_inclusive('\n') {
        if line.trim_start().starts_with('#') {
            out.push_str(line);
            continue;
        }
        let indentation: String = line.chars().take_while(|c| *c == ' ').collect();
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, tail) = after.split_once('}').with_context(|| format!("no closing brace in {}", line.trim()))?;
            let value = values.get(name).with_context(|| format!("it asks for ${{{name}}}, which has no value"))?;
            out.push_str(before);
            out.push_str(&value.trim_end().replace('\n', &format!("\n{indentation}")));
            rest = tail;
        }
        out.push_str(rest);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_several_lines_is_indented_like_its_line() {
        let values = BTreeMap::from([("P", "{\n  \"a\": 1\n}\n".to_owned()), ("Q", "7".to_owned())]);
        let out = render("# ${X}\nport: ${Q}\nvalue: |\n  ${P}\nend: ${Q}${Q}\n", &values).unwrap();
        assert_eq!(out, "# ${X}\nport: 7\nvalue: |\n  {\n    \"a\": 1\n  }\nend: 77\n");
        let error = render("a: ${MISSING}", &values).unwrap_err().to_string();
        assert!(error.contains("${MISSING}"), "{error}");
    }

    #[test]
    fn ports_are_read_from_addresses() {
        assert_eq!(port_of("127.0.0.1:1234\n"), Some(1234));
        assert_eq!(port_of("http::127.0.0.1:99"), Some(99));
        assert_eq!(port_of("127.0.0.1:0"), None);
        assert_eq!(port_of(""), None);
    }
}
