//! Rounds through all footage, the pace, the progress, and what is kept of it.

use std::{
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use custodian::{
    store::{format, index::Cursor},
    types::WallNs,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::*;
use crate::support::wait_for;

impl School {
    fn kept(&self, file: &str) -> Option<Value> {
        let path = self.archive.dir.path().join("verify").join(file);
        std::fs::read(path).ok().map(|text| serde_json::from_slice(&text).unwrap())
    }

    fn spawn(&self, args: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_custodian"));
        command.arg("verify").args(args).arg("--state").arg(self.archive.dir.path()).env("LC_ALL", "en_US.UTF-8");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Damages a file's last fragment; answers the camera and the time of it.
    fn damage_end(&self, row: usize) -> (String, WallNs, WallNs) {
        let mut bytes = self.bytes(row);
        let file = format::read(&bytes, bytes.len() as u64).unwrap();
        let last = file.fragments.last().unwrap();
        bytes[usize::try_from(last.end()).unwrap() - 1] ^= 1;
        self.write(row, &bytes);
        let span = last.corrected(&file.head.run);
        (file.head.run.stream.camera.to_string(), span.start, span.end)
    }

    /// What lies in the ledger's spool.
    fn words(&self) -> Vec<Value> {
        let spool = self.archive.dir.path().join("ledger-spool");
        let files = std::fs::read_dir(spool).into_iter().flatten().map(|e| e.unwrap().path());
        files.map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()).collect()
    }
}

#[test]
fn a_round_is_made_once_in_a_while_and_an_interrupted_one_goes_on() {
    let school = School::new();
    let total: u64 = school.rows.iter().map(|r| r.bytes).sum();
    // The one that is read first.
    let place = |n: &usize| Cursor::of(&school.rows[*n]);
    let damaged = (0..school.rows.len()).min_by_key(place).unwrap();
    let (camera, from, to) = school.damage_end(damaged);
    // At this pace it takes a minute; it is stopped once something is behind it.
    let rate = format!("{}B/s", total / 60);
    let child = school.spawn(&["--scrub", "--json", "--rate", &rate]);
    wait_for("the damaged first segment to be passed", Duration::from_secs(50), || {
        // Reading goes on; what is open of the child says where it is.
        let open = std::fs::read_dir(format!("/proc/{}/fd", child.id())).ok()?;
        let name = school.path(damaged).file_name().unwrap().to_owned();
        let reading = open.flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok());
        let passed = reading
            .into_iter()
            .any(|path| path.extension().is_some_and(|e| e == "mp4") && path.file_name() != Some(&name));
        passed.then_some(())
    });
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(3), "damage was found: {}", String::from_utf8_lossy(&out.stderr));
    let last: Value = serde_json::from_str(String::from_utf8(out.stdout).unwrap().lines().last().unwrap()).unwrap();
    assert_eq!((&last["interrupted"], &last["found"]), (&true.into(), &1.into()));
    let read = last["segments"].as_u64().unwrap();
    assert!(read >= 1 && read < school.rows.len() as u64, "{last}");
    let state = school.kept("scrub.json").unwrap();
    assert!(state["round"]["at"].is_object() && state["last"].is_null(), "{state}");

    // It goes on where it was, and knows what was found.
    let (code, findings, result) = school.verify(&["--scrub"]);
    assert_eq!((code, findings.len()), (3, 0), "what was found before was told before");
    assert_eq!((&result["found"], &result["segments"]), (&1.into(), &school.rows.len().into()));
    let state = school.kept("scrub.json").unwrap();
    assert!(state["round"].is_null() && state["last"]["report"]["found"] == 1, "{state}");
    let newest = school.rows.iter().map(|r| r.span.start.0).max().unwrap();
    assert_eq!(state["covered"], serde_json::json!({ "a1": newest, "a2": newest }));
    // Each time the ledger gets a word.
    let words = school.words();
    assert_eq!(words.len(), 2);
    let whole = words.iter().find(|w| w["what"]["scope"] == "all").unwrap();
    assert_eq!(whole["what"]["kind"], "verified");
    assert_eq!(whole["what"]["segments"], school.rows.len());
    let line = whole["what"]["damaged"][0].as_str().unwrap();
    assert!(line.starts_with(&format!("{camera} main {from} to {to}: fragment (")), "{line}");

    // The next one is not due.
    let out = school.custodian(&["--scrub"]);
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success() && text.starts_with("The next round is due on "), "{text}");
    // Only one at a time.
    let dir = std::fs::File::open(school.archive.dir.path().join("verify")).unwrap();
    let _turn = nix::fcntl::Flock::lock(dir, nix::fcntl::FlockArg::LockExclusive).unwrap();
    let out = school.custodian(&["--scrub"]);
    assert!(String::from_utf8_lossy(&out.stderr).contains("a scrub is under way already"));
}

