//! Answers of the service, decoded in one streaming pass: the frame strictly, each record alone, straight into a document.
//!
//! A record that can't be read (no id, a character that XML forbids, an element twice) is cut out as it stands and handed
//! on as bad; the rest of its page is not harmed (H-14). What damages the frame or the tags fails the whole answer.
//! A contact's own `username` and `password` never leave `record`.

use chrono_tz::Tz;

use super::envelope::{Answer, Fault, open};
use super::record::{Records, boolean};
use super::tokens::{Space, Tokens};
use crate::model::{RemoteItem, Result};
use crate::remote::xml::{AnswerLimits, readable};

/// How answers are read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The site's zone: the rare date with an offset is turned into its wall time.
    pub zone: Tz,
    /// The limits of an answer.
    pub limits: AnswerLimits,
}

/// What ContactList_Retrieve answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListAnswer {
    /// The records in their order.
    pub items: Vec<RemoteItem>,
    /// `moreRecords`.
    pub more: bool,
}
/// Decodes an answer to ContactList_Retrieve. The result element may be absent or empty (`contactlist.md` §3).
pub fn decode_list(body: &[u8], reading: &Reading) -> Result<Answer<ListAnswer>> {
    let text = readable(body);
    let mut tokens = Tokens::new(&text, "ContactList_Retrieve", reading.limits);
    let mut records = Records::new(body, reading);
    open(&mut tokens, |tokens| {
        let mut items = None;
        let mut more = None;
        while let Some(part) = tokens.child()? {
            if part.is("ContactList_RetrieveResult") {
                if items.is_some() {
                    return Err(tokens.flaw("E-SOAP-SHAPE", "the answer holds two results"));
                }
                items = Some(if part.nil {
                    tokens.skip()?;
                    Vec::new()
                } else {
                    records.list(tokens)?
                });
            } else if part.is("moreRecords") {
                let text = tokens.short_text(16)?;
                match boolean(&text) {
                    Some(_) if more.is_some() => {
                        return Err(tokens.flaw("E-PAGING", "the answer holds moreRecords twice"));
                    }
                    Some(value) => more = Some(value),
                    None => {
                        return Err(
                            tokens.flaw("E-PAGING", "moreRecords is neither true nor false")
                        );
                    }
                }
            } else {
                // The recordStart of the response is not relied on (`contactlist.md` §3).
                tokens.skip()?;
            }
        }
        match more {
            Some(more) => Ok(ListAnswer {
                items: items.unwrap_or_default(),
                more,
            }),
            None => Err(tokens.flaw("E-PAGING", "the answer lacks moreRecords")),
        }
    })
}

/// Decodes an answer to one of the look-ups, whose result element is itself the record (`contactlist.md` §7); `None`
/// when there is none in it.
pub fn decode_look_up(
    operation: &str,
    body: &[u8],
    reading: &Reading,
) -> Result<Answer<Option<RemoteItem>>> {
    let text = readable(body);
    let mut tokens = Tokens::new(&text, operation, reading.limits);
    let mut records = Records::new(body, reading);
    open(&mut tokens, |tokens| {
        let mut item = None;
        loop {
            let begin = tokens.position();
            let Some(part) = tokens.child()? else {
                return Ok(item.flatten());
            };
            if part.space != Space::Service || part.name.strip_suffix("Result") != Some(operation) {
                tokens.skip()?;
            } else if item.is_some() {
                return Err(tokens.flaw("E-SOAP-SHAPE", "the answer holds two results"));
            } else if part.nil {
                tokens.skip()?;
                item = Some(None);
            } else {
                let found = records.record(tokens, begin)?;
                item = Some(if records.was_empty { None } else { Some(found) });
            }
        }
    })
}

/// Decodes an answer to ContactList_UpdateInsert, which says nothing beyond being there (`contactlist.md` §6).
pub fn decode_update_insert(body: &[u8], reading: &Reading) -> Result<Answer<()>> {
    let text = readable(body);
    let mut tokens = Tokens::new(&text, "ContactList_UpdateInsert", reading.limits);
    open(&mut tokens, |tokens| {
        while tokens.child()?.is_some() {
            tokens.skip()?;
        }
        Ok(())
    })
}

/// Decodes an answer to Contact_DeleteByEntityID: its boolean (`contactlist.md` §7).
pub fn decode_delete(body: &[u8], reading: &Reading) -> Result<Answer<bool>> {
    let text = readable(body);
    let mut tokens = Tokens::new(&text, "Contact_DeleteByEntityID", reading.limits);
    open(&mut tokens, |tokens| {
        let mut done = None;
        while let Some(part) = tokens.child()? {
            if part.is("Contact_DeleteByEntityIDResult") && done.is_none() {
                let text = tokens.short_text(16)?;
                done = boolean(&text);
            } else {
                tokens.skip()?;
            }
        }
        done.ok_or_else(|| tokens.flaw("E-SOAP-SHAPE", "the result is neither true nor false"))
    })
}

/// The fault in an answer to any operation, if there is one in it.
pub fn decode_fault(body: &[u8]) -> Option<Fault> {
    let text = readable(body);
    let mut tokens = Tokens::new(&text, "", AnswerLimits::default());
    match open(&mut tokens, |tokens| tokens.skip()) {
        Ok(Answer::Fault(fault)) => Some(fault),
        _ => None,
    }
}
