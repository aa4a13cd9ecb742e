//! Details: single and in bulk, sections and their flags, poisoned and missing customers.

use contactbridge::simulator::association_anywhere::{Customer, Node, Operation, Poison, Profile};

use super::site::{INTEGRATOR, between, bulk, details, post, quiet, site, text, times};

fn single(id: &str, details: &str) -> String {
    format!("<custInfoRequest><custId>{id}</custId>{INTEGRATOR}{details}</custInfoRequest>")
}

#[test]
fn one_customer_is_the_root_and_several_stand_in_a_wrapper_in_any_order() {
    let site = quiet(40);
    let one = text(post(&site, Operation::Details, &single("0000003", "")));
    assert!(one.contains("?>\n<custInfo><status>SUCCESS</status><custId>0000003</custId><custType>I</custType><loginId>user3</loginId><name>"));
    // Nothing was asked for.
    assert!(one.ends_with("</name></custInfo>"));
    let ids: Vec<String> = site.ids();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let several = details(&site, &ids, "");
    assert!(several.contains("?>\n<custInfoResponse><custInfo>"));
    let order: Vec<&str> = several
        .split("<custInfo><status>SUCCESS</status><custId>")
        .skip(1)
        .map(|rest| rest.split('<').next().unwrap())
        .collect();
    assert_ne!(order, ids);
    let mut sorted = order.clone();
    sorted.sort_unstable();
    let mut expected = ids.clone();
    expected.sort_unstable();
    assert_eq!(sorted, expected);
    assert_eq!(site.log()[1].keys, ids);
}

#[test]
fn who_is_unknown_or_deleted_is_absent_from_bulk_and_an_error_alone() {
    let site = quiet(4);
    site.delete("0000003");
    let answer = details(&site, &["0000001", "0000003", "1", "0000004"], "");
    assert_eq!(
        (
            times(&answer, "<custInfo>"),
            times(&answer, "<custId>0000001<")
        ),
        (1, 1)
    );
    assert!(details(&site, &["0000003"], "").ends_with("<custInfoResponse></custInfoResponse>"));
    let alone = || text(post(&site, Operation::Details, &single("0000003", "")));
    assert!(alone().contains(
        "<custInfo><status>FAILURE</status><error>Customer not found</error></custInfo>"
    ));
    site.switch("unknown-customer=empty").unwrap();
    assert!(alone().ends_with("?>\n<custInfo/>"));
    site.switch("deleted-details=answer").unwrap();
    assert!(alone().contains("<custId>0000003</custId>"));
}

#[test]
fn only_what_is_asked_for_is_answered() {
    let site = site(|options| {
        options.people = 4;
        options.profile = Profile::Plain;
    });
    let shown = |asked: &str, codes: &str| {
        let asked = format!("<details includeCodeValues=\"{codes}\">{asked}</details>");
        details(&site, &["0000001"], &asked)
    };
    let emails = shown(
        "<emails include=\"true\"/><phones include=\"false\"/>",
        "true",
    );
    assert!(emails.contains(
        "<emails><email><emailSerno>11</emailSerno><emailType>WORK</emailType><emailTypeDescr>Work<"
    ));
    assert!(!emails.contains("<phones>") && !emails.contains("<roles>"));
    let emails = shown("<emails include=\"true\"/>", "false");
    assert!(!emails.contains("Descr>"));
    site.edit("0000001", |customer| {
        customer.set("emails", 1, "badAddress", "true");
        customer.section_mut("phones").children.clear();
        customer.sections.retain(|section| section.name != "bio");
    });
    for (section, item, usual, flag, all) in [
        ("emails", "<email>", 1, "includeBad", 2),
        ("jobs", "<job>", 1, "includeInactive", 2),
        (
            "committeePositions",
            "<committeePosition>",
            1,
            "includeInactive",
            2,
        ),
        ("memberships", "<membership>", 1, "includeInactive", 2),
        ("subscriptions", "<subscription>", 1, "includeExpired", 2),
        (
            "customerAttributes",
            "<customerAttribute>",
            3,
            "includeAll",
            4,
        ),
    ] {
        let count = |flag: &str| {
            times(
                &shown(&format!("<{section} include=\"true\" {flag}/>"), "true"),
                item,
            )
        };
        assert_eq!(count(""), usual, "{section}");
        assert_eq!(count(&format!("{flag}=\"true\"")), all, "{section}");
        assert_eq!(count(&format!("{flag}=\"false\"")), usual, "{section}");
    }
    // An empty section is there, a missing one isn't.
    let answer = shown("<phones include=\"true\"/><bio include=\"true\"/>", "true");
    assert!(answer.contains("<phones/>") && !answer.contains("<bio"));
}

