use super::*;
use crate::types::{
    StreamKind,
    wire::health::{GenerationHealth, Machine, Subject, Value as Filled},
};

/// 2026-11-22T08:30:00Z.
const AT: WallNs = WallNs(1_795_336_200_000_000_000);

fn seconds_ago(seconds: i64) -> WallNs {
    AT.offset(-seconds * 1_000_000_000)
}

fn camera(number: u32, id: &str, name: &str, newest: Option<i64>, required: bool) -> CameraHealth {
    let stream = StreamHealth {
        stream: StreamKind::Main,
        newest_committed: newest.map(seconds_ago),
        age_seconds: None,
        gap_seconds_today: Some(if newest == Some(3) { 0.0 } else { 71.5 }),
        gap_seconds_day: Some(1800.0),
        gap_seconds_total: 1800.0,
        lost_packets: Some(0),
    };
    CameraHealth {
        number,
        id: Some(id.parse().unwrap()),
        name: Some(name.into()),
        required,
        streams: vec![stream],
        min_days: Some(30),
        kept_days: Some(31.46),
        clock_error: Some(0.4),
    }
}

/// A camera that is late, which comes and goes; a volume that has failed while work was announced.
fn report() -> Report {
    let late = Finding::new(Probe::Footage, Some(Subject::Camera(2)), Level::Warn, "late", seconds_ago(60));
    let late = late.with("at", Filled::Time(seconds_ago(90))).with("age", Filled::Seconds(90.0));
    let failed = Finding::new(Probe::Volume, Some(Subject::Volume("a1".parse().unwrap())), Level::Fail, "failed", AT);
    let failed = failed.with("why", Filled::Text("Input/output error".into()));
    let runs = Finding::new(Probe::Recorder, None, Level::Ok, "runs", AT);
    let runs = runs.with("version", Filled::Text("0.1.0".into())).with("started", Filled::Time(seconds_ago(86_400)));
    let volume = |name: &str, healthy| VolumeHealth {
        name: name.parse().unwrap(),
        healthy,
        size: healthy.then_some(ByteSize(12_000_000_000_000)),
        free: healthy.then_some(ByteSize(300_000_000_000)),
        committed: Some(seconds_ago(3)),
        write_p99_us: Some(2_300),
        commit_p99_us: Some(41_000),
        temperature: Some(38.0),
        bad_sectors: Some(0),
        shortfall: ByteSize(0),
    };
    let silence = Silence {
        id: uuid::Uuid::from_u128(0x79cb_f763 << 96),
        from: AT,
        until: seconds_ago(-7200),
        probes: vec![Probe::Volume],
        cameras: vec![2],
        by: "Lan\x1b[2J".into(),
        reason: "ổ đĩa mới".into(),
    };
    Report {
        format: 1,
        at: AT,
        recorder: Some("a".parse().unwrap()),
        version: "0.2.0".into(),
        recording: Some(("0.1.0".into(), seconds_ago(86_400))),
        level: Level::Warn,
        findings: vec![
            runs,
            Finding { unsteady: true, ..late },
            Finding { silenced: Some(seconds_ago(-7200)), ..failed },
        ],
        cameras: vec![camera(1, "gate-1", "Cổng chính 1", Some(3), true), camera(2, "hall", "大厅", Some(90), true)],
        volumes: vec![volume("a1", false), volume("a2", true)],
        machine: Machine::default(),
        generation: Some(GenerationHealth { number: 3, confirmed: true, trial_until: None, site: "0".repeat(16) }),
        checkpoints: Vec::new(),
        silences: vec![silence],
        cost_us: 2000,
    }
}

fn said(lang: Lang) -> String {
    let shown = Shown::new(TimeZone::get("Asia/Ho_Chi_Minh").unwrap());
    super::report(&report(), &shown, lang, false)
}

#[test]
fn a_report_for_people() {
    insta::assert_snapshot!("health_en", said(Lang::En));
    insta::assert_snapshot!("health_vi", said(Lang::Vi));
    insta::assert_snapshot!("health_zh", said(Lang::Zh));
}

#[test]
fn the_worst_stands_first_and_nothing_moves_the_cursor() {
    let text = said(Lang::En);
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}: {text}"));
    assert!(
        at("Input/output error") < at("大厅 is not recorded") && at("大厅 is not") < at("has been running"),
        "{text}"
    );
    assert!(!text.contains('\x1b') && !text.contains('{'), "{text}");
}

#[test]
fn machines_get_each_sentence_in_three_languages_and_people_their_masks() {
    let json = json(&report(), &TimeZone::UTC);
    assert_eq!(json["findings"][0]["todo"], Value::Null, "all is well with it");
    for lang in ["vi", "zh", "en"] {
        assert!(json["findings"][1]["text"][lang].as_str().unwrap().contains("大厅"), "{json}");
        assert!(!json["findings"][1]["todo"][lang].as_str().unwrap().is_empty());
    }
    let back: Report = serde_json::from_value(json).unwrap();
    assert_eq!(back, report(), "what reads reports reads this one");
    let masked = super::json(&report().masked(), &TimeZone::UTC).to_string();
    assert!(!masked.contains("大厅") && !masked.contains("hall") && !masked.contains("Lan"), "{masked}");
}
