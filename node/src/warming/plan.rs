//! Which requests warm what a policy and others name: one for each variant that the key lists.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, HeaderName, HeaderValue, USER_AGENT};
use larder_core::key;
use larder_core::policy::RouteSummary;
use larder_core::policy::rules::{KeyRules, Rules, Ttl};

use super::coverage::{Coverage, Covered, head};
use super::request::{Fields, Identity, Request};
use super::target::{Site, Target, Via};

/// The most requests for one URL.
const VARIANTS_MAX: usize = 64;

/// URLs that were refused and are remembered one by one.
const REFUSED_MAX: usize = 1000;

/// Who asks, where nobody says otherwise.
const AGENT: &str = concat!("larder-warm/", env!("CARGO_PKG_VERSION"));

/// Fields that the connection, the request's method or the cache itself decides.
const NOT_SENT: [&str; 15] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A URL that is not asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// As it was given.
    pub url: String,
    /// Why not, for people.
    pub why: String,
}

/// What is to be asked for.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Requests, each once.
    pub requests: Vec<Request>,
    /// The first URLs that were refused.
    pub refused: Vec<Refused>,
    /// How many there were in all.
    pub refused_in_all: usize,
}

/// Makes a plan.
pub struct Planner<'a> {
    coverage: &'a Coverage,
    fields: Fields,
    requests_max: usize,
    plan: Plan,
    known: HashSet<Identity>,
}

impl<'a> Planner<'a> {
    /// An empty plan, of at most so many requests.
    pub fn new(coverage: &'a Coverage, requests_max: usize) -> Self {
        Self { coverage, fields: Vec::new(), requests_max, plan: Plan::default(), known: HashSet::new() }
    }

    /// Sends a field along with all that is added from here on.
    ///
    /// # Errors
    /// Why it is not one to be sent.
    pub fn field(&mut self, name: &str, value: &str) -> Result<(), String> {
        let (name, value) = field(name, value)?;
        self.fields.push((name, value));
        Ok(())
    }

    /// Adds what the policies want to be kept warm.
    pub fn add_policies(&mut self) {
        let coverage = self.coverage;
        for policy in coverage.policies() {
            for route in policy.routes() {
                for warm in &route.aims.warm {
                    self.add_warm(&route, warm);
                }
            }
        }
    }

    fn add_warm(&mut self, route: &RouteSummary<'_>, warm: &larder_core::policy::model::Warm) {
        let Some(url) = warm.url.as_ref().map(|url| url.0.as_str()) else { return };
        let mut fields = self.fields.clone();
        for (name, value) in warm.headers.iter().flat_map(|headers| &headers.0) {
            match field(&name.0, &value.0) {
                Ok((name, value)) => {
                    fields.retain(|(known, _)| *known != name);
                    fields.push((name, value));
                }
                Err(why) => return self.refuse(url, &why),
            }
        }
        let every = warm.every.map(|every| Duration::from_secs(every.0.get().into()));
        let targets: Result<Vec<Target>, _> = if url.starts_with('/') {
            self.places(route).iter().map(|site| site.at(url)).collect()
        } else {
            url.parse().map(|target| vec![target])
        };
        let targets = match targets {
            Ok(targets) => targets,
            Err(error) => return self.refuse(url, &error.to_string()),
        };
        // Several sites may be named, of which the route has one.
        let under = |target: &Target| match self.coverage.of(target) {
            Ok(Some(covered)) if std::sync::Arc::ptr_eq(&covered.rules, route.rules) => Ok(covered),
            Ok(covered) => Err(match covered {
                Some(other) => {
                    format!("it is under the route \"{}\", not \"{}\"", other.rules.route, route.rules.route)
                }
                None => "it is under no route".to_owned(),
            }),
            Err(why) => Err(why),
        };
        let found: Vec<_> = targets.into_iter().map(|target| (under(&target), target)).collect();
        if found.is_empty() {
            return self.refuse(url, "its route is for hosts with a wildcard: name sites");
        }
        if found.iter().all(|(covered, _)| covered.is_err()) {
            if let Some((Err(why), target)) = found.into_iter().next() {
                self.refuse(&target.to_string(), &why);
            }
            return;
        }
        for (covered, target) in found {
            if let Ok(covered) = covered {
                self.add(target, Some(covered), &fields, every);
            }
        }
    }

