//! Large responses, which a node serves past the module: looked up the first time, and sent for without a look-up while their head is known.

use super::*;

#[test]
fn a_large_response_goes_past_the_module() {
    let mut cluster = Cluster::start();
    let (mut one, mut two) = (following(&mut cluster), following(&mut cluster));
    let large = "x".repeat(10_000);
    fill(&mut one, &mut cluster, "/items/1", &large);
    let stream = get(&mut two, &mut cluster, "/items/1");
    let upstream = two.upstream(stream).expect("Envoy asks the node");
    assert_eq!(upstream.cluster, CLUSTER);
    assert_eq!(upstream.header("x-larder-serve").expect("by its name").len(), 32);
    cluster.serve(&mut two, stream);
    assert_eq!(two.client(stream).text(), large);
    assert_eq!(status(&two, stream), "Larder; hit; ttl=60; detail=cluster");
    let view = two.client(stream);
    assert!(
        ["x-larder-node", "x-larder-serve", "x-larder-received", "x-larder-good-at"]
            .iter()
            .all(|name| view.header(name).is_none())
    );
}

/// A worker that knows the head of a large response under `/items/1`, which a node has.
fn knowing(cluster: &mut Cluster) -> Host {
    let (mut filler, mut host) = (following(cluster), following(cluster));
    fill(&mut filler, cluster, "/items/1", &"x".repeat(10_000));
    let stream = get(&mut host, cluster, "/items/1");
    cluster.serve(&mut host, stream);
    assert_eq!(status(&host, stream), "Larder; hit; ttl=60; detail=cluster");
    host
}

#[test]
fn a_large_response_whose_head_is_known_goes_past_the_module_without_a_look_up() {
    let mut cluster = Cluster::start();
    let mut one = knowing(&mut cluster);
    let asked = cluster.carried("lookup");
    one.advance(Duration::from_secs(2));
    let stream = get(&mut one, &mut cluster, "/items/1");
    cluster.serve(&mut one, stream);
    assert_eq!(cluster.carried("lookup"), asked, "nobody was asked");
    let view = one.client(stream);
    assert_eq!((view.text().len(), view.header("age").as_deref()), (10_000, Some("2")));
    assert_eq!(status(&one, stream), "Larder; hit; ttl=58; detail=cluster");
    let stream = one.request(0, Request::get("/items/1").header("if-none-match", "\"1\""));
    cluster.serve(&mut one, stream);
    assert_eq!(one.client(stream).status(), Some(304));
}

#[test]
fn what_is_purged_is_not_sent_for_without_a_look_up() {
    let mut cluster = Cluster::start();
    let mut one = knowing(&mut cluster);
    cluster.purge(Scope::Tag("item:1".into()), Mode::Hard);
    cluster.pass(&mut one, Duration::from_millis(200));
    let stream = get(&mut one, &mut cluster, "/items/1");
    let upstream = one.upstream(stream).expect("forwarded");
    assert_eq!((upstream.cluster.as_str(), upstream.header("x-larder-serve")), ("origin", None));
}

#[test]
fn what_a_node_has_lost_is_fetched_from_the_origin_and_looked_up_the_next_time() {
    let mut cluster = Cluster::start();
    let mut one = knowing(&mut cluster);
    // The node has the purge, and this worker has not heard of it yet.
    cluster.purge(Scope::Tag("item:1".into()), Mode::Hard);
    let stream = one.request(0, Request::get("/items/1"));
    cluster.serve(&mut one, stream);
    let call = one.calls().into_iter().find(|call| call.cluster == "origin").expect("the origin is asked");
    one.answer_call(call.id, answer("from the origin"));
    assert_eq!(one.client(stream).text(), "from the origin");
    assert!(status(&one, stream).contains("detail=cluster-lost"), "{}", status(&one, stream));
    let stream = one.request(0, Request::get("/items/1?again"));
    assert!(one.upstream(stream).is_none() && one.calls().iter().any(|call| call.path() == LOOKUP));
}

#[test]
fn another_response_than_the_known_one_is_served_where_the_node_knows_every_purge_that_is_known_here() {
    for purged_here in [false, true] {
        let mut cluster = Cluster::start();
        let mut one = knowing(&mut cluster);
        // Another worker hears of a purge, and fills the key anew.
        let mut other = following(&mut cluster);
        cluster.purge(Scope::Tag("item:1".into()), Mode::Hard);
        cluster.pass(&mut other, Duration::from_millis(200));
        let stream = get(&mut other, &mut cluster, "/items/1");
        other.respond(stream, Response::new(200).header("etag", "\"2\"").body("y".repeat(10_000)));
        cluster.carry(&mut other);
        if purged_here {
            let post = one.request(0, Request::new("POST", "/items/2"));
            one.respond(post, Response::new(204));
        }
        let stream = one.request(0, Request::get("/items/1"));
        cluster.serve(&mut one, stream);
        let origin = one.calls().into_iter().find(|call| call.cluster == "origin");
        assert_eq!(origin.is_some(), purged_here);
        if !purged_here {
            assert_eq!(one.client(stream).header("etag").as_deref(), Some("\"2\""));
            assert_eq!(status(&one, stream), "Larder; hit; ttl=60; detail=cluster");
        }
    }
}

#[test]
fn a_node_that_fails_before_the_first_byte_of_a_large_response_is_replaced_by_the_origin() {
    let mut cluster = Cluster::start();
    let (mut one, mut two) = (following(&mut cluster), following(&mut cluster));
    fill(&mut one, &mut cluster, "/items/1", &"x".repeat(10_000));
    let stream = get(&mut two, &mut cluster, "/items/1");
    two.fail_upstream(stream, larder_host_tests::host::UpstreamFailure::ConnectionRefused);
    let call = two.calls().into_iter().find(|call| call.cluster == "origin").expect("the origin is asked");
    assert_eq!(call.path(), "/items/1");
    assert!(!call.headers.contains("x-larder-serve"));
    two.answer_call(call.id, answer("from the origin"));
    let view = two.client(stream);
    assert_eq!((view.status(), view.text().as_str()), (Some(200), "from the origin"));
    assert!(status(&two, stream).contains("detail=cluster-unreachable"), "{}", status(&two, stream));
}

#[test]
fn clients_cannot_name_what_a_node_serves() {
    let mut cluster = Cluster::start();
    let mut host = following(&mut cluster);
    let stream = host.request(0, Request::get("/items/1").header("x-larder-serve", "somebody-elses"));
    cluster.carry(&mut host);
    let upstream = host.upstream(stream).expect("forwarded");
    assert_eq!((upstream.cluster.as_str(), upstream.header("x-larder-serve")), ("origin", None));
}
