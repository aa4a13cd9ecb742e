//! Keeps panics of a store engine from ending the process or from printing what was in a page.
//!
//! sled panics on damage, at open above all (design: nineteen of forty-four damaged stores). Such a panic becomes an
//! error; its text, which may hold keys and values, is not printed.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

/// Marks work that panicked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Panicked;

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; a panic in it is answered and not printed.
pub(super) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let engine = std::thread::current()
                .name()
                .is_some_and(|name| name.starts_with("sled-io-"));
            if !engine && !CONTAINED.get() {
                usual(info);
            }
        }));
    });
    let before = CONTAINED.replace(true);
    // What a panicking engine leaves behind is not used again: the caller marks its store as failed.
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    CONTAINED.set(before);
    outcome.map_err(|_| Panicked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        assert_eq!(contain(|| 7), Ok(7));
        assert_eq!(contain(|| -> u8 { panic!("a page") }), Err(Panicked));
        assert!(!CONTAINED.get());
    }
}
