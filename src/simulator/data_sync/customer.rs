//! A customer as its payload: every key of the appendix's example, in its order (orce.md §5).
//!
//! It must not know how a payload is sent. Whatever has no method of its own is reached by its path.

use super::json::Json;

/// A customer without anything, as the example shows one.
const BLANK: &str = r#"{"customerID":"","signupDate":"2020-12-02","retailStoreID":"99999","firstPurchaseDate":null,"lastPurchaseDate":null,"validation":{"validFlag":"true"},"orgName":null,"custOrgTypcode":null,"employeeID":null,"businessName":null,"customerClass":"SYSTEM CLASS","source":"Relate","prospect":false,"customerOwnerID":null,"householdKey":"","customerNumber":null,"customerReference":null,"lastUpdateInfo":null,"affiliation":[{"retailStoreID":null}],"entityInformation":{"individual":{"suffix":null,"sortingName":null,"nickName":null,"salutation":null,"name":{"name":[{"location":"FIRST","value":null},{"location":"MIDDLE","value":null},{"location":"LAST","value":null}]},"contactInformation":{"address":[],"telephone":[],"email":[]},"personalSummary":{"genderType":null,"birthDate":null,"anniversary":null,"maritalStatusCode":null,"ethnicity":null,"rent":false,"languageCode":"en"},"socioEconomicProfile":{"annualIncomeAmount":null,"netWorth":null,"highestEducationalLevelName":""},"lifetimeActivitySummary":{"totalReturnsAmount":"0","totalSalesAmount":"0","totalTransactionCount":"0","totalItemsSoldCount":"0","totalItemsReturnedCount":"0"},"yearToDateActivitySummary":{"yearToDateReturnsAmount":"0","yearToDateSalesAmount":"0","yearToDateTransactionCount":"0","yearToDateItemsSoldCount":"0","yearToDateItemsReturnedCount":"0"}}},"alternateKey":[],"customAttribute":[],"customerNotes":{"customerNote":[]},"eligiblePromotionDeals":{"promotionDealId":[]},"customerSegments":{"segment":[]},"customerCards":{"instrument":[]},"associateAssignments":null,"personalPreferences":{"contactPreference":[{"contactType":"MAIL","permission":"true"},{"contactType":"PHONE","permission":"true"},{"contactType":"FAX","permission":"true"},{"contactType":"EMAIL","permission":"true"}]},"franchisees":{"franchisee":[]}}"#;

const NAMES: &str = "entityInformation.individual.name.name";
const CONTACT: &str = "entityInformation.individual.contactInformation";
const LIFETIME: &str = "entityInformation.individual.lifetimeActivitySummary";
const THIS_YEAR: &str = "entityInformation.individual.yearToDateActivitySummary";

/// A customer: its payload, as a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// The payload.
    pub body: Json,
}

impl Customer {
    /// A customer without anything but its id.
    pub fn new(id: &str) -> Self {
        let body = Json::parse(BLANK).unwrap_or_default();
        Self { body }.with("customerID", id)
    }

    /// Its id; empty when it was taken away.
    pub fn id(&self) -> &str {
        self.body.text("customerID").unwrap_or_default()
    }

    /// With this at this path (see [`Json::set`]).
    #[must_use]
    pub fn with(mut self, path: &str, value: impl Into<Json>) -> Self {
        self.body.set(path, value);
        self
    }