    /// The sites of a path under a route.
    fn places(&self, route: &RouteSummary<'_>) -> Vec<Site> {
        let hosts = route.route.host.as_ref().map_or(&[][..], |hosts| hosts.patterns());
        if self.coverage.names_sites() || hosts.is_empty() {
            return self.coverage.sites().to_vec();
        }
        let named = hosts.iter().map(ToString::to_string).filter(|host| !host.starts_with("*."));
        named.map(|host| Site::of(false, &host)).collect()
    }

    /// Adds a URL, or a path of the named sites.
    pub fn add_url(&mut self, url: &str) {
        let targets: Result<Vec<Target>, _> = if url.starts_with('/') {
            self.coverage.sites().iter().map(|site| site.at(url)).collect()
        } else {
            url.parse().map(|target| vec![target])
        };
        let targets = match targets {
            Ok(targets) => targets,
            Err(error) => return self.refuse(url, &error.to_string()),
        };
        for target in targets {
            match self.coverage.of(&target) {
                Ok(covered) => self.add(target, covered, &self.fields.clone(), None),
                Err(why) => self.refuse(&target.to_string(), &why),
            }
        }
    }

    fn add(&mut self, target: Target, covered: Option<Covered>, fields: &Fields, every: Option<Duration>) {
        let none = KeyRules {
            query: larder_core::policy::rules::QueryRule::All,
            sort_query: false,
            no_vary_search: false,
            headers: Vec::new(),
            cookies: Vec::new(),
            accept_encoding: None,
            accept_language: None,
            user: Vec::new(),
        };
        let rules = covered.as_ref().map_or(&none, |covered| &covered.rules.key);
        if let Some(covered) = covered.as_ref().filter(|covered| !stores(&covered.rules)) {
            let why = format!("the route \"{}\" stores nothing", covered.rules.route);
            return self.refuse(&target.to_string(), &why);
        }
        let url = key::keyed(rules, &head(&target), None).url();
        let templates = covered.iter().flat_map(|covered| &covered.rules.tags.templates);
        let params = covered.as_ref().map(|covered| &covered.params);
        let tags: Vec<String> = templates.filter_map(|tag| tag.expand(params?)).collect();
        for fields in variants(rules, fields) {
            let covered = covered.clone();
            let request =
                Request { target: target.clone(), fields, every, covered, url: url.clone(), tags: tags.clone() };
            let identity = request.identity();
            if self.known.contains(&identity) {
                if let Some(every) = every {
                    self.shorten(&identity, every);
                }
                continue;
            }
            if self.plan.requests.len() >= self.requests_max {
                let why = format!("there are {} requests already", self.requests_max);
                return self.refuse(&request.target.to_string(), &why);
            }
            self.known.insert(identity);
            self.plan.requests.push(request);
        }
    }

    /// Twice in policies: the shorter span holds.
    fn shorten(&mut self, identity: &Identity, every: Duration) {
        let is_it = |known: &&mut Request| known.target == identity.0 && known.identity() == *identity;
        if let Some(known) = self.plan.requests.iter_mut().find(is_it) {
            known.every = Some(known.every.map_or(every, |before| before.min(every)));
        }
    }

    fn refuse(&mut self, url: &str, why: &str) {
        self.plan.refused_in_all = self.plan.refused_in_all.saturating_add(1);
        if self.plan.refused.len() < REFUSED_MAX {
            self.plan.refused.push(Refused { url: url.chars().take(400).collect(), why: why.to_owned() });
        }
    }

    /// The plan.
    pub fn finish(self) -> Plan {
        self.plan
    }
}

