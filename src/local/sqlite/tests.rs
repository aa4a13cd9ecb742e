//! The contract on SQLite, and what only SQLite can do to a bridge.

use rusqlite::Connection;
use tempfile::TempDir;

use super::super::contract::{self, *};
use super::value::cell;
use super::*;
use std::time::Duration;

use crate::local::ChildSet;
use crate::local::problem::JournalState;
use crate::model::{Cell, ChangeMethod, ColumnKind, ErrorKind};

/// A database file of its own.
struct File(TempDir);

fn file() -> File {
    File(tempfile::tempdir().unwrap())
}

impl File {
    fn path(&self) -> PathBuf {
        self.0.path().join("customers.db")
    }

    fn connect(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }
}

impl Place for File {
    type Side = SqliteLocal;

    fn side(&self, bridge: &str, layout: Layout) -> SqliteLocal {
        let options = SqliteOptions {
            busy_timeout: Duration::ZERO,
            ..SqliteOptions::default()
        };
        SqliteLocal::open(self.path(), bridge, layout, vault(), options).unwrap()
    }

    fn other(&self, sql: &str) {
        self.connect().execute_batch(sql).unwrap();
    }

    fn ask(&self, sql: &str) -> Vec<Cell> {
        let conn = self.connect();
        let mut statement = conn.prepare(sql).unwrap();
        statement
            .query_map([], |row| Ok(cell(row.get_ref(0)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }
}

contract::contract!(file());

/// A layout for a table that the customer made.
fn theirs(key: &str, columns: &[&str]) -> Layout {
    Layout {
        key: key.to_owned(),
        create: false,
        columns: columns
            .iter()
            .map(|name| column(name, ColumnKind::Text))
            .collect(),
        children: Vec::new(),
        ..layout()
    }
}

/// An insert that fills the given fields.
fn fill(remote: &str, cells: &[&str]) -> RowWrite {
    RowWrite::Insert {
        cells: cells.iter().map(|cell| Some(text(cell))).collect(),
        children: Vec::new(),
        remote_id: RemoteId(remote.to_owned()),
        external_id: None,
    }
}

fn code(outcome: &RowOutcome) -> &'static str {
    match outcome {
        RowOutcome::Refused { code, reason } => {
            assert!(!reason.contains("secret"), "{reason}");
            code
        }
        RowOutcome::Written(_) => "written",
        RowOutcome::Moved => "moved",
        RowOutcome::Exists(_) => "exists",
    }
}

async fn codes(side: &mut SqliteLocal, writes: &[RowWrite]) -> Vec<&'static str> {
    let outcomes = side.apply(&fence(1), writes).await.unwrap();
    outcomes.iter().map(code).collect()
}

fn fatal(side: &mut SqliteLocal) -> Vec<&'static str> {
    let description = side.describe().unwrap();
    let fatal = description.problems.iter().filter(|found| found.fatal);
    fatal.map(|found| found.code).collect()
}

fn warnings(side: &mut SqliteLocal) -> Vec<&'static str> {
    let problems = side.describe().unwrap().problems;
    let warnings = problems.iter().filter(|found| !found.fatal);
    warnings.map(|found| found.code).collect()
}

#[tokio::test]
async fn looking_at_a_missing_file_does_not_make_it() {
    let file = file();
    let mut side = file.side("members", layout());
    all(&mut side).await;
    side.describe().unwrap();
    side.journal_state().unwrap();
    assert!(!file.path().exists());
}

#[tokio::test]
async fn a_missing_file_is_an_error_where_nothing_may_be_made() {
    let file = file();
    let mut side = file.side("members", theirs("id", &["email"]));
    assert!(!side.exists().await.unwrap());
    for error in [
        side.live_rows().await.unwrap_err(),
        side.prepare().await.unwrap_err(),
    ] {
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Config, "E-DB-MISSING")
        );
    }
    assert_eq!(fatal(&mut side), ["E-DB-MISSING"]);
    assert!(!file.path().exists());
}

