//! Keys that somebody else has too: the service may take what is sent under one for the other's record (hazard H-25).
//!
//! It decides who waits, and sends nothing.

use std::collections::{HashMap, HashSet};

use crate::local::Local;
use crate::model::{Digest, LocalKey, RemoteId, RemoteItem, Result, World};
use crate::remote::{Found, LookUp, Remote};
use crate::state::{StateStore, Table};

use super::create::look_again;
use super::held::UNREADABLE;
use super::memory::{Link, Memory, RANGE, Side, Stranger, dirty_local, dirty_remote};
use super::run::{Action, Hold, Run, Task};
use super::{Decision, Engine};

/// Why a row waits whose contact is gone.
const TAKEN: &str = "The contact of this row is gone, and another one has its External ID or e-mail address: the service might take the two for one. Change one of them, or see `review show`, then `review resolve --separate`";

/// External IDs and e-mail addresses, each with the contact that it is asked for.
pub(crate) type Keys = HashMap<Digest, RemoteId>;

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    /// A contact that is made anew is sent as a new one is (C5, C6): where somebody else has its keys, its row waits.
    pub(crate) async fn hold_taken(&self, run: &Run, tasks: &mut [Task]) -> Result<()> {
        let (mut wanted, mut not_as_known) = (Keys::new(), HashSet::new());
        for task in tasks.iter() {
            let dies = matches!(
                task.action,
                Action::RestoreRemote
                    | Action::DeleteLocal
                    | Action::HoldDelete(Side::Remote)
                    | Action::IgnoreDelete(Side::Remote)
            );
            if let (true, Some(link)) = (dies, &task.link) {
                not_as_known.insert(link.remote.clone());
                let keys = keys_to_restore(task).into_iter();
                wanted.extend(keys.map(|digest| (digest, link.remote.clone())));
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let mut claimed: HashMap<Digest, Vec<(Option<RemoteId>, String)>> = HashMap::new();
        let mut claim = |keys: [Option<Digest>; 2], id: Option<&RemoteId>, name: String| {
            for digest in keys.into_iter().flatten() {
                if wanted.contains_key(&digest) {
                    let claims = claimed.entry(digest).or_default();
                    claims.push((id.cloned(), name.clone()));
                }
            }
        };
        for task in tasks.iter() {
            if let Some(view) = task.remote.as_ref().filter(|view| !view.deleted) {
                not_as_known.insert(view.id.clone());
                let name = format!("contact {}", view.id);
                claim([view.external, view.email], Some(&view.id), name);
            }
            if let (Action::CreateRemote, Some(view)) = (&task.action, &task.local) {
                claim(
                    [view.external, view.email],
                    None,
                    format!("row {}", view.key),
                );
            }
        }
        for (digest, other) in self.holders(run, &wanted, &not_as_known).await? {
            let name = format!("contact {other}");
            claimed.entry(digest).or_default().push((Some(other), name));
        }
        for task in tasks {
            let keys = keys_to_restore(task);
            let (Some(link), Some(local), false) = (&task.link, &task.local, keys.is_empty())
            else {
                continue;
            };
            let decided = run
                .reviews
                .get(&dirty_local(&local.key))
                .is_some_and(|review| review.decision == Some(Decision::Separate));
            let mut others: Vec<String> = keys
                .iter()
                .filter_map(|digest| claimed.get(digest))
                .flatten()
                .filter(|(id, _)| id.as_ref() != Some(&link.remote))
                .map(|(_, name)| name.clone())
                .collect();
            others.sort();
            others.dedup();
            if others.is_empty() || decided {
                let name = format!("row {}", local.key);
                for digest in keys {
                    claimed
                        .entry(digest)
                        .or_default()
                        .push((None, name.clone()));
                }
                continue;
            }
            // Unread, the dead contact would pass for alive.
            task.extra
                .put(Table::Inbox, dirty_remote(&link.remote), run.mark());
            task.action = Action::Hold("E-EMAIL-TAKEN", TAKEN.to_owned(), others);
        }
        Ok(())
    }

    /// Whoever can't be read may have the keys of a new row. While there is such a contact each row is looked for under its own keys,
    /// and waits where somebody answers to them.
    pub(crate) async fn without_unread(
        &mut self,
        run: &mut Run,
        tasks: Vec<Task>,
    ) -> Result<Vec<Task>> {
        if !self.has_unread(run) {
            return Ok(tasks);
        }
        let keys: Vec<LocalKey> = tasks
            .iter()
            .filter_map(|task| task.local.as_ref().map(|view| view.key.clone()))
            .collect();
        // A lost state knows no pairs, and who has neither key is known by what the database recorded.
        let recorded: HashMap<LocalKey, RemoteId> = (self.local.links_by_key(&keys).await?)
            .into_iter()
            .flatten()
            .filter_map(|link| Some((link.key, link.remote_id?)))
            .collect();
        let questions: Vec<(usize, LookUp)> = tasks
            .iter()
            .enumerate()
            .flat_map(|(at, task)| {
                let known = task.local.as_ref().and_then(|view| recorded.get(&view.key));
                let by_id = known.cloned().map(LookUp::Id).into_iter();
                by_id
                    .chain(self.questions_of_new(run, task))
                    .map(move |by| (at, by))
            })
            .collect();
        let mut met: HashMap<usize, RemoteItem> = HashMap::new();
        for (at, found) in self.look_up_all(questions).await? {
            if let Found::Item(item) = found
                && !matches!(&*item, RemoteItem::Record(record) if record.deleted)
            {
                met.insert(at, *item);
            }
        }
        let mut free = Vec::with_capacity(tasks.len());
        for (at, mut task) in tasks.into_iter().enumerate() {
            let own = task.link.as_ref().map(|link| &link.remote);
            match met.remove(&at) {
                None => free.push(task),
                Some(RemoteItem::Record(record)) if Some(&record.id) == own => free.push(task),
                Some(item) => {
                    look_again(run, &mut task);
                    if let RemoteItem::Record(record) = item {
                        let id = dirty_remote(&record.id);
                        task.extra.put(Table::Inbox, id, run.mark());
                    } else {
                        task.holds.push(Hold {
                            code: UNREADABLE,
                            reason: "A contact with its External ID or e-mail address is there, but can't be read".into(),
                            fields: Vec::new(),
                        });
                    }
                    self.hold_push(run, task).await?;
                }
            }
        }
        Ok(free)
    }

    /// The look-ups under which a row that is to become a contact would be found.
    fn questions_of_new(
        &self,
        run: &Run,
        task: &Task,
    ) -> impl Iterator<Item = LookUp> + use<R, L, S, W> {
        let text = |field: Option<usize>| {
            let local = task.local.as_ref()?;
            let field = field.filter(|&field| run.fields[field].pushes())?;
            local.value(field).map(str::to_owned)
        };
        let external = text(run.identity.external_field).map(LookUp::External);
        let email = text(run.identity.email_field).map(LookUp::Email);
        external.into_iter().chain(email)
    }

    /// Which of these keys a known contact has other than the one that they are asked for, and who that is: one pass over links and
    /// strangers, but for those that are `not_as_known`, and the dead.
    pub(crate) async fn holders(
        &self,
        run: &Run,
        wanted: &Keys,
        not_as_known: &HashSet<RemoteId>,
    ) -> Result<HashMap<Digest, RemoteId>> {
        let mut holders = HashMap::new();
        let note = |link: Link| {
            for digest in [link.external, link.email].into_iter().flatten() {
                if wanted.get(&digest).is_some_and(|id| *id != link.remote) {
                    holders.insert(digest, link.remote.clone());
                }
            }
        };
        self.each_known(run, not_as_known, note).await?;
        let memory = Memory::new(self.store);
        for (key, stranger) in memory.all::<Stranger>(Table::Stranger).await? {
            let id = RemoteId(String::from_utf8_lossy(&key).into_owned());
            if run.has_shown_all() && !run.seen.contains(&id) {
                continue;
            }
            for digest in [stranger.external, stranger.email].into_iter().flatten() {
                if wanted.get(&Digest(digest)).is_some_and(|own| *own != id) {
                    holders.insert(Digest(digest), id.clone());
                }
            }
        }
        Ok(holders)
    }

    /// All links, but for those that are `not_as_known`, and the dead.
    pub(crate) async fn each_known(
        &self,
        run: &Run,
        not_as_known: &HashSet<RemoteId>,
        mut note: impl FnMut(Link),
    ) -> Result<()> {
        let memory = Memory::new(self.store);
        let mut after = None;
        loop {
            let links = memory.links_after(after.as_ref(), RANGE).await?;
            let Some(last) = links.last() else {
                return Ok(());
            };
            after = Some(last.remote.clone());
            links
                .into_iter()
                .filter(|link| !not_as_known.contains(&link.remote) && !run.is_dead(link))
                .for_each(&mut note);
        }
    }
}

/// What the row of a contact that is to be made anew would be sent under.
fn keys_to_restore(task: &Task) -> Vec<Digest> {
    match (&task.action, &task.local) {
        (Action::RestoreRemote, Some(local)) => [local.external, local.email]
            .into_iter()
            .flatten()
            .collect(),
        _ => Vec::new(),
    }
}
