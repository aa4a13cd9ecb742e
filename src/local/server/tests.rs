//! A database on a server, as the tests of each kind use it.

#[path = "../../../tests/servers/fresh.rs"]
mod fresh;

use chrono::NaiveDateTime;

use super::backend::{Statement, first, rows};
use super::{Connector, ServerLocal, ServerOptions};
use crate::config::{DatabaseUrl, ServerUrl, database_for_tests};
use crate::database::Address;
use crate::local::contract::{
    Place, all, column, fence, insert, inserted, keys, layout, prepared, text, update, vault,
};
use crate::local::{ChildSet, JournalState, Local, LocalChanges, RowOutcome, RowWrite, instant};
use crate::model::{Cell, ChangeMethod, ColumnKind, Digest, ErrorKind, Layout, LocalKey, RemoteId};

pub(crate) use fresh::{Fresh, Server};

/// A database of its own, for a backend.
pub(in crate::local) struct At<B> {
    pub(in crate::local) fresh: Fresh,
    backend: std::marker::PhantomData<B>,
}

impl<B: Connector> At<B> {
    pub(in crate::local) fn make(server: Server) -> Option<Self> {
        Some(Self {
            fresh: Fresh::make(server)?,
            backend: std::marker::PhantomData,
        })
    }

    /// A process of the customer's in a transaction of its own.
    async fn visitor(&self) -> B {
        let address = Address::read(&server_url(&self.fresh.url()), B::DIALECT).unwrap();
        B::connect(&address, &ServerOptions::default())
            .await
            .unwrap()
    }
}

pub(in crate::local) fn server_url(url: &str) -> ServerUrl {
    match database_for_tests(url) {
        DatabaseUrl::Postgres(url) | DatabaseUrl::MySql(url) => url,
        DatabaseUrl::Sqlite(_) => panic!("no server"),
    }
}

impl<B: Connector> Place for At<B> {
    type Side = ServerLocal<B>;

    fn side(&self, bridge: &str, layout: Layout) -> Self::Side {
        let url = server_url(&self.fresh.url());
        ServerLocal::open(&url, bridge, layout, vault(), ServerOptions::default()).unwrap()
    }

    fn other(&self, sql: &str) {
        self.fresh.run(sql);
    }

    fn time(&self, iso: &str) -> String {
        let time: NaiveDateTime = instant::from_text(iso).unwrap().naive_utc();
        time.format("'%Y-%m-%d %H:%M:%S%.3f'").to_string()
    }

    fn now(&self) -> String {
        match self.fresh.server {
            Server::Postgres => "clock_timestamp()".to_owned(),
            Server::MySql => "UTC_TIMESTAMP(6)".to_owned(),
        }
    }

    fn ask(&self, sql: &str) -> Vec<Cell> {
        let rows = self.fresh.rows(sql);
        let cells = rows.into_iter().map(|mut row| match row.remove(0) {
            None => Cell::Null,
            Some(text) => text.parse().map_or_else(|_| Cell::Text(text), Cell::Int),
        });
        cells.collect()
    }
}

/// Runs what servers have in common for one of them.
macro_rules! on_server {
    ($place:expr) => {
        $crate::local::server::tests::on_server!(@each $place;
            an_entry_that_commits_late_is_found_whatever_its_number
            a_locked_row_is_waited_for_and_then_given_up
            a_deadlock_is_tried_again
            a_lost_connection_is_made_again_between_transactions
            edits_of_another_program_at_the_same_time_are_never_lost
            one_bad_row_of_hundreds_is_refused_alone
            triggers_of_the_customer_are_seen_and_named_without_values
            triggers_that_are_missing_altered_or_stale_are_replaced
            what_a_table_lacks_is_told_before_anything_is_read
            child_rows_that_are_equal_are_not_written
        );
    };
    (@each $place:expr; $($name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                if let Some(place) = $place {
                    $crate::local::server::tests::$name(&place).await;
                }
            }
        )*
    };
}
pub(in crate::local) use on_server;

fn journalled() -> Layout {
    Layout {
        changes: ChangeMethod::Journal,
        ..layout()
    }
}

