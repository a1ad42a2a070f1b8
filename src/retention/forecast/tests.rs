//! Against a brute-force course of the same volume, piece by piece, with the policy itself.

use std::collections::BTreeSet;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{
    retention::policy::{self, Admission, Camera, Piece, Recorded, Shelf, State, Volume},
    types::{RunId, SegmentId, StreamId, VolumeName},
};

const NOW: WallNs = WallNs(1000 * DAY_NS);
/// Pieces in a day.
const PER_DAY: i64 = 24;
const PIECE: i64 = DAY_NS / PER_DAY;

fn id<T: std::str::FromStr>(name: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    name.parse().unwrap()
}

fn account(camera: &str, min_days: Option<u32>, priority: u32, per_day: u64) -> Account {
    Account {
        camera: id(camera),
        terms: Terms { min_days, max_days: None, priority },
        resident: true,
        per_day,
        by_age: Vec::new(),
        held: 0,
        held_ahead: Vec::new(),
    }
}

#[test]
fn the_day_on_which_it_breaks_and_by_how_much() {
    // 20 days at 1000 a day, 12 of them there: after 8 more days all is promised.
    let gate = Account { by_age: vec![1000; 12], ..account("gate", Some(20), 5, 1000) };
    let ask = |usable| forecast(NOW, Promise::Invariant, usable, std::slice::from_ref(&gate));
    let fits = ask(20_003);
    assert_eq!((fits.breaks, fits.peak, fits.owed), (None, ByteSize(20_003), ByteSize(12_003)));
    let breaks = ask(15_500).breaks.unwrap();
    assert_eq!((breaks.day, breaks.missing, breaks.at), (4, ByteSize(503), NOW.offset(4 * DAY_NS)));
    assert_eq!(ask(15_500).cameras[0].affected, Some(4));
    assert_eq!(ask(11_000).breaks.unwrap().day, 0);
}

#[test]
fn a_hold_counts_at_once_and_one_that_reaches_ahead_as_footage_comes() {
    let gate = Account { by_age: vec![1000; 10], ..account("gate", Some(10), 5, 1000) };
    let usable = 12_003;
    assert_eq!(forecast(NOW, Promise::Invariant, usable, std::slice::from_ref(&gate)).breaks, None);
    // Three of its days are held: they stay when they are old.
    let mut by_age = vec![1000; 10];
    by_age[6..9].fill(0);
    let held = Account { by_age, held: 3000, ..gate.clone() };
    let breaks = forecast(NOW, Promise::Invariant, usable, &[held]).breaks.unwrap();
    assert_eq!((breaks.day, breaks.missing), (4, ByteSize(1000)));
    let ahead = Span { start: NOW.offset(DAY_NS / 2), end: NOW.offset(5 * DAY_NS / 2) };
    let ahead = Account { held_ahead: vec![ahead], ..gate };
    let f = forecast(NOW, Promise::Invariant, usable, &[ahead]);
    assert_eq!((f.breaks, f.peak), (None, ByteSize(12_003)));
}

#[test]
fn low_priority_is_affected_first_and_a_target_affects_the_oldest() {
    let affected = |promise, before: u64, usable| -> Vec<Option<u32>> {
        let camera = |name, priority| Account { by_age: vec![before; 20], ..account(name, Some(20), priority, 1000) };
        let accounts = [camera("gate", 9), camera("hall", 5), camera("yard", 1)];
        forecast(NOW, promise, usable, &accounts).cameras.iter().map(|c| c.affected).collect()
    };
    // A little more comes than goes.
    assert_eq!(affected(Promise::Invariant, 750, 46_000), [None, None, Some(2)]);
    assert_eq!(affected(Promise::Target, 750, 46_000), [Some(2), Some(2), Some(2)]);
    assert_eq!(affected(Promise::Invariant, 500, 31_000), [None, Some(2), Some(1)]);
    // Nothing goes for a long time yet: in the end nobody is recorded.
    assert_eq!(affected(Promise::Invariant, 0, 45_100), [Some(16), Some(16), Some(16)]);
}

