//! Making what is missing: the file, the mapped tables, the column of the mark, our own tables, the journal's triggers.
//!
//! A mapped column that an existing table lacks is never made: it is an error of the mapping.
//!
//! All of it is one transaction, and none where nothing is missing.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::binding::{self, table_name};
use super::schema::{self, Affinity, Found};
use super::{DIALECT, SqliteLocal, connection, failure, journal};
use crate::local::dialect::{BOOKKEEPING, bookkeeping_sql};
use crate::local::problem::{JournalState, refuse};
use crate::model::{ChangeMethod, ColumnKind, Error, Layout, Result};

impl SqliteLocal {
    pub(super) fn make_what_is_missing(&mut self) -> Result<()> {
        // A file that was put in the place of the open one since the last run is another file.
        self.database = None;
        self.prepared = false;
        if self.database()?.is_none() {
            refuse(self.missing_file().as_slice())?;
            let conn = connection::create(&self.path, self.manner())?;
            self.take(conn)?;
        }
        let Some(database) = &mut self.database else {
            return Err(self.not_prepared());
        };
        refuse(&database.problems)?;
        let at = |error: rusqlite::Error| failure(&self.path, &error);
        own_tables_fit(&database.conn)
            .map_err(at)?
            .map_or(Ok(()), Err)?;
        if is_complete(&database.conn, &self.bridge, &self.layout).map_err(at)? {
            self.prepared = true;
            return Ok(());
        }
        let transaction =
            Transaction::new(&mut database.conn, TransactionBehavior::Immediate).map_err(at)?;
        // Another program may have made some of it since.
        let bound = binding::bind(&transaction, &self.bridge, &self.layout, self.layout.create)
            .map_err(at)?;
        refuse(&bound.problems)?;
        complete(&transaction, &self.bridge, &self.layout).map_err(at)?;
        transaction.commit().map_err(at)?;
        self.prepared = true;
        // Bound anew, because what stands now is more than what was bound.
        self.database = None;
        Ok(())
    }

    pub(super) fn install_triggers(&mut self) -> Result<bool> {
        if self.layout.changes != ChangeMethod::Journal {
            return Err(Error::config(
                "E-MAP-JOURNAL",
                "This mapping does not say `changes: journal`, so there are no triggers to install",
            ));
        }
        if self.journal_state()? == Some(JournalState::Installed) {
            return Ok(false);
        }
        self.make_what_is_missing()?;
        Ok(true)
    }
}

/// Tables of our names that are not ours, or were made by another version.
fn own_tables_fit(conn: &Connection) -> rusqlite::Result<Option<Error>> {
    for (name, columns) in BOOKKEEPING {
        let fits = match schema::find(conn, name)? {
            Found::Nothing => true,
            Found::Table(shape) => columns.iter().all(|column| shape.column(column).is_some()),
            Found::Other(_) => false,
        };
        if !fits {
            return Ok(Some(Error::needs_person(
                "E-DB-BOOKKEEPING",
                format!(
                    "The database has a {name} that is not as this version makes it. Compare it with `contactbridge schema --sql`"
                ),
            )));
        }
    }
    Ok(None)
}

fn is_complete(conn: &Connection, bridge: &str, layout: &Layout) -> rusqlite::Result<bool> {
    for (name, _) in BOOKKEEPING {
        if !conn.table_exists(None, name)? {
            return Ok(false);
        }
    }
    if layout.changes == ChangeMethod::Journal
        && journal::state(conn, bridge, layout)? != JournalState::Installed
    {
        return Ok(false);
    }
    Ok(!layout.create || missing(conn, layout)?.is_empty())
}

fn complete(conn: &Connection, bridge: &str, layout: &Layout) -> rusqlite::Result<()> {
    conn.execute_batch(&bookkeeping_sql(DIALECT))?;
    if layout.create {
        for statement in missing(conn, layout)? {
            conn.execute_batch(&statement)?;
        }
    }
    if layout.changes == ChangeMethod::Journal
        && journal::state(conn, bridge, layout)? != JournalState::Installed
    {
        journal::install(conn, bridge, layout)?;
    }
    Ok(())
}

/// The statements that make what the mapping names and the database lacks.
fn missing(conn: &Connection, layout: &Layout) -> rusqlite::Result<Vec<String>> {
    let mut statements = Vec::new();
    let table = table_name(&layout.table);
    let mut key = match layout.key_field.and_then(|at| layout.columns.get(at)) {
        Some(column) => column.kind,
        None => ColumnKind::Integer,
    };
    match schema::find(conn, table)? {
        Found::Nothing => {
            statements.push(DIALECT.create_table(table, layout));
            for column in layout.columns.iter().filter(|column| column.matches) {
                if !column.name.eq_ignore_ascii_case(&layout.key) {
                    statements.push(index(table, &column.name));
                }
            }
        }
        Found::Table(shape) => {
            if let Some(column) = shape.column(&layout.key) {
                key = match column.affinity {
                    Affinity::Integer => ColumnKind::Integer,
                    _ => ColumnKind::Text,
                };
            }
            if let Some(name) = layout.deleted.as_deref()
                && shape.column(name).is_none()
            {
                statements.push(DIALECT.add_column(table, &DIALECT.extra_column(name)));
            }
        }
        Found::Other(_) => {}
    }
    for child in &layout.children {
        let table = table_name(&child.table);
        match schema::find(conn, table)? {
            Found::Nothing => {
                statements.push(DIALECT.create_child(table, child, key));
                statements.push(index(table, &child.parent));
            }
            Found::Table(_) | Found::Other(_) => {}
        }
    }
    Ok(statements)
}

/// An index on a column by which newcomers are matched lets `find` read that column without its table.
fn index(table: &str, column: &str) -> String {
    DIALECT.create_index(&format!("contactbridge_{table}_{column}"), table, column)
}
