//! From changed rows to messages: what the database shows against what was agreed or sent, nothing else.
//!
//! The message and the link that remembers it are one commit, so that a change is queued once, whatever happens. An
//! identity is recorded in the database before that. What the other side shows can't be asked for, and is not guessed.

use std::collections::HashSet;

use crate::local::{LinkRow, Local, Row, RowOutcome, RowWrite};
use crate::model::{DeletePolicy, Document, LocalKey, RemoteId, RemoteRecord, Result, World};
use crate::remote::Remote;
use crate::remote::data_sync::{Change, Message, Object};
use crate::state::{Batch, StateStore, Table};

use super::super::guard::Load;
use super::super::memory::{
    Base, ChildBase, Link, Memory, ReviewKind, Side, dirty_local, dirty_remote, put_link,
    remove_link,
};
use super::super::report::PlanItem;
use super::super::run::{Action, Hold, Run, Task};
use super::super::view::{LocalView, RemoteView, local_view};
use super::super::{Engine, Halt};
use super::MessageRules;
use super::outbox::{Outbox, Putting};

/// Rows looked at together, with their child rows. Each makes up to five writes in one commit.
const PART: usize = 150;

/// What is to be told of one row.
enum Telling {
    /// Nothing: it shows what was agreed.
    Nothing,
    /// It can't be told, and why.
    Hold(Hold),
    /// It waits for a person's answer.
    Later,
    /// A whole record.
    Record(Box<Told>),
}

/// A record to be told of.
struct Told {
    id: RemoteId,
    document: Document,
    /// What a receiver will see of it.
    shown: RemoteView,
    /// The identity was made by `generate` and stands in no row yet.
    generated: Option<usize>,
}

/// A row with what is known of it.
struct Looked {
    view: LocalView,
    link: Option<Link>,
    telling: Telling,
}