#[test]
fn days_in_balance() {
    let accounts = [account("gate", Some(20), 9, 1000), account("yard", Some(5), 1, 1000), account("free", None, 1, 0)];
    let ask = |promise, usable| steady_days(promise, usable, &accounts);
    let close = |days: Vec<Option<f64>>, to: [f64; 2]| {
        let near = days.iter().zip(to).all(|(d, to)| (d.unwrap() - to).abs() < 0.001);
        assert!(near && days[2].is_none(), "{days:?}");
    };
    close(ask(Promise::Invariant, 31_000), [23.0, 8.0]);
    close(ask(Promise::Invariant, 22_000), [20.0, 2.0]);
    close(ask(Promise::Target, 14_000), [9.0, 5.0]);
    let mut short = accounts.clone();
    short[1].terms.max_days = Some(6);
    close(steady_days(Promise::Invariant, 31_000, &short), [25.0, 6.0]);
}

#[test]
fn the_sub_stream_of_as_few_as_possible_and_back_only_with_some_room() {
    let choice = |camera: &str, priority, sub| Choice { account: account(camera, Some(20), priority, 1000), sub };
    let choices = [choice("gate", 9, Some(200)), choice("hall", 5, Some(200)), choice("yard", 1, None)];
    let ask = |usable, before: &BTreeSet<CameraId>| by_substream(NOW, usable, &choices, before);
    let none = BTreeSet::new();
    assert_eq!(ask(60_100, &none), none);
    let one: BTreeSet<CameraId> = [id("hall")].into();
    assert_eq!(ask(59_000, &none), one, "the one of lower priority has no sub stream");
    assert_eq!(ask(60_100, &one), one, "only just enough");
    assert_eq!(ask(62_200, &one), none);
    let both: BTreeSet<CameraId> = [id("gate"), id("hall")].into();
    assert_eq!(ask(10_000, &none), both, "it does what it can");
    assert_eq!(ask(59_000, &both), one);
}

#[derive(Debug, Clone)]
struct Case {
    accounts: Vec<Account>,
    usable: u64,
    promise: Promise,
}

fn any_account(n: usize) -> impl Strategy<Value = Account> {
    (proptest::option::weighted(0.9, 1_u32..12), 1_u32..4, 1_u64..40, 0_usize..14, 0_u64..500).prop_map(
        move |(min_days, priority, rate, days, held)| {
            let per_day = rate * PER_DAY.unsigned_abs();
            Account { by_age: vec![per_day; days], held, ..account(&format!("c{n}"), min_days, priority, per_day) }
        },
    )
}

fn any_case() -> impl Strategy<Value = Case> {
    let accounts = (any_account(0), any_account(1), any_account(2)).prop_map(|(a, b, c)| vec![a, b, c]);
    let promise = prop_oneof![Just(Promise::Invariant), Just(Promise::Target)];
    (accounts, 300_u64..1500, promise).prop_map(|(accounts, per_mille, promise)| {
        let needs: u64 = accounts.iter().map(|a| a.per_day * u64::from(a.terms.min_days.unwrap_or(0)) + a.held).sum();
        Case { usable: needs * per_mille / 1000, accounts, promise }
    })
}

