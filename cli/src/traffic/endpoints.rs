//! The endpoints of an API as its log shows them: paths with what is different from one request to the next as parameters.
//!
//! A segment that looks like an identifier is one. Where a place has seen more names than an API has words for, they are identifiers,
//! too. Both numbers, and that of all places, are bounded: so is the memory that a log of any length can ask for.

use std::collections::BTreeMap;

use super::line::Entry;
use super::sketch::Sketch;

/// Names at one place that are taken for names.
const NAMES_MAX: usize = 24;
/// Names after a plural (`/categories/...`) that are.
const NAMES_OF_PLURAL_MAX: usize = 3;
/// Places in all.
const PLACES_MAX: usize = 20_000;
/// Segments that are told apart.
const DEPTH_MAX: usize = 12;
/// Query parameters that are remembered for an endpoint.
const PARAMETERS_MAX: usize = 24;
/// Hosts.
const HOSTS_MAX: usize = 64;

/// All endpoints.
#[derive(Debug, Default)]
pub struct Endpoints {
    root: Place,
    places: usize,
    /// Requests that were not told apart, because there were too many places.
    pub lumped: u64,
    pub hosts: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
struct Place {
    names: BTreeMap<String, Place>,
    any: Option<Box<Place>>,
    /// There were too many names: new ones are identifiers.
    is_many: bool,
    seen: Option<Box<Seen>>,
}

/// What was asked of an endpoint.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub methods: BTreeMap<String, u64>,
    pub statuses: BTreeMap<u16, u64>,
    /// Reads of somebody who was known.
    pub identified: u64,
    /// Reads that were refused, with 401 or 403.
    pub refused: u64,
    /// Reads whose answers set a cookie.
    pub cookies: u64,
    /// GETs that were answered with 200.
    pub answered: u64,
    pub parameters: BTreeMap<String, u64>,
    urls: Sketch,
}

/// An endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `/v1/products/{id}`.
    pub template: String,
    pub seen: Seen,
}

impl Endpoints {
    /// Takes up a request.
    pub fn add(&mut self, entry: &Entry) {
        if let Some(host) = &entry.host
            && (self.hosts.len() < HOSTS_MAX || self.hosts.contains_key(host))
        {
            *self.hosts.entry(host.clone()).or_default() += 1;
        }
        let (path, query) = entry.target.split_once('?').unwrap_or((&entry.target, ""));
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let mut place = &mut self.root;
        let mut before = "";
        for segment in segments.iter().take(DEPTH_MAX) {
            let full = self.places >= PLACES_MAX;
            let known = place.names.contains_key(*segment);
            if full && !known && place.any.is_none() {
                self.lumped += 1;
                return;
            }
            let most = if is_plural(before) { NAMES_OF_PLURAL_MAX } else { NAMES_MAX };
            let is_name = known || !is_identifier(segment) && !place.is_many && place.names.len() < most && !full;
            if !known && !is_identifier(segment) && !place.is_many && place.names.len() >= most {
                place.is_many = true;
                // So many: what was taken for names are identifiers as well.
                let mut any = place.any.take().unwrap_or_default();
                for (_, other) in std::mem::take(&mut place.names) {
                    any.merge(other);
                }
                place.any = Some(any);
            }
            if is_name {
                self.places += usize::from(!known);
                place = place.names.entry((*segment).to_owned()).or_default();
            } else {
                self.places += usize::from(place.any.is_none());
                place = place.any.get_or_insert_with(Box::default);
            }
            before = segment;
        }
        place.seen.get_or_insert_with(Box::default).add(entry, query);
    }

    /// The endpoints, those asked for most first.
    pub fn list(&self) -> Vec<Endpoint> {
        let mut found = Vec::new();
        self.root.list("", &mut Vec::new(), &mut found);
        found.sort_by(|a, b| b.seen.requests().cmp(&a.seen.requests()).then_with(|| a.template.cmp(&b.template)));
        found
    }
}

impl Place {
    /// As deep as the tree.
    fn merge(&mut self, other: Self) {
        for (name, place) in other.names {
            self.names.entry(name).or_default().merge(place);
        }
        if let Some(any) = other.any {
            self.any.get_or_insert_with(Box::default).merge(*any);
        }
        if let Some(seen) = other.seen {
            self.seen.get_or_insert_with(Box::default).merge(&seen);
        }
    }

    fn list(&self, template: &str, parameters: &mut Vec<String>, found: &mut Vec<Endpoint>) {
        if let Some(seen) = &self.seen {
            let template = if template.is_empty() { "/".to_owned() } else { template.to_owned() };
            found.push(Endpoint { template, seen: (**seen).clone() });
        }
        for (name, place) in &self.names {
            place.list(&format!("{template}/{name}"), parameters, found);
        }
        if let Some(any) = &self.any {
            let base = if parameters.is_empty() { "id".to_owned() } else { format!("id{}", parameters.len() + 1) };
            parameters.push(base.clone());
            any.list(&format!("{template}/{{{base}}}"), parameters, found);
            parameters.pop();
        }
    }
}

