//! `bench l1`: a hot hit in a worker's own memory, of three sizes, and a 304 to If-None-Match.
//!
//! Against what Envoy can do without Larder: answer from its configuration (the least that any answer costs), its own
//! cache_v2 filter with the cache in memory, asking nginx each time, and asking a Varnish that has it. And against two caches that
//! are not in Envoy: nginx and Varnish by themselves. Each Envoy has one worker and the same listener; nginx is the origin of all.
//! Larder runs policies/default.json, which does what the origin's own headers say.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::cpu::{self, Cores};
use super::frame::{self, Answer, Asked, Case, Counter, Effort, Server, Shot, Use};
use super::nginx::Nginx;
use super::row::{Bound, Goal, Metric, Row};
use super::varnish::Varnish;
use crate::envoy::{Envoy, Launch};
use crate::http::{self, Request};
use crate::{build, paths, setup};

const TEMPLATE: &str = include_str!("envoy.yaml");

const SIZES: [(&str, &str, usize); 3] =
    [("hit 1 KB", "1k.json", 1 << 10), ("hit 10 KB", "10k.json", 10 << 10), ("hit 100 KB", "100k.json", 100 << 10)];
const NOT_MODIFIED: &str = "304 of 1 KB";

const LARDER: &str = "larder";
const DIRECT: &str = "direct_response";
const NATIVE: &str = "cache_v2";
const PROXY: &str = "proxy_to_nginx";
const ENVOY_VARNISH: &str = "proxy_to_varnish";
const NGINX_CACHE: &str = "nginx proxy_cache";
const VARNISH: &str = "varnish";

const GOALS: &[Goal] = &[
    Goal {
        case: SIZES[0].0,
        subject: LARDER,
        against: DIRECT,
        metric: Metric::CpuPerRequest,
        bound: Bound::AtMost(1.35),
    },
    Goal {
        case: NOT_MODIFIED,
        subject: LARDER,
        against: NATIVE,
        metric: Metric::CpuPerRequest,
        bound: Bound::AtMost(0.6),
    },
    Goal {
        case: SIZES[0].0,
        subject: LARDER,
        against: ENVOY_VARNISH,
        metric: Metric::CpuPerRequestWithOrigin,
        bound: Bound::AtMost(0.5),
    },
];

