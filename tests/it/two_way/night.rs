//! Edits, creates and deletes on both sides in one night, for every way to find local changes, both kinds of keys and
//! both kinds of deletion.

use contactbridge::simulator::contactlist::{Deletion, Operation};

use super::{assert_equal_sides, mapping, newcomer, plain};
use crate::support::{Project, Setup};

/// External ID of the seeded person of this number.
fn number(of: u32) -> String {
    format!("M{of:06}")
}

/// How the night's work is done in the database.
struct Desk<'a> {
    project: &'a Project,
    /// Every statement of a program that keeps `updated_at` sets it.
    stamped: bool,
    soft_delete: bool,
}

impl Desk<'_> {
    fn edit(&self, of: u32, set: &str) {
        let stamp = if self.stamped {
            format!(", updated_at = {}", self.project.now())
        } else {
            String::new()
        };
        let statement = format!(
            "UPDATE customers SET {set}{stamp} WHERE customer_no = '{}'",
            number(of)
        );
        assert_eq!(self.project.sql(&statement), 1, "{statement}");
    }

    fn delete(&self, of: u32) {
        if self.soft_delete {
            self.edit(of, "deleted_at = '2026-11-22 00:00:00'");
        } else {
            let no = number(of);
            let statement = format!("DELETE FROM customers WHERE customer_no = '{no}'");
            assert_eq!(self.project.sql(&statement), 1);
        }
    }

    fn insert(&self, no: &str, email: &str, first: &str) {
        let (column, value) = if self.stamped {
            (", updated_at", format!(", {}", self.project.now()))
        } else {
            ("", String::new())
        };
        self.project.sql(&format!(
            "INSERT INTO customers (customer_no, email, first_name, last_name, born_on, opted_in, mobile{column})
             VALUES ('{no}', '{email}', '{first}', 'O''Brien <&> 李', '1980-02-29', '1', '+61 400 1'{value})"
        ));
    }
}

/// A night on the database that `setup` has.
pub fn one_night(setup: Setup, changes: &str, natural_key: bool, soft_delete: bool) {
    let project = setup
        .people(260)
        .mapping(&mapping(changes, natural_key, soft_delete))
        .build();
    project.sync(0);
    assert_equal_sides(&project);
    let desk = Desk {
        project: &project,
        stamped: changes.contains("updated_at"),
        soft_delete,
    };
    let id = |of: u32| project.contact(&number(of)).entity_id;
    let set = |of: u32, change: fn(&mut contactbridge::simulator::contactlist::Person)| {
        assert!(project.crm.edit(id(of), change));
    };
    // One side each; the cleared ones too.
    for of in 0..20 {
        set(of, |person| {
            person.first_name = Some("Zoë-Ré & <Söhne>".into())
        });
        desk.edit(
            20 + of,
            "last_name = 'Ünlü \"&\" <b>', born_on = '2001-02-03'",
        );
    }
    set(40, |person| person.last_name = None);
    desk.edit(41, "last_name = NULL, mobile = NULL, born_on = NULL");
    // Different fields of one person, and one field to one value.
    for of in 50..60 {
        set(of, |person| person.last_name = Some("Fern".into()));
        desk.edit(of, "city = 'Perth', company = 'New Co', opted_in = '0'");
    }
    set(60, |person| person.first_name = Some("Same".into()));
    desk.edit(60, "first_name = 'Same'");
    // Deletions: one side, both sides, and against an edit, which wins.
    for of in 70..75 {
        assert!(project.crm.delete(id(of), Deletion::Flag));
        desk.delete(of + 10);
    }
    let vanished = id(75);
    assert!(project.crm.delete(vanished, Deletion::Vanish));
    assert!(project.crm.delete(id(76), Deletion::Flag));
    desk.delete(76);
    let (revived, kept) = (id(90), id(91));
    assert!(project.crm.delete(revived, Deletion::Flag));
    desk.edit(90, "first_name = 'Still here'");
    desk.delete(91);
    set(91, |person| {
        person.first_name = Some("Still here too".into())
    });
    // Newcomers, one of them on both sides.
    for of in 0..6 {
        let mail = format!("crm{of}@example.org");
        project
            .crm
            .insert(newcomer(&format!("C-{of}"), &mail, "Crm", "Born"));
        desk.insert(&format!("L-{of}"), &format!("desk{of}@example.org"), "Desk");
    }
    let both = project
        .crm
        .insert(newcomer("B-1", "both@example.org", "Both", "Sides"));
    desk.insert("B-1", "both@example.org", "Both");
    project
        .sql("UPDATE customers SET last_name = 'Sides', opted_in = '0' WHERE customer_no = 'B-1'");
    // Only a full read notices the vanished one.
    project.line("reseed members").exits(0);
    let report = project.sync(0);

    assert_equal_sides(&project);
    for way in ["pull", "push"] {
        let counts = &report[way];
        let sum: i64 = ["created", "updated", "deleted", "unchanged", "held"]
            .iter()
            .map(|name| counts[name].as_i64().unwrap())
            .sum();
        assert_eq!(counts["read"], sum, "{way}");
    }
    let first = |of: u32| project.contact(&number(of)).first_name;
    assert_eq!(first(90).as_deref(), Some("Still here"));
    assert_eq!(first(91).as_deref(), Some("Still here too"));
    assert_eq!(id(91), kept);
    assert_eq!(project.contact("B-1").entity_id, both);
    assert_eq!(project.contact(&number(41)).last_name.as_deref(), Some(""));
    assert_eq!(
        project.contact(&number(25)).last_name.as_deref(),
        Some("Ünlü \"&\" <b>")
    );
    for of in (70..77).chain(80..85) {
        let living = project.crm.by_external(&number(of));
        assert!(living.iter().all(|person| person.deleted), "{of}");
        let marked = if soft_delete { "1" } else { "0" };
        let rows = format!(
            "SELECT count(*) FROM customers WHERE customer_no = '{}'",
            number(of)
        );
        assert_eq!(project.cell(&rows), marked, "{of}");
    }
    for of in 0..6 {
        project.contact(&format!("L-{of}"));
    }
    assert_eq!(report["pull"]["deleted"], 6, "{report:#}");
    assert_eq!(report["push"]["deleted"], 5, "{report:#}");
    assert_eq!(report["push"]["created"].as_i64(), Some(7), "{report:#}");
    project.quiet_sync(0);
    // Also when everything is read again.
    project.line("reseed members").exits(0);
    project.quiet_sync(0);
    assert_eq!(project.crm.count(Operation::ContactListUpdateInsert), 0);
}

#[test]
pub fn one_night_by_scan_with_generated_keys_ends_equal() {
    one_night(plain(260), "scan", false, false);
}

#[test]
pub fn one_night_by_scan_with_natural_keys_and_marks_ends_equal() {
    one_night(plain(260), "scan", true, true);
}

#[test]
pub fn one_night_by_journal_with_generated_keys_and_marks_ends_equal() {
    one_night(plain(260), "journal", false, true);
}

#[test]
pub fn one_night_by_journal_with_natural_keys_ends_equal() {
    one_night(plain(260), "journal", true, false);
}

#[test]
pub fn one_night_by_column_with_generated_keys_ends_equal() {
    one_night(plain(260), "{ column: updated_at }", false, false);
}

#[test]
pub fn one_night_by_column_with_natural_keys_and_marks_ends_equal() {
    one_night(plain(260), "{ column: updated_at }", true, true);
}
