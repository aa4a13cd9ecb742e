//! The words that every other module speaks: identities, documents, cells, times, errors, policies.
//!
//! Nothing here reads a clock, a file, a socket or a source of randomness, and nothing here is async
//! but the signature of [`World::sleep`]. A type belongs here only when two sides of the program need it.

mod document;
mod error;
mod ids;
mod layout;
mod policy;
mod record;
mod time;
mod vault;
mod vocabulary;

pub use document::{Document, Name, Node};
pub use error::{Error, ErrorKind, Result};
pub use ids::{Digest, LocalKey, RemoteId};
pub use layout::{ChangeMethod, ChildLayout, Column, ColumnKind, Layout};
pub use policy::{ConflictPolicy, DeletePolicy, Direction, Threshold};
pub use record::{BadRecord, Canonical, Cell, FieldProblem, RemoteItem, RemoteRecord};
pub use time::{Signal, Stamp, World};
pub use vault::Vault;
pub use vocabulary::{Absence, DateStyle, Mirror, Scalar, Shape, Vocabulary};
