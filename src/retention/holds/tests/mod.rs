mod charge;
mod copies;
mod cuts;
mod merge;
mod world;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use uuid::Uuid;
use world::{VOLUMES, World};

use super::*;
use crate::{
    store::volume,
    types::{CameraId, HoldId, Span, VolumeName, WallNs},
};

/// 2026-11-22T08:00:00Z.
const NOW: WallNs = WallNs(1_795_334_400_000_000_000);
const HOUR: i64 = 3_600_000_000_000;
const DAY: i64 = 24 * HOUR;

fn camera(name: &str) -> CameraId {
    name.parse().unwrap()
}

fn name(name: &str) -> VolumeName {
    name.parse().unwrap()
}

fn id(n: u128) -> HoldId {
    Uuid::from_u128(n).into()
}

/// Hours from now.
fn hours(from: i64, to: i64) -> Span {
    Span { start: NOW.offset(from * HOUR), end: NOW.offset(to * HOUR) }
}

fn these(names: &[&str]) -> Cameras {
    Cameras::These(names.iter().map(|n| camera(n)).collect())
}

fn extent(cameras: Cameras, span: Span) -> Extent {
    Extent::new(cameras, span).unwrap()
}

fn order(reason: &str) -> Order {
    Order {
        by: "Nguyễn Thị Hoa".parse().unwrap(),
        reason: reason.parse().unwrap(),
        case: Some("BB 12/2026".parse().unwrap()),
        entered_by: "it".parse().unwrap(),
        even_if_short: false,
    }
}

fn stamp(n: u128) -> Stamp {
    let at = NOW.offset(i64::try_from(n).unwrap());
    Stamp { id: Uuid::from_u128(n), at, by_salt: Salt::new([1; 16]), reason_salt: Salt::new([2; 16]) }
}

fn review() -> Day {
    "2026-12-22".parse().unwrap()
}

fn add(keeper: &Keeper, n: u128) -> Result<Vec<Refusal>, ApplyError> {
    keeper.apply(|holds| {
        holds.add(id(n), extent(these(&["gate"]), hours(-2, 1)), review(), order("Va chạm ở cổng"), stamp(n));
        Ok(())
    })
}

fn extend(keeper: &Keeper, n: u128, to: i64, stamp_no: u128) -> Result<Vec<Refusal>, ApplyError> {
    let wider = Wider { to: Some(NOW.offset(to * HOUR)), ..Wider::default() };
    keeper.apply(|holds| holds.extend(id(n), &wider, order("longer"), stamp(stamp_no)))
}

fn release(keeper: &Keeper, n: u128, stamp_no: u128) -> Result<Vec<Refusal>, ApplyError> {
    keeper.apply(|holds| holds.release(id(n), order("closed"), stamp(stamp_no)).map(drop))
}

fn in_force(keeper: &Keeper) -> Vec<HoldId> {
    keeper.held().holds.in_force().map(Hold::id).collect()
}

#[test]
fn a_hold_only_ever_grows_until_it_is_released() {
    let mut holds = Holds::default();
    holds.add(id(1), extent(these(&["gate"]), hours(-2, 1)), review(), order("x"), stamp(1));
    let shorter = Wider { to: Some(NOW), ..Wider::default() };
    assert!(matches!(holds.wider(id(1), &shorter), Err(ChangeError::Shorter(_))));
    let later = Wider { from: Some(NOW), ..Wider::default() };
    assert!(matches!(holds.extend(id(1), &later, order("x"), stamp(2)), Err(ChangeError::Shorter(_))));
    let same = Wider { cameras: Some(these(&["gate"])), review: Some(review()), ..Wider::default() };
    assert_eq!(holds.extend(id(1), &same, order("x"), stamp(2)), Err(ChangeError::Same(id(1))));
    assert_eq!(holds.extend(id(2), &same, order("x"), stamp(2)), Err(ChangeError::Unknown(id(2))));

    let more = Wider { cameras: Some(these(&["yard"])), from: Some(NOW.offset(-5 * HOUR)), ..Wider::default() };
    holds.extend(id(1), &more, order("x"), stamp(2)).unwrap();
    let hold = holds.get(id(1)).unwrap();
    assert_eq!(hold.extent(), extent(these(&["gate", "yard"]), hours(-5, 1)));
    assert_eq!((hold.review(), hold.version()), (Some(review()), 2));
    let other_day = Wider { review: Some("2027-01-31".parse().unwrap()), ..Wider::default() };
    holds.extend(id(1), &other_day, order("x"), stamp(3)).unwrap();
    assert_eq!(holds.get(id(1)).unwrap().review().unwrap().to_string(), "2027-01-31");

    let gate = camera("gate");
    assert_eq!(holds.covering(&gate, hours(0, 1)).count(), 1);
    assert_eq!(holds.covering(&gate, hours(1, 2)).count(), 0, "its end is outside");
    assert_eq!(holds.covering(&camera("hall"), hours(0, 1)).count(), 0);
    holds.release(id(1), order("closed"), stamp(4)).unwrap();
    assert_eq!(holds.covering(&gate, hours(0, 1)).count(), 0);
    assert_eq!(holds.release(id(1), order("again"), stamp(5)), Err(ChangeError::Released(id(1))));
    assert_eq!(holds.extend(id(1), &more, order("again"), stamp(5)), Err(ChangeError::Released(id(1))));

    holds.forget(NOW.offset(89 * DAY));
    assert_eq!(holds.iter().count(), 1, "it is remembered with its texts");
    holds.forget(NOW.offset(91 * DAY));
    assert_eq!(holds.iter().count(), 0);
}

