//! How changes are found.

use super::*;

fn journalled() -> Layout {
    Layout {
        changes: ChangeMethod::Journal,
        deleted: Some("deleted_at".to_owned()),
        ..layout()
    }
}

pub(in crate::local) async fn the_journal_tells_others_edits_and_not_our_own<P: Place>(place: &P) {
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
    place.other("INSERT INTO customers (id, email) VALUES (11, 'd')");
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
    place.other(&format!(
        "UPDATE customers SET deleted_at = {} WHERE id = 3",
        place.now()
    ));
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

pub(in crate::local) async fn the_journal_says_when_its_memory_does_not_reach_back<P: Place>(
    place: &P,
) {
    let mut side = prepared(place, journalled()).await;
    let position = side.position().await.unwrap().expect("triggers stand");
    for foreign in ["", "journal:", "journal:999999", "column:0", "junk"] {
        let changes = side.changes(Some(foreign)).await.unwrap();
        equal(changes, LocalChanges::ScanNeeded);
    }
    // A mapping with another field needs other triggers, and what happened to that field before was not noted.
    let mut wider = journalled();
    place.other("ALTER TABLE customers ADD COLUMN tier TEXT");
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

pub(in crate::local) async fn a_column_of_times_tells_edits_and_their_time<P: Place>(place: &P) {
    let mut wanted = layout();
    wanted.changes = ChangeMethod::Column("updated_at".to_owned());
    let mut side = prepared(place, wanted).await;
    equal(side.changes(None).await.unwrap(), LocalChanges::ScanNeeded);
    let time = |iso: &str| place.time(iso);
    place.other(&format!(
        "INSERT INTO customers (id, updated_at) VALUES (1, {}), (2, {})",
        time("2026-01-01 10:00:00"),
        time("2026-01-02T10:00:00Z")
    ));
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
    place.other(&format!(
        "INSERT INTO customers (id, updated_at) VALUES (3, {}), (4, {}), (5, NULL)",
        time("2026-01-02 10:00:00"),
        time("2999-01-01")
    ));
    place.other(&format!(
        "UPDATE customers SET updated_at = {} WHERE id = 1",
        time("2026-01-02 12:30:00+02:00")
    ));
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
    place.other(&format!(
        "UPDATE customers SET updated_at = {} WHERE id = 1",
        place.now()
    ));
    let (found, _) = keys(side.changes(Some(&next)).await.unwrap());
    assert!(found.contains(&LocalKey::Int(1)), "{found:?}");
}

pub(in crate::local) async fn two_bridges_share_a_table_without_sharing_anything_else<P: Place>(
    place: &P,
) {
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