pub(in crate::local) async fn an_entry_that_commits_late_is_found_whatever_its_number<
    B: Connector,
>(
    place: &At<B>,
) {
    let mut side = prepared(place, journalled()).await;
    place.other("INSERT INTO customers (email) VALUES ('a'), ('b'), ('c')");
    let mut position = side.position().await.unwrap().unwrap();
    // It gets its number first, and commits last.
    let mut late = place.visitor().await;
    late.begin().await.unwrap();
    late.script("UPDATE customers SET name = 'late' WHERE id = 1")
        .await
        .unwrap();
    place.other("UPDATE customers SET name = 'early' WHERE id = 2");
    let mut found = Vec::new();
    let mut read = async |side: &mut ServerLocal<B>, position: &mut String| {
        let (keys, next) = keys(side.changes(Some(position.as_str())).await.unwrap());
        found.extend(keys);
        *position = next;
    };
    match place.fresh.server {
        // The snapshot leaves the late one for the next time.
        Server::Postgres => {
            read(&mut side, &mut position).await;
            late.script("COMMIT").await.unwrap();
        }
        // The lock waits for it.
        Server::MySql => {
            let waiting = Statement::new(
                B::DIALECT,
                "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS \
                 WHERE VARIABLE_NAME = 'Innodb_row_lock_current_waits' AND VARIABLE_VALUE > 0",
            );
            let mut watcher = place.visitor().await;
            let (_, ended) = tokio::join!(read(&mut side, &mut position), async {
                let mut waited = false;
                for _ in 0..5_000 {
                    waited = first(&mut watcher, &waiting).await.unwrap().is_some();
                    if waited {
                        break;
                    }
                }
                assert!(waited, "it did not wait");
                late.script("COMMIT").await
            });
            ended.unwrap();
        }
    }
    read(&mut side, &mut position).await;
    found.sort();
    found.dedup();
    assert_eq!(found, [1, 2].map(LocalKey::Int));
    // And nothing is found twice for ever.
    let changes = side.changes(Some(&position)).await.unwrap();
    assert_eq!(keys(changes).0, []);
}

pub(in crate::local) async fn a_locked_row_is_waited_for_and_then_given_up<B: Connector>(
    place: &At<B>,
) {
    let mut side = prepared(place, layout()).await;
    side.options.lock_timeout = std::time::Duration::from_secs(1);
    side.close().await;
    let row = inserted(&mut side, &[insert("1", "a", 1)]).await.remove(0);
    let mut other = place.visitor().await;
    other.begin().await.unwrap();
    other
        .script("UPDATE customers SET name = 'x'")
        .await
        .unwrap();
    let write = [update(&row, vec![(2, Cell::Int(2))])];
    let error = side.apply(&fence(1), &write).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Unreachable, "E-DB-BUSY")
    );
    assert_eq!(all(&mut side).await, [row]);
    other.script("ROLLBACK").await.unwrap();
    assert!(matches!(
        side.apply(&fence(1), &write).await.unwrap()[0],
        RowOutcome::Written(_)
    ));
}

pub(in crate::local) async fn a_deadlock_is_tried_again<B: Connector>(place: &At<B>) {
    let mut side = prepared(place, layout()).await;
    let rows = inserted(&mut side, &[insert("1", "a", 1), insert("2", "b", 2)]).await;
    let mut other = place.visitor().await;
    other.begin().await.unwrap();
    other
        .script("UPDATE customers SET name = 'x' WHERE id = 2")
        .await
        .unwrap();
    // Ours takes row 1 in the first group and wants row 2 in the second; theirs holds 2 and wants 1.
    let delete = RowWrite::Delete {
        key: rows[1].key.clone(),
        expect: rows[1].digest,
    };
    let writes = [update(&rows[0], vec![(2, Cell::Int(9))]), delete];
    let fence = fence(1);
    let (ours, theirs) = tokio::join!(side.apply(&fence, &writes), async {
        let theirs = other
            .script("UPDATE customers SET name = 'y' WHERE id = 1")
            .await;
        // Whoever was chosen to give way, this ends the other side's waiting.
        let _ = other
            .script(if theirs.is_ok() { "COMMIT" } else { "ROLLBACK" })
            .await;
        theirs
    });
    let outcomes = ours.unwrap();
    if theirs.is_ok() {
        // Begun again, ours found both rows as they were not planned, or, where it came first, the first of them written.
        assert_eq!(outcomes[1], RowOutcome::Moved);
    } else {
        assert!(
            outcomes
                .iter()
                .all(|outcome| matches!(outcome, RowOutcome::Written(_)))
        );
    }
}

