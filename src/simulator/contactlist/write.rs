//! Writes answers the way the recorded service does: declaration, `soap:` prefix, default namespace on the
//! operation's element, absent strings absent, empty ones as `<x />`, no indentation (contactlist.md §1, captures).
//!
//! It must not use the bridge's own XML code.

use chrono::{Datelike, NaiveDateTime, Timelike};

use super::person::{Address, EMAIL_PHONE, Form, FormField, Person, Phone, Relationship};

/// The namespace of every element of this service.
pub(super) const NAMESPACE: &str =
    "http://tempuri.org/CatalystDeveloperService/CatalystCRMWebservice";

/// The SOAP version of a request, and so of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Soap {
    /// SOAP 1.1: `text/xml` and a SOAPAction header.
    V11,
    /// SOAP 1.2: `application/soap+xml`.
    V12,
}

impl Soap {
    pub(super) fn envelope_namespace(self) -> &'static str {
        match self {
            Soap::V11 => "http://schemas.xmlsoap.org/soap/envelope/",
            Soap::V12 => "http://www.w3.org/2003/05/soap-envelope",
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Soap::V11 => "text/xml; charset=utf-8",
            Soap::V12 => "application/soap+xml; charset=utf-8",
        }
    }
}

/// Which of the two places shows a contact's e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EmailShown {
    /// As it is kept, contact by contact.
    #[default]
    AsKept,
    /// Only as a phone of type 7, as the public clients saw it.
    Phone,
    /// Only in `emailAddress`.
    Element,
}

/// How contacts are shown, the same for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Style {
    pub(super) email: EmailShown,
    /// Whether stamps show their milliseconds (contactlist.md §5), or none.
    pub(super) fractions: bool,
}

pub(super) fn open_envelope(soap: Soap, out: &mut String) {
    out.push_str("<?xml version=\"1.0\" encoding=\"utf-8\"?><soap:Envelope xmlns:soap=\"");
    out.push_str(soap.envelope_namespace());
    out.push_str("\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\"><soap:Body>");
}

pub(super) fn close_envelope(out: &mut String) {
    out.push_str("</soap:Body></soap:Envelope>");
}

/// Who is to blame in a fault: `soap:Client`/`soap:Sender`, `soap:Server`/`soap:Receiver`, or the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    Caller,
    Service,
    Version,
}

/// A whole fault answer.
pub(super) fn fault(soap: Soap, blame: Blame, text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 512);
    open_envelope(soap, &mut out);
    match soap {
        Soap::V11 => {
            let code = match blame {
                Blame::Caller => "soap:Client",
                Blame::Service => "soap:Server",
                Blame::Version => "soap:VersionMismatch",
            };
            out.push_str("<soap:Fault><faultcode>");
            out.push_str(code);
            out.push_str("</faultcode><faultstring>");
            escape(text, &mut out);
            out.push_str("</faultstring><detail /></soap:Fault>");
        }
        Soap::V12 => {
            let code = match blame {
                Blame::Caller => "soap:Sender",
                Blame::Service => "soap:Receiver",
                Blame::Version => "soap:VersionMismatch",
            };
            out.push_str("<soap:Fault><soap:Code><soap:Value>");
            out.push_str(code);
            out.push_str("</soap:Value></soap:Code><soap:Reason><soap:Text xml:lang=\"en\">");
            escape(text, &mut out);
            out.push_str("</soap:Text></soap:Reason><soap:Detail /></soap:Fault>");
        }
    }
    close_envelope(&mut out);
    out
}

/// Writes text as .NET does: `&`, `<` and `>` escaped, quotes not, and what XML 1.0 has no place for as a character
/// reference that strict readers refuse (contactlist.md §9).
pub(super) fn escape(text: &str, out: &mut String) {
    let mut from = 0;
    for (at, character) in text.char_indices() {
        let reference = match character {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '\t' | '\n' => continue,
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                format!("&#x{:X};", u32::from(character))
            }
            _ => continue,
        };
        out.push_str(&text[from..at]);
        out.push_str(&reference);
        from = at + character.len_utf8();
    }
    out.push_str(&text[from..]);
}

fn text(name: &str, value: Option<&str>, out: &mut String) {
    let Some(value) = value else { return };
    out.push('<');
    out.push_str(name);
    if value.is_empty() {
        out.push_str(" />");
        return;
    }
    out.push('>');
    escape(value, out);
    close(name, out);
}

