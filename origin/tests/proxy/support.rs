//! Origins, clients and certificates.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use larder_origin::proxy::{Builder, Proxy, Running};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tower_layer::Identity;

/// Nothing in these tests takes longer, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub type Body = BoxBody<Bytes, BoxError>;

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// A body that somebody else goes on with, a few frames ahead at most. An error breaks it off.
pub fn channel() -> (mpsc::Sender<Result<Frame<Bytes>, BoxError>>, Body) {
    let (sender, receiver) = mpsc::channel(4);
    (sender, Channel(receiver.into()).boxed())
}

struct Channel(Mutex<mpsc::Receiver<Result<Frame<Bytes>, BoxError>>>);

impl http_body::Body for Channel {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.lock().expect("a lock").poll_recv(cx)
    }
}

/// What must happen within the patience.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("in time")
}

/// Looks until it is so.
pub async fn until(mut is_so: impl FnMut() -> bool) {
    soon(async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

type Handler = Arc<dyn Fn(Request<Incoming>) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> + Send + Sync>;

/// An origin that speaks HTTP by hyper.
pub struct Origin {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    /// What it was asked, before its handler was.
    pub asked: Arc<Mutex<Vec<http::request::Parts>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Origin {
    pub async fn start<F, R>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::with_tls(None, handler).await
    }

    pub async fn with_tls<F, R>(tls: Option<Arc<rustls::ServerConfig>>, handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (count, heard) = (connections.clone(), asked.clone());
        let task = tokio::spawn(async move {
            let mut tasks = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                count.fetch_add(1, Ordering::SeqCst);
                let (handler, heard, tls) = (handler.clone(), heard.clone(), tls.clone());
                tasks.spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let (parts, body) = request.into_parts();
                        heard.lock().expect("a lock").push(parts.clone());
                        let handler = handler.clone();
                        async move { Ok::<_, Infallible>(handler(Request::from_parts(parts, body)).await) }
                    });
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = match tls {
                        Some(tls) => match TlsAcceptor::from(tls).accept(stream).await {
                            Ok(stream) => builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await,
                            Err(_) => Ok(()),
                        },
                        None => builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await,
                    };
                });
            }
        });
        Self { address, connections, asked, task }
    }

    pub fn url(&self) -> larder_origin::proxy::Origin {
        format!("http://{}", self.address).parse().expect("an origin")
    }

    pub fn asked(&self) -> Vec<http::request::Parts> {
        self.asked.lock().expect("a lock").clone()
    }
}

/// An origin that says what it was asked: the body comes back.
pub async fn echo(request: Request<Incoming>) -> Response<Body> {
    let body = request.into_body().map_err(BoxError::from).boxed();
    Response::new(body)
}

/// An origin by hand: `script` gets each connection.
pub async fn by_hand<F, R>(script: F) -> larder_origin::proxy::Origin
where
    F: Fn(TcpStream, usize) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.expect("a connection");
            tokio::spawn(script(stream, number));
        }
    });
    format!("http://{address}").parse().expect("an origin")
}

/// Reads until the text ends so; what was read.
pub async fn read_until(stream: &mut (impl AsyncReadExt + Unpin), end: &str) -> String {
    let mut all = Vec::new();
    soon(async {
        while !all.ends_with(end.as_bytes()) {
            match stream.read_u8().await {
                Ok(byte) => all.push(byte),
                Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&all)),
            }
        }
    })
    .await;
    String::from_utf8_lossy(&all).into_owned()
}

/// Everything until the connection ends, however it does.
pub async fn read_all(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut all = Vec::new();
    let _ = soon(stream.read_to_end(&mut all)).await;
    String::from_utf8_lossy(&all).into_owned()
}

/// An address that nobody listens on, while the socket is kept: it has the port, so that nobody else gets it.
pub fn nobody() -> (larder_origin::proxy::Origin, TcpSocket) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let url = format!("http://{}", socket.local_addr().expect("an address"));
    (url.parse().expect("an origin"), socket)
}

pub fn proxy(origin: &Origin) -> Builder {
    Proxy::builder().origin(origin.url())
}

pub async fn started(builder: Builder) -> Running {
    builder.serve_with(Identity::new()).await.expect("a proxy")
}

/// Sends bytes, says nothing more, and reads everything.
pub async fn raw(proxy: &Running, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(proxy.address()).await.expect("a connection");
    stream.write_all(bytes.as_ref()).await.expect("written");
    read_all(&mut stream).await
}

/// A client on one connection.
pub enum Client {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Client {
    pub async fn http1(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("a connection"), Version::HTTP_11).await
    }

    pub async fn http2(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("a connection"), Version::HTTP_2).await
    }

    /// By TLS, with what the server chooses of `protocols`.
    pub async fn tls(address: SocketAddr, authority: &Authority, protocols: &[&str]) -> Result<Self, BoxError> {
        let stream = tls_stream(address, authority, protocols).await?;
        let version = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Version::HTTP_2,
            _ => Version::HTTP_11,
        };
        Ok(Self::over(stream, version).await)
    }

    async fn over<T>(stream: T, version: Version) -> Self
    where
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(stream);
        if version == Version::HTTP_2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
            tokio::spawn(connection);
            Self::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.expect("HTTP/1.1");
            tokio::spawn(connection);
            Self::Http1(sender)
        }
    }

    pub fn version(&self) -> Version {
        if matches!(self, Self::Http1(_)) { Version::HTTP_11 } else { Version::HTTP_2 }
    }

    /// Sends a request for `http://shop.example` and a path.
    pub async fn send(&mut self, mut request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => {
                request.headers_mut().entry("host").or_insert(http::HeaderValue::from_static("shop.example"));
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                let path = request.uri().path_and_query().expect("a path").clone();
                *request.uri_mut() = format!("http://shop.example{path}").parse().expect("a URL");
                *request.version_mut() = Version::HTTP_2;
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    pub async fn get(&mut self, path: &str) -> Response<Bytes> {
        self.ask(Request::get(path).body(full("")).expect("a request")).await
    }

    pub async fn ask(&mut self, request: Request<Body>) -> Response<Bytes> {
        let (parts, body) = soon(self.send(request)).await.expect("a response").into_parts();
        Response::from_parts(parts, soon(body.collect()).await.expect("a body").to_bytes())
    }
}

pub async fn tls_stream(
    address: SocketAddr,
    authority: &Authority,
    protocols: &[&str],
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, BoxError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.ca())?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    Ok(TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost")?, stream).await?)
}

/// Makes certificates for `localhost`, in files of a folder of its own.
pub struct Authority {
    folder: tempfile::TempDir,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("written");
        let issuer = rcgen::Issuer::new(params, key);
        let authority = Self { folder, issuer };
        authority.issue();
        authority
    }

    /// Another certificate, in the same files.
    pub fn issue(&self) {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        std::fs::write(self.chain(), certificate.pem()).expect("written");
        std::fs::write(self.key(), key.serialize_pem()).expect("written");
    }

    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub fn chain(&self) -> PathBuf {
        self.folder.path().join("chain.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    pub fn server(&self, protocols: &[&str]) -> Arc<rustls::ServerConfig> {
        let chain = vec![CertificateDer::from_pem_file(self.chain()).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_file(self.key()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate with its key");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}
