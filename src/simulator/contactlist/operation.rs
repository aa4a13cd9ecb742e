//! The seven operations of the service (contactlist.md §3, §6, §7).
//!
//! The keys of a request's entry in the log: the key of a look-up or deletion; of each pushed contact its External ID,
//! else its e-mail address, else nothing; of a list its date and offset.

use std::str::FromStr;

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// `ContactList_Retrieve`.
    ContactListRetrieve,
    /// `ContactList_UpdateInsert`.
    ContactListUpdateInsert,
    /// `Contact_RetrieveByEntityID`.
    RetrieveByEntityId,
    /// `Contact_RetrieveByExternalID`.
    RetrieveByExternalId,
    /// `Contact_RetrieveByEmailAddress`.
    RetrieveByEmailAddress,
    /// `Contact_DeleteByEntityID`.
    DeleteByEntityId,
    /// `Contact_DeleteByEmailAddress`.
    DeleteByEmailAddress,
}

impl Operation {
    /// All of them.
    pub const ALL: [Operation; 7] = [
        Operation::ContactListRetrieve,
        Operation::ContactListUpdateInsert,
        Operation::RetrieveByEntityId,
        Operation::RetrieveByExternalId,
        Operation::RetrieveByEmailAddress,
        Operation::DeleteByEntityId,
        Operation::DeleteByEmailAddress,
    ];

    /// The name of its element; the response's has `Response` behind it, the result's `Result`.
    pub fn name(self) -> &'static str {
        match self {
            Operation::ContactListRetrieve => "ContactList_Retrieve",
            Operation::ContactListUpdateInsert => "ContactList_UpdateInsert",
            Operation::RetrieveByEntityId => "Contact_RetrieveByEntityID",
            Operation::RetrieveByExternalId => "Contact_RetrieveByExternalID",
            Operation::RetrieveByEmailAddress => "Contact_RetrieveByEmailAddress",
            Operation::DeleteByEntityId => "Contact_DeleteByEntityID",
            Operation::DeleteByEmailAddress => "Contact_DeleteByEmailAddress",
        }
    }
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL
            .into_iter()
            .find(|operation| operation.name() == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.into_iter().map(Self::name).collect();
            format!(
                "unknown operation \"{name}\"; there are {}",
                names.join(", ")
            )
        })
    }
}
