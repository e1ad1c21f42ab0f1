//! The dashboard's own files: what the node sends, to whom, and what it lets them do. What they show is tested in a browser
//! (`dashboard/tests`).

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};
use larder_node::tokens::{self, Tokens, new_token};

use crate::support::World;

async fn asked(world: &World, path: &str, known: Option<&str>) -> Response<Bytes> {
    let mut request = Request::get(format!("http://{}{path}", world.node.admin.expect("an admin plane")));
    if let Some(known) = known {
        request = request.header("if-none-match", known);
    }
    world.send(request.body(Full::default()).expect("a request")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_needs_no_token_and_may_ask_only_this_node() {
    let (_, line) = new_token("eye", &[tokens::Scope::Read]).expect("a token");
    let known = Tokens::new(&[line]).expect("tokens");
    let world = World::with(|config| config.tokens = Some(known)).await;
    for (path, kind, holds) in [
        ("/dashboard/", "text/html; charset=utf-8", "./dashboard.js"),
        ("/dashboard/dashboard.js", "text/javascript; charset=utf-8", "analytics"),
        ("/dashboard/dashboard.css", "text/css; charset=utf-8", "--ground"),
        ("/dashboard/icon.svg", "image/svg+xml", "<svg"),
        ("/dashboard/licences.txt", "text/plain; charset=utf-8", "uPlot"),
    ] {
        let response = asked(&world, path, None).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], kind);
        assert!(String::from_utf8_lossy(response.body()).contains(holds), "{path}");
        let policy = response.headers()["content-security-policy"].to_str().expect("text");
        for part in ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        let etag = response.headers()["etag"].to_str().expect("text").to_owned();
        assert_eq!(asked(&world, path, Some(&format!("\"other\", W/{etag}"))).await.status(), 304);
        assert_eq!(asked(&world, path, Some("\"other\"")).await.status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_found_from_the_root_and_nothing_else_is() {
    let world = World::new().await;
    for path in ["/", "/dashboard"] {
        let response = asked(&world, path, None).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["location"]),
            (307, &"dashboard/".parse().unwrap())
        );
    }
    for path in ["/dashboard/index.html", "/dashboard/..%2f..%2fetc%2fpasswd", "/dashboard/%ff", "/dashboard/a/b"] {
        let response = asked(&world, path, None).await;
        assert!(response.status().is_client_error(), "{path}: {response:?}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
}
