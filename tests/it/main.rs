//! The one integration binary. It goes through the public API or the real binary only.
//!
//! - `support`: a temporary project, the real binary run in it, and the customer's database looked at from outside
//! - `contactlist_wire`: every recorded exchange of `tests/data/contactlist`
//! - `association_anywhere_wire`: every written answer of `tests/data/association_anywhere`
//! - `cli`: each command by its help, its exit codes and its bad inputs
//! - `foreign`: SOAP stacks of other make against our simulator, and our client against a server of theirs
//! - `crm_answers`: whatever a CRM may answer, a run fails with its reason or holds one record
//! - `crm_records`: one record that can not be taken, among others that can
//! - `crm_tls`: certificates
//! - `foreign_sync`: the whole bridge against a SOAP server of another make
//! - `data_sync`: both ends of Data Sync through the public API, with an OAuth2 server of another make
//! - `disk`: full and read-only disks
//! - `guards`: what stops a run before anything is written
//! - `kill`: runs that are killed at random moments
//! - `messages`: bridges of Data Sync, receiving and sending
//! - `run`: the service that stays: schedules, commands that it answers, signals, pages
//! - `servers`: the same with the customer's database on PostgreSQL and MariaDB
//! - `two_way`: records flow both ways through the real binary, and then nothing moves any more
//! - `shared`: a state in PostgreSQL that machines share: leases, sleepers, moves, every command
//! - `shadow`: bridges to a service that queues what changed
//! - `simulator`: the simulated services by hand-written requests: operations, paging, quirks, faults, the commands
//! - `scenarios`: the stories of `tests/scenarios`
#![allow(clippy::disallowed_methods)]

mod association_anywhere_wire;
mod cli;
mod contactlist_wire;
mod crm_answers;
mod crm_records;
mod crm_tls;
mod data_sync;
mod disk;
mod foreign;
mod foreign_sync;
mod guards;
mod kill;
mod messages;
mod run;
mod scenarios;
mod servers;
mod shadow;
mod shared;
mod simulator;
mod support;
mod two_way;
