//! The Quick start of the README.

use crate::support::Binary;

fn files(directory: &std::path::Path) -> Vec<String> {
    std::fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}

#[test]
fn the_demo_ends_well_and_leaves_no_trace() {
    let directory = tempfile::tempdir().expect("a directory");
    let temporary = tempfile::tempdir().expect("a directory");
    let binary =
        Binary::at(directory.path()).with("TMPDIR", temporary.path().to_str().expect("a path"));
    let ran = binary.line("demo").exits(0).quietly();
    for title in [
        "1. First load",
        "2. Edits on both sides",
        "3. A conflict",
        "5. Deletions",
        "6. A quiet run",
    ] {
        assert!(ran.stdout.contains(title), "{}", ran.stdout);
    }
    assert_eq!(files(temporary.path()), Vec::<String>::new());
    assert_eq!(files(directory.path()), Vec::<String>::new());
}

#[test]
fn the_demo_keeps_its_directory_when_asked_to() {
    let temporary = tempfile::tempdir().expect("a directory");
    let binary =
        Binary::at(temporary.path()).with("TMPDIR", temporary.path().to_str().expect("a path"));
    let json = binary
        .line("demo --keep --format json")
        .exits(0)
        .quietly()
        .json();
    let kept = json["directory"].as_str().expect("a directory");
    let mut there = files(std::path::Path::new(kept));
    there.sort();
    assert!(
        there.contains(&"bridge.yaml".to_owned()) && there.contains(&"customers.db".to_owned()),
        "{there:?}"
    );
    let first = &json["steps"][0]["report"];
    assert_eq!(first["pull"]["created"], 250);
    assert_eq!(json["steps"][5]["report"]["outcome"], "ok");
}

#[test]
fn the_demo_of_data_sync_ends_well_and_leaves_no_trace() {
    let temporary = tempfile::tempdir().expect("a directory");
    let binary =
        Binary::at(temporary.path()).with("TMPDIR", temporary.path().to_str().expect("a path"));
    let json = binary
        .line("demo --kind data-sync --format json")
        .exits(0)
        .quietly()
        .json();
    let steps = json["steps"].as_array().expect("steps");
    assert_eq!(steps.len(), 5, "{json:#}");
    assert_eq!(steps[0]["report"]["pull"]["created"], 250);
    assert_eq!(steps[2]["title"], "A message that comes twice");
    assert_eq!(steps[3]["report"]["push"]["created"], 1);
    assert_eq!(files(temporary.path()), Vec::<String>::new());
}
