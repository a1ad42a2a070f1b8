//! Single decisions, spelled out. [`history`] tries thousands of whole histories.

use uuid::Uuid;

use super::*;
use crate::{
    retention::DAY_NS,
    types::{RunId, StreamId},
};

mod history;
mod world;

const NOW: WallNs = WallNs(1000 * DAY_NS);
const H: i64 = DAY_NS / 24;

fn id<T: std::str::FromStr>(name: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    name.parse().unwrap()
}

fn terms(min_days: Option<u32>, max_days: Option<u32>, priority: u32) -> Terms {
    Terms { min_days, max_days, priority }
}

/// A segment of an hour and 100 bytes that ended so many hours ago.
fn piece(number: u32, hours_ago: i64) -> Piece {
    let end = NOW.offset(-hours_ago * H);
    let (stream, run) = (StreamId::from(Uuid::from_u128(1)), RunId::from(Uuid::from_u128(1)));
    let segment = SegmentId { stream, run, seq: number };
    Piece { segment, span: Span { start: end.offset(-H), end }, bytes: 100, held: false }
}

fn held(piece: Piece) -> Piece {
    Piece { held: true, ..piece }
}

fn shelf(camera: &str, volume: &str, pieces: &[Piece]) -> Shelf {
    Shelf { camera: id(camera), volume: id(volume), pieces: pieces.to_vec() }
}

fn volume(free: u64) -> Volume {
    Volume { works: true, free, floor: 100, wanted: 1000, ample: 1200, usable: 10_000, owed: 0, guests: 0 }
}

/// Cameras with their terms, all at home on `v1`, 100 bytes a day each.
fn state(promise: Promise, cameras: &[(&str, Terms)], free: u64, shelves: Vec<Shelf>) -> State {
    let recorded = Some(Recorded { homes: vec![id("v1")], per_day: 100 });
    let camera = |(name, terms): &(&str, Terms)| (id(name), Camera { terms: *terms, recorded: recorded.clone() });
    State {
        now: NOW,
        promise,
        cameras: cameras.iter().map(camera).collect(),
        volumes: [(id("v1"), volume(free))].into(),
        shelves,
    }
}

/// Camera, hours since the end, reason.
fn gone(decision: &Decision) -> Vec<(String, i64, Reason)> {
    let told = |r: &Retirement| (r.camera.to_string(), NOW.since(r.piece.span.end) / H, r.reason);
    decision.retire.iter().map(told).collect()
}

fn barred(decision: &Decision) -> Vec<String> {
    decision.admission.barred().map(|(volume, camera)| format!("{camera} on {volume}")).collect()
}

#[test]
fn the_largest_surplus_goes_first_and_no_more_than_is_needed() {
    let shelves = vec![
        shelf("week", "v1", &[piece(0, 10 * 24), piece(1, 8 * 24 + 2), piece(2, 6 * 24)]),
        shelf("month", "v1", &[piece(3, 32 * 24), piece(4, 31 * 24), piece(5, 1)]),
        shelf("free", "v1", &[piece(6, 5), piece(7, 1)]),
    ];
    let cameras =
        [("week", terms(Some(7), None, 5)), ("month", terms(Some(30), None, 5)), ("free", terms(None, None, 5))];
    let decide = |free| decide(&state(Promise::Invariant, &cameras, free, shelves.clone()), &Admission::default());
    let room = Reason::Room;
    let all = [("week", 240), ("month", 768), ("week", 194), ("month", 744), ("free", 5), ("free", 1)];
    let all: Vec<(String, i64, Reason)> = all.iter().map(|(c, h)| ((*c).to_owned(), *h, room)).collect();
    assert_eq!(gone(&decide(0)), all, "promised footage stays however full it is");
    assert_eq!(gone(&decide(950)), all[..3], "until there is ample room");
    assert_eq!(gone(&decide(1000)), [], "there is the room that is wanted");
}

#[test]
fn what_is_overdue_goes_unless_it_is_held() {
    let shelves = vec![shelf("gate", "v1", &[piece(0, 100), held(piece(1, 99)), piece(2, 98), piece(3, 40)])];
    let state = state(Promise::Invariant, &[("gate", terms(Some(2), Some(3), 5))], 5000, shelves);
    let due = Reason::MaxDays;
    assert_eq!(gone(&decide(&state, &Admission::default())), [("gate".into(), 100, due), ("gate".into(), 98, due)]);
}

