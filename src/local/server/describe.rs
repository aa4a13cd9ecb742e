//! What `check` is told about the database, and the journal's triggers by hand.

use super::backend::{Answer, Fault};
use super::binding::journal;
use super::shape::Found;
use super::{Connector, ServerLocal, prepare};
use crate::local::problem::{Description, JournalState, Problem};
use crate::model::{ChangeMethod, Result};

impl<B: Connector> ServerLocal<B> {
    /// What stands in the database and all that is wrong with it, for `check`. Fails only where the server can't be asked.
    pub async fn describe(&mut self) -> Result<Description> {
        let mut again = true;
        loop {
            let answer = self.try_describing().await;
            if let Some(result) = self.settled(answer, &mut again) {
                return result;
            }
        }
    }

    async fn try_describing(&mut self) -> Answer<Description> {
        self.connected().await?;
        let mut problems = self.bind().await?;
        let journal = self.state_of_journal().await?;
        if journal.is_none() {
            let (backend, bridge) = self.connected().await?;
            let bridge = bridge.to_owned();
            if backend.is_left_over(&bridge).await? {
                problems.push(Problem::warning(
                    "W-DB-JOURNAL",
                    format!("Triggers of an earlier mapping still note every change. Take them away with `contactbridge journal remove {bridge}`"),
                ));
            }
        }
        let mut rows = None;
        if !problems.iter().any(|problem| problem.fatal)
            && let Some(mut reader) = self.reader().await?
        {
            rows = Some(reader.count_live().await?);
        }
        Ok(Description {
            place: self.address.shown.clone(),
            table: self.layout.table.clone(),
            rows,
            journal,
            problems,
        })
    }

    async fn state_of_journal(&mut self) -> Answer<Option<JournalState>> {
        if self.layout.changes != ChangeMethod::Journal {
            return Ok(None);
        }
        self.connected().await?;
        let Some(backend) = &mut self.connection else {
            return Err(Fault::Failed(self.not_prepared()));
        };
        let state = prepare::triggers(backend, &self.bridge, &self.layout).await?;
        Ok(Some(
            state.map_or(JournalState::Missing, |(_, state)| state),
        ))
    }

    /// The state of the journal's triggers; `None` where the mapping finds changes in another way.
    pub async fn journal_state(&mut self) -> Result<Option<JournalState>> {
        let mut again = true;
        loop {
            let answer = self.state_of_journal().await;
            if let Some(result) = self.settled(answer, &mut again) {
                return result;
            }
        }
    }

    /// Installs the triggers of `changes: journal` (and our tables) where they don't stand as they should; true when it did.
    pub async fn install_journal(&mut self) -> Result<bool> {
        self.install_triggers().await
    }

    /// Takes this bridge's triggers and its entries in the journal away; true when there was anything.
    pub async fn remove_journal(&mut self) -> Result<bool> {
        let mut again = true;
        loop {
            let answer = self.try_removing().await;
            if let Some(result) = self.settled(answer, &mut again) {
                return result;
            }
        }
    }

    async fn try_removing(&mut self) -> Answer<bool> {
        self.connected().await?;
        let Some(backend) = &mut self.connection else {
            return Err(Fault::Failed(self.not_prepared()));
        };
        let Found::Table(shape) = backend.find_table(&self.layout.table).await? else {
            return Ok(false);
        };
        let journal = journal(&self.bridge, &self.layout, &shape);
        self.open = true;
        backend.lock_schema().await?;
        let mut there = backend.uninstall(&journal).await?;
        if let Found::Table(_) = backend.find_table("contactbridge_journal").await? {
            let forget = super::backend::Statement::new(
                B::DIALECT,
                "DELETE FROM contactbridge_journal WHERE bridge = ",
            )
            .text(&journal.bridge)
            .sql(" AND source = ")
            .text(&journal.source);
            there |= backend.execute(&forget).await?.rows > 0;
        }
        backend.unlock_schema().await?;
        self.open = false;
        Ok(there)
    }
}
