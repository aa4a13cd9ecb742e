//! The signals that end a simulator which runs as a command.

use crate::model::{Error, Result};

/// SIGINT and SIGTERM, listened to from now on.
pub(super) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

fn unheard(error: std::io::Error) -> Error {
    Error::unexpected("E-SIMULATE-SIGNAL", "Signals can't be listened to").caused_by(error)
}

impl Signals {
    /// Begins to listen: to be done before an address is printed, since whoever reads it may send a signal at once.
    ///
    /// Errors: `E-SIMULATE-SIGNAL`.
    pub(super) fn listen() -> Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self {
                terminate: signal(SignalKind::terminate()).map_err(unheard)?,
                interrupt: signal(SignalKind::interrupt()).map_err(unheard)?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Waits for one of them. Error: `E-SIMULATE-SIGNAL`.
    #[cfg(unix)]
    pub(super) async fn wait(mut self) -> Result<()> {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        Ok(())
    }

    /// Waits for one of them. Error: `E-SIMULATE-SIGNAL`.
    #[cfg(not(unix))]
    pub(super) async fn wait(self) -> Result<()> {
        tokio::signal::ctrl_c().await.map_err(unheard)
    }
}
