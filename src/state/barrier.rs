//! Makes sled fsync before it calls anything stable.
//!
//! sled 0.34.7 asks Linux for `sync_file_range`, which flushes neither file metadata nor the disk's cache, and then
//! reuses old segments: a power cut can destroy the whole store. Where that call does not exist, sled falls back to
//! `File::sync_all`. So this module defines the symbol and answers ENOSYS. Nothing else in this program uses the call.
//!
//! A different order of linking could leave the C library's function in its place, so the calls are counted, and a
//! store that was flushed without one is refused ([`super::sled`]).
//!
//! The one module with unsafe code: defining a C symbol and setting `errno` can't be done without.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};

static CALLS: AtomicU64 = AtomicU64::new(0);

/// Takes the place of the C library's function of this name and refuses.
// SAFETY: the signature is that of sync_file_range(2), so every caller passes these arguments in these places.
#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
extern "C" fn sync_file_range(
    _file: libc::c_int,
    _offset: i64,
    _count: i64,
    _flags: libc::c_uint,
) -> libc::c_int {
    CALLS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: __errno_location always answers a valid pointer to this thread's errno.
    unsafe { *libc::__errno_location() = libc::ENOSYS };
    -1
}

/// How often sled was sent to `File::sync_all`; `None` where it goes there by itself.
pub(super) fn calls() -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        // The reference keeps the symbol in whatever is linked, tests and LTO builds included.
        std::hint::black_box(sync_file_range as *const ());
        Some(CALLS.load(Ordering::Relaxed))
    }
    #[cfg(not(target_os = "linux"))]
    None
}
