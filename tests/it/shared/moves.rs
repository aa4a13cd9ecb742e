//! `state move` between sled, SQLite and PostgreSQL, in all directions, through the real binary.

use super::{KEY, key_line, lines};
use crate::support::{Fresh, Project, Server};
use crate::two_way::{assert_equal_sides, plain};

/// What the state knows, as a user can see it.
fn known(project: &Project) -> (String, String) {
    let links = project.line("links export").exits(0).stdout;
    let held = project.line("review list --format json").exits(0).stdout;
    (links, held)
}

#[test]
fn a_state_goes_through_all_stores_and_loses_nothing() {
    let (Some(one), Some(two)) = (Fresh::make(Server::Postgres), Fresh::make(Server::Postgres))
    else {
        return;
    };
    let key = format!("\n{}", key_line(KEY));
    let project = plain(30)
        .key("conflicts: review")
        .state(&format!("state{key}"))
        .build();
    project.sync(0);
    project.sql("UPDATE customers SET last_name = 'Locally' WHERE customer_no = 'M000004'");
    project
        .crm
        .edit(project.contact("M000004").entity_id, |person| {
            person.last_name = Some("Remotely".into())
        });
    project.sync(3);
    let before = known(&project);
    assert!(before.1.contains("last_name"), "{before:?}");
    let shown = |fresh: &Fresh| fresh.url().replace("postgres@", "");
    let first = one.url();
    let again = format!("{}?schema=again", one.url());
    let second = two.url();
    let mut at = "state".to_owned();
    let mut keys = None;
    for to in [
        first.as_str(),
        "sqlite:lite",
        again.as_str(),
        second.as_str(),
        "back",
    ] {
        // A password on the way is taken from the environment, and said nowhere.
        let (word, binary) = match to.strip_prefix("postgres://postgres@") {
            Some(rest) => (
                format!("postgres://postgres:${{PASSWORD}}@{rest}"),
                project.binary.clone().with("PASSWORD", "hunter2"),
            ),
            None => (to.to_owned(), project.binary.clone()),
        };
        let moved = binary
            .run(&[
                "state", "move", "members", "--to", &word, "--format", "json",
            ])
            .exits(0);
        assert!(!format!("{moved:?}").contains("hunter2"), "{moved:?}");
        let count = moved.json()["keys"].as_u64().expect("a count");
        assert_eq!(*keys.get_or_insert(count), count, "{to}");
        // The old store is refused, and says where to look.
        let refused = project.line("sync").exits(7).complains("E-STATE-MOVED");
        let place = match to {
            to if to == second => shown(&two),
            to if to == first || to == again => shown(&one),
            to => to.trim_start_matches("sqlite:").to_owned(),
        };
        assert!(refused.stderr.contains(&place), "{place}: {refused:?}");
        let quoted = if to.contains("//") {
            format!("\"{to}\"")
        } else {
            to.to_owned()
        };
        project.edit(
            "bridge.yaml",
            &format!("state: {at}\n"),
            &format!("state: {quoted}\n"),
        );
        at = quoted;
        assert_eq!(known(&project), before, "{to}");
        project.quiet_sync(3);
        project.run_move(to).exits(2).complains("E-STATE-SAME");
    }
    let id = project.line("review list --format json").json()[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    // What was sealed before five moves is still opened.
    project
        .line(&format!("review show {id}"))
        .exits(0)
        .says("Remotely");
    project
        .line(&format!("review resolve {id} --take local"))
        .exits(0);
    project.sync(0);
    assert_equal_sides(&project);
}

impl Project {
    fn run_move(&self, to: &str) -> crate::support::Ran {
        self.binary.run(&["state", "move", "members", "--to", to])
    }
}

#[test]
fn what_can_not_be_moved_is_said_and_left_alone() {
    let Some(state) = Fresh::make(Server::Postgres) else {
        return;
    };
    // A key in a file of ours would be lost on the way.
    let project = plain(5).build();
    project.sync(0);
    project
        .run_move(&state.url())
        .exits(2)
        .complains("E-STATE-KEY")
        .complains("state_key");
    project.sync(0);
    project.edit(
        "bridge.yaml",
        "state: state\n",
        "state: state\nstate_key: ${file:state/key}\n",
    );
    project.sync(0);
    project.run_move(&state.url()).exits(0);

    // What another bridge of that name has there stays.
    let other = plain(5).state(&format!("state\n{}", key_line(KEY))).build();
    other.sync(0);
    other
        .run_move(&state.url())
        .exits(2)
        .complains("E-STATE-EXISTS");
    other.sync(0);
    other
        .run_move("postgres://localhost:1/x")
        .exits(5)
        .complains("E-STATE-UNREACHABLE");
    other
        .run_move("postgres://u:${NOT_SET}@localhost/x")
        .exits(2)
        .complains("NOT_SET");
    other.sync(0);
}

#[test]
fn a_move_that_was_cut_is_refused_to_runs_and_finished_by_the_same_command() {
    let Some(state) = Fresh::make(Server::Postgres) else {
        return;
    };
    let project = plain(20)
        .state(&format!("state\n{}", key_line(KEY)))
        .build();
    project.sync(0);
    project.run_move(&state.url()).exits(0);
    // As it is when the last step did not come to be.
    state.run("UPDATE contactbridge.store SET arriving = true");
    project.line("sync").exits(7).complains("E-STATE-MOVED");
    let moved = format!("state: {}\n", lines(&state.url()));
    let old = format!("state: state\n{}\n", key_line(KEY));
    project.edit("bridge.yaml", &old, &moved);
    project.line("sync").exits(7).complains("E-STATE-ARRIVING");
    project.edit("bridge.yaml", &moved, &old);
    project.run_move(&state.url()).exits(0);
    project.edit("bridge.yaml", &old, &moved);
    project.quiet_sync(0);
}
