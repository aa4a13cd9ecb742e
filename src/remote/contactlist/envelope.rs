//! The SOAP frame around an answer, of version 1.1 or 1.2: an Envelope, perhaps a Header, a Body, in it exactly the
//! expected response or a fault, and nothing beside or behind them. It must not interpret what is in the response.

use super::schema::NAMESPACE;
use super::tokens::{Space, Start, Token, Tokens};
use crate::model::{Error, Result};

/// What stands in an answer's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// The response that was asked for.
    Response(T),
    /// A fault, of either version and with whatever HTTP status.
    Fault(Fault),
}

/// A SOAP fault. Its text is the service's own and may hold values, so it must not be shown but through
/// [`super::fault::sentence`].
#[derive(Clone, PartialEq, Eq)]
pub struct Fault {
    /// `faultcode`, or `Code/Value`, such as `soap:Server`.
    pub code: String,
    /// `faultstring`, or `Reason/Text`.
    pub text: String,
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fault").finish_non_exhaustive()
    }
}

/// Bytes kept of a fault's text: the sentence stands first, a stack trace follows.
const FAULT_TEXT_MAX: usize = 2_048;

/// Opens the envelope of the answer to `operation`, lets `read` take what is in the response element, and sees to it
/// that nothing follows. `E-SOAP-SHAPE` for anything but exactly that response, or a fault.
pub(super) fn open<'a, T>(
    tokens: &mut Tokens<'a>,
    read: impl FnOnce(&mut Tokens<'a>) -> Result<T>,
) -> Result<Answer<T>> {
    let root = match tokens.first()? {
        Some(root) => root,
        None => return Err(tokens.flaw("E-SOAP-NOTXML", "the answer is not XML")),
    };
    let soap = root.space;
    if !matches!(soap, Space::Soap11 | Space::Soap12) || root.name != "Envelope" {
        return Err(tokens.unexpected("a SOAP Envelope", root));
    }
    let mut child = tokens.child()?;
    if let Some(header) = child
        && header.space == soap
        && header.name == "Header"
    {
        tokens.skip()?;
        child = tokens.child()?;
    }
    match child {
        Some(body) if body.space == soap && body.name == "Body" => {}
        Some(other) => return Err(tokens.unexpected("a SOAP Body", other)),
        None => return Err(tokens.flaw("E-SOAP-SHAPE", "the answer's envelope holds no Body")),
    }
    let answer = match tokens.child()? {
        None => return Err(tokens.flaw("E-SOAP-SHAPE", "the answer's Body is empty")),
        Some(fault) if fault.space == soap && fault.name == "Fault" => {
            Answer::Fault(read_fault(tokens)?)
        }
        Some(response)
            if response.space == Space::Service
                && response.name.strip_suffix("Response") == Some(tokens.operation) =>
        {
            Answer::Response(read(tokens)?)
        }
        Some(other) => {
            let expected = format!("{{{NAMESPACE}}}{}Response", tokens.operation);
            return Err(tokens.unexpected(&expected, other));
        }
    };
    if let Some(second) = tokens.child()? {
        return Err(tokens.unexpected("nothing after the response", second));
    }
    if let Some(second) = tokens.child()? {
        return Err(tokens.unexpected("nothing after the Body", second));
    }
    loop {
        match tokens.next()? {
            Token::Eof => return Ok(answer),
            Token::Text(text) if text.bytes().all(|byte| byte.is_ascii_whitespace()) => {}
            _ => return Err(tokens.flaw("E-SOAP-SHAPE", "bytes follow the answer's envelope")),
        }
    }
}

fn read_fault(tokens: &mut Tokens<'_>) -> Result<Fault> {
    let mut fault = Fault {
        code: String::new(),
        text: String::new(),
    };
    while let Some(part) = tokens.child()? {
        match part.name {
            "faultcode" => fault.code = tokens.short_text(64)?,
            "faultstring" => fault.text = tokens.short_text(FAULT_TEXT_MAX)?,
            "Code" | "Reason" => {
                while let Some(inner) = tokens.child()? {
                    match inner.name {
                        "Value" if fault.code.is_empty() => fault.code = tokens.short_text(64)?,
                        "Text" if fault.text.is_empty() => {
                            fault.text = tokens.short_text(FAULT_TEXT_MAX)?;
                        }
                        _ => tokens.skip()?,
                    }
                }
            }
            _ => tokens.skip()?,
        }
    }
    Ok(fault)
}

impl<'a> Tokens<'a> {
    /// The root element; `None` where something else comes first.
    fn first(&mut self) -> Result<Option<Start<'a>>> {
        loop {
            match self.next()? {
                Token::Start(start) => return Ok(Some(start)),
                Token::Text(text) if text.bytes().all(|byte| byte.is_ascii_whitespace()) => {}
                _ => return Ok(None),
            }
        }
    }

    /// The answer is another than the one that was asked for.
    fn unexpected(&self, expected: &str, got: Start<'_>) -> Error {
        // A name is shown only as far as it can be one.
        let name: String = got
            .name
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
            .take(80)
            .collect();
        self.flaw(
            "E-SOAP-SHAPE",
            format!("expected {expected}, got {{{}}}{name}", got.space.shown()),
        )
    }
}
