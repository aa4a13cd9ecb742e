//! The queue: its answers in all their shapes, purging, forcing.

use contactbridge::simulator::association_anywhere::{Customer, Operation};

use super::site::{call, purge, quiet, reasons, site, text, times};

/// Two customers with three events, the second one deleted.
fn busy() -> contactbridge::simulator::association_anywhere::AssociationAnywhereSimulator {
    let site = quiet(6);
    site.edit("0000003", |customer| {
        customer.set("addresses", 0, "street1", "1 Other Way");
    });
    site.delete("0005_SC");
    site.edit("0000003", |customer| {
        customer.section_mut("phones").children.clear();
    });
    site
}

#[test]
fn reasons_stand_together_by_customer_and_the_plain_queue_has_ids_alone() {
    let site = busy();
    assert_eq!(
        reasons(&site),
        "<custResponse><status>SUCCESS</status><maxQueueNum>900003</maxQueueNum><customers>\
         <customer><custId>0000003</custId><triggers>\
         <trigger queueNum=\"900001\" action=\"UPDATE\" tableName=\"CEN_CUST_ADDR\"/>\
         <trigger queueNum=\"900003\" action=\"DELETE\" tableName=\"CEN_CUST_PHONE\"/></triggers></customer>\
         <customer><custId>0005_SC</custId><triggers>\
         <trigger queueNum=\"900002\" action=\"DELETE\" tableName=\"CEN_CUST_MAST\"/></triggers></customer>\
         </customers></custResponse>"
    );
    assert_eq!(
        text(call(&site, Operation::Queue, "")),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<cust-response><status>SUCCESS</status>\
         <max-queue-num>900003</max-queue-num><customers><cust-id>0000003</cust-id><cust-id>0005_SC</cust-id></customers></cust-response>"
    );
    // Reading takes nothing out.
    assert_eq!(site.queue_len(), 3);
    assert_eq!(site.log()[0].keys, ["900003"]);
}

#[test]
fn a_purge_takes_what_was_read_and_leaves_what_came_later() {
    let site = busy();
    site.create(Customer::individual("X", "Ada", "Byron"));
    assert!(
        purge(&site, 900_003).ends_with("<purgeResponse><status>SUCCESS</status></purgeResponse>")
    );
    let left = reasons(&site);
    assert!(
        left.contains(
            "<trigger queueNum=\"900004\" action=\"INSERT\" tableName=\"CEN_CUST_MAST\"/>"
        )
    );
    assert_eq!(times(&left, "<custId>"), 1);
    // Again is harmless.
    purge(&site, 900_003);
    assert_eq!(site.queue_len(), 1);
    purge(&site, 900_004);
    assert!(reasons(&site).contains("<status>SUCCESS</status><customers></customers>"));
    let bad = text(call(
        &site,
        Operation::Purge,
        "<maxQueueNum>x</maxQueueNum>",
    ));
    assert!(bad.contains("<error>maxQueueNum must be a number</error>"));
    let keys: Vec<String> = site
        .log()
        .into_iter()
        .flat_map(|entry| entry.keys)
        .collect();
    assert_eq!(keys, ["900003", "900004", "900003", "900004", "x"]);
}

#[test]
fn names_and_shapes_are_switched() {
    let site = busy();
    site.switch("names=upper").unwrap();
    assert!(
        reasons(&site).contains(
            "<MAX_QUEUE_NUM>900003</MAX_QUEUE_NUM><CUSTOMERS><CUSTOMER><CUST_ID>0000003<"
        )
    );
    assert!(reasons(&site).contains("<TRIGGER QUEUE_NUM=\"900001\" ACTION=\"UPDATE\" TABLE_NAME="));
    site.switch("names=hyphen").unwrap();
    assert!(reasons(&site).contains("<trigger queue-num=\"900001\" action=\"UPDATE\" table-name="));
    site.switch("names=camel").unwrap();
    assert!(text(call(&site, Operation::Queue, "")).contains("<custResponse><status>"));
    site.switch("queue-shape=fallback").unwrap();
    assert!(reasons(&site).contains(
        "<customer><custId>0000003</custId><action>UPDATE</action><reason>CEN_CUST_ADDR</reason></customer>\
         <customer><custId>0000003</custId><action>DELETE</action>"
    ));
    site.switch("queue-shape=attributes").unwrap();
    assert!(reasons(&site).contains("<customer custId=\"0005_SC\"><triggers>"));
    assert!(
        text(call(&site, Operation::Queue, ""))
            .contains("<customer custId=\"0005_SC\"></customer>")
    );
    site.switch("queue-shape=canonical").unwrap();
    site.switch("triggers=unknown").unwrap();
    let unknown = reasons(&site);
    assert_eq!(
        times(&unknown, "action=\"RECAST\" tableName=\"XYZ_UNHEARD_OF\""),
        2
    );
    assert_eq!(
        times(&unknown, "action=\"DELETE\" tableName=\"CEN_CUST_MAST\""),
        1
    );
    site.switch("triggers=missing").unwrap();
    assert!(reasons(&site).contains("<customer><custId>0000003</custId></customer>"));
}