/// What a browser sends along: parsing it is part of every request.
const BROWSER: [(&str, &str); 5] = [
    ("accept", "application/json, text/plain, */*"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-language", "en-US,en;q=0.5"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("referer", "http://localhost/catalogue"),
];

/// Sets everything up, measures, and stops everything.
pub fn run(effort: Effort) -> Result<Vec<Row>> {
    setup::packages::ensure().context("nginx, Varnish and wrk are needed")?;
    let (envoy, _) = setup::envoy::ensure().context("no Envoy")?;
    let (toolchain, _) = setup::wasm::ensure().context("no compiler for wasm")?;
    let module = build::release(&toolchain)?;
    let cores = cpu::cores()?;
    let folder = paths::scratch("bench-l1");
    let _ = fs::remove_dir_all(&folder);

    let files: Vec<(&str, Vec<u8>)> = SIZES.iter().map(|&(_, name, bytes)| (name, document(bytes))).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    let nginx = Nginx::start(&folder.join("nginx"), &files, cores.origin)?;
    let place = Place { envoy: &envoy, folder: &folder, origin: nginx.port, core: cores.server };
    // The peers' core is what all servers under test have.
    let varnish = Varnish::start(&folder.join("varnish"), nginx.port, cores.server)?;
    let subjects = Subjects {
        larder: place.start("larder", PASS_ON, &larder(&module.path, &default_policy()?))?,
        direct: place.start("direct", &direct(&folder.join("nginx/files"))?, "")?,
        native: place.start("native", PASS_ON, CACHE_V2)?,
        proxy: place.start("proxy", PASS_ON, "")?,
        before_varnish: Place { origin: varnish.port, ..place }.start("before-varnish", PASS_ON, "")?,
        caching: Nginx::caching(&folder.join("nginx-cache"), nginx.port, cores.server)?,
        varnish,
    };
    eprintln!(
        "... {} rounds of {} s for each subject; servers on core {}, client on core {}, nginx on core {}",
        effort.rounds, effort.seconds, cores.server, cores.client, cores.origin
    );
    measure(&subjects, &nginx, effort, cores, &folder)
}

struct Subjects {
    larder: Envoy,
    direct: Envoy,
    native: Envoy,
    proxy: Envoy,
    before_varnish: Envoy,
    caching: Nginx,
    varnish: Varnish,
}

fn measure(subjects: &Subjects, nginx: &Nginx, effort: Effort, cores: Cores, folder: &Path) -> Result<Vec<Row>> {
    let Subjects { larder, direct, native, proxy, before_varnish, caching, varnish } = subjects;
    let shot = |subject, envoy: &Envoy, of_origin: Use, request: &Request, answer: Answer| Shot {
        subject,
        server: Server { port: envoy.port, pid: envoy.pid() },
        behind: vec![nginx.pid()],
        asked: vec![Asked { counter: Counter::Cluster { admin: envoy.admin, name: "origin" }, of_it: of_origin }],
        request: request.clone(),
        script: None,
        answer,
    };
    let through_varnish = |request: &Request, answer: Answer| Shot {
        behind: vec![varnish.pid],
        ..shot(ENVOY_VARNISH, before_varnish, Use::Always, request, answer)
    };
    let peer = |subject, port, pid, request: &Request, answer: Answer| Shot {
        subject,
        server: Server { port, pid },
        behind: vec![nginx.pid()],
        asked: Vec::new(),
        request: request.clone(),
        script: None,
        answer,
    };
    let mut cases = Vec::new();
    for (name, file, bytes) in SIZES {
        let request = browser(file);
        let whole = |field| Answer { status: 200, bytes, field };
        cases.push(Case {
            name,
            compared: 1,
            shots: vec![
                shot(LARDER, larder, Use::Never, &request, whole(Some(("cache-status", "; hit")))),
                shot(DIRECT, direct, Use::Never, &request, whole(None)),
                shot(NATIVE, native, Use::Never, &request, whole(Some(("age", "")))),
                shot(PROXY, proxy, Use::Always, &request, whole(Some(("etag", "\"")))),
                through_varnish(&request, whole(VARNISH_HIT)),
                peer(NGINX_CACHE, caching.port, caching.pid(), &request, whole(NGINX_HIT)),
                peer(VARNISH, varnish.port, varnish.pid, &request, whole(VARNISH_HIT)),
            ],
        });
    }
    let request = browser(SIZES[0].1);
    let etag = http::send(nginx.port, &request)?.field("etag").context("nginx sends no ETag")?.to_owned();
    let request = request.field("if-none-match", etag);
    let unchanged = |field| Answer { status: 304, bytes: 0, field };
    cases.push(Case {
        name: NOT_MODIFIED,
        compared: 1,
        shots: vec![
            shot(LARDER, larder, Use::Never, &request, unchanged(Some(("cache-status", "; hit")))),
            // The native filter passes every conditional request on.
            shot(NATIVE, native, Use::Always, &request, unchanged(None)),
            shot(PROXY, proxy, Use::Always, &request, unchanged(None)),
            through_varnish(&request, unchanged(VARNISH_HIT)),
            peer(NGINX_CACHE, caching.port, caching.pid(), &request, unchanged(NGINX_HIT)),
            peer(VARNISH, varnish.port, varnish.pid, &request, unchanged(VARNISH_HIT)),
        ],
    });
    frame::measure("l1", &cases, GOALS, effort, cores, &folder.join("wrk.log"))
}

/// Varnish names two requests: this one, and the one that brought what it has.
const VARNISH_HIT: Option<(&str, &str)> = Some(("x-varnish", " "));
const NGINX_HIT: Option<(&str, &str)> = Some(("x-cache", "HIT"));

/// A GET as a browser sends it, of a path without its first slash.
pub fn browser(file: &str) -> Request {
    BROWSER.iter().fold(Request::get(format!("/{file}")), |request, (name, value)| request.field(name, *value))
}

/// Where all subjects run.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Envoy's binary.
    pub envoy: &'a Path,
    /// Where files are written.
    pub folder: &'a Path,
    /// The origin's port.
    pub origin: u16,
    /// The processor core to stay on.
    pub core: usize,
}

