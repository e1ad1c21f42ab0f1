//! What the client is told: `Cache-Control` by policy, fields taken out, `Vary` for what the key looks at.

use crate::field::cache_control::CacheControl;
use crate::field::vary::{self, Vary};
use crate::fields::Fields;
use crate::policy::rules::{ClientCacheControl, Rules, Scope};

/// Rewrites a response's fields for the client. `restricted` says that the answer may be one user's: nothing then makes it
/// public. Returns whether `Cache-Control` was replaced; the response then counts its age from now, since the lifetime given
/// is the browser's from now, not the rest of the edge's.
pub fn rewrite(rules: &Rules, covers: &[String], status: u16, restricted: bool, fields: &mut Fields) -> bool {
    let said = CacheControl::parse(fields.all("cache-control"));
    let origin_forbids = (said.private || said.no_store) && !rules.override_unsafe;
    let replaced = match &rules.client.cache_control {
        // An error is not what the lifetime was meant for.
        Some(built) if status < 400 && !origin_forbids => {
            fields.set("cache-control", build(built, restricted));
            true
        }
        _ => false,
    };
    if !replaced {
        space_members(fields);
    }
    if replaced || rules.client.cache_control.is_none() {
        for name in &rules.client.remove {
            fields.remove(name);
        }
    }
    if status < 400 {
        add_vary(covers, fields);
    }
    replaced
}

fn build(rule: &ClientCacheControl, restricted: bool) -> String {
    let mut parts: Vec<String> = Vec::with_capacity(6);
    match rule.scope {
        Some(Scope::Public) if !restricted => parts.push("public".to_owned()),
        Some(Scope::Private) => parts.push("private".to_owned()),
        _ if restricted => parts.push("private".to_owned()),
        _ => {}
    }
    let mut flag = |on: bool, name: &str| {
        if on {
            parts.push(name.to_owned());
        }
    };
    flag(rule.no_store, "no-store");
    flag(rule.no_cache, "no-cache");
    flag(rule.must_revalidate, "must-revalidate");
    for (name, span) in [
        ("max-age", rule.browser_ttl),
        ("stale-while-revalidate", rule.stale_while_revalidate),
        ("stale-if-error", rule.stale_if_error),
    ] {
        if let Some(span) = span {
            parts.push(format!("{name}={span}"));
        }
    }
    if rule.immutable {
        parts.push("immutable".to_owned());
    }
    parts.join(", ")
}

/// A proxy that joins lines by a bare comma leaves `Cache-Control` in a form that nobody writes. RFC 9110 5.3 joins by comma and
/// blank; what it says is the same.
fn space_members(fields: &mut Fields) {
    let Some(value) = fields.first("cache-control") else { return };
    let mut spaced = Vec::with_capacity(value.len() + 4);
    let (mut quoted, mut escaped, mut after_comma) = (false, false, false);
    for byte in value {
        if after_comma && !matches!(byte, b' ' | b'\t' | b',') {
            spaced.push(b' ');
        }
        after_comma = !quoted && *byte == b',';
        quoted ^= *byte == b'"' && !escaped;
        escaped = quoted && *byte == b'\\' && !escaped;
        spaced.push(*byte);
    }
    if spaced.len() > value.len() && fields.all("cache-control").count() == 1 {
        fields.set("cache-control", spaced);
    }
}

/// Caches nearer the client must tell apart what the key tells apart.
fn add_vary(covers: &[String], fields: &mut Fields) {
    if covers.is_empty() {
        return;
    }
    let Vary::Names(names) = vary::parse(fields) else { return };
    let missing: Vec<&str> = covers.iter().map(String::as_str).filter(|c| !names.iter().any(|n| n == c)).collect();
    if missing.is_empty() {
        return;
    }
    let mut value = fields.joined("vary").unwrap_or_default();
    for name in missing {
        if !value.is_empty() {
            value.extend_from_slice(b", ");
        }
        value.extend_from_slice(name.as_bytes());
    }
    fields.set("vary", value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fields, rules};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const BUILT: &str = r#""client":{"cache_control":{"scope":"public","browser_ttl":"60s","immutable":true,
        "stale_while_revalidate":"5s"}}"#;

    fn check(settings: &str, status: u16, restricted: bool, said: &str) -> String {
        let mut head = fields(&[("cache-control", said), ("pragma", "no-cache"), ("expires", "0")]);
        rewrite(&rules(settings), &[], status, restricted, &mut head);
        head.iter()
            .map(|line| format!("{}: {}", line.name, String::from_utf8_lossy(&line.value)))
            .collect::<Vec<_>>()
            .join("; ")
    }

    #[test]
    fn cache_control_is_the_policys_unless_the_origin_forbids() {
        let built = "cache-control: public, max-age=60, stale-while-revalidate=5, immutable";
        assert_eq!(check(BUILT, 200, false, "max-age=1"), built);
        for (status, said) in [(200, "private"), (200, "no-store, max-age=1"), (500, "max-age=1")] {
            let got = check(BUILT, status, false, said);
            assert!(got.starts_with(&format!("cache-control: {said};")), "{status} {said}: {got}");
        }
        assert!(check("", 200, false, "max-age=1").starts_with("cache-control: max-age=1; pragma"));
    }

    #[test]
    fn rfc_9110_5_3_joined_lines_are_set_apart_by_a_comma_and_a_blank() {
        for (said, want) in [
            ("max-age=1,s-maxage=2", "max-age=1, s-maxage=2"),
            ("max-age=1, s-maxage=2", "max-age=1, s-maxage=2"),
            ("private=\"a,b\",max-age=1", "private=\"a,b\", max-age=1"),
            ("x=\"\\\",a,b\",y", "x=\"\\\",a,b\", y"),
            ("a,,b,", "a,, b,"),
        ] {
            assert!(check("", 200, false, said).starts_with(&format!("cache-control: {want};")), "{said}");
        }
    }

    #[test]
    fn what_may_be_one_users_is_never_called_public() {
        assert!(check(BUILT, 200, true, "max-age=1").starts_with("cache-control: private, max-age=60"));
    }

    #[test]
    fn vary_names_what_the_key_looks_at() {
        let rules = rules("");
        for (said, want) in [(None, "x-a, accept"), (Some("accept"), "accept, x-a"), (Some("*"), "*")] {
            let mut head = Fields::new();
            if let Some(said) = said {
                head.add("vary", said);
            }
            rewrite(&rules, &["x-a".into(), "accept".into()], 200, false, &mut head);
            assert_eq!(head.first("vary").map(String::from_utf8_lossy).as_deref(), Some(want));
        }
    }
}
