//! Requests and responses from the command line and from files.

use anyhow::{Context, bail};
use larder_core::{Fields, RequestHead, ResponseHead};

/// `Name: value`.
pub fn field(text: &str) -> Result<(String, Vec<u8>), String> {
    let (name, value) = text.split_once(':').ok_or("a field is written \"Name: value\"")?;
    let is_token =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    if !is_token {
        return Err(format!("{name:?} is no name of a field"));
    }
    Ok((name.to_owned(), value.trim().as_bytes().to_vec()))
}

pub fn fields(list: &[(String, Vec<u8>)]) -> Fields {
    Fields::from_pairs(list.iter().cloned())
}

/// A request's head.
pub fn request(method: &str, url: &str, headers: &[(String, Vec<u8>)], has_body: bool) -> anyhow::Result<RequestHead> {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") => {
            (scheme.to_ascii_lowercase(), rest)
        }
        Some((scheme, _)) => bail!("{scheme}: is not served here: http and https are"),
        None if url.starts_with('/') => ("https".to_owned(), url),
        None => bail!("{url:?} is no URL: write https://host/path, or /path with -H \"Host: host\""),
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(at);
    if authority.contains('@') {
        bail!("a URL with a user in it is never asked for: take out what is before the @");
    }
    let mut fields = fields(headers);
    let host = fields.first("host").map(|value| String::from_utf8_lossy(value).into_owned());
    fields.remove("host");
    let authority = match (authority, host) {
        ("", Some(host)) => host,
        ("", None) => "localhost".to_owned(),
        (authority, _) => authority.to_owned(),
    };
    let slash = if target.starts_with('/') { "" } else { "/" };
    let target = format!("{slash}{target}");
    if target.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        bail!("{target:?} has blanks or control characters in it, which URLs have percent-encoded");
    }
    Ok(RequestHead { method: method.to_owned(), scheme, authority, target, fields, has_body })
}

/// A response with its head, as `curl -i` prints it. Interim responses before it are skipped.
pub fn response(bytes: &[u8]) -> anyhow::Result<(ResponseHead, Vec<u8>)> {
    let mut rest = bytes;
    loop {
        let (head, body) = one(rest)?;
        if (100..200).contains(&head.status) && head.status != 101 {
            rest = body;
            continue;
        }
        let ends = body.is_empty() && matches!(head.status, 204 | 304);
        return Ok((ResponseHead { ends, ..head }, body.to_vec()));
    }
}

fn one(bytes: &[u8]) -> anyhow::Result<(ResponseHead, &[u8])> {
    let (line, mut rest) = line(bytes).context("it is empty")?;
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_ascii_whitespace();
    let version = words.next().unwrap_or_default();
    let status = words.next().and_then(|word| word.parse().ok()).filter(|status| (100..600).contains(status));
    let Some(status) = status.filter(|_| version.starts_with("HTTP/")) else {
        bail!("it begins with {line:?}, not with a status line such as \"HTTP/1.1 200 OK\"");
    };
    let mut fields = Fields::new();
    while let Some((text, after)) = self::line(rest) {
        rest = after;
        if text.is_empty() {
            break;
        }
        let colon = text.iter().position(|byte| *byte == b':');
        let Some((name, value)) = colon.and_then(|at| Some((text.get(..at)?, text.get(at + 1..)?))) else {
            bail!("{:?} is no field", String::from_utf8_lossy(text));
        };
        fields.add(&String::from_utf8_lossy(name), value.trim_ascii());
    }
    Ok((ResponseHead { status, fields, ..ResponseHead::default() }, rest))
}

/// A line without its end, and what follows; `None` at the end.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.is_empty() {
        return None;
    }
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let line = bytes.get(..at).unwrap_or_default();
    Some((line.strip_suffix(b"\r").unwrap_or(line), bytes.get(at + 1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let of = |url: &str, headers: &[(String, Vec<u8>)]| {
            request("GET", url, headers, false)
                .map(|head| format!("{} {} {}", head.scheme, head.authority, head.target))
        };
        for (url, want) in [
            ("https://a.test/x?y=1#z", "https a.test /x?y=1"),
            ("HTTP://A.test:8080", "http A.test:8080 /"),
            ("https://a.test?y", "https a.test /?y"),
            ("/x", "https localhost /x"),
        ] {
            assert_eq!(of(url, &[]).unwrap(), want);
        }
        assert_eq!(of("/x", &[field("Host: h.test").unwrap()]).unwrap(), "https h.test /x");
        for wrong in ["a.test/x", "ftp://a.test/", "https://u@a.test/", "/a b"] {
            assert!(of(wrong, &[]).is_err(), "{wrong}");
        }
        assert!(field("Host").is_err() && field("a b: c").is_err());
    }

    #[test]
    fn responses_are_read_as_curl_prints_them() {
        let (head, body) =
            response(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/2 200 \r\nA: 1\r\na:2 \r\n\r\nx\r\n\r\n").unwrap();
        assert_eq!(
            (head.status, head.fields.joined("a").unwrap(), body),
            (200, b"1, 2".to_vec(), b"x\r\n\r\n".to_vec())
        );
        let (head, body) = response(b"HTTP/1.1 304 Not Modified\nEtag: \"x\"").unwrap();
        assert_eq!((head.status, head.ends, body.len()), (304, true, 0));
        for wrong in [&b""[..], b"<html>", b"HTTP/1.1 OK\n", b"HTTP/1.1 200 OK\nno field\n"] {
            assert!(response(wrong).is_err());
        }
    }
}
