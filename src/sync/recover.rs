//! What an earlier run announced and did not finish: proved by a look, never assumed (reliability, section 2.8).
//!
//! It runs before anything else is read, and needs nothing but the intent and a look-up.

use crate::local::{LinkRow, Local, Row, RowOutcome, RowWrite};
use crate::model::{
    Canonical, Cell, Digest, Error, FieldProblem, LocalKey, RemoteItem, Result, World,
};
use crate::remote::{Found, LookUp, Remote};
use crate::state::{Batch, StateStore, Table};

use super::Engine;
use super::held::UNREADABLE;
use super::memory::{Base, Intent, IntentKind, Link, Memory, dirty_local, dirty_remote, put_link};
use super::plan::remote_unchanged;
use super::push::{UNSENT, credit, equal_then};
use super::run::Run;
use super::settle::LINK_TAKEN;
use super::view::{RemoteView, field_digest, local_view};

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    pub(crate) async fn recover(&mut self, run: &mut Run) -> Result<()> {
        if run.dry {
            return Ok(());
        }
        let mut rows = Vec::new();
        for (key, intent) in Memory::new(self.store).all::<Intent>(Table::Intent).await? {
            self.check_signal()?;
            if let (IntentKind::Row, Some(id)) = (intent.kind, &intent.remote) {
                rows.push((id.clone(), intent));
                continue;
            }
            let mut batch = Batch::new();
            match self.recover_one(run, &key, &intent, &mut batch).await {
                Ok(true) => batch.remove(Table::Intent, key),
                Ok(false) => {
                    run.unfound.insert(key, intent);
                }
                // The intent stays, and nothing else waits for this contact (I8).
                Err(error) if error.code() == UNREADABLE => {
                    batch = Batch::new();
                    self.hold_unread_intent(run, &intent, &error, &mut batch);
                }
                Err(error) => return Err(error),
            }
            self.store.commit(batch).await?;
            self.world.checkpoint("recovered").await?;
        }
        self.recover_rows(run, rows).await
    }

    /// True when the intent is over.
    async fn recover_one(
        &mut self,
        run: &mut Run,
        key: &[u8],
        intent: &Intent,
        batch: &mut Batch,
    ) -> Result<bool> {
        match intent.kind {
            IntentKind::Update => self.recover_update(run, key, intent, batch).await?,
            IntentKind::Create => return self.recover_create(run, key, intent, batch).await,
            IntentKind::Delete => self.recover_delete(run, intent, batch).await?,
            IntentKind::Row => {}
        }
        Ok(true)
    }

    async fn recover_update(
        &mut self,
        run: &mut Run,
        key: &[u8],
        intent: &Intent,
        batch: &mut Batch,
    ) -> Result<()> {
        let Some(id) = intent.remote.clone() else {
            return Ok(());
        };
        // Whatever it shows, both sides are looked at again.
        run.dirty_remote.insert(id.clone());
        batch.put(Table::Inbox, dirty_remote(&id), Vec::new());
        let got = self.found(run, &LookUp::Id(id.clone())).await?;
        if let Some(identity) = &intent.identity {
            let sent = self.open_address(key, identity)?;
            if self.has_moved(&sent, got.as_ref()) {
                self.wait_until_settled(run).await;
                self.hold_echo(run, &sent, &id, intent, batch).await?;
            }
        }
        let Some(mut got) = got else {
            run.missed.insert(id);
            return Ok(());
        };
        run.saw(&id, got.stamp);
        if intent.mapping != run.facts.mapping {
            return Ok(());
        }
        let memory = Memory::new(self.store);
        let link = memory
            .links(std::slice::from_ref(&id))
            .await?
            .pop()
            .flatten();
        let keys = std::slice::from_ref(&intent.local);
        let row = self.local.fetch(keys).await?.pop().flatten();
        // Where the row is gone, what was proved still counts: else our own push would look like an edit of the contact.
        let is_gone = row.as_ref().is_none_or(|row| row.marked);
        let is_new = link.is_none();
        let is_taken = memory.links_by_local(keys).await?.pop().flatten().is_some();
        if is_new && (is_gone || is_taken) {
            return Ok(());
        }
        let row = row.unwrap_or_else(|| nothing(run, &intent.local));
        let local = local_view(self.vault, self.mapping, &row);
        if intent
            .sent
            .iter()
            .enumerate()
            .any(|(field, sent)| sent.is_some_and(|sent| got.digests[field] != sent))
        {
            self.wait_until_settled(run).await;
            match self.found(run, &LookUp::Id(id.clone())).await? {
                // A replica that lags may show what was before the first look.
                Some(view) if view.stamp < got.stamp => {}
                Some(view) => got = view,
                None => return Ok(()),
            }
            run.saw(&id, got.stamp);
        }
        let mut link = match link {
            Some(link) => self.migrate(run, link),
            None => match self.pair_of(run, intent, &got).await? {
                Some(link) => link,
                None => return Ok(()),
            },
        };
        let expected = self.as_sent(key, intent, &got)?;
        self.move_bases(&mut link, intent, &local, &expected, &got);
        let mut shown = got.digests.iter().enumerate();
        if shown.all(|(field, shown)| intent.stood(field) == Some(*shown))
            && remote_unchanged(&link, &got)
        {
            // Nobody has edited it since, nor before: the time is that of the push.
            (link.stamp, link.own_stamp) = (got.stamp, true);
        }
        if is_gone {
            credit(&mut link, &intent.follows, &got);
        }
        if is_new {
            run.facts.links += 1;
            run.dirty_local.insert(intent.local.clone());
            batch.put(Table::Inbox, dirty_local(&intent.local), Vec::new());
        }
        put_link(batch, &link);
        Ok(())
    }

    /// The link of a pair that had just met: its push was announced, and the kill came before the link was recorded. Met anew, an
    /// emptied field would be filled and an edit since the push would be forgotten; so it counts as the pair that it was, on what both
    /// showed then. `None`: the database has linked one of them otherwise.
    async fn pair_of(
        &mut self,
        run: &mut Run,
        intent: &Intent,
        got: &RemoteView,
    ) -> Result<Option<Link>> {
        let bare = self.bare_link(run, got);
        if self.is_recorded(&got.id, &intent.local).await? {
            run.met.insert(got.id.clone(), intent.local_after.clone());
        } else {
            self.void_row(&got.id).await?;
        }
        let link = Link {
            local: intent.local.clone(),
            met: true,
            bases: self.bases_when_met(run, intent),
            ..bare
        };
        for named in [Some(got), None] {
            let record = self.link_row(run, intent.local.clone(), &link, named);
            let write = RowWrite::Link(record);
            let outcome = self.local.apply(&run.fence, &[write]).await?.pop();
            run.wrote = true;
            match outcome {
                Some(RowOutcome::Written(_)) => return Ok(Some(link)),
                // Perhaps its External ID alone.
                Some(RowOutcome::Refused { code, .. }) if code == LINK_TAKEN => {}
                _ => break,
            }
        }
        Ok(None)
    }

    /// What two that had just met agree on while the push of their first meeting is not proved.
    pub(crate) fn bases_when_met(&self, run: &Run, intent: &Intent) -> Vec<Option<Base>> {
        let base = |field: usize| {
            if intent.sent[field].is_some() {
                return None; // Reading back tells.
            }
            let fingerprint = self.mapping.fields[field].fingerprint;
            let empty = field_digest(self.vault, fingerprint, &None);
            // A row that was to be filled, and was not.
            let unfilled = Base {
                local: empty,
                remote: UNSENT,
            };
            equal_then(intent, field)
                .or((intent.local_after[field] == Some(empty)).then_some(unfilled))
        };
        (0..run.fields.len()).map(base).collect()
    }

    /// True when the intent is over. One that was not found stays until the run has looked at the newcomers: its contact may be
    /// among them, under another address.
    async fn recover_create(
        &mut self,
        run: &mut Run,
        key: &[u8],
        intent: &Intent,
        batch: &mut Batch,
    ) -> Result<bool> {
        let Some(identity) = &intent.identity else {
            return Ok(true);
        };
        let text = String::from_utf8(self.vault.open(key, &identity.sealed)?)
            .map_err(|_| super::memory::corrupt())?;
        let find = if identity.external {
            LookUp::External(text.clone())
        } else {
            LookUp::Email(text.clone())
        };
        let mut got = self.found(run, &find).await?;
        if got.is_none() {
            self.wait_until_settled(run).await;
            got = self.found(run, &find).await?;
        }
        run.dirty_local.insert(intent.local.clone());
        batch.put(Table::Inbox, dirty_local(&intent.local), Vec::new());
        let Some(got) = got else {
            run.tries.insert(intent.local.clone(), intent.tries);
            if let Some(id) = &intent.remote {
                // It was to stand in for a contact that is dead: unread, that one would pass for alive.
                run.dirty_remote.insert(id.clone());
                batch.put(Table::Inbox, dirty_remote(id), Vec::new());
            }
            return Ok(false);
        };
        if self.link_of_another(&got, &intent.local).await?.is_some() {
            return Ok(true);
        }
        let memory = Memory::new(self.store);
        let linked = memory
            .links_by_local(std::slice::from_ref(&intent.local))
            .await?
            .pop()
            .flatten();
        if linked.as_ref().is_some_and(|link| link.remote == got.id) {
            // The two have met without it, while the contact could not be read: what was agreed since stands.
            return Ok(true);
        }
        let row = self
            .local
            .fetch(std::slice::from_ref(&intent.local))
            .await?
            .pop()
            .flatten();
        // A row that was deleted meanwhile: the pair is planned as one whose row is gone, on the bases of what was sent.
        let standing = row.clone().unwrap_or_else(|| nothing(run, &intent.local));
        let local = local_view(self.vault, self.mapping, &standing);
        let bases = if intent.mapping == run.facts.mapping {
            let expected = self.as_sent(key, intent, &got)?;
            self.bases_of_new(run, intent, &local, Some(&expected), &got, true)
        } else {
            vec![None; run.fields.len()]
        };
        let mut link = self.created_link(run, &got, &local, Some(bases));
        if intent.mapping == run.facts.mapping && row.as_ref().is_none_or(|row| row.marked) {
            credit(&mut link, &intent.follows, &got);
        }
        link.met = true;
        link.children = match &linked {
            Some(old) => self.migrate(run, old.clone()).children,
            None => vec![Default::default(); self.mapping.children.len()],
        };
        (link.stamp, link.own_stamp) = (got.stamp, true);
        if run.facts.rewound && !remote_unchanged(&link, &got) {
            // Whoever edited it since made it newer than the push: of its time it would count as restored with the backup.
            let ahead = self.remote.clock_difference().unwrap_or_default();
            link.stamp = Some(self.remote.stamp(intent.at + ahead)).min(got.stamp);
        }
        if let Some(old) = linked.filter(|old| old.remote != link.remote) {
            self.retire(run, &old, batch);
        } else if Memory::new(self.store)
            .links(std::slice::from_ref(&link.remote))
            .await?
            .pop()
            .flatten()
            .is_none()
        {
            run.facts.links += 1;
        }
        if row.is_some() {
            let record = LinkRow {
                key: link.local.clone(),
                external_id: identity.external.then_some(text),
                remote_id: Some(link.remote.clone()),
            };
            self.local
                .apply(&run.fence, &[RowWrite::Link(record)])
                .await?;
            run.wrote = true;
        }
        run.dirty_remote.insert(link.remote.clone());
        batch.put(Table::Inbox, dirty_remote(&link.remote), Vec::new());
        put_link(batch, &link);
        Ok(true)
    }

    async fn recover_delete(
        &mut self,
        run: &mut Run,
        intent: &Intent,
        batch: &mut Batch,
    ) -> Result<()> {
        let Some(id) = intent.remote.clone() else {
            return Ok(());
        };
        let Some(link) = Memory::new(self.store)
            .links(std::slice::from_ref(&id))
            .await?
            .pop()
            .flatten()
        else {
            return Ok(());
        };
        let by = LookUp::Id(id.clone());
        let mut is_gone = self.found(run, &by).await?.is_none();
        if !is_gone {
            // The service may still be working on it (H-21).
            self.wait_until_settled(run).await;
            is_gone = self.found(run, &by).await?.is_none();
        }
        if is_gone {
            self.end_pair(run, &link, batch);
            self.local
                .apply(&run.fence, &[RowWrite::Unlink(link.local.clone())])
                .await?;
            run.wrote = true;
        } else {
            run.dirty_remote.insert(id.clone());
            batch.put(Table::Inbox, dirty_remote(&id), Vec::new());
        }
        Ok(())
    }

    /// The contact as it is now; `None` when it is gone, `E-LOOKUP` when it can't be read.
    pub(crate) async fn found(&self, run: &Run, by: &LookUp) -> Result<Option<RemoteView>> {
        match self.remote.look_up(by).await? {
            Found::Item(item) => match *item {
                RemoteItem::Record(record) if record.deleted => Ok(None),
                RemoteItem::Record(record) => Ok(Some(self.view(run, &record))),
                RemoteItem::Bad(_) => Err(Error::unreachable(
                    UNREADABLE,
                    "A contact is found but can't be read; it is looked at again by each run",
                )),
            },
            Found::Nothing => Ok(None),
        }
    }

    /// The values of a push as an intent keeps them, for [`Self::as_sent`].
    pub(crate) fn seal_sent(
        &self,
        key: &[u8],
        expected: &RemoteView,
        sent: &[Option<Digest>],
    ) -> Vec<u8> {
        let values: Vec<Option<&str>> = (0..sent.len())
            .map(|field| sent[field].and_then(|_| expected.value(field)))
            .collect();
        let plain = serde_json::to_vec(&values).expect("texts are always JSON");
        self.vault.seal(self.nonce(), key, &plain)
    }

    /// The contact as it would stand had exactly what was sent landed: `got`, with the values that were sent.
    pub(crate) fn as_sent(
        &self,
        key: &[u8],
        intent: &Intent,
        got: &RemoteView,
    ) -> Result<RemoteView> {
        let values: Vec<Canonical> = if intent.values.is_empty() {
            Vec::new()
        } else {
            serde_json::from_slice(&self.vault.open(key, &intent.values)?)
                .map_err(|_| super::memory::corrupt())?
        };
        let mut expected = got.clone();
        for (field, value) in expected.values.iter_mut().enumerate() {
            *value = match (intent.sent.get(field), values.get(field)) {
                (Some(Some(_)), Some(sent)) => Ok(sent.clone()),
                _ => Err(FieldProblem {
                    code: "Q-UNKNOWN",
                    reason: "it was not sent".into(),
                }),
            };
        }
        Ok(expected)
    }

    /// Before `settle` has passed since this run began, absence proves nothing (H-21): until then the run before it may have lived,
    /// and have sent what it announced long before.
    async fn wait_until_settled(&self, run: &Run) {
        let passed = self.world.monotonic().saturating_sub(run.began);
        if let Some(rest) = self.rules.settle.checked_sub(passed) {
            self.world.sleep(rest).await;
        }
    }
}

/// Stands for a row that is gone.
fn nothing(run: &Run, key: &LocalKey) -> Row {
    Row {
        key: key.clone(),
        cells: vec![Cell::Null; run.fields.len()],
        digest: Default::default(),
        changed_at: None,
        marked: false,
    }
}
