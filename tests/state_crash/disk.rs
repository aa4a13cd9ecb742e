//! A full disk, and one that may only be read: the store says so, and has everything once there is room again.

use std::fs;
use std::process::Command;

use crate::model::{Habits, Replay};
use crate::power::{Mounted, may_mount, new_image};
use crate::process::{Engine, Running, open, verify};

const IMAGE_BYTES: u64 = 48 * 1024 * 1024;
const FILLER_BYTES: usize = 12 * 1024 * 1024;

fn fills_up_and_recovers(engine: Engine) {
    let directory = tempfile::tempdir().unwrap();
    if !may_mount(directory.path()) {
        return;
    }
    let image = directory.path().join("small.img");
    new_image(&image, IMAGE_BYTES).unwrap();
    let disk = Mounted::new(&image, &directory.path().join("small")).unwrap();
    let filler = disk.place.join("filler");
    fs::write(&filler, vec![1; FILLER_BYTES]).unwrap();
    let state = disk.place.join("state");
    fs::create_dir(&state).unwrap();

    // Keys that are never written twice: the store grows until there is no room.
    let habits = Habits {
        seed: 51,
        writes: 1000,
        keys: u64::MAX / 2,
        window: 3,
        reopen: 0,
        large: true,
    };
    let mut writer = Running::start("write", engine, &state, &habits);
    let mut told = Vec::new();
    while let Some(said) = writer.next() {
        told.push(said);
    }
    writer.process.wait().unwrap();
    let durable: u64 = told
        .iter()
        .filter_map(|said| said.strip_prefix("durable "))
        .filter_map(|number| number.parse().ok())
        .max()
        .unwrap();
    let last = told.last().unwrap();
    assert!(last.starts_with("failed E-DISK"), "{last}");
    assert!(last.contains("the disk is full"), "{last}");

    let location = engine.at(&state);
    if let Err(full) = open(&location) {
        assert_eq!(full.code(), "E-DISK", "{full}");
    }
    fs::remove_file(&filler).unwrap();
    let commits = verify(&location, &habits, &mut Replay::default()).unwrap();
    assert!(
        commits >= durable,
        "{durable} acknowledged, {commits} there"
    );
    let mut writer = Running::start("write", engine, &state, &habits);
    assert!(writer.acknowledged(5).unwrap() >= durable + 5);
    writer.kill();
}

#[test]
#[ignore = "mounts loop images: make torture"]
fn h68_a_full_disk_stops_sled_and_loses_nothing() {
    fills_up_and_recovers(Engine::Sled);
}

#[test]
#[ignore = "mounts loop images: make torture"]
fn h68_a_full_disk_stops_sqlite_and_loses_nothing() {
    fills_up_and_recovers(Engine::Sqlite);
}

#[test]
#[ignore = "mounts loop images: make torture"]
fn h68_a_read_only_disk_is_said_to_be_one() {
    let directory = tempfile::tempdir().unwrap();
    if !may_mount(directory.path()) {
        return;
    }
    let image = directory.path().join("small.img");
    new_image(&image, IMAGE_BYTES).unwrap();
    let disk = Mounted::new(&image, &directory.path().join("small")).unwrap();
    for engine in [Engine::Sled, Engine::Sqlite] {
        let state = disk.place.join(format!("{engine:?}"));
        open(&engine.at(&state)).unwrap().close().unwrap();
    }
    let remount = |how: &str| {
        let status = Command::new("mount")
            .args(["-o", how])
            .arg(&disk.place)
            .status()
            .unwrap();
        assert!(status.success());
    };
    remount("remount,ro");
    for engine in [Engine::Sled, Engine::Sqlite] {
        for name in [format!("{engine:?}"), "new".to_owned()] {
            let error = open(&engine.at(&disk.place.join(name))).err().unwrap();
            assert_eq!(error.code(), "E-DISK", "{error}");
            assert!(error.message().contains("read-only"), "{error}");
        }
    }
    remount("remount,rw");
    for engine in [Engine::Sled, Engine::Sqlite] {
        let state = disk.place.join(format!("{engine:?}"));
        open(&engine.at(&state)).unwrap().close().unwrap();
    }
}
