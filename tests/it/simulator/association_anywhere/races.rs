//! What happens between two requests, and what the queue makes of it (hazard H-50).

use contactbridge::simulator::association_anywhere::{Moment, Operation};

use super::site::{call, details, purge, quiet, reasons, times};

const ASKED: &str = "<details><emails include=\"true\"/></details>";

#[test]
fn an_edit_between_reading_and_purging_survives_unless_its_row_kept_its_number() {
    for (rows, survives) in [
        ("each", true),
        ("coalesce", true),
        ("coalesce-keeps-number", false),
    ] {
        let site = quiet(4);
        site.switch(&format!("rows={rows}")).unwrap();
        site.edit("0000001", |customer| {
            customer.login_id = "one".into();
        });
        site.at(Moment::Before(Operation::Purge), 1, |site| {
            site.edit("0000001", |customer| {
                customer.login_id = "two".into();
            });
        });
        assert!(reasons(&site).contains("<maxQueueNum>900001</maxQueueNum>"));
        assert!(details(&site, &["0000001"], ASKED).contains("<loginId>one<"));
        purge(&site, 900_001);
        assert_eq!(site.queue_len(), usize::from(survives), "{rows}");
        assert!(details(&site, &["0000001"], ASKED).contains("<loginId>two<"));
        assert_eq!(site.hooks_waiting(), 0);
    }
}

#[test]
fn a_hook_strikes_at_its_turn_and_its_answer_does_not_show_it() {
    let site = quiet(4);
    site.at(Moment::After(Operation::Details), 2, |site| {
        site.delete("0000001");
    });
    let there = || times(&details(&site, &["0000001"], ""), "<custInfo>");
    assert_eq!((there(), there(), there()), (1, 1, 0));
    // Requests that aren't worked on don't count.
    site.at(Moment::Before(Operation::Queue), 1, |site| {
        site.enqueue("0000002", "UPDATE", "X");
    });
    site.switch("html@GET_QUEUE_CUSTS_XML=#1").unwrap();
    let seen = || {
        call(&site, Operation::Queue, "")
            .unwrap()
            .text()
            .contains("0000002")
    };
    assert!(!seen() && seen());
}
