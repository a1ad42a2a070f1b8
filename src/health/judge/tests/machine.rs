//! Disks, the machine, and what people look after.

use std::time::Duration;

use super::{now, of};
use crate::{
    health::{
        facts::{DiskAnswer, DiskLook, Facts, NoAnswer, NoSite, Side, Updates},
        fixture::{self, DAY, HOUR, MINUTE, NOW, ago, root, told},
    },
    types::{
        ByteSize,
        wire::{
            StreamState, VolumeStatus,
            health::{GenerationHealth, Probe},
        },
    },
};

#[test]
fn volumes() {
    let volume = |change: fn(&mut VolumeStatus)| now(Probe::Volume, |f| change(&mut told(f).volumes[0]));
    assert_eq!(volume(|_| ()), ["ok a1 written", "ok a2 written"]);
    assert_eq!(volume(|v| (v.healthy, v.full) = (false, true)), ["fail a1 full", "ok a2 written"]);
    assert_eq!(volume(|v| (v.healthy, v.size) = (false, ByteSize(0))), ["fail a1 absent", "ok a2 written"]);
    assert_eq!(volume(|v| v.healthy = false), ["fail a1 failed", "ok a2 written"]);
    let unheard = now(Probe::Volume, |f| drop(told(f).volumes.remove(0)));
    assert_eq!(unheard, ["warn a1 unheard", "ok a2 written"]);
}

/// All volumes were committed last so long ago.
fn committed(facts: &mut Facts, seconds: u64) {
    facts.commits.values_mut().for_each(|c| c.at = ago(seconds));
    if let Ok(status) = &mut facts.status {
        status.volumes.iter_mut().for_each(|v| v.committed = Some(ago(seconds)));
    }
}

#[test]
fn a_volume_that_stands_still() {
    let stale = |seconds| now(Probe::Volume, |f| committed(f, seconds));
    // Cameras are on a1 only.
    assert_eq!(stale(29), ["ok a1 written", "ok a2 written"]);
    assert_eq!(stale(30), ["warn a1 stale", "ok a2 written"]);
    assert_eq!(stale(120), ["fail a1 stale", "ok a2 written"]);
    let no_pictures = now(Probe::Volume, |f| {
        committed(f, HOUR);
        told(f).streams.iter_mut().for_each(|s| s.state = StreamState::Waiting);
    });
    assert_eq!(no_pictures, ["ok a1 written", "ok a2 written"], "there is nothing to be written");
    let started = now(Probe::Volume, |f| {
        committed(f, HOUR);
        told(f).started = ago(20);
    });
    assert_eq!(started, ["ok a1 written", "ok a2 written"], "the recorder has just started");
    // Evidence needs no answer.
    let dead = |seconds| {
        now(Probe::Volume, |f| {
            f.status = Err(NoAnswer::Slow);
            committed(f, seconds);
        })
    };
    assert_eq!(dead(29), ["ok a1 seen", "ok a2 seen"]);
    assert_eq!(dead(30), ["warn a1 unknown", "warn a2 unknown"]);
}

