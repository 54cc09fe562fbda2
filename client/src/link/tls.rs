//! TLS on a client's connection: which servers are believed, and the session between the buffers
//! and the socket.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;

use crate::error::ConnectError;

/// Which servers are believed to be who they say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Those with a certificate of an authority that Mozilla trusts.
    #[default]
    Public,
    /// Those with a certificate of an authority in this PEM text, or one that is in it.
    Authorities(Vec<CertificateDer<'static>>),
    /// The one with this certificate, by the SHA-256 of its DER form.
    Pinned([u8; 32]),
}

impl Trust {
    /// Reads a PEM file.
    pub(crate) fn file(path: &Path) -> Result<Trust, ConnectError> {
        let bad = |problem: String| ConnectError::Certificate {
            path: path.to_owned(),
            problem,
        };
        let read = CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))?;
        let found: Result<Vec<_>, _> = read.collect();
        let found = found.map_err(|error| bad(error.to_string()))?;
        if found.is_empty() {
            return Err(bad("there is no certificate in it".to_owned()));
        }
        Ok(Trust::Authorities(found))
    }

    /// Reads a fingerprint: 64 hexadecimal digits, with or without colons.
    pub(crate) fn pin(fingerprint: &str) -> Result<Trust, ConnectError> {
        let bad = || {
            ConnectError::Config("a pinned certificate is the 64 hexadecimal digits of its SHA-256")
        };
        let digits: Vec<u8> = fingerprint.bytes().filter(|byte| *byte != b':').collect();
        let mut pin = [0; 32];
        if digits.len() != 2 * pin.len() {
            return Err(bad());
        }
        for (byte, pair) in pin.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Trust::Pinned(pin))
    }

    /// What rustls is to do.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, ConnectError> {
        let unusable = |_| ConnectError::Config("a certificate of an authority cannot be used");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let mut roots = RootCertStore::empty();
        let config = match self {
            Trust::Public => {
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
                builder.with_root_certificates(roots)
            }
            Trust::Authorities(certificates) => {
                for certificate in certificates {
                    roots.add(certificate.clone()).map_err(unusable)?;
                }
                builder.with_root_certificates(roots)
            }
            Trust::Pinned(fingerprint) => {
                let (fingerprint, provider) = (*fingerprint, provider);
                let pin = Pin {
                    fingerprint,
                    provider,
                };
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(pin))
            }
        };
        Ok(Arc::new(config.with_no_client_auth()))
    }
}

/// Believes one certificate, whatever its names and its authority.
#[derive(Debug)]
struct Pin {
    fingerprint: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let digest = sha256(shown);
        if digest == self.fingerprint {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::General(
            "the server's certificate is not the pinned one".to_owned(),
        ))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let known = &self.provider.signature_verification_algorithms;
        known.supported_schemes()
    }
}

/// The SHA-256 of a certificate.
fn sha256(certificate: &CertificateDer<'_>) -> [u8; 32] {
    let digest = ::aws_lc_rs::digest::digest(&::aws_lc_rs::digest::SHA256, certificate);
    digest.as_ref().try_into().unwrap_or_default()
}

/// Read at once, about.
const READ_BYTES: usize = 16 << 10;

/// One connection's session.
pub(super) struct Tls(Box<ClientConnection>);

impl Tls {
    /// A session with the server of this name, of which nothing was said yet.
    pub(super) fn new(config: Arc<ClientConfig>, host: &str) -> io::Result<Tls> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        Ok(Tls(Box::new(session)))
    }

    /// Whether nothing of ours can be sent yet.
    pub(super) fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    /// Whether something encrypted waits for the socket.
    pub(super) fn owes(&self) -> bool {
        self.0.wants_write()
    }

    /// Encrypts and sends as much as goes; returns how much of `bytes` was taken. What is taken and
    /// does not go is [owed](Tls::owes).
    pub(super) fn write(&mut self, socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        let taken = match self.0.is_handshaking() {
            true => 0,
            false => self.0.writer().write(bytes)?,
        };
        while self.0.wants_write() {
            match self.0.write_tls(&mut Wire(socket)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                outcome => outcome?,
            };
        }
        Ok(taken)
    }

    /// Appends what is there, decrypted, and returns how much that is; 0 at the end.
    pub(super) fn read(&mut self, socket: &TcpStream, input: &mut Vec<u8>) -> io::Result<usize> {
        let before = input.len();
        loop {
            match self.0.read_tls(&mut Wire(socket)) {
                Ok(0) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && input.len() > before => {
                    break;
                }
                outcome => outcome?,
            };
            let state = self.0.process_new_packets().map_err(|error| {
                // The other side learns why, if the socket takes it.
                let _ = self.0.write_tls(&mut Wire(socket));
                io::Error::new(io::ErrorKind::InvalidData, error)
            })?;
            let plain = state.plaintext_bytes_to_read() as u64;
            (&mut self.0.reader()).take(plain).read_to_end(input)?;
            if state.peer_has_closed() || input.len() - before > READ_BYTES {
                break;
            }
        }
        Ok(input.len() - before)
    }

    /// Says that nothing follows.
    pub(super) fn say_goodbye(&mut self) {
        self.0.send_close_notify();
    }
}

/// The socket as the session uses it.
struct Wire<'a>(&'a TcpStream);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
