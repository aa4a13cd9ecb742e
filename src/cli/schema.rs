//! `contactbridge schema`: the JSON Schema of the files for editors, or the SQL of our bookkeeping tables.

use serde_json::json;

use super::args::{SchemaFile, SqlDialect};
use super::exit::Exit;
use super::output::Output;
use crate::config::{config_schema, mapping_schema};
use crate::local::{Dialect, bookkeeping_sql};
use crate::model::{Error, Result};
use crate::state::shared_state_sql;

/// Prints the schema of one file, of both under their names, or the SQL.
pub fn run(file: Option<SchemaFile>, sql: Option<SqlDialect>, output: Output) -> Result<Exit> {
    if let Some(dialect) = sql {
        let (name, sql) = match dialect {
            SqlDialect::Sqlite => ("sqlite", bookkeeping_sql(Dialect::Sqlite)),
            SqlDialect::Postgres => ("postgres", bookkeeping_sql(Dialect::Postgres)),
            SqlDialect::Mysql => ("mysql", bookkeeping_sql(Dialect::MySql)),
            SqlDialect::PostgresState => ("postgres-state", shared_state_sql()),
        };
        output.report(&json!({ (name): sql }), |_| sql.clone())?;
        return Ok(Exit::Clean);
    }
    let schema = match file {
        Some(SchemaFile::Bridge) => config_schema(),
        Some(SchemaFile::Mapping) => mapping_schema(),
        None => json!({ "bridge.yaml": config_schema(), "mapping": mapping_schema() }),
    };
    let text = serde_json::to_string_pretty(&schema).map_err(|error| {
        Error::unexpected("E-OUTPUT", "The schema can't be written").caused_by(error)
    })?;
    output.report(&schema, |_| text)?;
    Ok(Exit::Clean)
}
