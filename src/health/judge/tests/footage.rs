//! The evidence, and what is kept of it.

use std::time::Duration;

use super::{line, now, of};
use crate::{
    health::{
        facts::{Facts, NoAnswer},
        fixture::{self, DAY, HOUR, MINUTE, NOW, ago, kept, newest, told},
        judge::judge,
    },
    types::{
        ByteSize, StreamKind, WallNs,
        wire::{
            self, Doubt, Suspension,
            health::{Finding, Probe, Value},
        },
    },
};

fn late(facts: &mut Facts, cameras: std::ops::RangeInclusive<usize>, age: u64) {
    for n in cameras {
        newest(facts, &format!("c{n}"), StreamKind::Main, Some(ago(age)));
    }
}

#[test]
fn the_age_of_the_newest_second_counts() {
    let one = |age| now(Probe::Footage, |f| late(f, 2..=2, age));
    assert_eq!(one(29), ["ok recorded"]);
    assert_eq!(one(30), ["ok partly", "warn c2 late"]);
    assert_eq!(one(119), ["ok partly", "warn c2 late"]);
    assert_eq!(one(120), ["ok partly", "fail c2 late"]);
    assert_eq!(now(Probe::Footage, |f| newest(f, "c2", StreamKind::Main, None)), ["ok partly", "fail c2 never"]);
    // A process that answers and commits nothing, one that is dead, one that hangs: the evidence is the same.
    for answer in [None, Some(NoAnswer::Down), Some(NoAnswer::Slow)] {
        let all = now(Probe::Footage, |f| {
            late(f, 1..=10, 300);
            if let Some(answer) = answer {
                f.status = Err(answer);
            }
        });
        assert_eq!(all, ["fail none"]);
    }
    let dead_but_fresh = now(Probe::Footage, |f| f.status = Err(NoAnswer::Down));
    assert_eq!(dead_but_fresh, ["ok recorded"], "a second that is on the disk is on the disk");
    let never = now(Probe::Footage, |f| f.newest.clear());
    assert_eq!(never, ["fail none_ever"]);
}

#[test]
fn many_are_one_finding() {
    let of_ten = |n: usize| now(Probe::Footage, |f| late(f, 1..=n, 300));
    assert_eq!(of_ten(3), ["ok partly", "fail c1 late", "fail c2 late", "fail c3 late"]);
    assert_eq!(of_ten(5).len(), 6, "half of them is not more than half");
    assert_eq!(of_ten(6), ["fail many"]);
    let of_64 = |n: usize| of(fixture::well(64), Probe::Footage, |f| late(f, 1..=n, 300));
    assert_eq!(of_64(8).len(), 9);
    assert_eq!(of_64(9), ["fail many"]);
    assert_eq!(of_64(64), ["fail none"]);
    let of_one = of(fixture::well(1), Probe::Footage, |f| late(f, 1..=1, 300));
    assert_eq!(of_one, ["ok partly", "fail c1 late"]);
    let mut facts = fixture::well(10);
    late(&mut facts, 1..=4, 40);
    late(&mut facts, 5..=6, 300);
    let many = judge(&facts).into_iter().find(|f| f.probe == Probe::Footage).unwrap();
    assert_eq!(line(&many), "fail many", "as bad as the worst");
    assert_eq!(many.values["cameras"], Value::Cameras((1..=6).collect()));
    assert_eq!((&many.values["count"], &many.values["of"]), (&Value::Count(6), &Value::Count(10)));
}

#[test]
fn a_camera_that_is_not_wanted_is_not_missed() {
    // Disabled, of another recorder, gone from the site.
    let disabled = fixture::of(fixture::site(2, "enabled = false", ""));
    assert_eq!(of(disabled, Probe::Footage, |f| f.newest.clear()), ["ok idle"]);
    assert_eq!(
        now(Probe::Footage, |f| newest(f, "gone", StreamKind::Main, Some(ago(DAY)))),
        ["ok recorded"],
        "what is not in the site is nobody's loss"
    );
    // One that the site wants since a moment ago.
    let wanted = |since: u64| {
        now(Probe::Footage, |f| {
            newest(f, "c2", StreamKind::Main, None);
            f.wanted_since.insert("c2".parse().unwrap(), ago(since));
        })
    };
    assert_eq!(wanted(29), ["ok recorded"]);
    assert_eq!(wanted(30), ["ok partly", "warn c2 never"]);
    // Of one that has stopped because the disks are full, `kept` tells.
    let stopped = |f: &mut Facts| {
        late(f, 2..=2, HOUR);
        kept(f).cameras[1].stopped = true;
    };
    assert_eq!(now(Probe::Footage, stopped), ["ok recorded"]);
    assert_eq!(now(Probe::Kept, stopped), ["ok partly", "fail c2 stopped"]);
    let all = now(Probe::Footage, |f| kept(f).cameras.iter_mut().for_each(|c| c.stopped = true));
    assert_eq!(all, ["fail full"]);
}

