//! One connection: requests one after the other, with a deadline for each head and an end to idling.
//!
//! hyper's own deadline for heads runs while a connection idles, too, and would close it under a sender that is about to use it
//! again. So reading is watched here: from a head's first byte it has `head_timeout`, and between requests there is more time.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use tokio::time::timeout;

use super::custody::Custody;
use super::service::Service;

/// How long a connection may idle between two requests; longer than the five to sixty seconds after which clients drop theirs,
/// so that it is they who do.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// The longest head (reliability §4.3).
const HEAD_MAX: usize = 16 * 1024;
/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// How long, and for how many bytes, whoever was answered before it had written everything may go on writing: a socket that is
/// closed on unread bytes resets, and the reset takes the answer away.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 << 20;

const TOO_SLOW: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing since the last answer.
    Idle,
    /// Something of a head has come, or the connection is new.
    Head,
    /// A request is being worked on.
    Busy,
}

/// Notes when something is read while nothing was going on.
struct Watched<I> {
    io: I,
    phase: Arc<watch::Sender<Phase>>,
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.phase.send_if_modified(|phase| {
                let begins = *phase == Phase::Idle;
                if begins {
                    *phase = Phase::Head;
                }
                begins
            });
        }
        polled
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// Serves a connection of `peer` until it ends, fails, idles too long, or `stop` turns true (then after the answer that is due).
pub(super) async fn serve<C: Custody, I>(
    io: I,
    peer: IpAddr,
    service: Arc<Service<C>>,
    mut stop: watch::Receiver<bool>,
) where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let phase = Arc::new(watch::Sender::new(Phase::Head));
    let watched = Watched {
        io,
        phase: Arc::clone(&phase),
    };
    let head_timeout = service.limits.head_timeout;
    let seen = phase.subscribe();
    let answer = service_fn(move |request: Request<Incoming>| {
        let (service, phase) = (Arc::clone(&service), Arc::clone(&phase));
        Box::pin(async move {
            phase.send_replace(Phase::Busy);
            let answer: Response<_> = service.answer(peer, request).await;
            phase.send_replace(Phase::Idle);
            Ok::<_, Infallible>(answer)
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(watched), answer);
    let mut late = std::pin::pin!(too_late(seen, head_timeout));
    let end = tokio::select! {
        ended = poll_fn(|context| connection.poll_without_shutdown(context)) => Err(ended),
        phase = &mut late => Ok(Some(phase)),
        _ = stop.wait_for(|stop| *stop) => Ok(None),
    };
    match end {
        Err(Ok(())) => linger(connection.into_parts().io.into_inner().io).await,
        Err(Err(error)) => tracing::debug!(%peer, "a connection ended early: {error}"),
        Ok(Some(Phase::Head)) => {
            service_refused(peer);
            let mut io = connection.into_parts().io.into_inner().io;
            let goodbye = async {
                io.write_all(TOO_SLOW).await?;
                io.shutdown().await
            };
            // Whoever does not even read its answer gets none.
            let _ = timeout(GOODBYE, goodbye).await;
        }
        Ok(Some(_)) => {}
        Ok(None) => {
            Pin::new(&mut connection).graceful_shutdown();
            // The deadlines go on to count, so that nobody can hold up the stop.
            tokio::select! {
                _ = &mut connection => {}
                _ = &mut late => {}
            }
        }
    }
}

/// Says that nothing more is coming, and lets the other end finish: what it still writes is thrown away.
async fn linger(mut io: impl AsyncRead + AsyncWrite + Unpin) {
    let finish = async {
        io.shutdown().await?;
        let mut piece = vec![0; 16 * 1024];
        let mut left = LINGER_BYTES;
        loop {
            match io.read(&mut piece).await? {
                0 => return Ok(()),
                length => left = left.saturating_sub(length),
            }
            if left == 0 {
                return std::io::Result::Ok(());
            }
        }
    };
    let _ = timeout(LINGER, finish).await;
}

fn service_refused(peer: IpAddr) {
    tracing::debug!(%peer, "a head took too long");
}

/// Comes back once a head takes too long, or nothing happens for too long.
async fn too_late(mut seen: watch::Receiver<Phase>, head_timeout: Duration) -> Phase {
    loop {
        let phase = *seen.borrow_and_update();
        let changed = match phase {
            Phase::Busy => Ok(seen.changed().await),
            Phase::Head => timeout(head_timeout, seen.changed()).await,
            Phase::Idle => timeout(KEEP_ALIVE, seen.changed()).await,
        };
        match changed {
            Err(_) => return phase,
            // The connection is being dropped; its own end is what counts.
            Ok(Err(_)) => std::future::pending().await,
            Ok(Ok(())) => {}
        }
    }
}