#[test]
fn what_is_held_is_joined_per_camera() {
    let all = [
        extent(these(&["gate"]), hours(0, 2)),
        extent(these(&["gate", "yard"]), hours(2, 3)),
        extent(Cameras::All, hours(10, 11)),
        extent(these(&["gate"]), hours(9, 12)),
    ];
    let spans = Spans::new(all.clone());
    assert_eq!(spans.of(&camera("gate")), [hours(0, 3), hours(9, 12)]);
    assert_eq!(spans.of(&camera("yard")), [hours(2, 3), hours(10, 11)]);
    assert_eq!(spans.of(&camera("hall")), [hours(10, 11)]);
    let one_by_one = all.iter().fold(Spans::default(), |spans, e| spans.with(e));
    assert_eq!(one_by_one, spans);
    assert!(spans.hold(&camera("gate"), hours(2, 9)) && spans.hold(&camera("hall"), hours(0, 99)));
    assert!(!spans.hold(&camera("gate"), hours(3, 9)) && !spans.hold(&camera("gate"), hours(12, 13)));
    assert!(Spans::default().is_empty() && !spans.is_empty());
}

#[test]
fn a_camera_that_is_renamed_is_held_on() {
    let mut holds = Holds::default();
    holds.add(id(1), extent(these(&["door"]), hours(0, 2)), review(), order("x"), stamp(1));
    holds.add(id(2), extent(these(&["door", "gate"]), hours(5, 6)), review(), order("x"), stamp(2));
    holds.add(id(3), extent(Cameras::All, hours(8, 9)), review(), order("x"), stamp(3));
    let names = [Renamed { from: camera("door"), to: camera("gate") }];
    assert_eq!(holds.renamed(&names).map(|(hold, _)| hold).collect::<Vec<_>>(), [id(1)]);
    let spans = holds.spans(&names);
    for camera in ["door", "gate"].map(camera) {
        assert_eq!(spans.of(&camera), [hours(0, 2), hours(5, 6), hours(8, 9)]);
    }
    assert!(!holds.spans(&[]).hold(&camera("gate"), hours(0, 2)));
}

#[test]
fn texts_are_checked() {
    for bad in ["", "  ", "two\nlines", "\u{7}", &"x".repeat(501)] {
        assert!(bad.parse::<Words>().is_err(), "{bad:?}");
    }
    assert_eq!(" Lê Văn Nam ".parse::<Words>().unwrap().as_str(), "Lê Văn Nam");
    assert!(Extent::new(Cameras::All, hours(1, 1)).is_none());
}

#[test]
fn the_ledger_says_who_and_why_without_telling() {
    let mut holds = Holds::default();
    holds.add(id(1), extent(Cameras::All, hours(-2, 1)), review(), order("Va chạm"), stamp(1));
    let (_, change) = holds.unlogged().next().unwrap();
    let salted = crate::ledger::Salted::new(&[2; 16], "Va chạm\nBB 12/2026");
    assert_eq!(change.salted_reason(), salted);
    assert_eq!(change.salted_by(), crate::ledger::Salted::new(&[1; 16], "Nguyễn Thị Hoa"));
    assert_eq!(change.word(), crate::ledger::Change::Added);
    holds.note_logged(id(1), Uuid::from_u128(1));
    assert_eq!(holds.unlogged().count(), 0);
}
