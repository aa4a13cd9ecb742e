//! What loads, what is refused and in which words.

use super::*;
use crate::model::{ChangeMethod, ColumnKind, ConflictPolicy, Direction};

#[test]
fn the_contracts_example_loads_as_written() {
    let mapping = load(CONTRACT);
    assert_eq!(mapping.layout.table, "customers");
    assert_eq!(mapping.layout.key, "id");
    assert_eq!(mapping.layout.key_field, None);
    assert!(mapping.layout.create);
    assert_eq!(mapping.layout.changes, ChangeMethod::Journal);
    assert_eq!(mapping.layout.deleted.as_deref(), Some("deleted_at"));
    assert_eq!(mapping.fields.len(), 11);
    assert_eq!(mapping.layout.columns.len(), 11);
    assert_eq!(mapping.layout.columns[5].kind, ColumnKind::Date);
    assert_eq!(mapping.fields[0].role, Role::ExternalId);
    assert_eq!(mapping.fields[1].role, Role::Email);
    assert_eq!(mapping.fields[2].role, Role::Plain);
    assert!(mapping.fields[0].matches && mapping.fields[1].matches && !mapping.fields[2].matches);
    assert!(mapping.fields[4].template);
    assert_eq!(mapping.fields[4].direction, Some(Direction::Pull));
    assert_eq!(mapping.fields[10].conflicts, Some(ConflictPolicy::Remote));
    assert_eq!(mapping.layout.children[0].parent, "customer_id");
    assert_eq!(mapping.layout.children[0].key, [0]);
    for direction in [Direction::Pull, Direction::Push, Direction::Both] {
        mapping.check_direction(direction).unwrap();
    }
    assert_eq!(mapping.broken_laws(), []);
}

#[test]
fn the_shipped_mapping_loads_and_keeps_its_laws() {
    let mapping = load(SHIPPED);
    assert_eq!(mapping.broken_laws(), []);
    assert_eq!(mapping.layout.children.len(), 2);
    assert_eq!(mapping.layout.changes, ChangeMethod::Scan);
    assert_eq!(mapping.layout.key_field, None);
    mapping.check_direction(Direction::Both).unwrap();
    // Its commented line for custom forms works once the sign is taken off.
    let with_form = SHIPPED.replace("# - { column: company,", "- { column: company,");
    assert_eq!(load(&with_form).fields.len(), mapping.fields.len() + 1);
    let with_uuid = SHIPPED
        .replace(
            "  - { column: customer_no, remote: externalId,   match: true }\n",
            "",
        )
        .replace("    # - { column: customer_no", "  - { column: customer_no");
    assert!(load(&with_uuid).fields[0].generates);
}

