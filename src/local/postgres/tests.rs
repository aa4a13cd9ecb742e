//! The contract on PostgreSQL, and what only PostgreSQL can do to a bridge.

use super::Postgres;
use crate::local::contract::Place;
use crate::local::contract::contract;
use crate::local::contract::{column, inserted, layout, text};
use crate::local::server::tests::{At, Server, on_server};
use crate::local::{Local, RowOutcome, RowWrite};
use crate::model::{Cell, ColumnKind, Layout, LocalKey, RemoteId};

fn place() -> Option<At<Postgres>> {
    At::make(Server::Postgres)
}

contract!(place());
on_server!(place());

#[tokio::test]
async fn every_type_comes_back_as_the_model_has_it() {
    let Some(place) = place() else { return };
    place.other("CREATE SCHEMA \"Crm x\"; CREATE EXTENSION citext; CREATE TYPE tier AS ENUM ('gold', 'tin'); CREATE DOMAIN short AS varchar(5)");
    place.other(
        "CREATE TABLE \"Crm x\".\"Top \"\"people\"\"\" (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), flag boolean, born date, \
         seen timestamptz, local timestamp, share numeric(10, 2), tier tier, data jsonb, mail citext, code short, fixed char(4), ratio float8)",
    );
    let kinds = [
        ("flag", ColumnKind::Bool),
        ("born", ColumnKind::Date),
        ("seen", ColumnKind::DateTime),
        ("local", ColumnKind::DateTime),
        ("share", ColumnKind::Decimal),
        ("tier", ColumnKind::Text),
        ("data", ColumnKind::Text),
        ("mail", ColumnKind::Text),
        ("code", ColumnKind::Text),
        ("fixed", ColumnKind::Text),
        ("ratio", ColumnKind::Decimal),
    ];
    let mut side = place.side(
        "members",
        Layout {
            table: "Crm x.Top \"people\"".into(),
            create: false,
            children: Vec::new(),
            columns: kinds.map(|(name, kind)| column(name, kind)).to_vec(),
            changes: crate::model::ChangeMethod::Journal,
            ..layout()
        },
    );
    side.prepare().await.unwrap();
    let fill = |code: &str| RowWrite::Insert {
        cells: [
            Cell::Int(1),
            text("2001-02-03"),
            text("2026-01-02T03:04:05.5Z"),
            text("2026-01-02T03:04:05Z"),
            text("12.5"),
            text("gold"),
            text("{\"a\": [1]}"),
            text("Zoe@Example.org"),
            text(code),
            text("ab"),
            text("0.5"),
        ]
        .map(Some)
        .to_vec(),
        children: Vec::new(),
        remote_id: RemoteId(code.into()),
        external_id: None,
    };
    let position = side.position().await.unwrap().unwrap();
    let row = inserted(&mut side, &[fill("abcde")]).await.remove(0);
    assert!(matches!(row.key, LocalKey::Text(_)));
    assert_eq!(
        row.cells,
        [
            Cell::Int(1),
            text("2001-02-03"),
            text("2026-01-02 03:04:05.5+00:00"),
            text("2026-01-02 03:04:05"),
            text("12.50"),
            text("gold"),
            text("{\"a\": [1]}"),
            text("Zoe@Example.org"),
            text("abcde"),
            text("ab"),
            Cell::Real(0.5),
        ]
    );
    let fetched = side
        .fetch(&[
            row.key.clone(),
            LocalKey::Text("x".into()),
            LocalKey::Int(1),
        ])
        .await
        .unwrap();
    assert_eq!(fetched, [Some(row.clone()), None, None]);
    // Too long is refused, never cut; what is no member of its type as well.
    let outcomes = side
        .apply(
            &crate::local::contract::fence(1),
            &[
                fill("abcdef"),
                crate::local::contract::update(&row, vec![(5, text("lead"))]),
                crate::local::contract::update(
                    &row,
                    vec![(0, Cell::Null), (7, text("zoe@example.org"))],
                ),
            ],
        )
        .await
        .unwrap();
    for (outcome, secret) in outcomes.iter().zip(["abcdef", "lead"]) {
        match outcome {
            RowOutcome::Refused { code, reason } => {
                assert_eq!(*code, "E-FIELD-TYPE");
                assert!(!reason.contains(secret), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        crate::local::contract::written(&outcomes[2]).cells[7],
        text("zoe@example.org")
    );
    // A change of case alone is one to the journal, also where the type ignores case.
    place.other("UPDATE \"Crm x\".\"Top \"\"people\"\"\" SET mail = 'ZOE@example.org'");
    let changes = side.changes(Some(&position)).await.unwrap();
    assert_eq!(crate::local::contract::keys(changes).0, [row.key]);
}