    /// Without what stands at this path, its name too.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        self.body.remove(path);
        self
    }

    /// With one more item in the list at this path.
    #[must_use]
    pub fn plus(mut self, path: &str, item: Json) -> Self {
        self.body.push(path, item);
        self
    }

    /// With these names.
    #[must_use]
    pub fn named(self, first: &str, middle: Option<&str>, last: Option<&str>) -> Self {
        self.with(&format!("{NAMES}.0.value"), first)
            .with(&format!("{NAMES}.1.value"), middle)
            .with(&format!("{NAMES}.2.value"), last)
    }

    /// The name at FIRST, MIDDLE or LAST.
    pub fn name(&self, location: &str) -> Option<&str> {
        (0..self.body.count(NAMES))
            .find(|place| self.body.text(&format!("{NAMES}.{place}.location")) == Some(location))
            .and_then(|place| self.body.text(&format!("{NAMES}.{place}.value")))
    }

    /// With one more address; the first one is the primary one.
    #[must_use]
    pub fn address(
        self,
        line: &str,
        city: &str,
        territory: &str,
        code: &str,
        country: &str,
    ) -> Self {
        let list = format!("{CONTACT}.address");
        let mut item = Json::object([
            ("addressLine1", Json::from(line)),
            ("addressLine2", Json::Null),
            ("addressLine3", Json::Null),
            ("addressLine4", Json::Null),
            ("apartmentNumber", Json::Null),
            ("city", city.into()),
            ("territory", territory.into()),
            ("postalCode", code.into()),
            ("country", country.into()),
            ("county", Json::Null),
        ]);
        self.contact_item(&list, &mut item);
        self.plus(&list, item)
    }

    /// With one more telephone number; the first one is the primary one.
    #[must_use]
    pub fn telephone(self, number: &str) -> Self {
        let list = format!("{CONTACT}.telephone");
        let mut item = Json::object([
            ("phoneNumber", Json::from(number)),
            ("extension", Json::Null),
        ]);
        self.contact_item(&list, &mut item);
        self.plus(&list, item)
    }

    /// With one more e-mail address; the first one is the primary one.
    #[must_use]
    pub fn email(self, address: &str) -> Self {
        let list = format!("{CONTACT}.email");
        let mut item = Json::object([("emailAddress", address.into())]);
        self.contact_item(&list, &mut item);
        item.set("formatPreferenceCode", Json::Null);
        self.plus(&list, item)
    }

    /// The e-mail address at this place.
    pub fn email_at(&self, place: usize) -> Option<&str> {
        self.body
            .text(&format!("{CONTACT}.email.{place}.emailAddress"))
    }

    /// What addresses, telephones and e-mail addresses have in common.
    fn contact_item(&self, list: &str, item: &mut Json) {
        let place = self.body.count(list);
        let kind = ["HOME", "WORK", "OTHER"].get(place).unwrap_or(&"OTHER");
        item.set("typeCode", *kind);
        item.set("primaryFlag", if place == 0 { "true" } else { "false" });
        item.set("validFlag", "true");
        item.set("label", Json::Null);
        item.set("contactPreferenceCode", Json::Null);
        item.set("updateType", Json::Null);
        item.set("sequenceNumber", Json::number(place + 1));
    }

    /// With one more note.
    #[must_use]
    pub fn note(self, text: &str) -> Self {
        let list = "customerNotes.customerNote";
        let sequence = self.body.count(list) + 1;
        let item = Json::object([
            ("value", Json::from(text)),
            ("type", "GENERAL".into()),
            ("location", "101".into()),
            ("sequence", Json::number(sequence)),
            ("privateFlag", "false".into()),
            ("createDate", "2026-01-15T10:20:30+0530".into()),
            ("createUser", "sysadmin".into()),
        ]);
        self.plus(list, item)
    }

    /// With one more card.
    #[must_use]
    pub fn card(self, number: &str) -> Self {
        let list = "customerCards.instrument";
        let is_first = self.body.count(list) == 0;
        let item = Json::object([
            ("description", Json::from("Loyalty")),
            ("cardNumber", number.into()),
            ("cardSerialNumber", Json::Null),
            (
                "primaryAccountHolderFlag",
                if is_first { "true" } else { "false" }.into(),
            ),
            ("accountId", Json::List(Vec::new())),
        ]);
        self.plus(list, item)
    }

    /// With one more franchisee; its name may end with blanks, as in the example.
    #[must_use]
    pub fn franchisee(self, id: u32, name: &str) -> Self {
        let item = Json::object([
            ("franchiseeId", Json::number(id)),
            ("franchiseeName", name.into()),
        ]);
        self.plus("franchisees.franchisee", item)
    }

    /// With one more custom attribute.
    #[must_use]
    pub fn attribute(self, name: &str, values: &[&str]) -> Self {
        let values = values.iter().map(|value| Json::from(*value)).collect();
        let item = Json::object([
            ("name", Json::from(name)),
            ("editable", "true".into()),
            ("attributeValue", Json::List(values)),
        ]);
        self.plus("customAttribute", item)
    }

    /// With one more key that another system knows it by.
    #[must_use]
    pub fn alternate_key(self, id: &str, type_code: &str) -> Self {
        let item = Json::object([
            ("alternateID", Json::from(id)),
            ("typeCode", type_code.into()),
            ("updateType", Json::Null),
        ]);
        self.plus("alternateKey", item)
    }

    /// With one more segment that it is in.
    #[must_use]
    pub fn segment(self, id: u64, name: &str) -> Self {
        let item = Json::object([
            ("segmentId", Json::number(id)),
            ("name", name.into()),
            ("description", Json::Null),
            ("type", "STRATIFIED".into()),
            ("openAccess", "false".into()),
            ("publishToPromote", "false".into()),
            ("segmentMessage", Json::List(Vec::new())),
            ("strata", Json::List(Vec::new())),
        ]);
        self.plus("customerSegments.segment", item)
    }

    /// With this consent; MAIL, PHONE, FAX and EMAIL stand there from the start.
    #[must_use]
    pub fn consent(self, contact: &str, permission: bool) -> Self {
        let list = "personalPreferences.contactPreference";
        let place = (0..self.body.count(list))
            .find(|place| self.body.text(&format!("{list}.{place}.contactType")) == Some(contact));
        let permission = if permission { "true" } else { "false" };
        match place {
            Some(place) => self.with(&format!("{list}.{place}.permission"), permission),
            None => self.plus(
                list,
                Json::object([
                    ("contactType", contact.into()),
                    ("permission", permission.into()),
                ]),
            ),
        }
    }

    /// Counts a purchase of so many cents in, on this business date.
    pub(super) fn bought(&mut self, cents: u64, items: usize, date: &str) {
        if self.body.text("firstPurchaseDate").is_none() {
            self.body.set("firstPurchaseDate", date);
        }
        self.body.set("lastPurchaseDate", date);
        for (summary, prefix) in [(LIFETIME, "total"), (THIS_YEAR, "yearToDate")] {
            self.add(&format!("{summary}.{prefix}TransactionCount"), 1);
            self.add(&format!("{summary}.{prefix}ItemsSoldCount"), items as u64);
            let path = format!("{summary}.{prefix}SalesAmount");
            let whole = cents_of(self.body.text(&path).unwrap_or("0")).saturating_add(cents);
            self.body.set(&path, amount(whole));
        }
    }

    fn add(&mut self, path: &str, more: u64) {
        let count = self.body.text(path).and_then(|text| text.parse().ok());
        let count = count.unwrap_or(0_u64).saturating_add(more);
        self.body.set(path, count.to_string());
    }
}

