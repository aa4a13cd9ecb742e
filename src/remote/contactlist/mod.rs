//! ContactList: the contact part of the Business Catalyst CRM web service (SOAP 1.1 and 1.2).
//!
//! From top to bottom: [`ContactList`] is the engine's port; `feed` reads a moving list in pages; [`Calls`] is the seam
//! to the service, at which the deterministic simulator plugs in a model.
//! It must not know mappings, links or the state, and it decides nothing about a record beyond what the wire says.

mod calls;
mod client;
#[cfg(test)]
mod client_tests;
mod decode;
#[cfg(test)]
mod decode_tests;
mod description;
mod encode;
mod envelope;
mod fault;
mod feed;
#[cfg(test)]
mod feed_tests;
mod outcome;
mod record;
mod schema;
mod seam;
mod tokens;
mod transport;
mod tree;
mod vocabulary;
pub mod wire;
#[cfg(test)]
mod wire_tests;

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;

use crate::model::{Document, Error, Node, RemoteId, Result, Stamp, Vocabulary};
use crate::remote::{Address, Deleted, Found, LookUp, Outgoing, Pushed, Remote};

pub use calls::{Calls, ListPage};
pub use client::{ClientOptions, DEFAULT_RETRY_PAUSE, RetryLimits, SoapCalls};
pub use decode::{
    ListAnswer, Reading, decode_delete, decode_list, decode_look_up, decode_update_insert,
};
pub use description::{DEFAULT_DESCRIPTION_MAX, OUR_DESCRIPTION, compare_description, differences};
pub use encode::{
    BEGINNING, Login, SoapVersion, encode_delete, encode_list, encode_look_up,
    encode_update_insert, is_sendable, look_up_operation,
};
pub use envelope::{Answer, Fault};
pub use fault::{Meaning, meaning, sentence};
pub use feed::{
    DEFAULT_ATTEMPT_PAUSE, DEFAULT_ATTEMPTS, DEFAULT_PAGE_BUDGET, DEFAULT_PREFETCH,
    DEFAULT_SEAM_ROWS, PAGE_SIZE, PagingHabit, Scan, ScanLimits,
};
pub use outcome::{Asker, Reply, delete_outcome, list_outcome, look_up_outcome, push_outcome};
pub use schema::{NAMESPACE, NO_DATE};
pub use tokens::{
    AnswerLimits, DEFAULT_ATTRIBUTES_MAX, DEFAULT_DEPTH_MAX, DEFAULT_ELEMENTS_MAX,
    DEFAULT_RECORD_MAX, DEFAULT_TEXT_MAX, PIECES_PER_ELEMENT,
};
pub use transport::{CallLimits, Surroundings};
pub(in crate::remote) use transport::{Pace, check_endpoint, http_client, no_answer};
pub use vocabulary::vocabulary;

/// A ContactList site, reached through any [`Calls`].
pub struct ContactList<C> {
    calls: Arc<C>,
    vocabulary: Vocabulary,
    zone: Tz,
    limits: ScanLimits,
    habit: Arc<Mutex<PagingHabit>>,
}

impl<C: Calls + 'static> ContactList<C> {
    /// A site whose dates are wall times of `zone`.
    pub fn new(calls: C, zone: Tz, limits: ScanLimits) -> Self {
        Self {
            calls: Arc::new(calls),
            vocabulary: vocabulary(zone),
            zone,
            limits,
            habit: Arc::default(),
        }
    }

    /// The calls below, for what is no part of the port.
    pub fn calls(&self) -> &C {
        &self.calls
    }

    /// What the site was seen to do with offsets, to be kept between runs.
    pub fn paging_habit(&self) -> PagingHabit {
        *self.habit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up what an earlier run has kept.
    pub fn set_paging_habit(&self, habit: PagingHabit) {
        *self.habit.lock().unwrap_or_else(PoisonError::into_inner) = habit;
    }
}

impl<C: Calls + 'static> Remote for ContactList<C> {
    type Scan = Scan<C>;

    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    async fn scan(&self, since: Option<Stamp>) -> Result<Scan<C>> {
        Ok(Scan::new(
            Arc::clone(&self.calls),
            Arc::clone(&self.habit),
            self.limits,
            since,
        ))
    }

    async fn look_up(&self, by: &LookUp) -> Result<Found> {
        self.calls.look_up(by).await
    }

    async fn push(&self, batch: &[Outgoing]) -> Result<Pushed> {
        let documents = batch.iter().map(addressed).collect::<Result<Vec<_>>>()?;
        self.calls.update_insert(&documents).await
    }

    async fn delete(&self, id: &RemoteId) -> Result<Deleted> {
        self.calls.delete(id).await
    }

    fn blank(&self) -> Document {
        blank()
    }

    fn requests(&self) -> u64 {
        self.calls.requests()
    }

    fn server_time(&self) -> Option<Stamp> {
        self.calls.server_time()
    }

    fn clock_difference(&self) -> Option<chrono::Duration> {
        self.calls.clock_difference()
    }

    fn is_ambiguous(&self, stamp: Stamp) -> bool {
        matches!(
            self.zone.from_local_datetime(&stamp.0),
            chrono::LocalResult::Ambiguous(..)
        )
    }

    fn instant(&self, stamp: Stamp) -> DateTime<Utc> {
        instant(self.zone, stamp.0)
    }

    fn stamp(&self, instant: DateTime<Utc>) -> Stamp {
        Stamp(instant.with_timezone(&self.zone).naive_local())
    }
}

