//! A listener that speaks TLS, whose connections can be cut as well.
//!
//! A handshake must not hold up other connections: each has a task of its own, and an end.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::model::{Error, Result};

use super::line::{CuttableListener, CuttableStream, Scissors};

/// A client that says nothing in this time is gone.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// Connections that shook hands and wait for their turn.
const WAITING_MAX: usize = 16;

/// Reads a certificate chain and its key, both in PEM; TLS 1.2 and 1.3. Error: `E-SIMULATE-TLS`.
pub(super) fn config((chain, key): &(PathBuf, PathBuf)) -> Result<Arc<ServerConfig>> {
    let unusable = |path: &Path| {
        let what = format!(
            "{} holds no certificate or key that can be used",
            path.display()
        );
        Error::config("E-SIMULATE-TLS", what)
    };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect)
        .map_err(|_| unusable(chain))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|_| unusable(key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(certificates, private)
        });
    config.map(Arc::new).map_err(|_| unusable(chain))
}

/// Hands out connections whose handshake went well.
pub(super) struct TlsListener {
    address: SocketAddr,
    arrived: mpsc::Receiver<(TlsStream<CuttableStream>, SocketAddr)>,
}

impl TlsListener {
    /// Begins to accept, in a task of its own.
    pub(super) fn new(listener: TcpListener, config: Arc<ServerConfig>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (ready, arrived) = mpsc::channel(WAITING_MAX);
        let acceptor = TlsAcceptor::from(config);
        let mut listener = CuttableListener(listener);
        tokio::spawn(async move {
            while !ready.is_closed() {
                let (stream, from) = listener.accept().await;
                let (acceptor, ready) = (acceptor.clone(), ready.clone());
                tokio::spawn(async move {
                    let handshake =
                        tokio::time::timeout(HANDSHAKE_PATIENCE, acceptor.accept(stream));
                    if let Ok(Ok(stream)) = handshake.await {
                        // Nobody serves any more when this fails.
                        let _ = ready.send((stream, from)).await;
                    }
                });
            }
        });
        Ok(Self { address, arrived })
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<CuttableStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        match self.arrived.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Scissors {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        stream.io().get_ref().0.scissors()
    }
}