/// The plan for what policies want to be kept warm.
pub(super) fn of_policies(
    policies: &[Arc<larder_core::Policy>],
    sites: &[Site],
    via: &Via,
    requests_max: usize,
) -> (Plan, Coverage) {
    let coverage = Coverage::new(policies.to_vec(), sites.to_vec(), via);
    let mut planner = Planner::new(&coverage, requests_max);
    planner.add_policies();
    (planner.finish(), coverage)
}

/// Whether any response under these rules is stored.
fn stores(rules: &Rules) -> bool {
    rules.ttl != Ttl::Never || rules.status_ttl.iter().any(|(_, ttl)| *ttl != Ttl::Never)
}

/// A field that may be sent.
fn field(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let lower = name.trim().to_ascii_lowercase();
    if NOT_SENT.contains(&lower.as_str()) || lower.starts_with("x-larder-") {
        return Err(format!("the field {lower:?} is not one to be set here"));
    }
    let named = HeaderName::from_bytes(lower.as_bytes()).map_err(|_| format!("{name:?} is no name of a field"))?;
    let value = HeaderValue::from_str(value.trim())
        .map_err(|_| format!("the field {name:?} has a value that cannot be sent"))?;
    Ok((named, value))
}

/// The fields of each variant that the key lists, where they do not say themselves which is meant.
fn variants(rules: &KeyRules, fields: &Fields) -> Vec<Fields> {
    let mut all = vec![fields.clone()];
    for (name, listed) in [(ACCEPT_ENCODING, &rules.accept_encoding), (ACCEPT_LANGUAGE, &rules.accept_language)] {
        let listed: Vec<HeaderValue> =
            listed.iter().flatten().filter_map(|value| HeaderValue::from_str(value).ok()).collect();
        if listed.is_empty() || fields.iter().any(|(known, _)| *known == name) {
            continue;
        }
        let one_more = |fields: &Fields, value: &HeaderValue| {
            let mut fields = fields.clone();
            fields.push((name.clone(), value.clone()));
            fields
        };
        all = all.iter().flat_map(|fields| listed.iter().map(|value| one_more(fields, value))).collect();
        all.truncate(VARIANTS_MAX);
    }
    if !fields.iter().any(|(name, _)| *name == USER_AGENT) {
        all.iter_mut().for_each(|fields| fields.push((USER_AGENT, HeaderValue::from_static(AGENT))));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_core::Policy;

    fn planned(routes: &str, sites: &[&str], urls: &[&str]) -> (Vec<String>, Vec<String>) {
        let text = format!(r#"{{"version":1,"name":"p","routes":[{routes}]}}"#);
        let policies = if routes.is_empty() { vec![] } else { vec![Arc::new(Policy::parse(&text).expect("a policy"))] };
        let via = "http://127.0.0.1:10000".parse().expect("a proxy");
        let sites = sites.iter().map(|site| site.parse().expect("a site")).collect();
        let coverage = Coverage::new(policies, sites, &via);
        let mut planner = Planner::new(&coverage, 10);
        planner.add_policies();
        urls.iter().for_each(|url| planner.add_url(url));
        let plan = planner.finish();
        assert_eq!(plan.refused.len(), plan.refused_in_all);
        (
            plan.requests.iter().map(ToString::to_string).collect(),
            plan.refused.iter().map(|refused| format!("{}: {}", refused.url, refused.why)).collect(),
        )
    }

    const LIST: &str = r#"{"name":"list","path":"/v1/list","ttl":"60s","warm":[{"url":"/v1/list","every":"50s"}]}"#;

    #[test]
    fn a_path_goes_to_the_routes_hosts_to_named_sites_or_to_the_proxys_own() {
        assert_eq!(planned(LIST, &[], &[]).0, ["http://127.0.0.1:10000/v1/list"]);
        assert_eq!(
            planned(LIST, &["https://a.test", "http://b.test:81"], &[]).0,
            ["https://a.test/v1/list", "http://b.test:81/v1/list"]
        );
        let hosts = r#"{"name":"list","host":["a.test","*.b.test"],"path":"/v1/list","ttl":"60s","warm":[{"url":"/v1/list","every":"50s"}]}"#;
        assert_eq!(planned(hosts, &[], &[]).0, ["http://a.test/v1/list"]);
        assert_eq!(
            planned(hosts, &["https://x.b.test", "https://c.test"], &[]).0,
            ["https://x.b.test/v1/list"],
            "the route has no c.test"
        );
        let wild = hosts.replace("\"a.test\",", "");
        assert_eq!(planned(&wild, &[], &[]).1, ["/v1/list: its route is for hosts with a wildcard: name sites"]);
    }

    #[test]
    fn each_listed_variant_is_asked_for_unless_the_policy_names_one() {
        let route = r#"{"name":"list","path":"/a","ttl":"60s",
            "key":{"accept_encoding":["br","gzip"],"accept_language":["en","de"]},
            "warm":[{"url":"/a","every":"9s"},{"url":"/a","every":"9s","headers":{"accept-language":"de","x-a":"1"}}]}"#;
        let host = "http://127.0.0.1:10000/a";
        let want = [
            "(accept-encoding: br, accept-language: en)",
            "(accept-encoding: br, accept-language: de)",
            "(accept-encoding: gzip, accept-language: en)",
            "(accept-encoding: gzip, accept-language: de)",
            "(accept-language: de, x-a: 1, accept-encoding: br)",
            "(accept-language: de, x-a: 1, accept-encoding: gzip)",
        ];
        assert_eq!(planned(route, &[], &["/a"]).0, want.map(|fields| format!("{host} {fields}")));
    }

    #[test]
    fn hosts_that_nobody_covers_are_refused() {
        let api = r#"{"name":"api","host":"api.test","path":"/v1/{*rest}","ttl":"60s"}"#;
        let urls = [
            "https://api.test/v1/a",
            "https://api.test/other",
            "http://169.254.169.254/latest/meta-data",
            "http://127.0.0.1:10000/x",
            "http://127.0.0.1:10001/x",
            "http://api.test@evil.test/v1/a",
            "file:///etc/passwd",
        ];
        let (requests, refused) = planned(api, &[], &urls);
        assert_eq!(requests, ["https://api.test/v1/a", "http://127.0.0.1:10000/x"]);
        assert_eq!(refused.len(), 5, "{refused:?}");
        let (requests, refused) = planned(LIST, &["https://shop.test"], &["http://evil.test/v1/list", "/v1/list?a"]);
        assert_eq!(requests, ["https://shop.test/v1/list", "https://shop.test/v1/list?a"]);
        assert!(refused[0].contains("name it as a site"), "{refused:?}");
        let (requests, refused) = planned("", &["http://a.test"], &["http://a.test/x", "http://b.test/x"]);
        assert_eq!((requests.len(), refused.len()), (1, 1));
    }

    #[test]
    fn what_is_never_stored_is_not_asked_for() {
        let never = r#"{"name":"login","path":"/login","class":"never"},{"name":"a","path":"/a"}"#;
        let (requests, refused) = planned(never, &[], &["/login", "/a"]);
        assert_eq!(requests, ["http://127.0.0.1:10000/a"]);
        assert_eq!(refused, ["http://127.0.0.1:10000/login: the route \"login\" stores nothing"]);
    }

    #[test]
    fn a_plan_is_bounded_and_each_request_in_it_once() {
        let urls: Vec<String> = (0..20).map(|n| format!("/{}", n % 15)).collect();
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        let (requests, refused) = planned("", &[], &urls);
        assert_eq!((requests.len(), refused.len()), (10, 5));
    }

    #[test]
    fn fields_that_are_the_connections_or_the_caches_are_not_sent() {
        for name in ["Host", "connection", "If-None-Match", "x-larder-mark", "bad name", ""] {
            assert!(field(name, "x").is_err(), "{name}");
        }
        assert!(field("x-a", "a\r\nb: c").is_err());
        assert!(field("Accept", " text/html ").is_ok_and(|(_, value)| value == "text/html"));
    }
}
