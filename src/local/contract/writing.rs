//! Rows, marks, children, refusals.

use super::*;

pub(in crate::local) async fn a_row_that_moved_is_left_out_and_the_others_are_written<P: Place>(
    place: &P,
) {
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

pub(in crate::local) async fn a_refused_row_harms_no_other<P: Place>(place: &P) {
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

pub(in crate::local) async fn a_mark_is_set_and_taken_off_and_links_stay<P: Place>(place: &P) {
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

pub(in crate::local) async fn a_real_deletion_takes_children_and_link_along<P: Place>(place: &P) {
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

pub(in crate::local) async fn children_are_settled_part_by_part<P: Place>(place: &P) {
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
        place.ask("SELECT concat(kind, city, coalesce(note, '-')) FROM addresses ORDER BY kind"),
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

pub(in crate::local) async fn a_changed_key_takes_link_and_children_along<P: Place>(place: &P) {
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
