//! A loopback address that a router answers at, on threads of its own, until it is stopped or dropped.
//!
//! It must not listen where other machines can reach it.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use axum::Router;
use rustls::ServerConfig;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::model::{Error, Result};

use super::line::{CuttableListener, Scissors};
use super::tls::TlsListener;

/// Threads that serve: two keep a client with eight pages in flight busy without taking the machine from it.
const WORKER_THREADS: usize = 2;

/// An address that is taken, and nobody answers yet.
pub(super) struct Bound {
    listener: TcpListener,
    runtime: Runtime,
    pub(super) address: SocketAddr,
}

/// An address that is answered at. Threads of its own, so that a test may block, pause its runtime's time, or run the
/// real binary.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Takes an address; with port 0 the system chooses.
///
/// Errors: `E-SIMULATE-LISTEN` for an address that is not loopback or that is taken.
pub(super) fn bind(listen: SocketAddr) -> Result<Bound> {
    if !listen.ip().is_loopback() {
        return Err(Error::config(
            "E-SIMULATE-LISTEN",
            format!(
                "{listen} is not a loopback address; the simulator answers this machine alone, such as 127.0.0.1:0"
            ),
        ));
    }
    let failed = |what: &str| {
        let message = format!("Could not {what} {listen}; choose another port, or 0 for any");
        move |error: std::io::Error| Error::config("E-SIMULATE-LISTEN", message).caused_by(error)
    };
    let listener = TcpListener::bind(listen).map_err(failed("listen on"))?;
    listener
        .set_nonblocking(true)
        .map_err(failed("listen on"))?;
    let address = listener.local_addr().map_err(failed("listen on"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .thread_name("simulator")
        .enable_all()
        .build()
        .map_err(failed("start threads for"))?;
    Ok(Bound {
        listener,
        runtime,
        address,
    })
}

impl Bound {
    /// Begins to answer.
    pub(super) fn serve(self, router: Router) -> Server {
        self.serve_over(router, None)
    }

    /// Begins to answer, over TLS where there is a configuration of it.
    pub(super) fn serve_over(self, router: Router, tls: Option<Arc<ServerConfig>>) -> Server {
        let Self {
            listener,
            runtime,
            address,
        } = self;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
                    return;
                };
                let service = router.into_make_service_with_connect_info::<Scissors>();
                let Some(tls) = tls else {
                    let serving = axum::serve(CuttableListener(listener), service);
                    tokio::select! {
                        _ = serving => {}
                        _ = stopped => {}
                    }
                    return;
                };
                let Ok(listener) = TlsListener::new(listener, tls) else {
                    return;
                };
                let serving = axum::serve(listener, service);
                tokio::select! {
                    _ = serving => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        Server {
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    /// Stops answering; requests under way are cut.
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
