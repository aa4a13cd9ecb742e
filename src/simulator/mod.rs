//! The services on loopback, with seeded people and switchable faults.
