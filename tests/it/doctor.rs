//! `custodian doctor`, the program: what it says where health answers, and where nobody does.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixListener,
    path::Path,
    process::{Command, Output},
    thread::JoinHandle,
};

use custodian::{
    sys::{Clock as _, RealClock},
    types::{
        StreamKind, WallNs,
        wire::health::{CameraHealth, Finding, Level, Machine, Probe, Report, StreamHealth, Subject, Value},
    },
};
use serde_json::Value as Json;

fn doctor(state: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_custodian"));
    command.arg("doctor").arg("--state").arg(state).args(args).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A service of health that answers once, with this report.
fn health(state: &Path, report: &Report) -> JoinHandle<String> {
    let dir = state.join("run/health");
    std::fs::DirBuilder::new().recursive(true).create(&dir).unwrap();
    let listener = UnixListener::bind(dir.join("health.sock")).unwrap();
    let body = serde_json::to_string(report).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut asked, mut some) = (Vec::new(), [0; 4096]);
        while !asked.ends_with(b"\r\n\r\n") {
            let n = stream.read(&mut some).unwrap();
            assert_ne!(n, 0, "it asks to the end");
            asked.extend_from_slice(&some[..n]);
        }
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        String::from_utf8(asked).unwrap()
    })
}

/// Two cameras, written two seconds before `at`.
fn report(at: WallNs, findings: Vec<Finding>) -> Report {
    let camera = |number: u32| CameraHealth {
        number,
        id: Some(format!("gate-{number}").parse().unwrap()),
        name: Some(format!("Gate {number}")),
        required: true,
        streams: vec![StreamHealth {
            stream: StreamKind::Main,
            newest_committed: Some(at.offset(-2_000_000_000)),
            age_seconds: None,
            gap_seconds_today: Some(0.0),
            gap_seconds_day: Some(0.0),
            gap_seconds_total: 0.0,
            lost_packets: Some(0),
        }],
        min_days: None,
        kept_days: None,
        clock_error: None,
    };
    Report {
        format: 1,
        at,
        recorder: Some("rec1".parse().unwrap()),
        version: "0.1.0".into(),
        recording: Some(("0.1.0".into(), at)),
        level: findings.iter().map(|f| f.level).max().unwrap_or_default(),
        findings,
        cameras: vec![camera(1), camera(2)],
        volumes: Vec::new(),
        machine: Machine::default(),
        generation: None,
        checkpoints: Vec::new(),
        silences: Vec::new(),
        cost_us: 0,
    }
}

#[test]
fn where_health_sees_nothing_wrong_it_says_so_with_evidence() {
    let dir = tempfile::tempdir().unwrap();
    let asked = health(dir.path(), &report(RealClock.wall(), Vec::new()));
    let output = doctor(dir.path(), &["--lang", "en"]);
    assert!(asked.join().unwrap().starts_with("GET /v1/report HTTP/1.1\r\n"));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = text(&output);
    assert!(text.contains("2 of 2 cameras were written to disk within the last 2 s."), "{text}");
    assert!(text.contains("Nothing is wrong."), "{text}");
}

#[test]
fn a_trouble_ends_with_3_and_is_explained_in_the_language_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let at = RealClock.wall();
    let late = Finding::new(Probe::Footage, Some(Subject::Camera(2)), Level::Fail, "late", at)
        .with("at", Value::Time(at))
        .with("age", Value::Seconds(90.0));
    let asked = health(dir.path(), &report(at, vec![late]));
    let output = doctor(dir.path(), &["--lang", "vi"]);
    asked.join().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let text = text(&output);
    assert!(text.contains("1 trên 2 camera") && text.contains("xuống đĩa từ: Gate 2"), "{text}");
    assert!(text.contains("Cần làm gì:") && text.contains("`custodian status`"), "{text}");
}

#[test]
fn a_look_of_an_hour_ago_is_no_look() {
    let dir = tempfile::tempdir().unwrap();
    let asked = health(dir.path(), &report(RealClock.wall().offset(-3_600_000_000_000), Vec::new()));
    let output = doctor(dir.path(), &["--lang", "en"]);
    asked.join().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(text(&output).contains("It looked last 1:00:0"), "{output:?}");
}

#[test]
fn where_nobody_answers_it_looks_itself() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let output = doctor(&state, &["--lang", "en", "--json"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said: Json = serde_json::from_str(&text(&output)).unwrap();
    let about = |said: &Json| -> Vec<String> {
        said["troubles"].as_array().unwrap().iter().map(|t| t["about"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((&said["by_health"], &said["evidence"]["known"]), (&Json::Bool(false), &Json::Bool(false)));
    assert!(["health", "site"].iter().all(|a| about(&said).iter().any(|b| b == a)), "{said}");
    for trouble in said["troubles"].as_array().unwrap() {
        assert!(!trouble["steps"].as_array().unwrap().is_empty() && trouble["sentences"][0].is_string(), "{trouble}");
    }
    assert!(!state.exists(), "looking leaves no trace");
    // A folder that is there, with a site that is broken.
    std::fs::DirBuilder::new().recursive(true).create(state.join("current")).unwrap();
    std::fs::write(state.join("current/site.toml"), "[site]\nname = 7\n").unwrap();
    let output = doctor(&state, &["--lang", "en", "--json"]);
    let said: Json = serde_json::from_str(&text(&output)).unwrap();
    assert!(!about(&said).iter().any(|a| a == "site"), "{said}");
    assert!(said.to_string().contains("site.toml"), "{said}");
}