#[test]
fn every_problem_of_a_file_is_told_with_its_line_and_remedy() {
    for (fields, says) in [
        (
            "  - { column: a, remote: frstName }",
            "E-MAP-PATH m.yaml:4: column \"a\": remote \"frstName\": \"frstName\" is not known here; did you mean \"firstName\"?",
        ),
        (
            "  - { column: a, remote: phoneNos.phoneNo }",
            "narrow it with a selector such as phoneNos[phoneNoTypeID=…]",
        ),
        (
            "  - { column: a, remote: firstName }\n  - { column: b, remote: firstName }",
            "E-MAP-TARGET m.yaml:5: two rules write \"firstName\": those of the columns \"a\" and \"b\"; give one of them `direction: pull`",
        ),
        (
            "  - { column: a, remote: emailAddress }\n  - { column: b, remote: \"phoneNos[phoneNoTypeID=07].phoneNo\" }",
            "two rules write \"phoneNos[phoneNoTypeID=7].phoneNo\"",
        ),
        (
            "  - { column: a, remote: firstName }\n  - { column: A, remote: lastName }",
            "E-MAP-TARGET m.yaml:5: two rules fill the column \"A\" of t (the other stands in line 4)",
        ),
        (
            "  - { column: a, remote: MasterOptIn }",
            "E-MAP-TYPE m.yaml:4: column \"a\": \"MasterOptIn\" holds true or false; give the field `type: bool`",
        ),
        (
            "  - { column: a, remote: dateOfBirth, type: integer }",
            "holds a date with its time; give the field `type: date or datetime`",
        ),
        (
            "  - { column: a, remote: dateOfBirth, type: date, normalize: trim }",
            "E-MAP-TYPE",
        ),
        (
            "  - { column: a, remote: entityId, type: integer, direction: both }",
            "E-MAP-DIRECTION m.yaml:4: column \"a\": \"entityId\" belongs to the service, so it can only be `direction: pull`",
        ),
        (
            "  - { column: a, template: \"{{ firstName }}\", direction: push }",
            "E-MAP-DIRECTION",
        ),
        (
            "  - { column: a, remote: [firstName, lastName], direction: both }",
            "a list of paths can only be read",
        ),
        (
            "  - { column: a, template: \"{{ firstname }} {{ x }\" }",
            "E-MAP-TEMPLATE",
        ),
        (
            "  - { column: a, template: \"{{ firstname }}\" }",
            "did you mean \"firstName\"?",
        ),
        ("  - { column: a, remote: password }", "E-MAP-GUARDED"),
        (
            "  - { column: a, template: \"{{ username }}\" }",
            "E-MAP-GUARDED",
        ),
        (
            "  - { column: status, remote: customerType, values: { gold: G, vip: G } }",
            "E-MAP-LOSSY m.yaml:4: column \"status\": \"gold\" and \"vip\" both become \"G\"; `values` must be one to one",
        ),
        (
            "  - { column: status, remote: customerType, normalize: lower, values: { Gold: G, GOLD: H } }",
            "E-MAP-LOSSY",
        ),
        (
            "  - { column: status, remote: MasterOptIn, values: { a: \"true\", b: maybe } }",
            "E-MAP-VALUE",
        ),
        (
            "  - { column: status, remote: customerType, type: integer, values: { one: One } }",
            "E-MAP-VALUE",
        ),
        (
            "  - { column: a, remote: dateOfBirth, type: date, default: soon }",
            "E-MAP-VALUE m.yaml:4: column \"a\": the default is not a date",
        ),
        (
            "  - { column: a, remote: customerType, values: { g: G }, default: x }",
            "the default is not one of `values`",
        ),
        (
            "  - { column: a, remote: externalId, generate: \"{{ b }}\" }",
            "E-MAP-GENERATE m.yaml:4: column \"a\": no field has the column \"b\"",
        ),
        (
            "  - { column: a, remote: externalId, generate: \"{{ a }}\" }",
            "\"a\" is itself generated",
        ),
        (
            "  - { column: a, remote: externalId, generate: number }",
            "E-MAP-GENERATE",
        ),
        (
            "  - { column: a, remote: firstName, normalize: upcase }",
            "is not one of email, trim, lower, upper, collapse, phone: COUNTRY",
        ),
        (
            "  - { column: a, remote: firstName, normalize: { phone: au } }",
            "two capital letters",
        ),
        (
            "  - { column: a, remote: firstName, type: txt }",
            "E-MAP-VALUE",
        ),
        (
            "  - { column: a, remote: firstName, matches: true }",
            "E-MAP-KEY m.yaml:4: unknown key \"matches\"; did you mean \"match\"?",
        ),
        ("  - { column: a }", "key \"remote\" is missing"),
        ("  - { remote: firstName }", "key \"column\" is missing"),
        (
            "  - { column: a, remote: firstName, template: x }",
            "not both",
        ),
        (
            "  - { column: a, remote: \"phoneNos[phoneNoTypeID=5].phoneNoTypeID\", type: integer, direction: both }",
            "the value by which an item is chosen can't be changed",
        ),
    ] {
        let problem = one_problem(fields);
        assert!(problem.contains(says), "{fields}\n{problem}");
    }
}

