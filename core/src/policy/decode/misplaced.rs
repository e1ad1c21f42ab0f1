//! Hints about fields that are known under this name elsewhere, or here under another name.

use super::Object;
use crate::policy::model::{
    Class, ClientDirectives, ClientSettings, CollapseBounds, HeuristicBounds, IdentitySettings, InvalidateSettings,
    KeySettings, LimitSettings, Route, Settings, StaleSettings, TtlBounds,
};

/// What other caches and HTTP itself call things, and what they are called here; the first that is known in a place counts.
const OTHER_NAMES: [(&str, &[&str]); 19] = [
    ("maxage", &["browser_ttl", "ttl"]),
    ("smaxage", &["ttl"]),
    ("expires", &["browser_ttl", "ttl"]),
    ("lifetime", &["ttl"]),
    ("grace", &["stale"]),
    ("keep", &["stale"]),
    ("swr", &["while_revalidate", "stale_while_revalidate", "stale"]),
    ("sie", &["if_error", "stale_if_error", "stale"]),
    ("stalewhilerevalidate", &["while_revalidate", "stale"]),
    ("staleiferror", &["if_error", "stale"]),
    ("cachecontrol", &["client"]),
    ("purge", &["invalidate"]),
    ("coalesce", &["collapse"]),
    ("visibility", &["scope"]),
    ("match", &["path"]),
    ("url", &["path"]),
    ("prefix", &["path"]),
    ("domain", &["host"]),
    ("maxsize", &["object_bytes", "limits"]),
];

/// What the field `name` is called among `known`.
pub(super) fn known_as(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let (_, names) = OTHER_NAMES.iter().find(|(other, _)| *other == plain)?;
    names.iter().find_map(|name| known.iter().find(|known| *known == name)).copied()
}

/// Where the field `name` belongs, where that is one place only. Only asked about names that are unknown where they stand.
pub(super) fn place_of(name: &str) -> Option<String> {
    let settings = Settings::fields();
    if settings.contains(&name) {
        return Some("is a setting of \"defaults\", classes and routes".to_owned());
    }
    let objects: [(&str, Vec<&str>); 11] = [
        ("ttl", TtlBounds::fields()),
        ("heuristic", HeuristicBounds::fields()),
        ("stale", StaleSettings::fields()),
        ("client", ClientSettings::fields()),
        ("client.cache_control", ClientDirectives::fields()),
        ("key", KeySettings::fields()),
        ("identity", IdentitySettings::fields()),
        ("invalidate", InvalidateSettings::fields()),
        ("collapse", CollapseBounds::fields()),
        ("limits", LimitSettings::fields()),
        ("key.query", vec!["allow", "deny"]),
    ];
    let mut homes = objects.iter().filter(|(_, fields)| fields.contains(&name));
    if let (Some((home, _)), None) = (homes.next(), homes.next()) {
        return Some(format!("belongs in \"{home}\""));
    }
    match (Class::fields().contains(&name), Route::fields().contains(&name)) {
        (true, true) => Some("belongs in a class or a route".to_owned()),
        (true, false) => Some("belongs in a class".to_owned()),
        (false, true) => Some("belongs in a route".to_owned()),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_field_in_the_wrong_place_is_told_where_it_belongs() {
        for (name, want) in [
            ("browser_ttl", Some("belongs in \"client.cache_control\"")),
            ("while_revalidate", Some("belongs in \"stale\"")),
            ("ttl", Some("is a setting of \"defaults\", classes and routes")),
            ("override", Some("belongs in a class or a route")),
            ("kind", Some("belongs in a class")),
            ("methods", Some("belongs in a route")),
            ("nonsense", None),
        ] {
            assert_eq!(place_of(name).as_deref(), want, "{name}");
        }
    }

    #[test]
    fn other_names_lead_to_ours() {
        for (name, want) in [("max-age", "ttl"), ("maxAge", "ttl"), ("s_maxage", "ttl"), ("swr", "stale")] {
            assert_eq!(known_as(name, &Settings::fields()), Some(want), "{name}");
        }
        assert_eq!(known_as("max-age", &ClientDirectives::fields()), Some("browser_ttl"));
        for (_, names) in OTHER_NAMES {
            for name in names {
                let known = Route::fields().contains(name) || place_of(name).is_some();
                assert!(known, "{name} is no field of ours");
            }
        }
    }
}
