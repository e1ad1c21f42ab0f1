//! Several workers of one real Envoy: each has a memory of its own, and what one invalidates none serves.

use larder_host_tests::envoy::{Answer, Client, Envoy, Origin, Setup, until};

const POLICY: &str = r#"{
  "version": 1,
  "name": "workers",
  "routes": [
    { "name": "item", "path": "/items/{id}", "ttl": "1h", "tags": ["item:{id}"],
      "invalidate": { "tags": ["item:{id}"] } }
  ]
}"#;

fn envoy(origin: &Origin) -> Envoy {
    let setup = Setup::from_file("demo.yaml").value("POLICY", POLICY).value("ORIGIN_PORT", origin.port());
    setup.concurrency(2).start().unwrap_or_else(|error| panic!("{error}"))
}

/// Connections to both workers: the kernel spreads them, so there are as many as it takes until each worker has asked the
/// origin once. From then on every one of them is answered from a store.
fn connections(envoy: &Envoy, origin: &Origin, path: &str) -> Vec<Client> {
    let mut clients = Vec::new();
    until("both workers to be reached", || {
        let mut client = Client::connect(envoy.port()).unwrap();
        assert_eq!(client.call("GET", path, &[], b"").unwrap().text(), "old");
        clients.push(client);
        (origin.count(path) == 2 && clients.len() >= 8).then_some(())
    });
    clients
}

#[test]
fn a_write_through_one_worker_empties_the_other() {
    let origin = Origin::start();
    origin.once("GET", "/items/1", Answer::ok("old"));
    origin.once("GET", "/items/1", Answer::ok("old"));
    origin.always("GET", "/items/1", Answer::ok("new"));
    origin.always("PUT", "/items/1", Answer::bodiless(204));
    let envoy = envoy(&origin);
    let mut clients = connections(&envoy, &origin, "/items/1");
    let written = clients[0].call("PUT", "/items/1", &[], b"x").unwrap();
    assert_eq!(written.status, 204);
    for (index, client) in clients.iter_mut().enumerate() {
        until(&format!("connection {index} to see the write"), || {
            (client.call("GET", "/items/1", &[], b"").unwrap().text() == "new").then_some(())
        });
    }
    assert_eq!(origin.requests().iter().filter(|seen| seen.method == "GET").count(), 4, "each worker asked once more");
}
