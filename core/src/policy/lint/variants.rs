//! Fields that stored responses may vary by, and that nothing brings to a few values.

use super::Subject;
use super::findings::Findings;
use super::rules::{VARY_NOT_COVERED, VARY_NOT_NORMALISED};
use crate::policy::model::VarySetting;

/// Fields with a few values each, by default allowed.
const TAME: [&str; 4] = ["accept", "accept-encoding", "accept-language", "origin"];

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some((settings, place)) = subject.owner("vary") else { return };
    if !subject.stores() {
        return;
    }
    let rules = subject.rules;
    let list = match &settings.vary {
        Some(VarySetting::List(list)) => list.allow.as_deref().unwrap_or_default(),
        Some(VarySetting::Word(_)) => {
            let message = format!(
                "a response may vary by anything here, User-Agent and Cookie included: then each client has its own, and {} are kept",
                rules.limits.variants_per_key_max
            );
            let help = "name the fields in \"vary\": {\"allow\": [...]}, or those that matter in \"key.headers\"";
            findings.add(&VARY_NOT_COVERED, &place, message, help);
            return;
        }
        None => return,
    };
    for (index, name) in list.iter().enumerate() {
        let name = name.0.as_str();
        let mut at = place.clone();
        at.extend(["allow".into(), index.into()]);
        let (normalised, values) = match name {
            "accept-encoding" => {
                (rules.key.accept_encoding.is_some(), "browsers, libraries and proxies list other codings")
            }
            "accept-language" => (rules.key.accept_language.is_some(), "every browser lists its user's languages"),
            name if TAME.contains(&name) || rules.key.headers.iter().any(|keyed| keyed == name) => continue,
            _ => {
                let message = format!(
                    "a response that varies by {name} has a variant for each of its values, which nothing bounds"
                );
                let help = format!(
                    "have {name} brought to a few values before Larder and name it in \"key.headers\", or take it out: \
                     responses that vary by it are then not stored"
                );
                findings.add(&VARY_NOT_COVERED, &at, message, help);
                continue;
            }
        };
        if !normalised {
            let message = format!("{values}: a response that varies by {name} is stored once for each list");
            let help = format!("list what the origin can serve in \"key.{}\"", name.replace('-', "_"));
            findings.add(&VARY_NOT_NORMALISED, &at, message, help);
        }
    }
}
