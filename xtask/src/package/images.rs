//! What is in each image.
//!
//! The module's is the "compat" variant of the Wasm image specification, an ordinary image whose last layer holds `plugin.wasm`, which
//! Istio and Envoy Gateway read, and any registry takes; and the "oci" variant, an artifact with the bare module as a layer of its own.

use std::path::Path;

use anyhow::{Context, Result};
use flate2::Compression;
use serde_json::{Map, Value, json};

use super::oci::{Blob, CONFIG, LAYER, write_layout};
use super::tree::{Tree, gzip};
use super::{Inputs, Made, Profile, read, sbom};
use crate::build::digest;

const LICENSES: &str = "MIT OR Apache-2.0";
/// Whom the node runs as: "nonroot" in many images.
const USER: u32 = 65532;
/// The name by which larder.wasm's root context is asked for; any will do.
const ROOT_ID: &str = "larder";

const MODULE_LAYER: &str = "application/vnd.module.wasm.content.layer.v1+wasm";
const MODULE_CONFIG: &str = "application/vnd.module.wasm.config.v1+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

fn annotations(inputs: &Inputs, title: &str, description: &str) -> Result<Map<String, Value>> {
    let of = |name: &str, value: String| (format!("org.opencontainers.image.{name}"), Value::String(value));
    Ok(Map::from_iter([
        of("created", sbom::timestamp(inputs.epoch)?),
        of("description", description.to_owned()),
        of("licenses", LICENSES.to_owned()),
        of("title", title.to_owned()),
        of("version", inputs.version.clone()),
    ]))
}

/// The module for Istio and Envoy Gateway.
pub fn module(inputs: &Inputs, module: &[u8], folder: &Path) -> Result<Made> {
    let mut tree = Tree::default();
    tree.file("plugin.wasm", module);
    let annotations = annotations(inputs, "larder-wasm", "Larder, a shared HTTP cache inside Envoy: the plugin")?;
    let platform = json!({ "architecture": "wasm", "os": "wasi" });
    let (digest, bytes) = image(inputs, &tree, platform, json!({ "Labels": annotations }), &annotations, folder)?;
    Ok(Made { path: folder.to_owned(), what: "image of the module (Istio, Envoy Gateway)", digest, bytes })
}

/// The module as an artifact.
pub fn artifact(inputs: &Inputs, module: &[u8], folder: &Path) -> Result<Made> {
    let runtime =
        json!({ "type": "envoy_proxy", "abiVersions": ["0.2.1"], "config": { "root_ids": [ROOT_ID] } }).to_string();
    let layers = [
        Blob { media_type: MODULE_CONFIG, content: runtime.as_bytes(), title: Some("runtime-config.json") },
        Blob { media_type: MODULE_LAYER, content: module, title: Some("plugin.wasm") },
    ];
    let annotations = annotations(inputs, "larder-wasm", "Larder, a shared HTTP cache inside Envoy: the plugin")?;
    let config = Blob { media_type: EMPTY, content: b"{}", title: None };
    let (digest, bytes) = write_layout(folder, &inputs.version, &config, &layers, &annotations)?;
    Ok(Made { path: folder.to_owned(), what: "the module as an OCI artifact", digest, bytes })
}

/// The node: the command, what it loads, and a folder that is its own.
pub fn node(inputs: &Inputs, folder: &Path) -> Result<Made> {
    let binary = inputs.binary.as_ref().context("there is no command")?;
    let mut tree = Tree::default();
    tree.program("usr/bin/larder", binary.content.clone());
    for library in &binary.libraries {
        let path = library.to_string_lossy();
        tree.program(path.trim_start_matches('/'), read(library)?);
    }
    tree.file("etc/passwd", format!("root:x:0:0:root:/:/none\nlarder:x:{USER}:{USER}:larder:/var/lib/larder:/none\n"));
    tree.file("etc/group", format!("root:x:0:\nlarder:x:{USER}:\n"));
    tree.file("etc/nsswitch.conf", "hosts: files dns\n");
    if let Some(certificates) = &inputs.ca_bundle {
        tree.file("etc/ssl/certs/ca-certificates.crt", certificates.clone());
    }
    tree.folder("var/lib/larder", 0o700, USER);
    tree.folder("tmp", 0o1777, 0);
    let annotations = annotations(
        inputs,
        "larder-node",
        "Larder's command: a node of its HTTP cache cluster, or a caching reverse proxy",
    )?;
    let platform = json!({ "architecture": architecture(), "os": "linux" });
    let config = json!({
        "User": format!("{USER}:{USER}"),
        "ExposedPorts": { "9901/tcp": {}, "9902/tcp": {} },
        "Env": ["PATH=/usr/bin"],
        "Entrypoint": ["/usr/bin/larder"],
        // The admin plane listens on loopback until it is given tokens.
        "Cmd": ["node", "--listen", "0.0.0.0:9901"],
        "WorkingDir": "/var/lib/larder",
        "StopSignal": "SIGTERM",
        "Labels": annotations,
    });
    let (digest, bytes) = image(inputs, &tree, platform, config, &annotations, folder)?;
    Ok(Made { path: folder.to_owned(), what: "image of the node (and of larder proxy)", digest, bytes })
}

/// As images name it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn image(
    inputs: &Inputs,
    tree: &Tree,
    platform: Value,
    config: Value,
    annotations: &Map<String, Value>,
    folder: &Path,
) -> Result<(String, u64)> {
    let archive = tree.tar(inputs.epoch)?;
    let level = if inputs.profile == Profile::Release { Compression::best() } else { Compression::fast() };
    let layer = gzip(&archive, level)?;
    let created = sbom::timestamp(inputs.epoch)?;
    let mut image = platform;
    image["created"] = created.clone().into();
    image["config"] = config;
    image["rootfs"] = json!({ "type": "layers", "diff_ids": [format!("sha256:{}", digest(&archive))] });
    image["history"] = json!([{ "created": created, "created_by": "cargo xtask package" }]);
    let image = image.to_string();
    let config = Blob { media_type: CONFIG, content: image.as_bytes(), title: None };
    let layers = [Blob { media_type: LAYER, content: &layer, title: None }];
    write_layout(folder, &inputs.version, &config, &layers, annotations)
}
