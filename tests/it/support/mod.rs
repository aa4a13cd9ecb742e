//! What every module of this binary builds its scenes from.

mod binary;

pub use binary::{Binary, Ran};
