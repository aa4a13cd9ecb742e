//! From newcomers to tasks: gathers what correlation must know, and turns each fate into something to do.
//!
//! The decision itself is [`super::correlate`]'s; here are the reads that it needs.

use std::collections::{HashMap, HashSet};

use crate::local::{LinkRow, Local};
use crate::mapping::Role;
use crate::model::{Digest, LocalKey, RemoteId, RemoteItem, Result, World};
use crate::remote::{Found, LookUp, Remote};
use crate::state::{StateStore, Table};

use super::Engine;
use super::collect::{Changed, Collected};
use super::correlate::{Candidate, Fate, Newcomer, Why, correlate};
use super::memory::{Decision, Link, Memory, Stranger, dirty_local, dirty_remote, put_link};
use super::plan::{LocalState, RemoteState};
use super::run::{Action, Run, Task};
use super::view::{LocalView, RemoteView, external_digest, local_view};

/// Newcomers whose row or contact is asked for in one call.
const PART: usize = 500;

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    pub(crate) async fn plan_newcomers(
        &mut self,
        run: &Run,
        collected: &mut Collected,
    ) -> Result<Vec<Task>> {
        self.find_rows_for_contacts(collected).await?;
        let reserved = self.reserved(collected).await?;
        self.find_contacts_for_rows(run, collected, &reserved)
            .await?;
        let healed = self.heal(run, collected, &reserved).await?;
        if collected.new_remote.is_empty() && collected.new_local.is_empty() {
            return Ok(healed);
        }
        let mut tasks = healed;
        let known = self.seen_contacts(&tasks, collected);
        let matched = self.match_newcomers(run, collected, &reserved, known);
        tasks.extend(matched.await?);
        Ok(tasks)
    }

    /// Where not all rows were looked at, a row that was left unlinked earlier does not show itself: it is looked for by the
    /// values that newcomers would match it by.
    async fn find_rows_for_contacts(&mut self, collected: &mut Collected) -> Result<()> {
        if collected.live_rows.is_some()
            || collected.new_remote.is_empty()
            || !self.local.exists().await?
        {
            return Ok(());
        }
        let fields: Vec<usize> = self.match_fields().map(|(field, _)| field).collect();
        for field in fields {
            let values: Vec<String> = collected
                .new_remote
                .values()
                .filter_map(|view| view.value(field))
                .map(str::to_owned)
                .collect();
            for part in values.chunks(PART) {
                let rows = self.local.find(field, part).await?;
                let keys: Vec<LocalKey> = rows.iter().map(|row| row.key.clone()).collect();
                let links = Memory::new(self.store).links_by_local(&keys).await?;
                for (row, link) in rows.into_iter().zip(links) {
                    if link.is_none() && !row.marked {
                        collected
                            .new_local
                            .entry(row.key.clone())
                            .or_insert_with(|| local_view(self.vault, self.mapping, &row));
                    }
                }
            }
        }
        Ok(())
    }

    /// What the database has recorded of new rows: an identity reserved by a run that was killed, or a link that the state lost.
    async fn reserved(&mut self, collected: &Collected) -> Result<HashMap<LocalKey, LinkRow>> {
        let keys: Vec<LocalKey> = collected.new_local.keys().cloned().collect();
        let mut reserved = HashMap::new();
        for part in keys.chunks(PART) {
            for row in self.local.links_by_key(part).await?.into_iter().flatten() {
                reserved.insert(row.key.clone(), row);
            }
        }
        Ok(reserved)
    }

    /// Contacts that new rows point to, and that this run has not read: by a recorded id, as a stranger, or (where a one-way
    /// bridge read no list) by External ID and e-mail.
    async fn find_contacts_for_rows(
        &mut self,
        run: &Run,
        collected: &mut Collected,
        reserved: &HashMap<LocalKey, LinkRow>,
    ) -> Result<()> {
        let mut wanted: Vec<LookUp> = Vec::new();
        for row in reserved.values() {
            if let Some(id) = &row.remote_id
                && !collected.new_remote.contains_key(id)
            {
                wanted.push(LookUp::Id(id.clone()));
            }
        }
        let digests: HashSet<Digest> = collected
            .new_local
            .values()
            .flat_map(|view| [view.external, view.email])
            .flatten()
            .collect();
        if !digests.is_empty() {
            for (key, stranger) in Memory::new(self.store)
                .all::<Stranger>(Table::Stranger)
                .await?
            {
                let answers = [stranger.external, stranger.email]
                    .into_iter()
                    .flatten()
                    .any(|digest| digests.contains(&Digest(digest)));
                if answers && let Ok(id) = String::from_utf8(key) {
                    wanted.push(LookUp::Id(RemoteId(id)));
                }
            }
        }
        // A queue names whoever is new by itself.
        if run.scan_end.is_none() && !run.current {
            for view in collected.new_local.values() {
                wanted.extend(
                    run.identity
                        .external_field
                        .and_then(|field| view.value(field))
                        .map(|text| LookUp::External(text.to_owned())),
                );
                wanted.extend(
                    run.identity
                        .email_field
                        .and_then(|field| view.value(field))
                        .map(|text| LookUp::Email(text.to_owned())),
                );
            }
        }
        wanted.sort_by_key(|look_up| format!("{look_up:?}"));
        wanted.dedup();
        for look_up in wanted {
            self.check_signal()?;
            let Found::Item(item) = self.remote.look_up(&look_up).await? else {
                continue;
            };
            let RemoteItem::Record(record) = *item else {
                continue;
            };
            let linked = Memory::new(self.store)
                .links(std::slice::from_ref(&record.id))
                .await?
                .pop()
                .flatten()
                .is_some();
            if !record.deleted && !linked {
                let view = self.view(run, &record);
                collected.new_remote.insert(view.id.clone(), view);
            }
        }
        Ok(())
    }

    /// Pairs that the database has recorded as linked: a kill between its transaction and ours, or a re-link (hazard H-60).
    async fn heal(
        &mut self,
        run: &Run,
        collected: &mut Collected,
        reserved: &HashMap<LocalKey, LinkRow>,
    ) -> Result<Vec<Task>> {
        let mut recorded: Vec<(RemoteId, LocalKey)> = Vec::new();
        let ids: Vec<RemoteId> = collected.new_remote.keys().cloned().collect();
        for part in ids.chunks(PART) {
            for (id, row) in part.iter().zip(self.local.links_by_remote(part).await?) {
                recorded.extend(row.map(|row| (id.clone(), row.key)));
            }
        }
        for row in reserved.values() {
            recorded.extend(row.remote_id.clone().map(|id| (id, row.key.clone())));
        }
        recorded.sort();
        recorded.dedup();
        let mut tasks = Vec::new();
        for (id, key) in recorded {
            let Some(remote) = collected.new_remote.get(&id) else {
                continue;
            };
            let local = match collected.new_local.get(&key) {
                Some(view) => Some(view.clone()),
                None => self.unlinked_row(&key).await?,
            };
            let Some(local) = local else { continue };
            let link = Link {
                met: !run.relink,
                ..self.fresh_link(run, remote, &local)
            };
            let mut task = Task::linked(link, Some(remote.clone()), Some(local), Action::Nothing);
            (task.fresh, task.from_remote, task.from_local) =
                (true, true, collected.new_local.contains_key(&key));
            tasks.push(task);
            collected.new_remote.remove(&id);
            collected.new_local.remove(&key);
        }
        tasks.extend(self.heal_restored(run, collected, reserved).await?);
        Ok(tasks)
    }

    /// A row made anew for a contact whose row had gone, by a run that was killed before it recorded that: the link still names
    /// the row that is gone, and the database names the new one. Taken for a deletion and a newcomer, it would cost the contact.
    async fn heal_restored(
        &mut self,
        run: &Run,
        collected: &mut Collected,
        reserved: &HashMap<LocalKey, LinkRow>,
    ) -> Result<Vec<Task>> {
        let mut rows: Vec<&LinkRow> = reserved.values().collect();
        rows.sort_by(|one, other| one.key.cmp(&other.key));
        let mut tasks = Vec::new();
        for row in rows {
            let Some(id) = &row.remote_id else { continue };
            let Some(changed) = collected.pairs.get(id) else {
                continue;
            };
            let is_gone = !matches!(changed.local, Some(LocalState::Row(_)));
            if !is_gone || changed.link.local == row.key {
                continue;
            }
            let Some(local) = collected.new_local.get(&row.key).cloned() else {
                continue;
            };
            let remote = match &changed.remote {
                RemoteState::Seen(view) => Some(view.clone()),
                RemoteState::Unchanged => match self.remote.look_up(&LookUp::Id(id.clone())).await?
                {
                    Found::Item(item) => match *item {
                        RemoteItem::Record(record) if !record.deleted => {
                            Some(self.view(run, &record))
                        }
                        _ => None,
                    },
                    Found::Nothing => None,
                },
                RemoteState::Dead => None,
            };
            let old = changed.link.clone();
            let Some(remote) = remote else {
                // The contact has gone since. As a newcomer the row would bring it back, so the link is moved to the row, and the
                // pair is planned like any other; where only the look-up does not find the contact, once it is known what became of it.
                let state = changed.remote.clone();
                let mut link = Link {
                    local: row.key.clone(),
                    row: local.row,
                    ..old.clone()
                };
                self.recall(run, &mut link, &local);
                collected.new_local.remove(&row.key);
                if state == RemoteState::Dead {
                    let changed = Changed {
                        link,
                        remote: state,
                        local: Some(LocalState::Row(local)),
                    };
                    collected.pairs.insert(id.clone(), changed);
                    collected.moved.insert(id.clone(), old.local);
                    continue;
                }
                let mut task = Task::linked(link, None, Some(local), Action::Nothing);
                task.from_local = true;
                move_link(&mut task, &old.local);
                task.extra.put(Table::Inbox, dirty_remote(id), run.mark());
                tasks.push(task);
                collected.pairs.remove(id);
                continue;
            };
            let link = Link {
                met: !run.relink,
                ..self.fresh_link(run, &remote, &local)
            };
            let mut task = Task::linked(link, Some(remote), Some(local), Action::Nothing);
            (task.from_remote, task.from_local) = (true, true);
            task.extra.remove(Table::ByLocal, old.local.to_bytes());
            tasks.push(task);
            collected.pairs.remove(id);
            collected.new_local.remove(&row.key);
        }
        Ok(tasks)
    }

    async fn unlinked_row(&mut self, key: &LocalKey) -> Result<Option<LocalView>> {
        let keys = std::slice::from_ref(key);
        if Memory::new(self.store)
            .links_by_local(keys)
            .await?
            .pop()
            .flatten()
            .is_some()
        {
            return Ok(None);
        }
        let row = self.local.fetch(keys).await?.pop().flatten();
        Ok(row
            .filter(|row| !row.marked)
            .map(|row| local_view(self.vault, self.mapping, &row)))
    }

    async fn match_newcomers(
        &mut self,
        run: &Run,
        collected: &mut Collected,
        reserved: &HashMap<LocalKey, LinkRow>,
        seen: Vec<(RemoteId, Newcomer)>,
    ) -> Result<Vec<Task>> {
        // Our own echoes wait: they are matched with nobody, and their address is taken (C10).
        let (mut echoes, mut remotes): (Vec<RemoteView>, Vec<RemoteView>) =
            std::mem::take(&mut collected.new_remote)
                .into_values()
                .partition(|view| self.is_own_echo(run, &view.id));
        let made: HashMap<RemoteId, LocalKey> = self
            .echoes_of_creates(run, &remotes)?
            .into_iter()
            .map(|(place, key)| (remotes[place].id.clone(), key))
            .filter(|(id, _)| !self.is_decided(run, id))
            .collect();
        let (more, others) = remotes
            .into_iter()
            .partition(|view| made.contains_key(&view.id));
        echoes.extend::<Vec<RemoteView>>(more);
        remotes = others;
        let locals: Vec<LocalView> = std::mem::take(&mut collected.new_local)
            .into_values()
            .collect();
        // The rows of dying contacts may be taken over by a newcomer: a merge in the CRM (H-41).
        let dying: Vec<(Link, LocalView)> =
            collected.pairs.values().filter_map(dying_row).collect();
        let mut new_remotes: Vec<Newcomer> = remotes
            .iter()
            .map(|view| self.remote_newcomer(view))
            .collect();
        let mut new_locals: Vec<Newcomer> = locals
            .iter()
            .map(|view| self.local_newcomer(view, reserved.get(&view.key)))
            .collect();
        let not_as_known = collected
            .pairs
            .iter()
            .filter(|(_, changed)| changed.remote != RemoteState::Unchanged)
            .map(|(id, _)| id.clone())
            .collect();
        let mut known = self
            .known_contacts(run, (&new_remotes, &new_locals), seen, &not_as_known)
            .await?;
        known.extend(
            echoes
                .iter()
                .map(|view| (view.id.clone(), self.remote_newcomer(view))),
        );

        let mut tasks =
            self.decided_links(run, &remotes, &locals, &mut new_remotes, &mut new_locals);
        new_locals.extend(
            dying
                .iter()
                .map(|(_, view)| self.local_newcomer(view, None)),
        );
        for (old, row) in &dying {
            let review = run.reviews.get(&dirty_local(&row.key));
            if let Some(Decision::Link(id)) = review.and_then(|review| review.decision.as_ref())
                && let Some(contact) = remotes.iter().position(|view| view.id.0 == *id)
            {
                tasks.push(take_over(&remotes[contact], old, row));
                new_remotes[contact].separate = true;
                collected.pairs.remove(&old.remote);
            }
        }
        let known_ids: Vec<String> = known.iter().map(|(id, _)| id.0.clone()).collect();
        let known: Vec<Newcomer> = known.drain(..).map(|(_, newcomer)| newcomer).collect();
        let fates = correlate(&new_remotes, &new_locals, &known);
        let name = |candidate: &Candidate| match candidate {
            Candidate::Remote(at) => format!("contact {}", remotes[*at].id),
            Candidate::Local(at) if *at < locals.len() => format!("row {}", locals[*at].key),
            Candidate::Local(at) => format!("row {}", dying[at - locals.len()].1.key),
            Candidate::Known(at) => format!("contact {}", known_ids[*at]),
        };
        let decided: HashSet<RemoteId> = tasks
            .iter()
            .filter_map(|task: &Task| task.remote.as_ref().map(|view| view.id.clone()))
            .collect();
        let decided_rows: HashSet<LocalKey> = tasks
            .iter()
            .filter_map(|task| task.local.as_ref().map(|view| view.key.clone()))
            .collect();

        let mut waiting_rows = self.rows_of_echoes(run, &made);
        tasks.extend(self.wait_for_echoes(run, echoes, &made));
        for (view, fate) in remotes.iter().zip(&fates.remotes) {
            if decided.contains(&view.id) {
                continue;
            }
            tasks.push(match fate {
                Fate::Pair(local) if *local >= locals.len() => {
                    let (old, row) = &dying[local - locals.len()];
                    collected.pairs.remove(&old.remote);
                    take_over(view, old, row)
                }
                Fate::Pair(local) => {
                    let row = &locals[*local];
                    let mut task = Task::linked(
                        self.fresh_link(run, view, row),
                        Some(view.clone()),
                        Some(row.clone()),
                        Action::Nothing,
                    );
                    (task.fresh, task.from_remote, task.from_local) = (true, true, true);
                    task
                }
                Fate::Alone => Task::newcomer(Some(view.clone()), None, Action::CreateLocal),
                Fate::Held(why, others) => {
                    let (code, reason) = held_reason(*why, true);
                    Task::newcomer(
                        Some(view.clone()),
                        None,
                        Action::Hold(code, reason, others.iter().map(name).collect()),
                    )
                }
            });
        }
        for (view, fate) in locals.iter().zip(&fates.locals) {
            if decided_rows.contains(&view.key) {
                continue;
            }
            if let (Fate::Alone, Some(others)) = (fate, waiting_rows.remove(&view.key))
                && let Some(hold) = self.waits_for_echo(run, &view.key, others)
            {
                tasks.push(Task::newcomer(None, Some(view.clone()), hold));
                continue;
            }
            match fate {
                Fate::Pair(_) => {}
                Fate::Alone => tasks.push(Task::newcomer(
                    None,
                    Some(view.clone()),
                    Action::CreateRemote,
                )),
                Fate::Held(why, others) => {
                    let (code, reason) = held_reason(*why, false);
                    tasks.push(Task::newcomer(
                        None,
                        Some(view.clone()),
                        Action::Hold(code, reason, others.iter().map(name).collect()),
                    ));
                }
            }
        }
        Ok(tasks)
    }

    /// Links that a person decided on (`review resolve --link`), and newcomers called separate.
    fn decided_links(
        &self,
        run: &Run,
        remotes: &[RemoteView],
        locals: &[LocalView],
        new_remotes: &mut [Newcomer],
        new_locals: &mut [Newcomer],
    ) -> Vec<Task> {
        let mut tasks = Vec::new();
        for (at, view) in remotes.iter().enumerate() {
            if matches!(
                run.reviews
                    .get(&dirty_remote(&view.id))
                    .and_then(|review| review.decision.as_ref()),
                Some(Decision::Separate)
            ) {
                new_remotes[at].separate = true;
            }
        }
        for (at, row) in locals.iter().enumerate() {
            match run
                .reviews
                .get(&dirty_local(&row.key))
                .and_then(|review| review.decision.as_ref())
            {
                Some(Decision::Separate) => new_locals[at].separate = true,
                Some(Decision::Link(id)) => {
                    if let Some(contact) = remotes.iter().position(|view| view.id.0 == *id) {
                        let mut task = Task::linked(
                            self.fresh_link(run, &remotes[contact], row),
                            Some(remotes[contact].clone()),
                            Some(row.clone()),
                            Action::Nothing,
                        );
                        (task.fresh, task.from_remote, task.from_local) = (true, true, true);
                        tasks.push(task);
                        (new_remotes[contact].separate, new_locals[at].separate) = (true, true);
                    }
                }
                _ => {}
            }
        }
        tasks
    }

    /// A link without bases: the two never agreed on anything but what a killed run had written.
    pub(crate) fn fresh_link(&self, run: &Run, remote: &RemoteView, local: &LocalView) -> Link {
        let mut link = Link {
            local: local.key.clone(),
            row: local.row,
            ..self.bare_link(run, remote)
        };
        self.recall(run, &mut link, local);
        link
    }

    fn remote_newcomer(&self, view: &RemoteView) -> Newcomer {
        let value = |field| view.value(field).map(|_| view.digests[field]);
        self.newcomer(view.external, view.external, view.email, value)
    }

    fn local_newcomer(&self, view: &LocalView, reserved: Option<&LinkRow>) -> Newcomer {
        let reserved = reserved
            .and_then(|row| row.external_id.as_deref())
            .map(|text| external_digest(self.vault, text));
        let value = |field| view.value(field).map(|_| view.digests[field]);
        self.newcomer(reserved, view.external, view.email, value)
    }

    /// The keys of a record: first the reserved External ID, then the match rules in the mapping's order.
    fn newcomer(
        &self,
        reserved: Option<Digest>,
        external: Option<Digest>,
        email: Option<Digest>,
        value: impl Fn(usize) -> Option<Digest>,
    ) -> Newcomer {
        let mut keys = vec![reserved];
        keys.extend(self.match_fields().map(|(field, role)| match role {
            Role::Email => email,
            _ => value(field),
        }));
        Newcomer {
            keys,
            external,
            email,
            separate: false,
        }
    }

    fn match_fields(&self) -> impl Iterator<Item = (usize, Role)> + '_ {
        self.mapping
            .fields
            .iter()
            .enumerate()
            .filter(|(_, field)| field.matches)
            .map(|(at, field)| (at, field.role))
    }

    /// Contacts that are linked, or will be in this run, as they show themselves now.
    fn seen_contacts(&self, healed: &[Task], collected: &Collected) -> Vec<(RemoteId, Newcomer)> {
        let healed = healed.iter().filter_map(|task| task.remote.as_ref());
        let changed = collected
            .pairs
            .values()
            .filter_map(|pair| match &pair.remote {
                RemoteState::Seen(view) => Some(view),
                _ => None,
            });
        healed
            .chain(changed)
            .map(|view| (view.id.clone(), self.remote_newcomer(view)))
            .collect()
    }

    /// The known contacts that share a key with a newcomer, but for those that are dead or were seen otherwise: one pass over links,
    /// only where there are newcomers.
    async fn known_contacts(
        &self,
        run: &Run,
        (remotes, locals): (&[Newcomer], &[Newcomer]),
        seen: Vec<(RemoteId, Newcomer)>,
        not_as_known: &HashSet<RemoteId>,
    ) -> Result<Vec<(RemoteId, Newcomer)>> {
        let wanted: HashSet<Digest> = remotes
            .iter()
            .chain(locals)
            .flat_map(|newcomer| {
                newcomer
                    .keys
                    .iter()
                    .copied()
                    .chain([newcomer.external, newcomer.email])
            })
            .flatten()
            .collect();
        // Without a row to match, a contact of a bridge that only pulls is alone, whoever it resembles.
        if locals.is_empty() && not_as_known.is_empty() && !self.rules.direction.pushes() {
            return Ok(Vec::new());
        }
        let shares_a_key = |known: &Newcomer| {
            let keys = known.keys.iter().chain([&known.external, &known.email]);
            keys.flatten().any(|digest| wanted.contains(digest))
        };
        let mut known = seen;
        known.retain(|(_, newcomer)| shares_a_key(newcomer));
        if wanted.is_empty() {
            return Ok(known);
        }
        let note = |link: Link| {
            let link = self.migrate(run, link);
            let value = |field: usize| link.bases[field].map(|base| base.remote);
            let newcomer = self.newcomer(link.external, link.external, link.email, value);
            if shares_a_key(&newcomer) {
                known.push((link.remote, newcomer));
            }
        };
        self.each_known(run, not_as_known, note).await?;
        Ok(known)
    }

    /// Remembers a contact that is known but not linked, so that a later row is not made into a second one.
    pub(crate) fn stranger(&self, view: &RemoteView) -> Stranger {
        let matches = self
            .match_fields()
            .map(|(field, _)| view.value(field).map(|_| view.digests[field].0))
            .collect();
        Stranger {
            content: view.content.0,
            external: view.external.map(|digest| digest.0),
            email: view.email.map(|digest| digest.0),
            matches,
        }
    }
}

