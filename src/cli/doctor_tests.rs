use clap::Command;
use jiff::tz::TimeZone;

use super::*;
use crate::{
    cli::help,
    types::{
        StreamKind,
        wire::health::{CameraHealth, Machine, Report, StreamHealth, Subject, Value},
    },
};

const SECOND: i64 = 1_000_000_000;
/// 2026-11-22T15:00:00+07:00.
const NOW: WallNs = WallNs(1_795_334_400_000_000_000);

/// A camera whose newest second on a disk is so many seconds old.
fn camera(number: u32, name: &str, age: Option<i64>) -> CameraHealth {
    let stream = StreamHealth {
        stream: StreamKind::Main,
        newest_committed: age.map(|age| NOW.offset(-age * SECOND)),
        age_seconds: None,
        gap_seconds_today: None,
        gap_seconds_day: None,
        gap_seconds_total: 0.0,
        lost_packets: None,
    };
    CameraHealth {
        number,
        id: None,
        name: Some(name.to_owned()),
        required: true,
        streams: vec![stream],
        min_days: None,
        kept_days: None,
        clock_error: None,
    }
}

fn report(cameras: Vec<CameraHealth>, findings: Vec<Finding>) -> Report {
    Report {
        format: 1,
        at: NOW,
        recorder: Some("rec1".parse().unwrap()),
        version: "0.1.0".into(),
        recording: Some(("0.1.0".into(), NOW)),
        level: findings.iter().map(|f| f.level).max().unwrap_or_default(),
        findings,
        cameras,
        volumes: Vec::new(),
        machine: Machine::default(),
        generation: None,
        checkpoints: Vec::new(),
        silences: Vec::new(),
        cost_us: 0,
    }
}

fn late(number: u32) -> Finding {
    Finding::new(Probe::Footage, Some(Subject::Camera(number)), Level::Fail, "late", NOW)
        .with("at", Value::Time(NOW.offset(-600 * SECOND)))
        .with("age", Value::Seconds(600.0))
}

fn seen(report: Report) -> Seen {
    Seen { report, by_health: true, absent: Vec::new(), site: None }
}

fn spoken(seen: &Seen, lang: Lang) -> String {
    let shown = Shown::new(TimeZone::get("Asia/Ho_Chi_Minh").unwrap());
    let doctor = Doctor { lang, shown: &shown, words: Words::new(lang, shown.time_zone(), &seen.report.cameras) };
    let evidence = doctor::evidence(&seen.report);
    let said = doctor.says(seen, &evidence, "/var/lib/custodian");
    doctor.text(seen, &said)
}

#[test]
fn the_worst_comes_first_with_what_it_means_and_what_to_do() {
    let disk = Finding::new(Probe::Disk, Some(Subject::Volume("a2".parse().unwrap())), Level::Warn, "sectors", NOW)
        .with("count", Value::Count(8));
    let mut announced = late(4);
    announced.silenced = Some(NOW.offset(SECOND));
    let cameras = vec![
        camera(1, "Cổng chính", Some(600)),
        camera(2, "Sân chơi", Some(2)),
        camera(3, "Bếp", None),
        camera(4, "Nhà xe", Some(600)),
    ];
    let never = Finding::new(Probe::Footage, Some(Subject::Camera(3)), Level::Fail, "never", NOW);
    let seen = seen(report(cameras, vec![disk, late(1), never, announced]));
    for lang in Lang::ALL {
        insta::assert_snapshot!(format!("troubles_{lang}"), spoken(&seen, lang));
    }
}

#[test]
fn that_nothing_is_wrong_is_said_with_evidence() {
    let cameras = (1..=64).map(|n| camera(n, "x", Some(i64::from(n % 5)))).collect();
    let text = spoken(&seen(report(cameras, Vec::new())), Lang::En);
    assert!(text.contains("64 of 64 cameras were written to disk within the last 4 s."), "{text}");
    assert!(text.contains("Nothing is wrong."), "{text}");
    assert!(!text.contains("custodian doctor"), "there is nothing to ask again: {text}");
}

