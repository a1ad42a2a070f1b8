//! Against servers of these tests' own, which look at every byte; against a clock that is moved; and, if there is one, a real server.

mod answers;
mod kinds;
mod logs;
mod loops;
pub(in crate::health) mod mock;
mod names;
mod real;
mod ways;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::*;
use crate::{
    site,
    sys::FakeClock,
    types::{
        WallNs,
        wire::health::{
            CameraHealth, Finding, Level, Machine, Probe, Silence, StreamHealth, Subject, Value, VolumeHealth,
            Witnessed,
        },
    },
};

/// 2026-11-26T00:00:00Z.
const NOW: WallNs = WallNs(1_795_651_200 * 1_000_000_000);
const ROOT: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const SIGNATURE: &str = "ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoOEhYaHiImKi4yNjo+QkZKTlJWWl5iZmpucnZ6foKGio6Slpqc=";

/// All that a school has given a name to.
#[derive(Debug, Clone)]
struct Names {
    site: String,
    recorder: String,
    cameras: [(String, String); 3],
    volumes: [String; 2],
    unit: String,
    person: String,
}

impl Names {
    fn ours() -> Self {
        let camera = |id: &str, name: &str| (id.to_owned(), name.to_owned());
        Self {
            site: "hill".into(),
            recorder: "attic".into(),
            cameras: [camera("gate-1", "Main gate"), camera("hall-1", "Hội trường"), camera("yard-1", "Yard")],
            volumes: ["north".into(), "south".into()],
            unit: "mnt-north.mount".into(),
            person: "Lan".into(),
        }
    }
}

fn camera(number: u32, (id, name): &(String, String), age: i64, kept: Option<f64>) -> CameraHealth {
    let stream = StreamHealth {
        stream: crate::types::StreamKind::Main,
        newest_committed: Some(NOW.offset(-age * 1_000_000_000)),
        age_seconds: None,
        gap_seconds_today: Some(1.0),
        gap_seconds_day: Some(6.4),
        gap_seconds_total: 99.0,
        lost_packets: Some(3),
    };
    CameraHealth {
        number,
        id: Some(id.parse().unwrap()),
        name: Some(name.clone()),
        required: number < 3,
        streams: vec![stream],
        min_days: Some(30),
        kept_days: kept,
        clock_error: Some(0.2),
    }
}

fn volume(name: &str, healthy: bool) -> VolumeHealth {
    VolumeHealth {
        name: name.parse().unwrap(),
        healthy,
        size: None,
        free: None,
        committed: Some(NOW),
        write_p99_us: None,
        commit_p99_us: None,
        temperature: None,
        bad_sectors: None,
        shortfall: crate::types::ByteSize(0),
    }
}

/// Two of three cameras are to be recorded. Something is wrong as far as `level` says.
fn report(level: Level, names: &Names) -> Report {
    let at = |probe, subject, level, code: &str| Finding::new(probe, subject, level, code, NOW);
    let mut findings = vec![at(Probe::Recorder, None, Level::Ok, "runs")];
    let north = names.volumes[0].parse().unwrap();
    if level >= Level::Warn {
        findings.push(at(Probe::Disk, Some(Subject::Volume(north)), Level::Warn, "hot"));
    }
    if level == Level::Fail {
        findings.push(at(Probe::Footage, Some(Subject::Camera(2)), Level::Fail, "late"));
        findings.push(at(Probe::Footage, Some(Subject::Camera(1)), Level::Fail, "late"));
        findings.push(at(Probe::Gaps, None, Level::Fail, "many").with("cameras", Value::Cameras(vec![1, 3])));
        findings.push(at(Probe::Units, Some(Subject::Other(names.unit.clone())), Level::Fail, "failed"));
        let mut announced = at(Probe::Memory, None, Level::Warn, "short");
        announced.silenced = Some(NOW);
        findings.push(announced);
    }
    // Two minutes are too old.
    let age = if level == Level::Fail { 120 } else { 119 };
    let log = format!("custodian/{}/{}/record", names.site, names.recorder);
    let [first, second, third] = &names.cameras;
    Report {
        format: 1,
        at: NOW,
        recorder: Some(names.recorder.parse().unwrap()),
        version: "0".into(),
        recording: Some(("0".into(), NOW)),
        level,
        findings,
        cameras: vec![
            camera(1, first, age, Some(31.26)),
            camera(2, second, age, Some(30.04)),
            camera(3, third, age, None),
        ],
        volumes: vec![volume(&names.volumes[0], level < Level::Fail), volume(&names.volumes[1], true)],
        machine: Machine::default(),
        generation: None,
        checkpoints: vec![Witnessed {
            ledger: "record".into(),
            checkpoint: format!("{log}\n1234\n{ROOT}\n\n— {log} {SIGNATURE}\n"),
            entries: 1234,
            at: NOW,
        }],
        silences: vec![Silence {
            id: uuid::Uuid::nil(),
            from: NOW,
            until: NOW,
            probes: Vec::new(),
            cameras: Vec::new(),
            by: names.person.clone(),
            reason: names.person.clone(),
        }],
        cost_us: 11_001,
    }
}

/// Looked at every 30 s, no proxy, no authority but the system's.
fn health() -> Health {
    let text = "[site]\nname = \"A\"\ntimezone = \"Asia/Ho_Chi_Minh\"\n[recorder.a]\n[[recorder.a.volume]]\nname = \"v1\"\npath = \"/srv/v1\"\n\
        [area.gate]\nname = \"Gate\"\nkind = \"public\"\n[camera.gate]\nname = \"G\"\narea = \"gate\"\nmain = \"rtsp://10.0.0.1/1\"\n";
    site::parse(text, "site.toml").unwrap().health().clone()
}

fn push(kind: PushKind, names: bool) -> Push {
    let url_secret = "monitor".parse().unwrap();
    Push { kind, url_secret, token_secret: None, interval: Duration::from_mins(1), names }
}

fn pusher_with(kind: PushKind, url: &str, token: Option<&str>, health: &Health) -> Result<Pusher, PushError> {
    let token = token.map(Secret::new);
    Pusher::new(&push(kind, false), &Secret::new(url), token.as_ref(), health, Arc::new(FakeClock::at(NOW)))
}

/// Gatus and http get the token `t0ken`.
fn pusher(kind: PushKind, url: &str) -> Pusher {
    let token = matches!(kind, PushKind::Gatus | PushKind::Http).then_some("t0ken");
    pusher_with(kind, url, token, &health()).unwrap()
}

impl Pusher {
    /// One try with a report that was made just now.
    async fn tell(&self, level: Level) -> Verdict {
        self.once((Some(Arc::new(report(level, &Names::ours()))), Instant::now())).await.0
    }
}