pub(in crate::local) async fn a_lost_connection_is_made_again_between_transactions<B: Connector>(
    place: &At<B>,
) {
    let mut side = prepared(place, layout()).await;
    let row = inserted(&mut side, &[insert("1", "a", 1)]).await.remove(0);
    let name = place.fresh.name().to_owned();
    let kill = || match place.fresh.server {
        Server::Postgres => place.fresh.administer(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )),
        Server::MySql => {
            let found = place.fresh.rows(&format!(
                "SELECT id FROM information_schema.processlist WHERE db = '{name}' AND id <> CONNECTION_ID()"
            ));
            for id in found.concat().into_iter().flatten() {
                place.fresh.administer(&format!("KILL {id}"));
            }
        }
    };
    kill();
    assert_eq!(all(&mut side).await, std::slice::from_ref(&row));
    kill();
    let row = inserted(&mut side, &[update(&row, vec![(2, Cell::Int(2))])])
        .await
        .remove(0);
    assert_eq!(row.cells[2], Cell::Int(2));
    kill();
    side.seal(&fence(1), 4).await.unwrap();
    assert_eq!(
        side.meta().await.unwrap().map(|meta| meta.generation),
        Some(4)
    );
}

pub(in crate::local) async fn edits_of_another_program_at_the_same_time_are_never_lost<
    B: Connector,
>(
    place: &At<B>,
) {
    const EDITS: i64 = 150;
    let mut side = prepared(place, layout()).await;
    let key = inserted(&mut side, &[insert("1", "a", 0)])
        .await
        .remove(0)
        .key;
    let mut editor = place.visitor().await;
    let edit = async {
        for _ in 0..EDITS {
            editor
                .script("UPDATE customers SET age = age + 1")
                .await
                .unwrap();
        }
    };
    let bridge = async {
        let mut done = 0;
        for _ in 0..10_000 {
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
                RowOutcome::Moved => {}
                other => panic!("{other:?}"),
            }
            if done == 40 {
                return;
            }
        }
        panic!("it never got through");
    };
    tokio::join!(edit, bridge);
    assert_eq!(place.ask("SELECT age FROM customers"), [Cell::Int(EDITS)]);
}

