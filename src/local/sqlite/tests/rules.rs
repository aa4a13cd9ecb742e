//! What triggers, constraints and types of the customer do to our writes.

use super::*;

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
