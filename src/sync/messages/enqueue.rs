//! Puts what rows have to tell into the outbox: the message and the link that remembers it are one commit, so that a change is
//! queued once, whatever happens. An identity is recorded in the database before that.

use crate::local::{LinkRow, Local, RowOutcome, RowWrite};
use crate::model::{DeletePolicy, LocalKey, Result, World};
use crate::remote::Remote;
use crate::remote::data_sync::{Change, Message, Object};
use crate::state::{Batch, StateStore, Table};

use super::super::Engine;
use super::super::memory::{
    Base, ChildBase, Link, Memory, ReviewKind, Side, dirty_local, dirty_remote, put_link,
};
use super::super::run::{Action, Hold, Run, Task};
use super::super::view::{LocalView, RemoteView, local_view};
use super::MessageRules;
use super::changes::plan_item;
use super::outbox::{Outbox, Putting};
use super::tell::{Looked, Telling, Told};

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    pub(super) async fn queue_tellings(
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
            if let Some(link) = link.as_ref()
                && run.is_asked_about(&link.remote, Side::Local)
            {
                // The row is there: what was asked about its deletion is void.
                self.release_review(run, &dirty_remote(&link.remote), &mut batch);
            }
            let has_moved = link
                .as_ref()
                .is_some_and(|link| link.row != view.row || link.gone == Some(Side::Local));
            match telling {
                Telling::Nothing => {
                    run.push.unchanged += 1;
                    let back = link.map(|link| Link {
                        row: view.row,
                        gone: link.gone.filter(|side| *side != Side::Local),
                        ..link
                    });
                    if let Some(link) = back.filter(|_| has_moved) {
                        put_link(&mut batch, &link);
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
                self.retire(run, old, batch);
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
    pub(super) async fn queue_deletions(
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
            let take = self.decision(run, &key, ReviewKind::Delete);
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
            self.end_pair(run, &link, &mut batch);
            batch.remove(Table::Inbox, dirty_local(&link.local));
        }
        batch.writes.append(&mut putting.batch.writes);
        if batch.is_empty() {
            return Ok(());
        }
        self.store.commit(batch).await?;
        self.world.checkpoint("M.queued").await
    }

    fn outbox(&self) -> Outbox<'_, S, W> {
        Outbox {
            store: self.store,
            vault: self.vault,
            world: self.world,
        }
    }
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
