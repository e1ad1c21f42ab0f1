//! Making connections: to a server, to the master that sentinels name, to a cluster.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo};
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline,
    RedisConnectionInfo, RedisFuture, TlsCertificates, Value, cmd,
};
use tokio::time::timeout;

use super::address::{Address, Host, Login, Topology};
use super::failure::Failure;
use super::sentinel;

/// Tries of one request in a cluster: a slot that moves costs one or two more.
const CLUSTER_RETRIES: u32 = 3;

/// What a request to a cluster may take longer than usual.
const CLUSTER_LONGER: Duration = Duration::from_millis(250);

/// Between these, in milliseconds.
const CLUSTER_WAIT_MS: (u64, u64) = (2, 20);

/// Requests that may wait for the socket of one connection.
const QUEUE: usize = 1_024;

/// How connections are made to one Redis.
#[derive(Clone)]
pub(crate) struct Connector(Arc<Inner>);

struct Inner {
    address: Address,
    tls: Option<TlsCertificates>,
}

/// A connection: to one server, or to a cluster.
#[derive(Clone)]
pub(crate) enum Way {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connector {
    /// Prepares for an address. Connects nowhere; reads the certificates.
    pub fn new(address: Address) -> Result<Self, String> {
        let mut tls = None;
        if address.tls {
            // The process may have chosen another one already, which is as good.
            drop(rustls::crypto::ring::default_provider().install_default());
            let read = |path: &PathBuf| std::fs::read(path).map_err(|error| format!("ca={}: {error}", path.display()));
            let root_cert = address.ca.as_ref().map(read).transpose()?;
            tls = Some(TlsCertificates { client_tls: None, root_cert });
        }
        let inner = Inner { address, tls };
        // Certificates that cannot be used are found now.
        let nowhere = Host { name: "localhost".to_owned(), port: 1 };
        inner.client(&nowhere, &Login::default(), 0).map_err(|error| error.to_string())?;
        Ok(Self(Arc::new(inner)))
    }

    /// A connection whose requests may take `longer` than usual (a request that blocks on the server, one with a limit of its own).
    ///
    /// In a cluster they may take so much longer than usual, and no more: there the same limit holds for finding out who has which slot,
    /// and while that waits for a node that is silent, nobody is answered.
    pub async fn connect(&self, longer: Duration) -> Result<Way, Failure> {
        let address = &self.0.address;
        match &address.topology {
            Topology::Single(host) => {
                let mut connection = self.to_server(host, &address.login, address.db, longer).await?;
                // Without a login, nothing was asked yet: a server that is stopped takes connections, too.
                self.asked(cmd("PING"), &mut connection).await?;
                Ok(Way::One(connection))
            }
            Topology::Sentinel { sentinels, service } => {
                let host = sentinel::master(self, sentinels, service).await?;
                let connection = self.to_server(&host, &address.login, address.db, longer).await;
                let mut connection = connection.map_err(|failure| named(&host, failure))?;
                let (role,): (String,) = first(self.asked(cmd("ROLE"), &mut connection).await?)?;
                if role != "master" {
                    return Err(Failure::Unreachable(format!("{host} was named as the master and is a {role}")));
                }
                Ok(Way::One(connection))
            }
            Topology::Cluster(nodes) => {
                let client = self.0.cluster(nodes, address.timeout + longer.min(CLUSTER_LONGER))?;
                // Connects to the nodes in the address, asks for the slots, connects to all masters.
                let whole = (address.connect + address.timeout) * 3;
                let connection = timeout(whole, client.get_async_connection()).await;
                Ok(Way::Cluster(connection.map_err(|_| Failure::TimedOut)??))
            }
        }
    }

    /// The same, and every master of a cluster has answered over it.
    pub async fn connect_whole(&self, longer: Duration) -> Result<Way, Failure> {
        let mut way = self.connect(longer).await?;
        if let Way::Cluster(connection) = &mut way {
            let everybody = (MultipleNodeRoutingInfo::AllMasters, Some(ResponsePolicy::AllSucceeded));
            let ping = cmd("PING");
            let asked = connection.route_command(ping, RoutingInfo::MultiNode(everybody));
            timeout(self.0.address.timeout, asked).await.map_err(|_| Failure::TimedOut)??;
        }
        Ok(way)
    }

