//! The customer's database as its users have it: a SQLite file, and who is who in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::story::{NEW, Record, Rows, WHO, sorted, table, tables_in};
use crate::support::files;

/// The table of people.
const PEOPLE: &str = "customers";

/// The SQLite file, and whose row has which key.
pub struct Database {
    file: PathBuf,
    keys: BTreeMap<String, String>,
}

impl Database {
    pub fn at(file: PathBuf) -> Self {
        Self {
            file,
            keys: BTreeMap::new(),
        }
    }

    fn open(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(&self.file).expect("the database")
    }

    /// Runs statements.
    pub fn sql(&self, statements: &str) {
        self.open().execute_batch(statements).expect(statements);
    }

    /// The rows of a query, each cell as text; NULL is empty.
    pub fn rows(&self, query: &str) -> Rows {
        files::rows(&self.open(), query, "")
    }

    /// From now on a story calls the row of this key so.
    pub fn name(&mut self, who: &str, key: &str) {
        self.keys.insert(who.to_owned(), key.to_owned());
    }

    /// The row that this id of the service is linked with is called so.
    pub fn name_linked(&mut self, who: &str, id: &str) {
        let query = format!("SELECT row_key FROM contactbridge_links WHERE remote_id = '{id}'");
        let key = self.rows(&query).concat().concat();
        self.name(who, &key);
    }

    /// Each row is called by what stands in this column.
    pub fn name_all_by(&mut self, column: &str) {
        for row in self.rows(&format!("SELECT {column}, id FROM {PEOPLE}")) {
            self.name(&row[0], &row[1]);
        }
    }

    fn who(&self, key: &str) -> String {
        let known = self.keys.iter().find(|(_, known)| *known == key);
        known.map_or(NEW.to_owned(), |(who, _)| who.clone())
    }

    /// Its users make it look as the tables of this folder do.
    pub fn act(&mut self, folder: &Path) {
        if let Some(wanted) = table(&folder.join("database.csv")) {
            self.edit(&wanted);
        }
        for (name, path) in tables_in(folder) {
            if !["crm", "database", "queue"].contains(&name.as_str()) {
                self.edit_parts(&name, &table(&path).expect("a table"));
            }
        }
    }

    fn edit(&mut self, wanted: &[Record]) {
        for record in wanted {
            let cells: Vec<(&String, &String)> =
                record.iter().filter(|(column, _)| *column != WHO).collect();
            match self.keys.get(&record[WHO]) {
                Some(key) => {
                    for (column, cell) in cells {
                        let cell = quoted(cell);
                        self.sql(&format!(
                            "UPDATE {PEOPLE} SET {column} = {cell} WHERE id = {key} AND {column} IS NOT {cell}"
                        ));
                    }
                }
                None => {
                    let key = self.insert(PEOPLE, &cells);
                    self.name(&record[WHO], &key);
                }
            }
        }
        for (who, key) in &self.keys {
            if !wanted.iter().any(|record| record[WHO] == *who) {
                self.sql(&format!("DELETE FROM {PEOPLE} WHERE id = {key}"));
            }
        }
    }

    fn insert(&self, table: &str, cells: &[(&String, &String)]) -> String {
        let names: Vec<&str> = cells.iter().map(|(name, _)| name.as_str()).collect();
        let values: Vec<String> = cells.iter().map(|(_, cell)| quoted(cell)).collect();
        let (names, values) = (names.join(", "), values.join(", "));
        let connection = self.open();
        let statement = format!("INSERT INTO {table} ({names}) VALUES ({values})");
        connection.execute(&statement, []).expect(&statement);
        connection.last_insert_rowid().to_string()
    }

    /// Another table, such as one of what people have several of: rows that are not wanted go, those that are missing come.
    fn edit_parts(&self, table: &str, wanted: &[Record]) {
        let parent = parent_of(table).to_owned();
        let mut kept = Vec::new();
        for record in wanted {
            let mut cells: Vec<(&String, &String)> =
                record.iter().filter(|(column, _)| *column != WHO).collect();
            let key = record.get(WHO).map(|who| self.keys[who].clone());
            if let Some(key) = &key {
                cells.push((&parent, key));
            }
            let alike: Vec<String> = cells
                .iter()
                .map(|(column, cell)| format!("{column} IS {}", quoted(cell)))
                .collect();
            let alike = alike.join(" AND ");
            let found = self.rows(&format!("SELECT rowid FROM {table} WHERE {alike}"));
            kept.push(match found.first() {
                Some(row) => row[0].clone(),
                None => self.insert(table, &cells),
            });
        }
        let kept = kept.join(", ");
        self.sql(&format!("DELETE FROM {table} WHERE rowid NOT IN ({kept})"));
    }

    /// What a table shows in these columns; `database` is the table of people, and who is new there has no name.
    pub fn shown(&self, table: &str, columns: &[String]) -> Rows {
        let (table, key) = match table {
            "database" => (PEOPLE, "id"),
            other => (other, parent_of(other)),
        };
        let selected: Vec<String> = columns
            .iter()
            .map(|column| match column.as_str() {
                WHO => key.to_owned(),
                "deleted_at" => "iif(deleted_at IS NULL, '', 'marked')".to_owned(),
                column => column.to_owned(),
            })
            .collect();
        let rows = self.rows(&format!("SELECT {} FROM {table}", selected.join(", ")));
        let at = columns.iter().position(|column| column == WHO);
        sorted(rows.into_iter().map(|mut row| {
            if let Some(at) = at {
                row[at] = self.who(&row[at]);
            }
            row
        }))
    }

    /// Every row of every table as text, the bridge's own tables included.
    pub fn dump(&self) -> Vec<String> {
        let mut all = Vec::new();
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
        for table in self.rows(tables).concat() {
            let rows = sorted(self.rows(&format!("SELECT * FROM \"{table}\"")));
            all.extend(rows.iter().map(|row| format!("{table}: {row:?}")));
        }
        all
    }
}

/// The column that says whose a row is.
fn parent_of(table: &str) -> &'static str {
    match table {
        "contactbridge_links" => "row_key",
        _ => "customer_id",
    }
}

fn quoted(cell: &str) -> String {
    if cell.is_empty() {
        "NULL".into()
    } else {
        format!("'{}'", cell.replace('\'', "''"))
    }
}
