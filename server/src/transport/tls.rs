//! TLS around the listeners: handshakes, and certificates that are read again when they change.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tidings_core::limits;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::auth::files::{LOOK_AGAIN, Watched};
use crate::link::Socket;

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not what it should be.
    #[error("{}: {problem}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The certificate is another key's.
    #[error("{} is not the key of the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// `tls.cert_file`.
        certificate: PathBuf,
        /// `tls.key_file`.
        key: PathBuf,
    },
    /// Something else that rustls does not like.
    #[error("TLS: {0}")]
    Rustls(#[from] rustls::Error),
}

/// Reads a certificate chain and its key, and checks that they belong together; blocks.
///
/// # Errors
/// Says which file to look at.
pub fn read_pair(cert_file: &Path, key_file: &Path) -> Result<CertifiedKey, TlsError> {
    let fault = |path: &Path, problem: String| TlsError::File {
        path: path.to_owned(),
        problem,
    };
    let unreadable = |path: &Path, error: rustls::pki_types::pem::Error| {
        let problem = match error {
            rustls::pki_types::pem::Error::Io(error) => format!("cannot be read: {error}"),
            rustls::pki_types::pem::Error::NoItemsFound => "holds no such thing as PEM".to_owned(),
            other => format!("is not PEM: {other}"),
        };
        fault(path, problem)
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(cert_file)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(cert_file, error))?;
    if chain.is_empty() {
        let problem = "holds no certificate (-----BEGIN CERTIFICATE-----)".to_owned();
        return Err(fault(cert_file, problem));
    }
    let key =
        PrivateKeyDer::from_pem_file(key_file).map_err(|error| unreadable(key_file, error))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| fault(key_file, format!("is no key that TLS can use: {error}")))?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(pair)
        }
        Err(rustls::Error::InconsistentKeys(_)) => Err(TlsError::Mismatch {
            certificate: cert_file.to_owned(),
            key: key_file.to_owned(),
        }),
        Err(error) => Err(fault(cert_file, error.to_string())),
    }
}

/// The pair that new connections get.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().clone())
    }
}

/// A certificate's file, its key's, and what is in them.
pub(crate) type FilesAndPair = ((PathBuf, PathBuf), Arc<CertifiedKey>);

#[derive(Debug)]
struct Inner {
    files: Mutex<((PathBuf, PathBuf), Watched)>,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
    turns: Semaphore,
    waiting: AtomicUsize,
}

/// TLS as all listeners share it.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    inner: Arc<Inner>,
}

fn watch(files: &(PathBuf, PathBuf)) -> Watched {
    Watched::new([files.0.clone(), files.1.clone()])
}

/// One connection that waits for its turn or shakes hands.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Tls {
    /// Reads the files; blocks.
    pub(crate) fn open(cert_file: &Path, key_file: &Path) -> Result<Tls, TlsError> {
        let files = (cert_file.to_owned(), key_file.to_owned());
        let watched = watch(&files);
        let pair = read_pair(cert_file, key_file)?;
        let current = Arc::new(Current(RwLock::new(Arc::new(pair))));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        Ok(Tls {
            inner: Arc::new(Inner {
                files: Mutex::new((files, watched)),
                current,
                config: Arc::new(config),
                turns: Semaphore::new(limits::TLS_HANDSHAKES_MAX),
                waiting: AtomicUsize::new(0),
            }),
        })
    }

    /// Other files, and what was read from them, for new connections.
    pub(crate) fn replace(&self, files: (PathBuf, PathBuf), pair: Arc<CertifiedKey>) {
        *self.inner.current.0.write() = pair;
        let watched = watch(&files);
        *self.inner.files.lock() = (files, watched);
    }

    /// Reads the files again when they change. Runs until it is dropped.
    pub(crate) async fn keep_fresh(self) {
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            let inner = self.inner.clone();
            let _ = tokio::task::spawn_blocking(move || inner.look_again()).await;
        }
    }

    /// Shakes hands; `None` if that fails, and the connection is closed.
    pub(crate) async fn handshake(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let before = self.inner.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.inner.waiting);
        if before >= limits::TLS_WAITING_MAX {
            return None;
        }
        let _turn = self.inner.turns.acquire().await.ok()?;
        let acceptor = TlsAcceptor::from(self.inner.config.clone());
        let within = Duration::from_millis(limits::TLS_HANDSHAKE_MS_MAX);
        match tokio::time::timeout(within, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!("TLS handshake took too long");
                None
            }
        }
    }

    /// Shakes hands; `None` if that fails, and the connection is closed.
    pub(crate) async fn accept(&self, stream: TcpStream) -> Option<Socket> {
        let (stream, session) = self.handshake(stream).await?.into_inner();
        Some(Socket::tls(stream, session))
    }
}

impl Inner {
    /// What cannot be used leaves the pair as it was.
    fn look_again(&self) {
        let (files, watched) = &mut *self.files.lock();
        if !watched.changed() {
            return;
        }
        match read_pair(&files.0, &files.1) {
            Ok(pair) => {
                *self.current.0.write() = Arc::new(pair);
                tracing::info!("the TLS certificate was read again");
            }
            Err(error) => tracing::error!(%error, "the TLS certificate stays as it was"),
        }
    }
}

/// A listener for HTTPS. Handshakes go on beside one another, so that a slow one holds up nobody.
#[derive(Debug)]
pub(crate) struct HttpsListener {
    address: io::Result<SocketAddr>,
    accepted: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    accepting: tokio::task::JoinHandle<()>,
}

impl HttpsListener {
    pub(crate) fn new(listener: TcpListener, tls: Tls) -> HttpsListener {
        let address = listener.local_addr();
        let (sender, accepted) = mpsc::channel(limits::HTTPS_ACCEPTED_MAX);
        let accepting = tokio::spawn(super::accept(listener, move |stream, peer| {
            let (tls, sender) = (tls.clone(), sender.clone());
            tokio::spawn(async move {
                if let Some(stream) = tls.handshake(stream).await {
                    let _ = sender.send((stream, peer)).await;
                }
            });
        }));
        HttpsListener {
            address,
            accepted,
            accepting,
        }
    }
}

impl Drop for HttpsListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl axum::serve::Listener for HttpsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.accepted.recv().await {
            Some(accepted) => accepted,
            // The accepting task holds a sender for as long as it lives.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.address {
            Ok(address) => Ok(*address),
            Err(error) => Err(error.kind().into()),
        }
    }
}