#[test]
fn problems_of_table_and_children_are_told() {
    for (text, says) in [
        (
            "fields: [{ column: a, remote: firstName }]",
            "key \"table\" is missing",
        ),
        (
            "table: { name: t, key: id }\nfields: []",
            "needs at least one field",
        ),
        (
            "table: { name: t, key: id, changes: always }\nfields: [{ column: a, remote: firstName }]",
            "always is not one of scan, journal, { column: NAME }",
        ),
        (
            "table: { name: t, key: id, changes: { column: a } }\nfields: [{ column: a, remote: firstName }]",
            "the column \"a\" tells when a row was changed, so no field may fill it",
        ),
        (
            "table: { name: t, key: id, deleted: A }\nfields: [{ column: a, remote: firstName }]",
            "the column \"a\" marks deleted rows",
        ),
        (
            "table: { name: t, key: id, deleted: id }\nfields: [{ column: a, remote: firstName }]",
            "is the key and also marks deleted rows",
        ),
        (
            "table: { name: t, key: a }\nfields: [{ column: a, remote: MasterOptIn, type: bool }]",
            "is the key of its table",
        ),
    ] {
        let found = problems(text);
        assert!(
            found.len() == 1 && found[0].contains(says),
            "{text}\n{found:#?}"
        );
    }
    let child = |rule: &str| {
        format!(
            "table: {{ name: t, key: id }}\nfields: [{{ column: a, remote: firstName }}]\nchildren:\n  - {rule}\n"
        )
    };
    for (rule, says) in [
        (
            "{ table: c, from: adresses, parent: p, key: [city], fields: [{ column: x, remote: city }] }",
            "did you mean \"addresses\"?",
        ),
        (
            "{ table: c, from: firstName, parent: p, key: [city], fields: [{ column: x, remote: city }] }",
            "is not a list",
        ),
        (
            "{ table: c, from: addresses, parent: p, key: [addressTypeId], fields: [{ column: x, remote: addressTypeID, type: integer }] }",
            "E-MAP-CHILD m.yaml:4: table \"c\": the key \"addressTypeId\" is not the `remote` of one of its fields; did you mean \"addressTypeID\"?",
        ),
        (
            "{ table: c, from: addresses, parent: p, key: [state], fields: [{ column: x, remote: city }] }",
            "add a field that reads it",
        ),
        (
            "{ table: c, from: addresses, parent: X, key: [city], fields: [{ column: x, remote: city }] }",
            "holds the parent's key",
        ),
        (
            "{ table: T, from: addresses, parent: p, key: [city], fields: [{ column: x, remote: city }] }",
            "two rules fill the table \"T\"",
        ),
        (
            "{ table: c, from: addresses, parent: p, key: [city, city], fields: [{ column: x, remote: city }] }",
            "stands twice",
        ),
        (
            "{ table: c, from: addresses, parent: p, key: [city], fields: [{ column: x, remote: city, direction: both }] }",
            "E-MAP-DIRECTION",
        ),
        (
            "{ table: c, from: addresses, parent: p, key: [city], fields: [{ column: x, remote: city, match: true }] }",
            "unknown key \"match\"",
        ),
        (
            "{ table: c, from: addresses, key: [city], fields: [{ column: x, remote: city }] }",
            "key \"parent\" is missing",
        ),
    ] {
        let found = problems(&child(rule));
        assert!(
            found.len() == 1 && found[0].contains(says),
            "{rule}\n{found:#?}"
        );
    }
}

#[test]
fn all_problems_stand_in_one_error_in_the_order_of_their_lines() {
    let text = "table: { name: t, key: id, creat: true }\nfields:\n  - { column: a, remote: frstName }\n  - { column: b, remote: lastName, type: flag }\n  - { column: c, remote: password }\n";
    let codes: Vec<_> = problems(text)
        .iter()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(
        codes,
        ["E-MAP-KEY", "E-MAP-PATH", "E-MAP-VALUE", "E-MAP-GUARDED"]
    );
    for text in [
        "\tx: 1".to_owned(),
        "table: { name: t, key: id, name: u }\nfields: [{ column: a, remote: firstName }]"
            .to_owned(),
        "table: &t { name: t, key: id }\nfields: [{ column: a, remote: firstName }]".to_owned(),
        "table: {".to_owned(),
        String::new() + "# " + &"x".repeat(1024 * 1024),
    ] {
        let found = problems(&text);
        assert!(found[0].starts_with("E-MAP-YAML m.yaml"), "{found:#?}");
    }
}

#[test]
fn a_table_is_not_keyed_by_the_address() {
    let keyed =
        load("table: { name: t, key: mail }\nfields: [{ column: mail, remote: emailAddress }]");
    assert_eq!(
        keyed.check_direction(Direction::Pull).unwrap_err().code(),
        "E-MAP-KEY"
    );
    assert_eq!(
        keyed.check_direction(Direction::Both).unwrap_err().code(),
        "E-MAP-KEY"
    );
}

