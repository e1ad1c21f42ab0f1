//! What is sent, how often, and what is made of the answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use larder_node::warming::{Coverage, Done, Outcome, Planner, Settings, run};
use tokio::net::TcpListener;
use tokio::sync::Barrier;

use crate::proxy::{Answer, PATIENCE, Proxy, eventually, policy, says, stored};

fn quick() -> Settings {
    Settings { rate: None, ..Settings::default() }
}

/// Warms these URLs; what came of them, in their order.
async fn warmed(proxy: &Proxy, sites: &[&str], urls: &[&str], settings: &Settings) -> Vec<Done> {
    let sites = sites.iter().map(|site| site.parse().expect("a site")).collect();
    let coverage = Coverage::new(Vec::new(), sites, &proxy.via());
    let mut planner = Planner::new(&coverage, 1000);
    urls.iter().for_each(|url| planner.add_url(url));
    let plan = planner.finish();
    assert_eq!(plan.refused, []);
    let mut run = run(&proxy.via(), &coverage, settings, plan.requests.into_iter().map(Arc::new).collect());
    let mut done = Vec::new();
    while let Some(next) = tokio::time::timeout(PATIENCE, run.next()).await.expect("in time") {
        done.push(next);
    }
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, done)| done).collect()
}

fn outcomes(done: &[Done]) -> Vec<(Outcome, Option<&str>, u32)> {
    done.iter().map(|done| (done.outcome, done.reason.as_deref(), done.attempts)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_becomes_a_request_to_the_proxy_under_its_own_host() {
    let proxy = Proxy::start(|_, _| stored()).await;
    let sites = ["http://api.test:8080", "https://shop.test"];
    let done = warmed(&proxy, &sites, &["http://api.test:8080/a?b=%20c", "https://shop.test/x"], &quick()).await;
    assert_eq!(outcomes(&done), [(Outcome::Warmed, None, 1); 2]);
    assert_eq!((done[0].status, done[0].bytes), (Some(200), 4));
    let mut asked = proxy.asked();
    asked.sort_by_key(|asked| asked.path.clone());
    assert_eq!((asked[0].path.as_str(), asked[0].header("host")), ("/a?b=%20c", "api.test:8080"));
    assert_eq!(asked[0].header("x-forwarded-proto"), "");
    assert_eq!((asked[1].header("host"), asked[1].header("x-forwarded-proto")), ("shop.test", "https"));
    assert!(asked[1].header("user-agent").starts_with("larder-warm/"), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_tried_again_and_then_told() {
    let proxy = Proxy::start(|_, asked| match asked.path.as_str() {
        "/down" => Answer::Now(says(503, "Larder; fwd=uri-miss; fwd-status=503")),
        "/gone" => Answer::Now(says(404, "Larder; fwd=uri-miss; fwd-status=404; detail=status")),
        "/secret" => Answer::Now(says(200, "Larder; fwd=uri-miss; fwd-status=200; detail=private")),
        _ => stored(),
    })
    .await;
    let done = warmed(&proxy, &[], &["/down", "/gone", "/secret", "/a"], &Settings { retries: 1, ..quick() }).await;
    assert_eq!(
        outcomes(&done),
        [
            (Outcome::Failed, Some("status 503"), 2),
            (Outcome::Failed, Some("status 404"), 1),
            (Outcome::NotStored, Some("private"), 1),
            (Outcome::Warmed, None, 1)
        ]
    );
    let flaky = Proxy::start(|number, _| if number < 2 { Answer::Now(says(502, "")) } else { stored() }).await;
    assert_eq!(outcomes(&warmed(&flaky, &[], &["/a"], &quick()).await), [(Outcome::Warmed, None, 3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_does_not_answer_or_is_not_there_costs_its_time_limit() {
    let silent = Proxy::start(|_, _| Answer::Never).await;
    let settings = Settings { timeout: Duration::from_millis(50), retries: 0, ..quick() };
    let done = warmed(&silent, &[], &["/a"], &settings).await;
    assert_eq!(outcomes(&done), [(Outcome::Failed, Some("no whole answer within 50 ms"), 1)]);
    let gone = {
        let proxy = Proxy::start(|_, _| stored()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        (proxy, format!("http://{address}"))
    };
    let via = gone.1.parse().expect("a proxy");
    let coverage = Coverage::new(Vec::new(), Vec::new(), &via);
    let mut planner = Planner::new(&coverage, 10);
    planner.add_url("/a");
    let requests = planner.finish().requests.into_iter().map(Arc::new).collect();
    let mut run = run(&via, &coverage, &Settings { retries: 1, ..quick() }, requests);
    let (_, done) = run.next().await.expect("an outcome");
    assert_eq!((done.outcome, done.attempts), (Outcome::Failed, 2));
    assert!(done.reason.is_some_and(|why| why.starts_with("cannot connect to http://127.0.0.1:")));
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_followed_where_asked_for_and_never_to_what_is_not_covered() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let evil = format!("http://{}/stolen", elsewhere.local_addr().expect("an address"));
    let to = move |location: &str| {
        let mut response = says(302, "Larder; fwd=uri-miss; fwd-status=302; detail=status");
        response.headers_mut().insert("location", location.parse().expect("a value"));
        Answer::Now(response)
    };
    let proxy = Proxy::start(move |_, asked| match asked.path.as_str() {
        "/old" => to("/new"),
        "/out" => to("https://other.test/x"),
        "/evil" => to(&evil),
        "/loop" => to("/loop"),
        _ => stored(),
    })
    .await;
    let sites = ["http://a.test", "https://other.test"];
    let urls = ["http://a.test/old", "http://a.test/out", "http://a.test/evil", "http://a.test/loop"];
    let left = warmed(&proxy, &sites, &urls, &quick()).await;
    let told = (Outcome::NotStored, Some("status (status 302, not followed)"), 1);
    assert_eq!(outcomes(&left), [told; 4]);
    assert_eq!(proxy.asked().len(), 4);

    let followed = warmed(&proxy, &sites, &urls, &Settings { follow_redirects: true, ..quick() }).await;
    assert_eq!(followed[0].outcome, Outcome::Warmed);
    assert_eq!(followed[1].outcome, Outcome::Warmed);
    assert_eq!(followed[2].outcome, Outcome::NotStored);
    assert!(followed[2].reason.as_deref().is_some_and(|why| why.contains("is not a named site")), "{followed:?}");
    assert_eq!(outcomes(&followed)[3], (Outcome::Failed, Some("more than 5 redirects"), 1));
    let out = proxy.asked().into_iter().find(|asked| asked.path == "/x").expect("followed through the proxy");
    assert_eq!((out.header("host"), out.header("x-forwarded-proto")), ("other.test", "https"));
    // Nobody has connected to where the redirect leads.
    let came = tokio::time::timeout(Duration::ZERO, elsewhere.accept()).await;
    assert!(came.is_err(), "{came:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_do_not_follow_a_redirect_to_another_host() {
    let proxy = Proxy::start(|_, asked| match asked.path.as_str() {
        "/old" => {
            let mut response = says(302, "");
            response.headers_mut().insert("location", "http://b.test/new".parse().expect("a value"));
            Answer::Now(response)
        }
        _ => stored(),
    })
    .await;
    let sites = ["http://a.test", "http://b.test"].map(|site| site.parse().expect("a site")).to_vec();
    let coverage = Coverage::new(Vec::new(), sites, &proxy.via());
    let mut planner = Planner::new(&coverage, 10);
    planner.field("Authorization", "Bearer secret").expect("a field");
    planner.field("accept", "text/html").expect("a field");
    planner.add_url("http://a.test/old");
    let requests = planner.finish().requests.into_iter().map(Arc::new).collect();
    let mut run = run(&proxy.via(), &coverage, &Settings { follow_redirects: true, ..quick() }, requests);
    run.next().await.expect("an outcome");
    let sent: Vec<_> =
        proxy.asked().iter().map(|a| (a.header("authorization").to_owned(), a.header("accept").to_owned())).collect();
    assert_eq!(sent, [("Bearer secret".to_owned(), "text/html".to_owned()), (String::new(), "text/html".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_so_many_at_a_time_over_as_many_connections() {
    static AT_A_TIME: AtomicUsize = AtomicUsize::new(0);
    let proxy = Proxy::start(|_, _| {
        AT_A_TIME.fetch_add(1, Ordering::SeqCst);
        Answer::Never
    })
    .await;
    let urls: Vec<String> = (0..20).map(|number| format!("/{number}")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let coverage = Coverage::new(Vec::new(), Vec::new(), &proxy.via());
    let mut planner = Planner::new(&coverage, 100);
    urls.iter().for_each(|url| planner.add_url(url));
    let requests = planner.finish().requests.into_iter().map(Arc::new).collect();
    let way = run(&proxy.via(), &coverage, &Settings { concurrency: 3, ..quick() }, requests);
    eventually("three are under way", async || (AT_A_TIME.load(Ordering::SeqCst) == 3).then_some(())).await;
    way.stop();
    assert_eq!((proxy.asked().len(), proxy.connections()), (3, 3));

    // The first two wait for one another: neither task is quick enough to do it all.
    let both = Arc::new(Barrier::new(2));
    let proxy = Proxy::start(move |number, _| match stored() {
        Answer::Now(response) if number < 2 => Answer::Together(both.clone(), response),
        answer => answer,
    })
    .await;
    let done = warmed(&proxy, &[], &urls, &Settings { concurrency: 2, ..quick() }).await;
    assert!(done.iter().all(|done| done.outcome == Outcome::Warmed));
    assert_eq!((proxy.asked().len(), proxy.connections()), (20, 2), "connections are kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_holds_for_all_together() {
    let proxy = Proxy::start(|_, _| stored()).await;
    let began = Instant::now();
    let settings = Settings { rate: Some(50.0), concurrency: 8, ..Settings::default() };
    warmed(&proxy, &[], &["/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9", "/10", "/11"], &settings).await;
    // Ten gaps of 20 ms; longer on a busy machine, never shorter.
    assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_variant_of_a_policys_key_is_asked_for() {
    let proxy = Proxy::start(|_, _| stored()).await;
    let policy = policy(
        r#"{"name":"a","path":"/a","ttl":"60s","key":{"accept_language":["en","de"]},"warm":[{"url":"/a","every":"50s"}]}"#,
    );
    let coverage = Coverage::new(vec![policy], Vec::new(), &proxy.via());
    let mut planner = Planner::new(&coverage, 10);
    planner.add_policies();
    let requests: Vec<_> = planner.finish().requests.into_iter().map(Arc::new).collect();
    let mut way = run(&proxy.via(), &coverage, &quick(), requests);
    while way.next().await.is_some() {}
    let mut languages: Vec<_> = proxy.asked().iter().map(|asked| asked.header("accept-language").to_owned()).collect();
    languages.sort();
    assert_eq!(languages, ["de", "en"]);
}
