//! What one pass knows and counts while it goes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use crate::local::{Fence, Local};
use crate::model::{Digest, Direction, Error, ErrorKind, LocalKey, RemoteId, Stamp, World};
use crate::remote::{Remote, ScanEnd};
use crate::state::{Batch, Durable, StateStore};

use super::memory::{Facts, Intent, Link, Quarantined, Review, ReviewKind, Side, dirty_remote};
use super::merge::{FieldRule, Merged};
use super::report::{BridgeReport, Counts, Guard, Outcome, PlanItem};
use super::seen::{SeenDigests, SeenIds};
use super::view::{EmailMirror, LocalView, RemoteView};
use super::{Engine, RunOptions};

/// What is to be done about one person.
#[derive(Clone, Debug)]
pub struct Task {
    /// The link; new ones have no bases yet.
    pub link: Option<Link>,
    /// The link is not in the store yet.
    pub fresh: bool,
    /// The contact, where it was read.
    pub remote: Option<RemoteView>,
    /// The row, where it is there.
    pub local: Option<LocalView>,
    /// What to do.
    pub action: Action,
    /// Counted as read on the remote's side.
    pub from_remote: bool,
    /// Counted as read on the database's side.
    pub from_local: bool,
    /// What a person decided on it.
    pub take: Option<Side>,
    /// The link whose row this new contact takes over (a merge in the CRM, hazard H-41).
    pub replaces: Option<Link>,
    /// What waits, and why: code, sentence, fields. Becomes one quarantine record when the task is concluded.
    pub holds: Vec<Hold>,
    /// What the push of this task came to.
    pub pushed: Pushing,
    /// What both sides showed when the service was given up (`E-REMOTE-IGNORED`): the row may be another by the time that this is
    /// recorded, and what changed then was never sent.
    pub given_up: Option<u64>,
    /// What that push changed in the contact besides what it sent (see [`Intent::follows`]).
    pub follows: Vec<Option<Digest>>,
    /// The database has recorded something of this pair for another row. Where that is the External ID alone, as after a merge, the
    /// pair is recorded without it.
    pub unnamed: bool,
    /// Writes to the state that belong into the same commit as the link.
    pub extra: Batch,
}

/// Something about a record that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// A stable code.
    pub code: &'static str,
    /// What is wrong and what to do, without values.
    pub reason: String,
    /// The fields concerned; empty: the whole record.
    pub fields: Vec<usize>,
}

/// What a push came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushing {
    /// Nothing was to be sent.
    Idle,
    /// A contact was made.
    Created,
    /// At least one field landed.
    Updated,
    /// Nothing landed, or nothing could be sent.
    Held,
}

impl Task {
    /// A task for a pair with a link.
    pub fn linked(
        link: Link,
        remote: Option<RemoteView>,
        local: Option<LocalView>,
        action: Action,
    ) -> Self {
        Self {
            link: Some(link),
            fresh: false,
            remote,
            local,
            action,
            from_remote: false,
            from_local: false,
            take: None,
            replaces: None,
            holds: Vec::new(),
            pushed: Pushing::Idle,
            given_up: None,
            follows: Vec::new(),
            unnamed: false,
            extra: Batch::new(),
        }
    }

    /// The link that the state has, or is to have, before this task is concluded.
    pub fn standing(&self) -> Option<&Link> {
        self.replaces.as_ref().or(self.link.as_ref())
    }

    /// The contact, where its External ID may be recorded with the pair.
    pub fn named(&self) -> Option<&RemoteView> {
        self.remote.as_ref().filter(|_| !self.unnamed)
    }

    /// A task for a newcomer.
    pub fn newcomer(remote: Option<RemoteView>, local: Option<LocalView>, action: Action) -> Self {
        let (from_remote, from_local) = (remote.is_some(), local.is_some());
        Self {
            link: None,
            fresh: true,
            remote,
            local,
            action,
            from_remote,
            from_local,
            take: None,
            replaces: None,
            holds: Vec::new(),
            pushed: Pushing::Idle,
            given_up: None,
            follows: Vec::new(),
            unnamed: false,
            extra: Batch::new(),
        }
    }
}

