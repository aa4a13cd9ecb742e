//! A contact that our own push made beside the one that it was meant for, because its address was changed in the CRM while
//! the push was on its way or before it was read back (hazard H-27): found, and held for a person.
//!
//! No client can keep the service from making it. Nothing is taken away here, and nothing is merged: which of the two the
//! person is can only be told by looking.

use std::collections::{HashMap, HashSet};

use crate::local::Local;
use crate::model::{Digest, LocalKey, RemoteId, RemoteRecord, Result, World};
use crate::remote::{Address, LookUp, Outgoing, Remote};
use crate::state::{Batch, StateStore, Table};

use super::Engine;
use super::memory::{
    FORMAT, Intent, Memory, Review, ReviewKind, SealedIdentity, Side, dirty_local, dirty_remote,
    put_json,
};
use super::resolve::alike;
use super::run::{Action, Run, Task};
use super::view::{RemoteView, email_digest, external_digest, field_digest};

/// The code of such a review.
pub(crate) const OWN_ECHO: &str = "E-OWN-ECHO";

const SECOND: &str = "Our own push made this contact, or overwrote it: the External ID or e-mail address that it was sent under had \
     just been taken from the contact that it was meant for. Delete it in the CRM, or call it a person of its own with `review resolve --separate`";

const MADE: &str = "This may be the contact that was made for a row and then got another address, so that it was not found again. \
     Link it by the review of the row with `review resolve --link`, or call it a person of its own with `review resolve --separate`";

const ROW: &str = "The contact that was sent for this row was not found again; another new contact shows the same. \
     Link them with `review resolve --link REMOTE_ID`, or have the row sent again with `review resolve --separate`";

/// A value that more creates than this share singles nobody out.
const COMMON: usize = 50;

/// What an update was sent under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SentUnder {
    External(String),
    Email(String),
}

