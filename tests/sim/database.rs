//! A model of the customer's database, with the promises of the port and users who work in it meanwhile.

use std::collections::BTreeMap;
use std::collections::HashSet;

use chrono::{DateTime, Utc};
use contactbridge::local::{
    ChildSet, Children, Fence, LinkRow, Local, LocalChanges, LocalMeta, Row, RowChunk, RowOutcome,
    RowWrite,
};
use contactbridge::mapping::Mapping;
use contactbridge::model::{
    Cell, Digest, Error, ErrorKind, Layout, LocalKey, RemoteId, Result, Vault,
};

use crate::oracle::{FIELDS, Side, canonical, shown};
use crate::settings::Settings;
use crate::universe::{Shared, Universe, turn};

#[derive(Clone, Debug, PartialEq)]
pub struct DbRow {
    pub cells: Vec<Cell>,
    pub marked: bool,
}

pub struct Entry {
    pub number: u64,
    pub key: LocalKey,
    pub at: DateTime<Utc>,
}

pub struct Database {
    pub layout: Layout,
    pub settings: Settings,
    pub prepared: bool,
    pub rows: BTreeMap<LocalKey, DbRow>,
    pub children: Vec<(LocalKey, Vec<Cell>)>,
    pub next: i64,
    pub meta: Option<LocalMeta>,
    pub links: BTreeMap<LocalKey, LinkRow>,
    pub journal: Vec<Entry>,
    pub number: u64,
    pub consumed: u64,
    pub floor: u64,
    /// Rows and our tables that the bridge wrote.
    pub writes: u64,
    pub created: u64,
}

impl Database {
    pub fn new(mapping: &Mapping, settings: Settings) -> Self {
        Self {
            layout: mapping.layout.clone(),
            settings,
            prepared: false,
            rows: BTreeMap::new(),
            children: Vec::new(),
            next: 1,
            meta: None,
            links: BTreeMap::new(),
            journal: Vec::new(),
            number: 0,
            consumed: 0,
            floor: 0,
            writes: 0,
            created: 0,
        }
    }

    pub fn column(&self, name: &str) -> usize {
        self.layout
            .columns
            .iter()
            .position(|column| column.name == name)
            .expect("a column of the mapping")
    }

    pub fn text(&self, key: &LocalKey, column: &str) -> Option<String> {
        self.rows
            .get(key)
            .map(|row| shown(&row.cells[self.column(column)]))
    }

    pub fn living(&self) -> impl Iterator<Item = (&LocalKey, &DbRow)> {
        self.rows.iter().filter(|(_, row)| !row.marked)
    }

    /// Rows that are marked as deleted, where nobody living has the same value in this column.
    pub fn marked_alone(&self, column: &str) -> Vec<LocalKey> {
        let column = self.column(column);
        let living: HashSet<String> = self
            .living()
            .map(|(_, row)| shown(&row.cells[column]))
            .collect();
        let rows = self.rows.iter();
        rows.filter(|(_, row)| row.marked && !living.contains(&shown(&row.cells[column])))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// A user takes the mark of a row away.
    pub fn unmark(&mut self, key: &LocalKey, at: DateTime<Utc>) {
        self.rows.get_mut(key).expect("a known row").marked = false;
        self.note(key, at);
    }

    /// Somebody else's write is noted by the triggers.
    pub fn note(&mut self, key: &LocalKey, at: DateTime<Utc>) {
        if self.settings.journal && self.prepared {
            self.number += 1;
            self.journal.push(Entry {
                number: self.number,
                key: key.clone(),
                at,
            });
        }
    }
}

fn digest(vault: &Vault, row: &DbRow) -> Digest {
    vault.digest("model row", format!("{row:?}").as_bytes())
}

/// The port.
pub struct SimLocal {
    pub shared: Shared,
    pub vault: Vault,
}

impl SimLocal {
    fn row(&self, database: &Database, key: &LocalKey) -> Option<Row> {
        let row = database.rows.get(key)?;
        Some(Row {
            key: key.clone(),
            cells: row.cells.clone(),
            digest: digest(&self.vault, row),
            changed_at: database
                .journal
                .iter()
                .filter(|entry| entry.key == *key)
                .map(|entry| entry.at)
                .max(),
            marked: row.marked,
        })
    }

