//! A real Envoy and a layer with the same nodes, each with a store of its own: what the one has stored the other finds, which it does
//! only if both choose the same node for a key.

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response};
use larder_host_tests::envoy::{Answer, NodeProcess, Origin, Redis, Setup, be_a_node_if_asked, until};
use larder_origin::{Body, CacheLayer, CacheService};
use tower_layer::Layer;
use tower_service::Service;

const POLICY: &str = r#"{ "version": 1, "name": "ring", "routes": [{ "name": "item", "path": "/items/{id}", "comment": "all alike", "ttl": "10m" }] }"#;
const ITEMS: usize = 24;

#[test]
fn a_node_in_a_process_of_its_own() {
    be_a_node_if_asked();
}

/// A service that nobody should have to ask.
#[derive(Clone)]
struct Other;

impl Service<Request<Body>> for Other {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        let answer = Response::builder().header("cache-control", "no-store").body(Body::empty());
        std::future::ready(Ok(answer.expect("a response")))
    }
}

async fn status(service: &mut CacheService<Other>, item: usize) -> String {
    let request = Request::builder().uri(format!("http://localhost/items/{item}")).body(Body::empty());
    let Ok(response) = service.call(request.expect("a request")).await;
    response.headers().get("cache-status").map_or("", |status| status.to_str().unwrap_or("")).to_owned()
}

#[test]
fn envoy_and_the_layer_ask_the_same_node_for_a_key() {
    let origin = Origin::start();
    // One log for all: what is ordered by another node's could not be judged.
    let redis = Redis::start();
    let nodes = [(); 3].map(|()| NodeProcess::start_with_log(&redis.url()));
    let endpoints = nodes.each_ref().map(NodeProcess::endpoint).join(", ");
    let setup = Setup::from_file("cluster.yaml").value("POLICY", POLICY).value("ORIGIN_PORT", origin.port());
    let envoy = setup.value("NODES", endpoints).start().unwrap_or_else(|error| panic!("{error}"));
    until("the nodes to be found healthy", || {
        (envoy.stat("cluster.larder_nodes.membership_healthy") == 3).then_some(())
    });
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let urls = nodes.iter().map(|node| format!("http://127.0.0.1:{}", node.port()));
    let builder = CacheLayer::builder().policy(POLICY).cluster(urls).lookup_timeout(Duration::from_secs(2));
    let mut service = builder.build().expect("a layer").layer(Other);
    // Workers learn of nodes up to a second after they were found healthy; until then all keys have the first one. By chance as many
    // agree once in 3 to the power of 24 times.
    let mut round = 0;
    until("every key of a round to be found in the node that Envoy chose", || {
        let items = round * ITEMS..(round + 1) * ITEMS;
        round += 1;
        for item in items.clone() {
            origin.always("GET", &format!("/items/{item}"), Answer::ok("from Envoy"));
            envoy.get(&format!("/items/{item}"), &[]);
        }
        let found = items.filter(|item| runtime.block_on(status(&mut service, *item)).contains("hit")).count();
        (found == ITEMS).then_some(())
    });
}
