//! What is read: before there is anything, in chunks, by key, by value.

use super::*;

pub(in crate::local) async fn before_the_first_run_everything_is_empty_and_nothing_is_made<
    P: Place,
>(
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

pub(in crate::local) async fn preparing_twice_makes_everything_once<P: Place>(place: &P) {
    let mut wanted = layout();
    wanted.deleted = Some("deleted_at".to_owned());
    wanted.changes = ChangeMethod::Column("updated_at".to_owned());
    let mut side = prepared(place, wanted.clone()).await;
    assert!(side.exists().await.unwrap());
    side.prepare().await.unwrap();
    place.other("INSERT INTO customers (email, deleted_at, updated_at) VALUES ('a', NULL, NULL)");
    place.other("INSERT INTO addresses (customer_id, kind, city) VALUES (1, 1, 'Rome')");
    // A column that is missing from a table that stands may have been taken away: made anew it would be empty for everybody.
    wanted.columns.push(column("tier", ColumnKind::Text));
    let error = place
        .side("members", wanted.clone())
        .prepare()
        .await
        .unwrap_err();
    equal(
        (error.kind(), error.code()),
        (ErrorKind::Config, "E-MAP-COLUMN"),
    );
    place.other("ALTER TABLE customers ADD COLUMN tier TEXT");
    let mut side = prepared(place, wanted).await;
    equal(all(&mut side).await[0].cells.len(), 4);
}

pub(in crate::local) async fn the_column_of_the_mark_joins_a_table_that_stands<P: Place>(
    place: &P,
) {
    prepared(place, layout()).await;
    let mut wanted = layout();
    wanted.deleted = Some("deleted_at".to_owned());
    prepared(place, wanted).await;
    place.other("INSERT INTO customers (email, deleted_at) VALUES ('a', NULL)");
}

pub(in crate::local) async fn what_is_inserted_is_found_in_every_way<P: Place>(place: &P) {
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

pub(in crate::local) async fn a_scan_sees_each_row_once_in_the_order_of_keys<P: Place>(place: &P) {
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

pub(in crate::local) async fn text_keys_are_scanned_in_bytewise_order<P: Place>(place: &P) {
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

pub(in crate::local) async fn matches_are_found_however_they_are_written<P: Place>(place: &P) {
    let mut side = prepared(place, layout()).await;
    place.other("INSERT INTO customers (email, name, age) VALUES (' Zoe@Example.ORG ', '(02) 9999 1234', 30), ('b@example.org', NULL, 31), (NULL, 'x', NULL)");
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