    fn write(&self, universe: &mut Universe, write: &RowWrite) -> RowOutcome {
        let current = |universe: &Universe, key: &LocalKey| self.row(&universe.database, key);
        if universe.disk.unreserved {
            match write {
                RowWrite::Link(link) if link.remote_id.is_none() => {
                    return RowOutcome::Written(None);
                }
                RowWrite::Update {
                    key,
                    cells,
                    link: Some(link),
                    ..
                } if link.remote_id.is_none() => {
                    let row = current(universe, key).map(|mut row| {
                        for (at, cell) in cells {
                            row.cells[*at] = cell.clone();
                        }
                        row
                    });
                    return RowOutcome::Written(row);
                }
                _ => {}
            }
        }
        match write {
            RowWrite::Insert {
                cells,
                children,
                remote_id,
                external_id,
            } => {
                let linked = universe
                    .database
                    .links
                    .values()
                    .find(|link| link.remote_id.as_ref() == Some(remote_id))
                    .cloned();
                if let Some(link) = linked {
                    if let Some(row) = current(universe, &link.key) {
                        return RowOutcome::Exists(row);
                    }
                    universe.database.links.remove(&link.key);
                }
                let key = LocalKey::Int(universe.database.next);
                universe.database.next += 1;
                universe.database.created += 1;
                let cells: Vec<Cell> = cells
                    .iter()
                    .map(|cell| cell.clone().unwrap_or(Cell::Null))
                    .collect();
                universe.database.rows.insert(
                    key.clone(),
                    DbRow {
                        cells,
                        marked: false,
                    },
                );
                self.settle_children(universe, &key, children);
                if let Err(refused) = put_link(
                    universe,
                    LinkRow {
                        key: key.clone(),
                        external_id: external_id.clone(),
                        remote_id: Some(remote_id.clone()),
                    },
                ) {
                    universe.database.rows.remove(&key);
                    universe.database.created -= 1;
                    return refused;
                }
                self.note_change(universe, &key, None);
                RowOutcome::Written(current(universe, &key))
            }
            RowWrite::Update {
                key,
                expect,
                cells,
                children,
                revive,
                link,
            } => {
                let Some(before) = universe.database.rows.get(key).cloned() else {
                    return RowOutcome::Moved;
                };
                if digest(&self.vault, &before) != *expect {
                    return RowOutcome::Moved;
                }
                if let Some(link) = link
                    && let Err(refused) = put_link(universe, link.clone())
                {
                    return refused;
                }
                if let Some(row) = universe.database.rows.get_mut(key) {
                    for (at, cell) in cells {
                        row.cells[*at] = cell.clone();
                    }
                    row.marked &= !revive;
                }
                self.settle_children(universe, key, children);
                self.note_change(universe, key, Some(&before));
                RowOutcome::Written(current(universe, key))
            }
            RowWrite::Delete { key, expect } => {
                let Some(before) = universe.database.rows.get(key).cloned() else {
                    return RowOutcome::Moved;
                };
                if digest(&self.vault, &before) != *expect {
                    return RowOutcome::Moved;
                }
                let anchor = shown(&before.cells[universe.database.column("last_name")]);
                universe.log.removed(Side::Local, &anchor);
                universe.rows_deleted.push(before.clone());
                universe.say(|| format!("      bridge DELETES row {key} {anchor}"));
                if universe.database.layout.deleted.is_some() {
                    if let Some(row) = universe.database.rows.get_mut(key) {
                        row.marked = true;
                    }
                    return RowOutcome::Written(current(universe, key));
                }
                universe
                    .database
                    .children
                    .retain(|(parent, _)| parent != key);
                universe.database.rows.remove(key);
                universe.database.links.remove(key);
                RowOutcome::Written(None)
            }
            RowWrite::Link(link) => {
                if !universe.database.rows.contains_key(&link.key) {
                    return RowOutcome::Moved;
                }
                universe.say(|| {
                    format!(
                        "      bridge links row {} with {:?}",
                        link.key, link.remote_id
                    )
                });
                match put_link(universe, link.clone()) {
                    Ok(()) => RowOutcome::Written(None),
                    Err(refused) => refused,
                }
            }
            RowWrite::Unlink(key) => {
                universe.database.links.remove(key);
                RowOutcome::Written(None)
            }
        }
    }

