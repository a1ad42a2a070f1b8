//! `custodian segments`, `gaps`, `clip` and `status`, as a technician types them, without a recorder.

use std::process::{Command, Output};

use custodian::{
    store::index::Batch,
    types::{Cause, CauseKind, GapBefore},
};

use crate::footage::{Archive, EIGHT, Media, SECOND, run};

fn custodian(archive: &Archive, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_custodian"))
        .args(args)
        .arg("--state")
        .arg(archive.dir.path())
        .env("LC_ALL", "en_US.UTF-8")
        .output()
        .unwrap()
}

fn said(out: &Output) -> String {
    String::from_utf8(out.stdout.clone()).unwrap()
}

/// Two runs with a gap between them; the index notes zone and volume as the recorder does.
fn archive() -> Archive {
    let media = Media::synthetic(250, 50, 1000);
    let mut archive = Archive::new();
    archive.record(run(1, "gate-1", &media, EIGHT, None), &media, 3);
    let cause = Cause::new(CauseKind::Credentials, "401 Unauthorized");
    let before = GapBefore { since: EIGHT.offset(10 * SECOND), cause };
    archive.record(run(2, "gate-1", &media, EIGHT.offset(60 * SECOND), Some(before)), &media, 3);
    let mut batch = Batch::default();
    batch.meta.insert("timezone".into(), "Asia/Ho_Chi_Minh".into());
    batch.meta.insert("root.a1".into(), archive.root().display().to_string());
    archive.writer.apply(&batch).unwrap();
    archive
}

const SPAN: [&str; 4] = ["--from", "2026-11-22 14:59", "--to", "2026-11-22 15:05"];

#[test]
fn segments_and_gaps_are_listed_in_the_sites_time() {
    let archive = archive();
    let out = custodian(&archive, &[&["segments"], &SPAN[..]].concat());
    let text = said(&out);
    assert!(
        out.status.success()
            && text.contains("2026-11-22 15:00:06")
            && text.contains("footage/gate-1/main/2026-11-22/"),
        "{text}"
    );
    assert!(text.ends_with("4 segments, 20.0 s, 508 kB. Times: Asia/Ho_Chi_Minh.\n"), "{text}");

    let text = said(&custodian(&archive, &[&["gaps", "--camera", "gate-1", "--lang", "vi"], &SPAN[..]].concat()));
    let squeezed = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(squeezed.contains("2026-11-22 15:00:10 2026-11-22 15:01:00 50.0 s"), "{text}");
    assert!(text.contains("Camera từ chối mật khẩu") && text.contains("401 Unauthorized"), "{text}");

    let json = said(&custodian(&archive, &[&["gaps", "--json"], &SPAN[..]].concat()));
    let gaps: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(gaps[0]["cause"]["kind"], "credentials");
    assert_eq!(gaps[0]["start_utc"], "2026-11-22T08:00:10.000Z");
    let json = said(&custodian(&archive, &[&["segments", "--json"], &SPAN[..]].concat()));
    let segments: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    assert_eq!((segments.len(), &segments[0]["frames"], &segments[0]["state"]), (4, &150.into(), &"closed".into()));

    let none = said(&custodian(&archive, &["gaps", "--from", "2020-01-01", "--to", "2020-01-02"]));
    assert_eq!(none, "There is no gap in this span.\n");
}

#[test]
fn mistakes_are_told_and_end_with_1() {
    let archive = archive();
    for (args, says) in [
        (&["segments", "--camera", "nowhere"][..], "no camera nowhere"),
        (&["segments", "--from", "soon"], "write 2026-11-22 15:00"),
        (&["gaps", "--from", "now", "--to", "-1h"], "before --from"),
        (&["clip", "--camera", "gate-1", "--from", "2020-01-01", "--to", "2020-01-02", "--out", "x.mp4"], "no footage"),
        (&["status"], "No recorder answers at"),
    ] {
        let out = custodian(&archive, args);
        let error = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.code() == Some(1) && error.contains(says), "{args:?}: {error}");
    }
    let empty = tempfile::tempdir().unwrap();
    let out =
        Command::new(env!("CARGO_BIN_EXE_custodian")).args(["gaps", "--state"]).arg(empty.path()).output().unwrap();
    assert!(out.status.code() == Some(1) && String::from_utf8_lossy(&out.stderr).contains("there is no index"));
}

#[test]
fn a_clip_is_written_whole_or_not_at_all() {
    let archive = archive();
    let path = archive.dir.path().join("clip.mp4");
    let out_arg = path.display().to_string();
    let args = [&["clip", "--camera", "gate-1", "--out", &out_arg], &SPAN[..]].concat();
    let out = custodian(&archive, &args);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(
        said(&out).contains("2026-11-22 15:00:00 to 2026-11-22 15:01:10 (Asia/Ho_Chi_Minh). Runs joined: 2."),
        "{}",
        said(&out)
    );
    assert!(std::fs::metadata(&path).unwrap().len() > 500_000);
    // What exists is not written over.
    let again = custodian(&archive, &args);
    assert!(again.status.code() == Some(1) && String::from_utf8_lossy(&again.stderr).contains("exists already"));
    // A disk that is elsewhere is found if it is named.
    let moved = archive.dir.path().join("moved");
    std::fs::rename(archive.root(), &moved).unwrap();
    std::fs::remove_file(&path).unwrap();
    let out = custodian(&archive, &args);
    assert_eq!(out.status.code(), Some(1));
    assert!(!path.exists());
    let volume = format!("a1={}", moved.display());
    let out = custodian(&archive, &[&args[..], &["--volume", &volume]].concat());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