#[test]
fn a_pushing_bridge_needs_a_way_to_address() {
    let plain = load(&with_fields("  - { column: a, remote: firstName }"));
    plain.check_direction(Direction::Pull).unwrap();
    let error = plain.check_direction(Direction::Both).unwrap_err();
    assert_eq!(error.code(), "E-MAP-IDENTITY");
    assert!(error.message().contains("externalId or emailAddress"));
    let pulled = load(&with_fields(
        "  - { column: a, remote: externalId, direction: pull }",
    ));
    assert_eq!(
        pulled.check_direction(Direction::Push).unwrap_err().code(),
        "E-MAP-IDENTITY"
    );
    let readable = Vocabulary {
        writable: false,
        absence: crate::model::Absence::Empty,
        ..vocabulary()
    };
    let text =
        with_fields("  - { column: a, remote: externalId }\n  - { column: b, remote: externalId }");
    let mapping = Mapping::load("m.yaml", &text, &readable).unwrap();
    assert_eq!(mapping.fields[0].direction, Some(Direction::Pull));
    assert_eq!(
        mapping.check_direction(Direction::Both).unwrap_err().code(),
        "E-MAP-DIRECTION"
    );
}

#[test]
fn what_does_not_come_back_is_refused_at_load() {
    let text = with_fields(
        "  - { column: a, remote: \"addresses[addressTypeID=1].city\" }\n  - { column: b, remote: \"addresses[addressTypeID=1].state\" }",
    );
    assert_eq!(load(&text).broken_laws(), []);
    let mut broken = load(&text);
    // The same rule as the first, as a defect in the compiler would make it.
    broken.rules[1] = broken.rules[0].clone();
    let laws = broken.broken_laws();
    assert_eq!(laws.len(), 1);
    assert_eq!(laws[0].column, "a");
    assert!(laws[0].law.contains("writing another field"));
}

#[test]
fn a_format_that_loses_the_century_or_the_time_is_refused_at_load() {
    let service = |format: &str| {
        let mut vocabulary = vocabulary();
        vocabulary.dates.formats = vec![format.to_owned()];
        vocabulary
    };
    for (format, kind) in [("%m/%d/%y", "date"), ("%m/%d/%Y", "datetime")] {
        let text = with_fields(&format!(
            "  - {{ column: born, remote: dateOfBirth, type: {kind} }}"
        ));
        let error = Mapping::load("m.yaml", &text, &service(format)).unwrap_err();
        assert_eq!(error.code(), "E-MAP-LOSSY");
        assert!(
            error
                .message()
                .contains("m.yaml:4: column \"born\": what is pushed is not what is read back"),
            "{error}"
        );
        // Reading alone loses nothing that matters.
        let pulled = text
            .replace(" }", ", direction: pull }")
            .replace("id, direction: pull }", "id }");
        Mapping::load("m.yaml", &pulled, &service(format)).unwrap();
    }
    let text = with_fields("  - { column: born, remote: dateOfBirth, type: date }");
    Mapping::load("m.yaml", &text, &service("%m/%d/%Y")).unwrap();
}

#[test]
fn h66_a_fingerprint_follows_what_compares_and_nothing_else() {
    let print = |field: &str| load(&with_fields(field)).fields[0].fingerprint;
    let plain = print("  - { column: a, remote: customerType }");
    for same in [
        "  - { column: a, remote: customerType, match: true }",
        "  - { column: a, remote: customerType, conflicts: review, default: x }",
        "  - { column: a, remote: customerType, generate: uuid, direction: both }",
        "  - { remote: customerType, column: a, type: text }",
    ] {
        assert_eq!(print(same), plain, "{same}");
    }
    for other in [
        "  - { column: b, remote: customerType }",
        "  - { column: a, remote: industryType }",
        "  - { column: a, remote: [customerType] , direction: pull, normalize: trim }",
        "  - { column: a, remote: customerType, type: integer }",
        "  - { column: a, remote: customerType, normalize: trim }",
        "  - { column: a, remote: customerType, values: { a: A } }",
        "  - { column: a, template: \"{{ customerType }}\" }",
    ] {
        assert_ne!(print(other), plain, "{other}");
    }
    let values = |pairs: &str| {
        print(&format!(
            "  - {{ column: a, remote: customerType, values: {pairs} }}"
        ))
    };
    assert_eq!(values("{ a: A, b: B }"), values("{ b: B, a: A }"));
    assert_ne!(values("{ a: A, b: B }"), values("{ a: B, b: A }"));
    // Kept in states for years: a change here must raise the edition on purpose.
    assert_eq!(format!("{plain:016x}"), "ad5798a6724ab3bf");
}

