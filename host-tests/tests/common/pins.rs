//! Behaviours of Envoy that a caching plugin leans on, as data: a request to the probe, and what the client must see.
//!
//! `host_pins.rs` runs the table in the wasmtime host, `envoy_pins.rs` in real Envoy: where they differ, the host is wrong.
//! The origin behind both answers by path: `/` hello (5 bytes), `/chunks` aaaaabbbbbccccc without a length, `/trailers` the same
//! with a trailer `x-sum: 1`, `/broken` 9 of 100 bytes, `/hangup` nothing, `/dup` repeated fields, `/304`, `/large` 2 MiB without a length.

/// One behaviour.
pub struct Pin {
    /// A sentence.
    pub name: &'static str,
    pub method: &'static str,
    pub path: &'static str,
    pub fields: &'static [(&'static str, &'static str)],
    pub body: &'static str,
    pub status: u16,
    /// The whole body that the client sees; `None`: not looked at.
    pub sees: Option<&'static str>,
    /// Whether the response arrived whole.
    pub whole: bool,
    /// Fields with all their values.
    pub has: &'static [(&'static str, &'static [&'static str])],
    pub lacks: &'static [&'static str],
    /// The probe's notes, in order; body events before the last of a body are left out, since their sizes are chance.
    pub notes: &'static [&'static str],
}

/// What a client saw, from either executor.
#[derive(Debug)]
pub struct Seen {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub whole: bool,
    pub notes: Vec<String>,
}

const PIN: Pin = Pin {
    name: "",
    method: "GET",
    path: "/",
    fields: &[],
    body: "",
    status: 200,
    sees: None,
    whole: true,
    has: &[],
    lacks: &[],
    notes: &[],
};

const LOGGED: [&str; 3] = ["log 0 0", "done", "delete"];

/// The notes that every finished stream ends with are added here.
impl Pin {
    pub fn expected_notes(&self) -> Vec<&'static str> {
        self.notes.iter().copied().chain(LOGGED).collect()
    }
}