#[test]
fn the_age_counts_from_when_it_could_be_recorded() {
    let started = |uptime: u64| {
        now(Probe::Footage, |f| {
            late(f, 1..=10, 10 * HOUR);
            f.machine.uptime_seconds = Some(uptime);
        })
    };
    assert_eq!(started(29), ["ok recorded"], "the machine was off, and has just started");
    assert_eq!(started(30), ["warn none"]);
    assert_eq!(started(120), ["fail none"]);
    let looking = |since: u64| {
        now(Probe::Footage, |f| {
            f.newest.clear();
            f.looking_since = ago(since);
        })
    };
    assert_eq!(looking(29), ["ok recorded"], "nothing is known yet");
    assert_eq!(looking(30), ["warn none_ever"]);
}

#[test]
fn the_age_counts_from_the_beginning_of_the_hours() {
    // NOW is nine in the morning of a Thursday.
    let scheduled = |hours: &str, at: WallNs| {
        let site = fixture::site(1, &format!("schedule = [\"{hours}\"]"), "");
        of(fixture::of(site), Probe::Footage, |f| {
            late(f, 1..=1, 15 * HOUR);
            f.at = at;
        })
    };
    let after = |seconds| NOW + Duration::from_secs(seconds);
    assert_eq!(scheduled("thu 09:00-18:00", NOW - Duration::from_secs(1)), ["ok idle"]);
    assert_eq!(scheduled("thu 09:00-18:00", NOW), ["ok recorded"]);
    assert_eq!(scheduled("thu 09:00-18:00", after(29)), ["ok recorded"]);
    assert_eq!(scheduled("thu 09:00-18:00", after(30)), ["ok partly", "warn c1 late"]);
    assert_eq!(scheduled("thu 09:00-18:00", after(120)), ["ok partly", "fail c1 late"]);
    assert_eq!(scheduled("thu 09:00-18:00", after(9 * HOUR)), ["ok idle"]);
    assert_eq!(scheduled("wed 09:00-18:00", NOW), ["ok idle"]);
    assert_eq!(scheduled("00:00-24:00", NOW), ["ok partly", "fail c1 late"]);
    // Hours that adjoin are one.
    let site = fixture::site(1, "schedule = [\"07:00-09:00\", \"09:00-12:00\"]", "");
    assert_eq!(of(fixture::of(site), Probe::Footage, |f| late(f, 1..=1, 300)), ["ok partly", "fail c1 late"]);
}

#[test]
fn each_recorded_stream_is_looked_at() {
    let both = || fixture::of(fixture::site(1, "record = [\"main\", \"sub\"]", ""));
    let sub = |f: &mut Facts, at| newest(f, "c1", StreamKind::Sub, at);
    assert_eq!(of(both(), Probe::Footage, |f| sub(f, Some(ago(300)))), ["ok partly", "fail c1 sub_late"]);
    assert_eq!(of(both(), Probe::Footage, |f| sub(f, None)), ["ok partly", "fail c1 sub_never"]);
    let both_late = of(both(), Probe::Footage, |f| {
        sub(f, Some(ago(300)));
        late(f, 1..=1, 300);
    });
    assert_eq!(both_late, ["ok partly", "fail c1 late"]);
    // Recorded by its sub stream because the disks are short: nobody misses the main one.
    let by_sub = now(Probe::Footage, |f| {
        late(f, 2..=2, HOUR);
        newest(f, "c2", StreamKind::Sub, Some(ago(3)));
        for s in told(f).streams.iter_mut().filter(|s| s.camera.as_str() == "c2") {
            s.recorded = s.stream == StreamKind::Sub;
        }
    });
    assert_eq!(by_sub, ["ok recorded"]);
}

