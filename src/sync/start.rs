//! The checks before a run reads anything, and C0.
//!
//! Whatever looks as if the state, the database or the site were not the ones that were agreed with ends the run here,
//! before a single write (hazards H-60 to H-67).

use crate::local::{Fence, Local, LocalMeta};
use crate::model::{Error, Result, World};
use crate::remote::{Found, LookUp, Remote};
use crate::state::{Batch, StateStore, Table};

use super::guard::{Stop, check_site};
use super::memory::{Facts, Link, MappingShape, Memory, Side, put_facts};
use super::report::Guard;
use super::run::Run;
use super::{Engine, Halt};

/// How many known contacts are asked for when the site's address changed.
const SITE_SAMPLE: usize = 20;

impl<R: Remote, L: Local, S: StateStore, W: World> Engine<'_, R, L, S, W> {
    pub(crate) async fn start(&mut self, run: &mut Run) -> Result<(), Halt> {
        let memory = Memory::new(self.store);
        let known = memory.facts().await?;
        let is_new = known.is_none();
        run.facts = known.unwrap_or_else(|| self.new_facts());
        run.relink = run.facts.relink;
        let meta = self.local.meta().await?;
        self.compare_generations(run, is_new, meta.as_ref())?;
        self.note_mapping(run);
        if run.facts.rewound {
            run.rewound = run.rewound.or(Some(Side::Remote));
        }

        let (site, database) = (
            self.vault.digest("site", self.site.as_bytes()).0,
            self.vault.digest("database", self.database.as_bytes()).0,
        );
        let links = memory.links_after(None, SITE_SAMPLE).await?;
        if !links.is_empty() && run.facts.site != site {
            self.sample_site(run, &links).await?;
        }
        (run.facts.site, run.facts.database) = (site, database);

        run.full = run.since.is_none() && self.full_is_due(&run.facts);
        // A backup may have set back what no incremental read shows.
        run.full |= run.rewound.is_some() || run.accept.contains(&Guard::Rewound) || run.relink;
        if !run.dry {
            self.local.prepare().await?;
        }
        let table_is_there = self.local.exists().await?;
        run.live_local = if table_is_there {
            self.local.live_rows().await?
        } else {
            0
        };
        run.live_links = run.facts.links;
        // Only a candidate yet: the rows tell (`prepare_first_load`).
        run.first_load = run.facts.last_full.is_none()
            && !run.relink
            && !run.dry
            && run.full
            && self.rules.direction.pulls();
        for (key, review) in memory.all(Table::Review).await? {
            run.reviews.insert(key, review);
        }
        for (key, record) in memory.all(Table::Quarantine).await? {
            run.quarantine.insert(key, record);
        }
        let (dirty_remote, dirty_local) = memory.dirty().await?;
        run.dirty_remote.extend(dirty_remote);
        run.dirty_local.extend(dirty_local);

        run.facts.epoch += 1;
        run.fence = Fence {
            store_id: run.facts.store_id.clone(),
            epoch: run.facts.epoch,
        };
        if !run.dry {
            let mut batch = Batch::new();
            put_facts(&mut batch, &run.facts);
            self.store.commit(batch).await?;
            self.world.checkpoint("C0").await?;
            if run.relink {
                self.local.adopt(&run.fence, run.facts.generation).await?;
            }
            if self.store.overtook() {
                self.fence_the_last_holder(run, meta.as_ref()).await?;
            }
        }
        Ok(())
    }

    /// H-67: whoever held a shared state before may only be asleep. It can't commit any more, but it would not see this run in the
    /// database before its first write; so this one writes there before it reads.
    async fn fence_the_last_holder(&mut self, run: &Run, meta: Option<&LocalMeta>) -> Result<()> {
        // A re-link has just written there itself.
        if !run.relink {
            let generation = meta.map_or(0, |meta| meta.generation);
            self.local.seal(&run.fence, generation).await?;
        }
        self.store.fenced().await
    }

    fn new_facts(&self) -> Facts {
        let mut id = [0; 16];
        self.world.random(&mut id);
        Facts {
            format: super::memory::FORMAT,
            store_id: uuid::Builder::from_random_bytes(id).into_uuid().to_string(),
            ..Facts::default()
        }
    }

    /// H-60, H-61, H-64: which of the two memories is the older one.
    fn compare_generations(
        &self,
        run: &mut Run,
        is_new: bool,
        meta: Option<&LocalMeta>,
    ) -> Result<(), Halt> {
        let bridge = self.bridge;
        match meta {
            None if run.facts.links > 0 && !run.relink => {
                let reason = "The state knows linked rows, but this database has no record of this bridge: another database, or a new one".to_owned();
                if !run.accept.contains(&Guard::Site) {
                    return Err(Stop {
                        guard: Guard::Site,
                        reason,
                    }
                    .into());
                }
            }
            None => {}
            Some(_) if run.relink => {}
            Some(meta) if is_new => {
                let message = format!(
                    "The customer database knows generation {}, the state store is new. Run `contactbridge reseed {bridge} --relink`",
                    meta.generation
                );
                return Err(Error::needs_person("E-STATE-LOST", message).into());
            }
            Some(meta) if meta.store_id != run.facts.store_id => {
                let message = format!(
                    "The customer database was synchronised with another state store. Restore that one, or run `contactbridge reseed {bridge} --relink`"
                );
                return Err(Error::needs_person("E-STATE-FOREIGN", message).into());
            }
            Some(meta)
                if meta.generation > run.facts.generation || meta.epoch > run.facts.epoch =>
            {
                let message = format!(
                    "The state store is older than the customer database (generation {} of {}): it was restored from a backup. Run `contactbridge reseed {bridge} --relink`",
                    run.facts.generation, meta.generation
                );
                return Err(Error::needs_person("E-STATE-OLD", message).into());
            }
            Some(meta) if meta.generation + 1 < run.facts.generation => {
                if !run.accept.contains(&Guard::Rewound) {
                    let reason = format!(
                        "The customer database stands at generation {}, the state at {}: the database was restored from a backup",
                        meta.generation, run.facts.generation
                    );
                    return Err(Stop {
                        guard: Guard::Rewound,
                        reason,
                    }
                    .into());
                }
                run.rewound = Some(Side::Local);
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// H-66: a changed mapping is a new version, and makes this run a full read.
    fn note_mapping(&self, run: &mut Run) {
        let shape = MappingShape {
            fields: self
                .mapping
                .fields
                .iter()
                .map(|field| field.fingerprint)
                .collect(),
            children: self
                .mapping
                .children
                .iter()
                .map(|child| child.fingerprint)
                .collect(),
        };
        let facts = &mut run.facts;
        if facts.mappings.get(&facts.mapping) != Some(&shape) {
            facts.mapping = facts.mappings.keys().next_back().map_or(1, |last| last + 1);
            facts.mappings.insert(facts.mapping, shape);
            facts.full_due = true;
        }
    }

    fn full_is_due(&self, facts: &Facts) -> bool {
        match (facts.last_full, self.rules.full_read) {
            _ if facts.full_due => true,
            (None, _) => true,
            (Some(_), None) => false,
            (Some(last), Some(every)) => {
                let age = self.world.now() - last;
                age < chrono::Duration::zero() || age.to_std().is_ok_and(|age| age >= every)
            }
        }
    }

    /// H-65: the address changed; most of the known contacts must be there.
    async fn sample_site(&self, run: &Run, links: &[Link]) -> Result<(), Halt> {
        let mut there = 0;
        for link in links {
            if let Found::Item(_) = self
                .remote
                .look_up(&LookUp::Id(link.remote.clone()))
                .await?
            {
                there += 1;
            }
        }
        check_site(self.site, links.len() as u64, there, &run.accept)?;
        Ok(())
    }

    /// A link in the shape of the current mapping: fields and child rules that are the same keep what was agreed.
    pub(crate) fn migrate(&self, run: &Run, mut link: Link) -> Link {
        if link.mapping == run.facts.mapping {
            return link;
        }
        let old = run
            .facts
            .mappings
            .get(&link.mapping)
            .cloned()
            .unwrap_or_default();
        let place =
            |list: &[u64], fingerprint: u64| list.iter().position(|&known| known == fingerprint);
        link.bases = self
            .mapping
            .fields
            .iter()
            .map(|field| {
                place(&old.fields, field.fingerprint)
                    .and_then(|at| link.bases.get(at).copied().flatten())
            })
            .collect();
        let children = self.mapping.children.iter().map(|child| {
            place(&old.children, child.fingerprint)
                .and_then(|at| link.children.get(at).cloned())
                .unwrap_or_default()
        });
        link.children = children.collect();
        link.mapping = run.facts.mapping;
        link
    }
}
