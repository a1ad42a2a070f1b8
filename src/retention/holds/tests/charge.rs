//! The arithmetic of holds.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::retention::holds::charge::{Effect, Facts, Piece, Room, Source, Weight};

const GB: u64 = 1_000_000_000;

/// Two cameras of 24 GB a day, promised for ten days and recorded for twenty, on a volume each; files of an hour.
fn facts(room: u64) -> Facts {
    let mut facts = Facts { now: NOW, ..Facts::default() };
    for (n, volume) in [("gate", "v1"), ("yard", "v2")] {
        let source = Source { min_days: Some(10), per_day: 24 * GB, homes: vec![name(volume)] };
        facts.cameras.insert(camera(n), source);
        facts.volumes.insert(name(volume), Room { usable: Some(room), promised: 240 * GB });
        facts.pieces.extend((-20 * 24..0).map(|h| Piece {
            camera: camera(n),
            volume: name(volume),
            span: hours(h, h + 1),
            bytes: GB,
        }));
    }
    facts
}

fn held(cameras: Cameras, span: Span) -> Spans {
    Spans::new([extent(cameras, span)])
}

fn effect(facts: &Facts, volume: &str, before: &Spans, after: &Spans) -> Effect {
    facts.charge(before, after)[&name(volume)].clone()
}

#[test]
fn what_is_promised_anyway_costs_only_later() {
    let facts = facts(1000 * GB);
    // From fifteen days ago to two days ahead.
    let after = held(these(&["gate"]), hours(-15 * 24, 2 * 24));
    let gate = effect(&facts, "v1", &Spans::default(), &after);
    assert_eq!(gate.added, Weight { beyond: 120 * GB, promised: 240 * GB, to_come: 48 * GB });
    assert_eq!((gate.held, gate.counts_from, gate.lack), (gate.added, Some(NOW), None));
    let yard = effect(&facts, "v2", &Spans::default(), &after);
    assert_eq!((yard.added, yard.counts_from), (Weight::default(), None));

    // The hold of an hour of yesterday counts in nine days.
    let after = held(these(&["gate"]), hours(-24, -23));
    let gate = effect(&facts, "v1", &Spans::default(), &after);
    assert_eq!(gate.added, Weight { promised: GB, ..Weight::default() });
    assert_eq!(gate.counts_from, Some(hours(9 * 24 + 1, 9 * 24 + 2).start));
    // One of tomorrow when it is eleven days old.
    let after = held(these(&["gate"]), hours(24, 26));
    let gate = effect(&facts, "v1", &Spans::default(), &after);
    assert_eq!((gate.added.to_come, gate.counts_from), (2 * GB, Some(NOW.offset(11 * DAY))));
}

#[test]
fn a_second_is_not_counted_twice_and_a_file_is_kept_whole() {
    let facts = facts(1000 * GB);
    let before = held(these(&["gate"]), hours(-30, 30));
    let again = effect(&facts, "v1", &before, &before.with(&extent(Cameras::All, hours(-20, 20))));
    assert_eq!((again.added, again.counts_from), (Weight::default(), None));
    let more = effect(&facts, "v1", &before, &before.with(&extent(Cameras::All, hours(-32, 31))));
    assert_eq!(more.added, Weight { promised: 2 * GB, to_come: GB, beyond: 0 });
    let minute = Span { start: NOW.offset(-5 * HOUR - HOUR / 2), end: NOW.offset(-5 * HOUR - HOUR / 3) };
    assert_eq!(effect(&facts, "v1", &Spans::default(), &held(Cameras::All, minute)).added.promised, GB);
}

#[test]
fn two_copies_are_two() {
    let mut facts = facts(1000 * GB);
    facts.cameras.get_mut(&camera("gate")).unwrap().homes.push(name("v2"));
    let after = held(these(&["gate"]), hours(0, 24));
    for volume in ["v1", "v2"] {
        assert_eq!(effect(&facts, volume, &Spans::default(), &after).added.to_come, 24 * GB);
    }
}

#[test]
fn a_camera_that_is_not_recorded_has_only_what_it_has() {
    let mut facts = facts(1000 * GB);
    let gone = facts.cameras.get_mut(&camera("gate")).unwrap();
    (gone.per_day, gone.homes) = (0, Vec::new());
    let after = held(Cameras::All, hours(-24, 24));
    assert_eq!(
        effect(&facts, "v1", &Spans::default(), &after).added,
        Weight { promised: 24 * GB, ..Weight::default() }
    );
}