/// What is to be done about one person.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Field by field.
    Settle(Merged),
    /// A row for a new contact.
    CreateLocal,
    /// A contact for a new row.
    CreateRemote,
    /// The row goes.
    DeleteLocal,
    /// The contact goes.
    DeleteRemote,
    /// A deletion on this side waits for a person.
    HoldDelete(Side),
    /// The row is gone, and what the contact shows may be an edit, or older than the deletion.
    DoubtDelete,
    /// A deletion on this side is ignored.
    IgnoreDelete(Side),
    /// A row anew, because the contact was edited.
    RestoreLocal,
    /// A contact anew, because the row was edited.
    RestoreRemote,
    /// Gone on both sides.
    Bury,
    /// The newcomer waits: code, sentence, others that answer to the match.
    Hold(&'static str, String, Vec<String>),
}

/// The paths by which the service addresses a contact.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Path of the External ID.
    pub external: Option<&'static str>,
    /// Path of the e-mail address.
    pub email: Option<&'static str>,
    /// Its second place.
    pub mirror: Option<EmailMirror>,
    /// The field that is mapped to the External ID.
    pub external_field: Option<usize>,
    /// The field that is mapped to the e-mail address.
    pub email_field: Option<usize>,
}

/// One pass.
pub struct Run {
    /// The facts as they will be committed.
    pub facts: Facts,
    /// Which run is writing.
    pub fence: Fence,
    /// When it began, by the clock that only runs forward.
    pub began: Duration,
    /// Guards that may be passed.
    pub accept: BTreeSet<Guard>,
    /// Nothing is written.
    pub dry: bool,
    /// Read from there, this once.
    pub since: Option<Stamp>,
    /// Everything is read and compared.
    pub full: bool,
    /// The next run reads everything: a contact was not found, which proves nothing yet.
    pub full_next: bool,
    /// What is read is how each record stands now; no stale page can bring back the dead.
    pub current: bool,
    /// Records of a queue that were read in this round, and how many there are.
    pub worked: (u64, u64),
    /// Nothing was ever linked and the table is empty: pages are applied as they come.
    pub first_load: bool,
    /// Both sides are linked again; nothing is created.
    pub relink: bool,
    /// This side is older than what was agreed, and that was accepted.
    pub rewound: Option<Side>,
    /// One per field.
    pub fields: Vec<FieldRule>,
    /// How contacts are addressed.
    pub identity: Identity,
    /// Counts of the pull.
    pub pull: Counts,
    /// Counts of the push.
    pub push: Counts,
    /// Fields in conflict.
    pub conflicts: u64,
    /// Something was written to a side.
    pub wrote: bool,
    /// The guard that stopped it.
    pub stopped_by: Option<Guard>,
    /// The plan of a dry run.
    pub plan: Vec<PlanItem>,
    /// What the scan knew at its end.
    pub scan_end: Option<ScanEnd>,
    /// Position of local changes to commit at the end.
    pub local_position: Option<String>,
    /// Reviews by key.
    pub reviews: HashMap<Vec<u8>, Review>,
    /// Quarantine by key.
    pub quarantine: HashMap<Vec<u8>, Quarantined>,
    /// Contacts to be looked at whether or not they changed.
    pub dirty_remote: HashSet<RemoteId>,
    /// Rows to be looked at whether or not they changed.
    pub dirty_local: HashSet<LocalKey>,
    /// Ids that the last attempt of a full scan has shown.
    pub seen: SeenIds,
    /// External IDs seen in a first load, to notice one that stands twice (hazard H-44).
    pub externals: SeenDigests,
    /// Up to this time of the service, contacts made by others are known to this run.
    pub known_until: Option<Stamp>,
    /// Keys of quarantined records without an id that this run was shown.
    pub nameless: HashSet<Vec<u8>>,
    /// Some contacts stand as they did before they were last seen.
    pub went_back: bool,
    /// The times that look-ups of this run have shown: what a replica that lags shows afterwards may be older.
    pub shown: HashMap<RemoteId, Stamp>,
    /// What the rows of contacts showed when the push of their first meeting was announced, by a run that was killed; only of pairs that
    /// the database has recorded.
    pub met: HashMap<RemoteId, Vec<Option<Digest>>>,
    /// Contacts that a look-up of this run did not find: a replica that lags may show them afterwards.
    pub missed: HashSet<RemoteId>,
    /// Keys of the contacts that this run was shown and that can't be read.
    pub unreadable: HashSet<Vec<u8>>,
    /// What changed since the scan could not be read as a whole.
    pub unread: bool,
    /// Rows that a killed run announced, of contacts that are not linked yet.
    pub announced: HashMap<RemoteId, Intent>,
    /// Whose rows these are, where the database has recorded that the announced write was made.
    pub announced_rows: HashMap<LocalKey, RemoteId>,
    /// A first load began, or began anew, with links in the store.
    pub began_with_links: bool,
    /// Contacts of a first load that fill up a transaction.
    pub loading: Vec<Task>,
    /// Commits under way that nothing waits for yet (first load only).
    pub behind: Vec<Durable>,
    /// Live rows when the run began.
    pub live_local: u64,
    /// The size of the links when the run began.
    pub live_links: u64,
    /// Creates that an earlier run sent without finding them afterwards: how often, by row.
    pub tries: HashMap<LocalKey, u8>,
    /// Those creates themselves, by their key.
    pub unfound: HashMap<Vec<u8>, Intent>,
    /// Contacts that are gone, and whose links go before the run ends: they share their address with nobody any more.
    pub dying: HashSet<RemoteId>,
    /// Rows that the database refused once; they are tried again at the end, when others may have made room.
    pub refused: Vec<Task>,
    /// Quarantine records that wait for the run's next commit.
    pub held_batch: Batch,
    /// The last try is under way: what the database refuses now is quarantined.
    pub last_try: bool,
}