/// Fails with the pin's name where what was seen is not what was pinned.
#[track_caller]
pub fn check(pin: &Pin, seen: &Seen) -> Result<(), String> {
    let mut wrong = Vec::new();
    let mut note = |what: String| wrong.push(what);
    if seen.status != pin.status {
        note(format!("status {} instead of {}", seen.status, pin.status));
    }
    if seen.whole != pin.whole {
        note(format!("whole: {}", seen.whole));
    }
    if let Some(body) = pin.sees
        && seen.body != body.as_bytes()
    {
        note(format!("body {:?} instead of {body:?}", String::from_utf8_lossy(&seen.body)));
    }
    let values = |name: &str| -> Vec<&str> {
        seen.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    };
    for (name, expected) in pin.has {
        if values(name) != *expected {
            note(format!("{name}: {:?} instead of {expected:?}", values(name)));
        }
    }
    for name in pin.lacks {
        if !values(name).is_empty() {
            note(format!("{name}: {:?} instead of nothing", values(name)));
        }
    }
    if !pin.notes.is_empty() {
        let notes: Vec<&str> = seen.notes.iter().map(String::as_str).filter(|note| !is_chance(note)).collect();
        if notes != pin.expected_notes() {
            note(format!("callbacks {notes:?}"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("{}: {}", pin.name, wrong.join("; "))) }
}

fn is_chance(note: &str) -> bool {
    note.contains("body ") && note.ends_with("end=false")
}

const REPLY: (&str, &str) = ("x-probe", "reply");

/// The table.
pub const PINS: &[Pin] = &[
    Pin {
        name: "a request passes and the plugin hears of every part",
        sees: Some("hello"),
        has: &[("content-length", &["5"]), ("server", &["envoy"])],
        lacks: &["transfer-encoding", "x-own"],
        notes: &[
            "request headers end=true",
            "response headers end=false details=via_upstream",
            "response body 0 end=true",
        ],
        ..PIN
    },
    Pin {
        name: "a HEAD's response ends with its headers",
        method: "HEAD",
        has: &[("content-length", &["5"])],
        notes: &["request headers end=true", "response headers end=true details=via_upstream"],
        ..PIN
    },
    Pin {
        name: "a 304 from the origin ends with its headers",
        path: "/304",
        status: 304,
        lacks: &["content-length", "transfer-encoding"],
        notes: &["request headers end=true", "response headers end=true details=via_upstream"],
        ..PIN
    },
    Pin {
        name: "a POST's body comes to the plugin and its end on its own",
        method: "POST",
        body: "abc",
        sees: Some("hello"),
        notes: &[
            "request headers end=false",
            "request body 0 end=true",
            "response headers end=false details=via_upstream",
            "response body 0 end=true",
        ],
        ..PIN
    },
    Pin {
        name: "repeated cache-control and vary are joined, other fields stay apart, hop-by-hop fields are gone",
        path: "/dup",
        has: &[("cache-control", &["a,b"]), ("vary", &["a,b"]), ("x-a", &["1", "2"]), ("link", &["a", "b"])],
        lacks: &["connection", "keep-alive"],
        ..PIN
    },
    Pin {
        name: "a local reply from the request path runs our response callbacks",
        fields: &[REPLY, ("x-body", "hi")],
        sees: Some("hi"),
        has: &[("content-type", &["text/plain"]), ("content-length", &["2"]), ("x-own", &["1"])],
        notes: &["request headers end=true", "response headers end=false details=", "response body 2 end=true"],
        ..PIN
    },
    Pin {
        name: "a local reply without a body loses content-type and content-length",
        fields: &[REPLY, ("x-reply", "content-type: a/b|content-length: 77|x-k: 1")],
        sees: Some(""),
        has: &[("content-length", &["0"]), ("x-k", &["1"])],
        lacks: &["content-type", "transfer-encoding"],
        notes: &["request headers end=true", "response headers end=true details="],
        ..PIN
    },
    Pin {
        name: "a local reply without a body to a HEAD is chunked",
        method: "HEAD",
        fields: &[REPLY, ("x-reply", "content-type: a/b|content-length: 77")],
        has: &[("transfer-encoding", &["chunked"])],
        lacks: &["content-type", "content-length"],
        notes: &["request headers end=true", "response headers end=true details="],
        ..PIN
    },
    Pin {
        name: "a local reply with a body to a HEAD has its length and sends no byte",
        method: "HEAD",
        fields: &[REPLY, ("x-body", "hello"), ("x-reply", "content-type: a/b")],
        sees: Some(""),
        has: &[("content-length", &["5"]), ("content-type", &["a/b"])],
        ..PIN
    },
    Pin {
        name: "a 304 reply has no length, and one set in our response callback passes",
        fields: &[REPLY, ("x-status", "304"), ("x-reply", "etag: \"a\""), ("x-own-set", "content-length: 12345")],
        status: 304,
        has: &[("content-length", &["12345"]), ("etag", &["\"a\""])],
        ..PIN
    },
    Pin {
        name: "a 304 reply with a body shows the body's length and type but no body",
        fields: &[REPLY, ("x-status", "304"), ("x-body", "body")],
        status: 304,
        sees: Some(""),
        has: &[("content-length", &["4"]), ("content-type", &["text/plain"])],
        notes: &["request headers end=true", "response headers end=false details=", "response body 4 end=true"],
        ..PIN
    },
    Pin {
        name: "a 204 reply has neither length nor type",
        fields: &[REPLY, ("x-status", "204"), ("x-reply", "content-type: a/b")],
        status: 204,
        lacks: &["content-length", "content-type", "transfer-encoding"],
        ..PIN
    },
    Pin {
        name: "a reply's own date stays, its length is put right, hop-by-hop fields go, names are lower-cased, server is envoy",
        fields: &[
            REPLY,
            ("x-body", "b"),
            (
                "x-reply",
                "date: Thu, 01 Jan 1970 00:00:00 GMT|server: me|connection: x|transfer-encoding: chunked|content-length: 9|X-Upper: Y|age: 1|age: 2|set-cookie: a|set-cookie: b",
            ),
            ("x-own-remove", "content-type"),
        ],
        sees: Some("b"),
        has: &[
            ("date", &["Thu, 01 Jan 1970 00:00:00 GMT"]),
            ("server", &["envoy"]),
            ("content-length", &["1"]),
            ("x-upper", &["Y"]),
            ("age", &["1,2"]),
            ("set-cookie", &["a", "b"]),
        ],
        lacks: &["connection", "transfer-encoding", "content-type"],
        ..PIN
    },
    Pin { name: "the first of two replies wins", fields: &[("x-probe", "reply-twice")], sees: Some("first"), ..PIN },
    Pin {
        name: "held headers take an etag at the end of the body",
        path: "/chunks",
        fields: &[("x-probe", "etag")],
        sees: Some("aaaaabbbbbccccc"),
        has: &[("etag", &["\"15\""]), ("transfer-encoding", &["chunked"])],
        notes: &[
            "request headers end=true",
            "response headers end=false details=via_upstream",
            "response body 15 end=true",
        ],
        ..PIN
    },
    Pin {
        name: "held headers keep their content-length",
        fields: &[("x-probe", "etag")],
        sees: Some("hello"),
        has: &[("etag", &["\"5\""]), ("content-length", &["5"])],
        lacks: &["transfer-encoding"],
        ..PIN
    },
    Pin {
        name: "with trailers no body callback says end, and the trailers callback may still set headers",
        path: "/trailers",
        fields: &[("x-probe", "etag")],
        sees: Some("aaaaabbbbbccccc"),
        has: &[("etag", &["\"by trailers\""])],
        notes: &["request headers end=true", "response headers end=false details=via_upstream", "response trailers 1"],
        ..PIN
    },
    Pin {
        name: "holding can be given up in the middle",
        path: "/chunks",
        fields: &[("x-probe", "bail"), ("x-limit", "7")],
        sees: Some("aaaaabbbbbccccc"),
        has: &[("x-bailed", &["1"])],
        ..PIN
    },
    Pin {
        name: "a header cannot be added once the headers went on",
        fields: &[("x-probe", "late-header")],
        sees: Some("hello"),
        lacks: &["x-late"],
        notes: &[
            "request headers end=true",
            "response headers end=false details=via_upstream",
            "late header 2",
            "response body 0 end=true",
            "late header 2",
        ],
        ..PIN
    },
    Pin {
        name: "a response can be replaced from its headers, past our own callbacks",
        fields: &[("x-probe", "replace"), ("x-reply", "etag: \"a\"|set-cookie: a|set-cookie: b")],
        sees: Some("replaced"),
        has: &[("etag", &["\"a\""]), ("content-length", &["8"]), ("set-cookie", &["a", "b"])],
        lacks: &["x-own", "x-envoy-upstream-service-time"],
        notes: &["request headers end=true", "response headers end=false details=via_upstream"],
        ..PIN
    },
    Pin {
        name: "a 304 from upstream can be replaced by a 200",
        path: "/304",
        fields: &[("x-probe", "replace")],
        sees: Some("replaced"),
        notes: &["request headers end=true", "response headers end=true details=via_upstream"],
        ..PIN
    },
    Pin {
        name: "a replacement for a HEAD has its length and no body",
        method: "HEAD",
        fields: &[("x-probe", "replace")],
        sees: Some(""),
        has: &[("content-length", &["8"])],
        ..PIN
    },
    Pin {
        name: "a late 304 replaces a held response",
        fields: &[("x-probe", "late-replace")],
        status: 304,
        sees: Some(""),
        lacks: &["content-length", "content-type", "x-envoy-upstream-service-time"],
        notes: &[
            "request headers end=true",
            "response headers end=false details=via_upstream",
            "response body 5 end=true",
        ],
        ..PIN
    },
    Pin {
        name: "a reply after the headers went out cuts the response",
        path: "/chunks",
        fields: &[("x-probe", "mid-replace")],
        whole: false,
        ..PIN
    },
    Pin {
        name: "a held body can be rewritten",
        path: "/chunks",
        fields: &[("x-probe", "rewrite")],
        sees: Some("rewritten"),
        ..PIN
    },
    Pin {
        name: "a truncated response that streams is cut, and its end never comes",
        path: "/broken",
        sees: Some("abcdefghi"),
        whole: false,
        has: &[("content-length", &["100"])],
        notes: &["request headers end=true", "response headers end=false details=via_upstream"],
        ..PIN
    },
    Pin {
        name: "a truncated response that is held becomes a 502",
        path: "/broken",
        fields: &[("x-probe", "etag")],
        status: 502,
        notes: &["request headers end=true", "response headers end=false details=via_upstream"],
        ..PIN
    },
    Pin {
        name: "a connection closed before the answer is Envoy's 503, which the plugin sees",
        path: "/hangup",
        status: 503,
        sees: Some("upstream connect error or disconnect/reset before headers. reset reason: connection termination"),
        notes: &[
            "request headers end=true",
            "response headers end=false details=upstream_reset_before_response_started{connection_termination}",
            "response body 95 end=true",
        ],
        ..PIN
    },
    Pin {
        name: "Envoy's own 503 can be replaced",
        path: "/hangup",
        fields: &[("x-probe", "replace")],
        sees: Some("replaced"),
        ..PIN
    },
    Pin {
        name: "holding more than the buffer limit is a 500",
        path: "/large",
        fields: &[("x-probe", "etag")],
        status: 500,
        sees: Some("Internal Server Error"),
        lacks: &["etag"],
        ..PIN
    },
    Pin {
        name: "a call's answer can answer the request",
        fields: &[("x-probe", "call"), ("x-path", "/")],
        sees: Some("status=200 names=:status,content-length,x-envoy-upstream-service-time size=5 body=hello"),
        has: &[("x-own", &["1"])],
        ..PIN
    },
    Pin {
        name: "a call whose connection breaks gets Envoy's 503 with three headers",
        fields: &[("x-probe", "call"), ("x-path", "/hangup")],
        sees: Some(
            "status=503 names=:status,content-length,content-type size=95 body=upstream connect error or disconnect/reset before headers. reset reason: connection termination",
        ),
        ..PIN
    },
    Pin {
        name: "a call to an unknown cluster is refused at once",
        fields: &[("x-probe", "call"), ("x-cluster", "nowhere")],
        status: 500,
        sees: Some("BadArgument"),
        ..PIN
    },
    Pin {
        name: "a request resumes after a call",
        fields: &[("x-probe", "call"), ("x-path", "/"), ("x-then", "resume")],
        sees: Some("hello"),
        notes: &[
            "request headers end=true",
            "call reply 3 5 0",
            "response headers end=false details=via_upstream",
            "response body 0 end=true",
        ],
        ..PIN
    },
    Pin {
        name: "a POST held for a call shows its whole body at its end",
        method: "POST",
        body: "abc",
        fields: &[("x-probe", "call"), ("x-path", "/304"), ("x-then", "resume")],
        sees: Some("hello"),
        notes: &[
            "request headers end=false",
            "request body 3 end=true",
            "call reply 2 0 0",
            "response headers end=false details=via_upstream",
            "response body 0 end=true",
        ],
        ..PIN
    },
    Pin {
        name: "a request that resumes itself and pauses goes on",
        fields: &[("x-probe", "resume-self")],
        sees: Some("hello"),
        ..PIN
    },
    Pin {
        name: "a response waits for a call and takes a header then",
        fields: &[("x-probe", "wait"), ("x-path", "/")],
        sees: Some("hello"),
        has: &[("x-waited", &["1"])],
        ..PIN
    },
    Pin {
        name: "entering the root from a request runs at once",
        fields: &[("x-probe", "hop")],
        has: &[("content-type", &["text/plain"])],
        sees: None,
        ..PIN
    },
    Pin {
        name: "a panic in the request headers is a 503",
        fields: &[("x-probe", "panic"), ("x-when", "request")],
        status: 503,
        sees: Some(""),
        ..PIN
    },
];

/// Scripts of host calls with their answers: `(script, answers)`.
pub const SCRIPTS: &[(&str, &str)] = &[
    (
        "add x-d 1;add x-d 2;all x-d;get x-d;replace x-d 9;all x-d;remove x-d;all x-d;get x-d",
        "0\n0\n1|2\n1\n0\n9\n0\n\nnone\n",
    ),
    ("add cache-control a;add cache-control b;all cache-control", "0\n0\na,b\n"),
    ("add cookie a;add cookie b;all cookie;add range a;add range b;all range", "0\n0\na|b\n0\n0\na|b\n"),
    ("add if-none-match a;add if-none-match b;all if-none-match", "0\n0\na,b\n"),
    ("many 1000;many 1025", "1000\n0\n"),
    (
        "property xds.cluster_name;property request.protocol;property request.scheme;property request.path;property request.method",
        "origin\nHTTP/1.1\nhttp\n/\nGET\n",
    ),
    ("property plugin_name;property plugin_root_id;property plugin_vm_id", "larder\nlarder\nlarder\n"),
    (
        "property response.code;property cluster_name;property connection.mtls;property request.size",
        "none\nnone\n[0]\n0\n",
    ),
    ("set-property mine abc;property mine;set-property my.own abc;property my.own", "0\nabc\n0\nnone\n"),
    (
        "shared-get k;shared-set k v wrong;shared-get k;shared-set k w wrong;shared-set k w right;shared-get k;shared-set k x 0;shared-remove k;shared-get k",
        "none -\n0\nv cas\n8\n0\nw cas\n0\n0\nnone cas\n",
    ),
    ("bump probe.pinned 3;bump probe.pinned 0;bump probe.pinned -1", "0 0 3\n2 0 3\n2 0 3\n"),
    ("foreign clear_route_cache;foreign nope;effective 99999", "0\n1\n2\n"),
    ("call nowhere;call-without-path l2;grpc nowhere;done;response-header x", "2\n2\n4 1\n1\n2\n"),
    ("resolve unknown;pop 99;push 99 x", "none\n1\n1\n"),
];