/// The link that the task begins with names another row than the one in the state.
pub(crate) fn move_link(task: &mut Task, from: &LocalKey) {
    if let Some(link) = task.standing().cloned() {
        task.extra.remove(Table::ByLocal, from.to_bytes());
        put_link(&mut task.extra, &link);
    }
}

/// The new contact takes over the row and the link of a dying one (C9).
fn take_over(view: &RemoteView, old: &Link, row: &LocalView) -> Task {
    let link = Link {
        remote: view.id.clone(),
        external: view.external,
        email: view.email,
        gone: None,
        ..old.clone()
    };
    let mut task = Task::linked(link, Some(view.clone()), Some(row.clone()), Action::Nothing);
    (task.fresh, task.from_remote, task.replaces) = (true, true, Some(old.clone()));
    task
}

fn dying_row(changed: &Changed) -> Option<(Link, LocalView)> {
    match (&changed.remote, &changed.local) {
        (RemoteState::Dead, Some(LocalState::Row(view))) => {
            Some((changed.link.clone(), view.clone()))
        }
        _ => None,
    }
}

fn held_reason(why: Why, remote: bool) -> (&'static str, String) {
    let text = match (why, remote) {
        (Why::Ambiguous, true) => {
            "The contact answers to a match with more than one record, or with one that is linked already"
        }
        (Why::Ambiguous, false) => {
            "The row answers to a match with more than one record, or with one that is linked already"
        }
        (Why::ExternalTaken, _) => "Another contact has this External ID already",
        (Why::EmailTaken, _) => {
            "Another contact has this e-mail address already; the service might take the two for one"
        }
        (Why::Twin, _) => {
            "Another new row has the same External ID or e-mail address and goes first"
        }
    };
    let code = match why {
        Why::Ambiguous => "E-MATCH-AMBIGUOUS",
        Why::ExternalTaken => "E-EXT-NOT-UNIQUE",
        Why::EmailTaken => "E-EMAIL-TAKEN",
        Why::Twin => "E-DUP-EMAIL-LOCAL",
    };
    (
        code,
        format!("{text}. See `review show`, then `review resolve --link` or `--separate`"),
    )
}
