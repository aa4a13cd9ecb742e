//! Links, fence, epochs, replay.

use super::*;

pub(in crate::local) async fn an_insert_that_took_place_already_is_not_done_again<P: Place>(
    place: &P,
) {
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

pub(in crate::local) async fn a_dead_link_does_not_stop_its_contact_from_coming_back<P: Place>(
    place: &P,
) {
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

pub(in crate::local) async fn a_later_run_and_another_store_fence_this_one_off<P: Place>(
    place: &P,
) {
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

pub(in crate::local) async fn nothing_written_means_no_trace_at_all<P: Place>(place: &P) {
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

pub(in crate::local) async fn links_are_one_to_one_and_in_the_order_of_keys<P: Place>(place: &P) {
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

pub(in crate::local) async fn generation_and_epoch_are_sealed_and_adopted<P: Place>(place: &P) {
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