/// `13.5` is 1350.
pub(super) fn cents_of(amount: &str) -> u64 {
    let (whole, rest) = amount.split_once('.').unwrap_or((amount, ""));
    let rest = format!("{rest:0<2}");
    let digits = format!("{whole}{}", rest.get(..2).unwrap_or("00"));
    digits.parse().unwrap_or(0)
}

/// 1350 is `13.50`.
pub(super) fn amount(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use super::super::message::{Action, Form, Layout, Message};
    use super::*;

    #[test]
    fn the_printed_customer_comes_out_to_the_letter() {
        let customer = Customer::new("2142")
            .named("Vzxcv", None, None)
            .franchisee(2, "<FRANCHISEE NAME> ")
            .franchisee(8, "<FRANCHISEE NAME>")
            .franchisee(6, "<FRANCHISEE NAME>")
            .franchisee(1, "<FRANCHISEE NAME>");
        let message = Message::new(Action::Modify, customer.body.to_string(), 26_764_466);
        let form = Form {
            layout: Layout::Printed,
            ..Form::default()
        };
        let printed = include_str!("../../../tests/data/data_sync/customer_mod.json");
        assert_eq!(form.envelope(&[message]), printed.trim_end());
    }

    #[test]
    fn what_is_added_stands_where_the_schema_has_it() {
        let customer = Customer::new("90017")
            .named("Maren", None, Some("Quill"))
            .address("12 Sample Way", "Exampleton", "VA", "00000", "US")
            .email("maren.quill@example.org")
            .email("second@example.org")
            .card("4000")
            .consent("FAX", false)
            .consent("SMS", true)
            .without("alternateKey");
        let body = &customer.body;
        assert_eq!(customer.name("LAST"), Some("Quill"));
        assert_eq!(customer.email_at(1), Some("second@example.org"));
        assert_eq!(
            body.text(&format!("{CONTACT}.email.0.primaryFlag")),
            Some("true")
        );
        assert_eq!(
            body.text(&format!("{CONTACT}.email.1.primaryFlag")),
            Some("false")
        );
        assert_eq!(
            body.text(&format!("{CONTACT}.address.0.territory")),
            Some("VA")
        );
        assert_eq!(
            body.text("personalPreferences.contactPreference.2.permission"),
            Some("false")
        );
        assert_eq!(body.count("personalPreferences.contactPreference"), 5);
        assert_eq!(body.get("alternateKey"), None);
    }

    #[test]
    fn purchases_add_up_in_cents() {
        let mut customer = Customer::new("1");
        customer.bought(1999, 2, "2026-01-02");
        customer.bought(1, 1, "2026-01-03");
        let sum = |name: &str| customer.body.text(&format!("{LIFETIME}.{name}"));
        assert_eq!(sum("totalSalesAmount"), Some("20.00"));
        assert_eq!(sum("totalTransactionCount"), Some("2"));
        assert_eq!(sum("totalItemsSoldCount"), Some("3"));
        assert_eq!(customer.body.text("firstPurchaseDate"), Some("2026-01-02"));
        for (text, cents) in [("0", 0), ("7.5", 750), ("7.509", 750), ("12", 1200)] {
            assert_eq!(cents_of(text), cents, "{text}");
        }
    }
}
