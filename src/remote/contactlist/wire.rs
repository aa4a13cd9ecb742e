//! The definition of the wire: requests, responses, the record and its parts, and the faults of both SOAP versions, as
//! types of yaserde; and by them the reference decoder.
//!
//! The bridge itself reads and writes in streams (`decode`, `encode`); a property test holds both equal to these types,
//! apart from what yaserde does otherwise: it trims texts, writes a carriage return so that it comes back as a line feed,
//! fails a page for one bad number, and does not know `xsi:nil`. Never give it an answer that the strict pass has not seen, and keep its
//! log capped: it writes every text it meets at debug.
//!
//! Source: `contactlist.md` §3 to §9 and the service's description in `wsdl/contactlist`.

#![allow(missing_docs)] // The names are those of the description, which says what they are.

use yaserde::{YaDeserialize, YaSerialize};

/// A type of the service's namespace.
macro_rules! wire {
    ($name:ident = $element:literal { $($rust:ident : $kind:ty = $wire:literal),* $(,)? }) => {
        #[derive(Clone, Debug, Default, PartialEq, YaSerialize, YaDeserialize)]
        #[yaserde(
            prefix = "tns",
            rename = $element,
            default_namespace = "tns",
            namespaces = { "tns" = "http://tempuri.org/CatalystDeveloperService/CatalystCRMWebservice" }
        )]
        pub struct $name {
            $(#[yaserde(prefix = "tns", rename = $wire)] pub $rust: $kind),*
        }
    };
}

wire!(ContactRecord = "ContactRecord" {
    entity_id: i32 = "entityId",
    external_id: Option<String> = "externalId",
    email_address: Option<String> = "emailAddress",
    contact_title: Option<String> = "contactTitle",
    deleted: bool = "deleted",
    full_name: Option<String> = "fullName",
    first_name: Option<String> = "firstName",
    last_name: Option<String> = "lastName",
    username: Option<String> = "username",
    password: Option<String> = "password",
    date_of_birth: String = "dateOfBirth",
    create_date: String = "createDate",
    last_update_date: String = "lastUpdateDate",
    customer_type: Option<String> = "customerType",
    industry_type: Option<String> = "industryType",
    lead_source_type: Option<String> = "leadSourceType",
    rating_type: Option<String> = "ratingType",
    relationships: Option<ArrayOfRelationship> = "relationships",
    addresses: Option<ArrayOfAddress> = "addresses",
    phone_nos: Option<ArrayOfPhoneNo> = "phoneNos",
    crm_forms: Option<ArrayOfCrmForms> = "crmForms",
    master_opt_in: bool = "MasterOptIn",
});

wire!(ArrayOfContactRecord = "ArrayOfContactRecord" {
    items: Vec<ContactRecord> = "ContactRecord",
});

wire!(ArrayOfRelationship = "ArrayOfRelationship" {
    items: Vec<Relationship> = "Relationship",
});

wire!(Relationship = "Relationship" {
    entity_id: i32 = "entityId",
    entity_type: i32 = "entityType",
    name: Option<String> = "name",
});

wire!(ArrayOfAddress = "ArrayOfAddress" {
    items: Vec<Address> = "Address",
});

wire!(Address = "Address" {
    address_type_id: i32 = "addressTypeID",
    address_line1: Option<String> = "addressLine1",
    address_line2: Option<String> = "addressLine2",
    city: Option<String> = "city",
    zipcode: Option<String> = "zipcode",
    state: Option<String> = "state",
    country_code: Option<String> = "countryCode",
});

wire!(ArrayOfPhoneNo = "ArrayOfPhoneNo" {
    items: Vec<PhoneNo> = "PhoneNo",
});

wire!(PhoneNo = "PhoneNo" {
    phone_no_type_id: i32 = "phoneNoTypeID",
    phone_no: Option<String> = "phoneNo",
});

wire!(ArrayOfCrmForms = "ArrayOfCrmForms" {
    items: Vec<CrmForms> = "CrmForms",
});

wire!(CrmForms = "CrmForms" {
    form_id: i32 = "formId",
    form_name: Option<String> = "formName",
    crm_form_fields: Option<ArrayOfCrmFormFields> = "crmFormFields",
});

wire!(ArrayOfCrmFormFields = "ArrayOfCrmFormFields" {
    items: Vec<CrmFormFields> = "CrmFormFields",
});

wire!(CrmFormFields = "CrmFormFields" {
    field_id: i32 = "fieldId",
    field_type_id: i32 = "fieldTypeId",
    field_name: Option<String> = "fieldName",
    field_value: Option<String> = "fieldValue",
});

