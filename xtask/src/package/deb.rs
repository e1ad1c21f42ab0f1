//! The Debian package: the command with manual pages and completions, the module, systemd units, a first configuration, and examples.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use flate2::Compression;

use super::tree::{Tree, gzip};
use super::{Inputs, Profile, files_below, images, read};
use crate::{paths, process};

/// What was put into the package besides the command, from where to where. A folder stands for the files in it.
const FILES: &[(&str, &str)] = &[
    ("deploy/systemd/larder-node.service", "usr/lib/systemd/system/larder-node.service"),
    ("deploy/systemd/larder-proxy.service", "usr/lib/systemd/system/larder-proxy.service"),
    ("deploy/systemd/node.json", "etc/larder/node.json"),
    ("README.md", "usr/share/doc/larder/README.md"),
    ("docs/metrics.md", "usr/share/doc/larder/metrics.md"),
    ("policies/default.json", "usr/share/doc/larder/examples/policies/default.json"),
    ("policies/shop-api.json", "usr/share/doc/larder/examples/policies/shop-api.json"),
    ("policies/static-assets.json", "usr/share/doc/larder/examples/policies/static-assets.json"),
    ("policies/schema.json", "usr/share/doc/larder/examples/policies/schema.json"),
    ("envoy/minimal.yaml", "usr/share/doc/larder/examples/envoy/minimal.yaml"),
    ("envoy/cluster.yaml", "usr/share/doc/larder/examples/envoy/cluster.yaml"),
    ("envoy/redis.yaml", "usr/share/doc/larder/examples/envoy/redis.yaml"),
    ("deploy/prometheus/rules.yml", "usr/share/doc/larder/examples/prometheus/rules.yml"),
    ("deploy/grafana/larder.json", "usr/share/doc/larder/examples/grafana/larder.json"),
];

/// Scripts that dpkg runs.
const SCRIPTS: &[&str] = &["postinst", "prerm", "postrm"];

/// Files that are the administrator's once they are installed.
const CONFFILES: &str = "/etc/larder/node.json\n";

/// Writes the package to a folder.
pub fn make(inputs: &Inputs, out: &Path) -> Result<PathBuf> {
    let binary = inputs.binary.as_ref().context("there is no command")?;
    let module = inputs.module.as_deref().context("there is no module")?;
    let mut tree = Tree::default();
    tree.program("usr/bin/larder", binary.content.clone());
    tree.file("usr/share/larder/larder.wasm", module);
    for (from, to) in FILES {
        tree.file(to, read(&paths::root().join(from))?);
    }
    tree.file("usr/share/doc/larder/copyright", copyright()?);
    pages(&binary.path, &mut tree)?;
    for (shell, path) in [
        ("bash", "usr/share/bash-completion/completions/larder"),
        ("zsh", "usr/share/zsh/vendor-completions/_larder"),
        ("fish", "usr/share/fish/vendor_completions.d/larder.fish"),
    ] {
        tree.file(path, process::stdout(Command::new(&binary.path).args(["completions", shell]))?);
    }
    let installed = tree.bytes().div_ceil(1024);
    let sums = sums(&tree)?;
    // glibc's symbols are versioned: what was linked to them here wants these or newer.
    let depends = if binary.libraries.is_empty() { "" } else { "Depends: libc6, libgcc-s1\n" };
    let architecture = images::architecture();
    let version = &inputs.version;
    tree.file(
        "DEBIAN/control",
        format!(
            "Package: larder\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: Larder <larder@localhost>\n\
             Installed-Size: {installed}\n{depends}Recommends: redis-server | valkey-server\nSection: httpd\nPriority: optional\n\
             Description: shared HTTP cache inside Envoy\n \
             Larder caches HTTP APIs inside Envoy by policies in JSON. This package has its command\n \
             (nodes of the cache cluster, a caching reverse proxy, tools for policies) and the plugin\n \
             for Envoy, /usr/share/larder/larder.wasm.\n"
        ),
    );
    tree.file("DEBIAN/conffiles", CONFFILES);
    tree.file("DEBIAN/md5sums", sums);
    for script in SCRIPTS {
        tree.program(&format!("DEBIAN/{script}"), read(&paths::root().join("deploy/debian").join(script))?);
    }
    let staging = paths::scratch("package").join("deb");
    let _ = fs::remove_dir_all(&staging);
    fs::create_dir_all(&staging).with_context(|| format!("cannot create {}", staging.display()))?;
    tree.write(&staging)?;
    let package = out.join(format!("larder_{version}_{architecture}.deb"));
    let compression: &[&str] = if inputs.profile == Profile::Release { &["-Zxz"] } else { &["-Zgzip", "-z1"] };
    let mut build = Command::new("dpkg-deb");
    build.arg("--root-owner-group").args(compression).arg("--build").arg(&staging).arg(&package);
    build.env("SOURCE_DATE_EPOCH", inputs.epoch.to_string());
    process::stdout(&mut build).context("dpkg-deb cannot make the package")?;
    Ok(package)
}

/// Manual pages, compressed as Debian has them.
fn pages(larder: &Path, tree: &mut Tree) -> Result<()> {
    let folder = paths::scratch("package").join("man");
    let _ = fs::remove_dir_all(&folder);
    process::stdout(Command::new(larder).arg("man").arg(&folder))?;
    let pages = files_below(&folder)?;
    ensure!(!pages.is_empty(), "larder man wrote no pages");
    for page in pages {
        let name = page.file_name().unwrap_or_default().to_string_lossy();
        tree.file(&format!("usr/share/man/man1/{name}.gz"), gzip(&read(&page)?, Compression::best())?);
    }
    Ok(())
}

/// The lines by which dpkg tells whether a file was changed.
fn sums(tree: &Tree) -> Result<String> {
    let folder = paths::scratch("package").join("md5");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    tree.write(&folder)?;
    let names = tree.files().map(|(path, _)| path);
    process::stdout(Command::new("md5sum").current_dir(&folder).args(names))
}

fn copyright() -> Result<String> {
    let text = |name: &str| read(&paths::root().join(name)).map(|text| String::from_utf8_lossy(&text).into_owned());
    let mit = text("LICENSE-MIT")?.replace("\n\n", "\n.\n").replace('\n', "\n ");
    Ok(format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: larder\n\n\
         Files: *\nCopyright: the authors of Larder\nLicense: MIT or Apache-2.0\n\nLicense: MIT\n {}\n\n\
         License: Apache-2.0\n On Debian systems, the text is in /usr/share/common-licenses/Apache-2.0.\n",
        mit.trim_end()
    ))
}
