//! YAML files against the schemas of what reads them: Kubernetes, Istio, Compose.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{Checks, file, yaml};
use crate::setup::schemas::Schemas;
use crate::{paths, process};

/// The oldest Kubernetes that its makers still kept when these files were written.
const KUBERNETES: &str = "1.31";

pub fn check(checks: &mut Checks, tools: &Schemas) {
    checks.add("kubernetes: the manifests", manifests(tools));
    checks.add("kubernetes: the kustomization", kustomization(tools));
    checks.add("istio: the resources", istio(tools));
    checks.add("envoy-gateway: the resources' places and kinds", envoy_gateway(tools));
    checks.add("compose: the file", compose(tools));
}

fn run(command: &mut Command) -> Result<String> {
    let log = paths::scratch("deploy").join("schemas.log");
    let (status, text) = process::capture(command, &log)?;
    ensure!(status.success(), "{}", text.trim());
    Ok(text)
}

/// Unknown fields are errors, and so is a kind that Kubernetes has not.
fn kubernetes(tools: &Schemas, files: &[PathBuf]) -> Result<()> {
    let mut check = tools.python();
    check.args(["-m", "kubernetes_validate", "--strict", "--kubernetes-version", KUBERNETES]).args(files);
    let text = run(&mut check)?;
    let unknown: Vec<&str> = text.lines().filter(|line| line.starts_with("WARN")).collect();
    ensure!(unknown.is_empty(), "{}", unknown.join("\n"));
    Ok(())
}

fn manifests(tools: &Schemas) -> Result<()> {
    let mut files = yaml::files(&file("kubernetes"), "yaml")?;
    files.retain(|manifest| manifest.file_name().is_some_and(|name| name != "kustomization.yaml"));
    let scratch = paths::scratch("deploy").join("istio-service.json");
    let service = yaml::of_kind(tools, &file("istio/nodes.yaml"), "Service")?;
    std::fs::write(&scratch, service.to_string()).with_context(|| format!("cannot write {}", scratch.display()))?;
    files.push(scratch);
    kubernetes(tools, &files)
}

/// What it lists is there, and what is there is listed. Where kubectl is at hand, it builds the whole, which is checked again.
fn kustomization(tools: &Schemas) -> Result<()> {
    let folder = file("kubernetes");
    let kustomization = yaml::of_kind(tools, &folder.join("kustomization.yaml"), "Kustomization")?;
    let names = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let mut listed = names(&kustomization["resources"]);
    for map in kustomization["configMapGenerator"].as_array().into_iter().flatten() {
        listed.extend(names(&map["files"]));
    }
    let there = [yaml::files(&folder, "yaml")?, yaml::files(&folder, "json")?].concat();
    for path in there {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let at = listed.iter().position(|known| *known == name);
        match at {
            Some(at) => drop(listed.swap_remove(at)),
            None => ensure!(name == "kustomization.yaml", "{name} is in no list of kustomization.yaml"),
        }
    }
    ensure!(listed.is_empty(), "kustomization.yaml lists what is not there: {}", listed.join(", "));
    let Some(kubectl) = paths::find_program("kubectl") else { return Ok(()) };
    let built = process::stdout(Command::new(kubectl).arg("kustomize").arg(&folder))?;
    ensure!(!built.contains("name: larder-node\n"), "something names the configuration without its hash");
    let scratch = paths::scratch("deploy").join("kustomized.yaml");
    std::fs::write(&scratch, built).with_context(|| format!("cannot write {}", scratch.display()))?;
    kubernetes(tools, &[scratch])
}

fn istio(tools: &Schemas) -> Result<()> {
    let mut resources = Vec::new();
    for path in yaml::files(&file("istio"), "yaml")? {
        let of_istio = |document: &Value| document["apiVersion"].as_str().is_some_and(|api| api.contains("istio.io/"));
        resources.extend(yaml::documents(tools, &path)?.into_iter().filter(of_istio));
    }
    ensure!(resources.len() >= 3, "resources of Istio are missing");
    let errors = istio_errors(tools, &Value::Array(resources.clone()))?;
    ensure!(errors.is_empty(), "{errors}");
    // The validator itself is held to its word: a field that Istio has not is found.
    let mut wrong = resources;
    for resource in &mut wrong {
        resource["spec"]["nonsense"] = Value::Bool(true);
    }
    let errors = istio_errors(tools, &Value::Array(wrong.clone()))?;
    ensure!(errors.matches("unknown field .spec.nonsense").count() == wrong.len(), "unknown fields pass: {errors}");
    Ok(())
}

fn istio_errors(tools: &Schemas, resources: &Value) -> Result<String> {
    let mut node = tools.node(include_str!("istio.mjs"));
    let mut child = node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("Node takes no input")?;
    input.write_all(resources.to_string().as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("Node fails ({}): {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// No registry has their schema. They are in one namespace with the Gateway that both name, and have no field but these.
fn envoy_gateway(tools: &Schemas) -> Result<()> {
    const FIELDS: [(&str, &str, &[&str]); 2] = [
        ("extension-policy", "EnvoyExtensionPolicy", &["targetRefs", "wasm"]),
        ("patch-policy", "EnvoyPatchPolicy", &["targetRef", "type", "jsonPatches"]),
    ];
    let mut targets = Vec::new();
    for (name, kind, fields) in FIELDS {
        let policy = yaml::of_kind(tools, &file(&format!("envoy-gateway/{name}.yaml")), kind)?;
        ensure!(policy["apiVersion"] == "gateway.envoyproxy.io/v1alpha1", "{kind}: another apiVersion");
        let spec = policy["spec"].as_object().with_context(|| format!("{kind}: no spec"))?;
        for field in spec.keys() {
            ensure!(fields.contains(&field.as_str()), "{kind}: unknown field {field}");
        }
        let target = if spec.contains_key("targetRef") { &spec["targetRef"] } else { &spec["targetRefs"][0] };
        targets.push((policy["metadata"]["namespace"].clone(), target.clone()));
    }
    ensure!(targets[0] == targets[1], "the two are for different Gateways: {targets:?}");
    Ok(())
}

fn compose(tools: &Schemas) -> Result<()> {
    let mut check = tools.python();
    check.args(["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]);
    run(check.arg(file("compose/compose.yaml"))).map(drop)
}