#[test]
fn what_was_asked_for_and_found_is_kept_for_health_and_the_ledger() {
    let school = School::new();
    let (code, _, result) =
        school.verify(&["--camera", "yard", "--camera", "hall", "--span", "2026-11-22 15:00:02/2026-11-22 15:00:05"]);
    assert_eq!((code, &result["segments"]), (0, &2.into()), "{result}");
    let last = school.kept("last.json").unwrap();
    let scope = "camera yard, camera hall, 2026-11-22T08:00:02.000Z to 2026-11-22T08:00:05.000Z";
    assert_eq!((&last["scope"], &last["segments"], &last["format"]), (&scope.into(), &2.into(), &1.into()));
    assert_eq!(school.words()[0]["what"]["scope"], scope);
    assert_eq!(school.words()[0]["what"]["damaged"], serde_json::json!([]));
    assert!(school.kept("scrub.json").is_none(), "that was no round");
}

#[test]
fn the_pace_is_kept_and_progress_is_told() {
    let school = School::new();
    let total: u64 = school.rows.iter().map(|r| r.bytes).sum();
    #[expect(clippy::disallowed_methods, reason = "how long a real process takes")]
    let now = Instant::now;
    let began = now();
    let out = school.custodian(&["--json", "--rate", &format!("{}kB/s", total / 3000)]);
    let took = began.elapsed();
    assert!(out.status.success());
    let lines = String::from_utf8(out.stdout).unwrap();
    let told: Vec<serde_json::Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let told: Vec<u64> =
        told.iter().filter(|l| l["type"] == "progress").map(|l| l["bytes"].as_u64().unwrap()).collect();
    assert!(told.len() >= 2 && told.is_sorted() && told.iter().all(|b| *b > 0 && *b < total), "each second: {told:?}");
    // A tenth of a second may pass at once at the beginning.
    assert!(took > Duration::from_millis(2800), "{total} bytes in {took:?}");
    assert!(took < Duration::from_secs(8), "{total} bytes in {took:?}");
    // On a terminal there is a bar.
    let command = format!(
        "{} verify --rate {}kB/s --state {}",
        env!("CARGO_BIN_EXE_custodian"),
        total / 2000,
        school.archive.dir.path().display()
    );
    let out =
        Command::new("script").args(["--quiet", "--return", "--command", &command, "/dev/null"]).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && text.contains("[####") && text.contains(" left"), "{text}");
}

#[test]
fn what_is_not_here_is_not_called_gone() {
    let school = School::new();
    let away = school.archive.dir.path().join("away");
    std::fs::rename(school.archive.dir.path().join("a2"), &away).unwrap();
    let (code, findings, result) = school.verify(&[]);
    assert_eq!((code, findings.len(), &result["complete"]), (1, 0, &false.into()), "{findings:?}");
    assert_eq!((&result["absent"][0]["volume"], &result["absent"][0]["segments"]), (&"a2".into(), &6.into()));
    assert_eq!(school.verify(&["--volume", "a1"]).0, 0);
    assert_eq!(school.verify(&["--volume", "a2"]).0, 1);
    assert_eq!(school.verify(&["--scrub"]).0, 0, "of a volume that is away others tell");
    assert_eq!(school.kept("scrub.json").unwrap()["covered"].as_object().unwrap().len(), 1);
    // An empty mount point, and another disk.
    std::fs::create_dir(school.archive.dir.path().join("a2")).unwrap();
    assert_eq!(school.verify(&[]).0, 1);
    std::fs::copy(
        school.archive.dir.path().join("a1/custodian-volume.json"),
        school.archive.dir.path().join("a2/custodian-volume.json"),
    )
    .unwrap();
    let (code, findings, result) = school.verify(&[]);
    assert_eq!((code, findings.len()), (1, 0));
    assert!(result["absent"][0]["why"].as_str().unwrap().contains("holds another volume"), "{result}");
}

#[test]
fn mistakes_are_told_and_end_with_1() {
    let school = School::new();
    for (args, says) in [
        (&["--camera", "nowhere"][..], "no camera nowhere"),
        (&["--volume", "a9"], "there is no volume a9: there are a1, a2"),
        (&["--from", "soon"], "write 2026-11-22 15:00"),
        (&["--from", "now", "--to", "-1h"], "the end lies before the beginning"),
        (&["--span", "now"], "write TIME/TIME"),
    ] {
        let out = school.custodian(args);
        let error = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.code() == Some(1) && error.contains(says), "{args:?}: {error}");
    }
    let out = school.custodian(&["--rate", "50 MB"]);
    assert!(String::from_utf8(out.stderr).unwrap().contains("write a rate such as 50MB/s"));
}

/// A file that nobody knows is named, and no damage.
#[test]
fn files_that_nobody_knows_are_named() {
    let school = School::new();
    let path = school.path(1).with_file_name("20261122T080000.000Z-0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f-000000.mp4");
    std::fs::write(&path, b"").unwrap();
    assert_eq!(school.verify(&[]).2["unknown_files"], serde_json::json!([]), "somebody may be about to write it");
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    file.set_times(std::fs::FileTimes::new().set_modified(long_ago)).unwrap();
    let (code, findings, result) = school.verify(&[]);
    assert_eq!((code, findings.len()), (0, 0));
    assert_eq!(result["unknown_files"], serde_json::json!([path.display().to_string()]));
}