impl Place<'_> {
    /// Starts an Envoy with these routes and filters.
    pub fn start(&self, name: &str, routes: &str, filters: &str) -> Result<Envoy> {
        self.start_with(name, routes, filters, 1)
    }

    /// The same with so many workers.
    pub fn start_with(&self, name: &str, routes: &str, filters: &str, workers: u32) -> Result<Envoy> {
        let values = BTreeMap::from([
            ("ROUTES", routes.to_owned()),
            ("FILTERS", filters.to_owned()),
            ("ORIGIN_PORT", self.origin.to_string()),
        ]);
        let launch = Launch {
            name,
            binary: self.envoy,
            template: TEMPLATE,
            values,
            folder: self.folder,
            core: Some(self.core),
            workers,
            epoch: None,
        };
        launch.start().with_context(|| format!("the subject {name} does not start"))
    }
}

/// Everything to the origin.
pub const PASS_ON: &str = "- { match: { prefix: / }, route: { cluster: origin } }";

const CACHE_V2: &str = r#"- name: envoy.filters.http.cache_v2
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.cache_v2.v3.CacheV2Config
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.http.cache_v2.simple_http_cache.v3.SimpleHttpCacheV2Config"#;

/// policies/default.json.
pub fn default_policy() -> Result<String> {
    let policy = paths::root().join("policies/default.json");
    fs::read_to_string(&policy).with_context(|| format!("cannot read {}", policy.display()))
}

/// The plugin as envoy/ configures it, with a configuration.
pub fn larder(module: &Path, configuration: &str) -> String {
    let lines: Vec<String> = configuration.lines().map(|line| format!("          {line}")).collect();
    format!(
        r#"- name: larder
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
    config:
      name: larder
      root_id: larder
      failure_policy: FAIL_RELOAD
      allow_on_headers_stop_iteration: true
      vm_config:
        runtime: envoy.wasm.runtime.v8
        vm_id: larder
        code: {{ local: {{ filename: "{}" }} }}
      configuration:
        "@type": type.googleapis.com/google.protobuf.StringValue
        value: |
{}"#,
        module.display(),
        lines.join("\n")
    )
}

/// The same bodies from Envoy's configuration, with the fields that nginx's answers have.
fn direct(files: &Path) -> Result<String> {
    let route = |&(_, name, _): &(&str, &str, usize)| {
        let file: PathBuf = files.join(name);
        ensure!(file.exists(), "{} is missing", file.display());
        Ok(format!(
            r#"- match: {{ path: /{name} }}
  direct_response: {{ status: 200, body: {{ filename: "{}" }} }}
  response_headers_to_add:
  - {{ header: {{ key: content-type, value: application/json }}, append_action: OVERWRITE_IF_EXISTS_OR_ADD }}
  - {{ header: {{ key: cache-control, value: max-age=3600 }} }}
  - {{ header: {{ key: etag, value: '"5f1b2c3d-400"' }} }}
  - {{ header: {{ key: last-modified, value: "Sun, 22 Nov 2026 19:22:00 GMT" }} }}"#,
            file.display()
        ))
    };
    Ok(SIZES.iter().map(route).collect::<Result<Vec<_>>>()?.join("\n"))
}

/// A JSON document of exactly so many bytes.
pub fn document(bytes: usize) -> Vec<u8> {
    let mut text = String::from("[");
    let mut number = 0;
    while text.len() + 80 < bytes {
        text.push_str(&format!("{{\"id\":{number},\"name\":\"product {number}\",\"cents\":{}}},", number * 37 % 9973));
        number += 1;
    }
    text.push('"');
    text.extend(std::iter::repeat_n('x', bytes - text.len() - 2));
    text.push_str("\"]");
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_json_of_exactly_that_length() {
        for (_, _, bytes) in SIZES {
            let document = document(bytes);
            assert_eq!(document.len(), bytes);
            serde_json::from_slice::<serde_json::Value>(&document).unwrap();
        }
    }

    #[test]
    fn every_goal_is_for_a_case_that_is_measured() {
        let cases: Vec<&str> = SIZES.iter().map(|(name, ..)| *name).chain([NOT_MODIFIED]).collect();
        assert!(GOALS.iter().all(|goal| cases.contains(&goal.case)));
    }
}
