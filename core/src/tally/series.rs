//! What counts are called in reports to the cluster: a name with labels, the same in every host.

use super::Count;
use crate::policy::Policy;

/// The name of [`Count::Took`] in reports, where each request stands in one bucket only. Hosts that export it to Prometheus make
/// cumulative buckets of it.
pub const DURATION: &str = "larder_request_duration_total";

/// Characters of a label that is made of hosts.
const HOSTS_CHARS_MAX: usize = 64;

/// `larder_requests_total;policy=shop;route=items;class=catalog;host=*.example.com;outcome=hit`
pub fn series(policy: &Policy, rules: usize, count: Count) -> String {
    let (name, own) = count.parts();
    let mut text = name.to_owned();
    push_labels(&mut text, policy, rules);
    for (name, value) in own.into_iter().flatten() {
        push(&mut text, name, value);
    }
    text
}

/// A series without the labels of its route: what several routes have in common.
pub fn over_routes(series: &str) -> String {
    let of_route = ["route=", "class=", "host="];
    let parts = series.split(';').filter(|part| !of_route.iter().any(|label| part.starts_with(label)));
    parts.collect::<Vec<_>>().join(";")
}

/// The labels of rules: `;policy=shop;route=items;class=catalog;host=*.example.com`.
pub fn labels(policy: &Policy, rules: usize) -> String {
    let mut text = String::new();
    push_labels(&mut text, policy, rules);
    text
}

fn push_labels(text: &mut String, policy: &Policy, index: usize) {
    let summary = policy.routes().nth(index);
    let rules = summary.as_ref().map_or(policy.unmatched(), |summary| summary.rules);
    push(text, "policy", &policy.name);
    push(text, "route", &rules.route);
    push(text, "class", &rules.class);
    // The policy's own words: what clients send as their host is anything.
    let hosts =
        summary.as_ref().and_then(|summary| summary.route.host.as_ref()).map_or(&[][..], |hosts| hosts.patterns());
    if !hosts.is_empty() {
        let mut joined = String::new();
        for host in hosts {
            let host = host.to_string();
            let comma = if joined.is_empty() { "" } else { "," };
            if joined.len() + comma.len() + host.len() > HOSTS_CHARS_MAX {
                joined = format!("{joined}{comma}...").chars().take(HOSTS_CHARS_MAX).collect();
                break;
            }
            joined = format!("{joined}{comma}{host}");
        }
        push(text, "host", &joined);
    }
}

fn push(text: &mut String, name: &str, value: &str) {
    text.push(';');
    text.push_str(name);
    text.push('=');
    // `;` separates labels.
    text.extend(value.chars().map(|c| if c == ';' || c.is_control() { '_' } else { c }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::{Bucket, Outcome};
    use crate::time::Millis;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn names_carry_the_policys_own_words() {
        let text = r#"{"version": 1, "name": "sh-op", "routes": [
            {"name": "a", "path": "/a", "host": ["*.a.example", "b.example:8443"]}, {"name": "b", "path": "/b"}]}"#;
        let policy = Policy::parse(text).expect("a policy");
        let took = Count::Took(Outcome::Hit, Bucket::of(Millis(3)));
        for (rules, count, want) in [
            (
                0,
                took,
                "larder_request_duration_total;policy=sh-op;route=a;class=_defaults;host=*.a.example,b.example:8443;outcome=hit;within=5",
            ),
            (1, Count::Refresh, "larder_refreshes_total;policy=sh-op;route=b;class=_defaults"),
            (
                9,
                Count::Request(Outcome::Bypass),
                "larder_requests_total;policy=sh-op;route=_unmatched;class=_defaults;outcome=bypass",
            ),
        ] {
            assert_eq!(series(&policy, rules, count), want);
        }
        let over = over_routes(&series(&policy, 0, took));
        assert_eq!(over, "larder_request_duration_total;policy=sh-op;outcome=hit;within=5");
    }

    #[test]
    fn a_label_of_many_hosts_is_cut() {
        let hosts: Vec<String> = (0..20).map(|number| format!("\"host-{number}.example\"")).collect();
        let text = format!(
            r#"{{"version": 1, "name": "p", "routes": [{{"name": "a", "path": "/a", "host": [{}]}}]}}"#,
            hosts.join(",")
        );
        let policy = Policy::parse(&text).expect("a policy");
        let label = labels(&policy, 0);
        let host = label.split(";host=").nth(1).expect("a label");
        assert!(host.starts_with("host-0.example,host-1.example") && host.ends_with("..."), "{host}");
        assert!(host.len() <= HOSTS_CHARS_MAX);
    }
}
