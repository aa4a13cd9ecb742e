//! The habits that a service may have where its description is silent: with each of them, a night of edits ends equal and
//! quiet.

use contactbridge::simulator::contactlist::{
    Arrays, Deletion, EmailShown, EmptyList, EmptyString, KnownEmail, Mangle, MissingString,
    NotFound, Order, Quirks,
};

use super::crash::{assert_done, work};
use super::{assert_equal_sides, plain};
use crate::support::Project;

/// A name for messages, and the switch.
type Habit = (&'static str, fn(&mut Quirks));

#[test]
pub fn a_night_ends_equal_whatever_the_habits_of_the_service() {
    let habits: Vec<Habit> = vec![
        ("order by id", |quirks| quirks.order = Order::Id),
        ("exclusive bound", |quirks| quirks.exclusive_bound = true),
        ("no element for nobody", |quirks| {
            quirks.empty_list = EmptyList::Absent
        }),
        ("a fault for nobody", |quirks| {
            quirks.empty_list = EmptyList::Fault
        }),
        ("absent clears", |quirks| {
            quirks.missing_string = MissingString::Clears
        }),
        ("empty is absent", |quirks| {
            quirks.empty_string = EmptyString::Absent
        }),
        ("arrays merge", |quirks| quirks.arrays = Arrays::Merge),
        ("addresses are adopted", |quirks| {
            quirks.known_email = KnownEmail::Adopt
        }),
        ("addresses are refused", |quirks| {
            quirks.known_email = KnownEmail::Refuse
        }),
        ("look-ups hide the deleted", |quirks| {
            quirks.hide_deleted = true
        }),
        ("look-ups answer nothing", |quirks| {
            quirks.not_found = NotFound::Absent
        }),
        ("deletion leaves nothing", |quirks| {
            quirks.deletion = Deletion::Vanish
        }),
        ("milliseconds", |quirks| quirks.fractions = true),
        ("plain faults", |quirks| quirks.plain_faults = true),
        ("a clock two minutes behind", |quirks| {
            quirks.clock_offset = -120
        }),
        ("a clock two minutes ahead", |quirks| {
            quirks.clock_offset = 120
        }),
        ("e-mail as telephone 7 alone", |quirks| {
            quirks.email_shown = EmailShown::Phone
        }),
    ];
    for (what, change) in habits {
        println!("{what}");
        let project = plain(10)
            .crm(|crm| change(&mut crm.switches.quirks))
            .build();
        project.sync(0);
        work(&project);
        project.sync(0);
        assert_done(&project);
        project.quiet_sync(0);
        project.line("reseed members").exits(0);
        project.quiet_sync(0);
    }
}

#[test]
pub fn h01_pages_that_begin_at_whole_hundreds_alone_are_read_all_the_same() {
    for order in [Order::Stamp, Order::Id] {
        let project = plain(430)
            .crm(|crm| {
                crm.switches.quirks.whole_pages = true;
                crm.switches.quirks.order = order;
            })
            .build();
        project.sync(0);
        assert_equal_sides(&project);
        project.line("reseed members").exits(0);
        project.quiet_sync(0);
    }
}

/// Pushes a last name that the service mangles, and two more runs.
fn pushed(mangle: Mangle, name: &str) -> (Project, String) {
    let project = plain(10)
        .crm(|crm| {
            crm.switches.quirks.mangled = vec![("lastName".into(), mangle)];
        })
        .build();
    project.sync(0);
    project.sql(&format!(
        "UPDATE customers SET last_name = '{name}', city = 'Perth' WHERE customer_no = 'M000003'"
    ));
    project.sync(0);
    project.quiet_sync(0);
    let row = "SELECT last_name FROM customers WHERE customer_no = 'M000003'";
    let kept = project.cell(row);
    (project, kept)
}

#[test]
pub fn h29_a_value_that_the_service_reshapes_neither_flows_back_nor_for_ever() {
    for (mangle, name, shown) in [
        (Mangle::Truncate(8), "A very long last name", "A very l"),
        (Mangle::Trim, "  Spaced  ", "Spaced"),
        (Mangle::Upper, "Ünlü", "ÜNLÜ"),
        (Mangle::Lower, "McGee", "mcgee"),
    ] {
        let (project, kept) = pushed(mangle, name);
        assert_eq!(kept, name, "the database keeps what it had");
        let person = project.contact("M000003");
        assert_eq!(person.last_name.as_deref(), Some(shown));
        project.line("reseed members").exits(0);
        project.quiet_sync(0);
        // An edit in the CRM still flows.
        assert!(project.crm.edit(person.entity_id, |person| {
            person.last_name = Some("Crm".into());
        }));
        project.sync(0);
        let row = "SELECT last_name FROM customers WHERE customer_no = 'M000003'";
        assert_eq!(project.cell(row), "Crm");
        project.quiet_sync(0);
    }
}

#[test]
pub fn h22_a_value_that_the_service_ignores_is_held_after_three_times() {
    let project = plain(10)
        .crm(|crm| {
            crm.switches.quirks.mangled = vec![("lastName".into(), Mangle::Ignore)];
        })
        .build();
    project.sync(0);
    project.sql(
        "UPDATE customers SET last_name = 'Ignored', city = 'Perth' WHERE customer_no = 'M000003'",
    );
    let codes: Vec<_> = (0..3).map(|_| project.line("sync").code).collect();
    assert_eq!(codes[2], Some(3), "{codes:?}");
    let held = project
        .line("quarantine list --format json")
        .exits(0)
        .json();
    assert_eq!(held[0]["code"], "E-REMOTE-IGNORED");
    assert_eq!(held[0]["fields"], serde_json::json!(["last_name"]));
    project.quiet_sync(3);
    let row = "SELECT last_name, city FROM customers WHERE customer_no = 'M000003'";
    assert_eq!(project.rows(row), [["Ignored", "Perth"]]);
}