#[test]
fn a_clock_that_was_set_back_hides_no_camera_that_stands_still() {
    let ahead =
        |seconds| now(Probe::Footage, |f| newest(f, "c2", StreamKind::Main, Some(NOW + Duration::from_secs(seconds))));
    assert_eq!(ahead(60), ["ok recorded"]);
    assert_eq!(ahead(61), ["ok recorded", "warn clock ahead"]);
    let still = |f: &mut Facts, cameras: std::ops::RangeInclusive<usize>, seconds| {
        f.newest.values_mut().for_each(|at| *at = NOW + Duration::from_secs(7 * HOUR));
        f.still = f.newest.keys().map(|key| (key.clone(), Duration::from_secs(1))).collect();
        for n in cameras {
            let key = (format!("c{n}").parse().unwrap(), StreamKind::Main);
            f.still.insert(key, Duration::from_secs(seconds));
        }
    };
    assert_eq!(now(Probe::Footage, |f| still(f, 1..=10, 3)), ["ok recorded", "warn clock ahead"], "all go on");
    assert_eq!(now(Probe::Footage, |f| still(f, 1..=10, HOUR)), ["fail none", "warn clock ahead"]);
    assert_eq!(now(Probe::Footage, |f| still(f, 1..=6, HOUR)), ["fail many", "warn clock ahead"]);
    let one = now(Probe::Footage, |f| still(f, 2..=2, HOUR));
    assert_eq!(one, ["ok partly", "fail c2 late", "warn clock ahead"]);
    let mut facts = fixture::well(10);
    still(&mut facts, 1..=10, HOUR);
    let none = judge(&facts).into_iter().find(|f| f.probe == Probe::Footage).unwrap();
    assert_eq!(none.values["at"], Value::Time(ago(HOUR)), "by the clock as it stands now");
    // The clock has come up to where the newest second was when it was set back.
    facts.newest.values_mut().for_each(|at| *at = NOW);
    assert_eq!(of(facts, Probe::Footage, |_| ()), ["fail none"]);
}

#[test]
fn a_camera_that_was_never_recorded_stays_a_trouble_when_health_starts_again() {
    let restarted = |wanted: u64| {
        now(Probe::Footage, |f| {
            newest(f, "c2", StreamKind::Main, None);
            f.looking_since = ago(5);
            f.wanted_since.insert("c2".parse().unwrap(), ago(wanted));
        })
    };
    assert_eq!(restarted(DAY), ["ok partly", "fail c2 never"]);
    assert_eq!(restarted(29), ["ok recorded"]);
}

#[test]
fn missing_footage_of_a_day() {
    let missing = |seconds: f64| now(Probe::Gaps, |f| told(f).streams[2].gap_seconds_day = seconds);
    assert_eq!(missing(599.9), ["ok few"]);
    assert_eq!(missing(600.0), ["ok partly", "warn c2 missing"]);
    assert_eq!(missing(3600.0), ["ok partly", "fail c2 missing"]);
    let all = now(Probe::Gaps, |f| told(f).streams.iter_mut().for_each(|s| s.gap_seconds_day = 900.0));
    assert_eq!(all, ["warn many"]);
    assert_eq!(now(Probe::Gaps, |f| f.status = Err(NoAnswer::Down)), ["warn unknown"]);
    assert_eq!(now(Probe::Gaps, |f| told(f).index_problem = Some("damaged".into())), ["warn unknown"]);
}

fn with_kept(change: fn(&mut wire::Kept)) -> Vec<String> {
    now(Probe::Kept, |f| change(kept(f).cameras[1].kept.as_mut().unwrap()))
}

#[test]
fn what_is_kept_against_the_promise() {
    assert_eq!(with_kept(|_| ()), ["ok kept"]);
    assert_eq!(with_kept(|k| k.days = 20.0), ["ok kept"]);
    assert_eq!(with_kept(|k| k.days = 19.9), ["ok partly", "fail c2 short"]);
    assert_eq!(with_kept(|k| (k.days, k.young) = (3.0, true)), ["ok kept"]);
    assert_eq!(with_kept(|k| k.unreadable_seconds = 1), ["ok partly", "fail c2 unreadable"]);
    assert_eq!(with_kept(|k| (k.unreadable_seconds, k.lost_seconds) = (5, 1)), ["ok partly", "fail c2 lost"]);
    let free = |change: fn(&mut wire::Kept)| {
        now(Probe::Kept, |f| {
            kept(f).cameras[1].min_days = None;
            change(kept(f).cameras[1].kept.as_mut().unwrap());
        })
    };
    assert_eq!(free(|k| k.unreadable_seconds = 1), ["ok partly", "warn c2 away"], "no promise is broken");
    assert_eq!(free(|k| (k.unreadable_seconds, k.lost_seconds) = (5, 1)), ["ok partly", "warn c2 gone"]);
    assert_eq!(now(Probe::Kept, |f| kept(f).cameras[1].substream = true), ["ok partly", "warn c2 substream"]);
    let all = now(Probe::Kept, |f| kept(f).cameras.iter_mut().for_each(|c| c.stopped = true));
    assert_eq!(all, ["fail many"]);
    let unmeasured = |started: u64| {
        now(Probe::Kept, |f| {
            told(f).started = ago(started);
            kept(f).cameras.iter_mut().for_each(|c| c.kept = None);
        })
    };
    assert_eq!(unmeasured(10 * MINUTE - 1), ["ok measuring"]);
    assert_eq!(unmeasured(10 * MINUTE), ["warn unmeasured"]);
    assert_eq!(now(Probe::Kept, |f| f.retention = None), ["warn unknown"]);
    assert_eq!(now(Probe::Kept, |f| kept(f).cameras.iter_mut().for_each(|c| c.min_days = None)), ["ok free"]);
}

