//! Of hours, of starts, of what is due.

use super::*;
use crate::{
    sys::{FakeCommands, Output},
    update::{Candidate, Why},
};

fn site(update: &str) -> Site {
    let text = include_str!("../../../image/site.example.toml");
    let cut = text.find("[update]").map_or(text, |at| &text[..at]);
    let Ok(site) = site::parse(&format!("{cut}{update}"), "site.toml") else { panic!("{update}") };
    site
}

#[test]
fn hours_are_those_of_the_school() {
    let site = site("[update]\nwindow = [\"sun 02:00-04:00\", \"wed 22:00-01:00\"]\n");
    assert_eq!(site.timezone().iana_name(), Some("Asia/Ho_Chi_Minh"));
    // 2026-11-22 is a Sunday; the school is seven hours ahead.
    let at = |text: &str| WallNs(i64::try_from(text.parse::<jiff::Timestamp>().unwrap().as_nanosecond()).unwrap());
    for (time, open) in [
        ("2026-11-21T18:59:59Z", false),
        ("2026-11-21T19:00:00Z", true),
        ("2026-11-21T20:59:59Z", true),
        ("2026-11-21T21:00:00Z", false),
        ("2026-11-25T15:00:00Z", true),
        ("2026-11-25T17:59:59Z", true),
        ("2026-11-25T18:00:00Z", false),
    ] {
        assert_eq!(is_open(&site, at(time)), if open { Ok(()) } else { Err(NotNow::OtherHours) }, "{time}");
    }
}

#[test]
fn a_start_of_which_nothing_is_known_is_not_called_good() {
    let not_yet = || Verdict::NotYet("no recorder answers".into());
    assert!(matches!(of_start(Trial::Unknown, || Verdict::Good), Verdict::NotYet(_)));
    assert_eq!(of_start(Trial::Counted, not_yet), not_yet());
    assert_eq!(of_start(Trial::Counted, || Verdict::Good), Verdict::Good);
    assert_eq!(of_start(Trial::NotCounted, not_yet), Verdict::Good);
}

#[test]
fn nothing_is_fetched_while_a_version_is_under_way() {
    let candidate = |stage| Candidate {
        version: "0.2.0".parse().unwrap(),
        sums: crate::types::merkle::Hash([7; 32]),
        offered: WallNs(0),
        stage,
        written_in: None,
        failures: 0,
    };
    let due = |stage: Option<Stage>, looked| {
        fetch_is_due(
            &State { candidate: stage.map(candidate), looked, ..State::default() },
            WallNs(DAY.as_nanos().try_into().unwrap()),
        )
    };
    assert!(due(None, None) && due(None, Some(WallNs(0))) && !due(None, Some(WallNs(1))));
    assert!(due(Some(Stage::Offered), None) && due(Some(Stage::Consented), None));
    for stage in [Stage::Writing, Stage::Applied, Stage::Trying] {
        assert!(!due(Some(stage), None), "{stage:?}");
    }
}

#[test]
fn a_command_that_is_at_work_on_an_update_stops_the_clock() {
    let dir = tempfile::tempdir().unwrap();
    let files = crate::sys::FakeFiles::new();
    let commands = FakeCommands::new(|_, _: &[&str]| Ok(Output::default()));
    let machine = Machine {
        commands: &commands,
        files: &files,
        os_release: PathBuf::new(),
        boot: String::new(),
        definitions: PathBuf::new(),
        run: PathBuf::new(),
    };
    let proof =
        Proof { state: dir.path(), machine: &machine, trial: Cell::new(Trial::Counted), said: RefCell::default() };
    let paths = Paths::new(dir.path());
    fs::create_dir(paths.updates()).unwrap();
    let before = proof.does_not_count();
    let held = Lock::take(&lock(&paths), "").unwrap();
    assert!(proof.does_not_count());
    drop(held);
    assert_eq!(proof.does_not_count(), before, "it goes on");
    assert!(!before, "nobody is asked for a password here");
}

#[test]
fn the_page_that_says_what_waits_runs_nothing_and_mounts_nothing() {
    let files = crate::sys::FakeFiles::new();
    let commands = FakeCommands::new(|program, _: &[&str]| panic!("{program}"));
    let machine = Machine {
        commands: &commands,
        files: &files,
        os_release: "/os-release".into(),
        boot: String::new(),
        definitions: PathBuf::new(),
        run: PathBuf::new(),
    };
    let dir = Path::new("/updates");
    crate::sys::Files::make_dir(&files, dir).unwrap();
    let write = |path: &Path, text: &str| crate::sys::Files::write(&files, path, text.as_bytes(), 0, None).unwrap();
    let kept = |stage: &str| {
        let candidate = serde_json::json!({ "version": "0.2.0", "sums": "0".repeat(64), "offered": 1, "stage": stage });
        let state = serde_json::json!({
            "format": 1, "min_reader": 1, "looked": null, "candidate": candidate, "good": null, "refused": [], "notes": [],
        });
        write(&dir.join(crate::update::FILE), &state.to_string());
    };
    kept("offered");
    assert_eq!(waits(&machine, dir), None, "no image runs here");
    write("/os-release".as_ref(), "IMAGE_VERSION=0.1.0\n");
    for stage in ["offered", "consented", "writing", "applied"] {
        kept(stage);
        assert_eq!(waits(&machine, dir).map(|v| v.to_string()).as_deref(), Some("0.2.0"), "{stage}");
    }
    kept("trying");
    assert_eq!(waits(&machine, dir), None);
}

