//! Other programs at the same file, and what goes wrong with it.

use super::*;

#[tokio::test]
async fn a_locked_database_is_left_alone_until_it_is_free() {
    let file = file();
    let mut side = file.side("members", layout());
    side.prepare().await.unwrap();
    let row = inserted(&mut side, &[insert("1", "a", 1)]).await.remove(0);
    let other = file.connect();
    other
        .execute_batch("BEGIN IMMEDIATE; UPDATE customers SET name = 'x'")
        .unwrap();
    let write = [update(&row, vec![(2, Cell::Int(2))])];
    let error = side.apply(&fence(1), &write).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Unreachable, "E-DB-BUSY")
    );
    // Reading goes on: the file is ours, so it is in WAL mode.
    assert_eq!(all(&mut side).await, [row]);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(codes(&mut side, &write).await, ["written"]);
}

#[tokio::test]
async fn edits_of_another_program_at_the_same_time_are_never_lost() {
    const EDITS: i64 = 300;
    let file = file();
    let mut side = SqliteLocal::open(
        file.path(),
        "members",
        layout(),
        vault(),
        SqliteOptions::default(),
    )
    .unwrap();
    side.prepare().await.unwrap();
    let key = inserted(&mut side, &[insert("1", "a", 0)])
        .await
        .remove(0)
        .key;
    let path = file.path();
    let editor = std::thread::spawn(move || {
        let conn = Connection::open(path).unwrap();
        conn.busy_timeout(Duration::from_secs(60)).unwrap();
        for _ in 0..EDITS {
            conn.execute("UPDATE customers SET age = age + 1", [])
                .unwrap();
        }
    });
    let (mut done, mut moved) = (0, 0);
    while done < 100 {
        let row = side
            .fetch(std::slice::from_ref(&key))
            .await
            .unwrap()
            .remove(0)
            .unwrap();
        // A careless writer: it writes back the age that it read.
        let age = row.cells[2].clone();
        let write = update(&row, vec![(1, text(&done.to_string())), (2, age)]);
        match side.apply(&fence(1), &[write]).await.unwrap().remove(0) {
            RowOutcome::Written(_) => done += 1,
            RowOutcome::Moved => moved += 1,
            other => panic!("{other:?}"),
        }
        assert!(moved < 100_000);
    }
    editor.join().unwrap();
    assert_eq!(file.ask("SELECT age FROM customers"), [Cell::Int(EDITS)]);
}

#[tokio::test]
async fn the_schema_may_change_under_a_run() {
    let file = file();
    let mut side = file.side("members", layout());
    side.prepare().await.unwrap();
    let row = inserted(&mut side, &[insert("1", "a", 1)]).await.remove(0);
    file.other("ALTER TABLE customers ADD COLUMN theirs TEXT DEFAULT 'x'");
    let row = inserted(&mut side, &[update(&row, vec![(2, Cell::Int(5))])])
        .await
        .remove(0);
    assert_eq!(file.ask("SELECT theirs FROM customers"), [text("x")]);
    file.other("DROP TABLE customers; CREATE TABLE customers (id INTEGER PRIMARY KEY, other)");
    // Nothing is taken for empty that was there when the run began.
    for error in [
        side.live_rows().await.unwrap_err(),
        side.apply(&fence(1), &[update(&row, vec![(2, Cell::Int(6))])])
            .await
            .unwrap_err(),
    ] {
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Config, "E-MAP-COLUMN")
        );
    }
    file.other("DROP TABLE customers");
    assert_eq!(side.live_rows().await.unwrap_err().code(), "E-MAP-TABLE");
    side.prepare().await.unwrap();
    assert_eq!(side.live_rows().await.unwrap(), 0);
    // Another file in the place of the open one.
    let other = self::file();
    prepared(&other, layout()).await;
    other.other(
        "INSERT INTO customers (email) VALUES ('restored'); PRAGMA wal_checkpoint(TRUNCATE)",
    );
    std::fs::rename(other.path(), file.path()).unwrap();
    side.prepare().await.unwrap();
    assert_eq!(side.live_rows().await.unwrap(), 1);
}

