//! Files and tables of every make: what is taken, what is refused, and what is said about it.

use super::*;

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
async fn a_table_of_ours_with_another_shape_needs_a_person() {
    let file = file();
    file.other("CREATE TABLE contactbridge_links (a, b)");
    let error = file.side("members", layout()).prepare().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::NeedsPerson, "E-DB-BOOKKEEPING")
    );
}
