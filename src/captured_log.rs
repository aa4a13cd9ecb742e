//! What a test's own thread logs, at every level.
//!
//! tracing remembers for the whole process whether a place that logs is listened to, so a subscriber of one test goes deaf when
//! another thread comes by such a place first. Here one subscriber listens for all, and writes for those who asked.

use std::cell::RefCell;
use std::io::Write;
use std::sync::Once;

use tracing_subscriber::Layer;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::SubscriberExt;

thread_local! {
    static HEARD: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

struct ToThread;

impl Write for ToThread {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        HEARD.with_borrow_mut(|heard| {
            if let Some(heard) = heard {
                heard.extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Listens to this thread until it is asked for what it heard.
pub(crate) struct CapturedLog(());

impl CapturedLog {
    /// Begins to listen.
    pub(crate) fn start() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let asked = dynamic_filter_fn(|_, _| {
                HEARD
                    .try_with(|heard| heard.try_borrow().is_ok_and(|heard| heard.is_some()))
                    .unwrap_or(false)
            });
            let layer = tracing_subscriber::fmt::layer()
                .with_ansi(false)
                .with_writer(|| ToThread)
                .with_filter(asked);
            tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))
                .expect("no test sets another");
        });
        HEARD.set(Some(Vec::new()));
        Self(())
    }

    /// Everything since the start.
    pub(crate) fn end(self) -> String {
        let heard = HEARD.take().unwrap_or_default();
        String::from_utf8(heard).expect("logs are text")
    }
}
