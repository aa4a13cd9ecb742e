//! Which requests a fault is meant for: those for a token, or messages, by their action or by whom they are about.

use std::fmt;
use std::str::FromStr;

use crate::simulator::chance::hash;

use super::message::{Action, Message};

/// Requests of one sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Requests for a token.
    Token,
    /// Messages, all of them.
    Message,
    /// Messages of this action.
    Of(Action),
    /// Messages about the customer or transaction of one id (see [`Operation::about`]).
    About(u64),
}

impl Operation {
    /// Messages about the customer or transaction of this id.
    pub fn about(id: &str) -> Self {
        Self::About(hash(id.as_bytes()))
    }

    /// The sorts that a message is of.
    pub(super) fn sorts(message: &Message) -> Vec<Self> {
        let mut sorts = vec![Self::Message];
        sorts.extend(message.kind().map(Self::Of));
        sorts.extend(message.about().map(|id| Self::about(&id)));
        sorts
    }
}

impl FromStr for Operation {
    type Err = String;

    /// `token`, `message`, an action, or `id:` and the id of a customer or transaction.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "token" => Ok(Self::Token),
            "message" => Ok(Self::Message),
            _ => match (text.strip_prefix("id:"), Action::of(text)) {
                (Some(id), _) if !id.is_empty() => Ok(Self::about(id)),
                (_, Some(action)) => Ok(Self::Of(action)),
                _ => Err(format!(
                    "no requests are called \"{text}\"; there are token, message, CUSTOMERCRE, CUSTOMERMOD, CUSTOMERDEL, \
                     POSTRNCRE and id:ID"
                )),
            },
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token => out.write_str("token"),
            Self::Message => out.write_str("message"),
            Self::Of(action) => out.write_str(action.name()),
            Self::About(_) => out.write_str("id"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_of_the_sorts_that_text_names() {
        let message = Message::new(Action::Delete, "90017", 1);
        let named = ["message", "CUSTOMERDEL", "id:90017"];
        let named = named.map(|text| text.parse::<Operation>().unwrap());
        assert_eq!(Operation::sorts(&message), named);
        assert_eq!(Operation::sorts(&Message::sample()).len(), 2);
        assert!(
            "customerdel"
                .parse::<Operation>()
                .unwrap_err()
                .contains("there are token")
        );
        assert!("id:".parse::<Operation>().is_err());
    }
}
