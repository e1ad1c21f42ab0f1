//! The Envoy configuration that other files carry, loaded by a real Envoy with the real module and the policies in those files.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Checks, file, yaml};
use crate::setup::schemas::Schemas;
use crate::{paths, process};

const WITHIN: Duration = Duration::from_secs(60);
const FILTER: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";

/// What loads it.
struct Loader<'a> {
    tools: &'a Schemas,
    envoy: &'a Path,
    module: &'a Path,
}

pub fn check(checks: &mut Checks, tools: &Schemas, envoy: &Path, module: &Path) {
    let loader = Loader { tools, envoy, module };
    checks.add("istio: the plugin in Envoy", loader.wasm_plugin());
    checks.add("istio: the filter in Envoy", loader.envoy_filter());
    checks.add("envoy-gateway: plugin and cluster in Envoy", loader.envoy_gateway());
    checks.add("compose: Envoy's bootstrap", loader.compose());
    checks.add("docs/tracing.md: tracing and access log in Envoy", loader.tracing());
    checks.add("a policy that is wrong would be found", loader.finds_what_is_wrong());
}

impl Loader<'_> {
    /// As Istio makes Envoy's filter of it: the configuration as JSON in a StringValue.
    fn wasm_plugin(&self) -> Result<()> {
        let plugin = yaml::of_kind(self.tools, &file("istio/wasmplugin.yaml"), "WasmPlugin")?;
        let spec = &plugin["spec"];
        ensure!(spec["pluginConfig"]["hold"] == false, "a WasmPlugin must not hold: see the file's head");
        let cluster = name_of_cluster(&spec["pluginConfig"])?;
        self.is_the_service(&cluster)?;
        let filter = self.filter(&spec["pluginConfig"].to_string(), json!({ "root_id": spec["pluginName"] }));
        self.loads("wasmplugin", &bootstrap(&filter, &[stand_in(&cluster)]))
    }

    fn envoy_filter(&self) -> Result<()> {
        let resource = yaml::of_kind(self.tools, &file("istio/envoyfilter.yaml"), "EnvoyFilter")?;
        let patches = resource["spec"]["configPatches"].as_array().context("no patches")?;
        let patch =
            |to: &str| patches.iter().find(|patch| patch["applyTo"] == to).map(|patch| &patch["patch"]["value"]);
        let filter = patch("HTTP_FILTER").context("no patch of the filters")?;
        let mut value = patch("EXTENSION_CONFIG").context("no patch of the extensions")?.clone();
        ensure!(filter["name"] == value["name"], "the filter asks for another extension than there is");
        ensure!(filter["config_discovery"]["type_urls"][0] == value["typed_config"]["@type"], "types differ");
        let config = &mut value["typed_config"]["config"];
        ensure!(config["allow_on_headers_stop_iteration"] == true, "it must allow the plugin to hold");
        let text = config["configuration"]["value"].as_str().context("no configuration")?;
        let cluster = name_of_cluster(&serde_json::from_str(text).context("the configuration is no JSON")?)?;
        self.is_the_service(&cluster)?;
        // First as it stands, but for the control plane that is not here; then with the module, as Istio's agent makes it.
        let uri = &config["vm_config"]["code"]["remote"]["http_uri"]["uri"];
        ensure!(uri.as_str().is_some_and(|uri| uri.starts_with("oci://")), "no image: {uri}");
        config["vm_config"]["code"] = json!({ "local": { "filename": self.module } });
        self.loads("envoyfilter", &bootstrap(&value, &[stand_in(&cluster)]))
    }

    /// Whether Istio's name of a cluster is that of the service in nodes.yaml.
    fn is_the_service(&self, cluster: &str) -> Result<()> {
        let service = yaml::of_kind(self.tools, &file("istio/nodes.yaml"), "Service")?;
        let rule = yaml::of_kind(self.tools, &file("istio/nodes.yaml"), "DestinationRule")?;
        let part = |name: &str| service["metadata"][name].as_str().unwrap_or_default();
        let host = format!("{}.{}.svc.cluster.local", part("name"), part("namespace"));
        let port = &service["spec"]["ports"][0]["port"];
        ensure!(rule["spec"]["host"] == host.as_str(), "the DestinationRule is for another host than {host}");
        let expected = format!("outbound|{port}||{host}");
        ensure!(cluster == expected, "the plugin asks for {cluster}, Istio calls the nodes {expected}");
        Ok(())
    }

    fn envoy_gateway(&self) -> Result<()> {
        let extension =
            yaml::of_kind(self.tools, &file("envoy-gateway/extension-policy.yaml"), "EnvoyExtensionPolicy")?;
        let patches = yaml::of_kind(self.tools, &file("envoy-gateway/patch-policy.yaml"), "EnvoyPatchPolicy")?;
        let patches = patches["spec"]["jsonPatches"].as_array().context("no patches")?;
        let of_type = |ending: &str| {
            let found = patches.iter().find(|patch| patch["type"].as_str().is_some_and(|name| name.ends_with(ending)));
            found.with_context(|| format!("no patch of a {ending}"))
        };
        let cluster = of_type("Cluster")?;
        let value = &cluster["operation"]["value"];
        ensure!(cluster["name"] == value["name"], "the cluster's patch has another name than the cluster");
        let wasm = &extension["spec"]["wasm"][0];
        ensure!(wasm["config"]["hold"] == false, "until the patch is in force, the plugin must not hold");
        ensure!(name_of_cluster(&wasm["config"])?.as_str() == value["name"], "the plugin asks for another cluster");
        let patch = &of_type("Listener")?["operation"];
        let metadata = &extension["metadata"];
        let filter = format!(
            "^envoy.filters.http.wasm/envoyextensionpolicy/{}/{}/",
            metadata["namespace"].as_str().unwrap_or_default(),
            metadata["name"].as_str().unwrap_or_default()
        );
        ensure!(
            patch["jsonPath"].as_str().is_some_and(|path| path.contains(&filter)),
            "the patch is for another filter"
        );
        let setting = patch["path"].as_str().context("the patch has no path")?;
        let more = json!({ "root_id": wasm["rootID"], "fail_open": wasm["failOpen"], setting: patch["value"] });
        let filter = self.filter(&wasm["config"].to_string(), more);
        self.loads("envoy-gateway", &bootstrap(&filter, std::slice::from_ref(value)))
    }

    fn compose(&self) -> Result<()> {
        let compose = yaml::documents(self.tools, &file("compose/compose.yaml"))?;
        let volumes = compose.first().context("no compose file")?["services"]["envoy"]["volumes"].to_string();
        let path = file("compose/envoy.yaml");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        const MODULE: &str = "/etc/larder/larder.wasm";
        ensure!(volumes.contains(&format!(":{MODULE}:")), "the compose file puts no module at {MODULE}");
        ensure!(text.contains(MODULE), "the bootstrap asks for a module elsewhere than at {MODULE}");
        self.loads_text("compose", &text.replace(MODULE, &self.module.display().to_string()))
    }

    /// The fields that docs/tracing.md puts into the connection manager.
    fn tracing(&self) -> Result<()> {
        let page = paths::root().join("docs/tracing.md");
        let text = fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
        let block = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).context("no YAML")?;
        let scratch = paths::scratch("deploy").join("tracing-fields.yaml");
        fs::write(&scratch, block).with_context(|| format!("cannot write {}", scratch.display()))?;
        let fields = yaml::documents(self.tools, &scratch)?;
        let policy = r#"{ "version": 1, "name": "x", "routes": [] }"#;
        let mut bootstrap = bootstrap(&self.filter(policy, json!({})), &[stand_in("otel_collector")]);
        let manager =
            &mut bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
        for (name, value) in fields.first().and_then(Value::as_object).context("the YAML is no map")? {
            manager[name] = value.clone();
        }
        self.loads("tracing", &bootstrap)
    }

    fn finds_what_is_wrong(&self) -> Result<()> {
        let wrong = r#"{ "version": 1, "name": "x", "routes": [{ "name": "a", "path": "/a", "tll": "60s" }] }"#;
        let loaded = self.loads("wrong", &bootstrap(&self.filter(wrong, json!({})), &[]));
        let error = loaded.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(error.contains("routes[0].tll"), "Envoy took a policy that is wrong, or says something else: {error}");
        Ok(())
    }

    /// The plugin with a configuration, as a filter.
    fn filter(&self, configuration: &str, more: Value) -> Value {
        let mut config = json!({
            "name": "larder",
            "root_id": "larder",
            "vm_config": { "runtime": "envoy.wasm.runtime.v8", "code": { "local": { "filename": self.module } } },
            "configuration": { "@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration },
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            config[name] = value.clone();
        }
        json!({ "name": "larder", "typed_config": { "@type": FILTER, "config": config } })
    }

    fn loads(&self, name: &str, bootstrap: &Value) -> Result<()> {
        self.loads_text(name, &bootstrap.to_string())
    }

    fn loads_text(&self, name: &str, bootstrap: &str) -> Result<()> {
        let folder = paths::scratch("deploy");
        let config = folder.join(format!("{name}.yaml"));
        fs::write(&config, bootstrap).with_context(|| format!("cannot write {}", config.display()))?;
        let mut envoy = Command::new(self.envoy);
        envoy.args(["--mode", "validate", "-l", "warning", "-c"]).arg(&config);
        let (status, text) = process::capture_within(&mut envoy, &folder.join(format!("{name}.log")), WITHIN)?;
        ensure!(status.success(), "Envoy refuses {}: {}", config.display(), text.trim());
        Ok(())
    }
}

fn name_of_cluster(configuration: &Value) -> Result<String> {
    configuration["cluster"]["name"].as_str().map(str::to_owned).context("the plugin has no cluster")
}

/// A cluster of the name, where what makes it is not Envoy's.
fn stand_in(name: &str) -> Value {
    json!({ "name": name, "type": "STATIC", "lb_policy": "RING_HASH" })
}

fn bootstrap(filter: &Value, clusters: &[Value]) -> Value {
    let router = json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
    });
    let manager = json!({
        "@type":
            "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "web",
        "route_config": {
            "virtual_hosts": [
                { "name": "all", "domains": ["*"], "routes": [{ "match": { "prefix": "/" }, "direct_response": { "status": 200 } }] },
            ],
        },
        "http_filters": [filter, router],
    });
    json!({
        "static_resources": {
            "listeners": [{
                "name": "web",
                "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } },
                "filter_chains": [
                    { "filters": [{ "name": "envoy.filters.network.http_connection_manager", "typed_config": manager }] },
                ],
            }],
            "clusters": clusters,
        },
    })
}
