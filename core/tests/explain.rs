//! An explanation and the exchange that it explains are of one mind, over requests, responses and policies drawn from a printed
//! seed; and what is told of the usual cases is what a person would want to hear.

use std::collections::BTreeMap;
use std::sync::Arc;

use larder_core::explain::{Again, Explanation, Question, Verdict, Went, explain};
use larder_core::fields::{Failure, Source};
use larder_core::{Fields, Policy, RequestHead, ResponseHead, Timestamp};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }

    fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.roll(list.len())]
    }
}

/// Settings of which a policy has some.
const SETTINGS: [&str; 35] = [
    r#""ttl":"60s""#,
    r#""ttl":"60s""#,
    r#""ttl":"never""#,
    r#""ttl":"0s""#,
    r#""ttl":{"floor":"30s","ceiling":"2m"}"#,
    r#""ttl":{"absent":"10s"}"#,
    r#""status_ttl":{"404":"10s","5xx":"never"}"#,
    r#""status_ttl":{"4xx":"respect","503":"1s","200":"never"}"#,
    r#""heuristic":{"percent":"10%"}"#,
    r#""jitter":"30%""#,
    r#""stale":{"while_revalidate":"5s","if_error":"1m"}"#,
    r#""refresh_ahead":"20%""#,
    r#""client":{"cache_control":{"browser_ttl":"5s","scope":"public"}}"#,
    r#""client":{"cache_control":{"no_store":true},"remove":["expires"]}"#,
    r#""etag":"strong""#,
    r#""etag":"weak""#,
    r#""last_modified":"stored""#,
    r#""key":{"query":"none","headers":["x-a"],"accept_language":["en","de"]}"#,
    r#""key":{"query":{"deny":["x"]},"sort_query":true,"cookies":["c"]}"#,
    r#""key":{"user":["authorization","cookie:session"]}"#,
    r#""key":{"headers":["origin","x-forwarded-host"],"no_vary_search":false}"#,
    r#""identity":{"authorization":"bypass"}"#,
    r#""identity":{"session_cookies":["session"],"set_cookie":"strip"}"#,
    r#""identity":{"session_cookies":[],"set_cookie":"keep_unsafe"}"#,
    r#""vary":"any""#,
    r#""vary":{"allow":["accept","x-a"]}"#,
    r#""tags":["t","r:{rest}"]"#,
    r#""invalidate":{"tags":["t"],"paths":["/a*"]}"#,
    r#""request_directives":"obey""#,
    r#""targeted":["surrogate-control","cdn-cache-control"]"#,
    r#""post":"store""#,
    r#""partial":"store""#,
    r#""purge_method":"token""#,
    r#""limits":{"object_bytes":40,"hold_bytes":8,"tags_per_entry":3}"#,
    r#""override":"unsafe""#,
];

const REQUEST_LINES: [(&str, &str); 22] = [
    ("cache-control", "no-cache"),
    ("cache-control", "no-store"),
    ("cache-control", "only-if-cached"),
    ("cache-control", "max-age=0"),
    ("pragma", "no-cache"),
    ("authorization", "Bearer x"),
    ("cookie", "session=1"),
    ("cookie", "_ga=1"),
    ("cookie", "c=1; other=2"),
    ("accept-language", "de, en;q=0.5"),
    ("accept-encoding", "br, gzip"),
    ("x-a", "1"),
    ("origin", "https://a.test"),
    ("x-forwarded-host", "evil.test"),
    ("range", "bytes=0-3"),
    ("if-none-match", "\"a\""),
    ("if-none-match", "*"),
    ("if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT"),
    ("if-match", "\"b\""),
    ("upgrade", "websocket"),
    ("x-larder-serve", "1"),
    ("soft-purge", "1"),
];

