//! Writing: one transaction a group, behind the fence.
//!
//! The group goes through as a whole; a row that the database refuses, or that is no longer as planned, is left out of it.
//! Where the database's own rules undo the whole transaction because of one row (ROLLBACK clauses, references that are checked
//! at the end), the writes are done again one by one, so that only the culprit is refused.

use std::collections::HashSet;

use rusqlite::Connection;

use super::statement::Trouble;
use super::write::Writer;
use super::{DIALECT, Database, Reader, SqliteLocal, failure, journal, links, version};
use crate::local::problem::refuse;
use crate::local::{Fence, RowOutcome, RowWrite};
use crate::model::{ChangeMethod, Error, ErrorKind, Result};

/// Rounds of a transaction that finds the schema changed just before it.
const MAX_SCHEMA_ROUNDS: usize = 3;

/// SQLITE_CONSTRAINT_FOREIGNKEY: at COMMIT, a reference that is only checked there.
const FOREIGN_KEY: i32 = 787;

/// How a transaction went.
enum Attempt {
    Done(Vec<RowOutcome>),
    /// The database took all of it back because of one row.
    Undone {
        code: &'static str,
        reason: String,
    },
    /// The schema is not the one that the statements were made for.
    Stale,
}

/// Why a transaction has to be given up.
enum Stop {
    Undone { code: &'static str, reason: String },
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error)
    }
}

impl SqliteLocal {
    pub(super) fn apply_group(
        &mut self,
        fence: &Fence,
        writes: &[RowWrite],
    ) -> Result<Vec<RowOutcome>> {
        match self.transact(fence, writes)? {
            Ok(outcomes) => Ok(outcomes),
            Err(refusal) if writes.len() == 1 => Ok(vec![refusal]),
            Err(_) => {
                let mut outcomes = Vec::with_capacity(writes.len());
                for write in writes.chunks(1) {
                    match self.transact(fence, write)? {
                        Ok(one) => outcomes.extend(one),
                        Err(refusal) => outcomes.push(refusal),
                    }
                }
                Ok(outcomes)
            }
        }
    }

    /// The outcomes, or the refusal of the row that undid all of it.
    fn transact(
        &mut self,
        fence: &Fence,
        writes: &[RowWrite],
    ) -> Result<std::result::Result<Vec<RowOutcome>, RowOutcome>> {
        if writes.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        for _ in 0..MAX_SCHEMA_ROUNDS {
            match self.attempt(fence, writes)? {
                Attempt::Done(outcomes) => {
                    self.tell_finder(&outcomes)?;
                    return Ok(Ok(outcomes));
                }
                Attempt::Undone { code, reason } => {
                    return Ok(Err(RowOutcome::Refused { code, reason }));
                }
                Attempt::Stale => {}
            }
        }
        Err(Error::unreachable(
            "E-DB-SCHEMA",
            format!(
                "{}: another program keeps changing the tables. Run again when it has finished",
                self.path.display()
            ),
        ))
    }

    fn attempt(&mut self, fence: &Fence, writes: &[RowWrite]) -> Result<Attempt> {
        if self.database()?.is_none() {
            return Err(self.not_prepared());
        }
        let Some(Database {
            conn,
            version: known,
            binding: Some(binding),
            problems,
        }) = &self.database
        else {
            return Err(self.not_prepared());
        };
        refuse(problems)?;
        let at = |error: &rusqlite::Error| failure(&self.path, error);
        begin(conn).map_err(|error| at(&error))?;
        let undo = Undo(conn);
        if version(conn).map_err(|error| at(&error))? != *known {
            return Ok(Attempt::Stale);
        }
        let enters = check_fence(conn, &self.bridge, fence).map_err(|error| at(&error))??;
        let journal = self.layout.changes == ChangeMethod::Journal && binding.journal_stands;
        let mut texts = std::mem::take(&mut self.texts);
        let mut writer = Writer {
            reader: Reader {
                conn,
                binding,
                digester: &mut self.digester,
                bridge: &self.bridge,
                layout: &self.layout,
                options: &self.options,
            },
            vault: &self.vault,
            texts: &mut texts,
            touched: HashSet::new(),
        };
        let result = (|| -> std::result::Result<Option<Vec<RowOutcome>>, Stop> {
            let start = if journal { journal::newest(conn)? } else { 0 };
            let outcomes = run(&mut writer, writes)?;
            if !outcomes
                .iter()
                .any(|outcome| matches!(outcome, RowOutcome::Written(_)))
            {
                return Ok(Some(outcomes));
            }
            if enters {
                links::put_meta(conn, &self.bridge, fence, None)?;
            }
            if journal {
                let source = writer.reader.source();
                journal::forget_own(conn, &self.bridge, source, start, &writer.touched)?;
                if let Some(consumed) = self.consumed {
                    journal::prune(conn, &self.bridge, source, consumed)?;
                }
            }
            let (epoch, kept) = (fence.epoch, self.options.applied_kept);
            let operation = links::note_applied(conn, &self.bridge, epoch, kept)?;
            commit(conn, &self.bridge, epoch, operation)?;
            Ok(Some(outcomes))
        })();
        drop(undo);
        self.texts = texts;
        match result {
            Ok(outcomes) => Ok(Attempt::Done(outcomes.unwrap_or_default())),
            Err(Stop::Undone { code, reason }) => Ok(Attempt::Undone { code, reason }),
            Err(Stop::Failed(error)) => Err(at(&error)),
        }
    }