    /// The first answer over a connection, within the usual time.
    async fn asked(&self, question: Cmd, connection: &mut MultiplexedConnection) -> Result<Value, Failure> {
        let answer = timeout(self.0.address.timeout, question.query_async(connection)).await;
        Ok(answer.map_err(|_| Failure::TimedOut)??)
    }

    pub(super) async fn to_sentinel(
        &self,
        host: &Host,
        longer: Duration,
    ) -> Result<MultiplexedConnection, redis::RedisError> {
        self.open(host, &self.0.address.sentinel_login, 0, longer).await
    }

    async fn to_server(
        &self,
        host: &Host,
        login: &Login,
        db: i64,
        longer: Duration,
    ) -> Result<MultiplexedConnection, Failure> {
        Ok(self.open(host, login, db, longer).await?)
    }

    async fn open(
        &self,
        host: &Host,
        login: &Login,
        db: i64,
        longer: Duration,
    ) -> Result<MultiplexedConnection, redis::RedisError> {
        let address = &self.0.address;
        // The connection's time holds for TCP, TLS and logging in together.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(address.connect))
            .set_response_timeout(Some(address.timeout + longer))
            .set_pipeline_buffer_size(QUEUE);
        self.0.client(host, login, db)?.get_multiplexed_async_connection_with_config(&config).await
    }
}

impl Inner {
    fn client(&self, host: &Host, login: &Login, db: i64) -> Result<Client, redis::RedisError> {
        let info = self.info(host, login, db)?;
        match &self.tls {
            Some(tls) => Client::build_with_tls(info, tls.clone()),
            None => Client::open(info),
        }
    }

    fn info(&self, host: &Host, login: &Login, db: i64) -> Result<ConnectionInfo, redis::RedisError> {
        let (host, port) = (host.name.clone(), host.port);
        let address = match self.tls {
            Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            None => ConnectionAddr::Tcp(host, port),
        };
        let mut settings = RedisConnectionInfo::default().set_db(db).set_skip_set_lib_name();
        if let Some(user) = &login.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &login.password {
            settings = settings.set_password(password);
        }
        let tcp = TcpSettings::default().set_nodelay(true);
        Ok(address.into_connection_info()?.set_redis_settings(settings).set_tcp_settings(tcp))
    }

    fn cluster(&self, nodes: &[Host], limit: Duration) -> Result<ClusterClient, redis::RedisError> {
        let login = &self.address.login;
        let nodes: Result<Vec<_>, _> = nodes.iter().map(|node| self.info(node, login, 0)).collect();
        let mut builder = ClusterClientBuilder::new(nodes?)
            .connection_timeout(self.address.connect)
            .response_timeout(limit)
            .overall_response_timeout(Some(limit))
            .retries(CLUSTER_RETRIES)
            .min_retry_wait(CLUSTER_WAIT_MS.0)
            .max_retry_wait(CLUSTER_WAIT_MS.1)
            .tcp_settings(TcpSettings::default().set_nodelay(true));
        if let Some(tls) = &self.tls {
            builder = builder.certs(tls.clone());
        }
        builder.build()
    }
}

fn named(host: &Host, failure: Failure) -> Failure {
    match failure {
        Failure::Unreachable(why) => Failure::Unreachable(format!("{host}: {why}")),
        other => other,
    }
}

/// The first element of an answer of several.
fn first(value: Value) -> Result<(String,), Failure> {
    let Value::Array(values) = value else { return Err(Failure::Refused("an odd answer to ROLE".to_owned())) };
    let first = values.into_iter().next().unwrap_or(Value::Nil);
    Ok((redis::from_redis_value(first).map_err(|error| Failure::Refused(error.to_string()))?,))
}

impl ConnectionLike for Way {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        0
    }
}
