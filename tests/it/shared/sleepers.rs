//! A worker that falls asleep in the middle of its work, is overtaken, and wakes up: it does no harm.

use std::process::{Child, Output};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::Shared;
use crate::support::{Fresh, Server};
use crate::two_way::crash::{assert_done, work};
use crate::two_way::plain;

/// Waits until the child has stopped itself; `None` where it ended instead (and is gone then).
pub fn wait_until_asleep(child: &Child) -> Option<Pid> {
    let pid = Pid::from_child(child);
    let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED)
        .expect("a child")
        .expect("a state");
    status.stopped().then_some(pid)
}

/// A run that sleeps at this checkpoint.
struct Sleeper {
    child: Child,
    pid: Pid,
}

impl Sleeper {
    // One that ended instead was waited for.
    #[allow(clippy::zombie_processes)]
    fn at(shared: &Shared, point: &str) -> Option<Self> {
        let child = shared
            .project
            .binary
            .clone()
            .with("CONTACTBRIDGE_STOP_AT", point)
            .command(&["sync", "--format", "json"])
            .spawn()
            .expect("it starts");
        let pid = wait_until_asleep(&child)?;
        Some(Self { child, pid })
    }

    /// Wakes it, and waits for its end.
    fn wake(self) -> Output {
        kill_process(self.pid, Signal::CONT).expect("it sleeps");
        self.child.wait_with_output().expect("it ends")
    }
}

#[track_caller]
fn assert_fenced(output: &Output, at: &str) {
    let said = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{at}: {said}{error}");
    assert!(said.contains("E-FENCED"), "{at}: {said}{error}");
}

/// Each place at which a run can be asleep, in turn, with customers in SQLite or on the server.
fn wherever_it_sleeps(server: Option<Server>) {
    let points = [
        "C0",
        "reserved",
        "C5",
        "send",
        "L.before",
        "L.after",
        "C8",
        "C9.state",
        "C9.database",
    ];
    for point in points {
        let mut setup = plain(10);
        if let Some(server) = server {
            match setup.on(server) {
                Some(on) => setup = on,
                None => return,
            }
        }
        let Some(shared) = Shared::made(setup) else {
            return;
        };
        let project = &shared.project;
        project.sync(0);
        work(project);
        let sleeper = Sleeper::at(&shared, point).unwrap_or_else(|| panic!("never at {point}"));
        project.line("sync -q").exits(6);
        shared.let_it_expire();
        // Another machine does all the work, and more comes afterwards.
        project.sync(0);
        assert_done(project);
        let status = shared.status();
        let writes = project.remote_writes();
        let dump = project.dump();
        assert_fenced(&sleeper.wake(), point);
        assert_eq!(
            project.remote_writes(),
            writes,
            "{point}: it sent something"
        );
        assert_eq!(project.dump(), dump, "{point}: it wrote something");
        let later = shared.status();
        assert_eq!(
            (&later["outcome"], &later["last_run"]),
            (&status["outcome"], &status["last_run"]),
            "{point}"
        );
        assert_done(project);
        project.quiet_sync(0);
    }
}

#[test]
fn h67_wherever_a_sleeper_was_overtaken_it_writes_and_sends_nothing_more() {
    wherever_it_sleeps(None);
}

#[test]
fn h67_the_same_with_customers_on_the_server() {
    wherever_it_sleeps(Some(Server::Postgres));
}

#[test]
fn h67_a_sleeper_is_fenced_off_the_database_also_by_a_run_that_writes_nothing() {
    let Some(shared) = Shared::with(10) else {
        return;
    };
    let project = &shared.project;
    project.sync(0);
    work(project);
    // About to write rows.
    let sleeper = Sleeper::at(&shared, "L.before").expect("it comes to L.before");
    shared.let_it_expire();
    // The next one fails before it writes anything: the CRM does not answer.
    project.crm.switch("unavailable=86400").expect("a switch");
    project.sync(5);
    let rows = || project.rows("SELECT * FROM customers");
    let before = rows();
    assert_fenced(&sleeper.wake(), "L.before");
    assert_eq!(before, rows());
    project.crm.clear_rules();
    project.sync(0);
    assert_done(project);
    project.quiet_sync(0);
}

#[test]
fn h67_a_plan_that_overtakes_leaves_the_sleeper_to_the_next_run() {
    let Some(shared) = Shared::with(10) else {
        return;
    };
    let project = &shared.project;
    project.sync(0);
    work(project);
    let sleeper = Sleeper::at(&shared, "L.before").expect("it comes to L.before");
    shared.let_it_expire();
    let overtaken = "SELECT overtaken::text FROM contactbridge.bridge";
    project.line("plan").exits(0);
    assert_eq!(shared.cell(overtaken), "true");
    project.sync(0);
    assert_eq!(shared.cell(overtaken), "false");
    assert_fenced(&sleeper.wake(), "L.before");
    assert_done(project);
    project.quiet_sync(0);
}

#[test]
fn h67_a_sleeper_sends_nothing_after_somebody_else_only_looked() {
    let Some(shared) = Shared::with(10) else {
        return;
    };
    let project = &shared.project;
    project.sync(0);
    work(project);
    // Announced, and about to be sent. Nothing in the customer's database tells of the one that plans.
    let sleeper = Sleeper::at(&shared, "C5").expect("it comes to C5");
    shared.let_it_expire();
    project.line("plan").exits(0);
    let writes = project.remote_writes();
    assert_fenced(&sleeper.wake(), "C5");
    assert_eq!(project.remote_writes(), writes);
    project.sync(0);
    assert_done(project);
    project.quiet_sync(0);
}

#[test]
fn a_sleeper_that_nobody_overtook_goes_on() {
    let Some(shared) = Shared::with(10) else {
        return;
    };
    let project = &shared.project;
    project.sync(0);
    work(project);
    for point in ["C5", "L.before", "C9.state"] {
        if let Some(sleeper) = Sleeper::at(&shared, point) {
            shared.let_it_expire();
            let output = sleeper.wake();
            assert_eq!(output.status.code(), Some(0), "{point}: {output:?}");
        }
    }
    assert_done(project);
    project.quiet_sync(0);
}

#[test]
fn h67_a_first_load_is_taken_over_where_it_was() {
    let Some(state) = Fresh::make(Server::Postgres) else {
        return;
    };
    let setup = plain(450).limit("rows_per_transaction: 100");
    let project = setup.state(&super::lines(&state.url())).build();
    let shared = Shared { project, state };
    let sleeper = Sleeper::at(&shared, "L.before:2").expect("it comes there");
    shared.let_it_expire();
    shared.project.sync(0);
    crate::two_way::assert_equal_sides(&shared.project);
    assert_fenced(&sleeper.wake(), "L.before:2");
    crate::two_way::assert_equal_sides(&shared.project);
    shared.project.quiet_sync(0);
}
