//! What every [`Local`] promises, whatever the database: one suite, run for each implementation.

mod bookkeeping;
mod changes;
mod reading;
mod writing;

use std::fmt::Debug;

use super::{ChildSet, Fence, LinkRow, Local, LocalChanges, LocalMeta, Row, RowOutcome, RowWrite};
use crate::model::{
    Cell, ChangeMethod, ChildLayout, Column, ColumnKind, Digest, ErrorKind, Layout, LocalKey,
    RemoteId, Vault,
};

pub(in crate::local) use self::{bookkeeping::*, changes::*, reading::*, writing::*};

/// A fresh, empty database of one kind.
pub(in crate::local) trait Place {
    /// The implementation under test.
    type Side: Local;

    /// A side on this database, as a process of its own would open it.
    fn side(&self, bridge: &str, layout: Layout) -> Self::Side;

    /// What somebody else's program does to the database meanwhile.
    fn other(&self, sql: &str);

    /// A time in ISO 8601 as a literal that the database reads as that time.
    fn time(&self, iso: &str) -> String {
        format!("'{iso}'")
    }

    /// The database's own clock, as a value for a column of times.
    fn now(&self) -> String;

    /// The first column of an answer, as somebody else's program sees it.
    fn ask(&self, sql: &str) -> Vec<Cell>;
}

/// Runs the suite for an `Option` of a [`Place`]: without one (no server runs), there is nothing to try.
macro_rules! contract {
    ($place:expr) => {
        $crate::local::contract::contract!(@each $place;
            before_the_first_run_everything_is_empty_and_nothing_is_made
            preparing_twice_makes_everything_once
            the_column_of_the_mark_joins_a_table_that_stands
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
                if let Some(place) = $place {
                    $crate::local::contract::$name(&place).await;
                }
            }
        )*
    };
}
pub(in crate::local) use contract;

pub(in crate::local) fn vault() -> Vault {
    Vault::new(&[7; 32])
}

pub(in crate::local) fn column(name: &str, kind: ColumnKind) -> Column {
    Column {
        name: name.to_owned(),
        kind,
        matches: name == "email",
    }
}

/// A generated key, three fields, one child table.
pub(in crate::local) fn layout() -> Layout {
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

pub(in crate::local) fn fence(epoch: u64) -> Fence {
    Fence {
        store_id: "store-1".to_owned(),
        epoch,
    }
}

pub(in crate::local) fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

pub(in crate::local) fn insert(remote: &str, email: &str, age: i64) -> RowWrite {
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

pub(in crate::local) fn update(row: &Row, cells: Vec<(usize, Cell)>) -> RowWrite {
    RowWrite::Update {
        key: row.key.clone(),
        expect: row.digest,
        cells,
        children: Vec::new(),
        revive: false,
        link: None,
    }
}

pub(in crate::local) fn written(outcome: &RowOutcome) -> Row {
    match outcome {
        RowOutcome::Written(Some(row)) => row.clone(),
        other => panic!("not a written row: {other:?}"),
    }
}

pub(in crate::local) async fn prepared<P: Place>(place: &P, layout: Layout) -> P::Side {
    let mut side = place.side("members", layout);
    side.prepare().await.unwrap();
    side
}

pub(in crate::local) async fn inserted<S: Local>(side: &mut S, writes: &[RowWrite]) -> Vec<Row> {
    let outcomes = side.apply(&fence(1), writes).await.unwrap();
    outcomes.iter().map(written).collect()
}

pub(in crate::local) async fn all<S: Local>(side: &mut S) -> Vec<Row> {
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

pub(in crate::local) fn keys(changes: LocalChanges) -> (Vec<LocalKey>, String) {
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