#[tokio::test]
async fn all_names_that_the_database_lacks_are_told_at_once() {
    let file = file();
    file.other("CREATE TABLE customers (id INTEGER PRIMARY KEY AUTOINCREMENT, email, city); CREATE TABLE customer_addresses (customer_id, kind, city)");
    let mut wanted = theirs("id", &["emial", "city", "shoe_size"]);
    wanted.deleted = Some("gone".into());
    wanted.children = layout().children;
    let mut side = file.side("members", wanted);
    let error = side.live_rows().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Config, "E-MAP-TABLE")
    );
    for part in [
        "addresses: no such table",
        "customers.emial: no such column; did you mean \"email\"?",
        "customers.shoe_size: no such column",
        "customers.gone: no such column",
    ] {
        assert!(error.message().contains(part), "{part} in {error}");
    }
    let error = side.prepare().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(
        file.ask("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'contactbridge%'"),
        [Cell::Int(0)]
    );

    let mut side = file.side(
        "members",
        Layout {
            table: "customer".into(),
            ..theirs("id", &["email"])
        },
    );
    let error = side.live_rows().await.unwrap_err();
    assert!(
        error.message().contains("did you mean \"customers\"?"),
        "{error}"
    );
}

#[tokio::test]
async fn only_tables_with_a_key_that_names_a_row_are_taken() {
    for (sql, expected) in [
        (
            "CREATE TABLE t (id INTEGER PRIMARY KEY, email); CREATE VIEW customers AS SELECT * FROM t",
            "E-DB-VIEW",
        ),
        ("CREATE TABLE customers (id INTEGER, email)", "E-DB-KEY"),
        ("CREATE TABLE customers (id TEXT UNIQUE, email)", "E-DB-KEY"),
        (
            "CREATE TABLE customers (id, email, PRIMARY KEY (id, email))",
            "E-DB-KEY",
        ),
        (
            "PRAGMA encoding = 'UTF-16'; CREATE TABLE customers (id TEXT PRIMARY KEY, email)",
            "E-DB-ENCODING",
        ),
    ] {
        let file = file();
        file.other(sql);
        let mut side = file.side("members", theirs("id", &["email"]));
        assert_eq!(fatal(&mut side), [expected], "{sql}");
        assert_eq!(side.prepare().await.unwrap_err().code(), expected);
    }
}

#[test]
fn names_that_clash_are_refused_before_anything_is_opened() {
    let refused = |change: &dyn Fn(&mut Layout)| {
        let mut wanted = layout();
        change(&mut wanted);
        SqliteLocal::open(
            "none.db",
            "members",
            wanted,
            vault(),
            SqliteOptions::default(),
        )
        .err()
        .map(|error| error.code())
    };
    assert_eq!(refused(&|_| {}), None);
    assert_eq!(
        refused(&|wanted| wanted.table = "contactbridge_links".into()),
        Some("E-MAP-TABLE")
    );
    assert_eq!(
        refused(&|wanted| wanted.table = "SQLITE_x".into()),
        Some("E-MAP-TABLE")
    );
    assert_eq!(
        refused(&|wanted| wanted.columns[0].name = "NAME".into()),
        Some("E-MAP-COLUMN")
    );
    assert_eq!(
        refused(&|wanted| wanted.columns[0].name = "id".into()),
        Some("E-MAP-COLUMN")
    );
    assert_eq!(
        refused(&|wanted| wanted.deleted = Some("age".into())),
        Some("E-MAP-COLUMN")
    );
    assert_eq!(
        refused(&|wanted| wanted.columns[1].name = "a\0b".into()),
        Some("E-MAP-COLUMN")
    );
    assert_eq!(
        refused(&|wanted| wanted.children[0].parent = "city".into()),
        Some("E-MAP-COLUMN")
    );
}

#[tokio::test]
async fn what_stands_in_the_way_of_writing_is_told_beforehand() {
    let file = file();
    file.other("CREATE TABLE customers (id INTEGER PRIMARY KEY, email TEXT UNIQUE ON CONFLICT REPLACE, must TEXT NOT NULL, code AS (email || '!'))");
    let mut side = file.side("members", theirs("id", &["email", "code"]));
    assert_eq!(
        warnings(&mut side),
        [
            "W-DB-KEY-REUSED",
            "W-MAP-GENERATED",
            "W-DB-NOT-NULL",
            "W-DB-REPLACE"
        ]
    );
    side.prepare().await.unwrap();
    let half = RowWrite::Insert {
        cells: vec![Some(text("a")), None],
        children: Vec::new(),
        remote_id: RemoteId("2".into()),
        external_id: None,
    };
    assert_eq!(
        codes(&mut side, &[fill("1", &["a", "b"]), half]).await,
        ["E-FIELD-GENERATED", "E-FIELD-CONSTRAINT"]
    );
    assert_eq!(side.describe().unwrap().rows, Some(0));
}

