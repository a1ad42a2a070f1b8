//! Copies of the holds that went ways of their own are joined, in whatever order, and nothing that was ordered is lost.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    file::{BadFile, Content, FORMAT, parse, to_bytes},
    *,
};

/// Something that is ordered, on one of several copies.
#[derive(Debug, Clone)]
enum Step {
    Add {
        on: usize,
        hold: u128,
        camera: u8,
        from: i64,
        len: i64,
    },
    Extend {
        on: usize,
        hold: u128,
        camera: u8,
        to: i64,
    },
    Release {
        on: usize,
        hold: u128,
    },
    Logged {
        on: usize,
    },
    /// One copy takes in another.
    Sync {
        from: usize,
        to: usize,
    },
}

const COPIES: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    let on = 0..COPIES;
    let hold = 1_u128..4;
    prop_oneof![
        3 => (on.clone(), hold.clone(), 0_u8..4, -9_i64..9, 1_i64..5)
            .prop_map(|(on, hold, camera, from, len)| Step::Add { on, hold, camera, from, len }),
        4 => (on.clone(), hold.clone(), 0_u8..4, -9_i64..30)
            .prop_map(|(on, hold, camera, to)| Step::Extend { on, hold, camera, to }),
        2 => (on.clone(), hold).prop_map(|(on, hold)| Step::Release { on, hold }),
        1 => on.clone().prop_map(|on| Step::Logged { on }),
        2 => (on.clone(), on).prop_map(|(from, to)| Step::Sync { from, to }),
    ]
}

/// 0: all.
fn cameras(n: u8) -> Cameras {
    if n == 0 { Cameras::All } else { these(&[["gate", "yard", "hall"][usize::from(n) - 1]]) }
}

/// What every order came to: the hold and what it was to hold.
type Orders = Vec<(HoldId, Extent)>;

fn carry_out(steps: &[Step]) -> (Vec<Holds>, Orders) {
    let mut copies = vec![Holds::default(); COPIES];
    let mut orders = Orders::new();
    let mut made = BTreeSet::new();
    for (n, step) in steps.iter().enumerate() {
        let mark = stamp(1000 + n as u128);
        match step {
            Step::Add { on, hold, camera, from, len } => {
                // Ids are drawn by chance: no two are the same.
                if made.insert(*hold) {
                    let extent = extent(cameras(*camera), hours(*from, from + len));
                    orders.push((id(*hold), extent.clone()));
                    copies[*on].add(id(*hold), extent, review(), order("x"), mark);
                }
            }
            Step::Extend { on, hold, camera, to } => {
                let wider =
                    Wider { cameras: Some(cameras(*camera)), to: Some(NOW.offset(to * HOUR)), ..Wider::default() };
                if copies[*on].extend(id(*hold), &wider, order("x"), mark).is_ok() {
                    orders.push((id(*hold), copies[*on].get(id(*hold)).unwrap().extent()));
                }
            }
            Step::Release { on, hold } => drop(copies[*on].release(id(*hold), order("x"), mark)),
            Step::Logged { on } => {
                let first = copies[*on].unlogged().next().map(|(hold, change)| (hold, change.stamp.id));
                if let Some((hold, change)) = first {
                    copies[*on].note_logged(hold, change);
                }
            }
            Step::Sync { from, to } => {
                let theirs = copies[*from].clone();
                copies[*to].merge(theirs);
            }
        }
    }
    (copies, orders)
}

fn merged(a: &Holds, b: &Holds) -> Holds {
    let mut all = a.clone();
    all.merge(b.clone());
    all
}

