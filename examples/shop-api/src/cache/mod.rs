//! `--cache`: Larder's layer around the API, and who is told when something has changed. Without it, the shop has no cache.
//!
//! A write purges what it has changed as soon as it holds, by tags of `policies/shop-api.json`: here at once, and at a cluster by way
//! of a queue that outlives this process. What others change in the database is purged by triggers.

mod changed;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use larder_origin::changes::{Following, SqliteChanges, Target, Watched};
use larder_origin::invalidator::Remaining;
use larder_origin::{CacheLayer, Invalidator, Purge};
use sqlx::sqlite::SqliteConnectOptions;

pub(crate) use changed::Changed;

/// The policy that is in the program.
const POLICY: &str = include_str!("../../../../policies/shop-api.json");

/// At the end, for purges that no node has taken and for what is on its way to the cluster; the rest stays in the queue's folder.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How the API is cached.
#[derive(Clone, Debug, Default)]
pub struct CacheSettings {
    /// The policy's file; `None` is `policies/shop-api.json`, which is compiled in.
    pub policy: Option<PathBuf>,
    /// The data planes of nodes to share what is stored with.
    pub cluster: Vec<String>,
    /// The admin planes of nodes to purge at.
    pub nodes: Vec<String>,
    /// A file with the token for the admin planes.
    pub token_file: Option<PathBuf>,
    /// The folder where purges are kept until a node has taken them.
    pub queue: Option<PathBuf>,
    /// Whether to purge what others change in the database.
    pub watch_database: bool,
    /// Keys shared with edges in front; `None` takes those of `LARDER_EDGE_KEY`.
    pub edge_keys: Option<String>,
}

/// The cache of an open shop.
pub(crate) struct Cache {
    layer: CacheLayer,
    invalidator: Option<Invalidator>,
    following: std::sync::Mutex<Option<Following>>,
}

impl Cache {
    pub(crate) async fn open(settings: &CacheSettings, database: SqliteConnectOptions) -> anyhow::Result<Cache> {
        let mut builder = CacheLayer::builder().cluster(&settings.cluster);
        if let Some(keys) = &settings.edge_keys {
            builder = builder.edge_keys(keys);
        }
        let builder = match &settings.policy {
            Some(file) => builder.policy_file(file),
            None => builder.policy(POLICY),
        };
        let layer = builder.build().context("no cache")?;
        let invalidator = invalidator(settings).context("no purging at a node")?;
        let following = if settings.watch_database {
            let target = match &invalidator {
                Some(invalidator) => Target::from((invalidator.clone(), layer.handle())),
                None => Target::from(layer.handle()),
            };
            Some(watch(database, target).await.context("cannot watch the database")?)
        } else {
            None
        };
        Ok(Cache { layer, invalidator, following: following.into() })
    }

    pub(crate) fn layer(&self) -> CacheLayer {
        self.layer.clone()
    }

    /// Purges what a write has changed: here, before this is waited for; at the nodes, as soon as they can be reached. Ends when the
    /// queue has it.
    pub(crate) async fn purge(&self, changed: Changed) {
        let tags = changed.tags();
        for tag in &tags {
            self.layer.handle().purge_tag(tag);
        }
        if let Some(invalidator) = &self.invalidator
            && let Err(error) = invalidator.purge(Purge::new().tags(tags)).await
        {
            // The write holds, and its client is told so.
            eprintln!("shop-api: {error}");
        }
    }

    /// Ends the watching, and sends what there is to send.
    pub(crate) async fn close(&self) {
        let following = self.following.lock().map_or(None, |mut following| following.take());
        if let Some(following) = following {
            following.stop().await;
        }
        if let Err(error) = self.layer.handle().close(CLOSE_TIMEOUT).await {
            eprintln!("shop-api: {error}");
        }
        let Some(invalidator) = &self.invalidator else { return };
        match invalidator.shutdown(CLOSE_TIMEOUT).await {
            Remaining::Nothing => {}
            Remaining::Kept(purges) => eprintln!("shop-api: {purges} purges wait in the queue for the next start"),
            left => eprintln!("shop-api: purges that no node has taken are lost: {left:?}"),
        }
    }
}

fn invalidator(settings: &CacheSettings) -> anyhow::Result<Option<Invalidator>> {
    if settings.nodes.is_empty() {
        return Ok(None);
    }
    let mut builder = Invalidator::builder().nodes(&settings.nodes);
    if let Some(file) = &settings.token_file {
        builder = builder.token_file(file);
    }
    if let Some(folder) = &settings.queue {
        builder = builder.directory(folder);
    }
    Ok(Some(builder.build()?))
}

/// Makes triggers for everything that the API's answers are made of and that clients share, and follows what they write down.
async fn watch(database: SqliteConnectOptions, target: Target) -> anyhow::Result<Following> {
    let changes = SqliteChanges::new(database)
        .watch(Watched::table("products").tag("product:{id}").tag("product-lists").tag("categories"))
        .watch(Watched::table("product_texts").tag("product:{product_id}").tag("product-lists"))
        .watch(Watched::table("categories").tag("categories").tag("product-lists"))
        .watch(Watched::table("category_texts").tag("categories"))
        .watch(Watched::table("sales").tag("reports"));
    changes.install().await?;
    Ok(changes.follow(target))
}
