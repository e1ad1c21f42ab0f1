//! The tour: requests to the shop through Larder, one row each, and what each must come to.
//! Policy policies/shop-api.json says why each is so; the API's own answers know nothing of caching.

use std::time::Duration;

use anyhow::Result;

use super::expect::{expect, is_hit};
use super::load::Load;
use super::operate;
use super::stage::Stage;
use super::table::Table;
use super::walk::{Row, Tour, get};
use crate::http::{Request, Response};

/// How long the policy's shortest lifetime may take to be over.
const STALE_WITHIN: Duration = Duration::from_secs(20);
/// A page of the catalogue, and the same with parameters in another order and one that only trackers read.
const LIST: &str = "/v1/products?page=2&sort=price";
const LIST_TRACKED: &str = "/v1/products?utm_source=x&sort=price&page=2";
/// How long the sales report takes the API.
const REPORT: Duration = Duration::from_millis(300);

/// Goes on the tour. The visitors that came in the end stay.
pub fn run(stage: &mut Stage, table: &mut Table) -> Result<(Vec<Row>, Load)> {
    let mut tour = Tour { stage, table, rows: Vec::new() };
    catalogue(&mut tour)?;
    images(&mut tour)?;
    errors(&mut tour)?;
    personal(&mut tour)?;
    write(&mut tour)?;
    slow(&mut tour)?;
    cluster(&mut tour)?;
    outage(&mut tour)?;
    let load = operate::run(&mut tour)?;
    Ok((tour.rows, load))
}

fn catalogue(tour: &mut Tour<'_>) -> Result<()> {
    let english = || get(LIST).field("accept-language", "en");
    let first =
        tour.ask("A miss: the API is asked, the answer kept", english(), &expect(200, "fwd=uri-miss; stored", 2))?;
    let same = first.body.len();
    tour.ask("A hit: no query", english(), &expect(200, "hit", 0).bytes(same))?;
    let etag = etag(&first);
    let conditional = english().field("if-none-match", etag.clone());
    tour.ask("304: the browser has it already", conditional, &expect(304, "hit", 0).bytes(0).field("etag", etag))?;
    let head = Request { method: "HEAD", ..english() };
    let length = same.to_string();
    tour.ask("HEAD, answered from the GET", head, &expect(200, "hit", 0).bytes(0).field("content-length", length))?;
    let tracked = get(LIST_TRACKED).field("accept-language", "en");
    tour.ask("The order and tracking parameters do not count", tracked, &expect(200, "hit", 0).bytes(same))?;
    let british = get(LIST).field("accept-language", "en-GB,en;q=0.8");
    tour.ask("Another browser that wants English", british, &expect(200, "hit", 0).bytes(same))?;
    let german = get(LIST).field("accept-language", "de-AT,de;q=0.9,en;q=0.5");
    let other = expect(200, "fwd=uri-miss; stored", 2).field("content-language", "de");
    tour.ask("German is another entry", german.clone(), &other)?;
    tour.ask("... and is kept beside the English one", german, &expect(200, "hit", 0).field("content-language", "de"))?;
    Ok(())
}

fn images(tour: &mut Tour<'_>) -> Result<()> {
    let image = "/v1/images/7.jpg";
    tour.ask("A picture", get(image), &expect(200, "fwd=uri-miss; stored", 1))?;
    let range = get(image).field("range", "bytes=0-1023");
    tour.ask("A range of it, cut from the kept one", range, &expect(206, "hit", 0).bytes(1024))?;
    Ok(())
}

fn errors(tour: &mut Tour<'_>) -> Result<()> {
    let wrong = "/v1/products?category=unheard-of";
    tour.ask("An error is not kept", get(wrong), &expect(400, "!stored; !hit", 1))?;
    tour.ask("... so the API is asked again", get(wrong), &expect(400, "!stored; !hit", 1))?;
    let missing = "/v1/products/999999";
    tour.ask("404 is kept ten seconds, as the policy says", get(missing), &expect(404, "stored", 1))?;
    tour.ask("... so trying numbers does not reach the API", get(missing), &expect(404, "hit", 0))?;
    Ok(())
}

