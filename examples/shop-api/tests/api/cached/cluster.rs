//! A real node in this process: purges that reach its log, though it is down when they are asked for, and a store that shops share.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use larder_core::purge::{Scope, Sequence};
use larder_node::log::{KEEP_DEFAULT, Log, LogId, MemoryLog, Read};
use larder_node::{Config, Node, Running};
use serde_json::json;
use shop_api::CacheSettings;

use crate::support::{cached, cached_at, until};

/// A node, and its purge log.
struct Cluster {
    node: Running,
    log: Arc<MemoryLog>,
}

impl Cluster {
    async fn start() -> Cluster {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
    }

    async fn start_at(admin: SocketAddr) -> Cluster {
        let log = Arc::new(MemoryLog::new(LogId::random().unwrap(), KEEP_DEFAULT));
        let mut config = Config::in_memory().unwrap();
        (config.admin, config.log) = (Some(admin), log.clone());
        Cluster { node: Node::start(config).await.unwrap(), log }
    }

    fn admin(&self) -> String {
        format!("http://{}", self.node.admin.unwrap())
    }

    fn data(&self) -> String {
        format!("http://{}", self.node.data)
    }

    /// The tags in the purge log, in its order.
    async fn tags(&self) -> Vec<String> {
        let head = self.log.head().await.unwrap();
        let Read::Page(page) = self.log.read(head.log, Sequence(0), 1000, Duration::ZERO).await.unwrap() else {
            panic!("the log has forgotten its beginning")
        };
        let tags = page.records.into_iter().filter_map(|record| match record.scope {
            Scope::Tag(tag) => Some(tag),
            _ => None,
        });
        tags.collect()
    }
}

/// An address that nobody listens at, from a range that the system does not hand out to others meanwhile.
fn unused() -> SocketAddr {
    let first = u16::try_from(std::process::id() % 4000).unwrap();
    let mut ports = (0..4000).map(|next| 20_000 + (first + next) % 4000);
    let free = ports.find(|port| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    SocketAddr::from((Ipv4Addr::LOCALHOST, free.unwrap()))
}

#[tokio::test]
async fn a_write_is_purged_at_the_node_in_order() {
    let cluster = Cluster::start().await;
    let shop = cached(CacheSettings { nodes: vec![cluster.admin()], ..CacheSettings::default() }).await;
    shop.write("PUT", "/v1/products/3/price", json!({ "cents": 5 })).await;
    shop.write("PATCH", "/v1/products/4", json!({ "stock": 5 })).await;
    shop.send("DELETE", "/v1/products/5", &[], "").await;
    let last = "image:5.png";
    until("the last is there", async || cluster.tags().await.iter().any(|tag| tag == last)).await;
    // What waits already is not queued again: lists and categories may be there once or thrice.
    let tags = cluster.tags().await;
    let products: Vec<_> = tags.iter().filter(|tag| tag.starts_with("product:")).collect();
    assert_eq!(products, ["product:3", "product:4", "product:5"]);
    for tag in ["product-lists", "categories", "image:5.jpg"] {
        assert!(tags.iter().any(|known| known == tag), "{tag}: {tags:?}");
    }
    shop.app.close().await;
    cluster.node.stop().await.unwrap();
}

#[tokio::test]
async fn a_purge_outlives_a_node_that_is_down_and_the_shop_itself() {
    let folder = tempfile::tempdir().unwrap();
    let admin = unused();
    let settings = CacheSettings {
        nodes: vec![format!("http://{admin}")],
        queue: Some(folder.path().join("queue")),
        ..CacheSettings::default()
    };
    let db = Some(folder.path().join("shop.db"));
    let shop = cached_at(db.clone(), settings.clone()).await;
    assert_eq!(
        shop.write("PUT", "/v1/products/3/price", json!({ "cents": 5 })).await.status,
        200,
        "nobody waits for the node"
    );
    shop.app.close().await;
    let shop = cached_at(db, settings).await;
    let cluster = Cluster::start_at(admin).await;
    until("it is there", async || cluster.tags().await == ["product:3", "product-lists"]).await;
    shop.app.close().await;
    cluster.node.stop().await.unwrap();
}

#[tokio::test]
async fn what_others_change_is_purged_at_the_node() {
    use sqlx::ConnectOptions;

    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("shop.db");
    let cluster = Cluster::start().await;
    let settings = CacheSettings { nodes: vec![cluster.admin()], watch_database: true, ..CacheSettings::default() };
    let shop = cached_at(Some(db.clone()), settings).await;
    shop.fill(&["/v1/products/7"]).await;
    let mut somebody = sqlx::sqlite::SqliteConnectOptions::new().filename(db).connect().await.unwrap();
    sqlx::raw_sql("UPDATE products SET stock = 4711 WHERE id = 7").execute(&mut somebody).await.unwrap();
    until("the node knows", async || cluster.tags().await.iter().any(|tag| tag == "product:7")).await;
    until("it is seen here", async || shop.get("/v1/products/7").await.json()["stock"] == 4711).await;
    shop.app.close().await;
    cluster.node.stop().await.unwrap();
}

#[tokio::test]
async fn two_shops_share_what_one_has_asked_for_and_what_one_has_written() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("shop.db");
    let cluster = Cluster::start().await;
    let settings = CacheSettings { cluster: vec![cluster.data()], ..CacheSettings::default() };
    let one = cached_at(Some(db.clone()), settings.clone()).await;
    let other = cached_at(Some(db), settings).await;
    one.fill(&["/v1/products/7"]).await;
    until("it comes from the cluster", async || other.get("/v1/products/7").await.cache_status() == "hit").await;
    one.write("PUT", "/v1/products/7/price", json!({ "cents": 4321 })).await;
    assert_eq!(one.get("/v1/products/7").await.json()["price"]["cents"], 4321);
    until("the other one has heard", async || other.get("/v1/products/7").await.json()["price"]["cents"] == 4321).await;
    one.app.close().await;
    other.app.close().await;
    cluster.node.stop().await.unwrap();
}