    fn note_change(&self, universe: &mut Universe, key: &LocalKey, before: Option<&DbRow>) {
        let Some(after) = universe.database.rows.get(key).cloned() else {
            return;
        };
        let anchor = shown(&after.cells[universe.database.column("last_name")]);
        let names: Vec<String> = universe
            .database
            .layout
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect();
        let former = before.map(|row| shown(&row.cells[universe.database.column("last_name")]));
        if let Some(former) = former.filter(|former| !former.is_empty() && *former != anchor)
            && !universe.log.risen.contains(&anchor)
            && !universe.log.merged.contains(&anchor)
            && universe.log.settings.is_some()
        {
            let line = format!("I2 the row of {former} became that of {anchor}");
            universe.log.broken.push(line);
        }
        let is_revived = before.is_some_and(|row| row.marked) && !after.marked;
        let mut changes = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let value = shown(&after.cells[at]);
            let old = before.map(|row| shown(&row.cells[at]));
            let field = FIELDS.iter().find(|(field, _)| field == name);
            if let (true, true, Some((field, _))) =
                (is_revived, old.as_ref() == Some(&value), field)
            {
                let value = canonical(field, &value);
                universe.log.shows(Side::Local, &anchor, field, &value);
            }
            if old.as_ref() != Some(&value) {
                universe.log.written(Side::Local, &anchor, name, &value);
                changes.push(format!(
                    "{name}: {:?} -> {value:?}",
                    old.unwrap_or_default()
                ));
            }
        }
        let what = if before.is_some() {
            "updates"
        } else {
            "CREATES"
        };
        universe.say(|| {
            format!(
                "      bridge {what} row {key} {anchor}: {}",
                changes.join(", ")
            )
        });
    }

    fn settle_children(&self, universe: &mut Universe, key: &LocalKey, sets: &[ChildSet]) {
        for set in sets {
            let part = |cells: &[Cell]| self.vault.part_digest(&cells[..1]);
            let wanted: HashSet<Digest> = set.rows.iter().map(|row| part(row)).collect();
            universe.database.children.retain(|(parent, cells)| {
                let here = part(cells);
                parent != key || !(wanted.contains(&here) || set.formerly.contains(&here))
            });
            for row in &set.rows {
                universe.database.children.push((key.clone(), row.clone()));
            }
        }
    }
}

fn put_link(universe: &mut Universe, link: LinkRow) -> std::result::Result<(), RowOutcome> {
    let anchor = universe
        .database
        .text(&link.key, "last_name")
        .unwrap_or_default();
    if link.remote_id.is_some() {
        universe.meetings.push(anchor);
    }
    let database = &mut universe.database;
    let holders: Vec<LocalKey> = database
        .links
        .values()
        .filter(|other| other.key != link.key)
        .filter(|other| {
            (link.remote_id.is_some() && other.remote_id == link.remote_id)
                || (link.external_id.is_some() && other.external_id == link.external_id)
        })
        .map(|other| other.key.clone())
        .collect();
    for holder in holders {
        if database.rows.contains_key(&holder) {
            return Err(RowOutcome::Refused {
                code: "E-LINK-TAKEN",
                reason: "another row is linked with this already".into(),
            });
        }
        database.links.remove(&holder);
    }
    database.links.insert(link.key.clone(), link);
    Ok(())
}

fn check_fence(database: &Database, fence: &Fence) -> Result<()> {
    match &database.meta {
        _ if database.settings.unfenced => Ok(()),
        Some(meta) if meta.store_id != fence.store_id || meta.epoch > fence.epoch => {
            Err(Error::new(
                ErrorKind::Busy,
                "E-FENCED",
                "Another run has overtaken this one",
            ))
        }
        _ => Ok(()),
    }
}