#[test]
fn a_target_yields_its_oldest_when_nothing_else_is_left_and_a_hold_never_does() {
    let shelves = vec![
        shelf("gate", "v1", &[held(piece(0, 47)), piece(1, 46), piece(2, 20)]),
        shelf("yard", "v1", &[piece(3, 60), piece(4, 30)]),
    ];
    let cameras = [("gate", terms(Some(2), None, 5)), ("yard", terms(Some(2), None, 5))];
    let decide = |promise, free| gone(&decide(&state(promise, &cameras, free, shelves.clone()), &Admission::default()));
    let told = |all: &[(&str, i64, Reason)]| -> Vec<_> { all.iter().map(|(c, h, r)| ((*c).into(), *h, *r)).collect() };
    let (room, target) = (Reason::Room, Reason::Target);
    assert_eq!(decide(Promise::Invariant, 700), told(&[("yard", 60, room)]));
    // 700 + 100 by surplus, and two breaches until there is what is wanted.
    assert_eq!(decide(Promise::Target, 700), told(&[("yard", 60, room), ("gate", 46, target), ("yard", 30, target)]));
    assert_eq!(decide(Promise::Target, 0).len(), 4, "all but what is held");
}

#[test]
fn the_lowest_priority_stops_first_and_comes_back_last() {
    let cameras = [
        ("gate", terms(Some(30), None, 9)),
        ("hall", terms(Some(30), None, 5)),
        ("yard", terms(Some(30), None, 1)),
        ("lane", terms(Some(30), None, 1)),
    ];
    // Rungs of a quarter each below 100 + 3/4 of 900.
    let at = |free, before: &Admission| decide(&state(Promise::Invariant, &cameras, free, vec![]), before);
    let none = Admission::default();
    assert_eq!(barred(&at(776, &none)), Vec::<String>::new());
    let one = at(770, &none);
    assert_eq!(barred(&one), ["lane on v1"], "equals: the smaller name");
    assert_eq!(barred(&at(800, &one.admission)), ["lane on v1"], "not before there is a good deal more");
    assert_eq!(barred(&at(890, &one.admission)), Vec::<String>::new());
    let two = at(600, &one.admission);
    assert_eq!(barred(&two), ["lane on v1", "yard on v1"]);
    assert_eq!(barred(&at(450, &two.admission)).len(), 2);
    assert_eq!(barred(&at(430, &two.admission)).len(), 3);
    assert_eq!(barred(&at(200, &two.admission)).len(), 4, "before the file system is in need");
}

#[test]
fn room_that_can_be_made_counts_as_room() {
    let shelves = vec![shelf("gate", "v1", &(0..20).map(|n| piece(n, 2000 - i64::from(n))).collect::<Vec<_>>())];
    let state = state(Promise::Invariant, &[("gate", terms(Some(30), None, 5))], 0, shelves);
    let decision = decide(&state, &Admission::default());
    assert_eq!(decision.retire.len(), 12);
    assert_eq!(barred(&decision), Vec::<String>::new());
}

#[test]
fn guests_get_what_residents_do_not_need() {
    let mut state = state(
        Promise::Invariant,
        &[("gate", terms(Some(30), None, 1)), ("hall", terms(Some(30), None, 9)), ("yard", terms(Some(30), None, 5))],
        2000,
        vec![],
    );
    for camera in ["hall", "yard"] {
        let recorded = Some(Recorded { homes: vec![id("v2")], per_day: 240 });
        state.cameras.get_mut(&id::<CameraId>(camera)).unwrap().recorded = recorded;
    }
    let mut ask = |owed, guests| {
        let v1 = state.volumes.get_mut(&id::<VolumeName>("v1")).unwrap();
        (v1.owed, v1.guests) = (owed, guests);
        barred(&decide(&state, &Admission::default()))
    };
    assert_eq!(ask(9000, 0), Vec::<String>::new());
    assert_eq!(ask(9800, 0), ["yard on v1"], "the higher priority has a day before it");
    assert_eq!(ask(9500, 300), ["yard on v1"], "what guests have taken already counts");
    assert_eq!(ask(9995, 0), ["hall on v1", "yard on v1"], "the resident stays, low as its priority is");
}

#[test]
fn a_volume_that_has_failed_and_footage_of_nobody_are_left_alone() {
    let old = [piece(0, 5000)];
    let mut state = state(
        Promise::Target,
        &[("gate", terms(Some(2), Some(3), 5))],
        0,
        vec![shelf("stranger", "v1", &old), shelf("gate", "v2", &old)],
    );
    state.volumes.insert(id("v2"), Volume { works: false, ..volume(0) });
    assert_eq!(decide(&state, &Admission::default()).retire, []);
}