#[test]
fn what_does_not_fit_says_by_how_much_from_when_on_and_what_would_help() {
    // Room for the promise and a hundred hours.
    let facts = facts(340 * GB);
    let wanted = extent(Cameras::All, hours(-50, 100));
    let after = Spans::default().with(&wanted);
    let lack = effect(&facts, "v1", &Spans::default(), &after).lack.unwrap();
    assert_eq!((lack.needed, lack.there, lack.missing()), (390 * GB, 340 * GB, 50 * GB));
    // A hundred hours are free when the fiftieth hour from now is ten days old.
    let expected = NOW.offset(10 * DAY + 50 * HOUR);
    assert!(lack.since.since(expected).abs() <= 2_000_000_000, "{} {expected}", lack.since);

    let help = facts.remedies(&Spans::default(), &wanted);
    assert_eq!(help.more, BTreeMap::from([(name("v1"), 50 * GB), (name("v2"), 50 * GB)]));
    let until = help.until.unwrap();
    assert!(expected.offset(-10 * DAY).since(until).abs() <= 120_000_000_000, "{until}");
    assert_eq!(help.without, None, "each of the two is too much for its own volume");

    let mut facts = facts.clone();
    facts.volumes.get_mut(&name("v2")).unwrap().usable = Some(1000 * GB);
    let help = facts.remedies(&Spans::default(), &wanted);
    assert_eq!(help.without, Some(vec![camera("gate")]));
    facts.volumes.get_mut(&name("v1")).unwrap().usable = None;
    assert_eq!(effect(&facts, "v1", &Spans::default(), &after).lack, None, "nobody knows what is there");
}

#[test]
fn what_adds_nothing_to_a_volume_that_is_short_is_not_refused() {
    let facts = facts(240 * GB);
    let before = held(these(&["gate"]), hours(-30, -20));
    let after = before.with(&extent(these(&["gate"]), hours(-25, -21)));
    assert_eq!(effect(&facts, "v1", &before, &after).lack, None);
    let more = before.with(&extent(these(&["gate"]), hours(-25, -10)));
    let lack = effect(&facts, "v1", &before, &more).lack.unwrap();
    assert_eq!(lack.missing(), 20 * GB);
    let wanted = extent(Cameras::All, hours(-1, 0));
    assert_eq!(facts.remedies(&before, &wanted).until, None);
}

fn span() -> impl Strategy<Value = Span> {
    (-480_i64..100, 1_i64..200).prop_map(|(from, len)| hours(from, from + len))
}

fn some_extent() -> impl Strategy<Value = Extent> {
    let cameras = prop_oneof![Just(Cameras::All), Just(these(&["gate"])), Just(these(&["gate", "yard"]))];
    (cameras, span()).prop_map(|(cameras, span)| extent(cameras, span))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_added_is_the_difference(before in proptest::collection::vec(some_extent(), 0..4), more in some_extent()) {
        let facts = facts(1000 * GB);
        let before = Spans::new(before);
        let after = before.with(&more);
        let old = facts.weigh(&before);
        for (name, effect) in facts.charge(&before, &after) {
            let old = old.get(&name).copied().unwrap_or_default();
            prop_assert!(effect.held.total().abs_diff(old.total() + effect.added.total()) <= 4);
            prop_assert_eq!(effect.counts_from.is_some(), effect.added.total() > 0);
        }
    }

    #[test]
    fn remedies_are_what_they_say(more in some_extent(), room in 240_u64..600, wide in 240_u64..600) {
        let mut facts = facts(room * GB);
        facts.volumes.get_mut(&name("v2")).unwrap().usable = Some(wide * GB);
        let before = held(these(&["yard"]), hours(-40, -20));
        let fits = |facts: &Facts, e: &Extent| facts.charge(&before, &before.with(e)).values().all(|e| e.lack.is_none());
        if fits(&facts, &more) {
            return Ok(());
        }
        let help = facts.remedies(&before, &more);
        if let Some(until) = help.until {
            let shorter = Span { end: until, ..more.span() };
            prop_assert!(fits(&facts, &extent(more.cameras().clone(), shorter)));
        }
        if let Some(without) = help.without {
            prop_assert!(!without.is_empty());
            let mut left: std::collections::BTreeSet<CameraId> = facts.cameras.keys().cloned().collect();
            left.retain(|c| more.cameras().contains(c) && !without.contains(c));
            prop_assert!(!left.is_empty());
            prop_assert!(fits(&facts, &extent(left.into(), more.span())));
        }
        for (name, bytes) in help.more {
            let room = facts.volumes.get_mut(&name).unwrap();
            room.usable = room.usable.map(|u| u + bytes);
        }
        prop_assert!(fits(&facts, &more));
    }
}
