//! Routes that no request reaches, and warm URLs that do not reach their route.

use super::findings::Findings;
use super::reach::{get, hosts, span};
use super::rules::{SHADOWED_ROUTE, WARM_TOO_SELDOM, WARM_WITHOUT_ROUTE};
use super::{Policy, Step, Subject};
use crate::policy::rules::{Rules, StaleWindow, Ttl};
use crate::time::Seconds;

pub(super) fn check(policy: &Policy, subjects: &[Subject<'_>], findings: &mut Findings<'_>) {
    for subject in subjects {
        shadowed(policy, subject, subjects, findings);
        warm(policy, subject, findings);
    }
}

fn shadowed(policy: &Policy, subject: &Subject<'_>, subjects: &[Subject<'_>], findings: &mut Findings<'_>) {
    let route = subject.route;
    let Some(path) = &route.path else { return };
    let hosts = route.host.as_ref().map_or(&[][..], |hosts| hosts.patterns());
    let methods: Vec<&str> = route.methods.iter().flatten().map(|method| method.0.as_str()).collect();
    let Some(by) = policy.compiled.router.shadow_of(subject.index, path, hosts, &methods) else { return };
    let Some(by) = subjects.get(by) else { return };
    let message = format!("no request reaches the route \"{}\": \"{}\" takes them all", subject.name(), by.name());
    let help = if by.index < subject.index {
        "among routes of the same path the first one in the file wins: put the narrower one first"
    } else {
        "more specific paths win wherever they stand in the file: take one of the routes out"
    };
    findings.add(&SHADOWED_ROUTE, &subject.at("path"), message, help);
}

fn warm(policy: &Policy, subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some((settings, place)) = subject.owner("warm") else { return };
    let shortest = shortest(subject.rules);
    for (index, warm) in settings.warm.iter().flatten().enumerate() {
        let Some(url) = &warm.url else { continue };
        let mut at: Vec<Step> = place.clone();
        at.push(index.into());
        let url_at = [at.as_slice(), &["url".into()]].concat();
        let found =
            hosts(subject.route).iter().map(|host| policy.route(&get(host, &url.0)).rules.index).collect::<Vec<_>>();
        if !found.contains(&subject.index) {
            let by = found.iter().find_map(|index| policy.compiled.rules.get(*index));
            let message = match by {
                Some(by) => format!("\"{}\" is under the route \"{}\", not \"{}\"", url.0, by.route, subject.name()),
                None => format!("no route matches \"{}\"", url.0),
            };
            findings.add(&WARM_WITHOUT_ROUTE, &url_at, message, "put it under the route whose host and path it has");
        } else if !subject.stores() {
            let message = format!("the route \"{}\" stores nothing that could be kept warm", subject.name());
            findings.add(&WARM_WITHOUT_ROUTE, &url_at, message, "give the route a lifetime, or take the URL out");
        } else if let (Some(every), Some(shortest)) = (warm.every, shortest)
            && every.0 > shortest
        {
            let message = format!("warmed every {}, and stale after {}", span(every.0), span(shortest));
            let help = "warm it a little more often than it expires; the shortest lifetime counts, with jitter";
            findings.add(&WARM_TOO_SELDOM, &[at.as_slice(), &["every".into()]].concat(), message, help);
        }
    }
}

/// How long a response can be used at least, stale use included; `None` where the origin says.
fn shortest(rules: &Rules) -> Option<Seconds> {
    let Ttl::Fixed(ttl) = rules.ttl else { return None };
    let StaleWindow::Policy(stale) = rules.stale.while_revalidate else {
        return Some(ttl.minus(ttl.percent(rules.jitter_percent)));
    };
    Some(ttl.minus(ttl.percent(rules.jitter_percent)).plus(stale))
}