wire!(ContactListRetrieve = "ContactList_Retrieve" {
        username: Option<String> = "username",
        password: Option<String> = "password",
        site_id: i32 = "siteId",
        last_update_date: String = "lastUpdateDate",
        record_start: i32 = "recordStart",
        more_records: bool = "moreRecords",
    }
);

wire!(ContactListRetrieveResponse = "ContactList_RetrieveResponse" {
        result: Option<ArrayOfContactRecord> = "ContactList_RetrieveResult",
        record_start: i32 = "recordStart",
        more_records: bool = "moreRecords",
    }
);

wire!(ContactListUpdateInsert = "ContactList_UpdateInsert" {
        username: Option<String> = "username",
        password: Option<String> = "password",
        site_id: i32 = "siteId",
        contacts_list: Option<ArrayOfContactRecord> = "contactsList",
    }
);

wire!(ContactListUpdateInsertResponse = "ContactList_UpdateInsertResponse" {}
);

wire!(ContactRetrieveByExternalId = "Contact_RetrieveByExternalID" {
        username: Option<String> = "username",
        password: Option<String> = "password",
        site_id: i32 = "siteId",
        external_id: Option<String> = "externalId",
    }
);

wire!(ContactRetrieveByExternalIdResponse = "Contact_RetrieveByExternalIDResponse" {
        result: Option<ContactRecord> = "Contact_RetrieveByExternalIDResult",
    }
);

wire!(ContactRetrieveByEmailAddress = "Contact_RetrieveByEmailAddress" {
        username: Option<String> = "username",
        password: Option<String> = "password",
        site_id: i32 = "siteId",
        email_address: Option<String> = "emailAddress",
    }
);

wire!(ContactRetrieveByEmailAddressResponse = "Contact_RetrieveByEmailAddressResponse" {
        result: Option<ContactRecord> = "Contact_RetrieveByEmailAddressResult",
    }
);

wire!(ContactRetrieveByEntityId = "Contact_RetrieveByEntityID" {
        username: Option<String> = "username",
        password: Option<String> = "password",
        site_id: i32 = "siteId",
        entity_id: i32 = "entityId",
    }
);

wire!(ContactRetrieveByEntityIdResponse = "Contact_RetrieveByEntityIDResponse" {
        result: Option<ContactRecord> = "Contact_RetrieveByEntityIDResult",
    }
);

wire!(ContactDeleteByEntityId = "Contact_DeleteByEntityID" {
        username: Option<String> = "username",
        password: Option<String> = "password",
        site_id: i32 = "siteId",
        entity_id: i32 = "entityId",
    }
);

wire!(ContactDeleteByEntityIdResponse = "Contact_DeleteByEntityIDResponse" {
        result: bool = "Contact_DeleteByEntityIDResult",
    }
);

/// The fault of SOAP 1.1; its parts stand in no namespace.
#[derive(Clone, Debug, Default, PartialEq, YaSerialize, YaDeserialize)]
#[yaserde(
    prefix = "soap",
    rename = "Fault",
    namespaces = { "soap" = "http://schemas.xmlsoap.org/soap/envelope/" }
)]
pub struct Fault11 {
    #[yaserde(rename = "faultcode")]
    pub code: String,
    #[yaserde(rename = "faultstring")]
    pub text: String,
}

/// The fault of SOAP 1.2.
#[derive(Clone, Debug, Default, PartialEq, YaSerialize, YaDeserialize)]
#[yaserde(
    prefix = "soap",
    rename = "Fault",
    namespaces = { "soap" = "http://www.w3.org/2003/05/soap-envelope" }
)]
pub struct Fault12 {
    #[yaserde(prefix = "soap", rename = "Code")]
    pub code: FaultCode12,
    #[yaserde(prefix = "soap", rename = "Reason")]
    pub reason: FaultReason12,
}

#[derive(Clone, Debug, Default, PartialEq, YaSerialize, YaDeserialize)]
#[yaserde(prefix = "soap", namespaces = { "soap" = "http://www.w3.org/2003/05/soap-envelope" })]
pub struct FaultCode12 {
    #[yaserde(prefix = "soap", rename = "Value")]
    pub value: String,
}

#[derive(Clone, Debug, Default, PartialEq, YaSerialize, YaDeserialize)]
#[yaserde(prefix = "soap", namespaces = { "soap" = "http://www.w3.org/2003/05/soap-envelope" })]
pub struct FaultReason12 {
    #[yaserde(prefix = "soap", rename = "Text")]
    pub text: String,
}
