//! `contactbridge schema`: the JSON Schema of the files for editors, or the SQL of our bookkeeping tables.

use serde_json::json;

use super::args::{SchemaFile, SqlDialect};
use super::exit::Exit;
use super::output::Output;
use crate::config::{config_schema, mapping_schema};
use crate::local::{Dialect, bookkeeping_sql};
use crate::model::{Error, Result};

/// Prints the schema of one file, of both under their names, or the SQL.
pub fn run(file: Option<SchemaFile>, sql: Option<SqlDialect>, output: Output) -> Result<Exit> {
    if let Some(dialect) = sql {
        let (name, dialect) = match dialect {
            SqlDialect::Sqlite => ("sqlite", Dialect::Sqlite),
            SqlDialect::Postgres => ("postgres", Dialect::Postgres),
            SqlDialect::Mysql => ("mysql", Dialect::MySql),
        };
        let sql = bookkeeping_sql(dialect);
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
