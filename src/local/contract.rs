//! What every [`Local`] promises, whatever the database: one suite, run for each implementation.

use std::fmt::Debug;

use super::{ChildSet, Fence, LinkRow, Local, LocalChanges, LocalMeta, Row, RowOutcome, RowWrite};
use crate::model::{
    Cell, ChangeMethod, ChildLayout, Column, ColumnKind, Digest, ErrorKind, Layout, LocalKey,
    RemoteId, Vault,
};

/// A fresh, empty database of one kind.
pub(super) trait Place {
    /// The implementation under test.
    type Side: Local;

    /// A side on this database, as a process of its own would open it.
    fn side(&self, bridge: &str, layout: Layout) -> Self::Side;

    /// What somebody else's program does to the database meanwhile.
    fn other(&self, sql: &str);

    /// The first column of an answer, as somebody else's program sees it.
    fn ask(&self, sql: &str) -> Vec<Cell>;
}

/// Runs the suite for a [`Place`].
macro_rules! contract {
    ($place:expr) => {
        $crate::local::contract::contract!(@each $place;
            before_the_first_run_everything_is_empty_and_nothing_is_made
            preparing_twice_makes_everything_once
            what_is_inserted_is_found_in_every_way
            a_scan_sees_each_row_once_in_the_order_of_keys
            text_keys_are_scanned_in_bytewise_order
            a_row_that_moved_is_left_out_and_the_others_are_written
            a_refused_row_harms_no_other
            an_insert_that_took_place_already_is_not_done_again
            a_dead_link_does_not_stop_its_contact_from_coming_back
            a_later_run_and_another_store_fence_this_one_off
            nothing_written_means_no_trace_at_all
            a_mark_is_set_and_taken_off_and_links_stay
            a_real_deletion_takes_children_and_link_along
            children_are_settled_part_by_part
            links_are_one_to_one_and_in_the_order_of_keys
            a_changed_key_takes_link_and_children_along
            the_journal_tells_others_edits_and_not_our_own
            the_journal_says_when_its_memory_does_not_reach_back
            a_column_of_times_tells_edits_and_their_time
            two_bridges_share_a_table_without_sharing_anything_else
            generation_and_epoch_are_sealed_and_adopted
            matches_are_found_however_they_are_written
        );
    };
    (@each $place:expr; $($name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                $crate::local::contract::$name(&$place).await;
            }
        )*
    };
}
pub(super) use contract;

pub(super) fn vault() -> Vault {
    Vault::new(&[7; 32])
}

pub(super) fn column(name: &str, kind: ColumnKind) -> Column {
    Column {
        name: name.to_owned(),
        kind,
        matches: name == "email",
    }
}

/// A generated key, three fields, one child table.
pub(super) fn layout() -> Layout {
    Layout {
        table: "customers".to_owned(),
        key: "id".to_owned(),
        key_field: None,
        create: true,
        changes: ChangeMethod::Scan,
        deleted: None,
        columns: vec![
            column("email", ColumnKind::Text),
            column("name", ColumnKind::Text),
            column("age", ColumnKind::Integer),
        ],
        children: vec![ChildLayout {
            table: "addresses".to_owned(),
            parent: "customer_id".to_owned(),
            columns: vec![
                column("kind", ColumnKind::Integer),
                column("city", ColumnKind::Text),
            ],
            key: vec![0],
        }],
    }
}

pub(super) fn fence(epoch: u64) -> Fence {
    Fence {
        store_id: "store-1".to_owned(),
        epoch,
    }
}

pub(super) fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

pub(super) fn insert(remote: &str, email: &str, age: i64) -> RowWrite {
    RowWrite::Insert {
        cells: vec![
            Some(text(email)),
            Some(text("Zoë O'Hara")),
            Some(Cell::Int(age)),
        ],
        children: Vec::new(),
        remote_id: RemoteId(remote.to_owned()),
        external_id: None,
    }
}

pub(super) fn update(row: &Row, cells: Vec<(usize, Cell)>) -> RowWrite {
    RowWrite::Update {
        key: row.key.clone(),
        expect: row.digest,
        cells,
        children: Vec::new(),
        revive: false,
        link: None,
    }
}

pub(super) fn written(outcome: &RowOutcome) -> Row {
    match outcome {
        RowOutcome::Written(Some(row)) => row.clone(),
        other => panic!("not a written row: {other:?}"),
    }
}

pub(super) async fn prepared<P: Place>(place: &P, layout: Layout) -> P::Side {
    let mut side = place.side("members", layout);
    side.prepare().await.unwrap();
    side
}

