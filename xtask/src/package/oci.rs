//! An OCI image layout with one image in it (OCI image specification 1.0: layout, index, manifest, descriptors). Writes it; what the
//! image consists of is `images`' business.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::write;
use crate::build::digest;

/// The media types of ordinary images.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Something that a manifest points to.
pub struct Blob<'a> {
    /// What it is.
    pub media_type: &'a str,
    /// The bytes.
    pub content: &'a [u8],
    /// Its name, where it is no archive.
    pub title: Option<&'a str>,
}

/// Writes the layout. Gives the digest of the manifest, by which an image can be asked for, and the bytes of everything.
pub fn write_layout(
    folder: &Path,
    tag: &str,
    config: &Blob<'_>,
    layers: &[Blob<'_>],
    annotations: &Map<String, Value>,
) -> Result<(String, u64)> {
    let mut bytes = 0;
    let mut put = |blob: &Blob<'_>| -> Result<Value> {
        let digest = digest(blob.content);
        write(&folder.join("blobs/sha256").join(&digest), blob.content)?;
        bytes += blob.content.len() as u64;
        let mut descriptor = json!({
            "mediaType": blob.media_type,
            "digest": format!("sha256:{digest}"),
            "size": blob.content.len(),
        });
        if let Some(title) = blob.title {
            descriptor["annotations"] = json!({ "org.opencontainers.image.title": title });
        }
        Ok(descriptor)
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": put(config)?,
        "layers": layers.iter().map(&mut put).collect::<Result<Vec<Value>>>()?,
        "annotations": annotations,
    });
    let manifest = serde_json::to_vec(&manifest).context("cannot write a manifest")?;
    let mut descriptor = put(&Blob { media_type: MANIFEST, content: &manifest, title: None })?;
    descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor] });
    write(&folder.join("index.json"), index.to_string().as_bytes())?;
    write(&folder.join("oci-layout"), json!({ "imageLayoutVersion": "1.0.0" }).to_string().as_bytes())?;
    Ok((format!("sha256:{}", digest(&manifest)), bytes))
}
