//! Records flow through the real binary, both ways, and then nothing moves any more.

mod first_load;
mod oracle;
