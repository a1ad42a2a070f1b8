//! `custodian plan` as a user meets it, without looking at the machine.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

const EXAMPLE: &str = include_str!("../../image/site.example.toml");

fn plan(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_custodian"))
        .args(["plan", "--offline", "--state", "state"])
        .args(args)
        .current_dir(dir)
        .env_remove("LANG")
        .env_remove("LC_ALL")
        .env_remove("LC_MESSAGES")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn school_a_is_planned_in_every_language() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("site.toml"), EXAMPLE).unwrap();
    for lang in ["vi", "zh", "en"] {
        let out = plan(dir.path(), &["--lang", lang]);
        assert_eq!(out.status.code(), Some(2), "changes");
        insta::assert_snapshot!(format!("plan_example_{lang}"), text(&out.stdout));
    }
    let json: serde_json::Value = serde_json::from_slice(&plan(dir.path(), &["--json"]).stdout).unwrap();
    assert_eq!(json["layout"].as_object().unwrap().len(), 64);
    assert_eq!(json["changes"][0]["what"], "first-site");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "a plan changes nothing");
}

#[test]
fn what_does_not_fit_is_refused_with_the_arithmetic() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("site.toml"), EXAMPLE.replace("2 Mbit/s", "2.2 Mbit/s")).unwrap();
    for lang in ["vi", "zh", "en"] {
        let out = plan(dir.path(), &["--lang", lang]);
        assert_eq!(out.status.code(), Some(1));
        insta::assert_snapshot!(format!("plan_short_{lang}"), text(&out.stderr));
    }
    let json: serde_json::Value = serde_json::from_slice(&plan(dir.path(), &["--json"]).stdout).unwrap();
    assert_eq!((&json["ok"], &json["why"]), (&false.into(), &"short".into()));

    // A school that accepts it gets its plan, and the arithmetic with it.
    let accepted =
        EXAMPLE.replace("2 Mbit/s", "2.2 Mbit/s").replace("min_days = 20", "when_short = \"alarm\"\nmin_days = 20");
    fs::write(dir.path().join("site.toml"), accepted).unwrap();
    let out = plan(dir.path(), &["--lang", "en", "--out", "plan.json"]);
    assert_eq!(out.status.code(), Some(2), "{}", text(&out.stderr));
    assert!(text(&out.stdout).contains("are missing"));
    let saved: custodian::plan::Plan =
        serde_json::from_slice(&fs::read(dir.path().join("plan.json")).unwrap()).unwrap();
    assert!(saved.short.is_some());
}

#[test]
fn a_wrong_site_is_shown_as_check_shows_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("site.toml"), EXAMPLE.replace("min_days = 20", "min_days = 40")).unwrap();
    let out = plan(dir.path(), &["--lang", "en"]);
    assert_eq!(out.status.code(), Some(1));
    let check = Command::new(env!("CARGO_BIN_EXE_custodian"))
        .args(["check", "--lang", "en"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(text(&out.stderr).trim(), text(&check.stdout).trim());
}
