//! The stacks of other make that `tests/foreign/setup.sh` installs, and the CRM and the issuer of tokens that two of them serve.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::http;

/// A file of this repository.
fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A command of a foreign stack, ready to be run; `None`, and a word about it, where the stack is not installed.
/// With CI=true it must be.
fn stack(what: &str, program: PathBuf, needed: PathBuf) -> Option<Command> {
    // A bare name is looked for in PATH when it is run; the stamp says that it was there.
    let there = program.components().count() == 1 || program.exists();
    if there && needed.exists() {
        return Some(Command::new(program));
    }
    let strict = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(
        !strict,
        "{what} is not installed: tests/foreign/setup.sh does it"
    );
    println!("SKIPPED {what}: not installed; tests/foreign/setup.sh does it");
    None
}

/// Python with zeep, about to run the driver of `tests/foreign`.
pub fn zeep() -> Option<Command> {
    let mut command = stack(
        "the Python zeep client",
        file("target/foreign/venv/bin/python"),
        file("target/foreign/python.stamp"),
    )?;
    command.arg(file("tests/foreign/client.py"));
    Some(command)
}

/// The samples of a page of metrics, as Prometheus' own Python library reads them; `None` where it is not installed.
#[track_caller]
pub fn metrics_of_other_make(page: &str) -> Option<Value> {
    let mut child = stack(
        "the Python prometheus_client",
        file("target/foreign/venv/bin/python"),
        file("target/foreign/python.stamp"),
    )?
    .arg(file("tests/foreign/metrics.py"))
    .stdin(Stdio::piped())
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .expect("python starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(page.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{page}");
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

/// A ContactList CRM served by the npm package `soap`, in SOAP 1.1 and 1.2, with dates in UTC. It ends when dropped.
pub struct ForeignCrm {
    child: Child,
    facts: Value,
}

impl ForeignCrm {
    /// Starts one with so many seeded people (External IDs `N000000` and on, ids from 5001, awkward names).
    /// `None` where node or the package is missing (and CI is not true).
    pub fn start(people: u32) -> Option<Self> {
        let mut command = stack(
            "the npm soap server",
            PathBuf::from("node"),
            file("target/foreign/node.stamp"),
        )?;
        let mut child = command
            .arg(file("tests/foreign/server.js"))
            .args(["--people", &people.to_string()])
            .env("NODE_PATH", file("target/foreign/node/node_modules"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("a line of text");
        let facts = serde_json::from_str(&line).expect("the server says where it answers");
        Some(Self { child, facts })
    }

    fn fact(&self, name: &str) -> &str {
        self.facts[name].as_str().expect(name)
    }

    /// The endpoint.
    pub fn url(&self) -> &str {
        self.fact("url")
    }

    /// The site's number.
    pub fn site_id(&self) -> i64 {
        self.facts["siteId"].as_i64().expect("a number")
    }

    /// The admin user.
    pub fn username(&self) -> &str {
        self.fact("username")
    }

    /// The admin user's password.
    pub fn password(&self) -> &str {
        self.fact("password")
    }

    /// The site's zone.
    pub fn time_zone(&self) -> &str {
        self.fact("timeZone")
    }

    fn ask(&self, method: &str, target: &str, body: &Value) -> Value {
        let address = self.url().trim_start_matches("http://");
        let address = address.split('/').next().expect("host and port");
        let address = address.parse().expect("an address");
        let headers = [("Content-Type", "application/json")];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let answer = http(address, method, target, &headers, body.as_bytes()).expect("an answer");
        assert_eq!(answer.status, 200, "{method} {target}");
        serde_json::from_slice(&answer.body).expect("JSON")
    }

    /// Everybody, as objects with the elements' names; lists stand under wrapper and item (`addresses.Address`).
    pub fn people(&self) -> Vec<Value> {
        let people = self.ask("GET", "/people", &Value::Null);
        people.as_array().expect("an array").clone()
    }

    /// Changes the person of `entityId`, or adds one where there is none, as a user of the CRM would.
    pub fn edit(&self, change: Value) -> Value {
        self.ask("POST", "/people", &change)
    }

    /// Marks a person as deleted.
    pub fn delete(&self, id: i64) {
        self.ask("DELETE", &format!("/people/{id}"), &json!(null));
    }
}

impl Drop for ForeignCrm {
    fn drop(&mut self) {
        // Its stdin ends with the handle; the kill is for one that hangs.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An OAuth2 server by the npm package `oidc-provider`. It ends when dropped.
pub struct ForeignIssuer {
    child: Child,
    facts: Value,
}

impl ForeignIssuer {
    /// Starts one whose tokens are JWTs of this algorithm, valid for so many seconds.
    /// `None` where node or the package is missing (and CI is not true).
    pub fn start(algorithm: &str, seconds: u32) -> Option<Self> {
        let mut command = stack(
            "the npm oidc-provider",
            PathBuf::from("node"),
            file("target/foreign/idp.stamp"),
        )?;
        let mut child = command
            .arg(file("tests/foreign/idp/server.js"))
            .args(["--algorithm", algorithm, "--seconds", &seconds.to_string()])
            .env("NODE_PATH", file("target/foreign/idp/node_modules"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("a line of text");
        let facts = serde_json::from_str(&line).expect("the server says where it answers");
        Some(Self { child, facts })
    }

    /// `issuer`, `token`, `jwks` or `audience`.
    pub fn fact(&self, name: &str) -> &str {
        self.facts[name].as_str().expect(name)
    }

    /// The id and the secret of its client; the secret holds what forms and headers give a meaning.
    pub fn client(&self) -> (&str, &str) {
        let part = |name| self.facts["client"][name].as_str().expect("a text");
        (part("id"), part("secret"))
    }
}

impl Drop for ForeignIssuer {
    fn drop(&mut self) {
        // It ends with its stdin, too; waiting for it leaves no zombie.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
