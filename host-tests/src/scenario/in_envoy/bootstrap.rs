//! The bootstrap of the Envoy that scenarios run in: one listener for each policy, all in front of one scripted origin.
//!
//! A cache belongs to its `root_id`, so each listener has one of its own. A listener whose scenario changes its policy gets its
//! filter by ECDS, from a file that is moved into place.

use std::fmt::Write as _;
use std::path::Path;

/// A request with this field goes to a port where nobody listens.
pub(super) const REFUSED: &str = "x-scenario-refused";
/// A request with this field has the proxy's patience of one second.
pub(super) const IMPATIENT: &str = "x-scenario-impatient";
/// The listener that answers by itself, to tell when everything before has been taken up.
pub(super) const PROBE: &str = "probe";

/// A listener with the policy that it begins with.
#[derive(Debug)]
pub(super) struct Listener {
    pub name: String,
    pub policy: String,
    /// The policy comes from a watched file.
    pub watched: bool,
}

/// Ports of the scripted origin and of nobody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub origin: u16,
    pub nobody: u16,
}

pub(super) fn bootstrap(listeners: &[Listener], ports: Ports, folder: &Path) -> String {
    let mut text = String::from(
        "node: { id: scenarios, cluster: scenarios }\n\
         admin: { address: { socket_address: { address: 127.0.0.1, port_value: ${ADMIN_PORT} } } }\n\
         static_resources:\n  listeners:\n",
    );
    let probe = "direct_response: { status: 200 }";
    text.push_str(&listener(PROBE, "probe", &[("match: { prefix: \"/\" }", probe)], None));
    for each in listeners {
        let filter =
            if each.watched { discovery(&each.name, folder) } else { typed(&each.name, &each.policy, "          ") };
        let refused = format!("match: {{ prefix: \"/\", headers: [ {{ name: {REFUSED}, present_match: true }} ] }}");
        let impatient =
            format!("match: {{ prefix: \"/\", headers: [ {{ name: {IMPATIENT}, present_match: true }} ] }}");
        let routes = [
            (refused.as_str(), "route: { cluster: nobody, timeout: 0s }"),
            (impatient.as_str(), "route: { cluster: origin, timeout: 1s }"),
            ("match: { prefix: \"/\" }", "route: { cluster: origin, timeout: 0s }"),
        ];
        text.push_str(&listener(&each.name, "scenarios", &routes, Some(&filter)));
    }
    text.push_str("  clusters:\n");
    text.push_str(&cluster("origin", ports.origin));
    text.push_str(&cluster("nobody", ports.nobody));
    text
}

fn listener(name: &str, prefix: &str, routes: &[(&str, &str)], filter: Option<&str>) -> String {
    let mut text = format!(
        r#"  - name: {name}
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: 0 }} }}
    per_connection_buffer_limit_bytes: 2097152
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: {prefix}
          proxy_100_continue: true
          stream_idle_timeout: 30s
          http_protocol_options: {{ enable_trailers: true }}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
"#
    );
    for (matched, action) in routes {
        let _ = writeln!(text, "              - {matched}\n                {action}");
    }
    text.push_str("          http_filters:\n");
    text.push_str(filter.unwrap_or_default());
    text.push_str(
        "          - name: envoy.filters.http.router\n            typed_config:\n              \"@type\": \
         type.googleapis.com/envoy.extensions.filters.http.router.v3.Router\n",
    );
    text
}

/// The filter with its policy.
fn typed(name: &str, policy: &str, indent: &str) -> String {
    let config = wasm(name, policy, &format!("{indent}    "));
    format!("{indent}- name: {name}\n{indent}  typed_config:\n{config}")
}

/// The filter, its policy in a watched file.
fn discovery(name: &str, folder: &Path) -> String {
    let folder = folder.join(name);
    format!(
        r#"          - name: {name}
            config_discovery:
              config_source:
                resource_api_version: V3
                initial_fetch_timeout: 10s
                path_config_source:
                  path: "{folder}/filter.yaml"
                  watched_directory: {{ path: "{folder}" }}
              type_urls: [type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm]
"#,
        folder = folder.display()
    )
}

/// The file that a watched filter reads. `module` is the module's path.
pub(super) fn resource(name: &str, policy: &str, module: &str) -> String {
    let config = wasm(name, policy, "    ").replace("${LARDER_WASM}", module);
    format!(
        "resources:\n- \"@type\": type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig\n  name: {name}\n  \
         typed_config:\n{config}"
    )
}

fn wasm(name: &str, policy: &str, indent: &str) -> String {
    // A JSON string is a YAML string.
    let policy = serde_json::Value::String(policy.to_owned()).to_string();
    format!(
        r#"{indent}"@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
{indent}config:
{indent}  name: {name}
{indent}  root_id: {name}
{indent}  failure_policy: FAIL_RELOAD
{indent}  allow_on_headers_stop_iteration: true
{indent}  vm_config:
{indent}    runtime: envoy.wasm.runtime.v8
{indent}    vm_id: larder
{indent}    code: {{ local: {{ filename: "${{LARDER_WASM}}" }} }}
{indent}  configuration:
{indent}    "@type": type.googleapis.com/google.protobuf.StringValue
{indent}    value: {policy}
"#
    )
}

fn cluster(name: &str, port: u16) -> String {
    format!(
        r#"  - name: {name}
    type: STATIC
    connect_timeout: 5s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{ http_protocol_options: {{ enable_trailers: true }} }}
    load_assignment:
      cluster_name: {name}
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }} }}
"#
    )
}
