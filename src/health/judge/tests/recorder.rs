//! The recorder as a program, and what is elsewhere.

use super::{now, of};
use crate::{
    health::{
        facts::{BackupPlace, Endpoint, NoAnswer, NoSite},
        fixture::{self, DAY, HOUR, MINUTE, ago, root, told},
    },
    types::wire::{LedgerStatus, health::Probe},
};

#[test]
fn a_recorder_that_answers_or_not() {
    assert_eq!(now(Probe::Recorder, |_| ()), ["ok runs"]);
    assert_eq!(now(Probe::Recorder, |f| f.status = Err(NoAnswer::Down)), ["fail down"]);
    assert_eq!(now(Probe::Recorder, |f| f.status = Err(NoAnswer::Slow)), ["fail slow"]);
    assert_eq!(now(Probe::Recorder, |f| f.status = Err(NoAnswer::Broken("x".into()))), ["fail unclear"]);
    let booted = |uptime| {
        now(Probe::Recorder, |f| {
            f.status = Err(NoAnswer::Down);
            f.machine.uptime_seconds = Some(uptime);
        })
    };
    assert_eq!((booted(119), booted(120)), (vec!["ok starting".into()], vec!["fail down".into()]));
    let index = now(Probe::Recorder, |f| told(f).index_problem = Some("damaged".into()));
    assert_eq!(index, ["ok runs", "warn index index"]);
    let nothing = now(Probe::Recorder, |f| (f.site, f.status) = (Err(NoSite::Absent), Err(NoAnswer::Down)));
    assert!(nothing.is_empty());
}

#[test]
fn units() {
    let failed =
        |names: &[&str]| now(Probe::Units, |f| f.failed_units = Some(names.iter().map(|n| (*n).to_owned()).collect()));
    assert_eq!(failed(&[]), ["ok well"]);
    let names =
        ["custodian-web.service", "openvpn@truong.service", "systemd-udevd.service", "var-lib-custodian-a.mount"];
    let found = failed(&names);
    assert_eq!(found.len(), 5);
    for told in [
        "ok well",
        "fail custodian-web.service failed",
        "warn systemd-udevd.service failed",
        "warn var-lib-custodian-a.mount failed",
    ] {
        assert!(found.iter().any(|f| f == told), "{told}: {found:?}");
    }
    let other = found.iter().find(|f| f.ends_with("-service failed")).unwrap();
    assert!(other.starts_with("warn unit-") && !other.contains("truong"), "{other}");
    assert_eq!(failed(&names[1..2])[1], *other, "it is the same one at the next look");
    assert_eq!(now(Probe::Units, |f| f.failed_units = None), ["warn unknown"]);
    let again = |restarts| now(Probe::Units, |f| f.recorder_restarts = Some(restarts));
    assert_eq!(again(0), ["ok well"]);
    assert_eq!(again(1), ["ok well", "warn custodian-record.service restarting"], "a watchdog, or a crash");
    assert_eq!(again(2), ["ok well", "warn custodian-record.service restarting"]);
    assert_eq!(again(3), ["ok well", "fail custodian-record.service restarting"]);
    assert_eq!(now(Probe::Units, |f| f.recorder_restarts = None), ["ok well"], "a trial");
    let down = now(Probe::Units, |f| {
        f.recorder_restarts = Some(5);
        f.failed_units.as_mut().unwrap().insert("custodian-record.service".into());
    });
    assert_eq!(down, ["ok well", "fail custodian-record.service failed"], "one finding of it");
}

#[test]
fn the_ledger() {
    let ledger = |change: fn(&mut LedgerStatus)| now(Probe::Ledger, |f| change(told(f).ledger.as_mut().unwrap()));
    assert_eq!(ledger(|_| ()), ["ok sound"]);
    assert_eq!(ledger(|l| l.at = Some(ago(DAY))), ["ok sound"], "nothing has come since");
    assert_eq!(ledger(|l| (l.at, l.waiting) = (Some(ago(10 * MINUTE)), 1)), ["ok sound"]);
    assert_eq!(ledger(|l| (l.at, l.waiting) = (Some(ago(10 * MINUTE + 1)), 1)), ["warn late"]);
    assert_eq!(ledger(|l| (l.at, l.entries) = (Some(ago(DAY)), Some(90_001))), ["warn late"]);
    assert_eq!(ledger(|l| l.problem = Some("full".into())), ["fail problem"]);
    assert_eq!(ledger(|l| l.dropped = 1), ["ok sound", "warn dropped dropped"]);
    assert_eq!(ledger(|l| (l.at, l.entries, l.checkpoint) = (None, None, None)), ["ok opening"]);
    assert_eq!(now(Probe::Ledger, |f| told(f).ledger = None), ["warn unknown"]);
    assert_eq!(now(Probe::Ledger, |f| f.status = Err(NoAnswer::Down)), ["warn unknown"]);
}

