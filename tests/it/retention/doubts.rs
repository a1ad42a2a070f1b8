//! Whatever is in doubt, nothing goes.

use std::{
    os::unix::fs::PermissionsExt as _,
    process::Command,
    sync::atomic::{AtomicI64, Ordering},
};

use custodian::{
    factors::{Factors, Pin, SealedCode},
    services::record::{Options, Recorder as InProcess},
    sys::{Clock, Monotonic},
    types::{Lang, WallNs, wire::Doubt},
};
use nix::sys::signal::Signal;

use super::*;
use crate::{console::Person, support::wait_for};

/// The kernel's clocks, of which the wall clock can be set.
#[derive(Clone, Default)]
struct Settable(Arc<AtomicI64>);

impl Clock for Settable {
    fn wall(&self) -> WallNs {
        RealClock.wall().offset(self.0.load(Ordering::SeqCst))
    }
    fn monotonic(&self) -> Monotonic {
        RealClock.monotonic()
    }
}

fn ask(site: &Site) -> Option<wire::Retention> {
    let mut stream = UnixStream::connect(site.path("state/run/status/status.sock")).ok()?;
    write!(stream, "GET /v1/retention HTTP/1.0\r\nHost: r\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

fn doubts(told: &wire::Retention) -> Vec<Doubt> {
    told.suspended.iter().map(|s| s.doubt).collect()
}

/// Waits until everything was looked at again twice, and nothing is in doubt but that.
fn settled(site: &Site, wanted: &[Doubt]) {
    wait_for(&format!("{wanted:?} in doubt"), SOON, || {
        ask(site).filter(|r| r.reckoned.is_some() && doubts(r) == wanted)
    });
}

fn word(volume: Option<&str>) -> String {
    serde_json::json!({ "volume": volume, "by": "Hiệu trưởng Hoa", "reason": "looked at my watch" }).to_string()
}

#[test]
fn a_clock_that_was_set_deletes_nothing_until_a_person_says_that_it_is_right() {
    let cameras = OwnCameras::start(2);
    let site = site(&cameras, "size = \"2 GB\"", "min_days = 1\nmax_days = 2", |_| ());
    let files: Vec<PathBuf> = (1..6).map(|n| old(&site, &cameras.names[0], n * HOUR, 1)).collect();
    let clock = Settable::default();
    let options = Options { site: site.path("site.toml"), secrets: None, recorder: None, state: site.path("state") };
    let start = || InProcess::start(&options, Arc::new(clock.clone())).unwrap();
    let recorder = start();
    settled(&site, &[]);
    let (status, problem) = post(&site, "/v1/trust", &word(None));
    assert!(status == 409 && problem.contains("trusted already"), "{problem}");
    clock.0.store(10 * DAY, Ordering::SeqCst);
    settled(&site, &[Doubt::Clock]);
    // A restart does not help.
    recorder.stop("the test");
    let recorder = start();
    settled(&site, &[Doubt::Clock]);
    recorder.stop("the test");
    // By a clock in doubt nothing is measured.
    let index = Reader::open(&site.path("state/index.db")).unwrap();
    let streams = index.streams().unwrap();
    let days: Vec<String> = streams.iter().flat_map(|s| index.kept(s.key.id).unwrap()).map(|(day, _)| day).collect();
    let soon = RealClock.wall().offset(5 * DAY).timestamp().to_string();
    assert!(!days.is_empty() && days.iter().all(|day| **day < soon[..10]), "{days:?}");
    drop(index);
    // A new index does not help either.
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(site.path(&format!("state/index.db{suffix}")));
    }
    let recorder = start();
    settled(&site, &[Doubt::Clock]);
    assert_eq!(there(&files), 5);
    let health = recorder.status().retention.unwrap();
    // Whether a time service had vouched for the clock before.
    let why = &health.suspended[0].why;
    assert!(why.contains("set by +864000 s") || why.contains("more than 7 days after"), "{health:?}");
    assert_eq!(post(&site, "/v1/trust", &word(None)).0, 200);
    wait_for("what is overdue by that clock to go", SOON, || (there(&files) == 0).then_some(()));
    recorder.stop("the test");
    let whats: Vec<What> = entries(&site).into_iter().map(|e| e.what).collect();
    let step = whats.iter().position(|w| matches!(w, What::ClockStep { .. })).unwrap();
    let word = whats.iter().position(|w| matches!(w, What::ClockConfirmed { .. })).unwrap();
    let gone = whats.iter().position(|w| matches!(w, What::Retired { .. })).unwrap();
    assert!(step < word && word < gone);
    let all = format!("{whats:?}");
    assert!(!all.contains("Hoa") && !all.contains("watch"), "no person and no reason stands in the ledger");
}

/// As `custodian retention trust-clock`, for whom there is no shell.
#[test]
fn a_person_at_the_console_says_that_the_clock_is_right() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let cameras = OwnCameras::start(2);
    let site = site(&cameras, "size = \"2 GB\"", "min_days = 1\nmax_days = 2", |_| ());
    let file = old(&site, &cameras.names[0], HOUR, 1);
    let clock = Settable::default();
    let options = Options { site: site.path("site.toml"), secrets: None, recorder: None, state: site.path("state") };
    let recorder = InProcess::start(&options, Arc::new(clock.clone())).unwrap();
    settled(&site, &[]);
    clock.0.store(10 * DAY, Ordering::SeqCst);
    settled(&site, &[Doubt::Clock]);
    let factors = Factors::new(&RealFiles, &RealClock, &site.path("state"), "");
    factors.create(&Pin::choose("294173").unwrap(), &SealedCode::make().unwrap()).unwrap();
    // Neither the clock nor a service of this machine is touched.
    let bin = site.path("bin");
    fs::create_dir(&bin).unwrap();
    for program in ["timedatectl", "systemctl"] {
        fs::write(bin.join(program), "#!/bin/sh\nexit 1\n").unwrap();
        fs::set_permissions(bin.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let console = Command::new(env!("CARGO_BIN_EXE_custodian"));
    let mut person = Person::sits_down(console, &site.path("state"), &site.path("units"), &bin, Lang::En);
    person.sees(&person.t("key_t"));
    person.types("t");
    person.sees(&person.first_words("clock_waits"));
    person.types("c");
    person.sees(&person.first_words("clock_by"));
    person.types("Hiệu trưởng Hoa\r");
    person.sees(&person.first_words("clock_reason"));
    person.types("looked at my watch\r");
    person.sees(&person.t("pin_title"));
    person.types("294174\r");
    person.sees(&person.t("factor_wrong_now"));
    assert_eq!(doubts(&ask(&site).unwrap()), [Doubt::Clock], "nothing before the PIN");
    assert!(file.exists());
    person.types("294173\r");
    person.sees(&person.first_words("clock_right_done"));
    settled(&site, &[]);
    recorder.stop("the test");
    let confirmed = entries(&site).into_iter().filter(|e| matches!(e.what, What::ClockConfirmed { .. })).count();
    assert_eq!(confirmed, 1);
    let noted = fs::read_to_string(site.path("state/retention.json")).unwrap();
    assert!(noted.contains("Hiệu trưởng Hoa") && noted.contains("looked at my watch"), "{noted}");
}

#[test]
fn a_clock_that_stands_before_what_was_seen_deletes_nothing() {
    let cameras = OwnCameras::start(2);
    let site = site(&cameras, "size = \"2 GB\"", "min_days = 1\nmax_days = 2", |_| ());
    let clock = Settable::default();
    let options = Options { site: site.path("site.toml"), secrets: None, recorder: None, state: site.path("state") };
    let recorder = InProcess::start(&options, Arc::new(clock.clone())).unwrap();
    settled(&site, &[]);
    recorder.stop("the test");
    let file = old(&site, &cameras.names[0], 5 * DAY, 1);
    for (offset, sign) in [(-HOUR, "before"), (9 * DAY, "7 days after")] {
        clock.0.store(offset, Ordering::SeqCst);
        let recorder = InProcess::start(&options, Arc::new(clock.clone())).unwrap();
        settled(&site, &[Doubt::Clock]);
        assert!(ask(&site).unwrap().suspended[0].why.contains(sign));
        recorder.stop("the test");
        assert!(file.exists());
    }
}

/// The system disk is lost, and the new board's clock is a year ahead.
#[test]
fn a_machine_that_knows_nothing_of_the_footage_that_it_finds_deletes_nothing() {
    let cameras = OwnCameras::start(2);
    let site = site(&cameras, "size = \"2 GB\"", "min_days = 1\nmax_days = 2", |_| ());
    let file = old(&site, &cameras.names[0], HOUR, 1);
    fs::remove_file(site.path("state/retention.json")).unwrap();
    let clock = Settable(Arc::new(AtomicI64::new(365 * DAY)));
    let options = Options { site: site.path("site.toml"), secrets: None, recorder: None, state: site.path("state") };
    for _ in 0..2 {
        let recorder = InProcess::start(&options, Arc::new(clock.clone())).unwrap();
        settled(&site, &[Doubt::Clock]);
        assert!(ask(&site).unwrap().suspended[0].why.contains("is not noted"));
        recorder.stop("the test");
    }
    let noted = fs::read_to_string(site.path("state/retention.json")).unwrap();
    let (begin, _) = noted.split_at(20);
    fs::write(site.path("state/retention.json"), begin).unwrap();
    let recorder = InProcess::start(&options, Arc::new(clock.clone())).unwrap();
    settled(&site, &[Doubt::Clock]);
    assert!(ask(&site).unwrap().suspended[0].why.contains("is damaged") && file.exists());
    assert_eq!(post(&site, "/v1/trust", &word(None)).0, 200);
    recorder.stop("the test");
}

#[test]
fn what_cannot_be_put_on_record_does_not_happen() {
    let cameras = OwnCameras::start(2);
    let site = site(&cameras, "size = \"2 GB\"", "min_days = 1\nmax_days = 2", |_| ());
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    settled(&site, &[]);
    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait(SOON).success());
    // Where the log should be there is something else.
    let (ledger, aside) = (site.path("state/ledger"), site.path("state/aside"));
    fs::rename(&ledger, &aside).unwrap();
    fs::write(&ledger, "in the way").unwrap();
    let file = old(&site, &cameras.names[0], 5 * DAY, 1);
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    settled(&site, &[Doubt::Ledger]);
    assert!(file.exists());
    fs::remove_file(&ledger).unwrap();
    fs::rename(&aside, &ledger).unwrap();
    wait_for("it to go once it can be told", SOON, || (!file.exists()).then_some(()));
    let log = site.log();
    assert_eq!(log.lines().filter(|l| l.contains("nothing is deleted: ")).count(), 1, "said once");
    drop(recorder);
}

#[test]
fn a_volume_that_is_not_as_the_index_says_waits_for_a_person() {
    let cameras = OwnCameras::start(2);
    let (camera, other) = (&cameras.names[0], &cameras.names[1]);
    let site = site(&cameras, "size = \"2 GB\"", "min_days = 1\nmax_days = 2", |_| ());
    let taken = old(&site, other, 3 * HOUR, 1);
    let recorder = site.record();
    recorder.wait_until_recording(&cameras.names);
    settled(&site, &[]);
    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait(SOON).success());
    // Somebody takes promised footage away.
    fs::remove_file(&taken).unwrap();
    let file = old(&site, camera, 5 * DAY, 1);
    let recorder = site.record();
    settled(&site, &[Doubt::Contents]);
    drop(recorder);
    // It is compared again, and the index knows no more of what is gone.
    let recorder = site.record();
    settled(&site, &[Doubt::Contents]);
    assert!(file.exists());
    let told = ask(&site).unwrap();
    let broken: Vec<&str> = told.cameras.iter().filter(|c| c.is_broken()).map(|c| c.camera.as_str()).collect();
    assert_eq!(broken, [other], "the promise is broken, and said to be");
    assert!(told.at_risk());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_custodian"));
    let out = command.arg("retention").arg("--state").arg(site.path("state")).output().unwrap();
    assert_eq!(out.status.code(), Some(3), "{out:?}");
    let kept = told.cameras.iter().find(|c| c.camera.as_str() == other).unwrap().kept.unwrap();
    assert!(kept.lost_seconds == 1 && kept.days < 0.1, "{kept:?}");
    assert_eq!(post(&site, "/v1/trust", &word(Some("v9"))).0, 409);
    assert_eq!(post(&site, "/v1/trust", &word(Some("v1"))).0, 200);
    wait_for("deletion to go on", SOON, || (!file.exists()).then_some(()));
    drop(recorder);
    let said = entries(&site).into_iter().find_map(|e| match e.what {
        What::VolumeConfirmed { volume, by, reason, .. } => Some((volume.to_string(), by, reason)),
        _ => None,
    });
    let noted = fs::read(site.path("state/retention.json")).unwrap();
    let noted = &serde_json::from_slice::<serde_json::Value>(&noted).unwrap()["said"][0];
    let salted = |what: &str| {
        let salt: uuid::Uuid = noted[format!("{what}_salt")].as_str().unwrap().parse().unwrap();
        ledger::Salted::new(salt.as_bytes(), noted["word"][what].as_str().unwrap())
    };
    assert_eq!(noted["word"]["by"], "Hiệu trưởng Hoa");
    assert_eq!(said, Some(("v1".into(), salted("by"), salted("reason"))), "who and why can be shown");
    // A file that is not ours is in doubt as well, until it is known.
    let stranger = site.path("v1").join("footage/holiday.mp4");
    fs::write(&stranger, "not ours").unwrap();
    let file = old(&site, camera, 5 * DAY + HOUR, 1);
    let recorder = site.record();
    settled(&site, &[Doubt::Contents]);
    assert!(file.exists());
    assert_eq!(post(&site, "/v1/trust", &word(Some("v1"))).0, 200);
    wait_for("deletion to go on", SOON, || (!file.exists()).then_some(()));
    drop(recorder);
    let file = old(&site, camera, 5 * DAY + 2 * HOUR, 1);
    let _recorder = site.record();
    wait_for("deletion to go on after a restart, for it is known", SOON, || (!file.exists()).then_some(()));
    assert!(stranger.exists());
}
