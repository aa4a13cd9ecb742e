//! The definition of the wire in the `camel` preset: the requests, and answers in their canonical form, as types of
//! yaserde; and by them the reference reader and writer.
//!
//! The bridge itself writes with `encode` and reads with `rows` and `decode`, which take far more than these: names of any
//! spelling, attributes for elements, sections that nobody described. Property tests hold both equal where these
//! types can follow (yaserde trims texts). Never give it an answer that the strict pass has not seen, and keep its log
//! capped: it writes every text it meets at debug. Source: `association-anywhere.md` §4 to §8.

#![allow(missing_docs)] // The names are those of the contract, which says what they are.

use yaserde::{YaDeserialize, YaSerialize};

/// A type without a namespace.
macro_rules! wire {
    ($name:ident = $element:literal { $($(@$kind:ident)? $rust:ident : $type:ty = $wire:literal),* $(,)? }) => {
        #[derive(Clone, Debug, Default, PartialEq, YaSerialize, YaDeserialize)]
        #[yaserde(rename = $element)]
        pub struct $name {
            $(#[yaserde(rename = $wire $(, $kind = true)?)] pub $rust: $type),*
        }
    };
}

wire!(QueueRequest = "custRequest" {
    vendor_id: String = "vendorId",
    vendor_password: String = "vendorPassword",
});

wire!(PurgeRequest = "purgeRequest" {
    vendor_id: String = "vendorId",
    vendor_password: String = "vendorPassword",
    max_queue_num: String = "maxQueueNum",
});

wire!(ForceEnqueueRequest = "forceEnqueueRequest" {
    vendor_id: String = "vendorId",
    vendor_password: String = "vendorPassword",
    cust_ids: Vec<String> = "custId",
});

wire!(DetailsRequest = "custInfoRequest" {
    cust_ids: Vec<String> = "custId",
    integrator_username: String = "integratorUsername",
    integrator_password: String = "integratorPassword",
    directory_id: Option<String> = "directoryId",
    bulk_request: bool = "bulkRequest",
    details: Details = "details",
});

wire!(Details = "details" {
    @attribute include_code_values: bool = "includeCodeValues",
    roles: Option<Include> = "roles",
    addresses: Option<Include> = "addresses",
    phones: Option<Include> = "phones",
    emails: Option<Include> = "emails",
    memberships: Option<Include> = "memberships",
    subscriptions: Option<Include> = "subscriptions",
    customer_attributes: Option<Include> = "customerAttributes",
});

wire!(Include = "include" {
    @attribute include: bool = "include",
    @attribute include_bad: Option<bool> = "includeBad",
    @attribute include_inactive: Option<bool> = "includeInactive",
    @attribute include_expired: Option<bool> = "includeExpired",
    @attribute include_all: Option<bool> = "includeAll",
});

wire!(QueueResponse = "custResponse" {
    status: Option<String> = "status",
    max_queue_num: Option<String> = "maxQueueNum",
    customers: Customers = "customers",
});

wire!(Customers = "customers" {
    customers: Vec<Customer> = "customer",
});

wire!(Customer = "customer" {
    cust_id: String = "custId",
    triggers: Option<Triggers> = "triggers",
});

wire!(Triggers = "triggers" {
    triggers: Vec<Trigger> = "trigger",
});

wire!(Trigger = "trigger" {
    @attribute queue_num: Option<String> = "queueNum",
    @attribute action: String = "action",
    @attribute table_name: String = "tableName",
});

wire!(DetailsResponse = "custInfoResponse" {
    customers: Vec<CustInfo> = "custInfo",
});

wire!(CustInfo = "custInfo" {
    cust_id: String = "custId",
    cust_type: Option<String> = "custType",
    name: Option<Name> = "name",
    roles: Option<Roles> = "roles",
    emails: Option<Emails> = "emails",
});

wire!(Name = "name" {
    first_name: Option<String> = "firstName",
    last_name: Option<String> = "lastName",
});

wire!(Roles = "roles" {
    roles: Vec<String> = "role",
});

wire!(Emails = "emails" {
    emails: Vec<Email> = "email",
});

wire!(Email = "email" {
    email_serno: String = "emailSerno",
    preferred: bool = "preferred",
    address: Option<String> = "address",
});

wire!(Confirmation = "purgeResponse" {
    status: Option<String> = "status",
    error: Option<String> = "error",
});