pub(in crate::local) async fn one_bad_row_of_hundreds_is_refused_alone<B: Connector>(
    place: &At<B>,
) {
    let mut side = prepared(place, journalled()).await;
    place.other("CREATE UNIQUE INDEX one_email ON customers (email)");
    let mut writes: Vec<_> = (0..700)
        .map(|at| insert(&format!("{at}"), &format!("p{at}@example.org"), at))
        .collect();
    writes[333] = insert("333", "p332@example.org", 333);
    let outcomes = side.apply(&fence(1), &writes).await.unwrap();
    let rows: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            RowOutcome::Written(Some(row)) => Some(row.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(rows.len(), 699);
    // Each row is linked with its own contact.
    for (row, at) in rows.iter().zip((0..700).filter(|at| *at != 333)) {
        assert_eq!(row.cells[2], Cell::Int(at));
        let link = side
            .links_by_key(std::slice::from_ref(&row.key))
            .await
            .unwrap()
            .remove(0);
        assert_eq!(link.unwrap().remote_id, Some(RemoteId(at.to_string())));
        if at > 20 {
            break;
        }
    }
    let mixed: Vec<_> = rows
        .iter()
        .enumerate()
        .map(|(at, row)| match at % 3 {
            0 => update(row, vec![(2, Cell::Int(-1))]),
            1 => update(row, vec![(1, Cell::Null), (2, Cell::Int(-2))]),
            _ => update(
                row,
                vec![(
                    0,
                    if at == 500 {
                        text("p0@example.org")
                    } else {
                        Cell::Null
                    },
                )],
            ),
        })
        .collect();
    let outcomes = side.apply(&fence(1), &mixed).await.unwrap();
    for (at, (outcome, row)) in outcomes.iter().zip(&rows).enumerate() {
        match outcome {
            RowOutcome::Written(Some(new)) => {
                assert_eq!(new.key, row.key);
                let expected = match at % 3 {
                    0 => [row.cells[0].clone(), row.cells[1].clone(), Cell::Int(-1)],
                    1 => [row.cells[0].clone(), Cell::Null, Cell::Int(-2)],
                    _ => [Cell::Null, row.cells[1].clone(), row.cells[2].clone()],
                };
                assert_eq!(new.cells, expected, "{at}");
            }
            RowOutcome::Refused { code, .. } => {
                assert_eq!((*code, at), ("E-FIELD-CONSTRAINT", 500))
            }
            other => panic!("{at}: {other:?}"),
        }
    }
    let position = side.position().await.unwrap().unwrap();
    assert_eq!(keys(side.changes(Some(&position)).await.unwrap()).0, []);
    assert_eq!(
        place.ask("SELECT count(*) FROM contactbridge_journal WHERE row_key IS NOT NULL"),
        [Cell::Int(0)]
    );
}

pub(in crate::local) async fn triggers_of_the_customer_are_seen_and_named_without_values<
    B: Connector,
>(
    place: &At<B>,
) {
    let mut side = prepared(place, journalled()).await;
    for sql in match place.fresh.server {
        Server::Postgres => vec![
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF NEW.email = 'bad' THEN RAISE EXCEPTION 'no % here', NEW.name; END IF; \
             IF NEW.email = 'skip' THEN RETURN NULL; END IF; NEW.email = upper(NEW.email); RETURN NEW; END $$",
            "CREATE TRIGGER f BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION f()",
        ],
        Server::MySql => vec![
            "CREATE TRIGGER f BEFORE INSERT ON customers FOR EACH ROW \
             IF NEW.email IN ('bad', 'skip') THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no secret here'; \
             ELSE SET NEW.email = upper(NEW.email); END IF",
        ],
    } {
        place.visitor().await.script(sql).await.unwrap();
    }
    let writes = [
        insert("1", "good", 1),
        insert("2", "bad", 2),
        insert("3", "skip", 3),
        insert("4", "fine", 4),
    ];
    let outcomes = side.apply(&fence(1), &writes).await.unwrap();
    for at in [0, 3] {
        match &outcomes[at] {
            RowOutcome::Written(Some(row)) => {
                assert_eq!(row.cells[0], text(["GOOD", "", "", "FINE"][at]));
            }
            other => panic!("{other:?}"),
        }
    }
    for at in [1, 2] {
        match &outcomes[at] {
            RowOutcome::Refused { code, reason } => {
                assert_eq!(*code, "E-FIELD-TRIGGER", "{reason}");
                assert!(
                    !reason.contains("secret") && !reason.contains("Zoë"),
                    "{reason}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

pub(in crate::local) async fn triggers_that_are_missing_altered_or_stale_are_replaced<
    B: Connector,
>(
    place: &At<B>,
) {
    let mut side = place.side("members", journalled());
    assert_eq!(
        side.journal_state().await.unwrap(),
        Some(JournalState::Missing)
    );
    side.prepare().await.unwrap();
    assert!(!side.install_journal().await.unwrap());
    let position = side.position().await.unwrap();
    let breaks = match place.fresh.server {
        Server::Postgres => vec![
            (
                "DROP TRIGGER \"contactbridge/members/customers\" ON customers",
                JournalState::Missing,
            ),
            (
                "ALTER TABLE customers DISABLE TRIGGER \"contactbridge/members/customers\"",
                JournalState::Missing,
            ),
            (
                "CREATE OR REPLACE FUNCTION \"contactbridge/members/customers\"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NULL; END'",
                JournalState::Altered,
            ),
            ("TRUNCATE customers", JournalState::Missing),
        ],
        Server::MySql => vec![
            (
                "DROP TRIGGER `contactbridge/members/customers/update`",
                JournalState::Missing,
            ),
            (
                "DROP TRIGGER `contactbridge/members/customers/update`; CREATE TRIGGER `contactbridge/members/customers/update` AFTER UPDATE ON customers FOR EACH ROW SET @x = 1",
                JournalState::Altered,
            ),
            ("DELETE FROM contactbridge_journal", JournalState::Missing),
        ],
    };
    for (sql, state) in breaks {
        place.other(sql);
        assert_eq!(side.journal_state().await.unwrap(), Some(state), "{sql}");
        assert_eq!(side.position().await.unwrap(), None, "{sql}");
        let changes = side.changes(position.as_deref()).await.unwrap();
        assert_eq!(changes, LocalChanges::ScanNeeded, "{sql}");
        assert!(side.install_journal().await.unwrap(), "{sql}");
        let changes = side.changes(position.as_deref()).await.unwrap();
        assert_eq!(changes, LocalChanges::ScanNeeded, "{sql}");
        assert_eq!(
            side.journal_state().await.unwrap(),
            Some(JournalState::Installed),
            "{sql}"
        );
    }
    place.other("ALTER TABLE customers ADD COLUMN tier VARCHAR(10)");
    let mut wider = journalled();
    wider.columns.push(column("tier", ColumnKind::Text));
    let state = place.side("members", wider).journal_state().await.unwrap();
    assert_eq!(state, Some(JournalState::Stale));
    let described = place.side("members", layout()).describe().await.unwrap();
    assert_eq!(described.problems[0].code, "W-DB-JOURNAL");
    assert!(side.remove_journal().await.unwrap());
    assert!(!side.remove_journal().await.unwrap());
}

pub(in crate::local) async fn what_a_table_lacks_is_told_before_anything_is_read<B: Connector>(
    place: &At<B>,
) {
    let theirs = |table: &str, key: &str| Layout {
        table: table.to_owned(),
        key: key.to_owned(),
        key_field: (key == "email").then_some(0),
        create: false,
        children: Vec::new(),
        ..layout()
    };
    let codes = async |layout: Layout| {
        let described = place.side("members", layout).describe().await.unwrap();
        let fatal = described.problems.iter().filter(|found| found.fatal);
        fatal.map(|found| found.code).collect::<Vec<_>>()
    };
    assert_eq!(codes(theirs("customers", "id")).await, ["E-MAP-TABLE"]);
    place.other("CREATE TABLE people (id BIGINT PRIMARY KEY, email VARCHAR(99), name VARCHAR(99), born DATE UNIQUE NOT NULL)");
    place.other("CREATE VIEW customers AS SELECT * FROM people");
    assert_eq!(codes(theirs("customers", "id")).await, ["E-DB-VIEW"]);
    assert_eq!(codes(theirs("people", "id")).await, ["E-MAP-COLUMN"]);
    place.other("ALTER TABLE people ADD COLUMN age INT");
    assert!(codes(theirs("people", "id")).await.is_empty());
    assert_eq!(codes(theirs("people", "email")).await, ["E-DB-KEY"]);
    assert_eq!(codes(theirs("people", "born")).await, ["E-DB-KEY"]);
    // What was there when the run began is never taken for empty.
    let mut side = place.side("members", theirs("people", "id"));
    side.prepare().await.unwrap();
    place.other("INSERT INTO people (id, born) VALUES (1, '2000-01-01')");
    assert_eq!(side.live_rows().await.unwrap(), 1);
    place.other("DROP VIEW customers");
    place.other("ALTER TABLE people DROP COLUMN age");
    let error = side.scan(None, 5, &mut |_, _, _| true).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Config, "E-MAP-COLUMN")
    );
    place.other("DROP TABLE people");
    let error = side.live_rows().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Config, "E-MAP-TABLE")
    );
}

pub(in crate::local) async fn child_rows_that_are_equal_are_not_written<B: Connector>(
    place: &At<B>,
) {
    let mut wanted = layout();
    wanted.children[0]
        .columns
        .push(column("since", ColumnKind::DateTime));
    wanted.children[0]
        .columns
        .push(column("share", ColumnKind::Decimal));
    let mut side = prepared(place, wanted).await;
    let row = inserted(&mut side, &[insert("1", "a", 1)]).await.remove(0);
    let part = |kind: i64, city: &str| {
        vec![
            Cell::Int(kind),
            text(city),
            text("2026-01-02T03:04:05Z"),
            text("12.5"),
        ]
    };
    let settle = |rows: Vec<Vec<Cell>>| {
        let mut write = update(&row, Vec::new());
        if let RowWrite::Update { children, .. } = &mut write {
            children.push(ChildSet {
                rule: 0,
                rows,
                formerly: vec![vault().part_digest(&[Cell::Int(2)]), Digest(1)],
            });
        }
        write
    };
    inserted(&mut side, &[settle(vec![part(1, "Rome"), part(2, "Oslo")])]).await;
    let forbid = match place.fresh.server {
        Server::Postgres => {
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'; \
             CREATE TRIGGER no BEFORE INSERT OR UPDATE ON addresses FOR EACH ROW EXECUTE FUNCTION no()"
        }
        Server::MySql => {
            "CREATE TRIGGER no BEFORE UPDATE ON addresses FOR EACH ROW SIGNAL SQLSTATE '45000'"
        }
    };
    place.other(forbid);
    // Equal parts pass though writing is forbidden; the one that is gone goes.
    inserted(&mut side, &[settle(vec![part(1, "Rome")])]).await;
    assert_eq!(place.ask("SELECT city FROM addresses"), [text("Rome")]);
    let outcomes = side
        .apply(&fence(1), &[settle(vec![part(1, "Lima")])])
        .await
        .unwrap();
    assert!(
        matches!(
            outcomes[0],
            RowOutcome::Refused {
                code: "E-FIELD-TRIGGER",
                ..
            }
        ),
        "{outcomes:?}"
    );
}

/// Each statement that is taken back costs a wait (see [`Statement`]), so whatever the sizes of the work, none is, and few are made.
pub(in crate::local) async fn statements_stay_prepared<B: Connector>(place: &At<B>) {
    let mut side = prepared(place, journalled()).await;
    let mut position = side.position().await.unwrap().unwrap();
    for count in (1..40).chain([77, 300]) {
        let name = |at: i64| format!("{count}-{at}");
        let made: Vec<RowWrite> = (0..count)
            .map(|at| insert(&name(at), &format!("{}@example.org", name(at)), at))
            .collect();
        let rows = inserted(&mut side, &made).await;
        let older: Vec<RowWrite> = rows
            .iter()
            .map(|row| update(row, vec![(2, Cell::Int(count))]))
            .collect();
        let rows = inserted(&mut side, &older).await;
        place.other("UPDATE customers SET name = 'other'");
        let (changed, next) = keys(side.changes(Some(position.as_str())).await.unwrap());
        assert_eq!(changed.len(), rows.len());
        position = next;
        let rows = side.fetch(&changed).await.unwrap();
        let gone: Vec<RowWrite> = rows
            .into_iter()
            .flatten()
            .map(|row| RowWrite::Delete {
                key: row.key,
                expect: row.digest,
            })
            .collect();
        let outcomes = side.apply(&fence(1), &gone).await.unwrap();
        assert!(
            outcomes
                .iter()
                .all(|outcome| matches!(outcome, RowOutcome::Written(None)))
        );
    }
    let asked = Statement::new(B::DIALECT, "SHOW SESSION STATUS LIKE 'Com_stmt_%'");
    let counts = rows(side.connection.as_mut().unwrap(), &asked)
        .await
        .unwrap();
    let count = |name: &str| -> u64 {
        let row = counts
            .iter()
            .find(|row| row[0].as_deref() == Some(name))
            .unwrap();
        row[1].as_deref().unwrap().parse().unwrap()
    };
    assert_eq!(count("Com_stmt_close"), 0);
    assert!(count("Com_stmt_prepare") < 160, "{counts:?}");
    assert!(count("Com_stmt_execute") > 2 * count("Com_stmt_prepare"));
}
