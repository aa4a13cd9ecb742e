//! What the engine says while it works: no line of it, at any level, and no report may hold what a user entered.

use std::cell::RefCell;
use std::io::Write;
use std::sync::Once;

use contactbridge::sync::Finished;

use crate::oracle::holds_canary;

thread_local! {
    static SAID: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Keeps what is said on a thread.
struct Ear;

impl Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        SAID.with_borrow_mut(|said| said.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// From here on everything that is said on this thread counts for the next [`check`].
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(|| Ear)
            .init();
    });
    SAID.with_borrow_mut(Vec::clear);
}

/// What is wrong with what was said since [`listen`], and with what the run reports; canaries have numbers up to `highest`.
pub fn check(finished: Option<&Finished>, highest: u64) -> Option<String> {
    let said = SAID.take();
    if holds_canary(&said, highest) {
        let text = String::from_utf8_lossy(&said);
        return Some(format!("I10 a log line holds a value: {text}"));
    }
    let Finished { report, error, .. } = finished?;
    let told = format!("{report:?} {error:?}");
    holds_canary(told.as_bytes(), highest).then(|| format!("I10 a report holds a value: {told}"))
}
