//! Holds as a school meets them: by the command, beside a recorder that is killed, loses its folder, or misses a volume.

use std::{
    fs,
    process::{Command, Output},
    time::Duration,
};

use custodian::types::wire::{HoldAnswer, HoldChanged, HoldList, HoldsHealth};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{
    own::OwnCameras,
    recorder::{Recorder, Site},
    wait_for,
};

const FILE: &str = "custodian-holds.json";

const ORDER: &[&str] = &["--reason", "Va chạm ở cổng", "--by", "Hiệu trưởng Hoa", "--case", "BB 12/2026"];

fn limit(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn ok(out: &Output) -> String {
    assert!(out.status.success(), "{}{}", text(&out.stdout), text(&out.stderr));
    text(&out.stdout)
}

fn refused(out: &Output) -> String {
    assert_eq!(out.status.code(), Some(1), "{}", text(&out.stdout));
    text(&out.stderr)
}

fn add(site: &Site, camera: &str, from: &str, to: &str) -> HoldChanged {
    let span = ["--camera", camera, "--from", from, "--to", to, "--review", "+30d", "--json"];
    match serde_json::from_str(&ok(&site.hold(&[&["add"][..], &span, ORDER].concat()))).unwrap() {
        HoldAnswer::Done(done) => *done,
        HoldAnswer::Short(short) => panic!("{short:?}"),
    }
}

fn list(site: &Site) -> HoldList {
    serde_json::from_str(&ok(&site.hold(&["list", "--all", "--json"]))).unwrap()
}

fn health(recorder: &Recorder) -> HoldsHealth {
    recorder.try_get("status.sock", "/v1/holds").expect("how the holds are")
}

/// What the ledger says of holds: what was done, and the entry.
fn logged(site: &Site) -> Vec<(String, Value)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_custodian"));
    command.args(["ledger", "show", "--all", "--json", "--kind", "hold", "--state"]).arg(site.path("state"));
    let all: Vec<Value> = serde_json::from_str(&ok(&command.output().unwrap())).unwrap();
    let entries = all.into_iter().map(|mut e| e["entry"].take());
    entries.map(|e| (e["change"].as_str().unwrap().to_owned(), e)).collect()
}

/// Waits until it answers, and has read the volumes.
fn wait_until_up(recorder: &Recorder) {
    wait_for("the recorder to be up", limit(30), || {
        recorder.try_get::<HoldsHealth>("status.sock", "/v1/holds").map(drop)
    });
}

#[test]
fn an_acknowledged_hold_outlives_the_recorder_and_its_folder() {
    let cameras = OwnCameras::start(1);
    let site = cameras.site();
    site.plan_small();
    let camera = &cameras.names[0];
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    let done = add(&site, camera, "-1h", "+1h");
    assert_eq!(done.ledger, None, "it is in the ledger before it is acknowledged");
    assert!(done.files > 0 && done.refused.is_empty() && done.unreckoned.is_none(), "{done:?}");
    assert!(done.effects.iter().any(|e| e.to_come.0 > 0 && e.counts_from.is_some()), "{done:?}");
    recorder.signal(Signal::SIGKILL);
    recorder.wait(limit(10));
    fs::remove_dir_all(site.path("state")).unwrap();
    fs::create_dir(site.path("state")).unwrap();

    let recorder = site.record();
    wait_until_up(&recorder);
    let found = list(&site);
    assert_eq!(found.holds.iter().map(|h| h.id).collect::<Vec<_>>(), [done.hold.id]);
    let hold = &found.holds[0];
    assert_eq!(
        (&hold.changes[0].by, &hold.changes[0].reason),
        (&"Hiệu trưởng Hoa".to_owned(), &"Va chạm ở cổng".to_owned())
    );
    assert!(found.unread.is_empty() && found.own_copy.is_none(), "{found:?}");
    assert_eq!((health(&recorder).in_force, health(&recorder).due), (1, 0));
    assert!(!serde_json::to_string(&health(&recorder)).unwrap().contains("Hoa"), "no name on the socket of health");

    // Its life goes on: longer, then released, and remembered as such.
    let id = &done.hold.id.to_string()[..8];
    ok(&site.hold(&[&["extend", id, "--to", "+2h"][..], ORDER].concat()));
    assert!(list(&site).holds[0].span.end > hold.span.end);
    let shorter = refused(&site.hold(&[&["extend", id, "--to", "now"][..], ORDER].concat()));
    assert!(shorter.contains("never made shorter"), "{shorter}");
    let shown = ok(&site.hold(&["list"]));
    assert!(shown.contains(id) && shown.contains("Va chạm ở cổng") && shown.contains("BB 12/2026"), "{shown}");
    ok(&site.hold(&[&["release", id][..], ORDER].concat()));
    assert!(ok(&site.hold(&["list"])).contains("Nothing is held"));
    assert!(list(&site).holds[0].released.is_some());
    let again = refused(&site.hold(&[&["release", id][..], ORDER].concat()));
    assert!(again.contains("was released"), "{again}");

    // The ledger of the folder that was lost had the first entry; who and why stand in none of them.
    let entries = logged(&site);
    assert_eq!(entries.iter().map(|(c, _)| c.as_str()).collect::<Vec<_>>(), ["extended", "released"]);
    assert!(!format!("{entries:?}").contains("Hoa") && entries[0].1["cameras"][0] == camera.as_str(), "{entries:?}");

    // Without the recorder they can be read, and not changed.
    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait(limit(20)).success());
    let out = site.hold(&["list", "--all"]);
    assert!(ok(&out).contains(id) && text(&out.stderr).contains("No recorder answers"));
    let span = ["--all-cameras", "--from", "-1h", "--to", "now", "--review", "+1d"];
    refused(&site.hold(&[&["add"][..], &span, ORDER].concat()));
}