#[tokio::test]
async fn triggers_that_are_missing_altered_or_stale_are_noticed_and_replaced() {
    let file = file();
    let wanted = || Layout {
        changes: ChangeMethod::Journal,
        ..layout()
    };
    let mut side = file.side("members", wanted());
    assert_eq!(side.journal_state().unwrap(), Some(JournalState::Missing));
    side.prepare().await.unwrap();
    assert_eq!(side.journal_state().unwrap(), Some(JournalState::Installed));
    assert!(!side.install_journal().unwrap());
    let position = side.position().await.unwrap();
    let name = "\"contactbridge/members/customers/update\"";
    for (sql, state) in [
        (format!("DROP TRIGGER {name}"), JournalState::Missing),
        (
            format!(
                "DROP TRIGGER {name}; CREATE TRIGGER {name} AFTER UPDATE ON customers BEGIN SELECT 1; END"
            ),
            JournalState::Altered,
        ),
        (
            "DELETE FROM contactbridge_journal".to_owned(),
            JournalState::Missing,
        ),
    ] {
        file.other(&sql);
        assert_eq!(side.journal_state().unwrap(), Some(state), "{sql}");
        assert_eq!(side.position().await.unwrap(), None);
        assert_eq!(
            side.changes(position.as_deref()).await.unwrap(),
            LocalChanges::ScanNeeded
        );
        assert!(side.install_journal().unwrap());
        assert_eq!(
            side.changes(position.as_deref()).await.unwrap(),
            LocalChanges::ScanNeeded
        );
        assert_eq!(side.journal_state().unwrap(), Some(JournalState::Installed));
    }
    let mut wider = wanted();
    wider.deleted = Some("deleted_at".into());
    assert_eq!(
        file.side("members", wider).journal_state().unwrap(),
        Some(JournalState::Stale)
    );
    assert_eq!(
        warnings(&mut file.side("members", layout())),
        ["W-DB-JOURNAL"]
    );
    assert!(side.remove_journal().unwrap());
    assert!(!side.remove_journal().unwrap());
    assert_eq!(
        file.ask("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'"),
        [Cell::Int(0)]
    );
    assert_eq!(
        file.side("members", layout()).journal_state().unwrap(),
        None
    );
}

#[tokio::test]
async fn the_journal_sees_edits_however_a_program_makes_them() {
    let file = file();
    file.other("CREATE TABLE customers (id TEXT PRIMARY KEY, email TEXT COLLATE NOCASE UNIQUE)");
    let wanted = Layout {
        changes: ChangeMethod::Journal,
        ..theirs("id", &["email"])
    };
    let mut side = file.side("members", wanted);
    side.prepare().await.unwrap();
    let position = side.position().await.unwrap();
    let mut noted = async |sql: &str| {
        file.other(sql);
        keys(side.changes(position.as_deref()).await.unwrap())
            .0
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        noted("INSERT OR IGNORE INTO customers VALUES ('a', 'x')").await,
        ["a"]
    );
    assert_eq!(
        noted("INSERT OR REPLACE INTO customers VALUES ('b', 'y')").await,
        ["a", "b"]
    );
    assert_eq!(
        noted("INSERT INTO customers VALUES ('c', 'z') ON CONFLICT DO UPDATE SET email = 'w'")
            .await,
        ["a", "b", "c"]
    );
    file.other("DELETE FROM contactbridge_journal WHERE row_key IS NOT NULL");
    assert_eq!(
        noted("UPDATE OR REPLACE customers SET email = 'X' WHERE id = 'a'").await,
        ["a"]
    );
    assert_eq!(
        noted("UPDATE customers SET id = 'B' WHERE id = 'b'").await,
        ["B", "a", "b"]
    );
    assert_eq!(noted("DELETE FROM customers").await, ["B", "a", "b", "c"]);
}

