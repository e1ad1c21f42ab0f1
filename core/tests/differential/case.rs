//! Random cases: a request, its response, and a second request for the same. Biased towards fields that caches look at, and
//! towards spellings that two readers of the RFC may read in two ways.

use std::fmt;

/// The second of the epoch at which the response arrives: Tue, 14 Nov 2023 22:13:20 GMT.
pub const ARRIVAL: u64 = 1_700_000_000;

/// Header field lines in order.
pub type Lines = Vec<(&'static str, String)>;

/// One case.
#[derive(Clone, Debug, Default)]
pub struct Case {
    pub first: Request,
    pub status: u16,
    pub response: Lines,
    pub second: Request,
    /// Seconds between the first request and its response.
    pub delay: u64,
    /// Seconds between the response and the second request.
    pub wait: u64,
}

/// A request for one of two targets of one host.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: &'static str,
    pub target: &'static str,
    pub lines: Lines,
}

/// xorshift64*: enough to draw cases, and the same everywhere.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.roll(list.len() as u64) as usize]
    }
}

const STATUSES: [u16; 40] = [
    200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 203, 204, 206,
    299, 300, 301, 302, 307, 308, 400, 403, 404, 404, 405, 410, 414, 418, 500, 501, 503,
];

/// Members of a response's Cache-Control: usual ones, then those that are easily read wrong.
const USUAL: [&str; 22] = [
    "max-age=60",
    "max-age=60",
    "max-age=60",
    "max-age=3600",
    "max-age=0",
    "s-maxage=30",
    "s-maxage=7200",
    "public",
    "public",
    "private",
    "no-store",
    "no-cache",
    "must-revalidate",
    "must-revalidate",
    "proxy-revalidate",
    "must-understand",
    "no-transform",
    "immutable",
    "stale-while-revalidate=50",
    "stale-if-error=50",
    "ext=1",
    "max-age=10",
];
const ODD: [&str; 21] = [
    "No-Store",
    "MAX-AGE=60",
    "Private",
    "max-age=\"60\"",
    "max-age= 60",
    "max-age",
    "max-age=",
    "max-age=abc",
    "max-age=-1",
    "max-age=1.5",
    "max-age=99999999999",
    "s-maxage",
    "s-maxage=abc",
    "s-maxage=0",
    "private=\"set-cookie\"",
    "no-cache=\"set-cookie\"",
    "ext=\"a, no-store, b\"",
    "ext=\"a, max-age=5, b\"",
    "ext=\"a, max-age=5, b\"",
    "max-age=2147483648",
    "",
];
const REQUEST_CC: [&str; 20] = [
    "no-cache",
    "max-age=0",
    "max-age=20",
    "max-age=100",
    "min-fresh=10",
    "min-fresh=100",
    "max-stale",
    "max-stale",
    "max-stale=20",
    "max-stale=20",
    "max-stale=20",
    "max-stale=1000",
    "only-if-cached",
    "no-store",
    "no-transform",
    "No-Cache",
    "max-age=abc",
    "max-stale=abc",
    "min-fresh=abc",
    "ext=\"a, no-cache, b\"",
];
const VARY: [&str; 12] = [
    "accept",
    "accept",
    "Accept-Language",
    "accept-language, foo",
    "foo",
    "FOO",
    "foo, foo",
    "*",
    "accept, *",
    "",
    ", foo",
    "accept-encoding",
];
const CHOICES: [(&str, &str); 14] = [
    ("accept", "text/html"),
    ("accept", "text/html"),
    ("accept", "text/html;q=0.5, text/plain"),
    ("accept", "text/plain,text/html;q=0.5"),
    ("accept-language", "en"),
    ("accept-language", "en"),
    ("accept-language", "EN"),
    ("accept-language", "de, en;q=0.5"),
    ("foo", "1"),
    ("foo", "1"),
    ("foo", "2"),
    ("foo", ""),
    ("accept-encoding", "gzip"),
    ("accept-encoding", "gzip, br"),
];
const CONDITIONS: [(&str, &str); 9] = [
    ("if-none-match", "\"a\""),
    ("if-none-match", "W/\"b\", \"c\""),
    ("if-none-match", "*"),
    ("if-modified-since", "Tue, 14 Nov 2023 21:13:20 GMT"),
    ("if-match", "\"a\""),
    ("if-unmodified-since", "Tue, 14 Nov 2023 21:13:20 GMT"),
    ("range", "bytes=0-1"),
    ("if-range", "\"a\""),
    ("range", "bytes=2-"),
];