#[test]
fn a_witness_outside() {
    let witnessed = |at| now(Probe::Witness, |f| f.witnessed = at);
    assert_eq!(witnessed(Some(ago(7 * DAY - 1))), ["ok taken"]);
    assert_eq!(witnessed(Some(ago(7 * DAY))), ["warn old"]);
    assert_eq!(witnessed(None), ["warn never"]);
    let new = |since| now(Probe::Witness, |f| (f.witnessed, f.first_looked) = (None, ago(since)));
    assert_eq!((new(7 * DAY - 1), new(7 * DAY)), (vec!["ok not_yet".into()], vec!["warn never".into()]));
    // Nobody outside can ever take one: that is a warning at once.
    let alone = |backup: &str, at| {
        of(fixture::of(fixture::site(2, "", backup)), Probe::Witness, |f| {
            (f.witnessed, f.first_looked) = (at, ago(HOUR));
        })
    };
    assert_eq!(alone("", None), ["warn nowhere"]);
    assert_eq!(alone("", Some(ago(DAY))), ["ok taken"], "somebody did by hand");
    assert_eq!(alone("", Some(ago(8 * DAY))), ["warn nowhere"]);
    assert_eq!(alone(fixture::BACKUP, None), ["ok not_yet"]);
    assert_eq!(alone(&fixture::BACKUP.replace(", \"ledger\"", ""), None), ["warn nowhere"]);
    let push =
        |kind: &str| format!("[health]\npush = {{ kind = \"{kind}\", url_secret = \"m\", token_secret = \"t\" }}\n");
    assert_eq!(alone(&push("http"), None), ["ok not_yet"]);
    assert_eq!(alone(&push("gatus"), None), ["warn nowhere"], "it takes no checkpoint");
}

#[test]
fn backups() {
    let place =
        |change: fn(&mut BackupPlace)| now(Probe::Backup, |f| change(&mut root(f).backups.as_mut().unwrap().places[1]));
    let is = |line: &str| vec!["ok backup-1-directory fresh".to_owned(), line.to_owned()];
    assert_eq!(place(|p| p.newest = Some(ago(2 * DAY - 1))), is("ok backup-2-disk fresh"));
    assert_eq!(place(|p| p.newest = Some(ago(2 * DAY))), is("warn backup-2-disk old"));
    assert_eq!(place(|p| p.newest = Some(ago(7 * DAY))), is("fail backup-2-disk old"));
    assert_eq!(place(|p| p.last_failed = true), is("warn backup-2-disk failed"));
    assert_eq!(place(|p| p.missing = 1), is("warn backup-2-disk missing"));
    assert_eq!(place(|p| (p.damaged, p.newest) = (1, Some(ago(9 * DAY)))), is("fail backup-2-disk damaged"));
    assert_eq!(place(|p| p.newest = None), is("fail backup-2-disk never"));
    let new = |since, failed| {
        now(Probe::Backup, |f| {
            f.first_looked = ago(since);
            let place = &mut root(f).backups.as_mut().unwrap().places[1];
            (place.newest, place.last_failed) = (None, failed);
        })
    };
    assert_eq!(new(DAY, false), is("ok backup-2-disk not_yet"));
    assert_eq!(new(DAY, true), is("warn backup-2-disk never"));
    assert_eq!(new(2 * DAY, false), is("warn backup-2-disk never"));
    assert_eq!(new(7 * DAY, false), is("fail backup-2-disk never"));
    assert_eq!(now(Probe::Backup, |f| root(f).backups = None), ["warn unknown"]);
    assert_eq!(now(Probe::Backup, |f| f.root = None), ["warn unknown"]);
    assert!(of(fixture::of(fixture::site(2, "", "")), Probe::Backup, |_| ()).is_empty());
}

#[test]
fn endpoints() {
    let endpoint =
        |change: fn(&mut Endpoint)| now(Probe::Push, |f| change(f.endpoints.get_mut("push-1-gatus").unwrap()));
    assert_eq!(endpoint(|_| ()), ["ok taken"]);
    assert_eq!(endpoint(|e| e.failing_since = Some(ago(MINUTE))), ["warn push-1-gatus failing"]);
    let wrong = endpoint(|e| (e.misconfigured, e.failing_since) = (true, Some(ago(MINUTE))));
    assert_eq!(wrong, ["warn push-1-gatus misconfigured"]);
    assert_eq!(endpoint(|e| e.taken = None), ["ok push-1-gatus untried"], "that it works is not known");
    let untried = now(Probe::Push, |f| drop(f.endpoints.insert("alarm-1-email".into(), Endpoint::default())));
    assert_eq!(untried, ["ok taken", "ok alarm-1-email untried"]);
    let one_of_two = now(Probe::Push, |f| {
        let failing = Endpoint { failing_since: Some(ago(MINUTE)), ..Endpoint::default() };
        f.endpoints.insert("alarm-1-email".into(), failing);
    });
    assert_eq!(one_of_two, ["ok taken", "warn alarm-1-email failing"]);
    assert!(now(Probe::Push, |f| f.endpoints.clear()).is_empty());
}
