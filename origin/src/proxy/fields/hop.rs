//! Fields that are about one connection and go no further (RFC 9110 7.6.1).

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Gone, whether `Connection` names them or not.
static HOP_BY_HOP: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
];

/// `Connection` must not name what is meant for all recipients (RFC 9110 7.6.1). Who does is not obeyed: a client could otherwise
/// take away what the message's meaning, its key or its user hang on.
static END_TO_END: [HeaderName; 16] = [
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::DATE,
    header::EXPECT,
    header::EXPIRES,
    header::HOST,
    header::MAX_FORWARDS,
    header::SET_COOKIE,
    header::TRAILER,
    header::VARY,
    header::VIA,
];

/// Takes away what ends here. `TE: trailers` stays where the sender takes trailers: whoever sends the message on says so anew.
pub(in crate::proxy) fn strip(fields: &mut HeaderMap) {
    let named: Vec<HeaderName> = listed(fields, &header::CONNECTION)
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .filter(|name| !END_TO_END.contains(name))
        .collect();
    let trailers = listed(fields, &header::TE).any(|coding| coding.eq_ignore_ascii_case("trailers"));
    for name in named.iter().chain(&HOP_BY_HOP) {
        fields.remove(name);
    }
    if trailers {
        fields.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

/// Whether a body is coded for its transfer in another way than chunked, which hyper undoes. Others it leaves as they are, so that
/// without `Transfer-Encoding` nobody could read the body (RFC 9112 6.1).
pub(in crate::proxy) fn is_coded(fields: &HeaderMap) -> bool {
    let mut codings = listed(fields, &header::TRANSFER_ENCODING);
    codings.next().is_some_and(|coding| !coding.eq_ignore_ascii_case("chunked")) || codings.next().is_some()
}

/// The protocol that a request wants to change to, where `Connection` says that it means it. Changing to HTTP/2 in clear text is
/// not on offer: it has been taken out of HTTP (RFC 9113 3.1), and a tunnel of requests would pass by the cache.
pub(in crate::proxy) fn upgrade(fields: &HeaderMap) -> Option<HeaderValue> {
    if !listed(fields, &header::CONNECTION).any(|name| name.eq_ignore_ascii_case("upgrade")) {
        return None;
    }
    let mut values = fields.get_all(header::UPGRADE).iter();
    let (value, more) = (values.next()?, values.next());
    let text = value.to_str().ok()?.trim();
    let to_http = text.split(',').any(|protocol| {
        let protocol = protocol.trim();
        let http = protocol.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("HTTP/"));
        http || protocol.eq_ignore_ascii_case("h2c") || protocol.is_empty()
    });
    (more.is_none() && !to_http).then(|| value.clone())
}

/// The members of a list, over all lines of the field.
pub(super) fn listed<'a>(fields: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = fields.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&str, &str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(
                HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                HeaderValue::from_str(value).expect("a value"),
            );
        }
        fields
    }

    fn names(fields: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = fields.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_connection_names_ends_here() {
        let mut all = fields(&[
            ("connection", "x-one, keep-alive"),
            ("connection", "X-Two,bad name"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "gzip;q=0.5"),
        ]);
        strip(&mut all);
        assert_eq!(names(&all), ["x-three"]);
    }

    #[test]
    fn what_is_meant_for_all_stays_though_named() {
        let mut all =
            fields(&[("connection", "host, cache-control, vary, x"), ("host", "h"), ("vary", "a"), ("x", "1")]);
        strip(&mut all);
        assert_eq!(names(&all), ["host", "vary"]);
    }

    #[test]
    fn who_takes_trailers_still_does() {
        let mut all = fields(&[("connection", "te"), ("te", "gzip, Trailers")]);
        strip(&mut all);
        assert_eq!(all["te"], "trailers");
    }

    #[test]
    fn chunked_is_the_only_coding_that_can_be_undone() {
        for (lines, coded) in [
            (&[][..], false),
            (&[("transfer-encoding", "Chunked")], false),
            (&[("transfer-encoding", "gzip, chunked")], true),
            (&[("transfer-encoding", "gzip"), ("transfer-encoding", "chunked")], true),
            (&[("transfer-encoding", "chunked, chunked")], true),
            (&[("transfer-encoding", "gzip")], true),
        ] {
            assert_eq!(is_coded(&fields(lines)), coded, "{lines:?}");
        }
    }

    #[test]
    fn an_upgrade_is_meant_only_where_connection_says_so() {
        for (lines, wanted) in [
            (&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")][..], Some("websocket")),
            (&[("upgrade", "websocket")], None),
            (&[("connection", "upgrade")], None),
            (&[("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c")], None),
            (&[("connection", "upgrade"), ("upgrade", "websocket, h2c")], None),
            (&[("connection", "upgrade"), ("upgrade", "http/2.0")], None),
            (&[("connection", "upgrade"), ("upgrade", "a"), ("upgrade", "b")], None),
        ] {
            let wanted = wanted.map(HeaderValue::from_static);
            assert_eq!(upgrade(&fields(lines)), wanted, "{lines:?}");
        }
    }
}
