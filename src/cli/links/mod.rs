//! `contactbridge links list|export|import`: which row is which contact.

mod cell;
mod table;