proptest! {
    #[test]
    fn the_order_of_joining_makes_no_difference(steps in proptest::collection::vec(step(), 0..40)) {
        let (copies, _) = carry_out(&steps);
        let [a, b, c] = &copies[..] else { unreachable!() };
        prop_assert_eq!(merged(a, b), merged(b, a));
        prop_assert_eq!(merged(&merged(a, b), c), merged(a, &merged(b, c)));
        prop_assert_eq!(merged(a, a), a.clone());
        prop_assert_eq!(merged(&merged(a, b), b), merged(a, b));
    }

    #[test]
    fn nothing_that_was_ordered_is_lost(steps in proptest::collection::vec(step(), 0..40)) {
        let (copies, orders) = carry_out(&steps);
        let all = copies.iter().fold(Holds::default(), |all, copy| merged(&all, copy));
        for (hold, extent) in orders {
            let now = all.get(hold).unwrap().extent();
            prop_assert_eq!(now.union(&extent), now, "it holds all that was ordered");
        }
        for hold in all.iter() {
            let known = copies.iter().filter_map(|c| c.get(hold.id()).ok());
            prop_assert!(known.clone().all(|h| h.version() <= hold.version()));
            if known.clone().all(|h| h.released().is_none()) {
                prop_assert!(hold.released().is_none(), "nobody released it");
            }
        }
    }

    #[test]
    fn a_release_wins_over_whatever_it_knew(steps in proptest::collection::vec(step(), 0..40), which in 1_u128..4) {
        let (copies, _) = carry_out(&steps);
        let all = copies.iter().fold(Holds::default(), |all, copy| merged(&all, copy));
        let mut after = all.clone();
        if after.release(id(which), order("closed"), stamp(9000)).is_ok() {
            for older in copies.iter().chain([&all]) {
                let both = merged(older, &after);
                prop_assert!(both.get(id(which)).unwrap().released().is_some());
                prop_assert_eq!(&both, &after);
            }
        }
    }

    #[test]
    fn a_release_does_not_end_what_it_did_not_know(steps in proptest::collection::vec(step(), 0..40), which in 1_u128..4) {
        let (copies, _) = carry_out(&steps);
        let all = copies.iter().fold(Holds::default(), |all, copy| merged(&all, copy));
        let (mut released, mut extended) = (all.clone(), all);
        let wider = Wider { to: Some(NOW.offset(99 * HOUR)), ..Wider::default() };
        if released.release(id(which), order("closed"), stamp(9000)).is_ok() {
            extended.extend(id(which), &wider, order("longer"), stamp(9001)).unwrap();
            prop_assert!(merged(&released, &extended).get(id(which)).unwrap().released().is_none());
        }
    }

    #[test]
    fn a_file_says_what_was_written(steps in proptest::collection::vec(step(), 0..40)) {
        let (copies, _) = carry_out(&steps);
        for holds in copies {
            let content = Content { holds, unseen: [name("v2")].into() };
            let bytes = to_bytes(&content);
            prop_assert_eq!(parse(&bytes), Ok((content.clone(), FORMAT)));
            prop_assert_eq!(to_bytes(&parse(&bytes).unwrap().0), bytes);
        }
    }

    #[test]
    fn no_damage_goes_unseen(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut holds = Holds::default();
        holds.add(id(1), extent(these(&["gate"]), hours(-2, 1)), review(), order("Va chạm"), stamp(1));
        let mut bytes = to_bytes(&Content { holds, ..Content::default() });
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        // A digit more in the version is a file of another version.
        prop_assert!(parse(&bytes).is_err(), "{}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn a_file_of_a_later_version_is_known_for_one() {
    let text = String::from_utf8(to_bytes(&Content::default())).unwrap();
    assert!(text.starts_with("{\n  \"format\": 1,\n  \"min_reader\": 1,\n  \"digest\": \""), "{text}");
    let later = text.replace("\"min_reader\": 1", "\"min_reader\": 2");
    assert_eq!(parse(later.as_bytes()), Err(BadFile::TooNew(2)));
    for torn in [&text[..text.len() / 2], "", "{}", &text.replace("\"holds\": []", "\"holds\":  []")] {
        assert!(matches!(parse(torn.as_bytes()), Err(BadFile::Damaged(_))), "{torn}");
    }
}

#[test]
fn what_is_no_hold_is_refused_though_its_digest_is_right() {
    use crate::types::merkle::Hash;
    use sha2::Digest as _;
    let mut holds = Holds::default();
    holds.add(id(1), extent(these(&["gate"]), hours(-2, 1)), review(), order("Va chạm"), stamp(1));
    let text = String::from_utf8(to_bytes(&Content { holds, ..Content::default() })).unwrap();
    let old: serde_json::Value = serde_json::from_str(&text).unwrap();
    let old = old["digest"].as_str().unwrap().to_owned();
    let forged = |from: &str, to: &str| {
        assert!(text.contains(from), "{text}");
        let blank = text.replace(&old, &"0".repeat(64)).replace(from, to);
        let digest = Hash(sha2::Sha256::digest(&blank).into()).to_string();
        parse(blank.replacen(&"0".repeat(64), &digest, 1).as_bytes())
    };
    assert!(forged("Va chạm", "Va chạm 2").is_ok());
    assert!(forged("\"act\": \"added\"", "\"act\": \"extended\"").is_err(), "nobody made it");
    assert!(forged("Va chạm", " ").is_err(), "no reason");
    let start = format!("\"start\": {}", hours(-2, 1).start.0);
    assert!(forged(&start, &format!("\"start\": {}", hours(2, 3).start.0)).is_err(), "an empty span");
}
