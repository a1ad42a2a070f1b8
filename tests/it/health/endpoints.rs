//! A monitor and a webhook in trouble of all kinds, beside a recorder that does not notice any of it.

use std::{
    io::{BufRead as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::Mutex,
    thread,
};

use custodian::types::wire::StreamState;

use super::*;
use crate::support::{own::OwnCameras, recorder::Recorder};

/// How a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Fine,
    Status(u16),
    Elsewhere,
    Silent,
    Refusing,
}

/// A server on loopback that changes its manner, and remembers what it was told.
struct Monitor {
    port: u16,
    manner: Arc<Mutex<Manner>>,
    told: Arc<Mutex<Vec<(String, String)>>>,
}

fn answer(mut stream: TcpStream, manner: Manner, told: &Mutex<Vec<(String, String)>>) {
    if manner == Manner::Refusing {
        return;
    }
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let (mut first, mut length) = (String::new(), 0);
    let _ = lines.read_line(&mut first);
    loop {
        let mut line = String::new();
        match lines.read_line(&mut line) {
            Ok(n) if n > 2 => {}
            _ => break,
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    let _ = lines.read_exact(&mut body);
    if manner == Manner::Silent {
        // Until the client gives up.
        let _ = lines.read_line(&mut String::new());
        return;
    }
    let (status, more) = match manner {
        Manner::Status(status) => (status, String::new()),
        Manner::Elsewhere => (302, "Location: http://127.0.0.2:1/elsewhere\r\n".to_owned()),
        _ => (200, String::new()),
    };
    if status == 200 {
        told.lock().unwrap().push((first.trim().to_owned(), String::from_utf8_lossy(&body).into_owned()));
    }
    let _ = write!(stream, "HTTP/1.1 {status} X\r\n{more}Content-Length: 2\r\nConnection: close\r\n\r\nOK");
}

impl Monitor {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (manner, told) = (Arc::new(Mutex::new(Manner::Fine)), Arc::default());
        let (how, heard) = (Arc::clone(&manner), Arc::clone(&told));
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (how, heard) = (*how.lock().unwrap(), Arc::clone(&heard));
                thread::spawn(move || answer(stream.unwrap(), how, &heard));
            }
        });
        Self { port, manner, told }
    }

    fn be(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
        self.told.lock().unwrap().clear();
    }

    fn told(&self) -> Vec<(String, String)> {
        self.told.lock().unwrap().clone()
    }
}

fn push_is(report: &Report, level: Level) -> bool {
    let all = report.findings.iter().filter(|f| f.probe == Probe::Push && !f.code.is_empty());
    all.map(|f| f.level).max() == Some(level)
}

/// A recorder whose health tells both, and all is well.
fn begin<'a>(cameras: &OwnCameras, site: &'a Site, monitor: &Monitor, hook: &Monitor) -> (Recorder<'a>, Health<'a>) {
    let ways = "[[health.push]]\nkind = \"http\"\nurl_secret = \"monitor\"\ninterval = \"10 s\"\n\
                [[health.alarm]]\nkind = \"webhook\"\nurl_secret = \"hook\"\n";
    site.add_to_last(&format!("{HEALTH}{ways}"));
    let secrets = site.path("secrets.toml");
    let text = fs::read_to_string(&secrets).unwrap();
    let address = |of: &Monitor, path: &str| format!("http://127.0.0.1:{}/{path}-secret-path", of.port);
    let more = format!("[secrets]\nmonitor = \"{}\"\nhook = \"{}\"\n", address(monitor, "m"), address(hook, "h"));
    fs::write(&secrets, format!("{text}{more}")).unwrap();
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    let health = Health::start(site);
    health.wait_until_well();
    (recorder, health)
}

/// Two, because what begins three times within an hour is held at its worst.
fn in_trouble(manners: [Manner; 2]) {
    let cameras = OwnCameras::start(1);
    let (site, monitor, hook) = (cameras.site(), Monitor::start(), Monitor::start());
    let (recorder, health) = begin(&cameras, &site, &monitor, &hook);
    wait_for("a beat", SOON, || (!monitor.told().is_empty()).then_some(()));
    health.wait_for("the monitor to be reached", |report| push_is(report, Level::Ok));
    for manner in manners {
        let since = now();
        monitor.be(manner);
        let report = health.wait_for(&format!("{manner:?}"), |report| push_is(report, Level::Warn));
        // A beat every 5 s, a try of 10 s, a look every 5 s, two of which agree.
        let begun = report.findings.iter().filter(|f| f.probe == Probe::Push).map(|f| f.since).max().unwrap();
        assert!(begun < since + Duration::from_secs(32), "{manner:?}: {} s", begun.since(since) / 1_000_000_000);
        monitor.be(Manner::Fine);
        if matches!(manner, Manner::Status(404) | Manner::Elsewhere) {
            // What somebody must change is asked ever less often. To change it begins anew.
            site.add_to_last(&format!("# {manner:?}\n"));
        }
        health.wait_for("the monitor to be reached again", |report| push_is(report, Level::Ok));
        assert!(!monitor.told().is_empty());
        let status = recorder.status().unwrap();
        assert!(status.streams.iter().all(|s| !s.recorded || s.state == StreamState::Running), "{manner:?}");
    }
    let gaps: f64 = recorder.status().unwrap().streams.iter().map(|s| s.gap_seconds_day).sum();
    assert!(gaps < 0.001, "{gaps} s were not recorded");
    // The address is a secret, of which the log has no more than the host and a fingerprint.
    let log = site.log();
    assert!(log.contains("http at") || log.contains("127.0.0.1"), "{log}");
    assert!(!log.contains("secret-path"), "{log}");
}