const RESPONSE_LINES: [(&str, &str); 36] = [
    ("cache-control", "max-age=60"),
    ("cache-control", "max-age=60, stale-while-revalidate=9"),
    ("cache-control", "public, s-maxage=5"),
    ("cache-control", "no-cache"),
    ("cache-control", "no-store"),
    ("cache-control", "private"),
    ("cache-control", "must-revalidate, max-age=1"),
    ("cache-control", "must-understand, no-store, max-age=9"),
    ("cache-control", "max-age=0"),
    ("cdn-cache-control", "max-age=9"),
    ("surrogate-control", "max-age=9"),
    ("expires", "0"),
    ("expires", "Thu, 01 Jan 2026 00:01:00 GMT"),
    ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
    ("date", "Wed, 31 Dec 2025 23:59:00 GMT"),
    ("age", "30"),
    ("age", "4000000000"),
    ("etag", "\"a\""),
    ("etag", "W/\"a\""),
    ("last-modified", "Tue, 30 Dec 2025 00:00:00 GMT"),
    ("vary", "accept"),
    ("vary", "accept-language"),
    ("vary", "x-a"),
    ("vary", "cookie"),
    ("vary", "*"),
    ("set-cookie", "a=1"),
    ("content-length", "12"),
    ("content-length", "4"),
    ("content-range", "bytes 0-3/12"),
    ("content-location", "/a"),
    ("access-control-allow-origin", "https://a.test"),
    ("surrogate-key", "k l m n"),
    ("no-vary-search", "params=(\"y\")"),
    ("cache-groups", "\"g\""),
    ("cache-status", "Other; hit"),
    ("x-bad", "a\r\nb"),
];

fn lines(dice: &mut Dice, from: &[(&str, &str)], most: usize) -> Fields {
    let mut fields = Fields::new();
    for _ in 0..dice.roll(most) {
        let (name, value) = from[dice.roll(from.len())];
        fields.add(name, value);
    }
    fields
}