fn close(name: &str, out: &mut String) {
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

pub(super) fn number(name: &str, value: i32, out: &mut String) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    out.push_str(&value.to_string());
    close(name, out);
}

pub(super) fn boolean(name: &str, value: bool, out: &mut String) {
    out.push('<');
    out.push_str(name);
    out.push_str(if value { ">true" } else { ">false" });
    close(name, out);
}

/// A dateTime without offset; milliseconds only where asked for, without trailing zeros.
pub(super) fn date_text(value: NaiveDateTime, fractions: bool) -> String {
    let mut out = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        value.year(),
        value.month(),
        value.day(),
        value.hour(),
        value.minute(),
        value.second()
    );
    let milliseconds = value.nanosecond() / 1_000_000;
    if fractions && milliseconds > 0 {
        let digits = format!("{milliseconds:03}");
        out.push('.');
        out.push_str(digits.trim_end_matches('0'));
    }
    out
}

fn date(name: &str, value: NaiveDateTime, fractions: bool, out: &mut String) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    out.push_str(&date_text(value, fractions));
    close(name, out);
}

fn list<T>(
    name: &str,
    item: &str,
    items: Option<&[Option<T>]>,
    out: &mut String,
    write: impl Fn(&T, &mut String),
) {
    let Some(items) = items else { return };
    out.push('<');
    out.push_str(name);
    if items.is_empty() {
        out.push_str(" />");
        return;
    }
    out.push('>');
    for entry in items {
        out.push('<');
        out.push_str(item);
        match entry {
            None => out.push_str(" xsi:nil=\"true\" />"),
            Some(entry) => {
                out.push('>');
                write(entry, out);
                close(item, out);
            }
        }
    }
    close(name, out);
}

/// The elements of one contact, without the element around them (its name depends on the operation).
pub(super) fn contact(person: &Person, style: Style, out: &mut String) {
    if let Some(raw) = &person.verbatim {
        out.push_str(raw);
        return;
    }
    let email = match style.email {
        EmailShown::AsKept => person.email_address.as_deref(),
        EmailShown::Phone => None,
        EmailShown::Element => person.email(),
    };
    number("entityId", person.entity_id, out);
    text("externalId", person.external_id.as_deref(), out);
    text("emailAddress", email, out);
    text("contactTitle", person.contact_title.as_deref(), out);
    boolean("deleted", person.deleted, out);
    text("fullName", person.full_name.as_deref(), out);
    text("firstName", person.first_name.as_deref(), out);
    text("lastName", person.last_name.as_deref(), out);
    text("username", person.username.as_deref(), out);
    // Always blank since 2011 (contactlist.md §4).
    out.push_str("<password />");
    date("dateOfBirth", person.date_of_birth, style.fractions, out);
    date("createDate", person.create_date, style.fractions, out);
    date(
        "lastUpdateDate",
        person.last_update_date,
        style.fractions,
        out,
    );
    text("customerType", person.customer_type.as_deref(), out);
    text("industryType", person.industry_type.as_deref(), out);
    text("leadSourceType", person.lead_source_type.as_deref(), out);
    text("ratingType", person.rating_type.as_deref(), out);
    list(
        "relationships",
        "Relationship",
        person.relationships.as_deref(),
        out,
        relationship,
    );
    list(
        "addresses",
        "Address",
        person.addresses.as_deref(),
        out,
        address,
    );
    match style.email {
        EmailShown::AsKept => list(
            "phoneNos",
            "PhoneNo",
            person.phone_nos.as_deref(),
            out,
            phone,
        ),
        shown => {
            let phones = phones_shown(person, shown);
            list("phoneNos", "PhoneNo", phones.as_deref(), out, phone);
        }
    }
    list(
        "crmForms",
        "CrmForms",
        person.crm_forms.as_deref(),
        out,
        form,
    );
    boolean("MasterOptIn", person.master_opt_in, out);
}

