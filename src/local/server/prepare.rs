//! Making what is missing: the mapped tables, the column of the mark, our own tables, the journal's triggers.
//!
//! A mapped column that an existing table lacks is never made: it is an error of the mapping. Nothing is done where nothing is
//! missing, so that a user without the right to make tables can run what an administrator has made.

use super::backend::{Answer, Backend, Fault};
use super::binding::{self, journal};
use super::feed::journal_state;
use super::shape::{Family, Found};
use super::{Connector, ServerLocal};
use crate::local::dialect::{BOOKKEEPING, Dialect, bookkeeping_statements};
use crate::local::problem::{JournalState, refuse};
use crate::model::{ChangeMethod, ColumnKind, Error, Layout, Result};

impl<B: Connector> ServerLocal<B> {
    pub(super) async fn make_what_is_missing(&mut self) -> Result<()> {
        let mut again = true;
        loop {
            // Looked at anew: another run or an administrator may have made or taken away anything.
            self.binding = None;
            self.prepared = false;
            let answer = self.try_making().await;
            match self.settled(answer, &mut again) {
                Some(Ok(())) => {
                    self.binding = None;
                    self.prepared = true;
                    return Ok(());
                }
                Some(Err(error)) => return Err(error),
                None => {}
            }
        }
    }

    async fn try_making(&mut self) -> Answer<()> {
        refuse(&self.bind().await?)?;
        self.connected().await?;
        let Some(backend) = &mut self.connection else {
            return Err(Fault::Failed(self.not_prepared()));
        };
        if is_complete(backend, &self.bridge, &self.layout).await? {
            return Ok(());
        }
        self.open = true;
        backend.lock_schema().await?;
        // Another program may have made some of it since.
        let bound = binding::bind(backend, &self.layout, self.layout.create).await?;
        refuse(&bound.problems)?;
        complete(backend, &self.bridge, &self.layout).await?;
        backend.unlock_schema().await?;
        self.open = false;
        Ok(())
    }

    pub(super) async fn install_triggers(&mut self) -> Result<bool> {
        if self.layout.changes != ChangeMethod::Journal {
            return Err(Error::config(
                "E-MAP-JOURNAL",
                "This mapping does not say `changes: journal`, so there are no triggers to install",
            ));
        }
        if self.journal_state().await? == Some(JournalState::Installed) {
            return Ok(false);
        }
        self.make_what_is_missing().await?;
        Ok(true)
    }
}

/// Our tables that are missing. Fails for tables of our names that are not ours, or were made by another version.
async fn missing_tables<B: Backend>(backend: &mut B) -> Answer<Vec<&'static str>> {
    let mut missing = Vec::new();
    for (name, columns) in BOOKKEEPING {
        let fits = match backend.find_table(name).await? {
            Found::Nothing => {
                missing.push(name);
                true
            }
            Found::Table(shape) => columns.iter().all(|column| shape.column(column).is_some()),
            Found::Other(_) => false,
        };
        if !fits {
            return Err(Fault::Failed(Error::needs_person(
                "E-DB-BOOKKEEPING",
                format!(
                    "The database has a {name} that is not as this version makes it. Compare it with `contactbridge schema --sql`"
                ),
            )));
        }
    }
    Ok(missing)
}

pub(super) async fn triggers<B: Backend>(
    backend: &mut B,
    bridge: &str,
    layout: &Layout,
) -> Answer<Option<(super::backend::Journal, JournalState)>> {
    if layout.changes != ChangeMethod::Journal {
        return Ok(None);
    }
    let Found::Table(shape) = backend.find_table(&layout.table).await? else {
        return Ok(None);
    };
    let journal = journal(bridge, layout, &shape);
    let stands = backend.stands("contactbridge_journal").await?;
    let state = journal_state(backend, &journal, stands).await?;
    Ok(Some((journal, state)))
}

async fn is_complete<B: Backend>(backend: &mut B, bridge: &str, layout: &Layout) -> Answer<bool> {
    if !missing_tables(backend).await?.is_empty()
        || (layout.create && !missing(backend, layout).await?.is_empty())
    {
        return Ok(false);
    }
    Ok(triggers(backend, bridge, layout)
        .await?
        .is_none_or(|(_, state)| state == JournalState::Installed))
}

async fn complete<B: Backend>(backend: &mut B, bridge: &str, layout: &Layout) -> Answer<()> {
    let absent = missing_tables(backend).await?;
    for (_, statement) in bookkeeping_statements(B::DIALECT)
        .iter()
        .filter(|(table, _)| absent.contains(table))
    {
        backend.script(statement).await?;
    }
    if layout.create {
        for statement in missing(backend, layout).await? {
            backend.script(&statement).await?;
        }
    }
    if let Some((journal, state)) = triggers(backend, bridge, layout).await?
        && state != JournalState::Installed
    {
        backend.install(&journal).await?;
        // The memory begins here, when the triggers stand: what they noted before is forgotten.
        backend.put_floor(&journal).await?;
    }
    Ok(())
}

/// The statements that make what the mapping names and the database lacks.
async fn missing<B: Backend>(backend: &mut B, layout: &Layout) -> Answer<Vec<String>> {
    let dialect = B::DIALECT;
    let mut statements = Vec::new();
    let mut key = match layout.key_field.and_then(|at| layout.columns.get(at)) {
        Some(column) => column.kind,
        None => ColumnKind::Integer,
    };
    match backend.find_table(&layout.table).await? {
        Found::Nothing => {
            statements.push(dialect.create_table(&layout.table, layout));
            for column in layout.columns.iter().filter(|column| column.matches) {
                if !column.name.eq_ignore_ascii_case(&layout.key) {
                    statements.push(index(dialect, &layout.table, &column.name));
                }
            }
        }
        Found::Table(shape) => {
            if let Some(column) = shape.column(&layout.key) {
                key = match column.family {
                    Family::Integer => ColumnKind::Integer,
                    _ => ColumnKind::Text,
                };
            }
            if let Some(name) = layout.deleted.as_deref()
                && shape.column(name).is_none()
            {
                statements.push(dialect.add_column(&layout.table, &dialect.extra_column(name)));
            }
        }
        Found::Other(_) => {}
    }
    for child in &layout.children {
        if matches!(backend.find_table(&child.table).await?, Found::Nothing) {
            statements.push(dialect.create_child(&child.table, child, key));
            statements.push(index(dialect, &child.table, &child.parent));
        }
    }
    Ok(statements)
}

fn index(dialect: Dialect, table: &str, column: &str) -> String {
    let own = table.rsplit_once('.').map_or(table, |(_, name)| name);
    dialect.create_index(&format!("contactbridge_{own}_{column}"), table, column)
}
