//! The ledger of a real recorder, which is killed, loses its disk, or is given an old copy of its log.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use custodian::{store::index::Reader, types::wire::LedgerStatus};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{
    own::OwnCameras,
    probe,
    recorder::{Recorder, Site},
    wait_for,
};

const LIMIT: Duration = Duration::from_secs(40);

fn custodian(site: &Site, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_custodian"));
    command.arg("ledger").args(args);
    if !args.contains(&"--dir") {
        command.arg("--state").arg(site.path("state"));
    }
    command.output().unwrap()
}

fn good(out: Output) -> String {
    assert!(out.status.success(), "{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// All entries of the log.
fn entries(site: &Site) -> Vec<Value> {
    let all: Vec<Value> = serde_json::from_str(&good(custodian(site, &["show", "--all", "--json"]))).unwrap();
    all.into_iter().map(|mut e| e["entry"].take()).collect()
}

fn of_kind<'a>(entries: &'a [Value], kind: &str) -> Vec<&'a Value> {
    entries.iter().filter(|e| e["kind"] == kind).collect()
}

/// How many volumes were opened by each recorder that was started.
fn opened(entries: &[Value]) -> Vec<usize> {
    let of = |of_one: &[Value]| of_kind(of_one, "volume").iter().filter(|e| e["event"] == "opened").count();
    entries.split(|e| e["kind"] == "service-started").skip(1).map(of).collect()
}

/// Keeps the newest checkpoint, as somebody would who does not trust the school.
fn keep(site: &Site, name: &str) -> PathBuf {
    let path = site.path(name);
    fs::write(&path, good(custodian(site, &["checkpoint"]))).unwrap();
    path
}

/// By volume and file, how often the log has it, and the root that it has last.
fn logged(entries: &[Value]) -> BTreeMap<(String, String), (usize, String)> {
    let mut found = BTreeMap::new();
    for e in of_kind(entries, "segment") {
        let text = |name: &str| e[name].as_str().unwrap().to_owned();
        let key = (text("volume"), format!("{}-{:06}.mp4", text("run").replace('-', ""), e["seq"].as_u64().unwrap()));
        let known: &mut (usize, String) = found.entry(key).or_default();
        *known = (known.0 + 1, text("root"));
    }
    found
}

/// The root of a file, from the file.
fn root(path: &Path) -> String {
    let file = fs::File::open(path).unwrap();
    let found = custodian::store::format::read(&file, file.metadata().unwrap().len()).unwrap();
    assert!(found.closed.is_some(), "{} is closed", path.display());
    custodian::store::format::CloseBuilder::from_file(&found).root().to_string()
}

/// Every file on the volumes is in the log, once, with its root.
fn check_footage(site: &Site, entries: &[Value]) {
    let logged = logged(entries);
    let mut files = 0;
    for volume in ["v1", "v2"] {
        let mut folders = vec![site.path(volume).join("footage")];
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                files += 1;
                let name = path.file_name().unwrap().to_str().unwrap()[21..].to_owned();
                assert_eq!(logged.get(&(volume.into(), name)), Some(&(1, root(&path))), "{}", path.display());
            }
        }
    }
    assert_eq!(files, logged.len(), "and nothing else is in it");
}

fn ledger(recorder: &Recorder<'_>) -> Option<LedgerStatus> {
    recorder.status()?.ledger
}

fn wait_for_entries(recorder: &Recorder<'_>, more_than: u64) -> u64 {
    wait_for("entries of the ledger", LIMIT, || ledger(recorder)?.entries.filter(|n| *n > more_than))
}

fn stop(recorder: Recorder<'_>) {
    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait(LIMIT).success());
}