impl Local for SimLocal {
    async fn meta(&mut self) -> Result<Option<LocalMeta>> {
        turn(&self.shared, "db.meta").await;
        let universe = self.shared.borrow();
        let mut meta = universe.database.meta.clone();
        if let (true, Some(meta)) = (universe.settings.unfenced, &mut meta) {
            meta.epoch = 0;
        }
        Ok(meta)
    }

    async fn prepare(&mut self) -> Result<()> {
        turn(&self.shared, "db.prepare").await;
        self.shared.borrow_mut().database.prepared = true;
        Ok(())
    }

    async fn exists(&mut self) -> Result<bool> {
        Ok(self.shared.borrow().database.prepared)
    }

    async fn live_rows(&mut self) -> Result<u64> {
        turn(&self.shared, "db.count").await;
        Ok(self.shared.borrow().database.living().count() as u64)
    }

    async fn changes(&mut self, position: Option<&str>) -> Result<LocalChanges> {
        turn(&self.shared, "db.changes").await;
        let mut universe = self.shared.borrow_mut();
        let database = &mut universe.database;
        let Some(since) = position.and_then(|text| text.parse::<u64>().ok()) else {
            return Ok(LocalChanges::ScanNeeded);
        };
        if !database.settings.journal || since < database.floor || since > database.number {
            return Ok(LocalChanges::ScanNeeded);
        }
        database.consumed = since;
        let mut keys: BTreeMap<LocalKey, DateTime<Utc>> = BTreeMap::new();
        for entry in database.journal.iter().filter(|entry| entry.number > since) {
            let at = keys.entry(entry.key.clone()).or_insert(entry.at);
            *at = (*at).max(entry.at);
        }
        let keys: Vec<(LocalKey, Option<DateTime<Utc>>)> =
            keys.into_iter().map(|(key, at)| (key, Some(at))).collect();
        let position = database.number.to_string();
        universe.say(|| format!("   changes of the database since {since}: {keys:?}"));
        Ok(LocalChanges::Keys {
            keys,
            position,
            deletions_included: true,
        })
    }

    async fn position(&mut self) -> Result<Option<String>> {
        turn(&self.shared, "db.position").await;
        let universe = self.shared.borrow();
        Ok(universe
            .settings
            .journal
            .then(|| universe.database.number.to_string()))
    }

    async fn scan(
        &mut self,
        after: Option<&LocalKey>,
        limit: usize,
        choose: &mut dyn FnMut(&LocalKey, Digest, bool) -> bool,
    ) -> Result<RowChunk> {
        turn(&self.shared, "db.scan").await;
        let universe = self.shared.borrow();
        let keys: Vec<LocalKey> = universe
            .database
            .rows
            .keys()
            .filter(|key| after.is_none_or(|after| after < *key))
            .take(limit + 1)
            .cloned()
            .collect();
        let mut chunk = RowChunk::default();
        for key in keys.iter().take(limit) {
            let Some(row) = self.row(&universe.database, key) else {
                continue;
            };
            chunk.seen += 1;
            if choose(key, row.digest, row.marked) {
                chunk.rows.push(row);
            }
        }
        if keys.len() > limit {
            chunk.next = keys.get(limit - 1).cloned();
        }
        Ok(chunk)
    }

    async fn fetch(&mut self, keys: &[LocalKey]) -> Result<Vec<Option<Row>>> {
        turn(&self.shared, "db.fetch").await;
        let mut universe = self.shared.borrow_mut();
        universe
            .log
            .deleted_unseen
            .retain(|(side, _)| *side != Side::Local);
        Ok(keys
            .iter()
            .map(|key| self.row(&universe.database, key))
            .collect())
    }

    async fn children(&mut self, keys: &[LocalKey]) -> Result<Vec<Children>> {
        turn(&self.shared, "db.children").await;
        let universe = self.shared.borrow();
        let of = |key: &LocalKey| {
            let rows = universe.database.children.iter();
            let mut rows: Vec<Vec<Cell>> = rows
                .filter(|(parent, _)| parent == key)
                .map(|(_, cells)| cells.clone())
                .collect();
            rows.sort_by_key(|cells| format!("{cells:?}"));
            vec![rows]
        };
        Ok(keys.iter().map(of).collect())
    }

