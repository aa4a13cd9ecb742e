//! The real binary with its state in PostgreSQL. Two machines are two processes: nothing but the server is between them.
//!
//! No test waits for a lease to run out by the clock, but for those that are about that: the others make it run out in the server.

mod audit;
mod commands;
mod leases;
mod moves;
mod sleepers;
mod workers;

use std::process::Child;

use crate::support::{Fresh, Project, Server, Setup};
use crate::two_way::plain;

/// What seals the state.
pub const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// `state_key:`; what a variable gives is not warned of as a secret that stands in the file.
pub fn key_line(key: &str) -> String {
    format!("state_key: ${{STATE_KEY:-{key}}}")
}

/// `state:` and `state_key:` for this address.
pub fn lines(url: &str) -> String {
    format!("\"{url}\"\n{}", key_line(KEY))
}

/// A project whose state is in a database of its own.
pub struct Shared {
    pub project: Project,
    pub state: Fresh,
}

impl Shared {
    /// `people` in the CRM, customers in SQLite; `None` where no server runs.
    pub fn with(people: u32) -> Option<Self> {
        Self::made(plain(people))
    }

    pub fn made(setup: Setup) -> Option<Self> {
        let state = Fresh::make(Server::Postgres)?;
        let project = setup.state(&lines(&state.url())).build();
        Some(Self { project, state })
    }

    /// The holder falls silent for longer than its lease, as far as the server can see.
    pub fn let_it_expire(&self) {
        self.state.run(
            "UPDATE contactbridge.bridge SET until = clock_timestamp() - interval '1 second' WHERE holder IS NOT NULL",
        );
    }

    /// The only cell of a query in the state's database.
    #[track_caller]
    pub fn cell(&self, sql: &str) -> String {
        self.state
            .rows(sql)
            .concat()
            .pop()
            .flatten()
            .unwrap_or_default()
    }

    /// What `status` says of the bridge.
    #[track_caller]
    pub fn status(&self) -> serde_json::Value {
        let ran = self.project.line("status --format json").exits(0);
        ran.json()[0].clone()
    }

    /// Starts a sync whose first call waits for long, and comes back when it holds the bridge.
    pub fn start_held(&self) -> Child {
        self.project.crm.switch("delay=20s").expect("a switch");
        let mut child = self
            .project
            .binary
            .command(&["sync", "--format", "json"])
            .spawn()
            .expect("it starts");
        while self.status()["lease"].is_null() {
            let ended = child.try_wait().expect("a child");
            assert!(ended.is_none(), "it ended before it held the bridge");
        }
        child
    }
}
