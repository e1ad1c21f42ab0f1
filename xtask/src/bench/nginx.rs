//! nginx as the origin of a bench, static files in a folder of ours, and as a cache in front of that: one process, a free port.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::envoy::pinned;
use crate::process::Service;
use crate::{paths, ports};

/// Below this any path is answered, for an hour's freshness.
pub const STORABLE: &str = "/storable/";
/// Below this any path is answered, to be stored nowhere.
pub const UNSTORABLE: &str = "/unstorable/";
/// The length of those answers.
pub const MADE_BYTES: usize = 1 << 10;

const READY_WITHIN: Duration = Duration::from_secs(20);

/// A running nginx. Stopped on drop.
#[derive(Debug)]
pub struct Nginx {
    service: Service,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
}

impl Nginx {
    /// Serves `files` (name and content) for an hour's freshness each, from `folder`, on a processor core.
    pub fn start(folder: &Path, files: &[(&str, &[u8])], core: usize) -> Result<Self> {
        let content = folder.join("files");
        fs::create_dir_all(&content).with_context(|| format!("cannot create {}", content.display()))?;
        for (name, bytes) in files {
            let path = content.join(name);
            fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let port = ports::free()?;
        Self::run(folder, port, &server_of_files(port), core)
    }

    /// Caches what the origin at a port answers, on a processor core. Says `X-Cache: HIT` where that is so.
    pub fn caching(folder: &Path, origin: u16, core: usize) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let port = ports::free()?;
        Self::run(folder, port, &server_that_caches(port, origin), core)
    }

    fn run(folder: &Path, port: u16, server: &str, core: usize) -> Result<Self> {
        let program = paths::find_program("nginx").context("nginx is missing: cargo xtask setup --only packages")?;
        let config = folder.join("nginx.conf");
        fs::write(&config, configuration(server)).with_context(|| format!("cannot write {}", config.display()))?;
        let mut command = pinned(&program, Some(core));
        command.arg("-p").arg(folder).args(["-e", "nginx-errors.log", "-c", "nginx.conf"]);
        let mut service = Service::spawn("nginx", &mut command, &folder.join("nginx.log"))?;
        service.wait_for_port(port, READY_WITHIN)?;
        Ok(Self { service, port })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.service.pid()
    }
}

fn server_of_files(port: u16) -> String {
    let made = "x".repeat(MADE_BYTES);
    format!(
        "server {{
        listen 127.0.0.1:{port};
        root files;
        location / {{ add_header Cache-Control \"max-age=3600\"; }}
        location {STORABLE} {{ add_header Cache-Control \"max-age=3600\"; return 200 \"{made}\"; }}
        location {UNSTORABLE} {{ add_header Cache-Control \"no-store\"; return 200 \"{made}\"; }}
    }}"
    )
}

fn server_that_caches(port: u16, origin: u16) -> String {
    format!(
        "proxy_cache_path cached keys_zone=cached:16m inactive=1h;
    server {{
        listen 127.0.0.1:{port};
        proxy_cache cached;
        add_header X-Cache $upstream_cache_status;
        location / {{ proxy_pass http://127.0.0.1:{origin}; }}
    }}"
    )
}

/// Paths are below the folder that `-p` names. Debian's defaults (logs, temporary folders) need root: ours are in that folder, too.
/// `tcp_nopush` would make answers from files wait for more.
fn configuration(server: &str) -> String {
    format!(
        "daemon off;
master_process off;
pid nginx.pid;
error_log nginx-errors.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path tmp-body;
    proxy_temp_path tmp-proxy;
    fastcgi_temp_path tmp-fastcgi;
    uwsgi_temp_path tmp-uwsgi;
    scgi_temp_path tmp-scgi;
    sendfile on;
    tcp_nopush off;
    tcp_nodelay on;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    open_file_cache max=100 inactive=1h;
    default_type application/json;
    {server}
}}
"
    )
}
