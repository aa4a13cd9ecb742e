//! How fast the local side reads, digests and writes: `cargo bench --bench local`.
//!
//! Rows of 20 columns and about 1.3 KB, as docs/performance.md describes them; durable (synchronous=FULL).

#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark is there to read the clock"
)]

use std::time::{Duration, Instant};

use contactbridge::local::{Fence, Local, Row, RowOutcome, RowWrite, SqliteLocal, SqliteOptions};
use contactbridge::model::{
    Cell, ChangeMethod, Column, ColumnKind, Layout, LocalKey, RemoteId, Vault,
};

const ROWS: usize = 100_000;
const GROUP: usize = 1_000;
const COLUMNS: usize = 20;

fn layout(changes: ChangeMethod) -> Layout {
    Layout {
        table: "customers".into(),
        key: "id".into(),
        key_field: None,
        create: true,
        changes,
        deleted: None,
        columns: (0..COLUMNS)
            .map(|at| Column {
                name: format!("column_{at}"),
                kind: ColumnKind::Text,
                matches: at == 0,
            })
            .collect(),
        children: Vec::new(),
    }
}

fn cells(row: usize) -> Vec<Option<Cell>> {
    (0..COLUMNS)
        .map(|at| {
            Some(match at {
                0 => Cell::Text(format!("person.{row}@example.org")),
                1 => Cell::Text(format!("C-{row:08}")),
                5 => Cell::Null,
                6 => Cell::Int(row as i64 % 90),
                _ => Cell::Text(format!("{row} {at} {}", "what a field holds, ".repeat(3))),
            })
        })
        .collect()
}

fn inserts(from: usize) -> Vec<RowWrite> {
    (from..from + GROUP)
        .map(|row| RowWrite::Insert {
            cells: cells(row),
            children: Vec::new(),
            remote_id: RemoteId(format!("{}", 5_000_000 + row)),
            external_id: Some(format!("C-{row:08}")),
        })
        .collect()
}

fn say(what: &str, count: usize, took: Duration) {
    println!(
        "{what:<44} {:>9.0} /s {:>8.3} s",
        count as f64 / took.as_secs_f64(),
        took.as_secs_f64()
    );
}

async fn written(side: &mut SqliteLocal, fence: &Fence, writes: &[RowWrite]) -> usize {
    let outcomes = side
        .apply(fence, writes)
        .await
        .expect("the group is written");
    outcomes
        .iter()
        .filter(|outcome| matches!(outcome, RowOutcome::Written(_)))
        .count()
}

async fn scan(side: &mut SqliteLocal, chosen: bool) -> Vec<Row> {
    let (mut rows, mut after): (Vec<Row>, Option<LocalKey>) = (Vec::new(), None);
    loop {
        let chunk = side
            .scan(after.as_ref(), GROUP, &mut |_, digest, _| {
                chosen && digest.0.is_multiple_of(100)
            })
            .await
            .expect("the table is read");
        rows.extend(chunk.rows);
        after = chunk.next;
        if after.is_none() {
            return rows;
        }
    }
}

async fn run(changes: ChangeMethod, name: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut side = SqliteLocal::open(
        dir.path().join("customers.db"),
        "bench",
        layout(changes),
        Vault::new(&[1; 32]),
        SqliteOptions::default(),
    )
    .expect("a layout");
    side.prepare().await.expect("tables");
    let fence = Fence {
        store_id: "bench".into(),
        epoch: 1,
    };
    println!("{name}: {ROWS} rows of {COLUMNS} columns, groups of {GROUP}");
    let position = side.position().await.expect("a position");

    let groups: Vec<_> = (0..ROWS).step_by(GROUP).map(inserts).collect();
    let start = Instant::now();
    let mut count = 0;
    for group in &groups {
        count += written(&mut side, &fence, group).await;
    }
    say("insert with link, durable", count, start.elapsed());
    drop(groups);

    for _ in 0..3 {
        let start = Instant::now();
        scan(&mut side, false).await;
        say("scan and digest, none chosen", ROWS, start.elapsed());
    }
    let start = Instant::now();
    let rows = scan(&mut side, true).await;
    say("scan and digest, 1 % chosen", ROWS, start.elapsed());

    if let Some(position) = &position {
        let start = Instant::now();
        side.changes(Some(position)).await.expect("changes");
        say("changes, none", ROWS, start.elapsed());
    }

    let updates: Vec<_> = rows
        .iter()
        .map(|row| RowWrite::Update {
            key: row.key.clone(),
            expect: row.digest,
            cells: vec![(2, Cell::Text("changed".into()))],
            children: Vec::new(),
            revive: false,
            link: None,
        })
        .collect();
    let start = Instant::now();
    let count = written(&mut side, &fence, &updates).await;
    say("update, durable, one group", count, start.elapsed());

    let keys: Vec<_> = rows.iter().map(|row| row.key.clone()).collect();
    let start = Instant::now();
    side.fetch(&keys).await.expect("rows");
    say("fetch", keys.len(), start.elapsed());

    let values: Vec<_> = (0..100)
        .map(|row| format!("PERSON.{}@example.org", row * 7))
        .collect();
    let start = Instant::now();
    side.find(0, &values).await.expect("rows");
    say("find 100 values, first call", 100, start.elapsed());
    let start = Instant::now();
    side.find(0, &values).await.expect("rows");
    say("find 100 values, again", 100, start.elapsed());
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        run(ChangeMethod::Scan, "scan").await;
        run(ChangeMethod::Journal, "journal").await;
    });
}