impl SentUnder {
    fn look_up(&self) -> LookUp {
        match self {
            Self::External(text) => LookUp::External(text.clone()),
            Self::Email(text) => LookUp::Email(text.clone()),
        }
    }
}

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    /// What a composed record is sent under.
    pub(crate) fn sent_under(&self, run: &Run, outgoing: &Outgoing) -> Option<SentUnder> {
        match &outgoing.address {
            Address::Email(text) => Some(SentUnder::Email(text.clone())),
            Address::External => {
                super::view::identity_of(run.identity.external, None, &outgoing.document)
                    .0
                    .map(|text| SentUnder::External(text.trim().to_owned()))
            }
        }
    }

    /// For an intent: a run after a kill must know it too.
    pub(crate) fn seal_address(&self, key: &[u8], sent: &SentUnder) -> SealedIdentity {
        let (external, text) = match sent {
            SentUnder::External(text) => (true, text),
            SentUnder::Email(text) => (false, text),
        };
        SealedIdentity {
            external,
            sealed: self.vault.seal(self.nonce(), key, text.as_bytes()),
        }
    }

    /// The other way round.
    pub(crate) fn open_address(&self, key: &[u8], identity: &SealedIdentity) -> Result<SentUnder> {
        let text = String::from_utf8(self.vault.open(key, &identity.sealed)?)
            .map_err(|_| super::memory::corrupt())?;
        Ok(if identity.external {
            SentUnder::External(text)
        } else {
            SentUnder::Email(text)
        })
    }

    /// Whether the contact is not found any more by what was sent under.
    pub(crate) fn has_moved(&self, sent: &SentUnder, got: Option<&RemoteView>) -> bool {
        let Some(got) = got else { return true };
        match sent {
            SentUnder::External(text) => got.external != Some(external_digest(self.vault, text)),
            SentUnder::Email(text) => got.email != email_digest(self.vault, text),
        }
    }

    /// Looks for whoever stands at the address now. Somebody who is not linked and shows what was sent is put into review, in
    /// `batch`. Whether somebody other than the contact that was meant stands there: absence proves something only once the service
    /// can't be working on the request any more (H-21). `E-LOOKUP` where somebody is there who can't be read.
    pub(crate) async fn hold_echo(
        &self,
        run: &mut Run,
        sent: &SentUnder,
        meant: &RemoteId,
        intent: &Intent,
        batch: &mut Batch,
    ) -> Result<bool> {
        let Some(view) = self
            .found(run, &sent.look_up())
            .await?
            .filter(|view| view.id != *meant)
        else {
            return Ok(false);
        };
        if !self.shows_what_was_sent(run, intent, &view) {
            return Ok(true);
        }
        let memory = Memory::new(self.store);
        let links = memory.links(std::slice::from_ref(&view.id)).await?;
        if links.into_iter().flatten().next().is_some() {
            return Ok(true);
        }
        let key = dirty_remote(&view.id);
        let matched: Vec<usize> = (0..self.mapping.fields.len())
            .filter(|&field| self.mapping.fields[field].matches)
            .collect();
        let task = Task::newcomer(Some(view.clone()), None, Action::Nothing);
        let review = Review {
            format: FORMAT,
            kind: ReviewKind::Match,
            // Should the contact that was meant be gone, a push of the row in its place would go to this one.
            local: Some(intent.local.clone()),
            remote: Some(view.id.clone()),
            side: Some(Side::Remote),
            fields: self.columns(&matched),
            candidates: vec![format!("contact {meant}"), format!("row {}", intent.local)],
            code: OWN_ECHO.into(),
            reason: SECOND.into(),
            first_seen: self.world.now(),
            content: self.pair_content(run, &task),
            sealed: self.seal(&key, &self.pair_values(&task, &matched)),
            decision: None,
            settled: None,
        };
        put_json(
            batch,
            Table::Stranger,
            view.id.0.clone().into_bytes(),
            &self.stranger(&view),
        );
        self.put_review(run, key, review, batch);
        tracing::warn!(
            bridge = self.bridge,
            contact = %view.id,
            meant = %meant,
            "a push made a second contact, because its address was changed in the CRM meanwhile"
        );
        Ok(true)
    }

    /// Whether it shows something of what was sent, beyond the address: somebody else may have got that meanwhile.
    fn shows_what_was_sent(&self, run: &Run, intent: &Intent, view: &RemoteView) -> bool {
        let telling = self.telling(run);
        intent.mapping != run.facts.mapping
            || (0..run.fields.len()).any(|field| {
                view.values[field].is_ok()
                    && intent.stood(field).is_some_and(|stood| {
                        stood == view.digests[field] && telling.tells(field, stood)
                    })
            })
    }

    fn telling(&self, run: &Run) -> Telling {
        let blank = RemoteRecord {
            id: RemoteId(String::new()),
            stamp: None,
            deleted: false,
            document: self.remote.blank(),
        };
        Telling {
            identities: [run.identity.external_field, run.identity.email_field],
            neutral: self.view(run, &blank).digests,
            nothing: (0..run.fields.len())
                .map(|field| {
                    field_digest(self.vault, self.mapping.fields[field].fingerprint, &None)
                })
                .collect(),
        }
    }

    /// Which of these new contacts may be one that an earlier run made for a row, and that is not found under its identity any
    /// more: it shows most of what was sent. By its place, with the row.
    pub(crate) fn echoes_of_creates(
        &self,
        run: &Run,
        remotes: &[RemoteView],
    ) -> Result<HashMap<usize, LocalKey>> {
        let mut found = HashMap::new();
        let mut intents: Vec<(&Vec<u8>, &Intent)> = run
            .unfound
            .iter()
            .filter(|(_, intent)| intent.mapping == run.facts.mapping)
            .collect();
        if intents.is_empty() || remotes.is_empty() {
            return Ok(found);
        }
        intents.sort_by(|one, other| one.0.cmp(other.0));
        let telling = self.telling(run);
        let mut showing: HashMap<(usize, Digest), Vec<usize>> = HashMap::new();
        for (at, (_, intent)) in intents.iter().enumerate() {
            for (field, sent) in intent.sent.iter().enumerate() {
                if let Some(sent) = sent.filter(|sent| telling.tells(field, *sent)) {
                    showing.entry((field, sent)).or_default().push(at);
                }
            }
        }
        for (place, view) in remotes.iter().enumerate() {
            let mut named: Vec<usize> = (0..run.fields.len())
                .filter_map(|field| showing.get(&(field, view.digests[field])))
                .filter(|intents| intents.len() <= COMMON)
                .flatten()
                .copied()
                .collect();
            named.sort_unstable();
            named.dedup();
            for at in named {
                let (key, intent) = intents[at];
                let expected = self.as_sent(key, intent, view)?;
                let (mut same, mut other) = (0, 0);
                for (field, sent) in intent.sent.iter().enumerate() {
                    let Some(sent) = sent.filter(|sent| telling.tells(field, *sent)) else {
                        continue;
                    };
                    let shows = view.digests[field] == sent
                        || (view.values[field].is_ok()
                            && expected.values[field].is_ok()
                            && alike(expected.value(field), view.value(field)));
                    if shows { same += 1 } else { other += 1 }
                }
                if same > other {
                    found.insert(place, intent.local.clone());
                }
            }
        }
        Ok(found)
    }

    /// The tasks of contacts and rows that wait because one may be the echo of the other's push.
    pub(crate) fn wait_for_echoes(
        &self,
        run: &Run,
        echoes: Vec<RemoteView>,
        made: &HashMap<RemoteId, LocalKey>,
    ) -> Vec<Task> {
        let mut tasks = Vec::new();
        for view in echoes {
            let (reason, others) =
                match (run.reviews.get(&dirty_remote(&view.id)), made.get(&view.id)) {
                    (Some(review), _) if review.code == OWN_ECHO => {
                        (review.reason.clone(), review.candidates.clone())
                    }
                    (_, Some(key)) => (MADE.to_owned(), vec![format!("row {key}")]),
                    _ => continue,
                };
            let hold = Action::Hold(OWN_ECHO, reason, others);
            tasks.push(Task::newcomer(Some(view), None, hold));
        }
        tasks
    }

    /// A newcomer that waits as our own echo, and on which nobody has decided.
    pub(crate) fn is_own_echo(&self, run: &Run, id: &RemoteId) -> bool {
        run.reviews
            .get(&dirty_remote(id))
            .is_some_and(|review| review.code == OWN_ECHO)
            && !self.is_decided(run, id)
    }

    /// Whether a person said what the newcomer is.
    pub(crate) fn is_decided(&self, run: &Run, id: &RemoteId) -> bool {
        let linked_by = |review: &Review| matches!(&review.decision, Some(super::Decision::Link(to)) if *to == id.0);
        run.reviews
            .get(&dirty_remote(id))
            .is_some_and(|review| review.decision.is_some())
            || run.reviews.values().any(linked_by)
    }

    /// The row for which a contact may have been made.
    pub(crate) fn row_of_echo(
        &self,
        run: &Run,
        id: &RemoteId,
        candidates: &[String],
    ) -> Option<LocalKey> {
        if let Some(review) = run.reviews.get(&dirty_remote(id))
            && review.code == OWN_ECHO
        {
            return review.local.clone();
        }
        run.unfound
            .values()
            .map(|intent| &intent.local)
            .find(|key| candidates.contains(&format!("row {key}")))
            .cloned()
    }

    /// Rows that are not sent again while a contact waits that may have been made for them, each with those contacts.
    pub(crate) fn rows_of_echoes(
        &self,
        run: &Run,
        made: &HashMap<RemoteId, LocalKey>,
    ) -> HashMap<LocalKey, Vec<String>> {
        let mut rows: HashMap<LocalKey, HashSet<&RemoteId>> = HashMap::new();
        for (id, key) in made {
            rows.entry(key.clone()).or_default().insert(id);
        }
        for review in run.reviews.values() {
            if review.code == OWN_ECHO
                && review.decision.is_none()
                && let (Some(id), Some(key)) = (&review.remote, &review.local)
            {
                rows.entry(key.clone()).or_default().insert(id);
            }
        }
        rows.into_iter()
            .map(|(key, ids)| {
                let mut names: Vec<String> =
                    ids.into_iter().map(|id| format!("contact {id}")).collect();
                names.sort();
                (key, names)
            })
            .collect()
    }

    /// The same, with what the newcomers of this run came to.
    pub(crate) fn rows_that_wait(
        &self,
        run: &Run,
        tasks: &[Task],
    ) -> HashMap<LocalKey, Vec<String>> {
        let mut made = HashMap::new();
        for task in tasks {
            if let (Action::Hold(OWN_ECHO, _, others), Some(view)) = (&task.action, &task.remote)
                && let Some(key) = self.row_of_echo(run, &view.id, others)
            {
                made.insert(view.id.clone(), key);
            }
        }
        self.rows_of_echoes(run, &made)
    }

    /// A row whose dead contact was sent anew, and not found again.
    pub(crate) fn wait_with_restore(
        &self,
        run: &Run,
        echoes: &HashMap<LocalKey, Vec<String>>,
        task: &mut Task,
    ) {
        let Some(link) = &task.link else { return };
        if let Some(others) = echoes.get(&link.local)
            && let Some(hold) = self.waits_for_echo(run, &link.local, others.clone())
        {
            // Unread, the dead contact would pass for alive.
            task.extra
                .put(Table::Inbox, dirty_remote(&link.remote), run.mark());
            task.action = hold;
        }
    }

    /// Why such a row waits.
    pub(crate) fn waits_for_echo(
        &self,
        run: &Run,
        key: &LocalKey,
        others: Vec<String>,
    ) -> Option<Action> {
        let decided = run
            .reviews
            .get(&dirty_local(key))
            .is_some_and(|review| review.decision.is_some());
        (!decided).then(|| Action::Hold(OWN_ECHO, ROW.into(), others))
    }

    /// Creates that this run neither found nor sent again are over.
    pub(crate) async fn forget_unfound(&self, run: &mut Run, batch: &mut Batch) -> Result<()> {
        for (key, _) in run.unfound.drain() {
            let stands: Option<Intent> = Memory::new(self.store).json(Table::Intent, &key).await?;
            if stands.is_some_and(|intent| intent.epoch != run.facts.epoch) {
                batch.remove(Table::Intent, key);
            }
        }
        Ok(())
    }
}

/// Which values say something about who a contact is.
struct Telling {
    identities: [Option<usize>; 2],
    /// What a contact shows of which nothing was sent.
    neutral: Vec<Digest>,
    nothing: Vec<Digest>,
}

impl Telling {
    fn tells(&self, field: usize, value: Digest) -> bool {
        !self.identities.contains(&Some(field))
            && value != self.nothing[field]
            && value != self.neutral[field]
    }
}