/// The first day, counted from one, on which the policy stops somebody or breaks a promise. Day 0: before anything is recorded.
fn first_trouble(case: &Case) -> Option<u32> {
    let (volume, stream, run): (VolumeName, _, _) =
        (id("v1"), StreamId::from(Uuid::from_u128(1)), RunId::from(Uuid::from_u128(1)));
    // A reserve so small that "short of it" is "full".
    let (floor, wanted) = (0, 4);
    let size = case.usable + wanted;
    let mut next = 0;
    let mut piece = |end: WallNs, bytes: u64, held: bool| {
        next += 1;
        let segment = SegmentId { stream, run, seq: next };
        Piece { segment, span: Span { start: end.offset(-PIECE), end }, bytes, held }
    };
    let mut shelves: Vec<Shelf> = Vec::new();
    let mut cameras = std::collections::BTreeMap::new();
    for a in &case.accounts {
        let mut pieces = vec![];
        pieces.extend((a.held > 0).then(|| piece(NOW.offset(-2000 * PIECE), a.held, true)));
        for (age, bytes) in a.by_age.iter().enumerate().rev() {
            for part in (0..PER_DAY).rev() {
                let end = NOW.offset(-(i64::try_from(age).unwrap() * DAY_NS + part * PIECE));
                pieces.push(piece(end, bytes / PER_DAY.unsigned_abs(), false));
            }
        }
        shelves.push(Shelf { camera: a.camera.clone(), volume: volume.clone(), pieces });
        let recorded = Recorded { homes: vec![volume.clone()], per_day: a.per_day };
        cameras.insert(a.camera.clone(), Camera { terms: a.terms, recorded: Some(recorded) });
    }
    let mut now = NOW;
    for step in 0..=i64::from(HORIZON) * PER_DAY {
        if step > 0 {
            now = now.offset(PIECE);
            for (shelf, a) in shelves.iter_mut().zip(&case.accounts) {
                shelf.pieces.push(piece(now, a.per_day / PER_DAY.unsigned_abs(), false));
            }
        }
        let used: u64 = shelves.iter().flat_map(|s| &s.pieces).map(|p| p.bytes).sum();
        let free = size.saturating_sub(used);
        let ample = wanted;
        let room = Volume { works: true, free, floor, wanted, ample, usable: case.usable, owed: 0, guests: 0 };
        let over = used.saturating_sub(size);
        // What does not fit must go at once: as much more is wanted.
        let room = Volume { wanted: wanted + over, ample: ample + over, ..room };
        let state = State {
            now,
            promise: case.promise,
            cameras: cameras.clone(),
            volumes: [(volume.clone(), room)].into(),
            shelves: shelves.clone(),
        };
        let decision = policy::decide(&state, &Admission::default());
        let freed: u64 = decision.retire.iter().map(|r| r.piece.bytes).sum();
        if decision.breaches().next().is_some() || free + freed < room.wanted {
            return Some(u32::try_from((step + PER_DAY - 1) / PER_DAY).unwrap());
        }
        for gone in &decision.retire {
            for shelf in &mut shelves {
                shelf.pieces.retain(|p| p.segment != gone.piece.segment);
            }
        }
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_policy_meets_the_day_that_was_foretold(case in any_case()) {
        let foretold = forecast(NOW, case.promise, case.usable, &case.accounts);
        let day = foretold.breaks.map(|b| b.day);
        // The forecast counts a segment of five minutes more for each camera than the brute force with its pieces of an hour.
        let edges: u64 = case.accounts.iter().map(|a| a.per_day / SEGMENTS).sum();
        let slack = edges + case.accounts.iter().map(|a| a.per_day / PER_DAY.unsigned_abs()).sum::<u64>();
        let early = first_trouble(&Case { usable: case.usable.saturating_sub(slack), ..case.clone() });
        let late = first_trouble(&Case { usable: case.usable + slack, ..case.clone() });
        let never = HORIZON + 1;
        let (early, day, late) = (early.unwrap_or(never), day.unwrap_or(never), late.unwrap_or(never));
        prop_assert!(early <= day && day <= late, "{early} <= {day} <= {late}");
        // Those who give way: only when it breaks, never before.
        for outlook in &foretold.cameras {
            prop_assert!(outlook.affected.is_none_or(|a| a >= day && day < never));
        }
        if case.promise == Promise::Invariant {
            let day_of = |n: usize| foretold.cameras[n].affected.unwrap_or(never);
            for (a, b) in [(0, 1), (1, 2), (0, 2)] {
                let priority = |n: usize| case.accounts[n].terms.priority;
                prop_assert!(priority(a) >= priority(b) || day_of(a) <= day_of(b));
                prop_assert!(priority(b) >= priority(a) || day_of(b) <= day_of(a));
            }
        }
    }

    #[test]
    fn in_balance_all_that_is_kept_fits_and_none_keeps_more_than_it_may(case in any_case(), max in proptest::option::of(1_u32..20)) {
        let mut accounts = case.accounts;
        accounts[0].terms.max_days = max.map(|m| m.max(accounts[0].terms.min_days.unwrap_or(0)));
        let days = steady_days(case.promise, case.usable, &accounts);
        let used: f64 = accounts.iter().zip(&days).map(|(a, d)| a.per_day as f64 * d.unwrap_or(0.0)).sum();
        prop_assert!(used <= case.usable as f64 + 1.0);
        for (a, d) in accounts.iter().zip(&days) {
            prop_assert!(a.terms.max_days.is_none_or(|max| d.unwrap() <= f64::from(max)));
        }
        let all_kept = accounts.iter().zip(&days).all(|(a, d)| d.unwrap() >= f64::from(a.terms.min_days.unwrap_or(0)));
        let needs: u64 = accounts.iter().map(|a| a.per_day * u64::from(a.terms.min_days.unwrap_or(0))).sum();
        prop_assert_eq!(all_kept, needs <= case.usable);
    }
}
