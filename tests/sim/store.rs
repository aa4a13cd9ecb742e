//! The state store as the engine may count on it: a commit is visible at once, durable when its future says so, and a
//! kill keeps some of those that were not, in order.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use contactbridge::model::{Error, Result};
use contactbridge::state::{Batch, Durable, StateStore, Table};
use contactbridge::sync::Link;
use tokio::sync::oneshot;

use crate::chance::Chance;
use crate::universe::{Shared, Universe, turn};

type Map = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

#[derive(Default)]
pub struct Disk {
    pub visible: Map,
    pub durable: Map,
    pending: VecDeque<(Batch, oneshot::Sender<Result<()>>)>,
    /// Commits fail from here on.
    pub full: bool,
    /// A commit failed that somebody waited for.
    pub refused: bool,
    /// What a mechanism that is switched off would have written.
    pub forgets: Vec<Table>,
    /// A commit counts as durable before it is.
    pub lies: bool,
    /// The identity that a new contact is sent under is kept nowhere.
    pub unreserved: bool,
    /// Links have one base a field, not one a side.
    pub one_base: bool,
}

fn put(map: &mut Map, batch: &Batch) {
    for (table, key, value) in &batch.writes {
        match value {
            Some(value) => map.insert((*table, key.clone()), value.clone()),
            None => map.remove(&(*table, key.clone())),
        };
    }
}

impl Disk {
    /// The state as another machine would be given it.
    pub fn copy(&self) -> Self {
        Self {
            visible: self.durable.clone(),
            durable: self.durable.clone(),
            pending: VecDeque::new(),
            full: false,
            refused: false,
            forgets: self.forgets.clone(),
            lies: self.lies,
            unreserved: self.unreserved,
            one_base: self.one_base,
        }
    }

    /// Makes the oldest commit durable; false when there is none.
    pub fn sync_one(&mut self) -> bool {
        let Some((batch, sender)) = self.pending.pop_front() else {
            return false;
        };
        let outcome = if self.full {
            Err(Error::needs_person("E-DISK", "The disk is full"))
        } else {
            put(&mut self.durable, &batch);
            Ok(())
        };
        let failed = outcome.is_err();
        self.refused |= sender.send(outcome).is_ok() && failed;
        true
    }

    /// The process is gone: of what was not durable a prefix stays.
    pub fn lose_power(&mut self, chance: &mut Chance) {
        let kept = chance.below(self.pending.len() as u64 + 1) as usize;
        for (at, (batch, _)) in std::mem::take(&mut self.pending).into_iter().enumerate() {
            if at < kept && !self.full {
                put(&mut self.durable, &batch);
            }
        }
        self.visible = self.durable.clone();
    }
}

/// A handle on the disk.
#[derive(Clone)]
pub struct SimStore(pub Shared);

impl StateStore for SimStore {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self
            .0
            .borrow()
            .disk
            .visible
            .get(&(table, key.to_vec()))
            .cloned())
    }

    async fn get_many(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        let universe = self.0.borrow();
        Ok(keys
            .iter()
            .map(|key| universe.disk.visible.get(&(table, key.clone())).cloned())
            .collect())
    }

    async fn range(
        &self,
        table: Table,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        turn(&self.0, "store.range").await;
        let start = match after {
            Some(after) => Bound::Excluded((table, after.to_vec())),
            None => Bound::Included((table, Vec::new())),
        };
        Ok(self
            .0
            .borrow()
            .disk
            .visible
            .range((start, Bound::Unbounded))
            .take_while(|((other, _), _)| *other == table)
            .take(limit)
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect())
    }

    fn commit(&self, mut batch: Batch) -> Durable {
        let mut universe = self.0.borrow_mut();
        if universe.dead {
            return Durable::Later(oneshot::channel().1);
        }
        let forgets = universe.disk.forgets.clone();
        batch
            .writes
            .retain(|(table, _, value)| value.is_none() || !forgets.contains(table));
        if universe.disk.one_base {
            for (table, key, value) in &mut batch.writes {
                if let (Table::Link, Some(bytes)) = (*table, value) {
                    let mut link = Link::decode(key, bytes).expect("a link");
                    for base in link.bases.iter_mut().flatten() {
                        base.remote = base.local;
                    }
                    *bytes = link.encode();
                }
            }
        }
        if universe.disk.unreserved {
            for (table, _, value) in &mut batch.writes {
                if let (Table::Intent, Some(bytes)) = (*table, value) {
                    let mut intent: serde_json::Value =
                        serde_json::from_slice(bytes).expect("an intent");
                    intent["identity"] = serde_json::Value::Null;
                    *bytes = serde_json::to_vec(&intent).expect("JSON");
                }
            }
        }
        put(&mut universe.disk.visible, &batch);
        if universe.disk.lies {
            let (sender, _) = oneshot::channel();
            universe.disk.pending.push_back((batch, sender));
            return Durable::Ready(Some(Ok(())));
        }
        let (sender, receiver) = oneshot::channel();
        universe.disk.pending.push_back((batch, sender));
        Durable::Later(receiver)
    }
}

impl Universe {
    /// The process has ended that had filled the disk, and somebody made room; whether a commit had failed.
    pub fn make_room(&mut self) -> bool {
        if std::mem::take(&mut self.disk.full) {
            self.fault("disk full");
            self.past.full_at = None;
            self.disk.visible = self.disk.durable.clone();
        }
        std::mem::take(&mut self.disk.refused)
    }

    /// For the trace: the keys of what the store holds, table by table.
    pub fn say_what_is_kept(&mut self) {
        if !self.tracing {
            return;
        }
        let mut tables: BTreeMap<Table, Vec<String>> = BTreeMap::new();
        for (table, key) in self.disk.visible.keys() {
            let name = key.iter().map(|byte| match byte {
                b' '..=b'~' => char::from(*byte).to_string(),
                byte => format!("{byte:02x}"),
            });
            tables.entry(*table).or_default().push(name.collect());
        }
        self.say(|| format!("   kept: {tables:?}"));
    }
}