    /// `seal` and `adopt`.
    pub(super) fn write_generation(
        &mut self,
        fence: &Fence,
        generation: u64,
        adopt: bool,
    ) -> Result<()> {
        if self.database()?.is_none() {
            return Err(self.not_prepared());
        }
        let Some(Database { conn, binding, .. }) = &self.database else {
            return Err(self.not_prepared());
        };
        let at = |error: &rusqlite::Error| failure(&self.path, error);
        begin(conn).map_err(|error| at(&error))?;
        let _undo = Undo(conn);
        if !adopt {
            check_fence(conn, &self.bridge, fence).map_err(|error| at(&error))??;
        }
        let write = || -> rusqlite::Result<()> {
            links::put_meta(conn, &self.bridge, fence, Some(generation))?;
            if adopt {
                links::forget_applied(conn, &self.bridge)?;
            }
            if let (Some(consumed), Some(binding)) = (self.consumed, binding)
                && binding.journal_stands
            {
                let source = super::binding::table_name(&self.layout.table);
                journal::prune(conn, &self.bridge, source, consumed)?;
            }
            conn.execute_batch("COMMIT")
        };
        write().map_err(|error| at(&error))
    }

    /// Lets `find` know what was written; where triggers of the customer may have written more, it reads again.
    fn tell_finder(&mut self, outcomes: &[RowOutcome]) -> Result<()> {
        if !self.finder.is_used() {
            return Ok(());
        }
        let Some(Database {
            conn,
            binding: Some(binding),
            ..
        }) = &self.database
        else {
            return Ok(());
        };
        let (Some(rowid), false) = (binding.rowid, binding.foreign_triggers) else {
            self.finder.forget();
            return Ok(());
        };
        let text = format!(
            "SELECT t.{rowid} FROM {} AS t WHERE t.{} COLLATE BINARY = ?1",
            DIALECT.name(&binding.table),
            DIALECT.name(&binding.key.name)
        );
        let mut tell = || -> rusqlite::Result<()> {
            let mut statement = conn.prepare_cached(&text)?;
            for outcome in outcomes {
                if let RowOutcome::Written(Some(row)) = outcome {
                    let rowid = statement.query_row([&row.key], |found| found.get(0))?;
                    self.finder.add(&self.layout.columns, rowid, row);
                }
            }
            Ok(())
        };
        if tell().is_err() {
            // Gone again already: another program's doing, so what is remembered is old anyhow.
            self.finder.forget();
        }
        Ok(())
    }
}

/// Takes the write lock.
fn begin(conn: &Connection) -> rusqlite::Result<()> {
    conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    Ok(())
}

/// Ends what was not committed.
struct Undo<'a>(&'a Connection);

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            // A failure leaves the transaction to the connection's end, which undoes it as well.
            let _ = self.0.execute_batch("ROLLBACK");
        }
    }
}