#[test]
fn a_monitor_that_is_overloaded_is_reported_and_recording_goes_on() {
    in_trouble([Manner::Status(500), Manner::Status(429)]);
}

#[test]
fn a_monitor_that_is_elsewhere_is_reported_and_recording_goes_on() {
    in_trouble([Manner::Status(404), Manner::Elsewhere]);
}

#[test]
fn a_monitor_that_is_slow_or_gone_is_reported_and_recording_goes_on() {
    in_trouble([Manner::Silent, Manner::Refusing]);
}

#[test]
fn a_monitor_that_takes_a_checkpoint_is_a_witness_over_a_restart() {
    let cameras = OwnCameras::start(1);
    let (site, monitor, hook) = (cameras.site(), Monitor::start(), Monitor::start());
    let (_recorder, health) = begin(&cameras, &site, &monitor, &hook);
    let witness = |report: &Report| report.findings.iter().any(|f| f.probe == Probe::Witness && f.code == "taken");
    health.wait_for("a witness of the ledger", witness);
    monitor.be(Manner::Refusing);
    health.stop();
    let health = Health::start(&site);
    health.wait_for("the witness to be remembered", witness);
}

/// By a webhook, over a restart of health between its beginning and its end.
#[test]
fn an_alarm_is_told_once_and_its_end_once() {
    let cameras = OwnCameras::start(1);
    let (site, monitor, hook) = (cameras.site(), Monitor::start(), Monitor::start());
    let (recorder, health) = begin(&cameras, &site, &monitor, &hook);
    let events = |event: &str| {
        let told = hook.told();
        let all = told.iter().filter_map(|(_, body)| serde_json::from_str::<serde_json::Value>(body).ok());
        all.filter(|told| told["event"] == event && told["probe"] == "recorder").count()
    };
    recorder.signal(Signal::SIGKILL);
    let _ = recorder.wait(SOON);
    wait_for("the alarm", SOON, || (events("raised") == 1).then_some(()));
    health.stop();
    let health = Health::start(&site);
    health.wait_for("a look", |report| report.recording.is_none());
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    wait_for("its end", SOON, || (events("ended") == 1).then_some(()));
    drop(health);
    assert_eq!((events("raised"), events("ended")), (1, 1), "{:#?}", hook.told());
    assert!(hook.told().iter().all(|(line, _)| line.starts_with("POST /h-secret-path ")));
}

#[test]
fn no_alarm_is_lost_while_the_ways_out_begin_anew() {
    let cameras = OwnCameras::start(1);
    let site = cameras.site();
    let hook = Monitor::start();
    site.add_to_last(HEALTH);
    let secrets = site.path("secrets.toml");
    let text = fs::read_to_string(&secrets).unwrap();
    fs::write(&secrets, format!("{text}[secrets]\nhook = \"http://127.0.0.1:{}/h\"\n", hook.port)).unwrap();
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    let health = Health::start(&site);
    health.wait_until_well();
    let down = |r: &Report| r.findings.iter().any(|f| f.code == "down" && f.level == Level::Fail);
    recorder.signal(Signal::SIGKILL);
    let _ = recorder.wait(SOON);
    // It turns while nobody is told.
    health.wait_for("the recorder to be missed", down);
    site.add_to_last("[[health.alarm]]\nkind = \"webhook\"\nurl_secret = \"hook\"\n");
    // A message that was cut off is sent again under its number.
    let events = |event: &str| {
        let all = hook.told();
        let all = all.iter().filter_map(|(_, body)| serde_json::from_str::<serde_json::Value>(body).ok());
        let ours = all.filter(|said| said["event"] == event && said["probe"] == "recorder");
        ours.map(|said| said["message"].to_string()).collect::<std::collections::BTreeSet<_>>().len()
    };
    wait_for("the alarm", SOON, || (events("raised") == 1).then_some(()));
    // It ends while the ways out begin anew with each look.
    let recorder = site.record();
    let mut last = health.report().unwrap().at;
    let runs = |r: &Report| r.findings.iter().any(|f| f.probe == Probe::Recorder && f.code == "runs");
    wait_for("the recorder to run", SOON, || {
        let report = health.report()?;
        if report.at != std::mem::replace(&mut last, report.at) {
            site.add_to_last("# anew\n");
        }
        runs(&report).then_some(())
    });
    wait_for("its end", SOON, || (events("ended") == 1).then_some(()));
    recorder.wait_until_recording(&cameras.names);
    assert_eq!((events("raised"), events("ended")), (1, 1), "{:#?}", hook.told());
}
