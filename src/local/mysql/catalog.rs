//! MySQL's catalogue: what stands under a table's name.
//!
//! `information_schema` compares names without case, and tables on a file system with case don't: names are compared here.

use super::connection::MySql;
use crate::local::dialect::Dialect;
use crate::local::server::backend::{Answer, Statement, rows};
use crate::local::server::shape::{ColumnShape, Family, Found, TableShape};

const DIALECT: Dialect = Dialect::MySql;

/// Looks a table up: `database.table`, else one of the connection's own database.
pub(super) async fn find_table(server: &mut MySql, wanted: &str) -> Answer<Found> {
    let select = "SELECT CAST(TABLE_SCHEMA AS CHAR), CAST(TABLE_NAME AS CHAR), CAST(TABLE_TYPE AS CHAR), CAST(ENGINE AS CHAR), \
                  CAST(@@lower_case_table_names AS CHAR) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ";
    let mut found = Vec::new();
    if let Some((schema, table)) = wanted.split_once('.') {
        let statement = Statement::new(DIALECT, select)
            .text(schema)
            .sql(" AND TABLE_NAME = ")
            .text(table);
        found = named(rows(server, &statement).await?, table);
    }
    if found.is_empty() {
        let statement = Statement::new(DIALECT, select)
            .sql("DATABASE() AND TABLE_NAME = ")
            .text(wanted);
        found = named(rows(server, &statement).await?, wanted);
    }
    let Some([Some(schema), Some(name), Some(kind), engine, ..]) = found.first().map(Vec::as_slice)
    else {
        return Ok(Found::Nothing);
    };
    match kind.as_str() {
        "VIEW" | "SYSTEM VIEW" => return Ok(Found::Other("a view")),
        "SEQUENCE" => return Ok(Found::Other("a sequence")),
        _ => {}
    }
    let unfit = match engine.as_deref() {
        Some(engine) if engine.eq_ignore_ascii_case("InnoDB") => None,
        engine => Some(format!(
            "is kept by the engine {}, which knows no transactions: convert it with ALTER TABLE … ENGINE=InnoDB",
            engine.unwrap_or("?")
        )),
    };
    Ok(Found::Table(TableShape {
        columns: columns(server, schema, name).await?,
        unique: unique(server, schema, name).await?,
        schema: schema.clone(),
        name: name.clone(),
        unfit,
    }))
}

/// The rows whose table has this very name, or, on a server that keeps names without case, the same but for case.
fn named(rows: Vec<Vec<Option<String>>>, wanted: &str) -> Vec<Vec<Option<String>>> {
    let name = |row: &Vec<Option<String>>| row.get(1).cloned().flatten().unwrap_or_default();
    let lax = |row: &Vec<Option<String>>| row.get(4).and_then(Option::as_deref) != Some("0");
    rows.into_iter()
        .filter(|row| {
            name(row) == wanted || (lax(row) && name(row).to_lowercase() == wanted.to_lowercase())
        })
        .collect()
}

pub(super) async fn stands(server: &mut MySql, table: &str) -> Answer<bool> {
    let statement = Statement::new(
        DIALECT,
        "SELECT 'stands' FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ",
    )
    .text(table);
    Ok(!rows(server, &statement).await?.is_empty())
}

async fn columns(server: &mut MySql, schema: &str, table: &str) -> Answer<Vec<ColumnShape>> {
    let statement = Statement::new(
        DIALECT,
        "SELECT CAST(COLUMN_NAME AS CHAR), CAST(DATA_TYPE AS CHAR), CAST(COLUMN_TYPE AS CHAR), CAST(IS_NULLABLE AS CHAR), \
         CAST(COLUMN_DEFAULT AS CHAR), CAST(EXTRA AS CHAR) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ",
    )
    .text(schema)
    .sql(" AND TABLE_NAME = ")
    .text(table)
    .sql(" ORDER BY ORDINAL_POSITION");
    let found = rows(server, &statement).await?;
    Ok(found
        .iter()
        .map(|row| {
            let cell = |at: usize| row.get(at).and_then(Option::as_deref).unwrap_or_default();
            let (kind, whole) = (cell(1).to_lowercase(), cell(2).to_lowercase());
            let extra = cell(5).to_lowercase();
            let family = match kind.as_str() {
                "tinyint" if whole.starts_with("tinyint(1)") => Family::Boolean,
                "bit" if whole == "bit(1)" => Family::Boolean,
                "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" | "bit" => {
                    Family::Integer
                }
                "float" | "double" => Family::Real,
                "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => {
                    Family::Text
                }
                "date" => Family::Date,
                "datetime" | "timestamp" => Family::Time,
                "uuid" => Family::Uuid,
                "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob"
                | "geometry" | "point" => Family::Binary,
                _ => Family::Other,
            };
            ColumnShape {
                name: cell(0).to_owned(),
                family,
                // A bit field takes a text for its bytes, and a sum for its number.
                cast: if kind == "bit" { " + 0" } else { "" }.to_owned(),
                not_null: cell(3) == "NO",
                has_default: !matches!(row.get(4), None | Some(None))
                    || extra.contains("default_generated"),
                counts: extra.contains("auto_increment"),
                generated: extra.contains("virtual")
                    || extra.contains("stored")
                    || extra.contains("persistent"),
                // Every collation holds some texts for equal that are not.
                loose: family == Family::Text,
            }
        })
        .collect())
}

async fn unique(server: &mut MySql, schema: &str, table: &str) -> Answer<Vec<String>> {
    let statement = Statement::new(
        DIALECT,
        "SELECT CAST(max(COLUMN_NAME) AS CHAR) FROM information_schema.STATISTICS WHERE NON_UNIQUE = 0 AND TABLE_SCHEMA = ",
    )
    .text(schema)
    .sql(" AND TABLE_NAME = ")
    .text(table)
    .sql(" GROUP BY INDEX_NAME HAVING count(*) = 1 AND max(SUB_PART) IS NULL");
    let found = rows(server, &statement).await?;
    Ok(found
        .into_iter()
        .filter_map(|mut row| row.pop().flatten())
        .collect())
}

/// The names of the tables of the connection's own database that are not ours.
pub(super) async fn table_names(server: &mut MySql) -> Answer<Vec<String>> {
    let statement = Statement::new(
        DIALECT,
        "SELECT CAST(TABLE_NAME AS CHAR) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() \
         AND TABLE_TYPE LIKE '%TABLE%' AND LEFT(TABLE_NAME, 14) <> 'contactbridge_' ORDER BY TABLE_NAME",
    );
    let found = rows(server, &statement).await?;
    Ok(found
        .into_iter()
        .filter_map(|mut row| row.pop().flatten())
        .collect())
}
