//! Against a mail server that nobody here wrote, and a server of HTTP that shows every byte.

mod by_mail;
mod by_web;

use super::*;
use crate::{
    site,
    sys::{FakeClock, FakeFiles},
    types::{
        WallNs,
        wire::health::{CameraHealth, Finding, Level, Machine, Probe, Subject, Value},
    },
};

const SECOND: i64 = 1_000_000_000;
/// 2026-11-22T15:00:00+07:00.
const NOW: WallNs = WallNs(1_795_334_400 * SECOND);

const SITE: &str = r#"
[site]
name = "Trường mầm non"
timezone = "Asia/Ho_Chi_Minh"
[recorder.rec1]
[[recorder.rec1.volume]]
name = "v1"
path = "/srv/v1"
[area.gate]
name = "Gate"
kind = "public"
[camera.gate]
name = "Cổng chính"
area = "gate"
main = "rtsp://10.0.0.1/1"
"#;

/// Alarms as a site has them, `ca` besides, and what they keep.
struct Office {
    alarms: Arc<Alarms>,
    files: FakeFiles,
    clock: FakeClock,
    health: Health,
    secrets: Secrets,
}

impl Office {
    fn new(alarms: &str, secrets: &str, ca: Option<&str>) -> Self {
        let site = site::parse(&format!("{SITE}{alarms}"), "site.toml").unwrap();
        let health = Health { ca: ca.map(str::to_owned), ..site.health().clone() };
        let secrets = site::secrets::parse(&format!("[secrets]\n{secrets}"), "secrets.toml").unwrap();
        let (files, clock) = (FakeFiles::new(), FakeClock::at(NOW));
        files.make_dir(Path::new("/health")).unwrap();
        let alarms = open(&health, &secrets, &files, &clock);
        Self { alarms, files, clock, health, secrets }
    }

    /// Another process takes over.
    fn restart(&mut self) {
        self.alarms = open(&self.health, &self.secrets, &self.files, &self.clock);
    }

    /// A look at which these cameras turn to these levels.
    fn look(&self, turns: &[(u32, Level, Level)]) {
        self.clock.advance(Duration::from_mins(1));
        let at = self.clock.wall();
        let turn = |(camera, from, level): &(u32, Level, Level)| {
            let code = if *level == Level::Ok { "over" } else { "late" };
            let finding = Finding::new(Probe::Footage, Some(Subject::Camera(*camera)), *level, code, at)
                .with("at", Value::Time(at.offset(-90 * SECOND)))
                .with("age", Value::Seconds(90.0));
            Turn { at, from: *from, finding }
        };
        let turns: Vec<_> = turns.iter().map(turn).collect();
        self.alarms.put(&turns, &report(at, turns.iter().map(|t| t.finding.clone()).collect()));
    }

    async fn once(&self, n: usize) -> Tried {
        self.alarms.clone().once(n).await
    }

    fn state(&self, name: &str) -> Endpoint {
        self.alarms.endpoints()[name].clone()
    }
}

fn open(health: &Health, secrets: &Secrets, files: &FakeFiles, clock: &FakeClock) -> Arc<Alarms> {
    let zone = TimeZone::get("Asia/Ho_Chi_Minh").unwrap();
    let (files, clock) = (Arc::new(files.clone()), Arc::new(clock.clone()));
    Arc::new(Alarms::new(health, secrets, zone, Path::new("/health"), files, clock))
}

fn report(at: WallNs, findings: Vec<Finding>) -> Report {
    let camera = |number: u32| CameraHealth {
        number,
        id: Some(format!("gate-{number}").parse().unwrap()),
        name: Some(format!("Cổng chính {number}")),
        required: true,
        streams: Vec::new(),
        min_days: None,
        kept_days: None,
        clock_error: None,
    };
    Report {
        format: 1,
        at,
        recorder: Some("rec1".parse().unwrap()),
        version: "0.1.0".into(),
        recording: None,
        level: Level::Ok,
        findings,
        cameras: (1..=64).map(camera).collect(),
        volumes: Vec::new(),
        machine: Machine::default(),
        generation: None,
        checkpoints: Vec::new(),
        silences: Vec::new(),
        cost_us: 0,
    }
}

#[test]
fn pauses_grow_to_a_quarter_of_an_hour_and_heed_what_the_server_wants() {
    let busy = Failure::of("busy");
    let pauses: Vec<_> = (1..12).map(|n| pause(n, &busy, 0.0)).collect();
    assert_eq!(pauses[..3], [10, 20, 40].map(Duration::from_secs));
    assert!(pauses.is_sorted() && pauses[10] == LONGEST, "{pauses:?}");
    assert_eq!(pause(u32::MAX, &busy, 0.0), LONGEST);
    assert!(pause(1, &busy, 0.999) >= Duration::from_millis(7_500), "not all of a school at once");
    assert_eq!(pause(1, &Failure::wrong("no such user"), 0.0), LONGEST, "an account is not locked by us");
    let wait = |secs| Failure { wait: Some(Duration::from_secs(secs)), ..busy.clone() };
    assert_eq!(pause(1, &wait(60), 0.0), Duration::from_mins(1));
    assert_eq!(pause(1, &wait(1_000_000), 0.0), LONGEST);
}

#[tokio::test]
async fn one_that_is_set_up_in_a_wrong_way_is_one_that_cannot_be_reached_and_holds_up_no_other() {
    let alarms = r#"
[[health.alarm]]
kind = "webhook"
url_secret = "hook"
[[health.alarm]]
kind = "webhook"
url_secret = "gone"
"#;
    let office = Office::new(alarms, "hook = \"ftp://h.example/secret\"", None);
    office.look(&[(1, Level::Ok, Level::Fail)]);
    for (n, name) in ["alarm-1-webhook", "alarm-2-webhook"].into_iter().enumerate() {
        let state = office.state(name);
        assert!(state.misconfigured && state.failing_since == Some(NOW), "{state:?}");
        assert!(!state.problem.unwrap().contains("example"));
        assert_eq!(office.once(n).await, Tried::Idle);
    }
}