/// The document of a contact that the service does not know yet: a value element that is left out would arrive as
/// false, 0 or year 1 anyway (`contactlist.md` §6), so each stands here with the value that says nothing.
fn blank() -> Document {
    let mut document = Document::with_capacity(8);
    for (name, value) in [
        ("entityId", "-1"),
        ("deleted", "false"),
        ("dateOfBirth", NO_DATE),
        ("createDate", NO_DATE),
        ("lastUpdateDate", NO_DATE),
        ("MasterOptIn", "false"),
    ] {
        document.push(name, Node::Text(value.to_owned()));
    }
    document
}

/// The document as it is sent, so that the service finds the contact by what the address says and by nothing else: it
/// matches by External ID where there is one, else by e-mail, else it inserts (`contactlist.md` §6).
fn addressed(outgoing: &Outgoing) -> Result<Document> {
    let mut document = outgoing.document.clone();
    let has_external = document.text("externalId").is_some_and(|id| !id.is_empty());
    match &outgoing.address {
        Address::External if has_external => {}
        Address::External => {
            return Err(Error::unexpected(
                "E-PUSH-ADDRESS",
                "A contact is to be addressed by its External ID, and its record holds none; nothing was sent",
            ));
        }
        Address::Email(_) if has_external => {
            return Err(Error::unexpected(
                "E-PUSH-ADDRESS",
                "A contact is to be addressed by its e-mail, and its record holds an External ID, which the service would match instead; nothing was sent",
            ));
        }
        Address::Email(email) if email.is_empty() => {
            return Err(Error::unexpected(
                "E-PUSH-ADDRESS",
                "A contact is to be addressed by an empty e-mail; nothing was sent",
            ));
        }
        Address::Email(email) => {
            // An empty element may count as a present External ID.
            document.remove("externalId");
            document.set("emailAddress", Node::Text(email.clone()));
        }
    }
    Ok(document)
}

/// The instant of a wall time: the earlier one of a repeated hour, shifted forward out of a skipped one.
fn instant(zone: Tz, wall: NaiveDateTime) -> DateTime<Utc> {
    if let Some(found) = zone.from_local_datetime(&wall).earliest() {
        return found.to_utc();
    }
    // In a gap, the offset that held before it counts. Gaps last an hour, and a day where a country changed sides of
    // the date line.
    let before = (1..=48).find_map(|hours| {
        let earlier = wall.checked_sub_signed(chrono::Duration::hours(hours))?;
        let found = zone.from_local_datetime(&earlier).latest()?;
        Some(found.to_utc() + (wall - earlier))
    });
    before.unwrap_or_else(|| wall.and_utc())
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    fn document(parts: &[(&'static str, &str)]) -> Document {
        let mut document = blank();
        for (name, text) in parts {
            document.set(*name, Node::Text((*text).to_owned()));
        }
        document
    }

    fn sent(parts: &[(&'static str, &str)], address: Address) -> Result<Document> {
        addressed(&Outgoing {
            document: document(parts),
            address,
        })
    }

    #[test]
    fn h27_a_contact_is_addressed_by_what_its_address_says_and_nothing_else() {
        let email = || Address::Email("a@example.org".to_owned());
        let by_email = sent(&[("externalId", ""), ("emailAddress", "")], email()).unwrap();
        assert_eq!(by_email.text("emailAddress"), Some("a@example.org"));
        assert_eq!(
            by_email.get("externalId"),
            None,
            "an empty key may count as one"
        );
        let by_key = sent(&[("externalId", "K-1")], Address::External).unwrap();
        assert_eq!(by_key.get("emailAddress"), None);
        for refused in [
            sent(&[("externalId", "")], Address::External),
            sent(&[], Address::External),
            sent(&[("externalId", "K-1")], email()),
            sent(&[], Address::Email(String::new())),
        ] {
            assert_eq!(refused.unwrap_err().code(), "E-PUSH-ADDRESS");
        }
    }

    #[test]
    fn a_phone_of_type_7_stands_as_the_record_has_it() {
        let mut phone = Document::new();
        phone.push("phoneNoTypeID", Node::Text("7".to_owned()));
        phone.push("phoneNo", Node::Text("new@example.org".to_owned()));
        let mut document = document(&[]);
        document.set("phoneNos", Node::List(vec![phone.clone()]));
        let sent = addressed(&Outgoing {
            document,
            address: Address::Email("old@example.org".to_owned()),
        })
        .unwrap();
        assert_eq!(sent.text("emailAddress"), Some("old@example.org"));
        assert_eq!(sent.list("phoneNos"), [phone]);
    }

    #[test]
    fn h08_wall_times_of_folds_and_gaps_have_an_instant() {
        let wall = |y, m, d, h, min| {
            NaiveDate::from_ymd_opt(y, m, d)
                .unwrap()
                .and_hms_opt(h, min, 0)
                .unwrap()
        };
        let sydney = chrono_tz::Australia::Sydney;
        for (wall, expected) in [
            (wall(2026, 7, 1, 10, 0), "2026-07-01T00:00:00Z"),
            // Twice: the first one counts.
            (wall(2026, 4, 5, 2, 30), "2026-04-04T15:30:00Z"),
            // Skipped: an hour on.
            (wall(2026, 10, 4, 2, 30), "2026-10-03T16:30:00Z"),
        ] {
            assert_eq!(
                instant(sydney, wall),
                expected.parse::<DateTime<Utc>>().unwrap()
            );
        }
        // A whole day that a country left out.
        let apia = instant(chrono_tz::Pacific::Apia, wall(2011, 12, 30, 12, 0));
        assert_eq!(
            apia,
            "2011-12-30T22:00:00Z".parse::<DateTime<Utc>>().unwrap()
        );
    }
}