#[test]
fn disks() {
    let disk = |change: fn(&mut DiskLook)| {
        now(Probe::Disk, |f| change(root(f).disks.get_mut(&"a1".parse().unwrap()).unwrap()))
    };
    let is = |line: &str| vec![line.to_owned(), "ok a2 well".to_owned()];
    assert_eq!(disk(|_| ()), is("ok a1 well"));
    assert_eq!(disk(|d| d.temperature = Some(54)), is("ok a1 well"));
    assert_eq!(disk(|d| d.temperature = Some(55)), is("warn a1 hot"));
    assert_eq!(disk(|d| d.temperature = Some(65)), is("fail a1 hot"));
    assert_eq!(disk(|d| d.temperature = None), is("ok a1 passed"));
    assert_eq!(disk(|d| (d.smart_passed, d.temperature) = (None, None)), is("ok a1 untold"));
    assert_eq!(disk(|d| d.bad_sectors = Some(1)), is("warn a1 sectors"));
    assert_eq!(disk(|d| (d.bad_sectors, d.temperature) = (Some(1), Some(70))), is("fail a1 hot"));
    assert_eq!(disk(|d| d.smart_passed = Some(false)), is("fail a1 smart"));
    assert_eq!(disk(|d| (d.present, d.smart_passed) = (false, Some(false))), is("fail a1 gone"));
    // One that sleeps is as it was, one that does not answer is not well, and neither has become better.
    assert_eq!(disk(|d| (d.answer, d.temperature) = (DiskAnswer::Asleep, None)), is("ok a1 passed"));
    assert_eq!(disk(|d| (d.answer, d.smart_passed) = (DiskAnswer::Asleep, None)), is("ok a1 not_yet"));
    assert_eq!(disk(|d| (d.answer, d.smart_passed) = (DiskAnswer::Asleep, Some(false))), is("fail a1 smart"));
    assert_eq!(disk(|d| (d.answer, d.smart_passed) = (DiskAnswer::Failed, None)), is("warn a1 silent"));
    assert_eq!(disk(|d| d.answer = DiskAnswer::Failed), is("warn a1 silent"));
    assert_eq!(disk(|d| (d.answer, d.smart_passed) = (DiskAnswer::Failed, Some(false))), is("fail a1 smart"));
    let not_looked = |since: u64| {
        now(Probe::Disk, |f| {
            (f.root, f.looking_since) = (None, ago(since));
            told(f).started = ago(since);
        })
    };
    assert_eq!(not_looked(MINUTE), ["ok a1 not_yet", "ok a2 not_yet"]);
    assert_eq!(not_looked(HOUR), ["warn a1 unknown", "warn a2 unknown"]);
    assert_eq!(now(Probe::Disk, |f| root(f).at = ago(HOUR)), ["warn a1 unknown", "warn a2 unknown"]);
    // A folder has no disk of its own.
    let folders = "[recorder.b]\n[[recorder.b.volume]]\nname = \"b1\"\npath = \"/srv/b1\"\n";
    let site = fixture::site(1, "recorder = \"a\"", folders);
    let mut facts = fixture::of(site);
    facts.site.as_mut().unwrap().1 = "b".parse().unwrap();
    assert!(of(facts, Probe::Disk, |_| ()).is_empty());
}

#[test]
fn latency() {
    let slow = |write, commit| {
        now(Probe::Latency, |f| {
            let volume = &mut told(f).volumes[0];
            volume.writer_latency.as_mut().unwrap().p99_us = write;
            volume.commit_latency.as_mut().unwrap().p99_us = commit;
        })
    };
    assert_eq!(slow(999_999, 999_999), ["ok fast"]);
    assert_eq!(slow(1_000_000, 0), ["ok slowest", "warn a1 slow"]);
    assert_eq!(slow(0, 1_000_000), ["ok slowest", "warn a1 slow"]);
    let rest = now(Probe::Latency, |f| {
        told(f).volumes.iter_mut().for_each(|v| (v.writer_latency, v.commit_latency) = (None, None));
    });
    assert_eq!(rest, ["ok rest"]);
    assert_eq!(now(Probe::Latency, |f| f.status = Err(NoAnswer::Down)), ["warn unknown"]);
}

#[test]
fn the_machine() {
    let gb = |n: u64| ByteSize(n * 1_000_000_000);
    let disk = |used: u64| now(Probe::SystemDisk, |f| f.machine.system_disk = Some((gb(100), gb(100 - used))));
    assert_eq!((disk(84), disk(85)), (vec!["ok room".into()], vec!["warn filling".into()]));
    assert_eq!((disk(94), disk(95)), (vec!["warn filling".into()], vec!["fail filling".into()]));
    assert_eq!(now(Probe::SystemDisk, |f| f.machine.system_disk = None), ["warn unknown"]);
    let memory = |used: u64| {
        now(Probe::Memory, |f| {
            (f.machine.memory, f.machine.memory_available) = (Some(gb(100)), Some(gb(100 - used)));
        })
    };
    assert_eq!((memory(89), memory(90)), (vec!["ok room".into()], vec!["warn short".into()]));
    assert_eq!(now(Probe::Memory, |f| f.machine.memory = None), ["warn unknown"]);
    let load = |load| now(Probe::Load, |f| f.machine.load = Some((load, 4)));
    assert_eq!((load(7.9), load(8.0)), (vec!["ok easy".into()], vec!["warn high".into()]));
    assert_eq!(now(Probe::Load, |f| f.machine.load = None), ["warn unknown"]);
    let heat = |heat| now(Probe::Temperature, |f| f.machine.temperature = heat);
    assert_eq!((heat(Some(84.9)), heat(Some(85.0))), (vec!["ok cool".into()], vec!["warn hot".into()]));
    assert!(heat(None).is_empty());
}

