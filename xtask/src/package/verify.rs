//! What was made, read by the tools of those who will read it: skopeo (images), dpkg (the package), CycloneDX's schema (bills), sha256sum.
//! The command is run where image and package have put it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::unistd::geteuid;
use serde_json::Value;

use super::{Inputs, Part, images, progress, read};
use crate::build::digest;
use crate::setup::schemas::Schemas;
use crate::{paths, process};

const CYCLONEDX: &str = "\
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
for file in sys.argv[1:]:
    error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(file).read())
    if error: sys.exit(f'{file}: {error}')
";

pub fn all(inputs: &Inputs, parts: &[Part], out: &Path, schemas: &Schemas) -> Result<()> {
    for part in parts {
        match part {
            Part::Wasm => module(inputs, out)?,
            Part::Node => node(inputs, out)?,
            Part::Deb => deb(inputs, out)?,
            Part::Sbom => {
                let files = ["larder.cdx.json", "larder.wasm.cdx.json"].map(|name| out.join(name));
                process::stdout(schemas.python().args(["-c", CYCLONEDX]).args(files)).context("CycloneDX's schema")?;
            }
        }
    }
    let mut sums = Command::new("sha256sum");
    process::stdout(sums.current_dir(out).args(["--check", "--strict", "--quiet", "SHA256SUMS"])).map(drop)
}

/// The compat image as Istio reads it, and the artifact.
fn module(inputs: &Inputs, out: &Path) -> Result<()> {
    let wanted = inputs.module.as_deref().context("there is no module")?;
    let image = Image::read(&out.join("larder-wasm"), &inputs.version)?;
    ensure!(image.layers.len() == 1, "the module's image has {} layers", image.layers.len());
    let root = image.unpacked("wasm")?;
    ensure!(read(&root.join("plugin.wasm"))? == wanted, "the image holds another module");
    let artifact = Image::read(&out.join("larder-wasm-artifact"), &inputs.version)?;
    let layer = artifact.layers.iter().find(|(kind, _)| kind == "application/vnd.module.wasm.content.layer.v1+wasm");
    let (_, blob) = layer.context("the artifact has no layer with a module")?;
    ensure!(artifact.layers.len() == 2 && read(blob)? == wanted, "the artifact holds something else");
    Ok(())
}

fn node(inputs: &Inputs, out: &Path) -> Result<()> {
    let image = Image::read(&out.join("larder-node"), &inputs.version)?;
    let told = &image.told;
    ensure!(told["Os"] == "linux" && told["Architecture"] == images::architecture(), "another platform: {told}");
    let config = &image.config["config"];
    ensure!(config["User"].as_str().is_some_and(|user| !user.starts_with('0')), "the node would run as root");
    let root = image.unpacked("node")?;
    let program = config["Entrypoint"][0].as_str().context("no entrypoint")?;
    runs(&root, program, &inputs.version)
}

fn deb(inputs: &Inputs, out: &Path) -> Result<()> {
    let package = out.join(format!("larder_{}_{}.deb", inputs.version, images::architecture()));
    let dpkg = |word: &str, more: &[&Path]| -> Result<String> {
        process::stdout(Command::new("dpkg-deb").arg(word).arg(&package).args(more))
    };
    let info = dpkg("--info", &[])?;
    ensure!(info.contains("Package: larder") && info.contains("conffiles"), "dpkg-deb sees something else: {info}");
    let contents = dpkg("--contents", &[])?;
    for path in [
        "./usr/bin/larder",
        "./usr/share/larder/larder.wasm",
        "./usr/share/man/man1/larder.1.gz",
        "./etc/larder/node.json",
    ] {
        ensure!(contents.contains(path), "the package has no {path}");
    }
    let ours = contents.lines().find(|line| !line.contains(" root/root "));
    ensure!(ours.is_none(), "not root's: {}", ours.unwrap_or_default());
    let root = scratch("deb-root")?;
    dpkg("--extract", &[&root])?;
    let mut sums = Command::new("md5sum");
    let control = scratch("deb-control")?;
    dpkg("--control", &[&control])?;
    process::stdout(sums.current_dir(&root).args(["--check", "--strict", "--quiet"]).arg(control.join("md5sums")))?;
    for script in ["postinst", "prerm", "postrm"] {
        process::stdout(Command::new("sh").arg("-n").arg(control.join(script)))?;
    }
    let larder = root.join("usr/bin/larder");
    let version = process::stdout(Command::new(&larder).arg("--version"))?;
    ensure!(version.trim() == format!("larder {}", inputs.version), "the installed command says {version}");
    let policies = root.join("usr/share/doc/larder/examples/policies");
    let example = policies.join("default.json");
    process::stdout(Command::new(&larder).arg("check").arg(example)).context("the installed example")?;
    Ok(())
}

