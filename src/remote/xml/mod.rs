//! XML, strictly and under limits: what every kind of service reads its answers with.
//!
//! [`Tokens`] takes a whole answer or, as [`Windows`] does, one that is still arriving. It must not interpret what it reads.

mod attributes;
mod character;
mod tokens;
mod windows;

pub(super) use attributes::attributes;
pub(super) use character::{
    BOM, FORBIDDEN, OVERRIDE, UNDECODABLE, forbidden, is_override, is_utf8, is_xml_char, readable,
};
pub use tokens::{
    AnswerLimits, DEFAULT_ATTRIBUTES_MAX, DEFAULT_DEPTH_MAX, DEFAULT_ELEMENTS_MAX,
    DEFAULT_RECORD_MAX, DEFAULT_TEXT_MAX, PIECES_PER_ELEMENT,
};
pub(super) use tokens::{Manner, Tag, Token, Tokens, flaw};
pub(super) use windows::Windows;