#[test]
fn the_remotes_own_vocabulary_serves_the_shipped_mapping() {
    let real = crate::remote::contactlist::vocabulary(chrono_tz::Australia::Sydney);
    let mapping = Mapping::load("m.yaml", SHIPPED, &real).unwrap();
    assert_eq!(mapping.broken_laws(), []);
    let here = load(SHIPPED);
    assert_eq!(mapping.layout, here.layout);
    for (a, b) in mapping.fields.iter().zip(&here.fields) {
        assert_eq!(
            (&a.label, a.role, a.direction),
            (&b.label, b.role, b.direction)
        );
    }
}

#[test]
fn variables_are_filled_in_where_the_caller_says_from_what() {
    let text = with_fields(
        "  - { column: phone, remote: \"phoneNos[phoneNoTypeID=1].phoneNo\", normalize: { phone: \"${COUNTRY}\" } }",
    );
    let environment = |name: &str| (name == "COUNTRY").then(|| "NZ".to_owned());
    let sources = crate::config::Sources {
        environment: &environment,
        directory: std::path::Path::new("."),
    };
    Mapping::load_filled("m.yaml", &text, &vocabulary(), sources).unwrap();
    let none = |_: &str| None;
    let sources = crate::config::Sources {
        environment: &none,
        directory: std::path::Path::new("."),
    };
    let error = Mapping::load_filled("m.yaml", &text, &vocabulary(), sources).unwrap_err();
    assert_eq!(error.code(), "E-SECRET");
    assert!(Mapping::load("m.yaml", &text, &vocabulary()).is_err());
}

const REFERENCE: &str = include_str!("../../../docs/mapping-reference.md");

#[test]
fn the_reference_has_a_remedy_for_every_code() {
    let sources = [
        include_str!("../apply.rs"),
        include_str!("../children.rs"),
        include_str!("../collisions.rs"),
        include_str!("../compile.rs"),
        include_str!("../convert.rs"),
        include_str!("../dates.rs"),
        include_str!("../email.rs"),
        include_str!("../lens.rs"),
        include_str!("../parts.rs"),
        include_str!("../sources.rs"),
        include_str!("../typing.rs"),
        include_str!("../values.rs"),
    ];
    let mut codes: Vec<&str> = sources
        .iter()
        .flat_map(|source| source.split('"'))
        .filter(|word| word.starts_with("E-MAP-") || word.starts_with("Q-"))
        // An index that the caller made up, which no person meets.
        .filter(|word| *word != "Q-FIELD")
        .collect();
    codes.sort_unstable();
    codes.dedup();
    assert!(codes.len() > 20, "{codes:?}");
    for code in codes {
        assert!(REFERENCE.contains(&format!("| `{code}` |")), "{code}");
    }
}

#[test]
fn the_examples_of_the_reference_load() {
    let fields: Vec<&str> = REFERENCE
        .lines()
        .filter(|line| line.starts_with("- { column: "))
        .collect();
    assert!(fields.len() >= 8);
    for field in fields {
        load(&with_fields(&format!("  {field}")));
    }
    let children = REFERENCE.find("children:\n  - table").unwrap();
    let end = children + REFERENCE[children..].find("```").unwrap();
    let text = with_fields("  - { column: a, remote: firstName }") + &REFERENCE[children..end];
    assert_eq!(load(&text).children.len(), 1);
    for line in REFERENCE
        .lines()
        .filter(|line| line.starts_with("normalize: "))
    {
        load(&with_fields(&format!(
            "  - {{ column: a, remote: firstName, {line} }}"
        )));
    }
}