/// Runs a program with a folder as its root, where we may.
fn runs(root: &Path, program: &str, version: &str) -> Result<()> {
    let mut command = Command::new("chroot");
    if !geteuid().is_root() {
        progress("not root: the image's command is not run inside the image");
        return Ok(());
    }
    let said = process::stdout(command.arg(root).args([program, "--version"]))?;
    ensure!(said.trim() == format!("larder {version}"), "the image's command says {said}");
    Ok(())
}

/// An image, as skopeo copied it to another layout.
struct Image {
    /// What `skopeo inspect` says; nothing of an artifact.
    told: Value,
    config: Value,
    /// Media type and file of each.
    layers: Vec<(String, PathBuf)>,
}

impl Image {
    fn read(layout: &Path, tag: &str) -> Result<Self> {
        let name = layout.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let copy = scratch(&format!("copy-{name}"))?;
        let reference = |folder: &Path| format!("oci:{}:{tag}", folder.display());
        let skopeo = |words: &[&str]| process::stdout(Command::new("skopeo").arg("--insecure-policy").args(words));
        skopeo(&["copy", "--quiet", &reference(layout), &reference(&copy)])?;
        let manifest = skopeo(&["inspect", "--raw", &reference(&copy)])?;
        let blob = |digest: &str| copy.join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
        let index: Value = serde_json::from_slice(&read(&layout.join("index.json"))?).context("index.json")?;
        let kept = index["manifests"][0]["digest"] == format!("sha256:{}", digest(manifest.as_bytes()));
        ensure!(kept, "skopeo made another manifest of {name}");
        let manifest: Value = serde_json::from_str(&manifest).context("a manifest")?;
        let is_image = manifest["config"]["mediaType"] == super::oci::CONFIG;
        let told = if is_image { skopeo(&["inspect", &reference(&copy)])? } else { "null".to_owned() };
        let digest_of = |descriptor: &Value| descriptor["digest"].as_str().unwrap_or_default().to_owned();
        let config = read(&blob(&digest_of(&manifest["config"])))?;
        let layers = manifest["layers"].as_array().context("no layers")?.iter();
        Ok(Self {
            told: serde_json::from_str(&told).context("skopeo inspect")?,
            config: serde_json::from_slice(&config).context("an image's configuration")?,
            layers: layers
                .map(|layer| (layer["mediaType"].as_str().unwrap_or_default().to_owned(), blob(&digest_of(layer))))
                .collect(),
        })
    }

    /// Its layers, one over the other, in a folder.
    fn unpacked(&self, name: &str) -> Result<PathBuf> {
        let root = scratch(&format!("root-{name}"))?;
        for (_, layer) in &self.layers {
            let mut tar = Command::new("tar");
            process::stdout(
                tar.args(["--extract", "--gzip", "--no-same-owner", "--file"]).arg(layer).arg("--directory").arg(&root),
            )?;
        }
        Ok(root)
    }
}

/// An empty folder.
fn scratch(name: &str) -> Result<PathBuf> {
    let folder = paths::scratch("package").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}
