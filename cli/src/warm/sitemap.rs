//! Sitemaps (sitemaps.org): lists of URLs in XML, and indexes of such lists; compressed where their name ends in `.gz`.
//!
//! One that is a URL is fetched through the proxy like everything else, and only if it is covered. Of an index, so many sitemaps are read,
//! and no index within it.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use larder_node::warming::{Coverage, Planner, Via};
use quick_xml::Reader;
use quick_xml::events::Event;
use ureq::Agent;

/// The most bytes of a sitemap once it is uncompressed, as sitemaps.org has it.
const BYTES_MAX: u64 = 50 << 20;

/// The most sitemaps of an index that are read.
const OF_INDEX_MAX: usize = 100;

/// How sitemaps that are URLs are fetched.
pub struct Fetching<'a> {
    pub via: &'a Via,
    pub coverage: &'a Coverage,
    pub timeout: Duration,
}

/// What a document of this kind lists.
#[derive(Debug, Default, PartialEq, Eq)]
struct Listed {
    urls: Vec<String>,
    sitemaps: Vec<String>,
}

/// Hands on the URLs of a sitemap and of those in an index.
pub fn urls(
    source: &str,
    fetching: &Fetching<'_>,
    left_out: &mut Vec<String>,
    mut take: impl FnMut(&str),
) -> anyhow::Result<()> {
    let first = listed(source, fetching)?;
    first.urls.iter().for_each(|url| take(url));
    for sitemap in first.sitemaps.iter().take(OF_INDEX_MAX) {
        // Only what is fetched: a list from elsewhere names no files here.
        if !is_url(sitemap) {
            left_out.push(format!("{sitemap}, in the index {source}: it is no URL"));
            continue;
        }
        match listed(sitemap, fetching) {
            Ok(listed) => {
                listed.urls.iter().for_each(|url| take(url));
                if !listed.sitemaps.is_empty() {
                    left_out.push(format!("{sitemap}: an index within an index"));
                }
            }
            Err(error) => left_out.push(format!("{sitemap}: {error:#}")),
        }
    }
    if first.sitemaps.len() > OF_INDEX_MAX {
        let more = first.sitemaps.len() - OF_INDEX_MAX;
        left_out.push(format!("{more} sitemaps of {source}: no more than {OF_INDEX_MAX} of an index are read"));
    }
    Ok(())
}

fn is_url(text: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

fn listed(source: &str, fetching: &Fetching<'_>) -> anyhow::Result<Listed> {
    let context = || format!("the sitemap {source}");
    let bytes =
        if is_url(source) { fetched(source, fetching) } else { read(Path::new(source)) }.with_context(context)?;
    let text = String::from_utf8(uncompressed(bytes).with_context(context)?).with_context(context)?;
    parse(&text).with_context(context)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    limited(std::fs::File::open(path)?)
}

/// Asks the proxy for it.
fn fetched(url: &str, fetching: &Fetching<'_>) -> anyhow::Result<Vec<u8>> {
    let mut planner = Planner::new(fetching.coverage, 1);
    planner.add_url(url);
    let plan = planner.finish();
    let Some(request) = plan.requests.first() else {
        bail!("{}", plan.refused.first().map_or("it is not covered", |refused| refused.why.as_str()));
    };
    let target = request.target();
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(fetching.timeout))
        .build()
        .into();
    let via = fetching.via.to_string();
    let mut asked = agent.get(format!("{}{}", via.trim_end_matches('/'), target.path()));
    asked = asked.header("host", target.authority()).header("accept-encoding", "identity");
    if target.scheme() == "https" {
        asked = asked.header("x-forwarded-proto", "https");
    }
    let mut answer = asked.call().with_context(|| format!("cannot ask {via}"))?;
    if answer.status() != 200 {
        bail!("the answer has the status {}", answer.status().as_u16());
    }
    limited(answer.body_mut().as_reader())
}

fn limited(from: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        bail!("it has more than {} MiB", BYTES_MAX >> 20);
    }
    Ok(bytes)
}

/// By its first bytes, whatever its name is.
fn uncompressed(bytes: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        limited(flate2::read::MultiGzDecoder::new(bytes.as_slice()))
    } else {
        Ok(bytes)
    }
}

/// The `loc` of each `url` and `sitemap`. Elements of other vocabularies (images, languages) are passed over, be their names the same.
fn parse(text: &str) -> anyhow::Result<Listed> {
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let (mut listed, mut path, mut loc) = (Listed::default(), Vec::<String>::new(), String::new());
    let mut is_sitemap = false;
    loop {
        let wrong = |error: &dyn std::fmt::Display, at: u64| anyhow::anyhow!("it is not XML at byte {at}: {error}");
        match reader.read_event() {
            Ok(Event::Eof) => break,
            Ok(Event::Start(start)) => {
                path.push(start.name().as_ref().to_owned());
                is_sitemap |= matches!(path.as_slice(), [root] if root == "urlset" || root == "sitemapindex");
                loc.clear();
                if path.len() > 64 {
                    bail!("its elements are nested too deeply");
                }
            }
            Ok(Event::Text(text)) => loc.push_str(&text.xml10_content()),
            Ok(Event::CData(text)) => loc.push_str(&text.xml10_content()),
            Ok(Event::GeneralRef(reference)) => match reference.resolve_char_ref() {
                Ok(Some(char)) => loc.push(char),
                Ok(None) => loc.push_str(quick_xml::escape::resolve_predefined_entity(&reference).unwrap_or_default()),
                Err(error) => return Err(wrong(&error, reader.buffer_position())),
            },
            Ok(Event::End(_)) => {
                let url = || loc.trim().to_owned();
                match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                    ["urlset", "url", "loc"] => listed.urls.push(url()),
                    ["sitemapindex", "sitemap", "loc"] => listed.sitemaps.push(url()),
                    _ => {}
                }
                path.pop();
                loc.clear();
            }
            Ok(_) => {}
            Err(error) => return Err(wrong(&error, reader.error_position())),
        }
    }
    if !is_sitemap || !path.is_empty() {
        bail!("it is no whole sitemap: neither <urlset> nor <sitemapindex>, or cut off");
    }
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_sitemaps_are_read_and_nothing_else() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
            <!-- a comment -->
            <urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
              <url><loc>
                https://a.test/x?a=1&amp;b=2&#38;c </loc><lastmod>2026-01-01</lastmod>
                <image:image><image:loc>https://a.test/i.png</image:loc></image:image></url>
              <url><loc><![CDATA[https://a.test/y&z]]></loc></url>
              <other><loc>https://a.test/no</loc></other>
            </urlset>"#;
        let listed = parse(text).expect("a sitemap");
        assert_eq!(listed.urls, ["https://a.test/x?a=1&b=2&c", "https://a.test/y&z"]);
        let index = parse("<sitemapindex><sitemap><loc>https://a.test/1.xml.gz</loc></sitemap></sitemapindex>");
        assert_eq!(index.expect("an index").sitemaps, ["https://a.test/1.xml.gz"]);
        for broken in
            ["", "{}", "<html></html>", "<urlset><url>", "<urlset></url></urlset>", "<urlset>&#xFFFFFFF;</urlset>"]
        {
            assert!(parse(broken).is_err(), "{broken}");
        }
        let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b SYSTEM \"file:///etc/passwd\">]><urlset><url><loc>&a;&b;</loc></url></urlset>";
        assert_eq!(parse(bomb).expect("a sitemap").urls, [""]);
    }
}
