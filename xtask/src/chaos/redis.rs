//! A Redis Cluster: three masters and a replica of each, without persistence, which fail over within some seconds.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::ports;
use crate::process::{self, Service};

const MASTERS: usize = 3;
const READY_WITHIN: Duration = Duration::from_secs(30);
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(50);
/// The stream that holds the purge log (node/src/log/redis): who has it is the one that hurts most.
const LOG_KEY: &str = "{larder}:log";

/// The servers. Stopped on drop.
#[derive(Debug)]
pub struct Redis {
    address: Ipv4Addr,
    servers: Vec<Server>,
}

#[derive(Debug)]
struct Server {
    port: u16,
    bus: u16,
    folder: PathBuf,
    service: Option<Service>,
}

impl Redis {
    /// Starts them, reachable at this address of ours.
    pub fn start(folder: &Path, address: Ipv4Addr) -> Result<Self> {
        let mut redis = Self { address, servers: Vec::new() };
        for index in 0..2 * MASTERS {
            let folder = folder.join(format!("redis-{index}"));
            let mut server = Server { port: ports::lasting()?, bus: ports::lasting()?, folder, service: None };
            server.start(address)?;
            redis.servers.push(server);
        }
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]);
        create.args(redis.servers.iter().map(|server| format!("{address}:{}", server.port)));
        create.args(["--cluster-replicas", "1", "--cluster-yes"]);
        let (status, text) = process::capture_within(&mut create, &folder.join("redis-create.log"), READY_WITHIN)?;
        ensure!(status.success(), "redis-cli cannot make a cluster: {text}");
        redis.await_whole()?;
        Ok(redis)
    }

    /// The part of a URL that names them.
    pub fn hosts(&self) -> String {
        let hosts: Vec<String> =
            self.servers.iter().map(|server| format!("{}:{}", self.address, server.port)).collect();
        hosts.join(",")
    }

    /// The process of the master that has the purge log.
    pub fn log_master(&mut self) -> Result<(usize, &mut Service)> {
        let slot: u32 = self.any(&["CLUSTER", "KEYSLOT", LOG_KEY])?.trim().parse().context("no slot")?;
        let nodes = self.any(&["CLUSTER", "NODES"])?;
        let port = master_of(&nodes, slot).with_context(|| format!("nobody has slot {slot}: {nodes}"))?;
        let index = self.servers.iter().position(|server| server.port == port).context("a master of others")?;
        let service = self.servers[index].service.as_mut().context("the master is not running")?;
        Ok((index, service))
    }

    /// The process of a server.
    pub fn server(&mut self, index: usize) -> Result<&mut Service> {
        self.servers.get_mut(index).and_then(|server| server.service.as_mut()).context("that server does not run")
    }

    /// Starts a server again, where it was, with what it was in the cluster.
    pub fn start_again(&mut self, index: usize) -> Result<()> {
        let address = self.address;
        self.servers.get_mut(index).context("no such server")?.start(address)
    }

    /// Waits until every slot has a master and every master a replica that is in step.
    pub fn await_whole(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let whole = (0..self.servers.len()).all(|index| self.is_well(index));
            if whole {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the Redis Cluster does not become whole: {}", self.any(&["CLUSTER", "NODES"])?);
            }
            thread::sleep(POLL);
        }
    }

    fn is_well(&self, index: usize) -> bool {
        let ask = |words: &[&str]| self.servers[index].ask(self.address, words).unwrap_or_default();
        let nodes = ask(&["CLUSTER", "NODES"]);
        let replicas = nodes.lines().filter(|line| line.contains("slave")).count();
        let replication = ask(&["INFO", "replication"]);
        ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
            && nodes.lines().count() == 2 * MASTERS
            && replicas == MASTERS
            && !nodes.contains("fail")
            && (replication.contains("link_status:up")
                || (replication.contains("role:master") && replication.contains("connected_slaves:1")))
    }

    /// What the first server says that says anything.
    fn any(&self, words: &[&str]) -> Result<String> {
        let said = self.servers.iter().find_map(|server| server.ask(self.address, words).ok());
        said.context("no Redis server answers")
    }
}

impl Server {
    fn start(&mut self, address: Ipv4Addr) -> Result<()> {
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &self.port.to_string(),
            "--cluster-port",
            &self.bus.to_string(),
            "--bind",
            "127.0.0.1",
        ]);
        if !address.is_loopback() {
            command.arg(address.to_string());
        }
        // Bound to addresses of this machine only, so that nobody else gets at it.
        command.args(["--protected-mode", "no", "--save", "", "--appendonly", "no", "--cluster-enabled", "yes"]);
        command.args(["--cluster-node-timeout", "1000", "--cluster-require-full-coverage", "no"]);
        command.args(["--cluster-announce-ip", &address.to_string()]);
        command.args(["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"]);
        std::fs::create_dir_all(&self.folder).with_context(|| format!("cannot create {}", self.folder.display()))?;
        command.arg("--dir").arg(&self.folder);
        let mut service = Service::spawn("redis", &mut command, &self.folder.with_extension("log"))?;
        service.wait_for_port(self.port, READY_WITHIN)?;
        self.service = Some(service);
        Ok(())
    }

    /// Asks the server something (redis-cli would wait for ever for one that is halted).
    fn ask(&self, address: Ipv4Addr, words: &[&str]) -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from((address, self.port)), ANSWER_WITHIN)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.write_all(format!("{}\r\n", words.join(" ")).as_bytes())?;
        let mut input = BufReader::new(stream);
        let mut line = String::new();
        input.read_line(&mut line)?;
        match (line.get(..1), line.get(1..).unwrap_or_default().trim().parse::<u64>()) {
            (Some(":"), Ok(number)) => Ok(number.to_string()),
            (Some("$"), Ok(length)) => {
                let mut text = String::new();
                input.take(length).read_to_string(&mut text)?;
                Ok(text)
            }
            _ => bail!("Redis answers {}", line.trim()),
        }
    }
}

/// The port of the master that has a slot, by what `CLUSTER NODES` says.
fn master_of(nodes: &str, slot: u32) -> Option<u16> {
    nodes.lines().find_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let (address, flags) = (words.get(1)?, words.get(2)?);
        let has = |range: &&str| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            first.parse().is_ok_and(|first: u32| first <= slot) && last.parse().is_ok_and(|last: u32| slot <= last)
        };
        let is_master = flags.contains("master") && !flags.contains("fail");
        (is_master && words.iter().skip(8).any(has)).then_some(())?;
        address.split_once('@')?.0.rsplit_once(':')?.1.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_master_of_a_slot_is_the_one_that_is_not_failing() {
        let nodes = "aa 127.0.0.1:7001@17001 master,fail - 0 0 1 disconnected 0-5460\n\
                     bb 127.0.0.1:7002@17002,host master - 0 0 2 connected 5461-10922 10930\n\
                     cc 127.0.0.1:7003@17003 myself,master - 0 0 4 connected 0-5460\n\
                     dd 127.0.0.1:7004@17004 slave bb 0 0 2 connected\n";
        assert_eq!(master_of(nodes, 7), Some(7003));
        assert_eq!(master_of(nodes, 10_930), Some(7002));
        assert_eq!(master_of(nodes, 10_925), None);
    }
}
