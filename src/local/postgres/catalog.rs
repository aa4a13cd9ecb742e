//! PostgreSQL's catalogue: what stands under a table's name.

use super::connection::Postgres;
use crate::local::dialect::Dialect;
use crate::local::server::backend::{Answer, Backend, Statement, rows};
use crate::local::server::shape::{ColumnShape, Family, Found, TableShape};

const DIALECT: Dialect = Dialect::Postgres;

/// Looks a table up: `schema.table`, else the first of that name in the search path.
pub(super) async fn find_table(server: &mut Postgres, wanted: &str) -> Answer<Found> {
    let select = "SELECT c.oid::text, n.nspname, c.relname, c.relkind::text FROM pg_class AS c \
                  JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND ";
    let mut found = Vec::new();
    if let Some((schema, table)) = wanted.split_once('.') {
        let statement = Statement::new(DIALECT, select)
            .sql("n.nspname = ")
            .text(schema)
            .sql(" AND c.relname = ")
            .text(table);
        found = rows(server, &statement).await?;
    }
    if found.is_empty() {
        let statement = Statement::new(DIALECT, select)
            .sql("n.nspname = ANY(current_schemas(false)) AND c.relname = ")
            .text(wanted)
            .sql(" ORDER BY array_position(current_schemas(false), n.nspname) LIMIT 1");
        found = rows(server, &statement).await?;
    }
    let Some([Some(oid), Some(schema), Some(name), Some(kind)]) = found.first().map(Vec::as_slice)
    else {
        return Ok(Found::Nothing);
    };
    Ok(match kind.as_str() {
        "v" => Found::Other("a view"),
        "m" => Found::Other("a materialized view"),
        "f" => Found::Other("a foreign table"),
        _ => Found::Table(TableShape {
            schema: schema.clone(),
            name: name.clone(),
            columns: columns(server, oid).await?,
            unique: unique(server, oid).await?,
            unfit: None,
        }),
    })
}

/// A domain is what it is made of, over at most two steps: then the column's own rules speak when it is written to.
async fn columns(server: &mut Postgres, oid: &str) -> Answer<Vec<ColumnShape>> {
    let statement = Statement::new(
        DIALECT,
        "SELECT a.attname, bn.nspname, b.typname, b.typtype::text, (a.attnotnull OR t.typnotnull)::text, \
         (a.atthasdef AND a.attgenerated = '')::text, (a.attidentity <> '' OR \
         coalesce(pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%', false))::text, \
         (a.attgenerated <> '' OR a.attidentity = 'a')::text, coalesce(NOT co.collisdeterministic, false)::text \
         FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid \
         LEFT JOIN pg_type AS t1 ON t1.oid = t.typbasetype AND t.typtype = 'd' \
         LEFT JOIN pg_type AS t2 ON t2.oid = t1.typbasetype AND t1.typtype = 'd' \
         JOIN pg_type AS b ON b.oid = coalesce(t2.oid, t1.oid, t.oid) \
         JOIN pg_namespace AS bn ON bn.oid = b.typnamespace \
         LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
         LEFT JOIN pg_collation AS co ON co.oid = a.attcollation \
         WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = ",
    )
    .text(oid)
    .sql("::oid ORDER BY a.attnum");
    let found = rows(server, &statement).await?;
    Ok(found
        .iter()
        .map(|row| {
            let cell = |at: usize| row.get(at).and_then(Option::as_deref).unwrap_or_default();
            let is = |at: usize| cell(at) == "true";
            let (schema, kind) = (cell(1), cell(2));
            let family = match (schema, kind) {
                ("pg_catalog", "int2" | "int4" | "int8") => Family::Integer,
                ("pg_catalog", "bool") => Family::Boolean,
                ("pg_catalog", "float4" | "float8") => Family::Real,
                ("pg_catalog", "text" | "varchar" | "bpchar") | (_, "citext") => Family::Text,
                ("pg_catalog", "date") => Family::Date,
                ("pg_catalog", "timestamp" | "timestamptz") => Family::Time,
                ("pg_catalog", "uuid") => Family::Uuid,
                ("pg_catalog", "bytea") => Family::Binary,
                _ => Family::Other,
            };
            let cast = match (schema, kind) {
                ("pg_catalog", "text" | "varchar") => String::new(),
                _ => format!("::{}.{}", DIALECT.name(schema), DIALECT.name(kind)),
            };
            ColumnShape {
                name: cell(0).to_owned(),
                family,
                cast,
                not_null: is(4),
                has_default: is(5),
                counts: is(6),
                generated: is(7),
                loose: is(8) || matches!(kind, "citext" | "bpchar"),
            }
        })
        .collect())
}

async fn unique(server: &mut Postgres, oid: &str) -> Answer<Vec<String>> {
    let statement = Statement::new(
        DIALECT,
        "SELECT a.attname FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] \
         WHERE i.indisunique AND i.indisvalid AND i.indnkeyatts = 1 AND i.indpred IS NULL AND i.indexprs IS NULL \
         AND i.indrelid = ",
    )
    .text(oid)
    .sql("::oid");
    let found = rows(server, &statement).await?;
    Ok(found
        .into_iter()
        .filter_map(|mut row| row.pop().flatten())
        .collect())
}

/// The names of the tables in the search path that are not ours.
pub(super) async fn table_names(server: &mut Postgres) -> Answer<Vec<String>> {
    let statement = Statement::new(
        Postgres::DIALECT,
        "SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY(current_schemas(false)) \
         AND left(c.relname, 14) <> 'contactbridge_' ORDER BY c.relname",
    );
    let found = rows(server, &statement).await?;
    Ok(found
        .into_iter()
        .filter_map(|mut row| row.pop().flatten())
        .collect())
}
