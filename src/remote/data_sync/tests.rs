//! What the tests of both ends share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;

use crate::remote::contactlist::Surroundings;

/// A clock that stands until it is told how much has passed.
pub(in crate::remote::data_sync) struct Clock {
    seconds: AtomicU64,
    drawn: AtomicU64,
}

impl Clock {
    pub(in crate::remote::data_sync) fn new() -> Arc<Self> {
        Arc::new(Self {
            seconds: AtomicU64::new(0),
            drawn: AtomicU64::new(0),
        })
    }

    pub(in crate::remote::data_sync) fn pass(&self, time: Duration) {
        self.seconds.fetch_add(time.as_secs(), Ordering::Relaxed);
    }
}

impl Surroundings for Clock {
    fn now(&self) -> DateTime<Utc> {
        let begin: DateTime<Utc> = "2026-11-24T10:00:00Z".parse().unwrap();
        begin + chrono::Duration::seconds(self.seconds.load(Ordering::Relaxed) as i64)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(1_000 + self.seconds.load(Ordering::Relaxed))
    }

    fn random(&self, bytes: &mut [u8]) {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = (drawn as usize * 31 + at) as u8;
        }
    }

    fn pause(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}