fn personal(tour: &mut Tour<'_>) -> Result<()> {
    let account = |token: &str| get("/v1/account").field("authorization", format!("Bearer {token}"));
    let own = || expect(200, "fwd=bypass; !stored", 2).field("cache-control", "private");
    let alice = tour.ask("Alice's account: private, never kept", account("alice-token"), &own().says("Alice"))?;
    let bob = tour.ask("Bob gets his own", account("bob-token"), &own().says("Bob"))?;
    tour.also(etag(&alice) != etag(&bob), "Bob's ETag is Alice's");
    let again = account("alice-token").field("if-none-match", etag(&alice));
    tour.ask("... but Alice's browser need not load it again", again, &expect(304, "fwd=bypass", 2).bytes(0))?;
    let theirs = account("bob-token").field("if-none-match", etag(&alice));
    tour.ask("... and Bob's never takes hers for his", theirs, &own().says("Bob"))?;
    Ok(())
}

fn write(tour: &mut Tour<'_>) -> Result<()> {
    let product = "/v1/products/42";
    tour.ask("A product", get(product), &expect(200, "fwd=uri-miss; stored", 1))?;
    tour.ask("... kept", get(product), &expect(200, "hit", 0))?;
    let patch = Request {
        method: "PATCH",
        body: br#"{"price_cents": 4242}"#.to_vec(),
        ..get(product).field("content-type", "application/json")
    };
    tour.ask("A write goes to the API", patch, &expect(200, "fwd=method", 0).some_queries().says("4242"))?;
    tour.ask("... and the next reader sees it", get(product), &expect(200, "!hit; stored", 1).says("4242"))?;
    let list = get(LIST).field("accept-language", "en");
    tour.ask("... so do readers of the list it is in", list, &expect(200, "!hit; stored", 2))?;
    tour.ask("Pictures are as they were", get("/v1/images/7.jpg"), &expect(200, "hit", 0))?;
    Ok(())
}

fn slow(tour: &mut Tour<'_>) -> Result<()> {
    let report = "/v1/reports/sales";
    let first = expect(200, "fwd=uri-miss; stored", 3).at_least(REPORT);
    tour.ask("A slow report", get(report), &first)?;
    tour.ask("... is slow once", get(report), &expect(200, "hit", 0))?;
    Ok(())
}

fn cluster(tour: &mut Tour<'_>) -> Result<()> {
    let (list, product) = (get(LIST).field("accept-language", "en"), "/v1/products/42");
    tour.stage.start_envoy()?;
    tour.table.event("Envoy is started anew: its memory is empty");
    let kept = expect(200, "hit; detail=cluster", 0);
    tour.ask("The cluster has kept what it had", list, &kept)?;
    tour.ask("... the report, too: nobody waits for it", get("/v1/reports/sales"), &kept)?;
    tour.ask("... and the product", get(product), &kept.clone().says("4242"))?;
    let purge = ["purge", "--tag", "product:42"];
    tour.command("A purge by tag, heard by every worker", &purge, &["workers have heard"])?;
    tour.ask("... the API is asked", get(product), &expect(200, "!hit; stored", 1).says("4242"))?;
    tour.ask("... once", get(product), &expect(200, "hit", 0))?;
    tour.ask("What has another tag is as it was", get("/v1/reports/sales"), &expect(200, "hit", 0))?;
    Ok(())
}

fn outage(tour: &mut Tour<'_>) -> Result<()> {
    let price = "/v1/products/42/price";
    tour.ask("A price, fresh for two seconds", get(price), &expect(200, "fwd=uri-miss; stored", 1))?;
    tour.stage.stop_api()?;
    tour.table.event("the API is stopped");
    tour.ask("What is fresh is still there", get("/v1/reports/sales"), &expect(200, "hit", 0))?;
    let stale = expect(200, "fwd=stale; detail=stale-if-error", 0).says("4242");
    tour.ask_while("What is stale, too, where the policy says so", &get(price), &stale, STALE_WITHIN, is_hit)?;
    let unknown = expect(503, "fwd=uri-miss; !stored", 0);
    tour.ask("A clean error for what was never asked", get("/v1/products/43"), &unknown)?;
    let cart = get("/v1/cart").field("authorization", "Bearer alice-token");
    tour.ask("... and for what is never kept", cart.clone(), &expect(503, "fwd=bypass; !stored", 0))?;
    tour.stage.start_api()?;
    tour.table.event("the API is started again");
    let fresh = expect(200, "fwd=stale; stored", 1).says("4242");
    tour.ask("Stale answers end with the outage", get(price), &fresh)?;
    tour.ask("Errors, too: they were not kept", get("/v1/products/43"), &expect(200, "fwd=uri-miss; stored", 1))?;
    tour.ask("Alice's cart is there", cart, &expect(200, "fwd=bypass; !stored", 2))?;
    Ok(())
}

fn etag(response: &Response) -> String {
    response.field("etag").unwrap_or("\"none was given\"").to_owned()
}
