//! The Envoy process: rendered bootstrap, ports chosen by the kernel, ready before the test goes on, gone when dropped.
//!
//! Kills only what it started, by its id. Does not know what the module does.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::client::{self, Response};
use super::template::render;
use super::wait::until;
use super::wallclock::Clock;

/// V8 compiles the module at the start, several times over; on a busy machine that takes a while.
const READY_WITHIN: Duration = Duration::from_secs(180);

/// How to start Envoy.
#[derive(Debug)]
pub struct Setup {
    template: String,
    values: BTreeMap<String, String>,
    concurrency: u32,
    movable_clock: bool,
    log_level: String,
    environment: Vec<(String, String)>,
}

/// Why Envoy did not start, with its log.
#[derive(Debug)]
pub struct StartError {
    /// What went wrong.
    pub message: String,
    /// What Envoy logged.
    pub log: String,
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let log: Vec<&str> = self.log.lines().rev().take(40).collect();
        let log: Vec<&str> = log.into_iter().rev().collect();
        write!(f, "{}\n--- the end of Envoy's log\n{}", self.message, log.join("\n"))
    }
}

impl std::error::Error for StartError {}

impl Setup {
    /// Envoy with a bootstrap template (its text). `LARDER_WASM`, `LISTEN_PORT` and `ADMIN_PORT` have values already: the module
    /// under test, and 0, so that the kernel chooses the ports.
    pub fn new(template: impl Into<String>) -> Self {
        let mut values = BTreeMap::new();
        values.insert("LISTEN_PORT".to_owned(), "0".to_owned());
        values.insert("ADMIN_PORT".to_owned(), "0".to_owned());
        Self {
            template: template.into(),
            values,
            concurrency: 1,
            movable_clock: false,
            environment: Vec::new(),
            log_level: "warning,wasm:info".to_owned(),
        }
    }