    async fn find(&mut self, field: usize, values: &[String]) -> Result<Vec<Row>> {
        turn(&self.shared, "db.find").await;
        let universe = self.shared.borrow();
        let wanted: HashSet<String> = values
            .iter()
            .map(|value| value.trim().to_lowercase())
            .collect();
        Ok(universe
            .database
            .rows
            .iter()
            .filter(|(_, row)| wanted.contains(&shown(&row.cells[field]).trim().to_lowercase()))
            .filter_map(|(key, _)| self.row(&universe.database, key))
            .collect())
    }

    async fn links_by_remote(&mut self, ids: &[RemoteId]) -> Result<Vec<Option<LinkRow>>> {
        turn(&self.shared, "db.links").await;
        let universe = self.shared.borrow();
        Ok(ids
            .iter()
            .map(|id| {
                let mut links = universe.database.links.values();
                links
                    .find(|link| link.remote_id.as_ref() == Some(id))
                    .cloned()
            })
            .collect())
    }

    async fn links_by_key(&mut self, keys: &[LocalKey]) -> Result<Vec<Option<LinkRow>>> {
        turn(&self.shared, "db.links").await;
        let universe = self.shared.borrow();
        Ok(keys
            .iter()
            .map(|key| universe.database.links.get(key).cloned())
            .collect())
    }

    async fn links(&mut self, after: Option<&LocalKey>, limit: usize) -> Result<Vec<LinkRow>> {
        turn(&self.shared, "db.links").await;
        let universe = self.shared.borrow();
        Ok(universe
            .database
            .links
            .values()
            .filter(|link| after.is_none_or(|after| *after < link.key))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn apply(&mut self, fence: &Fence, writes: &[RowWrite]) -> Result<Vec<RowOutcome>> {
        turn(&self.shared, "db.apply").await;
        let outcomes = {
            let mut guard = self.shared.borrow_mut();
            let universe = &mut *guard;
            check_fence(&universe.database, fence)?;
            let outcomes: Vec<RowOutcome> = writes
                .iter()
                .map(|write| self.write(universe, write))
                .collect();
            let written = outcomes
                .iter()
                .filter(|outcome| matches!(outcome, RowOutcome::Written(_)))
                .count();
            for (write, outcome) in writes.iter().zip(&outcomes) {
                if !matches!(outcome, RowOutcome::Written(_)) {
                    universe.say(|| format!("      left out: {write:?}: {outcome:?}"));
                }
            }
            for anchor in std::mem::take(&mut universe.meetings) {
                universe.log.met(anchor);
            }
            if written > 0 {
                universe.database.writes += written as u64;
                let generation = universe
                    .database
                    .meta
                    .as_ref()
                    .map_or(0, |meta| meta.generation);
                universe.database.meta = Some(LocalMeta {
                    store_id: fence.store_id.clone(),
                    generation,
                    epoch: fence.epoch,
                });
                let consumed = universe.database.consumed;
                if consumed > universe.database.floor {
                    universe.database.floor = consumed;
                    universe
                        .database
                        .journal
                        .retain(|entry| entry.number > consumed);
                }
            }
            outcomes
        };
        turn(&self.shared, "db.applied").await;
        Ok(outcomes)
    }

    async fn seal(&mut self, fence: &Fence, generation: u64) -> Result<()> {
        turn(&self.shared, "db.seal").await;
        {
            let mut universe = self.shared.borrow_mut();
            check_fence(&universe.database, fence)?;
            universe.database.meta = Some(LocalMeta {
                store_id: fence.store_id.clone(),
                generation,
                epoch: fence.epoch,
            });
        }
        turn(&self.shared, "db.sealed").await;
        Ok(())
    }

    async fn adopt(&mut self, fence: &Fence, generation: u64) -> Result<()> {
        turn(&self.shared, "db.adopt").await;
        self.shared.borrow_mut().database.meta = Some(LocalMeta {
            store_id: fence.store_id.clone(),
            generation,
            epoch: fence.epoch,
        });
        Ok(())
    }
}