fn policy(dice: &mut Dice) -> Option<Arc<Policy>> {
    let mut settings: Vec<&str> = (0..dice.roll(6)).map(|_| dice.pick(&SETTINGS)).collect();
    settings.sort_unstable();
    settings.dedup_by_key(|setting| setting.split(':').next().map(str::to_owned));
    let class = dice.pick(&[
        "",
        r#","class":"catalog""#,
        r#","class":"personal""#,
        r#","class":"static""#,
        r#","ttl":"never""#,
    ]);
    let settings: String = settings.iter().map(|setting| format!(",{setting}")).collect();
    let path = dice.pick(&["/{*rest}", "/b/{*rest}"]);
    let text = format!(r#"{{"version":1,"name":"p","routes":[{{"name":"r","path":"{path}"{class}{settings}}}]}}"#);
    // Some combinations are refused: those are not in question.
    Policy::parse(&text).ok().map(Arc::new)
}

fn question<'a>(dice: &mut Dice, policy: &'a Arc<Policy>, body: &'a [u8]) -> Question<'a> {
    let request = RequestHead {
        method: dice
            .pick(&["GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "HEAD", "POST", "PURGE", "OPTIONS"])
            .to_owned(),
        scheme: dice.pick(&["http", "https"]).to_owned(),
        authority: dice.pick(&["h.test", "H.test:80", ""]).to_owned(),
        target: dice.pick(&["/a", "/a?x=1&y=2", "/a?y=2", "/b/c", "/b", "/a", "/a//b", "*"]).to_owned(),
        fields: lines(dice, &REQUEST_LINES, 4),
        has_body: dice.roll(24) == 0,
    };
    let response = ResponseHead {
        status: [200, 200, 200, 200, 204, 206, 301, 302, 304, 404, 410, 500, 503, 599][dice.roll(14)],
        fields: lines(dice, &RESPONSE_LINES, 6),
        source: if dice.roll(20) == 0 { Source::Failure(Failure::Timeout) } else { Source::Origin },
        ends: body.is_empty(),
    };
    Question { policy, now: NOW, request, response, body }
}

#[test]
fn an_explanation_and_its_exchange_are_of_one_mind() {
    let rounds = if cfg!(target_arch = "wasm32") { 2_000 } else { 30_000 };
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 1..=rounds {
        let mut dice = Dice(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15));
        let Some(policy) = policy(&mut dice) else { continue };
        let body = dice.pick::<[u8]>(&[b"", b"abcd", b"twelve bytes", &[b'x'; 64]]);
        let question = question(&mut dice, &policy, body);
        let got = explain(&question);
        assert!(got.agrees, "seed {seed}: {question:#?}\n{got:#?}");
        well_formed(&got, seed);
        let verdict = match got.verdict {
            Verdict::Stored(_) => "stored".to_owned(),
            Verdict::Answered(status) => format!("answered {status}"),
            Verdict::Bypassed(reason) => format!("bypass {}", reason.as_str()),
            Verdict::NotStored(reason) => format!("not stored {}", reason.as_str()),
            _ => "other".to_owned(),
        };
        *seen.entry(verdict).or_default() += 1;
    }
    println!("{seen:#?}");
    let kinds = seen.len();
    assert!(seen["stored"] as u64 > rounds / 40 && kinds > 24, "{kinds}: {seen:#?}");
}

/// What holds of every explanation.
fn well_formed(got: &Explanation, seed: u64) {
    let stops = got.steps.iter().filter(|step| step.went == Went::Stop).count();
    let stored = matches!(got.verdict, Verdict::Stored(_));
    let post = got.steps.iter().any(|step| step.about == "method" && step.went == Went::Stop);
    assert!(if stored { stops == 0 || post } else { stops == 1 }, "seed {seed}: {got:#?}");
    for step in &got.steps {
        assert!(!step.text.is_empty() && !step.because.is_empty(), "seed {seed}: {step:?}");
    }
    if matches!(got.again, Again::FromCache(_)) && matches!(got.verdict, Verdict::Stored(_)) {
        assert!(got.key.is_some(), "seed {seed}");
    }
    for (index, way) in got.ways.iter().enumerate() {
        assert!(!got.ways[..index].contains(way), "seed {seed}: twice: {way:?}");
        assert!(!way.0.is_empty() && way.0.len() <= 4, "seed {seed}: {way:?}");
    }
}

fn told(settings: &str, request: &[(&str, &str)], status: u16, response: &[(&str, &str)]) -> Explanation {
    let text = format!(r#"{{"version":1,"name":"p","routes":[{{"name":"r","path":"/{{*rest}}"{settings}}}]}}"#);
    let policy = Arc::new(Policy::parse(&text).unwrap_or_else(|errors| panic!("{errors}")));
    let fields = |pairs: &[(&str, &str)]| {
        let mut fields = Fields::new();
        pairs.iter().for_each(|(name, value)| fields.add(name, *value));
        fields
    };
    let request = RequestHead {
        method: "GET".into(),
        scheme: "https".into(),
        authority: "h.test".into(),
        target: "/a?x=1".into(),
        fields: fields(request),
        has_body: false,
    };
    let response = ResponseHead { status, fields: fields(response), ..ResponseHead::default() };
    let explanation = explain(&Question { policy: &policy, now: NOW, request, response, body: b"body" });
    assert!(explanation.agrees, "{explanation:#?}");
    explanation
}

fn step<'a>(told: &'a Explanation, about: &str) -> (&'a str, String) {
    let step = told.steps.iter().find(|step| step.about == about).unwrap_or_else(|| panic!("{about}: {told:#?}"));
    (&step.text, step.because.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

#[test]
fn lifetimes_are_told_with_what_decided() {
    for (settings, response, text, because) in [
        (
            r#","ttl":"60s""#,
            &[("cache-control", "max-age=5")][..],
            "fresh for 60 s by the policy: the origin says 5 s (max-age)",
            "RFC 9111 5.2.2.1; routes[0].ttl",
        ),
        (
            "",
            &[("cache-control", "max-age=5")],
            "fresh for 5 s: the origin says 5 s (max-age)",
            "RFC 9111 5.2.2.1; built-in default",
        ),
        (
            r#","ttl":{"floor":"9s"}"#,
            &[("cache-control", "s-maxage=5")],
            "fresh for 9 s: the origin says 5 s (s-maxage), and the policy raises 5 s to its floor",
            "RFC 9111 5.2.2.10; routes[0].ttl",
        ),
        (
            r#","ttl":{"ceiling":"3s"}"#,
            &[("expires", "Thu, 01 Jan 2026 00:01:00 GMT")],
            "fresh for 3 s: the origin says 60 s (Expires), and the policy cuts 60 s to its ceiling",
            "RFC 9111 5.3; routes[0].ttl",
        ),
        (
            r#","class":"catalog""#,
            &[],
            "fresh for 60 s by the policy: the origin gives no lifetime",
            "RFC 9111 4.2.1; preset of kind \"catalog\"",
        ),
        (
            r#","heuristic":{"percent":"10%"}"#,
            &[("last-modified", "Tue, 30 Dec 2025 00:00:00 GMT")],
            "fresh for 17280 s: the origin gives no lifetime, so that it is guessed from Last-Modified",
            "RFC 9111 4.2.2; routes[0].heuristic",
        ),
        (
            "",
            &[("etag", "\"a\"")],
            "never fresh: the origin gives no lifetime; it is stored to be validated, or for use when stale",
            "RFC 9111 4.2.1; built-in default",
        ),
    ] {
        assert_eq!(
            step(&told(settings, &[], 200, response), "lifetime"),
            (text, because.to_owned()),
            "{settings} {response:?}"
        );
    }
}

#[test]
fn refreshing_ahead_is_told_with_its_window() {
    for (settings, response, text) in [
        (
            r#","ttl":"60s","refresh_ahead":"10%""#,
            "max-age=5",
            "refreshed in the background in the last 6 s of its lifetime, once a worker has used it 3 times",
        ),
        (
            r#","refresh_ahead":{"within":"30s","hits":9}"#,
            "max-age=20",
            "refreshed in the background in the last 10 s of its lifetime, once a worker has used it 9 times",
        ),
        (r#","refresh_ahead":"50%""#, "max-age=1", "not refreshed ahead: its lifetime is too short for that"),
    ] {
        let told = told(settings, &[], 200, &[("cache-control", response)]);
        assert_eq!(step(&told, "refresh-ahead"), (text, "routes[0].refresh_ahead".to_owned()), "{settings}");
    }
}

fn ways(told: &Explanation) -> Vec<String> {
    told.ways
        .iter()
        .map(|way| way.0.iter().map(|change| change.what.as_str()).collect::<Vec<_>>().join(" + "))
        .collect()
}

#[test]
fn what_would_change_it_has_been_tried() {
    let fixed = r#","ttl":"60s""#;
    assert_eq!(ways(&told(fixed, &[], 200, &[])), [""; 0], "it is answered from the cache already");
    for (settings, request, status, response, want) in [
        (
            fixed,
            &[][..],
            200,
            &[("set-cookie", "a=1")][..],
            &["the response set no cookie", "\"identity.set_cookie\" were \"strip\""][..],
        ),
        ("", &[], 200, &[], &["the response gave it a lifetime, such as \"max-age=60\"", "\"ttl\" gave it a lifetime"]),
        (fixed, &[], 404, &[], &["\"status_ttl\" gave 404 a lifetime"]),
        (
            r#","ttl":"never""#,
            &[],
            200,
            &[],
            &[
                "\"ttl\" gave it a lifetime",
                "\"ttl\" were \"respect\" + the response gave it a lifetime, such as \"max-age=60\"",
            ],
        ),
        (
            fixed,
            &[],
            200,
            &[("cache-control", "no-store"), ("vary", "cookie")],
            &[
                "the response did not say no-store + \"key.headers\" had \"cookie\", brought to a few values before",
                "the response did not say no-store + \"vary.allow\" had \"cookie\"",
                "the response did not say no-store + the response did not vary by cookie",
            ],
        ),
        (
            fixed,
            &[("authorization", "Bearer x")],
            200,
            &[],
            &[
                "the response said public",
                "the request had no Authorization",
                "\"key.user\" had \"authorization\", and each user an answer of its own",
            ],
        ),
    ] {
        let ways = ways(&told(settings, request, status, response));
        for want in want {
            assert!(ways.iter().any(|way| way == want), "{settings} {status} {response:?}: {want:?} in {ways:#?}");
        }
    }
}

#[test]
fn the_key_and_both_answers_are_told() {
    let settings = r#","class":"catalog","ttl":"60s","jitter":"0%","key":{"query":{"deny":["x"]},"accept_language":["en","de"]},
        "tags":["r:{rest}"],"client":{"cache_control":{"browser_ttl":"5s","scope":"public"}}"#;
    let told = told(settings, &[("accept-language", "de")], 200, &[("x-b", "1")]);
    let key = told.key.as_ref().unwrap();
    let parts: Vec<String> =
        key.parts.iter().map(|part| format!("{}={}", part.name, part.value.as_deref().unwrap_or("-"))).collect();
    assert_eq!(parts, ["scheme=https", "host=h.test", "path=/a", "field accept-language=de"]);
    assert_eq!((key.url.as_str(), key.tags.as_slice()), ("https://h.test/a", &["r:a".to_owned()][..]));
    assert_eq!(told.forwarded.as_ref().unwrap().target, "/a");
    let of = |fields: &Fields, name: &str| String::from_utf8_lossy(fields.first(name).unwrap_or_default()).into_owned();
    let sent = told.sent.as_ref().unwrap();
    assert_eq!(of(&sent.fields, "cache-control"), "public, max-age=5");
    assert!(
        of(&sent.fields, "etag").starts_with('"') && of(&sent.fields, "cache-status").contains("stored"),
        "{sent:?}"
    );
    let Again::FromCache(again) = &told.again else { panic!("{told:#?}") };
    assert_eq!(of(&again.fields, "cache-status"), "Larder; hit; ttl=60");
    assert_eq!(step(&told, "client").1, "routes[0].client.cache_control");
}
