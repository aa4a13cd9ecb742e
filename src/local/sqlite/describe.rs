//! What `check` is told about the database, the journal's triggers by hand, and names that can't be.

use super::{SqliteLocal, failure, journal};
use crate::local::problem::{Description, JournalState, Problem};
use crate::model::{ChangeMethod, Result};

impl SqliteLocal {
    /// What stands in the database and all that is wrong with it, for `check`. Fails only where the file can't be read.
    pub fn describe(&mut self) -> Result<Description> {
        let mut problems = Vec::new();
        let mut rows = None;
        let journal = self.journal_state()?;
        let bridge = self.bridge.clone();
        let place = self.path.display().to_string();
        let journalled = self.layout.changes == ChangeMethod::Journal;
        match self.database()? {
            None => problems.extend(self.missing_file()),
            Some(database) => {
                problems.clone_from(&database.problems);
                if database.conn.is_readonly("main").unwrap_or(false) {
                    problems.push(Problem::fatal(
                        "E-DB-READONLY",
                        format!("{place} can't be written to by this user"),
                    ));
                }
                if !journalled && journal::is_left_over(&database.conn, &bridge) {
                    problems.push(Problem::warning(
                        "W-DB-JOURNAL",
                        format!("Triggers of an earlier mapping still note every change. Take them away with `contactbridge journal remove {bridge}`"),
                    ));
                }
            }
        }
        if !problems.iter().any(|problem| problem.fatal)
            && let Some(reader) = self.reader()?
        {
            let found = reader.count_live().and_then(|live| {
                let unnamed = reader.count_unnamed()?;
                Ok((live, unnamed))
            });
            let (live, unnamed) = found.map_err(|error| failure(&self.path, &error))?;
            rows = Some(live);
            if unnamed > 0 {
                problems.push(Problem::warning(
                    "W-DB-KEY-VALUE",
                    format!(
                        "{}: {unnamed} rows are passed over, because their key is neither an integer nor a text",
                        self.layout.table
                    ),
                ));
            }
        }
        Ok(Description {
            place,
            table: self.layout.table.clone(),
            rows,
            journal,
            problems,
        })
    }

    /// The state of the journal's triggers; `None` where the mapping finds changes in another way.
    pub fn journal_state(&mut self) -> Result<Option<JournalState>> {
        if self.layout.changes != ChangeMethod::Journal {
            return Ok(None);
        }
        let (bridge, layout) = (self.bridge.clone(), self.layout.clone());
        let path = self.path.clone();
        match self.database()? {
            Some(database) => journal::state(&database.conn, &bridge, &layout)
                .map(Some)
                .map_err(|error| failure(&path, &error)),
            None => Ok(Some(JournalState::Missing)),
        }
    }

    /// Installs the triggers of `changes: journal` (and our tables) where they don't stand as they should; true when it did.
    pub fn install_journal(&mut self) -> Result<bool> {
        self.install_triggers()
    }

    /// Takes this bridge's triggers and its entries in the journal away; true when there was anything.
    pub fn remove_journal(&mut self) -> Result<bool> {
        let (bridge, layout, path) = (self.bridge.clone(), self.layout.clone(), self.path.clone());
        match self.database()? {
            Some(database) => journal::remove(&mut database.conn, &bridge, &layout)
                .map_err(|error| failure(&path, &error)),
            None => Ok(false),
        }
    }
}