#[test]
fn the_clock() {
    let clock = |offset, synchronised| {
        now(Probe::Clock, |f| (f.machine.clock_offset, f.machine.clock_synchronised) = (offset, synchronised))
    };
    assert_eq!(clock(Some(1.99), Some(true)), ["ok right"]);
    assert_eq!(clock(Some(-2.0), Some(true)), ["warn offset"]);
    assert_eq!(clock(Some(-60.0), Some(true)), ["fail offset"]);
    assert_eq!(clock(None, Some(true)), ["ok synchronised"]);
    assert_eq!(clock(Some(0.1), Some(false)), ["warn unsynchronised"]);
    assert_eq!(clock(None, None), ["warn unknown"]);
    let stepped = |at| now(Probe::Clock, |f| f.clock_step = Some((at, -7.5)));
    assert_eq!(stepped(ago(HOUR - 1)), ["ok right", "warn step stepped"]);
    assert_eq!(stepped(NOW + Duration::from_secs(HOUR - 1)), ["ok right", "warn step stepped"]);
    assert_eq!(stepped(ago(HOUR)), ["ok right"]);
    let camera = |error| now(Probe::CameraClock, |f| told(f).streams[2].clock_error = Some(error));
    assert_eq!(
        (camera(59.9), camera(-60.0)),
        (vec!["ok right".into()], vec!["ok partly".into(), "warn c2 wrong".into()])
    );
    let all = |error| now(Probe::CameraClock, |f| told(f).streams.iter_mut().for_each(|s| s.clock_error = error));
    assert_eq!((all(Some(90.0)), all(None)), (vec!["warn many".into()], vec!["ok untold".into()]));
    assert_eq!(now(Probe::CameraClock, |f| f.status = Err(NoAnswer::Down)), ["warn unknown"]);
}

#[test]
fn the_generation() {
    let generation =
        |change: fn(&mut GenerationHealth)| now(Probe::Generation, |f| change(root(f).generation.as_mut().unwrap()));
    assert_eq!(generation(|_| ()), ["ok confirmed"]);
    assert_eq!(generation(|g| g.confirmed = false), ["warn unconfirmed"]);
    assert_eq!(generation(|g| (g.confirmed, g.trial_until) = (false, Some(NOW))), ["warn trial_over"]);
    let later = |g: &mut GenerationHealth| (g.confirmed, g.trial_until) = (false, Some(NOW + Duration::from_secs(1)));
    assert_eq!(generation(later), ["ok trial"]);
    assert_eq!(now(Probe::Generation, |f| root(f).generation = None), ["warn none"]);
    assert_eq!(now(Probe::Generation, |f| f.site = Err(NoSite::Absent)), ["warn none"]);
    assert_eq!(now(Probe::Generation, |f| f.site = Err(NoSite::Broken("line 1".into()))), ["fail broken"]);
    let drift = now(Probe::Generation, |f| root(f).drift = vec!["a".into(), "b".into()]);
    assert_eq!(drift, ["ok confirmed", "warn drift drift"]);
    let looked = |seconds| now(Probe::Generation, |f| root(f).at = ago(seconds));
    assert_eq!(looked(30 * MINUTE), ["ok confirmed"]);
    assert_eq!(looked(30 * MINUTE + 1), ["ok confirmed", "warn look look_old"]);
    let never = |since: u64| {
        now(Probe::Generation, |f| {
            (f.root, f.looking_since) = (None, ago(since));
            f.status = Err(NoAnswer::Down);
        })
    };
    assert_eq!(never(MINUTE), ["warn unknown"]);
    assert_eq!(never(HOUR), ["warn unknown", "warn look look_none"]);
}