#[test]
fn deletion_that_is_suspended_is_told() {
    let suspended = |all: &[(Option<&str>, Doubt)]| {
        now(Probe::Kept, |f| {
            let one = |(volume, doubt): &(Option<&str>, Doubt)| Suspension {
                volume: volume.map(|v| v.parse().unwrap()),
                doubt: *doubt,
                why: "seen by 10.1.1.1".into(),
            };
            kept(f).suspended = all.iter().map(one).collect();
        })
    };
    for (doubt, line) in [
        (Doubt::Clock, "warn deletion clock"),
        (Doubt::Index, "warn deletion index"),
        (Doubt::Ledger, "warn deletion ledger"),
        (Doubt::Holds, "warn deletion holds"),
        (Doubt::Comparing, "ok deletion comparing"),
        (Doubt::Contents, "warn deletion contents"),
        (Doubt::Volume, "warn deletion volume"),
    ] {
        assert_eq!(suspended(&[(None, doubt)]), ["ok kept", line]);
    }
    let several = [(Some("a1"), Doubt::Comparing), (Some("a1"), Doubt::Contents), (Some("a2"), Doubt::Comparing)];
    assert_eq!(suspended(&several), ["ok kept", "warn a1 contents", "ok a2 comparing"]);
}

#[test]
fn holds_are_told() {
    let holds = |change: fn(&mut wire::HoldsHealth)| now(Probe::Kept, |f| change(f.holds.as_mut().unwrap()));
    assert_eq!(holds(|h| h.in_force = 3), ["ok kept"]);
    assert_eq!(holds(|h| h.due = 1), ["ok kept", "warn holds holds_due"]);
    assert_eq!(holds(|h| h.own_copy = Some("cut".into())), ["ok kept", "warn holds holds_copy"]);
}

#[test]
fn a_breach_is_announced_days_ahead_with_the_numbers() {
    let breaks = |day: u32| {
        now(Probe::Forecast, |f| {
            let at = NOW + Duration::from_secs(u64::from(day) * DAY);
            kept(f).volumes[0].breaks = Some(wire::Breaks { day, at, missing: ByteSize(400_000_000_000) });
        })
    };
    assert_eq!(now(Probe::Forecast, |_| ()), ["ok holds"]);
    assert_eq!(breaks(8), ["ok else", "ok a1 later"]);
    assert_eq!(breaks(7), ["ok else", "warn a1 soon"]);
    assert_eq!(breaks(2), ["ok else", "warn a1 soon"]);
    assert_eq!(breaks(1), ["ok else", "fail a1 soon"]);
    assert_eq!(breaks(0), ["ok else", "fail a1 short"]);
    assert_eq!(now(Probe::Forecast, |f| f.retention = None), ["warn unknown"]);
    let unreckoned = |started: u64| {
        now(Probe::Forecast, |f| {
            kept(f).reckoned = None;
            told(f).started = ago(started);
        })
    };
    assert_eq!((unreckoned(MINUTE), unreckoned(HOUR)), (vec!["ok reckoning".into()], vec!["warn unreckoned".into()]));
    let mut facts = fixture::well(10);
    let at = NOW + Duration::from_secs(5 * DAY);
    kept(&mut facts).volumes[0].breaks = Some(wire::Breaks { day: 5, at, missing: ByteSize(7) });
    for (n, day) in [(0, 4), (1, 5), (2, 6)] {
        kept(&mut facts).cameras[n].affected_day = Some(day);
    }
    let soon: Finding = judge(&facts).into_iter().find(|f| f.code == "soon").unwrap();
    let values = [
        ("days", Value::Days(5.0)),
        ("at", Value::Time(at)),
        ("missing", Value::Bytes(ByteSize(7))),
        ("count", Value::Count(2)),
    ];
    assert_eq!(soon.values, values.map(|(name, value)| (name.to_owned(), value)).into());
}