pub(super) async fn inserted<S: Local>(side: &mut S, writes: &[RowWrite]) -> Vec<Row> {
    let outcomes = side.apply(&fence(1), writes).await.unwrap();
    outcomes.iter().map(written).collect()
}

pub(super) async fn all<S: Local>(side: &mut S) -> Vec<Row> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let chunk = side
            .scan(after.as_ref(), 3, &mut |_, _, _| true)
            .await
            .unwrap();
        assert_eq!(chunk.seen, chunk.rows.len() as u64);
        rows.extend(chunk.rows);
        after = chunk.next;
        if after.is_none() {
            return rows;
        }
    }
}

pub(super) fn keys(changes: LocalChanges) -> (Vec<LocalKey>, String) {
    match changes {
        LocalChanges::Keys { keys, position, .. } => {
            (keys.into_iter().map(|(key, _)| key).collect(), position)
        }
        LocalChanges::ScanNeeded => panic!("a scan is needed"),
    }
}

fn equal<T: PartialEq + Debug>(found: T, expected: T) {
    assert_eq!(found, expected);
}

pub(super) async fn before_the_first_run_everything_is_empty_and_nothing_is_made<P: Place>(
    place: &P,
) {
    let mut side = place.side("members", layout());
    equal(side.meta().await.unwrap(), None);
    equal(side.exists().await.unwrap(), false);
    equal(side.live_rows().await.unwrap(), 0);
    equal(side.changes(None).await.unwrap(), LocalChanges::ScanNeeded);
    equal(side.position().await.unwrap(), None);
    equal(all(&mut side).await, vec![]);
    equal(side.fetch(&[LocalKey::Int(1)]).await.unwrap(), vec![None]);
    equal(side.find(0, &["a@b.c".into()]).await.unwrap(), vec![]);
    equal(
        side.links_by_remote(&[RemoteId("1".into())]).await.unwrap(),
        vec![None],
    );
    equal(
        side.links_by_key(&[LocalKey::Int(1)]).await.unwrap(),
        vec![None],
    );
    equal(side.links(None, 10).await.unwrap(), vec![]);
    equal(side.exists().await.unwrap(), false);
}

pub(super) async fn preparing_twice_makes_everything_once<P: Place>(place: &P) {
    let mut wanted = layout();
    wanted.deleted = Some("deleted_at".to_owned());
    wanted.changes = ChangeMethod::Column("updated_at".to_owned());
    let mut side = prepared(place, wanted.clone()).await;
    assert!(side.exists().await.unwrap());
    side.prepare().await.unwrap();
    place.other("INSERT INTO customers (email, deleted_at, updated_at) VALUES ('a', NULL, NULL)");
    place.other("INSERT INTO addresses (customer_id, kind, city) VALUES (1, 1, 'Rome')");
    // A field that joins the mapping later is added to the table that stands.
    wanted.columns.push(column("tier", ColumnKind::Text));
    let mut side = prepared(place, wanted).await;
    equal(all(&mut side).await[0].cells.len(), 4);
}

pub(super) async fn what_is_inserted_is_found_in_every_way<P: Place>(place: &P) {
    let mut side = prepared(place, layout()).await;
    let write = RowWrite::Insert {
        cells: vec![Some(text("zoe@example.org")), Some(Cell::Null), None],
        children: Vec::new(),
        remote_id: RemoteId("900".into()),
        external_id: Some("M-1".into()),
    };
    let row = inserted(&mut side, &[write]).await.remove(0);
    equal(
        row.cells.clone(),
        vec![text("zoe@example.org"), Cell::Null, Cell::Null],
    );
    assert!(!row.marked);
    equal(all(&mut side).await, vec![row.clone()]);
    let mut seen = Vec::new();
    let chunk = side
        .scan(None, 10, &mut |key, digest, marked| {
            seen.push((key.clone(), digest, marked));
            false
        })
        .await
        .unwrap();
    equal(chunk.rows, vec![]);
    equal(seen, vec![(row.key.clone(), row.digest, false)]);
    let absent = LocalKey::Int(4711);
    equal(
        side.fetch(&[absent.clone(), row.key.clone()])
            .await
            .unwrap(),
        vec![None, Some(row.clone())],
    );
    let link = LinkRow {
        key: row.key.clone(),
        external_id: Some("M-1".into()),
        remote_id: Some(RemoteId("900".into())),
    };
    equal(
        side.links_by_remote(&[RemoteId("0900".into()), RemoteId("900".into())])
            .await
            .unwrap(),
        vec![None, Some(link.clone())],
    );
    equal(
        side.links_by_key(&[row.key.clone(), absent]).await.unwrap(),
        vec![Some(link.clone()), None],
    );
    equal(side.links(None, 10).await.unwrap(), vec![link]);
    equal(side.live_rows().await.unwrap(), 1);
}

