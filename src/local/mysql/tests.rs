//! The contract on MariaDB, and what only MySQL and MariaDB can do to a bridge.

use super::MySql;
use crate::local::contract::Place;
use crate::local::contract::contract;
use crate::local::contract::{column, inserted, layout, text};
use crate::local::server::tests::{At, Server, on_server};
use crate::local::{Local, RowOutcome, RowWrite};
use crate::model::{Cell, ColumnKind, Layout, LocalKey, RemoteId};

fn place() -> Option<At<MySql>> {
    At::make(Server::MySql)
}

contract!(place());
on_server!(place());

#[tokio::test]
async fn every_type_comes_back_as_the_model_has_it() {
    let Some(place) = place() else { return };
    place.other(
        "CREATE TABLE `Top people` (id VARCHAR(40) CHARACTER SET latin1 COLLATE latin1_swedish_ci PRIMARY KEY, flag TINYINT(1), bits BIT(1), \
         born DATE, seen DATETIME(6), stamp TIMESTAMP(3) NULL, share DECIMAL(10, 2), tier ENUM('gold', 'tin'), data JSON, \
         code VARCHAR(5), big BIGINT UNSIGNED, ratio DOUBLE)",
    );
    let kinds = [
        ("id", ColumnKind::Text),
        ("flag", ColumnKind::Bool),
        ("bits", ColumnKind::Bool),
        ("born", ColumnKind::Date),
        ("seen", ColumnKind::DateTime),
        ("stamp", ColumnKind::DateTime),
        ("share", ColumnKind::Decimal),
        ("tier", ColumnKind::Text),
        ("data", ColumnKind::Text),
        ("code", ColumnKind::Text),
        ("big", ColumnKind::Integer),
        ("ratio", ColumnKind::Decimal),
    ];
    let mut side = place.side(
        "members",
        Layout {
            table: "Top people".into(),
            key_field: Some(0),
            create: false,
            children: Vec::new(),
            columns: kinds.map(|(name, kind)| column(name, kind)).to_vec(),
            changes: crate::model::ChangeMethod::Journal,
            ..layout()
        },
    );
    side.prepare().await.unwrap();
    let fill = |id: &str, code: &str| RowWrite::Insert {
        cells: [
            text(id),
            Cell::Int(1),
            Cell::Int(1),
            text("2001-02-03"),
            text("2026-01-02T03:04:05.5Z"),
            text("2026-01-02T05:04:05+02:00"),
            text("12.5"),
            text("gold"),
            text("{\"a\": [1]}"),
            text(code),
            text("18446744073709551615"),
            text("0.5"),
        ]
        .map(Some)
        .to_vec(),
        children: Vec::new(),
        remote_id: RemoteId(id.into()),
        external_id: None,
    };
    let rows = inserted(&mut side, &[fill("Zoë", "abcde"), fill("b", "x")]).await;
    let row = rows[0].clone();
    assert_eq!(
        row.cells,
        [
            text("Zoë"),
            Cell::Int(1),
            Cell::Int(1),
            text("2001-02-03"),
            text("2026-01-02 03:04:05.500000"),
            text("2026-01-02 03:04:05.000"),
            text("12.50"),
            text("gold"),
            text("{\"a\": [1]}"),
            text("abcde"),
            text("18446744073709551615"),
            Cell::Real(0.5),
        ]
    );
    // The collation takes other texts for this key; the bridge does not.
    let fetched = side
        .fetch(&[
            LocalKey::Text("ZOE".into()),
            LocalKey::Text("Zoë ".into()),
            row.key.clone(),
        ])
        .await
        .unwrap();
    assert_eq!(fetched, [None, None, Some(row.clone())]);
    let position = side.position().await.unwrap().unwrap();
    let outcomes = side
        .apply(
            &crate::local::contract::fence(1),
            &[
                fill("c", "abcdef"),
                fill("B", "x"),
                crate::local::contract::update(&row, vec![(7, text("lead"))]),
                crate::local::contract::update(&row, vec![(2, Cell::Int(0)), (9, text("ABCDE"))]),
            ],
        )
        .await
        .unwrap();
    for (outcome, expected) in
        outcomes
            .iter()
            .zip(["E-FIELD-SIZE", "E-FIELD-CONSTRAINT", "E-FIELD-TYPE"])
    {
        match outcome {
            RowOutcome::Refused { code, reason } => {
                assert_eq!(*code, expected, "{reason}");
                assert!(
                    !reason.contains("abcdef") && !reason.contains("lead"),
                    "{reason}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
    let row = crate::local::contract::written(&outcomes[3]);
    assert_eq!(
        (row.cells[2].clone(), row.cells[9].clone()),
        (Cell::Int(0), text("ABCDE"))
    );
    place.other("UPDATE `Top people` SET code = 'AbCdE' WHERE id = 'zoe'");
    let changes = side.changes(Some(&position)).await.unwrap();
    assert_eq!(crate::local::contract::keys(changes).0, [row.key]);
}

#[tokio::test]
async fn a_table_without_transactions_is_refused() {
    let Some(place) = place() else { return };
    place.other("CREATE TABLE customers (id BIGINT AUTO_INCREMENT PRIMARY KEY, email TEXT, name TEXT, age INT) ENGINE=MyISAM");
    let mut side = place.side("members", layout());
    let error = side.prepare().await.unwrap_err();
    assert_eq!(error.code(), "E-DB-TABLE");
}

#[tokio::test]
async fn statements_stay_prepared() {
    let Some(place) = place() else { return };
    crate::local::server::tests::statements_stay_prepared(&place).await;
}