#[test]
fn a_volume_that_was_away_gets_the_hold_and_a_damaged_copy_stops_deletion() {
    let cameras = OwnCameras::start(1);
    let site = cameras.site();
    site.plan_small();
    let (v1, v2) = (site.path("v1"), site.path("v2"));
    fs::rename(&v2, site.path("away")).unwrap();
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    assert!(
        health(&recorder).unread.iter().any(|(v, why)| v.as_str() == "v1" && why.contains("v2")),
        "it was never read"
    );
    add(&site, &cameras.names[0], "-1h", "now");
    fs::rename(site.path("away"), &v2).unwrap();
    wait_for("the volume to get the hold", limit(20), || {
        (fs::read(v2.join(FILE)).ok()? == fs::read(v1.join(FILE)).unwrap()).then_some(())
    });
    wait_for("all to be known", limit(20), || health(&recorder).unread.is_empty().then_some(()));
    recorder.signal(Signal::SIGTERM);
    recorder.wait(limit(20));

    let mut bytes = fs::read(v2.join(FILE)).unwrap();
    let last = bytes.len() - 10;
    bytes[last] ^= 4;
    fs::write(v2.join(FILE), &bytes).unwrap();
    let recorder = site.record();
    wait_until_up(&recorder);
    let unread = health(&recorder).unread;
    assert!(matches!(&unread[..], [(v, why)] if v.as_str() == "v2" && why.contains("damaged")), "{unread:?}");
    assert!(ok(&site.hold(&["list"])).contains("nothing is deleted there"));
    let aside =
        fs::read_dir(&v2).unwrap().map(|e| e.unwrap().path()).find(|p| p.to_string_lossy().contains("damaged-"));
    let aside = aside.expect("it is kept");
    assert_eq!(fs::read(&aside).unwrap(), bytes);
    // Somebody has looked at it.
    fs::remove_file(aside).unwrap();
    wait_for("the doubt to go", limit(30), || health(&recorder).unread.is_empty().then_some(()));
    assert_eq!(list(&site).holds.len(), 1);
}

/// Volumes of that size, cameras of 1.1 GB a day, and a promise of that many days.
fn promise(site: &Site, size: &str, days: u32) {
    let path = site.path("site.toml");
    let mut toml = fs::read_to_string(&path).unwrap();
    for volume in site.volumes() {
        let line = format!("path = \"{}\"\n", volume.display());
        toml = toml.replace(&line, &format!("{line}size = \"{size}\"\n"));
    }
    toml = toml.replace("2 Mbit/s", "100 kbit/s");
    fs::write(path, format!("{toml}\n[retention]\nmin_days = {days}\n")).unwrap();
}

