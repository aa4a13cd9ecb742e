//! What a row has to tell: what it shows beyond the base of our side, as a whole record, or why it can't be told.
//!
//! It reads rows and links, and writes nothing.

use std::collections::HashSet;

use crate::local::{Local, Row};
use crate::model::{Document, LocalKey, RemoteId, RemoteRecord, Result, World};
use crate::remote::Remote;
use crate::remote::data_sync::{Change, Message};
use crate::state::StateStore;

use super::super::Engine;
use super::super::memory::{Link, Memory, ReviewKind, dirty_remote};
use super::super::run::{Hold, Run};
use super::super::view::{LocalView, RemoteView, local_view};
use super::MessageRules;

/// What is to be told of one row.
pub(super) enum Telling {
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
pub(super) struct Told {
    pub(super) id: RemoteId,
    pub(super) document: Document,
    /// What a receiver will see of it.
    pub(super) shown: RemoteView,
    /// The identity was made by `generate` and stands in no row yet.
    pub(super) generated: Option<usize>,
}

/// A row with what is known of it.
pub(super) struct Looked {
    pub(super) view: LocalView,
    pub(super) link: Option<Link>,
    pub(super) telling: Telling,
}

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    pub(super) async fn look_at_rows(
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
}

fn no_identity(reason: &str) -> Hold {
    Hold {
        code: "E-UNADDRESSABLE",
        reason: reason.to_owned(),
        fields: Vec::new(),
    }
}

/// Whether a row shows something else than what was agreed or sent.
fn differs(run: &Run, link: &Link, row: &LocalView, shown: &RemoteView) -> bool {
    let field = |field: usize| {
        run.fields[field].pushes()
            && match link.bases[field] {
                Some(base) => base.local != row.digests[field],
                // Of what was never told, an empty column has nothing to tell, unless the two had met before: then it was emptied.
                None => link.met || row.value(field).is_some(),
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