/// Draws one case.
pub fn draw(dice: &mut Dice) -> Case {
    let mut first = Request {
        method: if dice.one_in(8) { dice.pick(&["HEAD", "POST", "POST", "OPTIONS"]) } else { "GET" },
        target: "/a",
        lines: request_lines(dice, 8),
    };
    // Nothing comes of such a request, so there is nothing to compare.
    first.lines.retain(|line| !line.1.contains("only-if-cached"));
    let method = match first.method {
        _ if dice.one_in(8) => dice.pick(&["HEAD", "HEAD", "POST", "DELETE"]),
        "POST" if dice.one_in(2) => "GET",
        same => same,
    };
    let target = if dice.one_in(30) { "/b" } else { "/a" };
    let mut second = Request { method, target, lines: request_lines(dice, 2) };
    if !dice.one_in(4) {
        // Mostly the same choices, or no variant would ever match.
        second.lines.retain(|line| !is_choice(line.0));
        second.lines.extend(first.lines.iter().filter(|line| is_choice(line.0)).cloned());
        if dice.one_in(3) {
            second.lines.iter_mut().for_each(|line| line.1 = in_other_words(&line.1).to_owned());
        }
        if dice.one_in(6) {
            let (name, value) = dice.pick(&[("accept", "text/plain"), ("foo", "2"), ("accept-language", "de")]);
            second.lines.push((name, value.to_owned()));
        }
    }
    let status = dice.pick(&STATUSES);
    if status == 206 && first.method == "GET" {
        first.lines.push(("range", "bytes=0-1".to_owned()));
    }
    let mut response = response_lines(dice);
    if first.method == "POST" && dice.one_in(2) {
        response.push(("content-location", "/a".to_owned()));
    }
    Case {
        first,
        status,
        response,
        second,
        delay: dice.pick(&[0, 0, 0, 0, 0, 3]),
        wait: dice.pick(&[0, 0, 1, 10, 20, 29, 30, 31, 40, 59, 60, 61, 80, 100, 109, 110, 111, 500, 5000, 100_000]),
    }
}

/// The same choice, written differently.
fn in_other_words(value: &str) -> &str {
    match value {
        "en" => "EN",
        "text/html;q=0.5, text/plain" => "text/plain,text/html;q=0.5",
        "text/plain,text/html;q=0.5" => "text/html;q=0.5, text/plain",
        "gzip, br" => "gzip,br",
        same => same,
    }
}

fn is_choice(name: &str) -> bool {
    CHOICES.iter().any(|choice| choice.0 == name)
}

/// `often`: one in so many carries directives.
fn request_lines(dice: &mut Dice, often: u64) -> Lines {
    let mut lines = Lines::new();
    for _ in 0..dice.roll(3) {
        let (name, value) = dice.pick(&CHOICES);
        lines.push((name, value.to_owned()));
    }
    if dice.one_in(often) {
        let mut members = vec![dice.pick(&REQUEST_CC)];
        (0..dice.roll(2)).for_each(|_| members.push(dice.pick(&REQUEST_CC)));
        lines.push(("cache-control", members.join(", ")));
    }
    if dice.one_in(5 * often) {
        lines.push(("pragma", dice.pick(&["no-cache", "No-Cache", "x", "xno-cache"]).to_owned()));
    }
    if dice.one_in(8) {
        lines.push(("authorization", "Basic YTpi".to_owned()));
    }
    for _ in 0..2 {
        if dice.one_in(2 * often) {
            let (name, value) = dice.pick(&CONDITIONS);
            lines.retain(|line| line.0 != name);
            lines.push((name, value.to_owned()));
        }
    }
    lines
}

