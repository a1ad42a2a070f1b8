//! The end of an installation: what opens the recovery sheet is written down, then the disk starts, then passwords go from the stick.

use std::{collections::VecDeque, fs, io, process::Command, time::Duration};

use custodian::{
    install::Then,
    services::installing::{Desk, Ended, Papers, Session},
    sys::FakeClock,
    types::Lang,
};
use nix::sys::signal::{Signal, raise};

use super::{Bench, DONE, FOOTAGE, NOW, SECRETS, SITE, SYSTEM, possible};

/// Answers with these, and is looked at when the code was shown.
struct Person<'a> {
    says: VecDeque<String>,
    said: String,
    looks: &'a dyn Fn(),
}

impl Desk for Person<'_> {
    fn say(&mut self, text: &str) {
        self.said += text;
        self.said += "\n";
    }
    fn ask(&mut self, prompt: &str) -> io::Result<Option<String>> {
        if prompt == "1, 2: " {
            (self.looks)();
        }
        Ok(self.says.pop_front())
    }
    fn copied(&mut self, _: u64, _: u64) {}
    fn wait(&mut self, _: Duration) {}
}

/// Whether the disk starts.
fn starts(bench: &Bench) -> bool {
    let esp = format!("{}p1", bench.system.display());
    let made = Command::new("blkid").args(["-p", "-o", "value", "-s", "TYPE", &esp]).output().unwrap();
    !made.stdout.is_empty() && bench.within(1, |esp| esp.join("EFI/Linux/custodian_1.2.3.efi").exists())
}

/// A person installs, with the codes as they are now, and says this at the end.
fn by_person(bench: &Bench, last: Option<&str>) -> (Ended, String) {
    let (system, footage) = bench.codes(SYSTEM);
    let says = [Some(system), footage, Some("294173".to_owned()), last.map(str::to_owned)];
    let looks = || assert!(!starts(bench), "before the code was written down");
    let mut desk = Person { says: says.into_iter().flatten().collect(), said: String::new(), looks: &looks };
    let papers = Papers { site: Some(SITE.into()), secrets: Some(SECRETS.into()), install: None };
    let (programs, clock) = (bench.programs(usize::MAX), FakeClock::at(NOW));
    let ended = Session::run(&mut desk, &bench.installer(&programs, &clock), &papers, Some(Lang::En));
    (ended, desk.said)
}

#[test]
fn loop_the_disk_starts_when_what_opens_the_sheet_was_written_down() {
    if !possible() {
        return;
    }
    let bench = Bench::new();
    let secrets = bench.stick.data.join("secrets.toml");
    fs::write(&secrets, SECRETS).unwrap();
    let done = Ended::Done { then: Then::Reboot, wait: Duration::MAX };
    let (ended, said) = by_person(&bench, None);
    assert_eq!(ended, Ended::Failed, "{said}");
    assert!(!starts(&bench) && secrets.exists(), "{said}");
    let sheets = bench.sheets();
    let first = fs::read(&sheets[0]).unwrap();
    // The second run goes on with what the first one has left, and its own sheet takes the place of the one that nobody can open.
    let (ended, said) = by_person(&bench, Some("1"));
    assert_eq!(ended, done, "{said}");
    assert!(starts(&bench) && !secrets.exists(), "{said}");
    bench.check();
    assert_eq!(bench.sheets(), sheets);
    assert_ne!(fs::read(&sheets[0]).unwrap(), first);
    // The paper with the code was lost. Another sheet is written, and until its code is written down the disk does not start: it would remove
    // what another sheet is made of.
    let (ended, said) = by_person(&bench, None);
    assert_eq!(ended, Ended::Failed, "{said}");
    assert!(!starts(&bench), "{said}");
    let (ended, said) = by_person(&bench, Some("2"));
    assert_eq!(ended, done, "{said}");
    assert!(starts(&bench));
    bench.check();
}

#[test]
fn loop_a_sheet_that_another_installation_has_written_stays() {
    if !possible() {
        return;
    }
    let bench = Bench::new();
    let (ended, said, _) = bench.run(&bench.install_toml(), usize::MAX);
    assert_eq!(ended, DONE, "{said}");
    let sheets = bench.sheets();
    let first = fs::read(&sheets[0]).unwrap();
    // Once more, where nobody is asked: there is no other one.
    let (ended, said, _) = bench.run(&bench.install_toml(), usize::MAX);
    assert_eq!(ended, DONE, "{said}");
    assert_eq!((bench.sheets(), fs::read(&sheets[0]).unwrap()), (sheets.clone(), first.clone()));
    // It has run, and is begun anew, with a clock that says the same.
    bench.within(6, |var| fs::remove_file(var.join("lib/custodian/install.json")).unwrap());
    let (ended, said, _) = bench.run(&bench.install_toml(), usize::MAX);
    assert_eq!(ended, DONE, "{said}");
    assert_eq!((bench.sheets().len(), fs::read(&sheets[0]).unwrap()), (2, first));
}

