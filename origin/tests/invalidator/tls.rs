//! An admin plane behind TLS.

use std::sync::Arc;

use larder_origin::Invalidator;
use larder_origin::invalidator::BuildError;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::support::{Cluster, quick, until, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_the_given_authority_is_trusted_and_no_other() {
    let cluster = Cluster::new().await;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a configuration");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let url = format!("https://localhost:{}", listener.local_addr().expect("an address").port());
    let admin = cluster.admin;
    let terminator = tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            // Who does not trust it goes away.
            let Ok(mut client) = acceptor.accept(client).await else { continue };
            let mut node = TcpStream::connect(admin).await.expect("a node");
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut node).await });
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("authority.pem");
    let builder = quick(Invalidator::builder().node(&url));
    std::fs::write(&file, "nothing of the kind").expect("written");
    assert!(matches!(builder.clone().certificate_authority(&file).build(), Err(BuildError::Tls(_))));
    std::fs::write(&file, made.cert.pem()).expect("written");
    let trusting = builder.clone().certificate_authority(&file).build().expect("an invalidator");
    let mut ticket = trusting.purge_tag("a").await.expect("queued");
    within(ticket.accepted()).await.expect("accepted");
    // The system's authorities do not know it. A system may have none at all.
    match builder.build() {
        Err(error) => assert!(matches!(error, BuildError::Tls(_)), "{error}"),
        Ok(other) => {
            other.purge_tag("b").await.expect("queued");
            until("refused", async || other.status().failing.is_some_and(|why| why.contains("certificate"))).await;
        }
    }
    assert_eq!(cluster.purged().await, ["a"]);
    terminator.abort();
}
