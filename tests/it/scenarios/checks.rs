//! What a run must have said of itself, whatever the bridge.

use std::collections::BTreeMap;

use serde_json::Value;

use super::story::Orders;
use crate::support::Binary;

/// The lists of what waits for a person.
const LISTS: [&str; 2] = ["review", "quarantine"];

/// Every count that the story does not name must be 0, but for what was merely read or unchanged.
pub fn check_report(title: &str, orders: &Orders, report: &Value) {
    let wanted: BTreeMap<&str, u64> = orders
        .all("report")
        .map(|line| {
            let (name, count) = line.split_once(' ').expect("a name and a count");
            (name, count.trim().parse().expect("a count"))
        })
        .collect();
    let mut names = vec![
        "conflicts".to_owned(),
        "review".into(),
        "quarantined".into(),
    ];
    for way in ["pull", "push"] {
        for count in ["created", "updated", "deleted", "held"] {
            names.push(format!("{way}.{count}"));
        }
    }
    for name in wanted.keys() {
        assert!(
            names.iter().any(|known| known == name),
            "{title}: no {name}"
        );
    }
    for name in &names {
        let pointer = format!("/{}", name.replace('.', "/"));
        let count = report.pointer(&pointer).and_then(Value::as_u64);
        let wanted = wanted.get(name.as_str()).copied().unwrap_or(0);
        assert_eq!(count, Some(wanted), "{title}: {name} in {report:#}");
    }
    if let Some(guard) = orders.one("guard") {
        assert_eq!(report["guard"], guard, "{title}: {report:#}");
    }
    let error = report["error"].as_str().unwrap_or_default();
    match orders.one("error") {
        Some(code) => assert!(error.starts_with(code), "{title}: {report:#}"),
        // A run that was stopped or failed says so with its exit code.
        None => assert!(
            error.is_empty() || orders.one("exit").is_some(),
            "{title}: {report:#}"
        ),
    }
}

/// Each of these codes waits for a person, and nothing else does; what stands behind a code is shown with it.
pub fn check_held(title: &str, orders: &Orders, binary: &Binary) {
    for list in LISTS {
        let waiting = waiting(binary, list);
        let mut codes: Vec<&str> = waiting.iter().map(|(code, _)| code.as_str()).collect();
        let mut wanted = Vec::new();
        for line in orders.all(list) {
            let (code, text) = line.split_once(' ').unwrap_or((line, ""));
            wanted.push(code);
            let shows = |id: &String| binary.line(&format!("{list} show {id}")).exits(0).stdout;
            let shown = waiting
                .iter()
                .filter(|(known, _)| known == code)
                .any(|(_, id)| text.is_empty() || shows(id).contains(text));
            assert!(shown || text.is_empty(), "{title}: no {code} shows {text}");
        }
        codes.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(codes, wanted, "{title}: {list} list");
    }
}

/// Code and id of everything that waits.
fn waiting(binary: &Binary, list: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = binary.line(&format!("{list} list --format json")).exits(0);
    let list = list.json();
    let list = list.as_array().expect("a list").iter();
    list.map(|held| (text(&held["code"]), text(&held["id"])))
        .collect()
}

/// Runs a command of the story. A code in it stands for the id of what waits under that code.
pub fn command(binary: &Binary, line: &str) {
    let list = line.split(' ').next().unwrap_or_default();
    let ids = match LISTS.contains(&list) {
        true => waiting(binary, list),
        false => Vec::new(),
    };
    let word = |word| {
        let known = ids.iter().find(|(code, _)| code == word);
        known.map_or(word, |(_, id)| id.as_str())
    };
    let words: Vec<&str> = line.split_whitespace().map(word).collect();
    binary.run(&words).exits(0);
}
