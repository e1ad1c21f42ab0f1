//! A Postgres server of our own: on a free port of the loopback, in a folder of its own, ended with the value.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use larder_origin::changes::sqlx;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};
use tempfile::TempDir;

use crate::support::{free_port, until};

/// See the module.
pub struct Postgres {
    programs: PathBuf,
    folder: TempDir,
    user: Option<(u32, u32)>,
    port: u16,
}

impl Postgres {
    /// A server that runs, or nothing where there is no Postgres on this machine and nobody insists.
    pub async fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(
                std::env::var_os("LARDER_REQUIRE_SERVICES").is_none(),
                "there is no Postgres: install Debian's package postgresql, or set LARDER_POSTGRES_BIN to the folder of initdb"
            );
            println!("SKIPPED: there is no Postgres; install Debian's package postgresql, or set LARDER_POSTGRES_BIN");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let user = other_user(folder.path());
        if let Some((user, group)) = user {
            chown(folder.path(), Some(user), Some(group)).expect("given away");
        }
        let mut server = Self { programs, folder, user, port: free_port() };
        server.run("initdb", &["-U", "shop", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
        server.up().await;
        Some(server)
    }

    /// Starts it, after [`Postgres::down`].
    pub async fn up(&mut self) {
        let options =
            format!("-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off", self.port);
        let log = self.folder.path().join("log");
        self.run("pg_ctl", &["start", "--no-wait", "-s", "-l", &log.to_string_lossy(), "-o", &options]);
        let options = self.options();
        until("Postgres answers", async || options.connect().await.is_ok()).await;
    }

    /// Stops it, as if it had crashed.
    pub fn down(&self) {
        self.run("pg_ctl", &["stop", "-s", "-m", "immediate"]);
    }

    pub fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(self.port).username("shop").database("postgres")
    }

    pub async fn connect(&self) -> PgConnection {
        self.options().connect().await.expect("a connection")
    }

    fn run(&self, program: &str, args: &[&str]) {
        let ran = self.command(program, args).status().expect("it starts");
        assert!(ran.success(), "{program} {args:?}: {ran}");
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.args(args).arg("-D").arg(self.folder.path().join("data")).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        if let Some((user, group)) = self.user {
            command.gid(group).uid(user);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.command("pg_ctl", &["stop", "-s", "-m", "immediate"]).stderr(Stdio::null()).status();
    }
}

/// The folder with `initdb`: what a variable says, or the newest that Debian has installed.
fn programs() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("LARDER_POSTGRES_BIN") {
        return Some(PathBuf::from(given));
    }
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    folders.filter(|folder| folder.join("initdb").exists()).max_by_key(|folder| {
        let version = folder.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        version.and_then(|version| version.parse::<f64>().ok()).map(f64::to_bits)
    })
}

/// Postgres does not run as root: then it is somebody else, by number. `folder` is one that we have made.
fn other_user(folder: &Path) -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    if fs::metadata(folder).expect("a folder").uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("users");
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map(|field| field.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    };
    Some(find("postgres").or_else(|| find("nobody")).expect("a user beside root"))
}

/// Runs SQL.
pub async fn run(connection: &mut PgConnection, sql: &str) {
    let ran = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await;
    ran.unwrap_or_else(|error| panic!("{error}: {sql}"));
}
