//! Commands beside the service: answered by it as if it were not there, or refused with its name.

use std::io::Read;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{second_bridge, setup, status};
use crate::support::{Project, Ran, Service, eventually};

/// One conflict that waits, one that was settled by a policy before, and one record in quarantine.
fn troubled(project: &Project) {
    project.sync(0);
    let contact = |row: u32| -> i32 {
        let query = format!("SELECT remote_id FROM contactbridge_links WHERE row_key = {row}");
        project.cell(&query).parse().expect("an id")
    };
    project.sql("UPDATE customers SET last_name = 'Locally', first_name = 'Too' WHERE id = 4");
    project.crm.edit(contact(4), |person| {
        person.last_name = Some("Remotely".into());
        person.first_name = Some("As well".into());
    });
    let id = contact(9);
    let body = format!(
        "<entityId>{id}</entityId><deleted>false</deleted><firstName>Poisoned&#1;</firstName><dateOfBirth>0001-01-01T00:00:00</dateOfBirth><createDate>2024-01-01T00:00:00</createDate><lastUpdateDate>2026-01-01T00:00:00</lastUpdateDate><MasterOptIn>false</MasterOptIn>"
    );
    project.crm.edit(id, |person| person.verbatim = Some(body));
    project.sync(3);
}

fn id_of(project: &Project, list: &str) -> String {
    let list = project
        .line(&format!("{list} --format json"))
        .exits(0)
        .json();
    list[0]["id"].as_str().expect("an id").to_owned()
}

/// What a command does and says, without what differs between any two runs of it: names of runs, times, ages, holders.
fn seen(ran: &Ran) -> (Option<i32>, String, String) {
    let Ok(mut json) = serde_json::from_str::<Value>(&ran.stdout) else {
        let text = ran
            .stdout
            .lines()
            .map(|line| match line.rsplit_once(" s)") {
                Some((head, "")) => head.rsplit_once(", ").expect("requests and seconds").0,
                _ => line,
            });
        return (
            ran.code,
            text.collect::<Vec<_>>().join("\n"),
            ran.stderr.clone(),
        );
    };
    if let Some(run) = json.get_mut("run") {
        *run = Value::Null;
    }
    for bridge in json
        .get_mut("bridges")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        bridge["seconds"] = Value::Null;
        // Up to the second at which the service answered.
        bridge["watermark"] = Value::Null;
    }
    (ran.code, json.to_string(), ran.stderr.clone())
}

#[test]
fn what_the_service_answers_is_what_the_command_would_have_said_alone() {
    for state in ["state", "sqlite:state"] {
        let project = setup().state(state).key("conflicts: review").build();
        troubled(&project);
        let (review, stuck) = (
            id_of(&project, "review list"),
            id_of(&project, "quarantine list"),
        );
        let lines = [
            "review list".to_owned(),
            "review list --format json".into(),
            "review list members --format json".into(),
            "review list --settled --format json".into(),
            format!("review show {review}"),
            format!("review show {review} --format json"),
            "review show members:0123456789".into(),
            "review show nonsense".into(),
            "review list elsewhere".into(),
            format!("review resolve {review} --separate"),
            "quarantine list".into(),
            "quarantine list --format json".into(),
            format!("quarantine show {stuck}"),
            format!("quarantine show {stuck} --format json"),
            format!("quarantine discard {stuck} members:0123456789"),
            "quarantine retry members:0123456789 --format json".into(),
            "sync".into(),
            "sync -q".into(),
            "sync members --format json".into(),
            "sync --format json --accept deletes".into(),
            "sync --since 2001-01-01 --format json".into(),
            "sync --since 2999-01-01 --format json".into(),
            "sync --since nonsense".into(),
            "sync elsewhere".into(),
            "sync --log-format json".into(),
        ];
        // Twice: the first time each may find something to do.
        let mut alone = Vec::new();
        for _ in 0..2 {
            alone = lines.iter().map(|line| project.line(line)).collect();
        }
        let service = Service::start(&project.binary);
        for (line, alone) in lines.iter().zip(&alone) {
            let through = project.line(line);
            assert_eq!(seen(&through), seen(alone), "{line} under state: {state}");
        }
        let said = service.stop();
        let passes = said
            .iter()
            .filter(|line| line.contains("a pass ended"))
            .count();
        // It was the service that made the passes: none of its own, there is no schedule.
        assert_eq!(passes, 6, "{said:#?}");
    }
}

