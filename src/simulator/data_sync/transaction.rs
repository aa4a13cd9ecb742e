//! A transaction as its payload: the flat record of the appendix's example, not the vendor's POSLog (orce.md §6).
//!
//! It must not add anything up: the example's own amounts don't.

use super::customer::{amount, cents_of};
use super::json::Json;

/// A transaction without lines, as the example shows one.
const BLANK: &str = r#"{"retailTransactionId":"","organizationId":1,"beginDatetime":"2017-11-07T12:54:22+0530","businessDate":"2017-11-07","originalBusinessDate":"2017-11-07","customerId":null,"voidFlag":false,"customerKey":null,"endDatetime":"2017-11-07T12:54:49+0530","currencyTypeCode":"USD","orgCurrencyTypeCode":"USD","currencyExchangeRate":1,"keyedOfflineFlag":false,"notes":null,"operatorId":"101","customerOrganizationId":null,"customerOrganizationKey":null,"postedFlag":false,"retailLocationId":"99901","nonPhysicalItemTotal":0,"subtotal":0,"taxTotal":0,"total":0,"markdownTotal":0,"costOfGoodsSoldTotal":0,"transactionReasonCode":null,"transactionSequence":10000100,"transactionStatusCode":"DELIVERED","transactionTypeCode":"TRANSACTION","workstationId":2,"linkedTransactionId":null,"createDate":"2020-12-02","createUserId":null,"updateDate":null,"updateUserId":null,"lineItems":[],"transactionProperties":[]}"#;

/// A line without modifiers, as the example shows one.
const BLANK_LINE: &str = r#"{"lineItemSequence":1,"beginDateTimestamp":"2017-11-07T12:54:44+0530","endDateTimestamp":"2017-11-07T12:54:44+0530","lineItemStatusCode":null,"lineItemTLogSequence":1,"lineItemTypeCode":"Sale","notes":null,"voidFlag":false,"voidLineItemReasonCode":null,"custId":null,"createDate":null,"createUserId":null,"updateDate":null,"updateUserId":null,"lineItemModifiers":[]}"#;

/// A modifier of a line.
const BLANK_MODIFIER: &str = r#"{"lineItemSequence":1,"lineItemModifierSequence":0,"voidFlag":false,"custId":null,"createDate":null,"createUserId":null,"updateDate":null,"updateUserId":null}"#;

/// The offset of the example, without a colon.
const PRINTED_OFFSET: &str = "+0530";

/// A transaction: its payload, as a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The payload.
    pub body: Json,
}

impl Transaction {
    /// A transaction without lines and amounts, of a customer or of nobody known.
    pub fn new(id: &str, customer: Option<&str>) -> Self {
        let body = Json::parse(BLANK).unwrap_or_default();
        Self { body }
            .with("retailTransactionId", id)
            .with("customerId", customer)
    }

    /// Its id; empty when it was taken away.
    pub fn id(&self) -> &str {
        self.body.text("retailTransactionId").unwrap_or_default()
    }

