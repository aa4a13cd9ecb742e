//! Any wall time in any zone: it is an instant, and the instant's wall time is never earlier.
#![no_main]

use std::time::Duration;

use chrono::DateTime;
use contactbridge::model::{Document, Error, RemoteId, Result, Stamp};
use contactbridge::remote::contactlist::{Calls, ContactList, ListPage, ScanLimits};
use contactbridge::remote::{Deleted, Found, LookUp, Pushed, Remote};
use contactbridge_fuzz::bounded;
use libfuzzer_sys::fuzz_target;

struct Nobody;

fn nobody<T>() -> Result<T> {
    Err(Error::unreachable("E-FUZZ", "nobody is there"))
}

impl Calls for Nobody {
    async fn list(&self, _: Option<Stamp>, _: u32) -> Result<ListPage> {
        nobody()
    }

    async fn look_up(&self, _: &LookUp) -> Result<Found> {
        nobody()
    }

    async fn update_insert(&self, _: &[Document]) -> Result<Pushed> {
        nobody()
    }

    async fn delete(&self, _: &RemoteId) -> Result<Deleted> {
        nobody()
    }

    async fn pause(&self, _: Duration) {}

    fn requests(&self) -> u64 {
        0
    }

    fn server_time(&self) -> Option<Stamp> {
        None
    }

    fn clock_difference(&self) -> Option<chrono::Duration> {
        None
    }
}

fuzz_target!(|input: (u16, i64)| {
    let zones = chrono_tz::TZ_VARIANTS;
    let zone = zones[usize::from(input.0) % zones.len()];
    // From 1900 to 2100.
    let seconds = input.1.rem_euclid(6_311_433_600) - 2_208_988_800;
    let Some(wall) = DateTime::from_timestamp(seconds, 0).map(|time| Stamp(time.naive_utc()))
    else {
        return;
    };
    let remote = ContactList::new(Nobody, zone, ScanLimits::default());
    bounded(&[], || {
        let instant = remote.instant(wall);
        let again = remote.stamp(instant);
        // In a gap of spring the wall time moves forward; else it is the same.
        assert!(again >= wall, "{zone} {wall:?} {again:?}");
        assert!(
            again.0 - wall.0 <= chrono::Duration::hours(26),
            "{zone} {wall:?} {again:?}"
        );
        assert_eq!(remote.instant(again), instant, "{zone} {wall:?}");
        let _ = remote.is_ambiguous(wall);
    });
});
