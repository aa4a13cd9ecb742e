//! A contact as this CRM keeps it: its own types, agreed with the wire description alone.
//!
//! Nothing here may come from `crate::remote`: two halves that share a type also share its mistakes.

use chrono::{NaiveDate, NaiveDateTime};

/// A part of a contact that comes as a list; absent, or with items of which some may be nil.
pub type Parts<T> = Option<Vec<Option<T>>>;

/// `0001-01-01T00:00:00`: what the service writes for a date that nobody has set (contactlist.md §5).
pub fn year_one() -> NaiveDateTime {
    NaiveDate::from_ymd_opt(1, 1, 1)
        .and_then(|day| day.and_hms_opt(0, 0, 0))
        .expect("year one exists")
}

/// One contact. `None` is an absent element, `Some("")` an empty one (contactlist.md §4).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The fields bear the names of the elements that contactlist.md §4 describes.
pub struct Person {
    pub entity_id: i32,
    pub external_id: Option<String>,
    pub email_address: Option<String>,
    pub contact_title: Option<String>,
    pub deleted: bool,
    pub full_name: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub username: Option<String>,
    /// What a caller set; never shown, every answer holds an empty element.
    pub password: Option<String>,
    pub date_of_birth: NaiveDateTime,
    pub create_date: NaiveDateTime,
    pub last_update_date: NaiveDateTime,
    pub customer_type: Option<String>,
    pub industry_type: Option<String>,
    pub lead_source_type: Option<String>,
    pub rating_type: Option<String>,
    pub relationships: Parts<Relationship>,
    pub addresses: Parts<Address>,
    pub phone_nos: Parts<Phone>,
    pub crm_forms: Parts<Form>,
    pub master_opt_in: bool,
    /// Raw XML that is sent in place of this contact's elements: how a test plants a record that can't be decoded.
    pub verbatim: Option<String>,
}

/// A relationship to another entity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Relationship {
    pub entity_id: i32,
    pub entity_type: i32,
    pub name: Option<String>,
}

/// An address; its type says which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Address {
    pub address_type_id: i32,
    pub address_line_1: Option<String>,
    pub address_line_2: Option<String>,
    pub city: Option<String>,
    pub zipcode: Option<String>,
    pub state: Option<String>,
    pub country_code: Option<String>,
}

/// A phone number; or, by its type, a fax, an e-mail or a web address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Phone {
    pub phone_no_type_id: i32,
    pub phone_no: Option<String>,
}

/// A form of the site that this contact has filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Form {
    pub form_id: i32,
    pub form_name: Option<String>,
    pub fields: Parts<FormField>,
}

/// One field of a form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct FormField {
    pub field_id: i32,
    pub field_type_id: i32,
    pub field_name: Option<String>,
    pub field_value: Option<String>,
}

/// The phone type that holds the primary e-mail address (contactlist.md §4).
pub(super) const EMAIL_PHONE: i32 = 7;

impl Person {
    /// A contact of this id about whom nothing else is known.
    pub fn new(entity_id: i32) -> Self {
        Self {
            entity_id,
            external_id: None,
            email_address: None,
            contact_title: None,
            deleted: false,
            full_name: None,
            first_name: None,
            last_name: None,
            username: None,
            password: None,
            date_of_birth: year_one(),
            create_date: year_one(),
            last_update_date: year_one(),
            customer_type: None,
            industry_type: None,
            lead_source_type: None,
            rating_type: None,
            relationships: None,
            addresses: None,
            phone_nos: None,
            crm_forms: None,
            master_opt_in: false,
            verbatim: None,
        }
    }

    /// The e-mail address: the element if it holds one, else the phone of type 7.
    pub fn email(&self) -> Option<&str> {
        let element = self
            .email_address
            .as_deref()
            .filter(|text| !text.is_empty());
        element.or_else(|| self.phone(EMAIL_PHONE).filter(|text| !text.is_empty()))
    }

    /// The first phone number of this type.
    pub fn phone(&self, type_id: i32) -> Option<&str> {
        let phones = self.phone_nos.as_ref()?;
        phones
            .iter()
            .flatten()
            .find(|phone| phone.phone_no_type_id == type_id)
            .and_then(|phone| phone.phone_no.as_deref())
    }

    /// Sets, or adds, the first phone number of this type.
    pub fn set_phone(&mut self, type_id: i32, number: &str) {
        let phones = self.phone_nos.get_or_insert_with(Vec::new);
        let place = phones
            .iter_mut()
            .flatten()
            .find(|phone| phone.phone_no_type_id == type_id);
        match place {
            Some(phone) => phone.phone_no = Some(number.to_owned()),
            None => phones.push(Some(Phone {
                phone_no_type_id: type_id,
                phone_no: Some(number.to_owned()),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phone_of_type_7_stands_in_for_an_empty_email() {
        let mut person = Person::new(1);
        assert_eq!(person.email(), None);
        person.set_phone(EMAIL_PHONE, "a@example.org");
        person.email_address = Some(String::new());
        assert_eq!(person.email(), Some("a@example.org"));
        person.email_address = Some("b@example.org".into());
        assert_eq!(person.email(), Some("b@example.org"));
    }

    #[test]
    fn a_phone_is_replaced_in_place() {
        let mut person = Person::new(1);
        person.set_phone(5, "1");
        person.set_phone(1, "2");
        person.set_phone(5, "3");
        assert_eq!(person.phone(5), Some("3"));
        assert_eq!(person.phone_nos.map(|phones| phones.len()), Some(2));
    }
}