#[test]
fn evidence_follows_the_disks_and_says_when_there_is_none() {
    let evidence = |cameras, findings| doctor::evidence(&report(cameras, findings));
    let some = evidence(vec![camera(1, "a", Some(2)), camera(2, "b", Some(600))], vec![late(2)]);
    assert_eq!((some.known, some.written, some.within_seconds, some.lost), (true, 1, 2, vec![2]));
    // Of many there is one finding that lists them.
    let many = Finding::new(Probe::Footage, None, Level::Fail, "many", NOW).with("cameras", Value::Cameras(vec![1, 2]));
    let all = evidence(vec![camera(1, "a", Some(99)), camera(2, "b", Some(99))], vec![many]);
    assert_eq!((all.known, all.written, all.lost), (true, 0, vec![1, 2]));
    let sub = Finding::new(Probe::Footage, Some(Subject::Camera(1)), Level::Warn, "sub_late", NOW);
    assert_eq!(evidence(vec![camera(1, "a", Some(2))], vec![sub]).lost, Vec::<u32>::new());
    // Nobody has left a second, and nothing says why.
    assert!(!evidence(vec![camera(1, "a", None)], Vec::new()).known);
    let mut stranger = report(Vec::new(), Vec::new());
    stranger.recorder = None;
    assert!(!doctor::evidence(&stranger).known);
}

#[test]
fn what_no_report_can_say_is_explained_too() {
    let mut blind = seen(report(Vec::new(), Vec::new()));
    blind.by_health = false;
    blind.absent = vec![Absence::Health(Err("nobody".into())), Absence::State, Absence::Disk("a1".parse().unwrap())];
    for lang in Lang::ALL {
        let text = spoken(&blind, lang);
        assert!(text.contains("/var/lib/custodian") && text.contains("a1") && text.contains("nobody"), "{text}");
        assert!(!text.contains("doctor."), "a text is missing: {text}");
    }
    let stale = Seen { by_health: true, absent: vec![Absence::Health(Ok(3_600 * SECOND))], ..blind };
    assert!(spoken(&stale, Lang::En).contains("It looked last 1:00:00 ago"), "{}", spoken(&stale, Lang::En));
}

#[test]
fn nothing_that_a_camera_is_called_moves_the_cursor() {
    let text = spoken(&seen(report(vec![camera(1, "\x1b[2Jx", Some(600))], vec![late(1)])), Lang::En);
    assert!(!text.contains('\x1b') && text.contains("[2Jx"), "{text}");
}

#[test]
fn many_of_a_kind_are_one_trouble() {
    let findings: Vec<_> = (1..=20).map(late).collect();
    let mut cameras: Vec<_> = (1..=20).map(|n| camera(n, "x", Some(600))).collect();
    cameras.push(camera(21, "y", Some(1)));
    let report = report(cameras, findings);
    assert_eq!(doctor::troubles(&report).len(), 1);
    let text = spoken(&seen(report), Lang::En);
    assert_eq!(text.matches("and 12 more like this").count(), 2, "{text}");
}

/// What can be explained: each probe, and what no probe can say.
fn topics() -> impl Iterator<Item = &'static str> {
    Probe::ALL.iter().map(|p| p.as_str()).chain(["health", "site"])
}

#[test]
fn every_probe_is_explained_in_each_language() {
    for lang in Lang::ALL {
        for topic in topics() {
            for what in ["means", "steps", "call"] {
                let key = format!("doctor.{topic}_{what}");
                let text = raw(lang, &key).unwrap_or_default();
                assert!(text.chars().count() > 5, "{lang} {key}: {text:?}");
            }
        }
    }
}

/// Words as a shell takes them: blanks part them, quotes hold them together.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut quoted) = (vec![String::new()], false);
    for c in command.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}

fn tried(command: &Command, text: &str) -> Result<(), String> {
    command.clone().try_get_matches_from(words(text)).map(|_| ()).map_err(|e| format!("{text}: {e}"))
}

#[test]
fn every_command_of_ours_that_is_to_be_copied_is_one() {
    let cli = help::command(Lang::En);
    assert!(tried(&cli, "custodian statsu").is_err() && tried(&cli, "custodian retention trust-clock").is_err());
    let mut copied = 0;
    for lang in Lang::ALL {
        let steps = topics().filter_map(|topic| raw(lang, &format!("doctor.{topic}_steps")));
        for text in steps.chain(["again", "bundle"].into_iter().filter_map(|key| raw(lang, &format!("doctor.{key}")))) {
            assert_eq!(text.matches('`').count() % 2, 0, "{text}");
            for command in text.split('`').skip(1).step_by(2).filter(|c| c.starts_with("custodian ")) {
                tried(&cli, command).unwrap_or_else(|e| panic!("{lang}: {e}"));
                copied += 1;
            }
        }
    }
    assert!(copied > 90, "{copied}");
}