#[test]
fn a_recorder_that_is_killed_goes_on_with_one_log() {
    let cameras = OwnCameras::start(3);
    let site = cameras.site().with_copies();
    let (mut kept, mut size) = (Vec::new(), 0);
    for round in 0..4 {
        let recorder = site.record();
        recorder.wait_until_recording(&cameras.names);
        if round != 2 {
            // Wait for what the kill before left: each camera's file on both volumes.
            size = wait_for_entries(&recorder, size + if round == 0 { 2 } else { 6 });
            wait_for("both volumes in the log", LIMIT, || (opened(&entries(&site)).last() == Some(&2)).then_some(()));
            kept.push(keep(&site, &format!("kept{round}")));
        }
        recorder.signal(Signal::SIGKILL);
        recorder.wait(LIMIT);
    }
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    stop(recorder);

    let mut args = vec!["verify"];
    kept.iter().for_each(|path| args.extend(["--checkpoint", path.to_str().unwrap()]));
    let said = good(custodian(&site, &[&args[..], &["--lang", "en"]].concat()));
    assert!(said.contains("agrees with the kept checkpoints (3)"), "{said}");

    let entries = entries(&site);
    check_footage(&site, &entries);
    assert_eq!((entries[0]["kind"].as_str(), entries[0].get("predecessor")), (Some("log-begins"), None));
    let started = of_kind(&entries, "service-started");
    let causes: Vec<&str> = started.iter().map(|e| e["after"]["kind"].as_str().unwrap_or("-")).collect();
    assert_eq!(causes, ["-", "restart", "restart", "restart", "restart"]);
    assert_eq!(entries.last().unwrap()["kind"], "service-stopped");
    // The third was killed before anybody looked whether it had said so.
    let mut opened = opened(&entries);
    assert!(opened.remove(2) <= 2);
    assert_eq!(opened, [2; 4]);
    // Of each camera, the gaps that the kills left; copies do not count twice.
    for camera in &cameras.names {
        let gaps: Vec<_> = of_kind(&entries, "gap").into_iter().filter(|g| g["camera"] == camera.as_str()).collect();
        let of_camera = |e: &&&Value| e["camera"] == camera.as_str();
        let runs: BTreeSet<&str> =
            of_kind(&entries, "segment").iter().filter(of_camera).filter_map(|e| e["run"].as_str()).collect();
        assert!(gaps.len() >= 3 && gaps.len() == runs.len() - 1, "{runs:?}: {gaps:?}");
        for gap in gaps {
            assert_eq!(gap["cause"]["kind"], "restart");
            assert!(gap["end"].as_i64() > gap["start"].as_i64());
        }
    }

    // What lies on a volume is a kept checkpoint too, the newest.
    let deposit = site.path("v2/custodian-ledger.json");
    good(custodian(&site, &["verify", "--checkpoint", deposit.to_str().unwrap()]));
    let deposit: Value = serde_json::from_slice(&fs::read(deposit).unwrap()).unwrap();
    assert_eq!(deposit["checkpoint"], good(custodian(&site, &["checkpoint"])));

    // Anywhere else, with a copy of the public folder and the key that was noted.
    let (public, copy) = (site.path("state/ledger/public"), site.path("copy"));
    assert!(Command::new("cp").arg("-r").args([&public, &copy]).status().unwrap().success());
    let key = fs::read_to_string(public.join("vkey")).unwrap();
    let elsewhere = ["--dir", copy.to_str().unwrap(), "--key", key.trim()];
    good(custodian(&site, &[&["verify"], &elsewhere[..]].concat()));
    let proof = good(custodian(&site, &[&["prove", "5", "--json"], &elsewhere[..]].concat()));
    let path = site.path("proof.json");
    fs::write(&path, &proof).unwrap();
    let check = ["verify", "--proof", path.to_str().unwrap(), "--key", key.trim()];
    good(custodian(&site, &check));
    fs::write(&path, proof.replace("\"n\": 5", "\"n\": 6")).unwrap();
    assert_eq!(custodian(&site, &check).status.code(), Some(3));

    // As docs/ref/ledger.md says that it is done without custodian.
    let python = |folder: &Path, kept: &[PathBuf]| {
        let page = include_str!("../../docs/ref/ledger.md");
        let script = page.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        Command::new("python3").arg("-c").arg(script).arg(folder).arg(key.trim()).args(kept).output()
    };
    let has_openssl = Command::new("openssl").arg("version").output().is_ok();
    if let (Ok(out), true) = (python(&public, &kept), has_openssl) {
        assert!(good(out).contains("3 kept checkpoints agree"));
        fs::write(site.path("forged"), fs::read_to_string(&kept[0]).unwrap().replacen("\n\n", "1\n\n", 1)).unwrap();
        assert!(!python(&public, &[site.path("forged")]).unwrap().status.success());
    } else {
        crate::support::lacking("python3 or openssl is not installed");
    }

    // One letter of one entry is changed.
    let bundle = fs::read_dir(copy.join("tile/entries/000.p")).unwrap().map(|e| e.unwrap().path());
    let bundle = bundle.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let text = fs::read(&bundle).unwrap();
    let at = text
        .windows(10)
        .position(|w| w == b"\"frames\":1")
        .or_else(|| text.windows(9).position(|w| w == b"\"frames\":"));
    let mut changed = text.clone();
    changed[at.unwrap() + 9] ^= 1;
    fs::write(&bundle, changed).unwrap();
    let out = custodian(&site, &[&["verify", "--lang", "en"], &elsewhere[..]].concat());
    assert!(
        out.status.code() == Some(3) && String::from_utf8_lossy(&out.stdout).contains("is not the one whose hash"),
        "{out:?}"
    );
    if let (Ok(out), true) = (python(&copy, &[]), has_openssl) {
        assert!(String::from_utf8_lossy(&out.stderr).contains("not those that were signed"), "{out:?}");
    }
}

