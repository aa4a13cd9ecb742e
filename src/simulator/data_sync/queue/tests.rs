//! The queues' rules as tables: what is done, and which messages come of it.

use super::*;

/// `+a` makes a, `~a` changes it, `-a` deletes it, `$a` posts a transaction of it, `>` moves all, `>n` moves n rows,
/// `!` delivers the first row.
fn messages(rules: QueueRules, script: &str) -> String {
    let mut queues = Queues::new(rules, 100, 1);
    let mut version = 0;
    for word in script.split(' ') {
        version += 1;
        let (sign, rest) = word.split_at(1);
        match sign {
            "+" | "~" => queues.customer_changed(rest, format!("{rest}{version}"), sign == "+"),
            "-" => queues.customer_deleted(rest),
            "$" => {
                queues.transaction_posted(
                    &format!("t{version}"),
                    Some(rest),
                    format!("${rest}{version}"),
                );
            }
            ">" => {
                queues.transfer(rest.parse().unwrap_or(usize::MAX));
            }
            "!" => {
                let head = queues.head(1);
                queues.delivered(&head);
            }
            _ => panic!("{word}"),
        }
    }
    queues.transfer(usize::MAX);
    let told = queues.progress().map(|row| {
        let sign = match row.message.kind() {
            Some(Action::Create) => "+",
            Some(Action::Modify) => "~",
            Some(Action::Delete) => "-",
            Some(Action::Post) => "",
            None => "?",
        };
        format!("{sign}{}", row.message.payload)
    });
    told.collect::<Vec<_>>().join(" ")
}

fn each() -> QueueRules {
    QueueRules::default()
}

fn coalescing(coalescing: Coalescing) -> QueueRules {
    QueueRules {
        coalescing,
        ..each()
    }
}

#[test]
fn each_change_is_a_message_with_the_record_as_it_stood() {
    for (script, told) in [
        ("+a ~a ~b ~a", "+a1 ~a2 ~b3 ~a4"),
        ("+a $a ~a", "+a1 $a2 ~a3"),
        ("~a -b", "~a1 -b"),
    ] {
        assert_eq!(messages(each(), script), told, "{script}");
    }
}

#[test]
fn a_deletion_takes_the_rows_of_its_customer_alone() {
    for (script, told) in [
        ("+a ~b ~a -a", "~b2 -a"),
        // From the progress queue as well.
        ("+a ~b > ~a -a", "~b2 -a"),
        ("-a -a", "-a"),
        // A deletion that is under way gives way to the next one.
        ("-a > -a", "-a"),
        ("+a -a +a", "-a +a3"),
        ("+ab -a", "+ab1 -a"),
        // What was delivered is gone already.
        ("+a > ! -a", "-a"),
        ("$a ~a -a", "$a1 -a"),
        ("$a > ~a -a", "$a1 -a"),
    ] {
        assert_eq!(messages(each(), script), told, "{script}");
    }
    let too = QueueRules {
        deletion_takes_transactions: true,
        ..each()
    };
    for (script, told) in [("$a $b ~a -a", "$b2 -a"), ("$a $b > -a", "$b2 -a")] {
        assert_eq!(messages(too, script), told, "{script}");
    }
}

#[test]
fn changes_of_a_customer_may_share_a_row() {
    for (script, keeps, to_the_end) in [
        ("~a ~b ~a", "~a3 ~b2", "~b2 ~a3"),
        ("+a ~b ~a", "+a3 ~b2", "~b2 +a3"),
        // A deletion is not swallowed, and a customer that comes back is a new one.
        ("-a +a ~a", "-a +a3", "-a +a3"),
        // What has left the pending queue is not renewed.
        ("+a > ~a", "+a1 ~a3", "+a1 ~a3"),
        // Transactions have a row each.
        ("$a $a", "$a1 $a2", "$a1 $a2"),
    ] {
        assert_eq!(
            messages(coalescing(Coalescing::KeepsPlace), script),
            keeps,
            "{script}"
        );
        assert_eq!(
            messages(coalescing(Coalescing::ToTheEnd), script),
            to_the_end,
            "{script}"
        );
    }
}

#[test]
fn the_feed_decides_the_order_within_a_batch() {
    let fed = |feed, script: &str| messages(QueueRules { feed, ..each() }, script);
    let script = "+a $a ~a +b $b";
    assert_eq!(fed(Feed::CustomersFirst, script), "+a1 ~a3 +b4 $a2 $b5");
    assert_eq!(fed(Feed::TransactionsFirst, script), "$a2 $b5 +a1 ~a3 +b4");
    assert_eq!(fed(Feed::Backwards, script), "$b5 +b4 ~a3 $a2 +a1");
    assert_eq!(fed(Feed::Backwards, "+a $a >2 ~a +b"), "$a2 +a1 +b5 ~a4");
    let shuffled = fed(Feed::Shuffled, script);
    assert_ne!(shuffled, fed(Feed::AsChanged, script));
    assert_eq!(shuffled.len(), fed(Feed::AsChanged, script).len());
    assert_eq!(shuffled, fed(Feed::Shuffled, script));
}

#[test]
fn numbers_rise_and_stay_with_their_message() {
    let mut queues = Queues::new(each(), 26_764_466, 1);
    for id in ["a", "b", "c"] {
        queues.customer_changed(id, "{}".to_owned(), true);
    }
    assert_eq!(queues.transfer(2), 2);
    let first = queues.head(5);
    let numbers: Vec<u64> = first.iter().map(|row| row.number).collect();
    assert_eq!(numbers, [26_764_466, 26_764_467]);
    assert_eq!(first[0].message.unique_id, "26764466");
    assert_eq!(
        (queues.customers().len(), queues.head(1)),
        (1, vec![first[0].clone()])
    );
    queues.delivered(&first);
    assert_eq!((queues.transfer(2), queues.transfer(2)), (1, 0));
    assert_eq!(queues.head(1)[0].number, 26_764_468);
    assert!(!queues.is_empty());
}
