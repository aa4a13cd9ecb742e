//! Accepting connections, within their number, over TLS or in the clear, until it is time to stop.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::custody::Custody;
use super::failures::{Failures, network};
use super::foreign_tokens::{ForeignTokens, KEYS_TIMEOUT};
use super::own_tokens::{OwnTokens, TokenKey};
use super::service::{Gate, Received, Service};
use super::tls::Identity;
use super::{ReceiveLimits, connection};
use crate::config::{Callers, ReceiveSettings};
use crate::model::{Error, Result};
use crate::remote::contactlist::Surroundings;
use crate::remote::data_sync::http::Http;

/// How long connections may take to end once it is time to stop (hazard H-74).
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// The pause after the system could not accept, such as for want of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A bound endpoint, ready to serve.
pub struct Receiver<C> {
    listener: TcpListener,
    identity: Option<Identity>,
    service: Arc<Service<C>>,
}

impl<C: Custody> Receiver<C> {
    /// Reads certificate and key, and listens.
    ///
    /// `E-TLS-CERTIFICATE`, `E-TLS-KEY`, `E-CFG-URL` (exit 2) for what can't work, `E-LISTEN` (exit 7) where the address is
    /// taken or not ours. From here on connections wait to be served.
    pub async fn bind(
        settings: &ReceiveSettings,
        limits: ReceiveLimits,
        key: TokenKey,
        custody: Arc<C>,
        around: Arc<dyn Surroundings>,
    ) -> Result<Self> {
        let identity = match &settings.tls {
            Some((certificate, key)) => Some(Identity::load(certificate, key)?),
            None if settings.listen.ip().is_loopback() => None,
            None => {
                return Err(Error::config(
                    "E-CFG-URL",
                    "receive.listen: plain http is for loopback alone; give tls, or listen on 127.0.0.1 behind a proxy",
                ));
            }
        };
        let gate = gate(&settings.callers, &limits, key, &around)?;
        let listener = TcpListener::bind(settings.listen).await.map_err(|error| {
            Error::needs_person(
                "E-LISTEN",
                format!(
                    "receive.listen {}: can't be listened on ({}). Is another program there?",
                    settings.listen,
                    error.kind()
                ),
            )
        })?;
        let service = Service {
            path: settings.path.clone(),
            token_path: settings.token_path.clone(),
            gate,
            custody,
            failures: Failures::new(limits.auth_failures),
            limits,
            received: Arc::default(),
            around,
        };
        Ok(Self {
            listener,
            identity,
            service: Arc::new(service),
        })
    }

    /// Where it listens; the port that the system chose where the settings say 0.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().map_err(|error| {
            Error::unexpected("E-LISTEN", "The address that is listened on can't be told")
                .caused_by(error)
        })
    }

    /// What was answered so far; goes on to count.
    pub fn received(&self) -> Arc<Received> {
        Arc::clone(&self.service.received)
    }

    /// Serves until `stop` is done; then takes no more connections, finishes the answers that are due (for at most 20 s), and
    /// comes back. Must be called in a tokio runtime; connections run as tasks of it.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let limits = &self.service.limits;
        let room = Arc::new(Semaphore::new(limits.connections as usize));
        let peers = Arc::new(Peers::new(limits.connections_per_peer));
        let (stopping, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = async {
                // One that waits for a place waits unaccepted.
                let place = Arc::clone(&room).acquire_owned().await;
                (place, self.listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                () = &mut stop => break,
                accepted = accepted => accepted,
            };
            while tasks.try_join_next().is_some() {}
            let (stream, peer) = match accepted {
                Ok((stream, address)) => (stream, address.ip()),
                Err(error) => {
                    tracing::warn!("a connection could not be accepted: {}", error.kind());
                    self.service.around.pause(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some(entry) = Peers::enter(&peers, peer) else {
                tracing::debug!(%peer, "too many connections of one address (limits.connections_per_peer)");
                continue;
            };
            let acceptor = self.identity.as_ref().map(Identity::acceptor);
            let service = Arc::clone(&self.service);
            let stopped = stopped.clone();
            tasks.spawn(async move {
                let _held = (place, entry);
                // Answers are small and single; waiting to fill a packet only delays them.
                let _ = stream.set_nodelay(true);
                match acceptor {
                    None => connection::serve(stream, peer, service, stopped).await,
                    Some(acceptor) => secured(acceptor, stream, peer, service, stopped).await,
                }
            });
        }
        stopping.send_replace(true);
        let all = async { while tasks.join_next().await.is_some() {} };
        if timeout(STOP_TIMEOUT, all).await.is_err() {
            tracing::warn!(
                "connections were cut off at the stop; whoever got no answer sends again"
            );
        }
    }
}

async fn secured<C: Custody>(
    acceptor: tokio_rustls::TlsAcceptor,
    stream: TcpStream,
    peer: IpAddr,
    service: Arc<Service<C>>,
    stopped: watch::Receiver<bool>,
) {
    match timeout(service.limits.head_timeout, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => connection::serve(stream, peer, service, stopped).await,
        Ok(Err(error)) => tracing::debug!(%peer, "TLS failed: {error}"),
        Err(_) => tracing::debug!(%peer, "TLS took too long"),
    }
}

fn gate(
    callers: &Callers,
    limits: &ReceiveLimits,
    key: TokenKey,
    around: &Arc<dyn Surroundings>,
) -> Result<Gate> {
    let around = Arc::clone(around);
    Ok(match callers {
        Callers::Clients(clients) => Gate::Own(OwnTokens::new(
            clients,
            key,
            limits.token_lifetime,
            limits.token_grace,
            around,
        )),
        Callers::Tokens {
            issuer,
            audience,
            jwks_url,
            ca,
        } => {
            let ca = super::super::read_ca("tokens.ca", ca.as_deref())?;
            let mut calls = limits.calls;
            calls.total_timeout = calls.total_timeout.min(KEYS_TIMEOUT);
            let http = Http::new("tokens.jwks_url", jwks_url.clone(), ca.as_deref(), &calls)?;
            Gate::Foreign(ForeignTokens::new(
                issuer.clone(),
                audience.clone(),
                limits.token_grace,
                http,
                around,
            ))
        }
    })
}

/// Connections per address.
struct Peers {
    max: u32,
    open: Mutex<HashMap<IpAddr, u32>>,
}

/// A place of one address; given back when dropped.
struct Entry {
    peers: Arc<Peers>,
    peer: IpAddr,
}

impl Peers {
    fn new(max: u32) -> Self {
        Self {
            max,
            open: Mutex::default(),
        }
    }

    fn enter(peers: &Arc<Self>, peer: IpAddr) -> Option<Entry> {
        let peer = network(peer);
        let mut open = peers.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(peer).or_insert(0);
        if *count >= peers.max {
            return None;
        }
        *count += 1;
        Some(Entry {
            peers: Arc::clone(peers),
            peer,
        })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self
            .peers
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.peer);
            }
        }
    }
}