#[tokio::test]
async fn keys_that_can_not_be_named_are_passed_over_and_counted() {
    let file = file();
    file.other("CREATE TABLE customers (id TEXT PRIMARY KEY COLLATE NOCASE, email); \
        INSERT INTO customers VALUES (NULL, 'n'), (x'00', 'b'), ('b', '1'), ('C', '2'), ('a', '3'), \
        (CAST(x'61ff' AS TEXT), 'odd'), (CAST(x'61fe' AS TEXT), 'odd'), (CAST(x'62ff' AS TEXT), 'odd')");
    let mut side = file.side("members", theirs("id", &["email"]));
    let keys: Vec<_> = all(&mut side)
        .await
        .iter()
        .map(|row| row.key.to_string())
        .collect();
    assert_eq!(keys, ["C", "a", "b"]);
    for limit in 1..7 {
        let (mut seen, mut after) = (0, None);
        loop {
            let chunk = side
                .scan(after.as_ref(), limit, &mut |_, _, _| false)
                .await
                .unwrap();
            seen += chunk.seen;
            after = chunk.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, 3, "chunks of {limit}");
    }
    assert_eq!(
        side.fetch(&[LocalKey::Text("A".into())]).await.unwrap(),
        [None]
    );
    let found = side.describe().unwrap();
    assert!(
        found
            .problems
            .iter()
            .any(|problem| problem.code == "W-DB-KEY-VALUE" && problem.message.contains("2 rows"))
    );
}

#[tokio::test]
async fn tables_of_every_make_are_written_to() {
    for (key, sql) in [
        (
            "id",
            "CREATE TABLE customers (id INTEGER PRIMARY KEY AUTOINCREMENT, email)",
        ),
        (
            "id",
            "CREATE TABLE customers (id TEXT PRIMARY KEY DEFAULT (lower(hex(randomblob(8)))), email, rowid, oid, _rowid_)",
        ),
        (
            "id",
            "CREATE TABLE customers (id TEXT PRIMARY KEY DEFAULT (lower(hex(randomblob(8)))), email) WITHOUT ROWID",
        ),
        (
            "id",
            "CREATE TABLE customers (id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT) STRICT",
        ),
        (
            "i d\"",
            "CREATE TABLE customers (\"i d\"\"\" INTEGER NOT NULL UNIQUE DEFAULT 5, email)",
        ),
        (
            "id",
            "CREATE TABLE customers (id INTEGER PRIMARY KEY, email AS ('x') STORED, \"main\" TEXT)",
        ),
    ] {
        let file = file();
        file.other(sql);
        let mut wanted = theirs(key, &["email"]);
        wanted.changes = ChangeMethod::Journal;
        let writable = !sql.contains("STORED");
        let mut side = file.side("members", wanted);
        side.prepare().await.unwrap();
        let position = side.position().await.unwrap();
        if !writable {
            file.other("INSERT INTO customers (id) VALUES (1)");
            assert_eq!(all(&mut side).await[0].cells, [text("x")]);
            continue;
        }
        let row = inserted(&mut side, &[fill("1", &["a"])]).await.remove(0);
        let row = inserted(&mut side, &[update(&row, vec![(0, text("b"))])])
            .await
            .remove(0);
        assert_eq!(all(&mut side).await, std::slice::from_ref(&row), "{sql}");
        assert_eq!(
            side.find(0, &["B".into()]).await.unwrap(),
            std::slice::from_ref(&row)
        );
        assert_eq!(
            keys(side.changes(position.as_deref()).await.unwrap()).0,
            [],
            "{sql}"
        );
        file.other("UPDATE customers SET email = 'c'");
        assert_eq!(
            keys(side.changes(position.as_deref()).await.unwrap()).0,
            std::slice::from_ref(&row.key),
            "{sql}"
        );
        let row = side.fetch(&[row.key]).await.unwrap().remove(0).unwrap();
        let delete = RowWrite::Delete {
            key: row.key,
            expect: row.digest,
        };
        assert_eq!(codes(&mut side, &[delete]).await, ["written"]);
    }
}

