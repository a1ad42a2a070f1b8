//! An entry of each kind at least, for tests.

use super::{Change, Entry, Reason, RemoteChange, Salted, SegmentEntry, SilenceChange, UpdateChange, Vouched, What};
use crate::types::{Cause, CauseKind, RunId, Span, StreamId, StreamKind, WallNs, merkle::leaf, wire::health::Level};

/// 2026-11-22T08:30:00Z.
const NOON: WallNs = WallNs(1_795_336_200_000_000_000);

fn span(from_s: i64, to_s: i64) -> Span {
    Span { start: NOON.offset(from_s * 1_000_000_000), end: NOON.offset(to_s * 1_000_000_000) }
}

/// Camera `gate` of recorder `a`, at half past eight.
pub(crate) fn samples() -> Vec<Entry> {
    let (stream, run) = (StreamId::from_bytes([7; 16]), RunId::from_bytes([1; 16]));
    let (camera, volume) = (|| "gate".parse().unwrap(), || "a1".parse().unwrap());
    let someone = |text| Salted::new(&[3; 16], text);
    let segment = SegmentEntry {
        stream,
        run,
        seq: 4,
        volume: volume(),
        camera: camera(),
        kind: StreamKind::Main,
        span: span(-300, 0),
        clock_correction: 0,
        frames: 7500,
        lost_packets: 0,
        holes: Vec::new(),
        recovered: false,
        root: leaf(b"segment"),
    };
    let torn = SegmentEntry {
        seq: 5,
        span: span(0, 100),
        lost_packets: 12,
        holes: vec![span(20, 22)],
        recovered: true,
        ..segment.clone()
    };
    let hold = |change, cameras| What::Hold {
        hold: uuid::Uuid::from_bytes([9; 16]),
        change,
        span: span(-3600, 0),
        cameras,
        by: someone("head of security"),
        reason: someone("case 12"),
        even_if_short: change == Change::Added,
    };
    let gap = |end| What::Gap {
        stream,
        camera: camera(),
        start: NOON,
        end,
        cause: Cause::new(CauseKind::Unreachable, "no route to host"),
    };
    let room = |recorded, substream| What::Room { camera: camera(), volume: volume(), recorded, substream };
    let event = |event: &str, id: Option<[u8; 16]>, detail: &str| What::Volume {
        volume: "a1".into(),
        id: id.map(uuid::Uuid::from_bytes),
        event: event.into(),
        detail: detail.into(),
    };
    let backup = |missing: &[&str]| What::Backup {
        backup: "20261122T083000Z".into(),
        place: "nas".into(),
        files: 12,
        bytes: 3_400_000_000,
        manifest: leaf(b"manifest"),
        missing: missing.iter().map(|text| (*text).to_owned()).collect(),
    };
    let verified = |damaged: &[&str]| What::Verified {
        scope: "all".into(),
        segments: 1200,
        bytes: 96_000_000_000,
        damaged: damaged.iter().map(|text| (*text).to_owned()).collect(),
    };
    let alarm = |probe: &str, camera, subject: Option<&str>, levels: (Level, Level), unsteady| What::Alarm {
        probe: probe.into(),
        camera,
        subject: subject.map(Into::into),
        level: levels.1,
        from: levels.0,
        code: "old".into(),
        unsteady,
    };
    let silence = |change, cameras, by, reason| What::Silence {
        silence: uuid::Uuid::from_bytes([8; 16]),
        change,
        until: NOON.offset(7_200_000_000_000),
        probes: vec!["volume".into(), "footage".into()],
        cameras,
        by,
        reason,
    };
    let remote = |change, route: Option<&str>, by, reason| What::Remote {
        change,
        until: NOON.offset(7_200_000_000_000),
        route: route.map(Into::into),
        by,
        reason,
    };
    let update = |change, by: Option<&'static str>, reason: Option<&'static str>| What::Update {
        version: "0.2.0".into(),
        change,
        sums: leaf(b"SHA256SUMS"),
        by: by.map(someone),
        reason: reason.map(someone),
    };
    let head = || Vouched {
        checkpoint: format!("custodian/school/a/record\n70000\n{}\n\n— x y\n", "A".repeat(44)),
        vkey: "custodian/school/a/record+00000000+x".into(),
    };
    let all = [
        What::LogBegins { site: "school".into(), predecessor: None },
        What::LogBegins { site: "school".into(), predecessor: Some(head()) },
        What::OtherLog { volume: volume(), head: head() },
        What::Omitted { entries: 3, since: NOON },
        What::ServiceStarted { service: "record".into(), version: "0.1.0".into(), after: None },
        What::ServiceStarted {
            service: "record".into(),
            version: "0.1.0".into(),
            after: Some(Cause::new(CauseKind::Restart, "killed")),
        },
        What::ServiceStopped { service: "record".into(), by: "SIGTERM".into() },
        What::Segment(segment),
        What::Segment(torn),
        What::Retired {
            stream,
            camera: camera(),
            volume: volume(),
            reason: Reason::MaxDays,
            span: span(-7200, -3600),
            segments: vec![(run, 0), (run, 1)],
        },
        gap(None),
        gap(Some(NOON.offset(90_000_000_000))),
        What::ClockStep { by: -3_600_000_000_000 },
        What::ClockConfirmed { by: someone("IT staff"), reason: Some(someone("set by hand")) },
        hold(Change::Added, vec![camera()]),
        hold(Change::Released, Vec::new()),
        What::Generation { number: 3, site: leaf(b"site.toml"), by: someone("lan"), reason: None },
        event("failed", Some([5; 16]), "Input/output error"),
        event("erased", None, ""),
        What::VolumeConfirmed {
            volume: volume(),
            id: Some(uuid::Uuid::from_bytes([5; 16])),
            by: someone("IT staff"),
            reason: someone("it was copied by hand"),
            detail: "2 files or parts of them are gone".into(),
        },
        What::Breach { camera: camera(), span: span(-7200, -3600), cause: Cause::new(CauseKind::Disk, "a1 is lost") },
        room(false, false),
        room(true, true),
        verified(&[]),
        verified(&["gate, 2026-11-22 15:00:07: changed"]),
        backup(&[]),
        backup(&["hall: file is gone"]),
        alarm("footage", Some(camera()), None, (Level::Ok, Level::Fail), false),
        alarm("volume", None, Some("a1"), (Level::Fail, Level::Ok), false),
        alarm("clock", None, None, (Level::Warn, Level::Warn), true),
        silence(SilenceChange::Begun, vec![camera()], Some(someone("lan")), Some(someone("a new switch"))),
        silence(SilenceChange::Ended, Vec::new(), None, None),
        remote(RemoteChange::Allowed, None, Some(someone("head")), Some(someone("a fault"))),
        remote(RemoteChange::Used, Some("GET /metrics"), None, None),
        remote(RemoteChange::Ended, None, None, None),
        update(UpdateChange::Consented, Some("head"), Some("security")),
        update(UpdateChange::Applied, None, None),
        update(UpdateChange::Good, None, None),
        update(UpdateChange::FellBack, None, None),
        update(UpdateChange::Refused, Some("head"), Some("exams")),
        What::Reset { generation: Some(3), by: someone("IT staff"), reason: someone("a wrong site") },
        What::Reset { generation: None, by: someone("IT staff"), reason: someone("a wrong site") },
    ];
    all.into_iter().map(|what| Entry::new(NOON, "a".parse().unwrap(), what)).collect()
}
