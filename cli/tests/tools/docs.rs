//! `larder docs`.

use crate::support::{code, golden, json, run, run_with, stderr, stdout};

#[test]
fn markdown_says_of_each_endpoint_what_is_kept_and_how_to_ask() {
    let output = run(&["docs", "policies/shop-api.json", "--base-url", "https://shop.example"]);
    assert_eq!(code(&output), 0, "{output:?}");
    golden("docs/shop-api.md", &stdout(&output));
}

#[test]
fn html_is_a_page_whose_links_lead_to_its_sections() {
    let folder = tempfile::tempdir().expect("a folder");
    let (markdown, html) = (folder.path().join("a.md"), folder.path().join("a.html"));
    let text = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let output = run(&["docs", "policies/shop-api.json", "-o", &text(&markdown), "-o", &text(&html)]);
    assert_eq!((code(&output), stdout(&output).as_str()), (0, ""), "{output:?}");
    let page = std::fs::read_to_string(html).expect("written");
    let anchors: Vec<&str> = page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(anchors.len(), 15);
    assert!(anchors.iter().all(|anchor| page.contains(&format!("id=\"{anchor}\""))), "{anchors:?}");
    assert!(page.contains("Cache-Control: public, must-revalidate, max-age=0") && !page.contains("src="), "{page}");
    assert!(std::fs::read_to_string(markdown).expect("written").starts_with("# Caching of shop-api"));
}

#[test]
fn json_has_the_facts() {
    let facts = json(&run(&["docs", "policies/shop-api.json", "--format", "json"]));
    let product = &facts["endpoints"][2];
    assert_eq!(
        (&product["route"], &product["facts"][0]["text"]),
        (&"product".into(), &"1 minute".into()),
        "{product:#}"
    );
}

#[test]
fn texts_of_the_policy_stay_texts() {
    let policy = br##"{"version":1,"name":"p","description":"a <b>bold</b> | claim","routes":[
        {"name":"s","path":"/a","host":"b.test"},{"name":"r","path":"/a","ttl":"60s","tags":["x`|y"],"description":"<script>alert(1)</script>"}]}"##;
    let page = stdout(&run_with(&["docs", "-", "--format", "html"], policy));
    assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"), "{page}");
    assert!(page.contains("<code>x`|y</code>"), "{page}");
    assert!(page.contains("<h2 id=\"a\">") && page.contains("<h2 id=\"a-1\">"), "{page}");
}

#[test]
fn what_is_wrong_is_named() {
    let output = run(&["docs", "policies/shop-api.json", "-o", "docs.pdf"]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("docs.pdf"), "{output:?}");
    assert_eq!(code(&run(&["docs", "policies/shop-api.json", "--base-url", "api"])), 2);
}