#[test]
fn what_would_break_the_promise_is_refused_with_the_arithmetic() {
    let cameras = OwnCameras::start(2);
    let site = cameras.site();
    // Each on a disk of its own: 3.3 GB of 4.4 are promised.
    promise(&site, "5 GB", 3);
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    let span = ["add", "--camera", &cameras.names[0], "--from", "-10m", "--review", "+30d"];
    let with = |more: &[&str]| site.hold(&[&span[..], ORDER, more].concat());

    let text_of = refused(&with(&["--to", "+2d"]));
    for words in ["are needed", "are missing", "to hold only until", "more room: v", "--even-if-short"] {
        assert!(text_of.contains(words), "{words}: {text_of}");
    }
    assert!(list(&site).holds.is_empty(), "nothing has changed");
    let json: HoldAnswer = serde_json::from_slice(&with(&["--to", "+2d", "--json"]).stdout).unwrap();
    let HoldAnswer::Short(short) = json else { panic!("{json:?}") };
    assert!(short.lacks.len() == 1 && short.lacks[0].missing.0 > 500_000_000, "{short:?}");
    // What is proposed is accepted.
    let until = short.until.unwrap().to_string();
    ok(&with(&["--to", &until]));
    let more = refused(&with(&["--to", "+2d"]));
    assert!(more.contains("are missing"), "{more}");

    // Ordered all the same: that goes on record, and the plan counts it.
    let out = with(&["--to", "+2d", "--even-if-short"]);
    ok(&out);
    assert!(text(&out.stderr).contains("though the promise"), "{}", text(&out.stderr));
    let marked: Vec<bool> = list(&site).holds.iter().map(|h| h.changes[0].even_if_short).collect();
    assert_eq!(marked.iter().filter(|m| **m).count(), 1, "{marked:?}");
    let entries: Vec<bool> = logged(&site).iter().map(|(_, e)| e["even_if_short"] == true).collect();
    assert_eq!(entries, [false, true]);
    let plan = |how: &[&str]| {
        let mut command = site.custodian(&["plan", "--offline", "--recorder", "a", "--lang", "en"]);
        command.args(how).arg("--state").arg(site.path("state")).output().unwrap().stdout
    };
    let planned: Value = serde_json::from_slice(&plan(&["--json"])).unwrap();
    assert_eq!((&planned["ok"], &planned["why"]), (&false.into(), &"short".into()));
    let held = planned["short"]["held"].as_u64().unwrap();
    assert!(held > 2_100_000_000, "two days of a camera, to come: {held}");
    assert!(planned["message"].as_str().unwrap().contains("custodian hold list"), "{planned}");

    // Two days of 1.1 GB: released, there is room again.
    let id = list(&site).holds.iter().find(|h| h.changes[0].even_if_short).unwrap().id.to_string();
    ok(&site.hold(&[&["release", &id][..], ORDER].concat()));
    let planned: Value = serde_json::from_slice(&plan(&["--json"])).unwrap();
    let held: u64 =
        planned["capacity"]["volumes"].as_array().unwrap().iter().map(|v| v["held"].as_u64().unwrap()).sum();
    assert!(held > 0, "the shorter one holds on: {planned}");
    let shown = text(&plan(&[]));
    assert!(shown.contains("Promised  ") && shown.contains("  Held  "), "{shown}");
}

#[test]
fn mistakes_are_told_and_a_renamed_camera_is_held_on() {
    let cameras = OwnCameras::start(2);
    let site = cameras.site();
    site.plan_small();
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    let (one, two) = (&cameras.names[0], &cameras.names[1]);
    let span = ["--from", "-1h", "--to", "now"];
    let attempt = |more: &[&str]| refused(&site.hold(&[&["add"][..], &span, ORDER, more].concat()));
    assert!(attempt(&["--camera", "nowhere", "--review", "+1d"]).contains(one), "it says which there are");
    assert!(attempt(&["--camera", one, "--review", "2020-01-01"]).contains("is over"));
    assert!(attempt(&["--camera", one, "--review", "soon"]).contains("no time"));
    assert_eq!(
        site.hold(&[&["add"][..], &span, ORDER, &["--review", "+1d"]].concat()).status.code(),
        Some(2),
        "whose?"
    );
    let empty = ["add", "--camera", one, "--from", "now", "--to", "now", "--review", "+1d"];
    refused(&site.hold(&[&empty[..], ORDER].concat()));
    let blank =
        ["add", "--camera", one, "--from", "-1h", "--to", "now", "--review", "+1d", "--reason", " ", "--by", "x"];
    assert!(refused(&site.hold(&blank)).contains("the reason"));
    assert!(refused(&site.hold(&[&["release", "abcdef"][..], ORDER].concat())).contains("no hold"));
    assert!(list(&site).holds.is_empty());

    // What was never recorded can be held as well, and that is said.
    let out =
        site.hold(&[&["add", "--camera", two, "--from", "-9d", "--to", "-8d", "--review", "+1d"][..], ORDER].concat());
    assert!(ok(&out).contains("no footage"), "{}", text(&out.stdout));

    let held = add(&site, one, "-1h", "+1h");
    let path = site.path("site.toml");
    let toml = fs::read_to_string(&path).unwrap();
    let head = format!("[camera.{one}]\n");
    assert!(toml.contains(&head));
    fs::write(&path, toml.replace(&head, &format!("[camera.renamed]\npreviously = [\"{one}\"]\n"))).unwrap();
    recorder.signal(Signal::SIGHUP);
    wait_for("the hold to follow", limit(20), || {
        let hold = list(&site).holds.into_iter().find(|h| h.id == held.hold.id)?;
        let names: Vec<&str> = hold.cameras.iter().map(custodian::types::CameraId::as_str).collect();
        (names.contains(&"renamed") && names.contains(&one.as_str())).then_some(())
    });
    assert!(fs::read_to_string(site.path("v1").join(FILE)).unwrap().contains("renamed"), "for good");
    wait_for("the ledger to have that as well", limit(30), || {
        (health(&recorder).unlogged == 0).then_some(()).filter(|()| logged(&site).iter().any(|(c, _)| c == "extended"))
    });
}