/// The phones with the e-mail address moved to, or taken from, the phone of type 7.
fn phones_shown(person: &Person, shown: EmailShown) -> Option<Vec<Option<Phone>>> {
    let others = person
        .phone_nos
        .iter()
        .flatten()
        .filter(|item| !matches!(item, Some(phone) if phone.phone_no_type_id == EMAIL_PHONE));
    let mut phones: Vec<Option<Phone>> = others.cloned().collect();
    if shown == EmailShown::Phone
        && let Some(email) = person.email()
    {
        let first = Phone {
            phone_no_type_id: EMAIL_PHONE,
            phone_no: Some(email.to_owned()),
        };
        phones.insert(0, Some(first));
    }
    (person.phone_nos.is_some() || !phones.is_empty()).then_some(phones)
}

fn relationship(item: &Relationship, out: &mut String) {
    number("entityId", item.entity_id, out);
    number("entityType", item.entity_type, out);
    text("name", item.name.as_deref(), out);
}

fn address(item: &Address, out: &mut String) {
    number("addressTypeID", item.address_type_id, out);
    text("addressLine1", item.address_line_1.as_deref(), out);
    text("addressLine2", item.address_line_2.as_deref(), out);
    text("city", item.city.as_deref(), out);
    text("zipcode", item.zipcode.as_deref(), out);
    text("state", item.state.as_deref(), out);
    text("countryCode", item.country_code.as_deref(), out);
}

fn phone(item: &Phone, out: &mut String) {
    number("phoneNoTypeID", item.phone_no_type_id, out);
    text("phoneNo", item.phone_no.as_deref(), out);
}

fn form(item: &Form, out: &mut String) {
    number("formId", item.form_id, out);
    text("formName", item.form_name.as_deref(), out);
    list(
        "crmFormFields",
        "CrmFormFields",
        item.fields.as_deref(),
        out,
        form_field,
    );
}

fn form_field(item: &FormField, out: &mut String) {
    number("fieldId", item.field_id, out);
    number("fieldTypeId", item.field_type_id, out);
    text("fieldName", item.field_name.as_deref(), out);
    text("fieldValue", item.field_value.as_deref(), out);
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    fn written(person: &Person, style: Style) -> String {
        let mut out = String::new();
        contact(person, style, &mut out);
        out
    }

    #[test]
    fn absent_is_absent_and_empty_is_a_closed_element() {
        let mut person = Person::new(7);
        person.first_name = Some(String::new());
        person.phone_nos = Some(vec![None]);
        person.addresses = Some(Vec::new());
        let xml = written(&person, Style::default());
        assert_eq!(
            xml,
            "<entityId>7</entityId><deleted>false</deleted><firstName /><password />\
             <dateOfBirth>0001-01-01T00:00:00</dateOfBirth><createDate>0001-01-01T00:00:00</createDate>\
             <lastUpdateDate>0001-01-01T00:00:00</lastUpdateDate><addresses />\
             <phoneNos><PhoneNo xsi:nil=\"true\" /></phoneNos><MasterOptIn>false</MasterOptIn>"
        );
    }

    #[test]
    fn markup_is_escaped_and_quotes_are_not() {
        let mut out = String::new();
        escape("D'Arcy \"<&>\" \u{1}\r\n\té", &mut out);
        assert_eq!(out, "D'Arcy \"&lt;&amp;&gt;\" &#x1;&#xD;\n\té");
    }

    #[test]
    fn the_email_moves_to_where_the_style_wants_it() {
        let mut person = Person::new(1);
        person.email_address = Some("a@example.org".into());
        person.set_phone(5, "1");
        let phone = Style {
            email: EmailShown::Phone,
            ..Style::default()
        };
        let xml = written(&person, phone);
        assert!(!xml.contains("emailAddress"));
        assert!(
            xml.contains(
                "<phoneNos><PhoneNo><phoneNoTypeID>7</phoneNoTypeID><phoneNo>a@example.org"
            )
        );
        person.email_address = None;
        person.set_phone(7, "b@example.org");
        let element = Style {
            email: EmailShown::Element,
            ..Style::default()
        };
        let xml = written(&person, element);
        assert!(xml.contains("<emailAddress>b@example.org</emailAddress>"));
        assert!(!xml.contains("<phoneNoTypeID>7"));
    }

    #[test]
    fn fractions_are_trimmed() {
        let day = NaiveDate::from_ymd_opt(2026, 1, 2).unwrap();
        let date = day.and_hms_milli_opt(3, 4, 5, 230).unwrap();
        assert_eq!(date_text(date, true), "2026-01-02T03:04:05.23");
        assert_eq!(date_text(date, false), "2026-01-02T03:04:05");
    }
}