pub(super) async fn a_scan_sees_each_row_once_in_the_order_of_keys<P: Place>(place: &P) {
    let mut side = prepared(place, layout()).await;
    for id in [40, -3, 7, i64::MAX, 0, 1000, i64::MIN] {
        place.other(&format!(
            "INSERT INTO customers (id, email) VALUES ({id}, 'x')"
        ));
    }
    let found: Vec<_> = all(&mut side)
        .await
        .into_iter()
        .map(|row| row.key)
        .collect();
    let mut sorted = found.clone();
    sorted.sort_by_key(LocalKey::to_bytes);
    equal(found.len(), 7);
    equal(found, sorted);
}

pub(super) async fn text_keys_are_scanned_in_bytewise_order<P: Place>(place: &P) {
    let mut wanted = layout();
    wanted.key = "email".to_owned();
    wanted.key_field = Some(0);
    wanted.children.clear();
    let mut side = prepared(place, wanted).await;
    let names = ["b", "B", "a", "ä", "aa", "10", "9", "Z", "ß", "𝒜"];
    let writes: Vec<_> = names.iter().map(|name| insert(name, name, 1)).collect();
    inserted(&mut side, &writes).await;
    let found: Vec<_> = all(&mut side)
        .await
        .into_iter()
        .map(|row| row.key)
        .collect();
    let mut sorted: Vec<_> = names
        .iter()
        .map(|name| LocalKey::Text((*name).to_owned()))
        .collect();
    sorted.sort_by_key(LocalKey::to_bytes);
    equal(found, sorted);
}

pub(super) async fn a_row_that_moved_is_left_out_and_the_others_are_written<P: Place>(place: &P) {
    let mut side = prepared(place, layout()).await;
    let rows = inserted(
        &mut side,
        &[
            insert("1", "a", 1),
            insert("2", "b", 2),
            insert("3", "c", 3),
        ],
    )
    .await;
    place.other("UPDATE customers SET name = 'edited meanwhile' WHERE email = 'a'");
    place.other("DELETE FROM customers WHERE email = 'b'");
    let gone = RowWrite::Delete {
        key: rows[1].key.clone(),
        expect: rows[1].digest,
    };
    let link = RowWrite::Link(LinkRow {
        key: rows[1].key.clone(),
        external_id: None,
        remote_id: Some(RemoteId("77".into())),
    });
    let writes = [
        update(&rows[0], vec![(2, Cell::Int(50))]),
        update(&rows[1], vec![(2, Cell::Int(50))]),
        gone,
        link,
        update(&rows[2], vec![(2, Cell::Int(50))]),
    ];
    let outcomes = side.apply(&fence(1), &writes).await.unwrap();
    for moved in &outcomes[..4] {
        equal(moved, &RowOutcome::Moved);
    }
    equal(written(&outcomes[4]).cells[2].clone(), Cell::Int(50));
    equal(
        place.ask("SELECT age FROM customers ORDER BY id"),
        vec![Cell::Int(1), Cell::Int(50)],
    );
    // A plan made on the row as the first write of the same group leaves it is old as well.
    let row = written(&outcomes[4]);
    let twice = [
        update(&row, vec![(2, Cell::Int(51))]),
        update(&row, vec![(2, Cell::Int(52))]),
    ];
    let outcomes = side.apply(&fence(1), &twice).await.unwrap();
    equal(written(&outcomes[0]).cells[2].clone(), Cell::Int(51));
    equal(&outcomes[1], &RowOutcome::Moved);
}