#[test]
fn slots_and_unknown_sections_come_when_asked_for() {
    let site = quiet(20);
    let memberships = |flag: &str| {
        let asked = format!("<details><memberships include=\"true\" {flag}/></details>");
        details(&site, &["0005_SC"], &asked)
    };
    assert!(!memberships("").contains("<slot"));
    assert_eq!(
        times(&memberships("includeInactiveSlots=\"true\""), "<slot>"),
        2
    );
    let awards =
        "<awards><award><awardName>Gold Pen</awardName><year>2019</year><jury><member>A</member>";
    assert!(!details(&site, &["0000014"], "").contains("<awards>"));
    let asked = details(
        &site,
        &["0000014"],
        "<details><awards include=\"true\"/></details>",
    );
    assert!(asked.contains(awards));
    site.switch("unasked-sections").unwrap();
    assert!(details(&site, &["0000014"], "").contains(awards));
}

#[test]
fn awkward_texts_come_through_as_xml_has_them() {
    let site = quiet(40);
    let markup = details(
        &site,
        &["0000000"],
        "<details><aliases include=\"true\"/></details>",
    );
    assert!(markup.contains(
        "<lastName>Quill &amp; &lt;Partners&gt; &quot;&amp;amp;&quot; ]]&gt;</lastName>"
    ));
    assert!(markup.contains("<alias><![CDATA[a ]]]]><![CDATA[> b & <c>]]></alias>"));
    let company = details(&site, &["0005_SC"], "");
    assert!(company.contains("<custType>C</custType><loginId/><name><companyName><![CDATA[Quill & Partners <5>]]></companyName>"));
    let every = "<details><certifications include=\"true\"/></details>";
    // A trap for those who look for these names anywhere.
    assert!(details(&site, &["0000016"], every).contains(
        "<certification><code>HYD-1</code><status>FAILURE</status><error>No show</error>"
    ));
    assert!(details(&site, &["0000002"], "").contains("<informalName>李 😀</informalName>"));
}

#[test]
fn an_edited_customer_is_shown_as_it_stands() {
    let site = quiet(4);
    let mut customer = Customer::individual("Ab 1/Ü", "Ada", "Byron");
    customer.add(
        "emails",
        Node::record("email", &[("address", "ada@example.org")]),
    );
    site.create(customer.clone());
    let asked = "<details><emails include=\"true\"/></details>";
    assert!(
        details(&site, &["Ab 1/Ü"], asked)
            .contains("<emails><email><address>ada@example.org</address></email></emails>")
    );
    site.edit("Ab 1/Ü", |customer| {
        customer.name.set("lastName", "Lovelace");
    });
    assert!(details(&site, &["Ab 1/Ü"], asked).contains("<lastName>Lovelace</lastName>"));
    assert_eq!(
        site.customer("Ab 1/Ü").unwrap().name.get("lastName"),
        Some("Lovelace")
    );
    assert_eq!(site.queue_len(), 2);
}

#[test]
fn a_poisoned_customer_spoils_every_answer_that_holds_it() {
    let site = quiet(4);
    let ask = |ids: &[&str]| post(&site, Operation::Details, &bulk(ids, "")).unwrap();
    let both = ["0000001", "0000002"];
    site.poison("0000002", Poison::Error);
    assert!(
        ask(&both)
            .text()
            .contains("?>\n<custInfo><status>FAILURE</status><error>ORA-01422")
    );
    assert_eq!(
        times(&ask(&["0000001"]).text(), "<custInfo><status>SUCCESS"),
        1
    );
    site.poison("0000002", Poison::Page);
    assert_eq!((ask(&both).status, ask(&["0000001"]).status), (500, 200));
    site.poison("0000002", Poison::Malformed);
    assert!(ask(&both).text().contains("<aliases><alias>x</aliases>"));
    site.poison("0000002", Poison::Undecodable);
    assert!(String::from_utf8(ask(&both).body).is_err());
    site.poison("0000002", Poison::Oversize(100_000));
    assert!(ask(&both).body.len() > 100_000);
    site.poison("0000002", Poison::Inside);
    let inside = ask(&both).text();
    assert!(inside.contains("<custInfo><status>FAILURE</status><custId>0000002</custId><error>ORA-01403: no data found</error></custInfo>"));
    assert_eq!(times(&inside, "<custInfo><status>SUCCESS"), 1);
    site.poison("0000002", Poison::Absent);
    assert_eq!(times(&ask(&both).text(), "<custInfo>"), 1);
    site.heal("0000002");
    assert_eq!(times(&ask(&both).text(), "<custInfo><status>SUCCESS"), 2);
    site.switch("poison=0000002:malformed").unwrap();
    assert!(ask(&both).text().contains("<alias>x</aliases>"));
}

#[test]
fn a_request_may_name_too_many() {
    let site = quiet(4);
    let two = bulk(&["0000001", "0000002"], "");
    let refused = |document: &str| text(post(&site, Operation::Details, document));
    site.switch("bulk-max=1").unwrap();
    assert!(refused(&two).contains("<error>Too many custIds in one request</error>"));
    site.switch("bulk-max=0").unwrap();
    assert_eq!(times(&refused(&two), "<custInfo>"), 2);
    let not_bulk = two.replace("true", "false");
    assert!(refused(&not_bulk).contains("<error>More than one custId without bulkRequest"));
    assert_eq!(
        between(&refused(&bulk(&[], "")), "<error>", "</error>"),
        "custId is required"
    );
    site.switch("no-status").unwrap();
    assert!(!refused(&two).contains("status>"));
}