#[tokio::test]
async fn more_changes_than_fit_in_memory_ask_for_a_scan() {
    let file = file();
    for changes in [
        ChangeMethod::Journal,
        ChangeMethod::Column("updated_at".into()),
    ] {
        let wanted = Layout {
            changes,
            deleted: None,
            columns: vec![column("email", ColumnKind::Text)],
            ..layout()
        };
        let options = SqliteOptions {
            max_changed_keys: 2,
            ..SqliteOptions::default()
        };
        let mut side =
            SqliteLocal::open(file.path(), "members", wanted.clone(), vault(), options).unwrap();
        if matches!(wanted.changes, ChangeMethod::Column(_)) {
            file.other("ALTER TABLE customers ADD COLUMN updated_at TEXT");
        }
        side.prepare().await.unwrap();
        let position = side.position().await.unwrap();
        let insert = match wanted.changes {
            ChangeMethod::Journal => "INSERT INTO customers (email) VALUES ('x')",
            _ => "INSERT INTO customers (updated_at) VALUES ('2026-01-01')",
        };
        for expected in [1, 2] {
            file.other(insert);
            let changes = side.changes(position.as_deref()).await.unwrap();
            assert_eq!(keys(changes).0.len(), expected);
        }
        file.other(insert);
        assert_eq!(
            side.changes(position.as_deref()).await.unwrap(),
            LocalChanges::ScanNeeded
        );
        file.other("DELETE FROM customers");
    }
}

#[tokio::test]
async fn operation_ids_are_kept_up_to_a_bound() {
    let file = file();
    prepared(&file, layout()).await;
    for at in 0..7 {
        // Each by a process of its own, in one epoch.
        let mut side = file.side("members", layout());
        side.options.applied_kept = 3;
        inserted(&mut side, &[insert(&at.to_string(), "a", at)]).await;
    }
    assert_eq!(
        file.ask("SELECT operation FROM contactbridge_applied ORDER BY operation"),
        [5, 6, 7].map(Cell::Int)
    );
}

#[tokio::test]
async fn a_full_a_readonly_and_a_damaged_file_are_told_apart_and_nothing_is_half_written() {
    let file = file();
    let mut side = prepared(&file, layout()).await;
    let writes: Vec<_> = (0..200)
        .map(|at| insert(&at.to_string(), &"x".repeat(500), at))
        .collect();
    assert!(side.exists().await.unwrap());
    let set = |side: &SqliteLocal, name: &str, value: i64| {
        let conn = &side.database.as_ref().unwrap().conn;
        conn.query_row(&format!("PRAGMA {name} = {value}"), [], |_| Ok(()))
            .or_else(|error| match error {
                rusqlite::Error::QueryReturnedNoRows => Ok(()),
                other => Err(other),
            })
            .unwrap();
    };
    for (name, value, back, expected) in [
        (
            "max_page_count",
            20,
            1_000_000,
            (ErrorKind::NeedsPerson, "E-DB-FULL"),
        ),
        (
            "query_only",
            1,
            0,
            (ErrorKind::Unreachable, "E-DB-READONLY"),
        ),
    ] {
        set(&side, name, value);
        let error = side.apply(&fence(1), &writes).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), expected);
        assert_eq!(file.ask("SELECT count(*) FROM customers"), [Cell::Int(0)]);
        assert_eq!(
            file.ask("SELECT count(*) FROM contactbridge_links"),
            [Cell::Int(0)]
        );
        set(&side, name, back);
    }
    inserted(&mut side, &writes).await;
    drop(side);
    let mut bytes = std::fs::read(file.path()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0xA5);
    std::fs::write(file.path(), bytes).unwrap();
    let mut side = file.side("members", layout());
    let damaged = async {
        side.live_rows().await?;
        side.links(None, 1000).await?;
        side.scan(None, 1000, &mut |_, _, _| true).await
    };
    let error = damaged.await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::NeedsPerson, "E-DB-CORRUPT")
    );
}