#[test]
fn a_command_that_is_at_work_makes_no_timer_fail() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("lock");
    let _held = Lock::take(&at, "").unwrap();
    assert!(!unless_busy(Lock::take(&at, "another command is at work").map(|_| true), false).unwrap());
    let none = unless_busy(Lock::take(&dir.path().join("none/lock"), "").map(|_| true), false);
    assert!(none.unwrap_err().to_string().contains("cannot open"));
}

#[test]
fn what_failed_or_was_refused_is_not_started_by_hand_nor_called_good() {
    let version = |v: &str| v.parse::<Version>().unwrap();
    let entry = |v: &str, tries| Entry { name: String::new(), version: version(v), tries };
    let refusal = |v: &str, why| Refusal { version: version(v), why, at: WallNs(0), known: true };
    let running = version("0.1.0");
    let started = |tries, refused: &[Refusal]| {
        let entries = [entry("0.2.0", tries), entry("0.1.0", Tries::NotCounted)];
        other(&entries, &running, refused).map(|e| e.version.to_string()).ok()
    };
    let both = [refusal("0.2.0", Why::FellBack), refusal("0.3.0", Why::Person)];
    assert_eq!(started(Tries::Left(3), &both[1..]).as_deref(), Some("0.2.0"));
    assert_eq!(started(Tries::NotCounted, &[]).as_deref(), Some("0.2.0"));
    assert_eq!(started(Tries::Left(0), &[]), None);
    assert_eq!(started(Tries::Left(1), &both), None);
    assert_eq!(started(Tries::NotCounted, &both), None);
    assert!(other(&[entry("0.1.0", Tries::NotCounted)], &running, &[]).is_err());
    assert!(may_stay(&version("0.2.0"), &both[1..]).is_ok() && may_stay(&version("0.2.0"), &both).is_err());
}

#[test]
fn without_hours_only_by_hand() {
    for update in ["", "[update]\nurl = \"https://updates.example.vn/\"\n"] {
        assert_eq!(is_open(&site(update), WallNs(0)), Err(NotNow::NoWindow));
    }
    assert_eq!(against(Path::new("/nowhere"), None, WallNs(0)), Err(NotNow::NoWindow));
}

#[test]
fn a_machine_that_waits_for_a_person_is_not_restarted_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let none = dir.path().join("CUSTODIAN");
    assert_eq!(starts_alone(Some(Unlock::Passphrase), dir.path()), Err(NotNow::Passphrase));
    assert_eq!(starts_alone(Some(Unlock::UsbKey), &none), Err(NotNow::NoStick));
    for (unlock, stick) in [(Some(Unlock::UsbKey), dir.path()), (Some(Unlock::Tpm), &*none), (None, &*none)] {
        assert_eq!(starts_alone(unlock, stick), Ok(()));
    }
}

#[test]
fn a_machine_without_a_site_is_good_once_that_was_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let judged = |state: &Path, said: &str| {
        let said = said.as_bytes().to_vec();
        verdict(
            state,
            &FakeCommands::new(move |_, _: &[&str]| {
                Ok(Output { code: Some(0), stdout: said.clone(), ..Output::default() })
            }),
        )
    };
    let no = "ConditionResult=no\nConditionTimestampMonotonic=";
    assert_eq!(judged(dir.path(), &format!("{no}812\n")), Verdict::Good);
    for said in [format!("{no}0\n"), "ConditionResult=yes\nConditionTimestampMonotonic=812\n".into(), String::new()] {
        assert!(matches!(judged(dir.path(), &said), Verdict::NotYet(_)), "{said}");
    }
    assert!(matches!(judged(&dir.path().join("none"), &format!("{no}812\n")), Verdict::NotYet(_)));
    // With a site in force the recorder has to answer, whatever apply says.
    fs::create_dir(dir.path().join("current")).unwrap();
    fs::write(dir.path().join("current/site.toml"), "").unwrap();
    let Verdict::NotYet(why) = judged(dir.path(), &format!("{no}812\n")) else { panic!("nobody answers") };
    assert!(why.contains("no recorder answers"), "{why}");
}