#[test]
fn certificates() {
    let certificate = |days: u64, more: u64| {
        now(Probe::Certificate, |f| {
            f.certificates.insert("pull".into(), NOW + Duration::from_secs(days * DAY + more));
        })
    };
    assert_eq!(certificate(21, 1), ["ok valid"]);
    assert_eq!(certificate(21, 0), ["ok else", "warn pull ending"]);
    assert_eq!(certificate(2, 1), ["ok else", "warn pull ending"]);
    assert_eq!(certificate(2, 0), ["ok else", "fail pull ending"]);
    assert_eq!(certificate(0, 0), ["ok else", "fail pull ended"]);
    assert!(now(Probe::Certificate, |f| f.certificates.clear()).is_empty());
}

#[test]
fn verification() {
    let verified = |change: fn(&mut crate::health::facts::Verified)| {
        now(Probe::Verification, |f| change(f.verified.as_mut().unwrap()))
    };
    assert_eq!(verified(|v| v.at = ago(40 * DAY - 1)), ["ok intact"]);
    assert_eq!(verified(|v| v.at = ago(40 * DAY)), ["warn old"]);
    assert_eq!(verified(|v| v.complete = false), ["warn incomplete"]);
    assert_eq!(verified(|v| (v.damaged, v.at) = (1, ago(50 * DAY))), ["fail damaged"]);
    let never = |since| now(Probe::Verification, |f| (f.verified, f.first_looked) = (None, ago(since)));
    assert_eq!((never(40 * DAY - 1), never(40 * DAY)), (vec!["ok not_yet".into()], vec!["warn never".into()]));
}

#[test]
fn network_cards_that_are_not_there() {
    let missing = |sides: &[Side]| {
        let sides = sides.iter().copied().collect();
        now(Probe::Generation, move |f: &mut Facts| f.missing_links = sides)
    };
    assert_eq!(missing(&[]), ["ok confirmed"]);
    assert_eq!(missing(&[Side::Cameras]), ["ok confirmed", "warn link-cameras link_cameras"]);
    assert_eq!(missing(&[Side::School]), ["ok confirmed", "warn link-school link_school"]);
}

#[test]
fn updates_and_the_vendor() {
    let updates = |change: fn(&mut Updates)| now(Probe::Update, |f| change(root(f).updates.as_mut().unwrap()));
    assert_eq!(updates(|_| ()), ["ok none"]);
    assert_eq!(updates(|u| u.security = 1), ["warn security"]);
    assert_eq!(updates(|u| u.looked = Some(ago(14 * DAY + 1))), ["warn not_looked"]);
    assert_eq!(updates(|u| u.failed = true), ["warn failed"]);
    assert_eq!(updates(|u| u.looked = None), ["warn never_looked"]);
    assert_eq!(updates(|u| u.offered = Some("0.2.0".into())), ["ok none", "warn offered offered"]);
    assert_eq!(updates(|u| u.fell_back = Some("0.2.0".into())), ["ok none", "warn fell-back fell_back"]);
    assert_eq!(updates(|u| u.left_behind = Some("0.2.0".into())), ["ok none", "warn left-behind left_behind"]);
    let failed = |f: &mut Facts| f.failed_units = Some(["systemd-bless-boot.service".to_owned()].into());
    assert_eq!(now(Probe::Update, failed), ["ok none", "warn loader not_told"]);
    let untold = |f: &mut Facts| (failed(f), root(f).updates = None).0;
    assert_eq!(now(Probe::Update, untold), ["ok untold", "warn loader not_told"], "it came on a stick");
    assert_eq!(now(Probe::Update, |f| root(f).updates = None), ["ok untold"]);
    assert_eq!(now(Probe::Update, |f| f.root = None), ["warn unknown"]);
    let vendor = |until| now(Probe::Vendor, |f| f.vendor_until = until);
    assert_eq!((vendor(None), vendor(Some(NOW))), (vec!["ok shut".into()], vec!["ok shut".into()]));
    assert_eq!(vendor(Some(NOW + Duration::from_secs(1))), ["ok open"]);
}