#[test]
fn what_was_applied_comes_into_the_ledger_through_the_spool() {
    let cameras = OwnCameras::start(2);
    let site = cameras.site();
    // While no recorder runs, and while one does.
    site.apply(&[]);
    let recorder = site.record_applied();
    recorder.wait_until_recording(&cameras.names);
    wait_for("the first generation in the ledger", LIMIT, || {
        (of_kind(&entries(&site), "generation").len() == 1).then_some(())
    });
    site.write(|name| name == cameras.names[0]);
    site.apply(&["--reason", "the hall is being painted"]);
    wait_for("the second one", LIMIT, || (of_kind(&entries(&site), "generation").len() == 2).then_some(()));
    // Applied again, nothing has come into force.
    site.apply(&[]);
    stop(recorder);
    let entries = entries(&site);
    let generations = of_kind(&entries, "generation");
    assert_eq!(generations.iter().map(|e| e["number"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((generations[0].get("reason"), generations[1]["reason"].as_str().map(str::len)), (None, Some(64)));
    assert!(generations.iter().all(|e| e["spool"].is_string() && e["by"].as_str().unwrap().len() == 64));
    assert!(fs::read_dir(site.path("state/ledger-spool")).unwrap().next().is_none(), "taken up and removed");
}

#[test]
fn a_log_that_was_lost_is_followed_by_one_that_names_it_and_an_old_copy_is_not_gone_on_with() {
    let cameras = OwnCameras::start(1);
    let site = cameras.site();
    let run = |until: u64| {
        let recorder = site.record();
        recorder.wait_until_recording(&cameras.names);
        wait_for_entries(&recorder, until);
        stop(recorder);
    };
    let folder = site.path("state/ledger");
    let copy = |from: &Path, to: &Path| {
        let _ = fs::remove_dir_all(to);
        assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
    };
    run(2);
    let old = site.path("old");
    copy(&folder, &old);
    let size = entries(&site).len() as u64;
    run(size);
    let kept = keep(&site, "kept");
    let grown = entries(&site).len();

    // The system disk is put back as it was: the volumes know better. Recording goes on all the same.
    let newest = site.path("newest");
    copy(&folder, &newest);
    copy(&old, &folder);
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    let problem = wait_for("a problem", LIMIT, || ledger(&recorder)?.problem);
    assert!(problem.contains("replaced by an older copy"), "{problem}");
    let status = String::from_utf8(
        Command::new(env!("CARGO_BIN_EXE_custodian"))
            .args(["status", "--lang", "en", "--state"])
            .arg(site.path("state"))
            .output()
            .unwrap()
            .stdout,
    );
    assert!(status.unwrap().contains("The ledger is in trouble: volume v"));
    stop(recorder);
    assert_eq!(entries(&site).len() as u64, size, "nothing was appended to the old copy");
    let out = custodian(&site, &["verify", "--lang", "en", "--checkpoint", kept.to_str().unwrap()]);
    assert!(
        out.status.code() == Some(3) && String::from_utf8_lossy(&out.stdout).contains("replaced by an older copy"),
        "{out:?}"
    );

    // The newest copy is given back: nothing that was recorded meanwhile is missing in it.
    copy(&newest, &folder);
    run(grown as u64);
    good(custodian(&site, &["verify", "--checkpoint", kept.to_str().unwrap()]));
    check_footage(&site, &entries(&site));
    let last = good(custodian(&site, &["checkpoint"]));

    // The system disk is lost, index and log. The footage goes into the new log, which knows what came before it.
    for name in ["ledger", "index.db", "index.db-wal", "index.db-shm"] {
        let path = site.path("state").join(name);
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
    run(5);
    let entries = entries(&site);
    assert_eq!(entries[0]["predecessor"]["checkpoint"], last);
    check_footage(&site, &entries);
    good(custodian(&site, &["verify"]));
    let out = custodian(&site, &["verify", "--checkpoint", kept.to_str().unwrap()]);
    assert!(!out.status.success(), "a checkpoint of the old log vouches for nothing in the new one");

    // Only the log is lost, the index has the old one's numbers.
    fs::remove_dir_all(&folder).unwrap();
    run(5);
    let entries = self::entries(&site);
    assert!(entries[0]["predecessor"]["vkey"].as_str().is_some());
    check_footage(&site, &entries);
}

/// A file that is not there for a while is in the log once: nobody vouches anew for what lies in its place then.
#[test]
fn a_segment_that_was_away_is_told_once() {
    let cameras = OwnCameras::start(1);
    let site = cameras.site();
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    stop(recorder);
    let told = entries(&site);
    let segments = of_kind(&told, "segment");
    assert_eq!(segments.len(), 1);
    let volume = segments[0]["volume"].as_str().unwrap();
    let rows = |site: &Site| site.list("segments").into_iter().filter(|s| s["run"] == segments[0]["run"]).count();
    let file = probe::files(&site.path(volume)).remove(0);
    let away = site.path("away.mp4");
    fs::rename(&file, &away).unwrap();
    for there in [0, 1] {
        if there == 1 {
            fs::rename(&away, &file).unwrap();
        }
        let size = entries(&site).len() as u64;
        let recorder = site.record();
        recorder.wait_until_recording(&cameras.names);
        wait_for("the index to know", LIMIT, || (rows(&site) == there).then_some(()));
        // Until the index stands by itself: what the log has beyond is not looked at again.
        let noted =
            || Reader::open(&site.path("state/index.db")).ok()?.meta("ledger").ok()??.split(' ').next()?.parse().ok();
        wait_for("all to have their numbers", LIMIT, || noted().filter(|n: &u64| *n > size));
        stop(recorder);
    }
    check_footage(&site, &entries(&site));
}