impl Run {
    /// A pass that has done nothing yet.
    pub(crate) fn new<R: Remote, L: Local, S: StateStore, W: World>(
        engine: &Engine<'_, R, L, S, W>,
        options: &RunOptions,
    ) -> Self {
        use crate::mapping::Role;
        let vocabulary = engine.remote.vocabulary();
        let role = |role: Role| {
            engine
                .mapping
                .fields
                .iter()
                .position(|field| field.role == role)
        };
        let mirror = vocabulary.email.and_then(|email| {
            vocabulary
                .mirrors
                .iter()
                .find(|mirror| mirror.path == email)
        });
        Self {
            facts: Facts::default(),
            fence: Fence {
                store_id: String::new(),
                epoch: 0,
            },
            began: engine.world.monotonic(),
            accept: options.accept.clone(),
            dry: options.dry,
            since: options.since,
            full: false,
            full_next: false,
            current: false,
            worked: (0, 0),
            first_load: false,
            relink: false,
            rewound: None,
            fields: engine
                .mapping
                .fields
                .iter()
                .map(|field| {
                    let (direction, idle) = narrow(engine.rules.direction, field.direction);
                    FieldRule {
                        direction,
                        idle,
                        policy: field.conflicts.unwrap_or(engine.rules.conflicts),
                    }
                })
                .collect(),
            identity: Identity {
                external: vocabulary.external_id,
                email: vocabulary.email,
                mirror: mirror.and_then(|mirror| EmailMirror::parse(mirror.other)),
                external_field: role(Role::ExternalId),
                email_field: role(Role::Email),
            },
            pull: Counts::default(),
            push: Counts::default(),
            conflicts: 0,
            wrote: false,
            stopped_by: None,
            plan: Vec::new(),
            scan_end: None,
            local_position: None,
            reviews: HashMap::new(),
            quarantine: HashMap::new(),
            dirty_remote: HashSet::new(),
            dirty_local: HashSet::new(),
            seen: SeenIds::default(),
            externals: SeenDigests::default(),
            known_until: None,
            nameless: HashSet::new(),
            went_back: false,
            shown: HashMap::new(),
            unreadable: HashSet::new(),
            unread: false,
            announced: HashMap::new(),
            announced_rows: HashMap::new(),
            began_with_links: false,
            loading: Vec::new(),
            behind: Vec::new(),
            live_local: 0,
            live_links: 0,
            tries: HashMap::new(),
            unfound: HashMap::new(),
            missed: HashSet::new(),
            met: HashMap::new(),
            dying: HashSet::new(),
            refused: Vec::new(),
            held_batch: Batch::new(),
            last_try: false,
        }
    }

    /// What a mark in the inbox holds: the epoch of the run that left it for the next one.
    pub(crate) fn mark(&self) -> Vec<u8> {
        self.facts.epoch.to_be_bytes().to_vec()
    }

