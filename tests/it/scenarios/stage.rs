//! What a story is played on: a bridge of one kind, the simulated service at its other end, and the database.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::Child;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde_json::Value;

use super::association::Association;
use super::contactlist::ContactList;
use super::data_sync::DataSync;
use super::database::Database;
use super::story::{Files, Orders, Rows};
use crate::support::Binary;

/// A run whose report can be read.
const SYNC: &str = "sync --format json";

/// A bridge, its service and its database.
pub trait Stage {
    fn binary(&self) -> &Binary;

    fn database(&mut self) -> &mut Database;

    /// Both sides agree about who stands in the story's folder, or have never met.
    fn agree(&mut self, folder: &Path);

    /// Turns a switch of the simulated service.
    fn switch(&mut self, text: &str) -> Result<(), String>;

    /// Ends the faults of the simulated service.
    fn calm(&mut self);

    /// Before anybody does anything in this run.
    fn begin_run(&mut self, _orders: &Orders) {}

    /// The users of the service do what stands in this folder.
    fn act(&mut self, folder: &Path);

    /// When everybody has done what the story says, and before the run.
    fn ready(&mut self, _orders: &Orders) {}

    /// The tables that every story on it must tell the end of.
    fn expects(&self) -> &'static [&'static str] {
        &["database"]
    }

    /// What the service shows in these columns, where the bridge may write to it.
    fn shown(&self, _columns: &[String]) -> Rows {
        panic!("nobody writes to this service")
    }

    /// What this kind of bridge alone has to show after a run.
    fn check(&mut self, _orders: &Orders, _files: &Files, _title: &str) {}

    /// A run that must end with this code and must write nothing.
    fn quiet(&mut self, code: i32);
}

/// Sets up what a story asks for, with the mapping in its folder or else that of its kind.
pub fn set_up(orders: &Orders, folder: &Path, shared: &Path) -> Box<dyn Stage> {
    let mapping = |of_kind: &str| {
        let own = fs::read_to_string(folder.join("mapping.yaml"));
        own.or_else(|_| fs::read_to_string(shared.join(of_kind)))
            .expect("a mapping")
    };
    match orders.one("kind") {
        None => Box::new(ContactList::new(orders, &mapping("mapping.yaml"))),
        Some("association-anywhere") => Box::new(Association::new(
            orders,
            &mapping("association-anywhere.yaml"),
        )),
        Some("data-sync") => {
            let transactions = fs::read_to_string(folder.join("transaction.yaml")).ok();
            let customers = mapping("data-sync.yaml");
            Box::new(DataSync::new(orders, &customers, transactions.as_deref()))
        }
        Some(other) => panic!("no kind {other}"),
    }
}

/// One run, which must end with this code; its report of the bridge.
pub fn sync(binary: &Binary, arguments: &str, code: i32) -> Value {
    let ran = binary.line(&format!("{SYNC} {arguments}")).exits(code);
    ran.json()["bridges"][0].clone()
}

/// Such a run that falls asleep at this checkpoint, and goes on when others have done what they do meanwhile.
pub fn sync_asleep(
    binary: &Binary,
    arguments: &str,
    code: i32,
    point: &str,
    meanwhile: impl FnOnce(),
) -> Value {
    let line = format!("{SYNC} {arguments}");
    let arguments: Vec<&str> = line.split_whitespace().collect();
    let mut child = binary
        .clone()
        .with("CONTACTBRIDGE_STOP_AT", point)
        .command(&arguments)
        .spawn()
        .expect("it starts");
    let pid = asleep(&mut child).unwrap_or_else(|| panic!("never at {point}"));
    // Whatever happens meanwhile, nobody is left asleep.
    let done = catch_unwind(AssertUnwindSafe(meanwhile));
    kill_process(pid, Signal::CONT).expect("it sleeps");
    let output = child.wait_with_output().expect("it ends");
    if let Err(panic) = done {
        resume_unwind(panic);
    }
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(code), "{said}");
    let report: Value = serde_json::from_str(&said).expect("a report");
    report["bridges"][0].clone()
}

/// Waits until the child has stopped itself; nothing where it ended instead.
fn asleep(child: &mut Child) -> Option<Pid> {
    let pid = Pid::from_child(child);
    let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED)
        .expect("a child")
        .expect("a state");
    status.stopped().then_some(pid)
}

/// A run that writes nothing to the database.
pub fn quiet(binary: &Binary, database: &Database, code: i32) {
    let before = database.dump();
    let report = sync(binary, "", code);
    for way in ["pull", "push"] {
        for count in ["created", "updated", "deleted"] {
            assert_eq!(report[way][count], 0, "{way}.{count} in {report:#}");
        }
    }
    assert_eq!(before, database.dump(), "{report:#}");
}