    /// The id of its customer.
    pub fn customer(&self) -> Option<&str> {
        self.body.text("customerId")
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

    /// With these amounts, digits as they are given; they need not add up.
    #[must_use]
    pub fn amounts(self, subtotal: &str, tax: &str, total: &str) -> Self {
        self.with("subtotal", Json::number(subtotal))
            .with("taxTotal", Json::number(tax))
            .with("total", Json::number(total))
    }

    /// With one more line of this type (Sale, Tender, Tax), and so many modifiers of it.
    #[must_use]
    pub fn line(mut self, kind: &str, modifiers: usize) -> Self {
        let sequence = self.body.count("lineItems") + 1;
        let customer = Json::from(self.customer());
        let mut line = Json::parse(BLANK_LINE).unwrap_or_default();
        line.set("lineItemSequence", Json::number(sequence));
        line.set("lineItemTLogSequence", Json::number(sequence));
        line.set("lineItemTypeCode", kind);
        line.set("custId", customer.clone());
        for place in 0..modifiers {
            let mut modifier = Json::parse(BLANK_MODIFIER).unwrap_or_default();
            modifier.set("lineItemSequence", Json::number(sequence));
            modifier.set("lineItemModifierSequence", Json::number(place));
            modifier.set("custId", customer.clone());
            line.push("lineItemModifiers", modifier);
        }
        self.body.push("lineItems", line);
        self
    }

    /// With one more property.
    #[must_use]
    pub fn property(mut self, code: &str, value: &str) -> Self {
        let item = Json::object([("code", code.into()), ("value", value.into())]);
        self.body.push("transactionProperties", item);
        self
    }

    /// With notes so long that the payload has about so many bytes.
    #[must_use]
    pub fn padded(self, bytes: usize) -> Self {
        let have = self.body.to_string().len();
        self.with("notes", "Long. ".repeat(bytes.saturating_sub(have) / 6))
    }

    /// How much was paid, in cents.
    pub(super) fn cents(&self) -> u64 {
        match self.body.get("total") {
            Some(Json::Number(digits)) => cents_of(digits),
            _ => 0,
        }
    }

    /// With another offset behind every stamp of the example's.
    pub(super) fn offset(&mut self, offset: &str) {
        self.body.for_each_text(&mut |text| {
            let is_stamp = text.len() == 24 && text.get(10..11) == Some("T");
            if is_stamp && let Some(local) = text.strip_suffix(PRINTED_OFFSET) {
                *text = format!("{local}{offset}");
            }
        });
    }

    /// A transaction as a shop posts them: so many sold items, a tender, a tax line.
    pub(super) fn sale(id: &str, customer: &str, number: u64, cents: u64, items: usize) -> Self {
        let tax = cents / 20;
        let mut sale = Self::new(id, Some(customer))
            .with("transactionSequence", Json::number(number))
            .amounts(&amount(cents), &amount(tax), &amount(cents + tax));
        for item in 0..items {
            sale = sale.line("Sale", usize::from(item == 0));
        }
        sale.line("Tender", 0).line("Tax", 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::{Action, Form, Layout, Message};
    use super::*;

    #[test]
    fn the_printed_transaction_comes_out_to_the_letter() {
        let transaction = Transaction::new("99901000022017110710000100", Some("2147"))
            .amounts("1325.00", "79.50", "77.50")
            .with("costOfGoodsSoldTotal", Json::number("77.00"))
            .line("Sale", 1)
            .line("Tender", 0)
            .with("lineItems.1.beginDateTimestamp", "2017-11-07T12:54:47+0530")
            .with("lineItems.1.endDateTimestamp", "2017-11-07T12:54:48+0530")
            .line("Tax", 0);
        let message = Message::new(Action::Post, transaction.body.to_string(), 26_764_581);
        let form = Form {
            layout: Layout::Printed,
            ..Form::default()
        };
        let printed = include_str!("../../../tests/data/data_sync/transaction_cre.json");
        assert_eq!(form.envelope(&[message]), printed.trim_end());
    }

    #[test]
    fn another_offset_changes_stamps_alone() {
        let mut transaction = Transaction::new("1", None)
            .with("notes", "call +0530")
            .line("Sale", 0);
        transaction.offset("Z");
        assert_eq!(transaction.body.text("notes"), Some("call +0530"));
        assert_eq!(
            transaction.body.text("lineItems.0.endDateTimestamp"),
            Some("2017-11-07T12:54:44Z")
        );
        assert_eq!(transaction.body.text("businessDate"), Some("2017-11-07"));
    }

    #[test]
    fn a_sale_has_its_lines_and_a_padded_one_its_size() {
        let sale = Transaction::sale("7", "90017", 3, 2000, 2);
        assert_eq!(sale.body.count("lineItems"), 4);
        assert_eq!(sale.body.count("lineItems.0.lineItemModifiers"), 1);
        assert_eq!((sale.cents(), sale.customer()), (2100, Some("90017")));
        let bytes = sale.padded(1_000_000).body.to_string().len();
        assert!((999_990..=1_000_010).contains(&bytes), "{bytes}");
    }
}