    /// Whether who was known before and is not in `seen` is not in the CRM any more, or was hidden from a whole read.
    pub(crate) fn has_shown_all(&self) -> bool {
        self.full && !self.first_load && self.scan_end.is_some()
    }

    /// The newest time that is known of a contact.
    pub fn known(&self, link: &Link) -> Option<Stamp> {
        self.shown.get(&link.remote).copied().max(link.stamp)
    }

    /// Keeps in mind the newest time that a look-up has shown of a contact.
    pub fn saw(&mut self, id: &RemoteId, stamp: Option<Stamp>) {
        if let Some(stamp) = stamp {
            let newest = self.shown.entry(id.clone()).or_insert(stamp);
            *newest = stamp.max(*newest);
        }
    }

    /// Whether a person is asked about a pair whose record died on this side.
    pub(crate) fn is_asked_about(&self, id: &RemoteId, died: Side) -> bool {
        // Asked of every contact and link that a run looks at, and as a rule nobody waits.
        !self.reviews.is_empty()
            && self.reviews.get(&dirty_remote(id)).is_some_and(|review| {
                review.kind == ReviewKind::Delete && review.side == Some(died)
            })
    }

    /// The keys of rows of which a person is asked something: they may be back as they were, which no digest shows.
    pub(crate) fn rows_asked_about(&self) -> HashSet<Vec<u8>> {
        let asked = self
            .reviews
            .values()
            .filter(|review| review.side == Some(Side::Local));
        asked
            .filter_map(|review| review.local.as_ref())
            .map(LocalKey::to_bytes)
            .collect()
    }

    /// Whether the contact was told to be deleted once, and that still waits: for a person, or for the database.
    pub(crate) fn was_deleted(&self, id: &RemoteId) -> bool {
        let is_refused = || {
            let refused = self.quarantine.get(&dirty_remote(id));
            refused.is_some_and(|record| record.deleted)
        };
        self.is_asked_about(id, Side::Remote) || (!self.quarantine.is_empty() && is_refused())
    }

    /// Whether the contact of this link is known to be gone, although the link stands: it holds no address, and answers no question.
    pub(crate) fn is_dead(&self, link: &Link) -> bool {
        link.gone == Some(Side::Remote) || self.was_deleted(&link.remote)
    }

    /// How many reviews wait for a person.
    pub fn waiting_reviews(&self) -> u64 {
        self.reviews
            .values()
            .filter(|review| review.decision.is_none())
            .count() as u64
    }

    /// How many records wait in quarantine; discarded ones don't wait.
    pub fn waiting_quarantine(&self) -> u64 {
        self.quarantine
            .values()
            .filter(|record| !record.discarded)
            .count() as u64
    }

    /// The report.
    pub(crate) fn report(
        &self,
        bridge: &str,
        requests: u64,
        seconds: f64,
        error: Option<&Error>,
    ) -> BridgeReport {
        let (review, quarantined) = (self.waiting_reviews(), self.waiting_quarantine());
        let outcome = match error.map(Error::kind) {
            Some(ErrorKind::Guard) => Outcome::Stopped,
            Some(_) => Outcome::Failed,
            None if review + quarantined > 0 => Outcome::Partial,
            None => Outcome::Ok,
        };
        BridgeReport {
            bridge: bridge.to_owned(),
            outcome,
            guard: self.stopped_by,
            pull: summed(self.pull),
            push: summed(self.push),
            conflicts: self.conflicts,
            review,
            quarantined,
            requests,
            watermark: self
                .facts
                .watermark
                .map(|watermark| watermark.format("%Y-%m-%dT%H:%M:%S%.f").to_string()),
            seconds: (seconds * 1000.0).round() / 1000.0,
            error: error.map(ToString::to_string),
            failure: error.map(Error::kind),
        }
    }
}

fn summed(counts: Counts) -> Counts {
    Counts {
        read: counts.created + counts.updated + counts.deleted + counts.unchanged + counts.held,
        ..counts
    }
}

/// A field can only narrow its bridge's direction; one that would turn it round does not flow at all.
fn narrow(bridge: Direction, field: Option<Direction>) -> (Direction, bool) {
    match (bridge, field) {
        (Direction::Both, Some(field)) => (field, false),
        (bridge, None | Some(Direction::Both)) => (bridge, false),
        (bridge, Some(field)) => (bridge, bridge != field),
    }
}