#[tokio::test]
async fn null_becomes_empty_text_where_the_column_takes_no_null() {
    let file = file();
    file.other("CREATE TABLE customers (id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT NOT NULL, tier INTEGER NOT NULL DEFAULT 3)");
    let mut side = file.side("members", theirs("id", &["email", "tier"]));
    side.prepare().await.unwrap();
    let write = RowWrite::Insert {
        cells: vec![Some(Cell::Null), Some(Cell::Null)],
        children: Vec::new(),
        remote_id: RemoteId("1".into()),
        external_id: None,
    };
    let row = inserted(&mut side, &[write]).await.remove(0);
    assert_eq!(row.cells, [text(""), Cell::Int(3)]);
    let row = inserted(&mut side, &[update(&row, vec![(0, text("x"))])])
        .await
        .remove(0);
    let row = inserted(&mut side, &[update(&row, vec![(0, Cell::Null)])])
        .await
        .remove(0);
    assert_eq!(row.cells[0], text(""));
    assert_eq!(
        codes(&mut side, &[update(&row, vec![(1, Cell::Null)])]).await,
        ["E-FIELD-CONSTRAINT"]
    );
}

#[tokio::test]
async fn the_row_that_comes_back_is_the_one_that_triggers_left() {
    let file = file();
    // The text in double quotes is what old schemas have in their triggers.
    file.other("CREATE TABLE customers (id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT, note TEXT); CREATE TABLE log (what); \
        CREATE TRIGGER a AFTER INSERT ON customers BEGIN UPDATE customers SET email = upper(NEW.email) WHERE id = NEW.id; INSERT INTO log VALUES (\"made\"); END; \
        CREATE TRIGGER b AFTER UPDATE OF email ON customers WHEN NEW.email = 'TWIN' BEGIN UPDATE customers SET note = 'twin' WHERE id <> NEW.id; END");
    let mut wanted = theirs("id", &["email", "note"]);
    wanted.changes = ChangeMethod::Journal;
    let mut side = file.side("members", wanted);
    side.prepare().await.unwrap();
    let position = side.position().await.unwrap();
    let only = |email: &str, remote: &str| RowWrite::Insert {
        cells: vec![Some(text(email)), None],
        children: Vec::new(),
        remote_id: RemoteId(remote.to_owned()),
        external_id: None,
    };
    side.find(1, &["twin".into()]).await.unwrap();
    let row = inserted(&mut side, &[only("abc", "1")]).await.remove(0);
    assert_eq!(row.cells[0], text("ABC"));
    assert_eq!(all(&mut side).await, [row]);
    // What a trigger does to another row in our transaction is an edit like any other, and find knows of it.
    inserted(&mut side, &[only("twin", "2")]).await;
    let changes = side.changes(position.as_deref()).await.unwrap();
    assert_eq!(keys(changes).0, [LocalKey::Int(1)]);
    assert_eq!(side.find(1, &["twin".into()]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn rules_that_undo_everything_hit_only_the_row_they_are_about() {
    for rule in [
        "CREATE TRIGGER r BEFORE INSERT ON customers WHEN NEW.email = 'bad' BEGIN SELECT RAISE(ROLLBACK, 'secret'); END",
        "CREATE TRIGGER r BEFORE INSERT ON customers WHEN NEW.email = 'bad' BEGIN SELECT RAISE(ABORT, 'secret'); END",
        "CREATE TRIGGER r BEFORE INSERT ON customers WHEN NEW.email = 'bad' BEGIN SELECT RAISE(IGNORE); END",
        "CREATE TRIGGER r AFTER INSERT ON customers WHEN NEW.email = 'bad' BEGIN DELETE FROM customers WHERE id = NEW.id; END",
        "CREATE TRIGGER r AFTER INSERT ON customers WHEN NEW.email = 'bad' BEGIN SELECT json_extract('{secret', '$'); END",
        "CREATE TABLE tiers (name PRIMARY KEY); INSERT INTO tiers VALUES ('good'), ('fine'); DROP TABLE customers; \
         CREATE TABLE customers (id INTEGER PRIMARY KEY AUTOINCREMENT, email REFERENCES tiers DEFERRABLE INITIALLY DEFERRED)",
    ] {
        let file = file();
        file.other("CREATE TABLE customers (id INTEGER PRIMARY KEY AUTOINCREMENT, email)");
        file.other(rule);
        let mut side = file.side("members", theirs("id", &["email"]));
        side.prepare().await.unwrap();
        let writes = [
            fill("1", &["good"]),
            fill("2", &["bad"]),
            fill("3", &["fine"]),
        ];
        let found = codes(&mut side, &writes).await;
        assert_eq!((found[0], found[2]), ("written", "written"), "{rule}");
        assert!(found[1].starts_with("E-FIELD-"), "{rule}: {}", found[1]);
        assert_eq!(
            file.ask("SELECT email FROM customers ORDER BY id"),
            [text("good"), text("fine")],
            "{rule}"
        );
        assert_eq!(side.links(None, 9).await.unwrap().len(), 2, "{rule}");
    }
}

#[tokio::test]
async fn references_of_the_schema_hold_for_us_too() {
    let file = file();
    file.other("CREATE TABLE customers (id INTEGER PRIMARY KEY AUTOINCREMENT, email); \
        CREATE TABLE orders (customer REFERENCES customers ON DELETE RESTRICT); CREATE TABLE notes (customer REFERENCES customers ON DELETE CASCADE)");
    let mut side = file.side("members", theirs("id", &["email"]));
    side.prepare().await.unwrap();
    let rows = inserted(&mut side, &[fill("1", &["a"]), fill("2", &["b"])]).await;
    file.other("INSERT INTO orders VALUES (1); INSERT INTO notes VALUES (1), (2)");
    let delete = |row: &Row| RowWrite::Delete {
        key: row.key.clone(),
        expect: row.digest,
    };
    assert_eq!(
        codes(&mut side, &[delete(&rows[0]), delete(&rows[1])]).await,
        ["E-FIELD-CONSTRAINT", "written"]
    );
    assert_eq!(file.ask("SELECT customer FROM notes"), [Cell::Int(1)]);
}

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
async fn marks_are_written_as_their_column_wants_them() {
    for (declared, marked, revived) in [
        ("TEXT", "text", "null"),
        ("DATETIME", "text", "null"),
        ("INTEGER", "integer", "null"),
        ("BOOLEAN NOT NULL DEFAULT 0", "integer", "integer"),
        ("TEXT NOT NULL DEFAULT ''", "text", "text"),
    ] {
        let file = file();
        file.other(&format!(
            "CREATE TABLE customers (id INTEGER PRIMARY KEY AUTOINCREMENT, email, gone {declared})"
        ));
        let mut side = file.side(
            "members",
            Layout {
                deleted: Some("gone".into()),
                ..theirs("id", &["email"])
            },
        );
        side.prepare().await.unwrap();
        let row = inserted(&mut side, &[fill("1", &["a"])]).await.remove(0);
        assert!(!row.marked);
        let delete = RowWrite::Delete {
            key: row.key.clone(),
            expect: row.digest,
        };
        let row = inserted(&mut side, &[delete]).await.remove(0);
        assert!(row.marked, "{declared}");
        assert_eq!(
            file.ask("SELECT typeof(gone) FROM customers"),
            [text(marked)],
            "{declared}"
        );
        if declared.starts_with("BOOL") {
            assert_eq!(file.ask("SELECT gone FROM customers"), [Cell::Int(1)]);
        }
        let mut revive = update(&row, Vec::new());
        if let RowWrite::Update { revive, .. } = &mut revive {
            *revive = true;
        }
        assert!(!inserted(&mut side, &[revive]).await.remove(0).marked);
        assert_eq!(
            file.ask("SELECT typeof(gone) FROM customers"),
            [text(revived)],
            "{declared}"
        );
    }
}

#[tokio::test]
async fn child_rows_need_no_rowid_and_no_nulls() {
    let file = file();
    file.other("CREATE TABLE addresses (customer_id INT, kind TEXT NOT NULL, city TEXT, PRIMARY KEY (customer_id, kind)) WITHOUT ROWID");
    let mut side = file.side("members", layout());
    side.prepare().await.unwrap();
    let row = inserted(&mut side, &[insert("1", "a", 1)]).await.remove(0);
    let settle = |rows: Vec<Vec<Cell>>, formerly: &[Cell]| {
        let mut write = update(&row, Vec::new());
        if let RowWrite::Update { children, .. } = &mut write {
            let formerly = formerly
                .iter()
                .map(|cell| vault().part_digest(std::slice::from_ref(cell)))
                .collect();
            children.push(ChildSet {
                rule: 0,
                rows,
                formerly,
            });
        }
        write
    };
    let parts = vec![
        vec![Cell::Int(1), text("Rome")],
        vec![Cell::Null, text("Oslo")],
    ];
    inserted(&mut side, &[settle(parts.clone(), &[])]).await;
    assert_eq!(
        file.ask("SELECT kind || city FROM addresses"),
        [text("Oslo"), text("1Rome")]
    );
    inserted(&mut side, &[settle(parts, &[Cell::Int(1), Cell::Null])]).await;
    inserted(
        &mut side,
        &[settle(
            vec![vec![Cell::Int(1), text("Lima")]],
            &[Cell::Int(1), Cell::Null],
        )],
    )
    .await;
    assert_eq!(
        file.ask("SELECT kind || city FROM addresses"),
        [text("1Lima")]
    );
}

#[tokio::test]
async fn unchanged_child_rows_are_not_written() {
    let file = file();
    let mut side = file.side("members", layout());
    side.prepare().await.unwrap();
    let row = inserted(&mut side, &[insert("1", "a", 1)]).await.remove(0);
    let mut write = update(&row, Vec::new());
    if let RowWrite::Update { children, .. } = &mut write {
        let rows = vec![
            vec![Cell::Int(1), text("Rome")],
            vec![text("2"), Cell::Null],
        ];
        children.push(ChildSet {
            rule: 0,
            rows,
            formerly: Vec::new(),
        });
    }
    inserted(&mut side, std::slice::from_ref(&write)).await;
    file.other("CREATE TABLE touched (x); CREATE TRIGGER t AFTER UPDATE ON addresses BEGIN INSERT INTO touched VALUES (1); END; \
        CREATE TRIGGER u AFTER INSERT ON addresses BEGIN INSERT INTO touched VALUES (2); END");
    inserted(&mut side, &[write]).await;
    assert_eq!(file.ask("SELECT x FROM touched"), []);
}

#[tokio::test]
async fn whole_tables_are_read_along_the_key_without_sorting() {
    let file = file();
    file.other("CREATE TABLE customers (id TEXT PRIMARY KEY, email); CREATE TABLE numbered (id INTEGER PRIMARY KEY, email)");
    for table in ["customers", "numbered"] {
        let mut side = file.side(
            "members",
            Layout {
                table: table.into(),
                ..theirs("id", &["email"])
            },
        );
        let binding = side.database().unwrap().unwrap().binding.as_ref().unwrap();
        for (sql, parameters) in [
            (&binding.scan_first, 1),
            (&binding.scan_next, 2),
            (&binding.fetch, 1),
        ] {
            let conn = file.connect();
            let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let plan: Vec<String> = statement
                .query_map(rusqlite::params_from_iter(vec![5; parameters]), |row| {
                    row.get(3)
                })
                .unwrap()
                .map(Result::unwrap)
                .collect();
            let plan = plan.join("; ");
            assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
            if sql.contains("?2") || sql.contains("= ?1") {
                assert!(plan.contains("SEARCH"), "{sql}: {plan}");
            }
        }
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
async fn a_table_of_ours_with_another_shape_needs_a_person() {
    let file = file();
    file.other("CREATE TABLE contactbridge_links (a, b)");
    let error = file.side("members", layout()).prepare().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::NeedsPerson, "E-DB-BOOKKEEPING")
    );
}
