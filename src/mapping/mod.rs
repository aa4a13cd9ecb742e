//! Mapping files: from YAML to rules, and from documents to rows and back.
//!
//! A mapping is read (`file`), held against the vocabulary of its kind of remote (`compile`, with `sources`, `typing`,
//! `parts` and `collisions`), tried against its round-trip
//! laws (`laws`) and then applied to records (`apply`, `children`, and `compose` for whole ones). It is pure: no clock, no randomness, no store, no
//! network; and it logs nothing, because it sees values. It must not know links, bases or policies beyond naming them.

mod apply;
mod children;
mod collisions;
mod compile;
mod compose;
mod convert;
mod dates;
mod email;
mod file;
mod fingerprint;
mod laws;
mod lens;
mod normalize;
mod parts;
mod path;
mod rules;
mod sources;
mod template;
mod typing;
mod values;

#[cfg(test)]
mod tests;

pub use children::CHILD_PARTS_MAX;
pub use email::{EMAIL_MAX, LOCAL_PART_MAX, email_key};
pub use file::{CHILDREN_MAX, FIELDS_MAX, KEY_LISTS};
pub use laws::LawBreach;
pub use path::PATH_NAMES_MAX;
pub use rules::{ChildPart, ChildRule, Field, Mapping, Role};
pub use template::TEMPLATE_PIECES_MAX;
pub use values::VALUES_MAX;
