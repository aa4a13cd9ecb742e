//! What seeded people of every kind are called: names with apostrophes, hyphens, ampersands and letters beyond ASCII among them.

/// First names.
pub(super) const FIRST_NAMES: [&str; 10] = [
    "Maren",
    "Łukasz",
    "D'Arcy",
    "José",
    "Siobhán",
    "Zoë",
    "Ngozi",
    "Björn",
    "Mary-Jane",
    "Wei",
];

/// Last names.
pub(super) const LAST_NAMES: [&str; 10] = [
    "Quill",
    "Müller",
    "O'Neil",
    "Nguyễn",
    "van der Berg",
    "Brown & Co",
    "Ørsted",
    "Lee",
    "García",
    "Smith-Jones",
];
