//! TLS around the listeners: handshakes, and certificates that are read again when they change.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tidings_core::limits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::auth::files::{LOOK_AGAIN, Watched};
use crate::gate::Turns;
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
    turns: Turns,
}

/// TLS as all listeners share it.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    inner: Arc<Inner>,
}

fn watch(files: &(PathBuf, PathBuf)) -> Watched {
    Watched::new([files.0.clone(), files.1.clone()])
}

/// A connection of which no more is read than a first message may have, until it is there.
#[derive(Debug)]
pub(crate) struct Greeting {
    stream: TcpStream,
    /// Bytes that may still be read; `None`: any number.
    left: Option<usize>,
}

impl AsyncRead for Greeting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        match self.left.map(|left| left.checked_sub(read)) {
            Some(None) => {
                let reason = "the ClientHello has more than TLS_HELLO_BYTES_MAX bytes";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, reason)))
            }
            Some(left) => {
                self.left = left;
                polled
            }
            None => polled,
        }
    }
}

impl AsyncWrite for Greeting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
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
        let workers =
            tokio::runtime::Handle::try_current().map_or(1, |h| h.metrics().num_workers());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        Ok(Tls {
            inner: Arc::new(Inner {
                files: Mutex::new((files, watched)),
                current,
                config: Arc::new(config),
                turns: Turns::new((workers / 2).clamp(1, limits::TLS_HANDSHAKES_MAX)),
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

    /// Shakes hands with somebody there; `None` if that fails, and the connection is closed.
    pub(crate) async fn handshake(
        &self,
        stream: TcpStream,
        from: IpAddr,
    ) -> Option<TlsStream<Greeting>> {
        let within = Duration::from_millis(limits::TLS_HANDSHAKE_MS_MAX);
        match tokio::time::timeout(within, self.greet(stream, from)).await {
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

    async fn greet(&self, stream: TcpStream, from: IpAddr) -> io::Result<TlsStream<Greeting>> {
        stream.readable().await?; // silence costs no buffer
        let left = Some(limits::TLS_HELLO_BYTES_MAX);
        let greeting = Greeting { stream, left };
        let acceptor = rustls::server::Acceptor::default();
        let mut hello = LazyConfigAcceptor::new(acceptor, greeting).await?;
        hello.io.left = None;
        // From here on there is something to compute, and nothing of it waits for the peer.
        let turn = self.inner.turns.wait(from).await;
        let mut accepting = hello.into_stream(self.inner.config.clone());
        let first = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut accepting).poll(cx))).await;
        drop(turn);
        match first {
            Poll::Ready(done) => done,
            Poll::Pending => accepting.await,
        }
    }

    /// Shakes hands; `None` if that fails, and the connection is closed.
    pub(crate) async fn accept(&self, stream: TcpStream, from: IpAddr) -> Option<Socket> {
        let (greeting, session) = self.handshake(stream, from).await?.into_inner();
        Some(Socket::tls(greeting.stream, session))
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