impl Seen {
    fn add(&mut self, entry: &Entry, query: &str) {
        *self.methods.entry(known_method(&entry.method).to_owned()).or_default() += 1;
        *self.statuses.entry(entry.status).or_default() += 1;
        let has = |names: &[&str]| entry.fields.iter().any(|(name, _)| names.contains(name));
        if matches!(entry.method.as_str(), "GET" | "HEAD") {
            self.identified += u64::from(entry.identified);
            self.refused += u64::from(matches!(entry.status, 401 | 403));
            self.cookies += u64::from(has(&["set-cookie"]));
        }
        if entry.method == "GET" && entry.status == 200 {
            self.answered += 1;
            self.urls.add(&entry.target);
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()).take(PARAMETERS_MAX) {
            let name = pair.split('=').next().unwrap_or_default();
            if name.len() <= 64 && (self.parameters.len() < PARAMETERS_MAX || self.parameters.contains_key(name)) {
                *self.parameters.entry(name.to_owned()).or_default() += 1;
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        let add = |to: &mut BTreeMap<String, u64>, from: &BTreeMap<String, u64>| {
            from.iter().for_each(|(key, count)| *to.entry(key.clone()).or_default() += count);
        };
        add(&mut self.methods, &other.methods);
        add(&mut self.parameters, &other.parameters);
        other.statuses.iter().for_each(|(status, count)| *self.statuses.entry(*status).or_default() += count);
        self.identified += other.identified;
        self.refused += other.refused;
        self.cookies += other.cookies;
        self.answered += other.answered;
        self.urls.merge(&other.urls);
    }

    /// All requests.
    pub fn requests(&self) -> u64 {
        self.methods.values().sum()
    }

    /// Requests by one of these methods.
    pub fn by(&self, methods: &[&str]) -> u64 {
        methods.iter().filter_map(|method| self.methods.get(*method)).sum()
    }

    /// About how many URLs were answered with 200.
    pub fn urls(&self) -> u64 {
        self.urls.count()
    }
}

/// A method of the few that there are, so that nobody can make up thousands.
fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE", "QUERY"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("OTHER")
}

/// Whether a segment is more likely an identifier than a name: numbers, hashes, UUIDs, dates, long or encoded texts.
pub fn is_identifier(segment: &str) -> bool {
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    let is_version = segment.len() <= 4 && segment.starts_with('v') && digits == segment.len() - 1;
    let is_hex =
        segment.len() >= 8 && segment.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') && digits > 0;
    let name_like =
        segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~'));
    !is_version && (digits * 2 >= segment.len() || is_hex || segment.len() > 40 || !name_like || digits >= 4)
}

/// Whether what comes after this segment is most likely one of many.
pub fn is_plural(segment: &str) -> bool {
    segment.len() > 3 && segment.ends_with('s') && !segment.ends_with("ss") && !segment.ends_with("us")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(targets: impl Iterator<Item = String>) -> Endpoints {
        let mut endpoints = Endpoints::default();
        for target in targets {
            endpoints.add(&Entry { method: "GET".into(), target, status: 200, ..Entry::default() });
        }
        endpoints
    }

    fn templates(endpoints: &Endpoints) -> Vec<String> {
        let mut templates: Vec<String> = endpoints.list().into_iter().map(|endpoint| endpoint.template).collect();
        templates.sort();
        templates
    }

    #[test]
    fn what_differs_is_a_parameter() {
        let ids = (0..50).flat_map(|n| {
            [
                format!("/v1/products/{n}?x={n}"),
                format!("/v1/products/{n}/price"),
                format!("/v1/users/name{n}x/posts/{n}"),
            ]
        });
        let names =
            ["shoes", "hats", "coats", "belts", "socks"].into_iter().map(|name| format!("/v1/categories/{name}/items"));
        let fixed = ["/", "/v1/products", "/v1/products/search", "/healthz"].into_iter().map(str::to_owned);
        let got = endpoints(fixed.chain(ids).chain(names));
        assert_eq!(
            templates(&got),
            [
                "/",
                "/healthz",
                "/v1/categories/{id}/items",
                "/v1/products",
                "/v1/products/search",
                "/v1/products/{id}",
                "/v1/products/{id}/price",
                "/v1/users/{id}/posts/{id2}",
            ]
        );
        let product = got.list().into_iter().find(|endpoint| endpoint.template == "/v1/products/{id}").unwrap();
        assert_eq!((product.seen.requests(), product.seen.urls(), product.seen.parameters["x"]), (50, 50, 50));
    }

    #[test]
    fn a_log_of_any_length_takes_bounded_memory() {
        let hostile = (0..300_000u64).map(|n| {
            let word = |n: u64| -> String { (0..6).map(|i| (b'a' + ((n >> (i * 4)) & 15) as u8) as char).collect() };
            format!("/{}/{}/{}/{}", word(n), word(n * 7), word(n * 31), word(n * 131))
        });
        let got = endpoints(hostile);
        assert!(got.places <= PLACES_MAX, "{}", got.places);
        assert!(got.list().len() <= PLACES_MAX);
    }

    #[test]
    fn identifiers_are_told_from_names() {
        for id in ["7", "2024-01-01", "a3f9c2e1", "550e8400-e29b-41d4-a716-446655440000", "a%20b", "x@y", "sku12345"] {
            assert!(is_identifier(id), "{id}");
        }
        for name in ["v1", "v12", "products", "oauth2", "sw.js", "top-10", "deadbeef"] {
            assert!(!is_identifier(name), "{name}");
        }
    }
}