/// The rows to look at.
#[derive(Default)]
struct Rows {
    gone: Vec<LocalKey>,
    there: Vec<LocalKey>,
    linked: u64,
}

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    /// Queues what has changed; with `everything`, all rows are looked at.
    pub(super) async fn queue_changes(
        &mut self,
        run: &mut Run,
        rules: &MessageRules,
        everything: bool,
    ) -> Result<(), Halt> {
        if run.relink || !self.local.exists().await? {
            return Ok(());
        }
        let position = self.local.position().await?;
        let rows = self.rows_to_tell(run, everything).await?;
        self.weigh_changes(run, rules, &rows).await?;
        // Deletions first: a row that was made anew under another key has its customer's id.
        for part in rows.gone.chunks(PART) {
            self.queue_deletions(run, rules, part).await?;
        }
        let mut ids = HashSet::new();
        let total = rows.there.len() as u64;
        for (at, part) in rows.there.chunks(PART).enumerate() {
            self.check_signal()?;
            let done = (at * PART) as u64;
            self.watch
                .progress("queueing what changed", done, Some(total));
            let looked = self.look_at_rows(run, rules, part, &mut ids).await?;
            if run.dry {
                self.describe_tellings(run, looked);
            } else {
                self.queue_tellings(run, rules, looked).await?;
            }
        }
        run.local_position = position;
        if everything {
            run.facts.last_full = Some(self.world.now());
        }
        Ok(())
    }

    /// The keys of rows that changed or vanished, or were left to be looked at.
    async fn rows_to_tell(&mut self, run: &mut Run, everything: bool) -> Result<Rows> {
        let position = run.facts.local_position.clone().filter(|_| !everything);
        let mut keys: HashSet<LocalKey> = std::mem::take(&mut run.dirty_local);
        let ids: Vec<RemoteId> = run.dirty_remote.iter().cloned().collect();
        for link in Memory::new(self.store).links(&ids).await? {
            keys.extend(link.map(|link| link.local));
        }
        let mut rows = Rows::default();
        match self.local.changes(position.as_deref()).await? {
            crate::local::LocalChanges::Keys {
                keys: changed,
                deletions_included: true,
                ..
            } if position.is_some() => keys.extend(changed.into_iter().map(|(key, _)| key)),
            _ => {
                // A child row may have changed although its parent did not.
                let all = !self.mapping.children.is_empty();
                let compared = self.compare_rows(run, &HashSet::new(), all).await?;
                run.push.unchanged += compared.unchanged;
                keys.extend(compared.differing);
                rows.gone = compared.gone;
            }
        }
        let gone: HashSet<LocalKey> = rows.gone.iter().cloned().collect();
        let mut keys: Vec<LocalKey> = keys.into_iter().filter(|key| !gone.contains(key)).collect();
        keys.sort();
        for part in keys.chunks(PART) {
            let links = Memory::new(self.store).links_by_local(part).await?;
            let mut linked = Vec::new();
            for (key, link) in part.iter().zip(links) {
                match link {
                    Some(_) => linked.push(key.clone()),
                    None => rows.there.push(key.clone()),
                }
            }
            for (key, row) in linked.iter().zip(self.local.fetch(&linked).await?) {
                if row.is_some_and(|row| !row.marked) {
                    rows.linked += 1;
                    rows.there.push(key.clone());
                } else {
                    rows.gone.push(key.clone());
                }
            }
        }
        Ok(rows)
    }

    /// The brakes, before anything is queued.
    async fn weigh_changes(
        &mut self,
        run: &mut Run,
        rules: &MessageRules,
        rows: &Rows,
    ) -> Result<(), Halt> {
        let mut load = Load {
            live: run.facts.links,
            updates: rows.linked,
            ..Load::default()
        };
        if rules.object == Object::Customer && self.rules.deletes == DeletePolicy::Apply {
            load.deletes = rows.gone.len() as u64;
        }
        if self.check_load(run, "CRM", load).is_ok() {
            return Ok(());
        }
        // Not all that was looked at has something to tell.
        load.updates = 0;
        for part in rows.there.chunks(PART) {
            let mut ids = HashSet::new();
            let looked = self.look_at_rows(run, rules, part, &mut ids).await?;
            load.updates += looked
                .iter()
                .filter(|row| row.link.is_some() && matches!(row.telling, Telling::Record(_)))
                .count() as u64;
        }
        self.check_load(run, "CRM", load)
    }

    async fn look_at_rows(
        &mut self,
        run: &Run,
        rules: &MessageRules,
        keys: &[LocalKey],
        ids: &mut HashSet<RemoteId>,
    ) -> Result<Vec<Looked>> {
        let rows: Vec<Row> = self
            .local
            .fetch(keys)
            .await?
            .into_iter()
            .flatten()
            .filter(|row| !row.marked)
            .collect();
        let keys: Vec<LocalKey> = rows.iter().map(|row| row.key.clone()).collect();
        let links = Memory::new(self.store).links_by_local(&keys).await?;
        let children = self.local.children(&keys).await?;
        let mut looked = Vec::with_capacity(rows.len());
        for ((row, link), children) in rows.iter().zip(links).zip(children) {
            let view = local_view(self.vault, self.mapping, row);
            let link = link.map(|link| self.migrate(run, link));
            let mut telling = self.tell(run, rules, &view, link.as_ref(), &children);
            if let Telling::Record(told) = &telling
                && self.is_taken(&told.id, &view.key, ids).await?
            {
                telling = Telling::Hold(Hold {
                    code: "E-EXT-NOT-UNIQUE",
                    reason: "Another row has this identity already; give one of them another"
                        .into(),
                    fields: run.identity.external_field.into_iter().collect(),
                });
            }
            looked.push(Looked {
                view,
                link,
                telling,
            });
        }
        Ok(looked)
    }

    /// Whether another row stands for this record, in the state or in this pass.
    async fn is_taken(
        &self,
        id: &RemoteId,
        key: &LocalKey,
        ids: &mut HashSet<RemoteId>,
    ) -> Result<bool> {
        let ours = std::slice::from_ref(id);
        let link = Memory::new(self.store).links(ours).await?.pop().flatten();
        match link {
            Some(link) => Ok(link.local != *key),
            None => Ok(!ids.insert(id.clone())),
        }
    }

    fn tell(
        &self,
        run: &Run,
        rules: &MessageRules,
        view: &LocalView,
        link: Option<&Link>,
        children: &[Vec<Vec<crate::model::Cell>>],
    ) -> Telling {
        if let Some(link) = link
            && self.waits(run, &dirty_remote(&link.remote), ReviewKind::Conflict)
        {
            // A message holds the whole record: sent now, it would answer for the person.
            return Telling::Later;
        }
        let unreadable = (0..run.fields.len())
            .filter(|&field| run.fields[field].pushes())
            .find_map(|field| {
                view.values[field]
                    .as_ref()
                    .err()
                    .map(|problem| (field, problem))
            });
        if let Some((field, problem)) = unreadable {
            return Telling::Hold(Hold {
                code: problem.code,
                reason: format!("{}: {}", self.mapping.fields[field].column, problem.reason),
                fields: vec![field],
            });
        }
        let mut values: Vec<_> = (0..run.fields.len())
            .map(|field| view.value(field).map(str::to_owned))
            .collect();
        let mut generated = None;
        let Some(identity) = run
            .identity
            .external_field
            .filter(|&field| run.fields[field].pushes())
        else {
            return Telling::Hold(no_identity("The mapping sends no identity"));
        };
        if values[identity].is_none() && link.is_none() && self.mapping.fields[identity].generates {
            let mut random = [0; 16];
            self.world.random(&mut random);
            values[identity] = self.mapping.generate(identity, &values, random);
            generated = Some(identity);
        }
        let Some(id) = values[identity].clone().map(RemoteId) else {
            let mut hold = no_identity(&format!(
                "{}: the row has no identity, so nobody could tell it from others",
                self.mapping.fields[identity].column
            ));
            hold.fields = vec![identity];
            return Telling::Hold(hold);
        };
        let document = match self.mapping.compose(&values, children) {
            Ok(document) => document,
            Err(problem) => {
                return Telling::Hold(Hold {
                    code: problem.code,
                    reason: problem.reason,
                    fields: Vec::new(),
                });
            }
        };
        // What JSON can't hold is found out before a number is given out.
        if let Err(problem) = Message::of_record(rules.object, Change::Changed, 0, &document) {
            return Telling::Hold(Hold {
                code: problem.code,
                reason: problem.reason,
                fields: Vec::new(),
            });
        }
        let record = RemoteRecord {
            id: id.clone(),
            stamp: None,
            deleted: false,
            document,
        };
        let shown = self.view(run, &record);
        if link.is_some_and(|link| link.remote == id && !differs(run, link, view, &shown)) {
            return Telling::Nothing;
        }
        Telling::Record(Box::new(Told {
            id,
            document: record.document,
            shown,
            generated,
        }))
    }

    async fn queue_tellings(
        &mut self,
        run: &mut Run,
        rules: &MessageRules,
        mut looked: Vec<Looked>,
    ) -> Result<()> {
        self.record_identities(run, &mut looked).await?;
        let outbox = self.outbox();
        let mut putting = outbox.begin().await?;
        let mut batch = Batch::new();
        for Looked {
            view,
            link,
            telling,
        } in looked
        {
            batch.remove(Table::Inbox, dirty_local(&view.key));
            match telling {
                Telling::Nothing => {
                    run.push.unchanged += 1;
                    if let Some(link) = link
                        && link.row != view.row
                    {
                        put_link(
                            &mut batch,
                            &Link {
                                row: view.row,
                                ..link
                            },
                        );
                    }
                }
                Telling::Later => {
                    run.push.held += 1;
                    let mark = run.mark();
                    batch.put(Table::Inbox, dirty_local(&view.key), mark);
                }
                Telling::Hold(hold) => self.hold_row(run, view, link, &hold, &mut batch),
                Telling::Record(told) => {
                    self.put_record(
                        run,
                        rules,
                        &outbox,
                        &mut putting,
                        (view, link, *told),
                        &mut batch,
                    )
                    .await?;
                }
            }
        }
        batch.writes.append(&mut putting.batch.writes);
        if batch.is_empty() {
            return Ok(());
        }
        self.store.commit(batch).await?;
        self.world.checkpoint("M.queued").await
    }

    /// One message, and the link that remembers what it told.
    async fn put_record(
        &self,
        run: &mut Run,
        rules: &MessageRules,
        outbox: &Outbox<'_, S, W>,
        putting: &mut Putting,
        (view, link, told): (LocalView, Option<Link>, Told),
        batch: &mut Batch,
    ) -> Result<()> {
        let customer = (rules.object == Object::Customer).then_some(&told.id);
        let known = link.as_ref().is_some_and(|link| link.remote == told.id);
        if let (Some(old), false, Some(_)) = (&link, known, customer) {
            // It has another identity now; there is no message that renames.
            outbox.withdraw(putting, &old.remote).await?;
            outbox.put(putting, Some(&old.remote), |at| {
                Ok::<_, crate::model::Error>(Message::of_deletion(at, &old.remote))
            })?;
        }
        let change = if known {
            Change::Changed
        } else {
            Change::Created
        };
        outbox
            .put(putting, customer, |at| {
                Message::of_record(rules.object, change, at, &told.document)
            })
            .map_err(|problem| crate::model::Error::unexpected("E-INVARIANT", problem.reason))?;
        match &link {
            Some(old) if !known => {
                batch.remove(Table::Link, old.remote.0.as_bytes());
                self.bury(old, batch);
                run.push.updated += 1;
            }
            Some(_) => run.push.updated += 1,
            None => {
                run.push.created += 1;
                run.facts.links += 1;
            }
        }
        let base = link
            .filter(|_| known)
            .unwrap_or_else(|| self.bare_link(run, &told.shown));
        put_link(batch, &told_link(run, base, &view, &told.shown));
        batch.remove(Table::Tomb, told.id.0.as_bytes());
        batch.remove(Table::Stranger, told.id.0.as_bytes());
        for key in [dirty_local(&view.key), dirty_remote(&told.id)] {
            let ours = run
                .quarantine
                .get(&key)
                .is_some_and(|record| record.side == Side::Local);
            if ours {
                self.release_quarantine(run, &key, batch);
            }
        }
        Ok(())
    }

    /// Whose a new row is stands in the database before anything is sent of it; what `generate` made is written to the row with it.
    async fn record_identities(&mut self, run: &mut Run, looked: &mut [Looked]) -> Result<()> {
        let (mut writes, mut places) = (Vec::new(), Vec::new());
        for (place, row) in looked.iter().enumerate() {
            let Telling::Record(told) = &row.telling else {
                continue;
            };
            if row.link.as_ref().is_some_and(|link| link.remote == told.id) {
                continue;
            }
            let record = LinkRow {
                key: row.view.key.clone(),
                external_id: Some(told.id.0.clone()),
                remote_id: Some(told.id.clone()),
            };
            let made = told.generated.and_then(|field| {
                let cell = self.mapping.to_cell(field, &Some(told.id.0.clone())).ok()?;
                Some((field, cell))
            });
            writes.push(match made {
                None => RowWrite::Link(record),
                Some(cell) => RowWrite::Update {
                    key: row.view.key.clone(),
                    expect: row.view.row,
                    cells: vec![cell],
                    children: Vec::new(),
                    revive: false,
                    link: Some(record),
                },
            });
            places.push(place);
        }
        if writes.is_empty() {
            return Ok(());
        }
        self.world.checkpoint("M.before").await?;
        let outcomes = self.local.apply(&run.fence, &writes).await?;
        run.wrote = true;
        self.world.checkpoint("M.reserved").await?;
        for (place, outcome) in places.into_iter().zip(outcomes) {
            let row = &mut looked[place];
            match outcome {
                RowOutcome::Written(Some(written)) => {
                    row.view = local_view(self.vault, self.mapping, &written);
                }
                RowOutcome::Written(None) => {}
                RowOutcome::Refused { code, reason } => {
                    let fields = Vec::new();
                    row.telling = Telling::Hold(Hold {
                        code,
                        reason,
                        fields,
                    });
                }
                // It moved meanwhile: the next run sees it as it is then.
                RowOutcome::Moved | RowOutcome::Exists(_) => row.telling = Telling::Later,
            }
        }
        Ok(())
    }

    fn hold_row(
        &self,
        run: &mut Run,
        view: LocalView,
        link: Option<Link>,
        hold: &Hold,
        batch: &mut Batch,
    ) {
        let task = match link {
            Some(link) => Task::linked(link, None, Some(view), Action::Nothing),
            None => Task::newcomer(None, Some(view), Action::Nothing),
        };
        if self.left_alone(run, &task) {
            run.push.unchanged += 1;
            return;
        }
        run.push.held += 1;
        self.quarantine_hold(run, Side::Local, &task, hold, batch);
    }

    /// Rows that are gone: their customers' queued messages go, and one that deletes is queued.
    async fn queue_deletions(
        &mut self,
        run: &mut Run,
        rules: &MessageRules,
        keys: &[LocalKey],
    ) -> Result<()> {
        self.check_signal()?;
        let links = Memory::new(self.store).links_by_local(keys).await?;
        let (mut dead, mut batch) = (Vec::new(), Batch::new());
        for link in links.into_iter().flatten() {
            let key = dirty_remote(&link.remote);
            let take = self.decision(run, &key);
            let ignored = link.gone == Some(Side::Local) && take.is_none();
            // There is no message that deletes a transaction (seed 003, table H-5).
            let has_message = rules.object == Object::Customer;
            let action = match (take, self.rules.deletes) {
                _ if ignored => Action::Nothing,
                _ if !has_message => Action::DeleteRemote,
                (Some(Side::Local), _) | (None, DeletePolicy::Apply) => Action::DeleteRemote,
                (Some(Side::Remote), _) | (None, DeletePolicy::Ignore) => {
                    Action::IgnoreDelete(Side::Local)
                }
                (None, DeletePolicy::Review) => Action::HoldDelete(Side::Local),
            };
            if action == Action::DeleteRemote {
                dead.push(link);
                continue;
            }
            if take.is_some() {
                self.release(run, &key, &mut batch);
            }
            let mut task = Task::linked(link, None, None, action.clone());
            task.from_local = true;
            if !run.dry {
                self.conclude_unwritten(run, task, action, &mut batch)
                    .await?;
            }
        }
        if run.dry {
            for link in dead {
                run.plan.push(plan_item(
                    "delete",
                    Some(&link),
                    &link.local,
                    Some("deleted in the database"),
                ));
            }
            return Ok(());
        }
        if !dead.is_empty() {
            let unlink: Vec<RowWrite> = dead
                .iter()
                .map(|link| RowWrite::Unlink(link.local.clone()))
                .collect();
            self.local.apply(&run.fence, &unlink).await?;
            run.wrote = true;
            self.world.checkpoint("M.unlinked").await?;
        }
        let outbox = self.outbox();
        let mut putting = outbox.begin().await?;
        for link in dead {
            if rules.object == Object::Customer {
                outbox.withdraw(&mut putting, &link.remote).await?;
                outbox.put(&mut putting, Some(&link.remote), |at| {
                    Ok::<_, crate::model::Error>(Message::of_deletion(at, &link.remote))
                })?;
                run.push.deleted += 1;
            } else {
                run.push.unchanged += 1;
            }
            remove_link(&mut batch, &link);
            self.bury(&link, &mut batch);
            self.release(run, &dirty_remote(&link.remote), &mut batch);
            batch.remove(Table::Inbox, dirty_local(&link.local));
            run.facts.links = run.facts.links.saturating_sub(1);
        }
        batch.writes.append(&mut putting.batch.writes);
        if batch.is_empty() {
            return Ok(());
        }
        self.store.commit(batch).await?;
        self.world.checkpoint("M.queued").await
    }

    fn describe_tellings(&self, run: &mut Run, looked: Vec<Looked>) {
        for row in looked {
            let (action, reason) = match &row.telling {
                Telling::Nothing => continue,
                Telling::Later => (
                    "hold",
                    Some("both sides changed it; a person decides".to_owned()),
                ),
                Telling::Hold(hold) => ("hold", Some(format!("{} {}", hold.code, hold.reason))),
                Telling::Record(_) if row.link.is_some() => ("update", None),
                Telling::Record(_) => ("create", None),
            };
            run.plan.push(plan_item(
                action,
                row.link.as_ref(),
                &row.view.key,
                reason.as_deref(),
            ));
        }
    }

    fn outbox(&self) -> Outbox<'_, S, W> {
        Outbox {
            store: self.store,
            vault: self.vault,
            world: self.world,
        }
    }
}