#[test]
fn a_person_settles_things_through_the_service() {
    let project = setup().key("conflicts: review").build();
    troubled(&project);
    let (review, stuck) = (
        id_of(&project, "review list"),
        id_of(&project, "quarantine list"),
    );
    let service = Service::start(&project.binary);
    assert_eq!(
        (
            &status(&project, 0)["review"],
            &status(&project, 0)["quarantined"]
        ),
        (&1.into(), &1.into())
    );
    project
        .line(&format!("review resolve {review} --take remote"))
        .exits(0)
        .quietly()
        .says("is settled; the next `contactbridge sync members` carries it out");
    let ran = project
        .line(&format!("quarantine discard {stuck} --format json"))
        .exits(0)
        .quietly();
    assert_eq!(ran.json(), serde_json::json!({ "discarded": [stuck] }));
    // What status shows follows at once.
    assert_eq!(
        (
            &status(&project, 0)["review"],
            &status(&project, 0)["quarantined"]
        ),
        (&0.into(), &0.into())
    );
    let report = project.sync(0);
    assert_eq!(report["review"], 0, "{report}");
    assert_eq!(
        project.cell("SELECT last_name FROM customers WHERE id = 4"),
        "Remotely"
    );
    project
        .line(&format!("quarantine retry {stuck}"))
        .exits(0)
        .quietly();
    assert_eq!(project.sync(3)["quarantined"], 1);
    service.stop();
}

#[test]
fn commands_that_would_write_beside_it_end_with_6_and_say_who_holds_the_bridge() {
    let project = setup().build();
    project.sync(0);
    let csv = project.line("links export").exits(0).stdout;
    let service = Service::start(&project.binary);
    let holder = format!("`contactbridge run` (pid {}", service.pid());
    for line in [
        "plan",
        "plan members",
        "reseed members",
        "reseed members --to 2001-01-01",
        "reseed members --relink",
        "journal remove members",
        "state move members --to sqlite:elsewhere",
    ] {
        project
            .line(line)
            .exits(6)
            .complains(&holder)
            .complains("Stop it");
    }
    project
        .binary
        .line_fed("links import -", csv.as_bytes())
        .exits(6)
        .complains(&holder);
    assert_eq!(status(&project, 0)["lease"]["pid"], service.pid());
    // What only reads the database is no business of the service.
    project.line("links list").exits(0);
    project.line("check").exits(0);
    service.stop();
    project.line("reseed members").exits(0);
}

#[test]
fn a_second_service_on_the_same_state_ends_with_6() {
    let project = setup().build();
    let service = Service::start(&project.binary);
    project
        .line("run")
        .exits(6)
        .complains("E-RUN-LOCKED")
        .complains(&format!("(pid {})", service.pid()));
    project.sync(0);
    service.stop();
    Service::start(&project.binary).stop();
}

#[test]
fn bridges_that_it_does_not_hold_are_opened_as_ever() {
    let project = setup().build();
    second_bridge(&project);
    project.line("sync").exits(0);
    let text = std::fs::read_to_string(project.path("bridge.yaml")).expect("the file");
    let text = text.replace("  others:\n", "  others:\n    enabled: false\n");
    std::fs::write(project.path("bridge.yaml"), text).expect("the file");
    let service = Service::start(&project.binary);
    let json = project.line("sync --format json").exits(0).json();
    assert_eq!(json["bridges"].as_array().expect("a list").len(), 1);
    project.line("review list others").exits(0);
    project.line("links list others").exits(0);
    assert!(status(&project, 1)["lease"].is_null());
    service.stop();
}

#[test]
fn ctrl_c_of_a_command_stops_the_pass_that_it_asked_for_and_no_more() {
    let project = setup().crm(|options| options.people = 400).build();
    let service = Service::start(&project.binary);
    project.crm.switch("delay=300ms").expect("a switch");
    let asked = |project: &Project| {
        let mut child = project
            .binary
            .command(&["sync", "--format", "json", "-v"])
            .spawn()
            .expect("it starts");
        // With -v it says that the pass is under way.
        let mut stderr = child.stderr.take().expect("a pipe");
        let mut said = [0; 8];
        stderr.read_exact(&mut said).expect("a message");
        (child, stderr)
    };
    let (child, _stderr) = asked(&project);
    kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    let json: Value = serde_json::from_slice(&output.stdout).expect("one document");
    let error = json["bridges"][0]["error"].as_str().expect("an error");
    assert!(error.starts_with("E-INTERRUPTED"), "{json}");
    eventually("it is recorded", || {
        status(&project, 0)["outcome"] == "failed"
    });

    // A command that is killed leaves its pass to its end.
    let (mut child, _stderr) = asked(&project);
    child.kill().expect("a child");
    child.wait().expect("a child");
    project.crm.clear_rules();
    eventually("the pass ends well", || {
        status(&project, 0)["outcome"] == "ok"
    });
    assert_eq!(project.cell("SELECT count(*) FROM customers"), "400");
    service.stop();
}