#[test]
fn the_largest_number_can_be_anything() {
    let site = busy();
    for (value, shown) in [
        (
            "attribute",
            "<custResponse maxQueueNum=\"900003\"><status>SUCCESS</status><customers>",
        ),
        (
            "missing",
            "<custResponse><status>SUCCESS</status><customers>",
        ),
        ("empty", "<maxQueueNum/><customers>"),
        ("text", "<maxQueueNum>n/a</maxQueueNum>"),
        ("low", "<maxQueueNum>900000</maxQueueNum>"),
        ("ahead", "<maxQueueNum>1900003</maxQueueNum>"),
        (
            "absurd",
            "<maxQueueNum>99999999999999999999999999999999999999</maxQueueNum>",
        ),
        ("honest", "<maxQueueNum>900003</maxQueueNum>"),
    ] {
        site.switch(&format!("max-queue-num={value}")).unwrap();
        assert!(reasons(&site).contains(shown), "{value}");
    }
    purge(&site, u64::MAX);
    for (value, shown) in [
        ("zero", "<maxQueueNum>0</maxQueueNum>"),
        ("empty", "<maxQueueNum/>"),
        ("missing", "<status>SUCCESS</status><customers>"),
    ] {
        site.switch(&format!("empty-number={value}")).unwrap();
        assert!(reasons(&site).contains(shown), "{value}");
    }
}

#[test]
fn a_purge_is_answered_in_many_ways_and_some_of_them_lie() {
    for (value, shown, left) in [
        ("success", "<status>SUCCESS</status>", 0),
        ("bare", "<purgeResponse></purgeResponse>", 0),
        ("empty", "", 0),
        ("html", "<title>Maintenance</title>", 0),
        ("failure", "<status>FAILURE</status><error>", 3),
        ("lie", "<status>SUCCESS</status>", 3),
    ] {
        let site = busy();
        site.switch(&format!("purge-answer={value}")).unwrap();
        let answer = purge(&site, 900_003);
        assert!(answer.contains(shown), "{value}: {answer}");
        assert_eq!(answer.is_empty(), value == "empty");
        assert_eq!(site.queue_len(), left, "{value}");
    }
}

#[test]
fn customers_are_forced_into_the_queue_one_by_one_or_all() {
    let site = quiet(6);
    let force = |inside: &str| text(call(&site, Operation::ForceEnqueue, inside));
    force("<custId>0000003</custId><custId>0005_SC</custId><custId>0000009</custId>");
    let queued: Vec<String> = site.queue().iter().map(|row| row.id.to_string()).collect();
    assert_eq!(queued, ["0000003", "0005_SC"]);
    assert!(force("").contains("<status>SUCCESS</status>"));
    assert_eq!(site.queue_len(), 8);
    site.switch("force=one").unwrap();
    for refused in ["", "<custId>0000001</custId><custId>0000002</custId>"] {
        assert!(force(refused).contains("<error>Exactly one custId is required</error>"));
    }
    assert_eq!(site.queue_len(), 8);
    force("<custId>0000001</custId>");
    assert_eq!(site.queue_len(), 9);
    assert_eq!(site.log()[1].keys, Vec::<String>::new());
}

#[test]
fn a_queue_of_a_whole_association_comes_as_a_stream() {
    let site = site(|options| options.people = 200_000);
    let answer = call(&site, Operation::QueueWithReasons, "").unwrap();
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    let mut rest = answer.body.as_slice();
    let (mut whole, mut chunks) = (Vec::new(), 0);
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            break;
        }
        whole.extend_from_slice(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 4 + length..];
        chunks += 1;
    }
    let whole = String::from_utf8(whole).unwrap();
    assert!(chunks > 100, "{chunks}");
    assert_eq!(times(&whole, "<customer><custId>"), 200_000);
    assert!(whole.contains("<maxQueueNum>1100000</maxQueueNum>"));
    assert!(whole.ends_with("</customers></custResponse>"));
}