#[test]
fn loop_passwords_that_are_gone_from_the_stick_are_on_the_disk_that_was_begun() {
    if !possible() {
        return;
    }
    let bench = Bench::new();
    let toml = bench.install_toml();
    let (ended, said, _) = bench.run(&toml, usize::MAX);
    assert_eq!(ended, DONE, "{said}");
    let again = |site: &str| {
        let papers = Papers { site: Some(site.into()), secrets: None, install: Some(toml.clone().into()) };
        let (programs, clock) = (bench.programs(usize::MAX), FakeClock::at(NOW));
        let mut desk = super::Nobody::default();
        let ended = Session::run(&mut desk, &bench.installer(&programs, &clock), &papers, None);
        (ended, desk.0.join("\n"))
    };
    let (ended, said) = again(SITE);
    assert_eq!(ended, DONE, "{said}");
    bench.check();
    // For no other site.toml than that for which they were given.
    let (ended, said) = again(&SITE.replace("192.0.2.1", "192.0.2.2"));
    assert_eq!(ended, Ended::Refused, "{said}");
    assert!(said.contains("all"), "{said}");
    // And not when the machine has run.
    bench.within(6, |var| fs::remove_file(var.join("lib/custodian/install.json")).unwrap());
    assert_eq!(again(SITE).0, Ended::Refused);
}

/// A volume that is prepared in the second run has another recovery key, which the first sheet does not have: where nobody is asked, the sheet is
/// written again all the same, and until then the disk does not start.
#[test]
fn loop_a_volume_that_is_prepared_anew_wants_another_sheet() {
    if !possible() {
        return;
    }
    let bench = Bench::new();
    let toml = bench.install_toml();
    let (ended, said, _) = bench.run(&toml, usize::MAX);
    assert_eq!(ended, DONE, "{said}");
    let sheets = bench.sheets();
    let first = fs::read(&sheets[0]).unwrap();
    // The disk for footage is empty again, as a new one is.
    {
        let (programs, clock) = (bench.programs(usize::MAX), FakeClock::at(NOW));
        let machine = bench.installer(&programs, &clock).machine;
        let token = machine.sheet(FOOTAGE, None).unwrap().erase.unwrap();
        machine.erase(FOOTAGE, &token, &clock).unwrap();
    }
    let (ended, said, changes) = bench.run(&toml, 3);
    assert_eq!(ended, Ended::Failed, "{said}: {changes:#?}");
    assert!(!starts(&bench), "{said}: {changes:#?}");
    let (ended, said, changes) = bench.run(&toml, usize::MAX);
    assert_eq!(ended, DONE, "{said}");
    assert!(changes.iter().any(|c| c.starts_with("mkfs.xfs")), "{changes:#?}");
    assert_eq!(bench.sheets(), sheets);
    assert_ne!(fs::read(&sheets[0]).unwrap(), first);
    assert!(starts(&bench));
}

/// Says nothing, for the screen is gone as soon as something is copied: the kernel says so with SIGHUP.
#[derive(Default)]
struct Gone {
    hangups: u32,
}

impl Desk for Gone {
    fn say(&mut self, _: &str) {}
    fn ask(&mut self, _: &str) -> io::Result<Option<String>> {
        Ok(None)
    }
    fn copied(&mut self, _: u64, _: u64) {
        raise(Signal::SIGHUP).unwrap();
        // Whoever ignores it anyhow proves nothing; and what is started from here has to go on, too.
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        let blocked = u64::from_str_radix(blocked.trim(), 16).unwrap();
        assert_eq!(blocked & 1, 1, "SIGHUP is number 1: {status}");
        self.hangups += 1;
    }
    fn wait(&mut self, _: Duration) {}
}

#[test]
fn loop_an_installation_goes_on_when_its_screen_is_gone() {
    if !possible() {
        return;
    }
    let bench = Bench::new();
    let papers =
        Papers { site: Some(SITE.into()), secrets: Some(SECRETS.into()), install: Some(bench.install_toml().into()) };
    let (programs, clock, mut desk) = (bench.programs(usize::MAX), FakeClock::at(NOW), Gone::default());
    let ended = Session::run(&mut desk, &bench.installer(&programs, &clock), &papers, None);
    assert_eq!(ended, DONE);
    assert!(desk.hangups > 0);
    bench.check();
}
