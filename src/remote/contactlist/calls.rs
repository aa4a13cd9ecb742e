//! The seam between what the bridge does with a ContactList and the calls that reach one.
//!
//! Above it stand paging, addressing and the port [`crate::remote::Remote`]; below it SOAP over HTTP, or, in the
//! deterministic simulator, a model of the service that sees documents and never XML.

use std::time::Duration;

use crate::model::{Document, RemoteId, RemoteItem, Result, Stamp};
use crate::remote::{Deleted, Found, LookUp, Pushed};

/// An answer of ContactList_Retrieve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    /// The records in the service's order, unreadable ones in their places; at most 100 (`contactlist.md` §3).
    pub items: Vec<RemoteItem>,
    /// What the service says about further records (`moreRecords`).
    pub more: bool,
    /// The service's own time, not later than the moment at which it took these records out of its set: the `Date` of
    /// the answer less the time that the call took. `None` without such a header.
    pub server_time: Option<Stamp>,
}

/// The calls of the service. Each may be in flight several times at once.
#[allow(async_fn_in_trait)] // The engine runs on one task.
pub trait Calls {
    /// ContactList_Retrieve: a page of at most 100 records changed at or after `since` (everything for `None`),
    /// from the offset `record_start`. Nothing there, in any of the service's ways to say so, is an empty page.
    /// Retried within bounds; an error is never an empty page.
    async fn list(&self, since: Option<Stamp>, record_start: u32) -> Result<ListPage>;

    /// The Contact_RetrieveBy… that fits. Retried within bounds.
    async fn look_up(&self, by: &LookUp) -> Result<Found>;

    /// ContactList_UpdateInsert with these records in one array. Never retried; an error means that nothing was sent.
    async fn update_insert(&self, batch: &[Document]) -> Result<Pushed>;

    /// Contact_DeleteByEntityID. Never retried; an error means that the outcome is unknown.
    async fn delete(&self, id: &RemoteId) -> Result<Deleted>;

    /// Waits between two attempts of a scan.
    async fn pause(&self, duration: Duration);

    /// Calls made so far, retries included.
    fn requests(&self) -> u64;

    /// The service's present wall time by the newest `Date` header; `None` before the first.
    fn server_time(&self) -> Option<Stamp>;

    /// The service's clock minus ours, by the newest `Date` header.
    fn clock_difference(&self) -> Option<chrono::Duration>;
}