    /// Envoy with a file of `envoy/`.
    ///
    /// # Panics
    /// Where the file cannot be read.
    pub fn from_file(name: &str) -> Self {
        let path = bootstrap_folder().join(name);
        Self::new(fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// Gives a placeholder its value.
    #[must_use]
    pub fn value(mut self, name: &str, value: impl ToString) -> Self {
        self.values.insert(name.to_owned(), value.to_string());
        self
    }

    /// Number of worker threads. Default 1.
    #[must_use]
    pub fn concurrency(mut self, workers: u32) -> Self {
        self.concurrency = workers;
        self
    }

    /// Gives Envoy an environment variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Makes [`Envoy::advance`] possible.
    #[must_use]
    pub fn movable_clock(mut self) -> Self {
        self.movable_clock = true;
        self
    }

    /// Envoy's log level, in the words of its `-l` option (`debug`), or with components (`warning,wasm:trace`).
    #[must_use]
    pub fn log_level(mut self, level: &str) -> Self {
        level.clone_into(&mut self.log_level);
        self
    }

    /// Starts Envoy and waits until it is ready.
    ///
    /// # Errors
    /// Envoy exited (a configuration that it refuses), or was not ready in time.
    pub fn start(mut self) -> Result<Envoy, StartError> {
        let failed = |message: String| StartError { message, log: String::new() };
        let folder = scratch_folder().map_err(|error| failed(format!("no scratch folder: {error}")))?;
        if self.template.contains("${LARDER_WASM}") && !self.values.contains_key("LARDER_WASM") {
            self.values.insert("LARDER_WASM".to_owned(), module_path().display().to_string());
        }
        let text = render(&self.template, &self.values).map_err(|name| failed(format!("no value for ${{{name}}}")))?;
        self.launch(folder, &text).map_err(|error| match error {
            Launch::Io(error) => failed(format!("cannot start Envoy: {error}")),
            Launch::Start(error) => error,
        })
    }

    fn launch(self, folder: PathBuf, bootstrap: &str) -> Result<Envoy, Launch> {
        let config = folder.join("envoy.yaml");
        fs::write(&config, bootstrap)?;
        let clock = self.movable_clock.then(|| Clock::new(&folder)).transpose()?;
        let admin = folder.join("admin-address");
        let log = folder.join("envoy.log");
        let (level, components) = self.log_level.split_once(',').unwrap_or((&self.log_level, ""));
        let mut command = Command::new(envoy_binary());
        command
            .args(["--disable-hot-restart", "--file-flush-interval-msec", "100", "-l", level])
            .args(["--concurrency", &self.concurrency.to_string()])
            .args(["--drain-time-s", "1", "--parent-shutdown-time-s", "2"])
            .arg("-c")
            .arg(&config)
            .arg("--admin-address-path")
            .arg(&admin)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?);
        if !components.is_empty() {
            command.args(["--component-log-level", components]);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(clock) = &clock {
            command.envs(clock.environment());
        }
        let child = command.spawn()?;
        let mut envoy = Envoy { child, folder, log, clock, port: 0, admin_port: 0 };
        envoy.await_ready(&admin).map_err(|message| StartError { message, log: envoy.log() })?;
        Ok(envoy)
    }
}

enum Launch {
    Io(io::Error),
    Start(StartError),
}

impl From<io::Error> for Launch {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<StartError> for Launch {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}

/// A running Envoy. Dropping it kills the process and removes its files.
#[derive(Debug)]
pub struct Envoy {
    child: Child,
    folder: PathBuf,
    log: PathBuf,
    clock: Option<Clock>,
    port: u16,
    admin_port: u16,
}

impl Envoy {
    /// The port of its first listener.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port of its admin interface.
    pub fn admin_port(&self) -> u16 {
        self.admin_port
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A folder of its own, for files that a bootstrap names.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Whether the process runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Moves Envoy's wall clock forward. Timers are not touched.
    ///
    /// # Panics
    /// Without [`Setup::movable_clock`].
    pub fn advance(&mut self, by: Duration) {
        let clock = self.clock.as_mut().expect("Setup::movable_clock was not asked for");
        clock.advance(by).expect("the clock's file can be written");
    }

    /// GET on the listener, on a connection of its own.
    #[track_caller]
    pub fn get(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        client::get(self.port, path, fields)
    }

    /// GET on the admin interface; the body.
    #[track_caller]
    pub fn admin(&self, path: &str) -> String {
        client::get(self.admin_port, path, &[]).text()
    }

    /// A counter or gauge by its full name; 0 where there is none.
    #[track_caller]
    pub fn stat(&self, name: &str) -> u64 {
        let stats = self.admin("/stats");
        let mut values = stats.lines().filter_map(|line| line.split_once(": "));
        values.find(|(known, _)| *known == name).and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
    }

    /// What Prometheus would scrape, line by line, without comments.
    #[track_caller]
    pub fn prometheus(&self) -> Vec<String> {
        let stats = self.admin("/stats/prometheus");
        stats.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect()
    }

    /// Waits for a line of the Prometheus output that begins with this.
    #[track_caller]
    pub fn await_metric(&self, beginning: &str) -> String {
        until(beginning, || self.prometheus().into_iter().find(|line| line.starts_with(beginning)))
    }

    fn await_ready(&mut self, admin_file: &Path) -> Result<(), String> {
        let started = Instant::now();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("Envoy exited with {status}"));
            }
            if started.elapsed() > READY_WITHIN {
                return Err(format!("Envoy was not ready within {READY_WITHIN:?}"));
            }
            if self.admin_port == 0 {
                let address = fs::read_to_string(admin_file).unwrap_or_default();
                self.admin_port = port_of(&address).unwrap_or(0);
            } else if let Some(port) = self.listening() {
                self.port = port;
                return Ok(());
            }
            thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// The first listener's port, once Envoy says that it is ready.
    fn listening(&self) -> Option<u16> {
        let ready = client::try_request(self.admin_port, "GET", "/ready", &[], b"").ok()?;
        if ready.status != 200 {
            return None;
        }
        let listeners = client::try_request(self.admin_port, "GET", "/listeners", &[], b"").ok()?;
        listeners.text().lines().find_map(port_of)
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- Envoy's log, also in {}\n{}", self.log.display(), self.log());
        } else {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

fn port_of(address: &str) -> Option<u16> {
    address.trim().rsplit_once(':')?.1.parse().ok().filter(|port| *port != 0)
}

/// The folder `envoy/` of the workspace.
pub fn bootstrap_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../envoy")
}

/// The Envoy binary: `$LARDER_ENVOY`, else `envoy` in `$PATH`.
///
/// # Panics
/// Where there is none.
pub fn envoy_binary() -> PathBuf {
    if let Some(path) = env::var_os("LARDER_ENVOY").filter(|path| !path.is_empty()) {
        return path.into();
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&folders).map(|folder| folder.join("envoy")).find(|file| file.is_file());
    found.expect("no Envoy: run `cargo xtask setup`, or set LARDER_ENVOY to the binary")
}

/// The module under test: `$LARDER_WASM`, else `larder.wasm` in cargo's target folder.
///
/// # Panics
/// Where there is none.
pub fn module_path() -> PathBuf {
    let path = match env::var_os("LARDER_WASM").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => {
            let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
            let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"));
            target.join("larder.wasm")
        }
    };
    let found = path.canonicalize();
    found.unwrap_or_else(|_| panic!("no module at {}: run `cargo xtask build`, or set LARDER_WASM", path.display()))
}

fn scratch_folder() -> io::Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = env::temp_dir().join(format!("larder-envoy-{}-{number}", std::process::id()));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
