//! Markdown as an HTML page that needs nothing beside itself. Markup in the policy's own texts is text.

use std::collections::BTreeMap;

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

const STYLE: &str = "
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; display: block; overflow-x: auto; }
th, td { border: 1px solid color-mix(in srgb, currentColor 25%, transparent); padding: .4rem .6rem; text-align: left; vertical-align: top; }
code, pre { font-family: ui-monospace, monospace; font-size: .92em; }
pre { padding: .8rem; overflow-x: auto; border: 1px solid color-mix(in srgb, currentColor 25%, transparent); border-radius: 4px; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
";

/// A whole page.
pub fn page(markdown: &str, name: &str) -> String {
    let events: Vec<Event<'_>> = Parser::new_ext(markdown, Options::ENABLE_TABLES).map(harmless).collect();
    let mut body = String::new();
    html::push_html(&mut body, with_ids(events).into_iter());
    let title = format!("Caching of {name}"); // a policy's name is letters, digits, `_` and `-`
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

fn harmless(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            // Texts of a policy may have links; they lead to pages.
            let is_page = ["#", "https://", "http://"].iter().any(|start| dest_url.starts_with(start));
            let dest_url = if is_page { dest_url } else { CowStr::Borrowed("#") };
            Event::Start(Tag::Link { link_type, dest_url, title, id })
        }
        other => other,
    }
}

/// Headings that the table can point at.
fn with_ids(mut events: Vec<Event<'_>>) -> Vec<Event<'_>> {
    let mut starts = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, event) in events.iter().enumerate() {
        match event {
            Event::Start(Tag::Heading { .. }) => open = Some((index, String::new())),
            Event::End(TagEnd::Heading(_)) => starts.extend(open.take()),
            Event::Text(text) | Event::Code(text) => {
                if let Some((_, heading)) = &mut open {
                    heading.push_str(text);
                }
            }
            _ => {}
        }
    }
    let mut slugs = Slugs::default();
    for (index, heading) in starts {
        if let Some(Event::Start(Tag::Heading { id, .. })) = events.get_mut(index) {
            *id = Some(slugs.of(&heading).into());
        }
    }
    events
}

/// What headings are pointed at by, as code forges have it: letters, digits and dashes, and a number from the second one on.
#[derive(Debug, Default)]
pub struct Slugs {
    seen: BTreeMap<String, usize>,
}

impl Slugs {
    /// The next heading's.
    pub fn of(&mut self, heading: &str) -> String {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let slug: String = kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect();
        let before = self.seen.entry(slug.clone()).or_default();
        *before += 1;
        if *before > 1 { format!("{slug}-{}", *before - 1) } else { slug }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_texts_is_text_and_headings_have_ids() {
        let page = page("# A `b` /c\n\n<script>x</script>\n\n[y](javascript:z)\n", "p");
        assert!(page.contains("<h1 id=\"a-b-c\">") && page.contains("&lt;script&gt;"), "{page}");
        assert!(!page.contains("javascript:") && !page.contains("<script>"), "{page}");
    }
}