pub(super) async fn a_refused_row_harms_no_other<P: Place>(place: &P) {
    let mut side = prepared(place, layout()).await;
    place.other("CREATE UNIQUE INDEX one_email ON customers (email)");
    let mut with_child = insert("2", "a@example.org", 2);
    if let RowWrite::Insert { children, .. } = &mut with_child {
        children.push(ChildSet {
            rule: 0,
            rows: vec![vec![Cell::Int(1), text("Rome")]],
            formerly: Vec::new(),
        });
    }
    let writes = [
        insert("1", "a@example.org", 1),
        with_child,
        insert("3", "c@example.org", 3),
    ];
    let outcomes = side.apply(&fence(1), &writes).await.unwrap();
    written(&outcomes[0]);
    written(&outcomes[2]);
    match &outcomes[1] {
        RowOutcome::Refused { code, reason } => {
            equal(*code, "E-FIELD-CONSTRAINT");
            assert!(reason.contains("email"), "{reason}");
            assert!(!reason.contains("a@example.org"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    equal(side.live_rows().await.unwrap(), 2);
    equal(place.ask("SELECT city FROM addresses"), vec![]);
    equal(side.links(None, 9).await.unwrap().len(), 2);
}

pub(super) async fn an_insert_that_took_place_already_is_not_done_again<P: Place>(place: &P) {
    let mut side = prepared(place, layout()).await;
    let row = inserted(&mut side, &[insert("1", "a", 1)]).await.remove(0);
    // The run was killed before it noted the outcome, and somebody edited the row since.
    place.other("UPDATE customers SET name = 'edited since'");
    let mut side = prepared(place, layout()).await;
    let outcomes = side
        .apply(&fence(2), &[insert("1", "a", 1), insert("1", "a", 1)])
        .await;
    for outcome in outcomes.unwrap() {
        match outcome {
            RowOutcome::Exists(found) => {
                equal(found.key, row.key.clone());
                equal(found.cells[1].clone(), text("edited since"));
                assert_ne!(found.digest, row.digest);
            }
            other => panic!("{other:?}"),
        }
    }
    equal(side.live_rows().await.unwrap(), 1);
}

pub(super) async fn a_dead_link_does_not_stop_its_contact_from_coming_back<P: Place>(place: &P) {
    let mut side = prepared(place, layout()).await;
    let external = |remote: &str, email: &str| {
        let mut write = insert(remote, email, 1);
        if let RowWrite::Insert { external_id, .. } = &mut write {
            *external_id = Some("M-1".into());
        }
        write
    };
    inserted(&mut side, &[external("1", "a")]).await;
    place.other("DELETE FROM customers");
    let rows = inserted(&mut side, &[external("1", "b")]).await;
    equal(side.links(None, 9).await.unwrap().len(), 1);
    place.other("DELETE FROM customers");
    // Another contact with the External ID of the dead one.
    let again = inserted(&mut side, &[external("2", "c")]).await;
    assert!(again[0].key > rows[0].key, "a key was used again");
    equal(side.links(None, 9).await.unwrap().len(), 1);
}

pub(super) async fn a_later_run_and_another_store_fence_this_one_off<P: Place>(place: &P) {
    let mut side = prepared(place, layout()).await;
    side.apply(&fence(5), &[insert("1", "a", 1)]).await.unwrap();
    let other_store = Fence {
        store_id: "store-2".into(),
        epoch: 9,
    };
    for late in [fence(4), other_store] {
        for error in [
            side.apply(&late, &[insert("2", "b", 1)]).await.unwrap_err(),
            side.seal(&late, 9).await.unwrap_err(),
        ] {
            equal(error.code(), "E-FENCED");
            equal(error.kind(), ErrorKind::Busy);
        }
    }
    equal(side.live_rows().await.unwrap(), 1);
    side.apply(&fence(6), &[insert("2", "b", 1)]).await.unwrap();
    equal(side.meta().await.unwrap().map(|meta| meta.epoch), Some(6));
    equal(
        side.apply(&fence(5), &[insert("3", "c", 1)])
            .await
            .unwrap_err()
            .code(),
        "E-FENCED",
    );
}

pub(super) async fn nothing_written_means_no_trace_at_all<P: Place>(place: &P) {
    let mut side = prepared(place, layout()).await;
    let row = inserted(&mut side, &[insert("1", "a", 1)]).await.remove(0);
    let before = place.ask("SELECT count(*) FROM contactbridge_applied");
    let late = RowWrite::Delete {
        key: row.key.clone(),
        expect: Digest(row.digest.0 ^ 1),
    };
    let outcomes = side.apply(&fence(8), &[late, insert("1", "a", 1)]).await;
    equal(
        outcomes.unwrap(),
        vec![RowOutcome::Moved, RowOutcome::Exists(row)],
    );
    equal(side.apply(&fence(8), &[]).await.unwrap(), vec![]);
    equal(side.meta().await.unwrap().map(|meta| meta.epoch), Some(1));
    equal(
        place.ask("SELECT count(*) FROM contactbridge_applied"),
        before,
    );
}

pub(super) async fn a_mark_is_set_and_taken_off_and_links_stay<P: Place>(place: &P) {
    let mut wanted = layout();
    wanted.deleted = Some("deleted_at".to_owned());
    let mut side = prepared(place, wanted).await;
    let row = inserted(&mut side, &[insert("1", "a", 1)]).await.remove(0);
    place.other("INSERT INTO addresses (customer_id, kind, city) VALUES (1, 1, 'Rome')");
    let delete = |row: &Row| RowWrite::Delete {
        key: row.key.clone(),
        expect: row.digest,
    };
    let marked = inserted(&mut side, &[delete(&row)]).await.remove(0);
    assert!(marked.marked);
    assert_ne!(marked.digest, row.digest);
    equal(side.live_rows().await.unwrap(), 0);
    equal(side.find(0, &["a".into()]).await.unwrap().len(), 1);
    equal(side.links(None, 9).await.unwrap().len(), 1);
    equal(place.ask("SELECT city FROM addresses"), vec![text("Rome")]);
    equal(all(&mut side).await, vec![marked.clone()]);
    // Marking again changes nothing.
    equal(
        inserted(&mut side, &[delete(&marked)]).await.remove(0),
        marked.clone(),
    );
    let mut revive = update(&marked, vec![(2, Cell::Int(2))]);
    if let RowWrite::Update { revive, .. } = &mut revive {
        *revive = true;
    }
    let back = inserted(&mut side, &[revive]).await.remove(0);
    assert!(!back.marked);
    equal(back.cells[2].clone(), Cell::Int(2));
    equal(side.live_rows().await.unwrap(), 1);
}

pub(super) async fn a_real_deletion_takes_children_and_link_along<P: Place>(place: &P) {
    let mut side = prepared(place, layout()).await;
    let rows = inserted(&mut side, &[insert("1", "a", 1), insert("2", "b", 1)]).await;
    place.other(
        "INSERT INTO addresses (customer_id, kind, city) VALUES (1, 1, 'Rome'), (2, 1, 'Oslo')",
    );
    let outcomes = side
        .apply(
            &fence(1),
            &[RowWrite::Delete {
                key: rows[0].key.clone(),
                expect: rows[0].digest,
            }],
        )
        .await
        .unwrap();
    equal(outcomes, vec![RowOutcome::Written(None)]);
    equal(place.ask("SELECT city FROM addresses"), vec![text("Oslo")]);
    let links = side.links(None, 9).await.unwrap();
    equal(links.len(), 1);
    equal(links[0].key.clone(), rows[1].key.clone());
}

pub(super) async fn children_are_settled_part_by_part<P: Place>(place: &P) {
    let mut side = prepared(place, layout()).await;
    let part = |kind: i64, city: &str| vec![Cell::Int(kind), text(city)];
    let digest = |kind: i64| vault().part_digest(&[Cell::Int(kind)]);
    let settle = |row: &Row, rows: Vec<Vec<Cell>>, formerly: Vec<Digest>| {
        let mut write = update(row, Vec::new());
        if let RowWrite::Update { children, .. } = &mut write {
            children.push(ChildSet {
                rule: 0,
                rows,
                formerly,
            });
        }
        write
    };
    let row = inserted(&mut side, &[insert("1", "a", 1)]).await.remove(0);
    let first = settle(
        &row,
        vec![part(1, "Rome"), part(2, "Oslo"), part(3, "Bonn")],
        vec![],
    );
    equal(inserted(&mut side, &[first]).await.remove(0), row.clone());
    // The customer's own row and own column.
    place.other("INSERT INTO addresses (customer_id, kind, city) VALUES (1, 9, 'own')");
    place.other("ALTER TABLE addresses ADD COLUMN note TEXT");
    place.other("UPDATE addresses SET note = 'mine'");
    let second = settle(
        &row,
        vec![part(2, "Oslo"), part(1, "Lima"), part(4, "Kyiv")],
        vec![digest(1), digest(2), digest(3)],
    );
    inserted(&mut side, &[second]).await;
    equal(
        place.ask("SELECT kind || city || coalesce(note, '-') FROM addresses ORDER BY kind"),
        vec![
            text("1Limamine"),
            text("2Oslomine"),
            text("4Kyiv-"),
            text("9ownmine"),
        ],
    );
    let third = settle(&row, vec![], vec![digest(1), digest(2), digest(4)]);
    inserted(&mut side, &[third]).await;
    equal(place.ask("SELECT city FROM addresses"), vec![text("own")]);
}

pub(super) async fn links_are_one_to_one_and_in_the_order_of_keys<P: Place>(place: &P) {
    let mut side = prepared(place, layout()).await;
    for id in [5, -1, 30, 4] {
        place.other(&format!("INSERT INTO customers (id) VALUES ({id})"));
    }
    let link = |id: i64, external: Option<&str>, remote: Option<&str>| {
        RowWrite::Link(LinkRow {
            key: LocalKey::Int(id),
            external_id: external.map(str::to_owned),
            remote_id: remote.map(|id| RemoteId(id.to_owned())),
        })
    };
    let writes = [
        link(5, Some("E5"), None),
        link(-1, None, Some("R1")),
        link(30, Some("E30"), Some("R30")),
        link(4, Some("E5"), None),
        link(4, None, Some("R30")),
    ];
    let outcomes = side.apply(&fence(1), &writes).await.unwrap();
    equal(&outcomes[2], &RowOutcome::Written(None));
    for outcome in &outcomes[3..] {
        assert!(
            matches!(
                outcome,
                RowOutcome::Refused {
                    code: "E-LINK-TAKEN",
                    ..
                }
            ),
            "{outcome:?}"
        );
    }
    let mut found = side.links(None, 2).await.unwrap();
    let last = found.last().map(|link| link.key.clone());
    found.extend(side.links(last.as_ref(), 2).await.unwrap());
    let ids: Vec<_> = found.iter().map(|link| link.key.clone()).collect();
    equal(
        ids,
        vec![LocalKey::Int(-1), LocalKey::Int(5), LocalKey::Int(30)],
    );
    // A link is written whole, and given free again.
    let writes = [
        link(5, Some("E5"), Some("R5")),
        RowWrite::Unlink(LocalKey::Int(30)),
        link(4, Some("E30"), Some("R30")),
    ];
    let outcomes = side.apply(&fence(1), &writes).await.unwrap();
    equal(outcomes, vec![RowOutcome::Written(None); 3]);
    let found = side
        .links_by_remote(&[RemoteId("R30".into())])
        .await
        .unwrap();
    equal(
        found[0].as_ref().map(|link| link.key.clone()),
        Some(LocalKey::Int(4)),
    );
}

pub(super) async fn a_changed_key_takes_link_and_children_along<P: Place>(place: &P) {
    let mut wanted = layout();
    wanted.key = "email".to_owned();
    wanted.key_field = Some(0);
    let mut side = prepared(place, wanted).await;
    let row = inserted(&mut side, &[insert("1", "old", 1)])
        .await
        .remove(0);
    equal(row.key.clone(), LocalKey::Text("old".into()));
    place.other("INSERT INTO addresses (customer_id, kind, city) VALUES ('old', 1, 'Rome')");
    let moved = inserted(&mut side, &[update(&row, vec![(0, text("new"))])])
        .await
        .remove(0);
    equal(moved.key.clone(), LocalKey::Text("new".into()));
    equal(
        place.ask("SELECT customer_id FROM addresses"),
        vec![text("new")],
    );
    let links = side.links(None, 9).await.unwrap();
    equal(links.len(), 1);
    equal(links[0].key.clone(), moved.key);
}

fn journalled() -> Layout {
    Layout {
        changes: ChangeMethod::Journal,
        deleted: Some("deleted_at".to_owned()),
        ..layout()
    }
}

pub(super) async fn the_journal_tells_others_edits_and_not_our_own<P: Place>(place: &P) {
    let mut side = prepared(place, journalled()).await;
    let position = side.position().await.unwrap().expect("triggers stand");
    let rows = inserted(
        &mut side,
        &[
            insert("1", "a", 1),
            insert("2", "b", 1),
            insert("3", "c", 1),
        ],
    )
    .await;
    equal(keys(side.changes(Some(&position)).await.unwrap()).0, vec![]);

    place.other("UPDATE customers SET name = 'A' WHERE id = 1");
    place.other("UPDATE customers SET name = 'AA', id = 10 WHERE id = 1");
    place.other("UPDATE customers SET name = name WHERE id = 3");
    place.other("INSERT INTO customers (email) VALUES ('d')");
    place.other("DELETE FROM customers WHERE id = 2");
    let changes = side.changes(Some(&position)).await.unwrap();
    let times_known = match &changes {
        LocalChanges::Keys {
            keys,
            deletions_included,
            ..
        } => *deletions_included && keys.iter().all(|(_, time)| time.is_some()),
        LocalChanges::ScanNeeded => false,
    };
    assert!(times_known, "{changes:?}");
    let (found, next) = keys(changes);
    equal(found, [1, 2, 10, 11].map(LocalKey::Int).to_vec());
    let fetched = side
        .fetch(&[LocalKey::Int(11), LocalKey::Int(3)])
        .await
        .unwrap();
    let changed: Vec<_> = fetched
        .iter()
        .flatten()
        .map(|row| row.changed_at.is_some())
        .collect();
    equal(changed, vec![true, false]);

    // Our own write of a row whose edit is not in custody yet leaves the edit's entry, and adds none.
    let row = fetched[0].clone().expect("the row stands");
    inserted(&mut side, &[update(&row, vec![(2, Cell::Int(9))])]).await;
    let (again, _) = keys(side.changes(Some(&position)).await.unwrap());
    equal(again, [1, 2, 10, 11].map(LocalKey::Int).to_vec());
    // Once in custody they are pruned with the next write, and the committed position still answers.
    equal(keys(side.changes(Some(&next)).await.unwrap()).0, vec![]);
    inserted(&mut side, &[update(&rows[2], vec![(2, Cell::Int(9))])]).await;
    equal(
        place.ask("SELECT count(*) FROM contactbridge_journal WHERE row_key IS NOT NULL"),
        vec![Cell::Int(0)],
    );
    equal(keys(side.changes(Some(&next)).await.unwrap()).0, vec![]);
    place.other("UPDATE customers SET deleted_at = 'now' WHERE id = 3");
    equal(
        keys(side.changes(Some(&next)).await.unwrap()).0,
        vec![LocalKey::Int(3)],
    );
    // An old state asks for what is pruned.
    equal(
        side.changes(Some(&position)).await.unwrap(),
        LocalChanges::ScanNeeded,
    );
}

pub(super) async fn the_journal_says_when_its_memory_does_not_reach_back<P: Place>(place: &P) {
    let mut side = prepared(place, journalled()).await;
    let position = side.position().await.unwrap().expect("triggers stand");
    for foreign in ["", "journal:", "journal:999999", "column:0", "junk"] {
        let changes = side.changes(Some(foreign)).await.unwrap();
        equal(changes, LocalChanges::ScanNeeded);
    }
    // A mapping with another field needs other triggers, and what happened to that field before was not noted.
    let mut wider = journalled();
    wider.columns.push(column("tier", ColumnKind::Text));
    let mut side = prepared(place, wider).await;
    equal(
        side.changes(Some(&position)).await.unwrap(),
        LocalChanges::ScanNeeded,
    );
    let position = side.position().await.unwrap().expect("triggers stand");
    place.other("INSERT INTO customers (tier) VALUES ('gold')");
    place.other("UPDATE customers SET tier = 'GOLD'");
    equal(
        keys(side.changes(Some(&position)).await.unwrap()).0.len(),
        1,
    );
}

pub(super) async fn a_column_of_times_tells_edits_and_their_time<P: Place>(place: &P) {
    let mut wanted = layout();
    wanted.changes = ChangeMethod::Column("updated_at".to_owned());
    let mut side = prepared(place, wanted).await;
    equal(side.changes(None).await.unwrap(), LocalChanges::ScanNeeded);
    place.other("INSERT INTO customers (id, updated_at) VALUES (1, '2026-01-01 10:00:00'), (2, '2026-01-02T10:00:00Z')");
    let position = side
        .position()
        .await
        .unwrap()
        .expect("a column has a memory");
    // The newest is read again, for others may share its second; the old ones are not.
    equal(
        keys(side.changes(Some(&position)).await.unwrap()).0,
        vec![LocalKey::Int(2)],
    );
    place.other("INSERT INTO customers (id, updated_at) VALUES (3, '2026-01-02 10:00:00'), (4, '2999-01-01'), (5, NULL)");
    place.other("UPDATE customers SET updated_at = '2026-01-02 12:30:00+02:00' WHERE id = 1");
    let changes = side.changes(Some(&position)).await.unwrap();
    let LocalChanges::Keys {
        keys: found,
        position: next,
        deletions_included,
    } = changes
    else {
        panic!("a scan is needed");
    };
    assert!(!deletions_included);
    let times: Vec<_> = found
        .iter()
        .map(|(key, time)| (key.clone(), time.map(|time| time.to_rfc3339())))
        .collect();
    equal(
        times[0].clone(),
        (LocalKey::Int(1), Some("2026-01-02T10:30:00+00:00".into())),
    );
    equal(times[4].clone(), (LocalKey::Int(5), None));
    equal(found.len(), 5);
    let row = side.fetch(&[LocalKey::Int(1)]).await.unwrap().remove(0);
    assert!(row.expect("stands").changed_at.is_some());
    // A row from the future does not hide what comes before its time.
    place.other(
        "UPDATE customers SET updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now') WHERE id = 1",
    );
    let (found, _) = keys(side.changes(Some(&next)).await.unwrap());
    assert!(found.contains(&LocalKey::Int(1)), "{found:?}");
}

pub(super) async fn two_bridges_share_a_table_without_sharing_anything_else<P: Place>(place: &P) {
    let mut one = prepared(place, journalled()).await;
    let mut two = place.side("guests", journalled());
    two.prepare().await.unwrap();
    let (position_one, position_two) = (
        one.position().await.unwrap().expect("triggers stand"),
        two.position().await.unwrap().expect("triggers stand"),
    );
    let row = inserted(&mut one, &[insert("1", "a", 1)]).await.remove(0);
    // The other bridge's write is an edit like any other.
    equal(
        keys(one.changes(Some(&position_one)).await.unwrap()).0,
        vec![],
    );
    equal(
        keys(two.changes(Some(&position_two)).await.unwrap()).0,
        vec![row.key.clone()],
    );
    equal(two.links(None, 9).await.unwrap(), vec![]);
    equal(two.meta().await.unwrap(), None);
    let other_store = Fence {
        store_id: "store-2".into(),
        epoch: 1,
    };
    let link = RowWrite::Link(LinkRow {
        key: row.key.clone(),
        external_id: None,
        remote_id: Some(RemoteId("1".into())),
    });
    two.apply(&other_store, &[link]).await.unwrap();
    equal(two.links(None, 9).await.unwrap().len(), 1);
    equal(
        one.meta().await.unwrap().map(|meta| meta.store_id),
        Some("store-1".into()),
    );
}

pub(super) async fn generation_and_epoch_are_sealed_and_adopted<P: Place>(place: &P) {
    let mut side = prepared(place, layout()).await;
    equal(side.meta().await.unwrap(), None);
    side.apply(&fence(3), &[insert("1", "a", 1)]).await.unwrap();
    side.seal(&fence(3), 12).await.unwrap();
    let meta = |store: &str, generation, epoch| {
        Some(LocalMeta {
            store_id: store.into(),
            generation,
            epoch,
        })
    };
    equal(side.meta().await.unwrap(), meta("store-1", 12, 3));
    side.apply(&fence(4), &[insert("2", "b", 1)]).await.unwrap();
    equal(side.meta().await.unwrap(), meta("store-1", 12, 4));
    let new = Fence {
        store_id: "store-2".into(),
        epoch: 1,
    };
    side.adopt(&new, 0).await.unwrap();
    equal(side.meta().await.unwrap(), meta("store-2", 0, 1));
    // The links are what a re-link works from.
    equal(side.links(None, 9).await.unwrap().len(), 2);
    side.apply(&new, &[insert("3", "c", 1)]).await.unwrap();
    equal(
        side.apply(&fence(9), &[insert("4", "d", 1)])
            .await
            .unwrap_err()
            .code(),
        "E-FENCED",
    );
}

pub(super) async fn matches_are_found_however_they_are_written<P: Place>(place: &P) {
    let mut side = prepared(place, layout()).await;
    place.other("INSERT INTO customers (id, email, name, age) VALUES (1, ' Zoe@Example.ORG ', '(02) 9999 1234', 30), (2, 'b@example.org', NULL, 31), (3, NULL, 'x', NULL)");
    let ids = |rows: Vec<Row>| rows.into_iter().map(|row| row.key).collect::<Vec<_>>();
    let one = vec![LocalKey::Int(1)];
    equal(
        ids(side
            .find(0, &["zoe@example.org".into(), "none".into()])
            .await
            .unwrap()),
        one.clone(),
    );
    equal(
        ids(side.find(1, &["+61299991234".into()]).await.unwrap()),
        one.clone(),
    );
    equal(ids(side.find(2, &["30".into()]).await.unwrap()), one);
    equal(side.find(0, &[]).await.unwrap(), vec![]);
    equal(side.find(99, &["x".into()]).await.unwrap(), vec![]);
    // What somebody else writes meanwhile is found, and what we write.
    place.other("UPDATE customers SET email = 'ZOE@example.org' WHERE id = 2");
    place.other("UPDATE customers SET email = 'gone@example.org' WHERE id = 1");
    let two = side.find(0, &["zoe@example.org".into()]).await.unwrap();
    equal(ids(two.clone()), vec![LocalKey::Int(2)]);
    inserted(
        &mut side,
        &[
            insert("7", "Zoe@example.org", 1),
            update(&two[0], vec![(0, text("else"))]),
        ],
    )
    .await;
    let found = side.find(0, &["zoe@example.org".into()]).await.unwrap();
    let right: Vec<_> = found
        .iter()
        .filter(|row| row.cells[0] == text("Zoe@example.org"))
        .collect();
    equal(right.len(), 1);
    equal(side.find(0, &["else".into()]).await.unwrap().len(), 1);
}