/// Whether this run's epoch has to be written; `E-FENCED` where another run has overtaken it.
fn check_fence(conn: &Connection, bridge: &str, fence: &Fence) -> rusqlite::Result<Result<bool>> {
    let overtaken = |how: &str| {
        Err(Error::new(
            ErrorKind::Busy,
            "E-FENCED",
            format!(
                "{how} has written to the database for this bridge meanwhile. Nothing was written; see `contactbridge status {bridge}`"
            ),
        ))
    };
    Ok(match links::meta(conn, bridge)? {
        None => Ok(true),
        Some(meta) if meta.store_id != fence.store_id => {
            overtaken("A run with another state store")
        }
        Some(meta) if meta.epoch > fence.epoch => overtaken("A later run"),
        Some(meta) => Ok(meta.epoch < fence.epoch),
    })
}

/// Does the writes, each inside a savepoint where a refusal may leave a part of it behind.
fn run(writer: &mut Writer<'_>, writes: &[RowWrite]) -> std::result::Result<Vec<RowOutcome>, Stop> {
    let conn = writer.reader.conn;
    let mut outcomes = Vec::with_capacity(writes.len());
    for write in writes {
        if writer.is_whole(write) {
            match writer.write(write) {
                Ok(outcome) => outcomes.push(outcome),
                Err(Trouble::Refused { code, reason }) if conn.is_autocommit() => {
                    return Err(Stop::Undone { code, reason });
                }
                Err(Trouble::Refused { code, reason }) => {
                    outcomes.push(RowOutcome::Refused { code, reason });
                }
                Err(Trouble::Fatal(error)) => return Err(error.into()),
            }
            continue;
        }
        conn.prepare_cached("SAVEPOINT contactbridge")?
            .execute([])?;
        match writer.write(write) {
            Ok(outcome) => {
                conn.prepare_cached("RELEASE contactbridge")?.execute([])?;
                outcomes.push(outcome);
            }
            Err(Trouble::Refused { code, reason }) if conn.is_autocommit() => {
                return Err(Stop::Undone { code, reason });
            }
            Err(Trouble::Refused { code, reason }) => {
                conn.prepare_cached("ROLLBACK TO contactbridge")?
                    .execute([])?;
                conn.prepare_cached("RELEASE contactbridge")?.execute([])?;
                outcomes.push(RowOutcome::Refused { code, reason });
            }
            Err(Trouble::Fatal(error)) => return Err(error.into()),
        }
    }
    Ok(outcomes)
}

/// Commits, and decides by the operation's id where SQLite's answer leaves open whether it did.
fn commit(
    conn: &Connection,
    bridge: &str,
    epoch: u64,
    operation: u64,
) -> std::result::Result<(), Stop> {
    let Err(error) = conn
        .prepare_cached("COMMIT")
        .and_then(|mut commit| commit.execute([]))
    else {
        return Ok(());
    };
    if !conn.is_autocommit() {
        conn.execute_batch("ROLLBACK")?;
    }
    match error.sqlite_error().map(|inner| inner.extended_code) {
        Some(FOREIGN_KEY) => Err(Stop::Undone {
            code: "E-FIELD-CONSTRAINT",
            reason: "FOREIGN KEY constraint failed at the end of the transaction".to_owned(),
        }),
        _ if links::was_applied(conn, bridge, epoch, operation)? => Ok(()),
        _ => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::dialect::{Dialect, bookkeeping_sql};

    #[test]
    fn a_commit_without_an_answer_is_decided_by_its_operation_id() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(&bookkeeping_sql(Dialect::Sqlite))
            .unwrap();
        begin(&conn).unwrap();
        assert_eq!(links::note_applied(&conn, "members", 3, 10).unwrap(), 1);
        assert!(commit(&conn, "members", 3, 1).is_ok());
        // No transaction is open, so these COMMITs fail; what took place is known by its id.
        assert!(commit(&conn, "members", 3, 1).is_ok());
        assert!(matches!(
            commit(&conn, "members", 3, 2),
            Err(Stop::Failed(_))
        ));
        assert!(matches!(
            commit(&conn, "guests", 3, 1),
            Err(Stop::Failed(_))
        ));
    }

    #[test]
    fn a_commit_that_fails_leaves_nothing_behind() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(&bookkeeping_sql(Dialect::Sqlite))
            .unwrap();
        conn.commit_hook(Some(|| true)).unwrap();
        begin(&conn).unwrap();
        links::note_applied(&conn, "members", 1, 10).unwrap();
        assert!(matches!(
            commit(&conn, "members", 1, 1),
            Err(Stop::Failed(_))
        ));
        assert!(conn.is_autocommit());
        assert!(!links::was_applied(&conn, "members", 1, 1).unwrap());
    }
}