fn response_lines(dice: &mut Dice) -> Lines {
    let mut lines = Lines::new();
    if !dice.one_in(5) {
        for _ in 0..=dice.roll(6) / 5 {
            let members: Vec<&str> =
                (0..=dice.roll(3)).map(|_| if dice.one_in(7) { dice.pick(&ODD) } else { dice.pick(&USUAL) }).collect();
            lines.push(("cache-control", members.join(dice.pick(&[", ", ",", " , "]))));
        }
    }
    let mut sometimes = |often: u64, name: &'static str, value: &dyn Fn(&mut Dice) -> String| {
        if dice.one_in(often) {
            lines.push((name, value(dice)));
        }
    };
    sometimes(4, "expires", &|dice| date(dice, &[60, 60, 600, 7200, 0, -60]));
    sometimes(25, "expires", &|dice| date(dice, &[60, 600]));
    sometimes(3, "date", &|dice| date(dice, &[0, 0, 0, 0, 0, -20, -500, 20]));
    sometimes(3, "last-modified", &|dice| date(dice, &[-400, -4000, -400_000, -40_000_000, 60]));
    sometimes(3, "etag", &|dice| dice.pick(&["\"a\"", "\"a\"", "W/\"b\"", "unquoted", "\"c,d\""]).to_owned());
    sometimes(6, "age", &|dice| {
        dice.pick(&["0", "5", "50", "500", "x", "-1", "5, 700", "5;x", "1.5", "99999999999999999999", ""]).to_owned()
    });
    sometimes(3, "vary", &|dice| dice.pick(&VARY).to_owned());
    sometimes(30, "vary", &|dice| dice.pick(&VARY).to_owned());
    sometimes(9, "set-cookie", &|_| "s=1".to_owned());
    sometimes(14, "pragma", &|_| "no-cache".to_owned());
    sometimes(60, "content-location", &|_| "/b".to_owned());
    sometimes(14, "content-range", &|dice| dice.pick(&["bytes 0-1/4", "x"]).to_owned());
    lines
}

/// A date so many seconds from the arrival, in one of the forms of RFC 9110 5.6.7 or none of them.
fn date(dice: &mut Dice, offsets: &[i64]) -> String {
    let at = ARRIVAL.saturating_add_signed(dice.pick(offsets));
    let fixdate = larder_core::field::date::format(larder_core::Timestamp::from_secs(at));
    // "Tue, 14 Nov 2023 22:13:20 GMT"
    match dice.roll(14) {
        0 => format!("Tuesday, {}-{}-{} {} GMT", &fixdate[5..7], &fixdate[8..11], &fixdate[14..16], &fixdate[17..25]),
        1 => format!("Tue {} {} {} {}", &fixdate[8..11], &fixdate[5..7], &fixdate[17..25], &fixdate[12..16]),
        2 => dice.pick(&["0", "-1", "tomorrow", "", "Tue, 14 Nov 2023 22:13:20 +0000"]).to_owned(),
        3 => fixdate.to_lowercase(),
        _ => fixdate,
    }
}

impl Case {
    /// Every value of a response field.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.response.iter().filter(move |line| line.0 == name).map(|line| line.1.as_str())
    }

    /// Whether the response has the field.
    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Whether the response's Cache-Control says exactly this somewhere.
    pub fn says(&self, member: &str) -> bool {
        self.members().any(|said| said == member)
    }

    /// Whether a directive of this name (any case, any argument) stands in the response's Cache-Control.
    pub fn names(&self, name: &str) -> bool {
        self.members().any(|said| said.split('=').next().is_some_and(|said| said.trim().eq_ignore_ascii_case(name)))
    }

    /// Whether the response can be validated.
    pub fn has_validator(&self) -> bool {
        self.has("etag") || self.has("last-modified")
    }

    /// Whether Content-Location is the first request's target.
    pub fn says_content_is_of_target(&self) -> bool {
        self.all("content-location").next() == Some(self.first.target)
    }

    /// Members of the response's Cache-Control; commas in quotes do not split.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.all("cache-control").flat_map(members)
    }
}

impl Request {
    /// Every value of a field.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.lines.iter().filter(move |line| line.0 == name).map(|line| line.1.as_str())
    }

    /// Whether it has the field.
    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Whether a directive of this name stands in its Cache-Control.
    pub fn names(&self, name: &str) -> bool {
        self.all("cache-control").flat_map(members).any(|said| said.split('=').next() == Some(name))
    }

    /// Whether a directive of this name stands there with two arguments.
    pub fn names_twice(&self, name: &str) -> bool {
        let named = || self.all("cache-control").flat_map(members).filter(|said| said.split('=').next() == Some(name));
        named().any(|one| named().any(|other| other != one))
    }

    /// Whether its Cache-Control says exactly this.
    pub fn says(&self, member: &str) -> bool {
        self.all("cache-control").flat_map(members).any(|said| said == member)
    }
}

fn members(value: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    value
        .split(move |c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        })
        .map(str::trim)
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = |f: &mut fmt::Formatter<'_>, lines: &Lines| {
            lines.iter().try_for_each(|(name, value)| writeln!(f, "    {name}: {value}"))
        };
        writeln!(f, "  {} {}", self.first.method, self.first.target)?;
        lines(f, &self.first.lines)?;
        writeln!(f, "  after {} s: {}", self.delay, self.status)?;
        lines(f, &self.response)?;
        writeln!(f, "  after {} s: {} {}", self.wait, self.second.method, self.second.target)?;
        lines(f, &self.second.lines)
    }
}
