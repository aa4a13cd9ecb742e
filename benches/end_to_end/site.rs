//! The CRM of a measurement: the simulator in a process of its own, so that neither its time nor its memory is counted.
//!
//! The benchmark starts itself again with the word `site`; one line of JSON tells where it listens, and one line on stdin
//! is one command, answered with one line.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use contactbridge::simulator::contactlist::{
    ContactListSimulator, Introduction, Operation, Options, Profile,
};

/// What it is told on the command line.
pub const WORD: &str = "site";

/// A running site; it ends with this value.
pub struct Site {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Where it listens, and who may come in.
    pub endpoint: String,
    pub site_id: i64,
    pub username: String,
    pub password: String,
}

/// Requests that arrived, by what they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Requests {
    pub lists: u64,
    pub look_ups: u64,
    pub pushes: u64,
}

impl Site {
    /// A site of `people`, each of whose answers takes `latency_ms` at least.
    pub fn start(people: u32, latency_ms: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
            .args([WORD, &people.to_string(), &latency_ms.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the site starts");
        let mut answers = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        answers.read_line(&mut line).expect("the site speaks");
        let facts: serde_json::Value = serde_json::from_str(&line).expect("one line of JSON");
        let text = |name: &str| facts[name].as_str().expect("a text").to_owned();
        Self {
            commands: child.stdin.take(),
            child,
            answers,
            endpoint: text("endpoint"),
            site_id: facts["site_id"].as_i64().expect("a number"),
            username: text("username"),
            password: text("password"),
        }
    }

    fn ask(&mut self, command: &str) -> String {
        let commands = self.commands.as_mut().expect("open until the end");
        writeln!(commands, "{command}").expect("the site listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the site answers");
        line
    }

    /// Gives `count` people another first name, from the one with the number `from` on.
    pub fn edit(&mut self, from: u32, count: u32) {
        let done = self.ask(&format!("edit {from} {count}"));
        assert_eq!(done.trim().parse(), Ok(count), "everybody is there");
    }

    /// The requests since the last call of this.
    pub fn requests(&mut self) -> Requests {
        let line = self.ask("requests");
        let counts: Vec<u64> = line
            .split_whitespace()
            .map(|count| count.parse().expect("a number"))
            .collect();
        Requests {
            lists: counts[0],
            look_ups: counts[1],
            pushes: counts[2],
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // The end of its stdin ends it.
        drop(self.commands.take());
        let _ = self.child.wait();
    }
}

/// The process itself: `site PEOPLE LATENCY_MS`.
pub fn serve(arguments: &[String]) {
    let number = |at: usize| -> u64 { arguments[at].parse().expect("a number") };
    let simulator = ContactListSimulator::start(Options {
        people: u32::try_from(number(0)).expect("a number of people"),
        profile: Profile::Plain,
        latency: Duration::from_millis(number(1)),
        ..Options::default()
    })
    .expect("a free port");
    let facts = serde_json::to_string(&Introduction::of(&simulator)).expect("plain facts");
    println!("{facts}");
    for line in std::io::stdin().lines() {
        let Ok(line) = line else { return };
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["edit", from, count] => {
                let (from, count): (u32, u32) = (
                    from.parse().expect("a number"),
                    count.parse().expect("a number"),
                );
                let edited = (from..from + count)
                    .filter(|number| {
                        let found = simulator.by_external(&format!("M{number:06}"));
                        found.first().is_some_and(|person| {
                            simulator.edit(person.entity_id, |person| {
                                let name = person.first_name.take().unwrap_or_default();
                                person.first_name = Some(format!("{name} (new)"));
                            })
                        })
                    })
                    .count();
                println!("{edited}");
            }
            ["requests"] => {
                use Operation::*;
                let sum = |operations: &[Operation]| -> u64 {
                    operations.iter().map(|one| simulator.count(*one)).sum()
                };
                println!(
                    "{} {} {}",
                    sum(&[ContactListRetrieve]),
                    sum(&[
                        RetrieveByEntityId,
                        RetrieveByExternalId,
                        RetrieveByEmailAddress
                    ]),
                    sum(&[
                        ContactListUpdateInsert,
                        DeleteByEntityId,
                        DeleteByEmailAddress
                    ]),
                );
                simulator.clear_log();
            }
            _ => println!("?"),
        }
    }
}
