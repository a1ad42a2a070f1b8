//! Beside a recorder at work, and on a disk that fails: the kernel's own errors.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::*;
use crate::support::{mounts, own::OwnCameras, passthrough::Passthrough, recorder::Site};

/// Exit code and lines of `verify --json` on a site's state.
fn verify(site: &Site) -> (i32, Vec<Value>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_custodian"));
    let out = command.args(["verify", "--json", "--state"]).arg(site.path("state")).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(!text.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    (out.status.code().unwrap(), text.lines().map(|l| serde_json::from_str(l).unwrap()).collect())
}

/// Segments are open, grow, are closed and logged meanwhile; the recorder is killed, started again and stopped.
#[test]
fn nothing_is_called_damaged_beside_a_recorder_at_work() {
    let cameras = OwnCameras::start(2);
    let site = cameras.site().with_copies();
    let intact = |when: &str| {
        let (code, lines) = verify(&site);
        assert_eq!((code, lines.len()), (0, 1), "{when}: {lines:?}");
        lines[0]["segments"].as_u64().unwrap()
    };
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    for _ in 0..15 {
        assert!(intact("while it records") >= 2);
    }
    recorder.signal(Signal::SIGKILL);
    recorder.wait(Duration::from_secs(10));
    intact("after it was killed");
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    for _ in 0..15 {
        intact("while it mends and records");
    }
    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait(Duration::from_secs(30)).success());
    assert!(intact("after it was stopped") >= 6);
}

#[test]
fn loop_a_sector_that_the_disk_does_not_give_costs_its_second() {
    if !mounts::possible() {
        return;
    }
    let school = School::new();
    let behind = school.archive.dir.path().join("behind");
    let shown = school.archive.dir.path().join("a1");
    std::fs::rename(&shown, &behind).unwrap();
    std::fs::create_dir(&shown).unwrap();
    let disk = Passthrough::mount(&behind, &shown);
    assert_eq!(school.verify(&[]).0, 0);
    // In the middle of the second fragment of gate-1's second file; others are long enough to have that byte too.
    let bytes = std::fs::read(behind.join(&school.rows[1].path)).unwrap();
    let file = custodian::store::format::read(&bytes, bytes.len() as u64).unwrap();
    let second = file.fragments[1];
    let at = second.offset + second.len / 2;
    *disk.faults().bad.lock().unwrap() = at..at + 512;
    let (code, findings, _) = school.verify(&["--volume", "a1", "--span", "2026-11-22 15:00:05/2026-11-22 15:00:07"]);
    assert_eq!((code, findings.len()), (3, 1), "{findings:?}");
    assert_eq!(told(&findings[0]), tells("gate-1", 6, 8, "unreadable"));
    assert_eq!(findings[0]["detail"], format!("at byte {at}: Input/output error (os error 5)"));
}

/// An index that nobody writes, for one who may not write beside it.
#[test]
fn loop_who_may_only_read_verifies_without_a_recorder() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let school = School::new();
    let School { archive, rows } = school;
    let Archive { dir, writer, .. } = archive;
    // As SQLite leaves it when the last one who had it open has closed it.
    drop(writer);
    assert!(!dir.path().join("index.db-wal").exists());
    assert!(Command::new("chmod").args(["-R", "a+rX"]).arg(dir.path()).status().unwrap().success());
    let program = dir.path().join("custodian");
    std::fs::copy(env!("CARGO_BIN_EXE_custodian"), &program).unwrap();
    let out = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(["verify", "--json", "--state"])
        .arg(dir.path())
        .output()
        .unwrap();
    let last: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| {
        panic!("{e}: {}", String::from_utf8_lossy(&out.stderr));
    });
    // That what was found cannot be kept is said, and no failure.
    assert_eq!((out.status.code(), &last["segments"]), (Some(0), &rows.len().into()));
    assert!(String::from_utf8_lossy(&out.stderr).contains("neither health nor the ledger hears"));
}
