//! From changed rows to messages: which rows are looked at, the brakes, and then one part after the other.
//!
//! What the other side shows can't be asked for, and is not guessed.

use std::collections::HashSet;

use crate::local::{Local, LocalChanges};
use crate::model::{DeletePolicy, LocalKey, RemoteId, Result, World};
use crate::remote::Remote;
use crate::remote::data_sync::Object;
use crate::state::StateStore;

use super::super::guard::Load;
use super::super::memory::{Link, Memory};
use super::super::report::PlanItem;
use super::super::run::Run;
use super::super::{Engine, Halt};
use super::MessageRules;
use super::tell::{Looked, Telling};

/// Rows looked at together, with their child rows. Each makes up to five writes in one commit.
const PART: usize = 150;

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
            LocalChanges::Keys {
                keys: changed,
                deletions_included: true,
                ..
            } if position.is_some() => keys.extend(changed.into_iter().map(|(key, _)| key)),
            _ => {
                // A child row may have changed although its parent did not.
                let all = !self.mapping.children.is_empty();
                let compared = self.compare_rows(run, &run.rows_asked_about(), all).await?;
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
}

pub(super) fn plan_item(
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
