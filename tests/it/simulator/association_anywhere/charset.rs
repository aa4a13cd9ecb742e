//! The bytes of answers and what is said about them.

use contactbridge::simulator::association_anywhere::{AssociationAnywhereSimulator, Operation};

use super::site::{bulk, post, quiet};

/// A customer named "Zoë € Ł": the content type and the body.
fn shown(site: &AssociationAnywhereSimulator) -> (String, Vec<u8>) {
    let answer = post(site, Operation::Details, &bulk(&["0000001"], "")).unwrap();
    let kind = answer.header("content-type").unwrap().to_owned();
    (kind, answer.body)
}

fn holds(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

#[test]
fn bytes_and_labels_are_switched_apart() {
    let site = quiet(2);
    site.edit("0000001", |customer| {
        customer.name.set("lastName", "Zoë € Ł");
    });
    let (kind, body) = shown(&site);
    assert_eq!(kind, "text/xml; charset=UTF-8");
    assert!(holds(&body, "<lastName>Zoë € Ł<".as_bytes()));
    site.switch("bom").unwrap();
    assert!(shown(&site).1.starts_with(b"\xef\xbb\xbf<?xml"));
    site.switch("charset=windows-1252").unwrap();
    let (kind, body) = shown(&site);
    assert_eq!(kind, "text/xml; charset=windows-1252");
    assert!(body.starts_with(b"<?xml version=\"1.0\" encoding=\"windows-1252\"?>"));
    assert!(holds(&body, b"<lastName>Zo\xeb \x80 &#x141;<"));
    site.switch("charset=iso-8859-1").unwrap();
    assert!(holds(
        &shown(&site).1,
        b"<lastName>Zo\xeb &#x20AC; &#x141;<"
    ));
    site.switch("header-charset=none").unwrap();
    site.switch("xml-charset=UTF-8").unwrap();
    let (kind, body) = shown(&site);
    assert_eq!(kind, "text/xml");
    assert!(body.starts_with(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>"));
    assert!(String::from_utf8(body).is_err());
    site.switch("header-charset=UTF-16").unwrap();
    site.switch("xml-charset=none").unwrap();
    let (kind, body) = shown(&site);
    assert_eq!(kind, "text/xml; charset=UTF-16");
    assert!(body.starts_with(b"<?xml version=\"1.0\"?>"));
}