fn no_identity(reason: &str) -> Hold {
    Hold {
        code: "E-UNADDRESSABLE",
        reason: reason.to_owned(),
        fields: Vec::new(),
    }
}

fn plan_item(
    action: &'static str,
    link: Option<&Link>,
    key: &LocalKey,
    reason: Option<&str>,
) -> PlanItem {
    PlanItem {
        action,
        side: "remote",
        local: Some(key.to_string()),
        remote: link.map(|link| link.remote.to_string()),
        fields: Vec::new(),
        reason: reason.map(str::to_owned),
    }
}

/// Whether a row shows something else than what was agreed or sent.
fn differs(run: &Run, link: &Link, row: &LocalView, shown: &RemoteView) -> bool {
    let field = |field: usize| {
        run.fields[field].pushes()
            && match link.bases[field] {
                Some(base) => base.local != row.digests[field],
                // Of what was never told, an empty column has nothing to tell.
                None => row.value(field).is_some(),
            }
    };
    let children = |rule: usize| {
        let (Some(Some(view)), Some(base)) = (shown.children.get(rule), link.children.get(rule))
        else {
            return false;
        };
        view.content != base.content && !(view.parts.is_empty() && base.keys.is_empty())
    };
    (0..run.fields.len()).any(field) || (0..link.children.len()).any(children)
}

/// The link after its record was told. On our side the base is what was told. On the other it stays what was last seen of it, where
/// something was: a message that was on its way meanwhile shows the same, and is no edit that would undo ours.
fn told_link(run: &Run, link: Link, row: &LocalView, shown: &RemoteView) -> Link {
    let mut link = link;
    (link.local, link.row, link.gone) = (row.key.clone(), row.row, None);
    link.external = shown.external.or(link.external);
    for field in 0..run.fields.len() {
        if run.fields[field].pushes() {
            let local = row.digests[field];
            let remote = match (link.bases[field], &shown.values[field]) {
                (Some(base), _) => base.remote,
                (None, Ok(_)) => shown.digests[field],
                (None, Err(_)) => local,
            };
            link.bases[field] = Some(Base { local, remote });
        }
    }
    for (base, view) in link.children.iter_mut().zip(&shown.children) {
        if let Some(view) = view {
            *base = ChildBase {
                content: view.content,
                keys: view.parts.iter().map(|(key, _)| *key).collect(),
            };
        }
    }
    link
}
