//! What is over goes, and nothing else does.

use std::{collections::BTreeSet, time::Duration};

use proptest::prelude::*;

use super::*;

const DAY: Duration = Duration::from_hours(24);

fn keep(days: u32) -> Keep {
    Keep { days: Some(days), ..Keep::default() }
}

#[test]
fn what_a_later_backup_needs_stays() {
    let world = World::new();
    let (a, b, c) = (item("a", b"a"), item("b", b"b"), item("c", b"c"));
    let first = world.back_up(&[a.clone(), b.clone()], keep(2)).unwrap().sealed.id;
    world.clock.advance(DAY);
    let second = world.back_up(&[b.clone(), c.clone()], keep(2)).unwrap().sealed.id;
    assert_eq!(backups(world.place()).unwrap(), [first.clone(), second.clone()]);
    world.clock.advance(DAY + Duration::from_secs(1));
    let done = world.back_up(&[b.clone(), c.clone()], keep(2)).unwrap();
    assert_eq!((done.expired.backups, done.expired.objects), (vec![first], 1), "a alone is needed by nobody");
    assert_eq!(world.objects().len(), 2);
    assert_eq!(world.verify().damaged, []);
    let into = world.dir.path().join("back");
    world.restore(&into, Some(second));
    is_restored(&into, &b);
    is_restored(&into, &c);
    // What went is brought again when it is wanted again.
    let done = world.back_up(&[a], keep(2)).unwrap();
    assert_eq!(done.sealed.new_objects, 1);
}

#[test]
fn without_an_end_everything_stays() {
    let world = World::new();
    world.back_up(&[item("a", b"a")], Keep::default()).unwrap();
    world.clock.advance(4000 * DAY);
    let done = world.back_up(&[item("b", b"b")], Keep::default()).unwrap();
    assert_eq!(done.expired, Expired::default());
    assert_eq!((backups(world.place()).unwrap().len(), world.objects().len()), (2, 2));
}

#[test]
fn any_doubt_keeps_everything() {
    let due = || {
        let world = World::new();
        let id = world.back_up(&[item("a", b"a")], keep(1)).unwrap().sealed.id;
        world.clock.advance(3 * DAY);
        (world, id)
    };
    let kept = |world: &World, keep: Keep| {
        let done = world.back_up(&[item("b", b"b")], keep).unwrap();
        assert_eq!((&done.expired.backups, done.expired.objects), (&Vec::new(), 0));
        assert!(world.place.removed.borrow().is_empty());
        done.expired.kept.unwrap()
    };
    let (world, _) = due();
    let doubt = "the clock is not synchronised".to_owned();
    assert_eq!(kept(&world, Keep { doubt: Some(doubt.clone()), ..keep(1) }), doubt);

    let (world, id) = due();
    fs::write(world.root().join(id.record()), "{").unwrap();
    assert!(kept(&world, keep(1)).contains("is damaged"));

    // A backup from a time that has not come: then or now the clock was wrong.
    let (world, _) = due();
    world.clock.advance(1000 * DAY);
    world.back_up(&[item("b", b"b")], Keep::default()).unwrap();
    world.clock.step(-i64::try_from((1000 * DAY).as_nanos()).unwrap());
    assert!(kept(&world, keep(1)).contains("either clock may have been wrong"));

    // The clock is a year ahead, and nobody says that it is right.
    let (world, _) = due();
    world.clock.advance(365 * DAY);
    assert!(kept(&world, keep(1)).contains("more than 7 days after the last backup"));
    let done = world.back_up(&[item("b", b"b")], Keep { synchronised: true, ..keep(1) }).unwrap();
    assert_eq!(done.expired.backups.len(), 1, "unless a time service does");

    // The list of one that stays cannot be read: what it needs is not known.
    let (world, _) = due();
    let id = world.back_up(&[item("b", b"b")], Keep::default()).unwrap().sealed.id;
    fs::write(world.root().join(id.list()), "nonsense").unwrap();
    assert!(kept(&world, keep(1)).contains("is not the list"));
}

#[test]
fn strangers_files_at_the_place_stay() {
    let world = World::new();
    world.back_up(&[item("a", b"a")], keep(1)).unwrap();
    let strange = ["objects/holiday.jpg", "objects/00/00000000000000000000000000000000-0.age", "backups/readme.txt"];
    for name in strange {
        let path = world.root().join(name);
        let _ = fs::create_dir(path.parent().unwrap());
        fs::write(path, "x").unwrap();
    }
    world.clock.advance(3 * DAY);
    assert_eq!(world.back_up(&[item("b", b"b")], keep(1)).unwrap().expired.objects, 1);
    strange.iter().for_each(|name| assert!(world.root().join(name).exists(), "{name}"));
}

/// Cut while old backups go: what stays is whole, and the next time the rest goes.
#[test]
fn removal_can_be_cut_anywhere() {
    let items: Vec<Item> = ["a", "b", "c"].iter().map(|n| item(n, n.as_bytes())).collect();
    for cut in 0.. {
        assert!(cut < 500, "it ends at some time");
        let world = World::new();
        world.back_up(&items, keep(1)).unwrap();
        world.clock.advance(3 * DAY);
        world.place.left.set(Some(cut));
        let whole = world.back_up(&items[..1], keep(1)).is_ok_and(|done| done.expired.kept.is_none());
        world.place.left.set(None);
        assert_eq!(world.verify().damaged, [], "cut {cut}");
        world.clock.advance(DAY / 2);
        world.back_up(&items[..2], keep(1)).unwrap();
        assert_eq!(world.verify().damaged, [], "cut {cut}");
        assert_eq!(world.objects().len(), 2, "cut {cut}");
        if whole {
            assert!(world.place.removed.borrow().len() >= 5 && cut > 30, "{cut} verbs were cut");
            break;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// Whatever a school backs up over the weeks, each backup that is not over is whole, and nothing else takes room.
    #[test]
    fn every_backup_that_stays_is_whole(
        days in 1..4_u32,
        weeks in prop::collection::vec((prop::collection::btree_set(0..6_u8, 0..5), 1..40_u64, 0..60_u32), 1..7),
    ) {
        let world = World::new();
        let mut made: Vec<(BackupId, WallNs, BTreeSet<u8>)> = Vec::new();
        for (wanted, hours, cut) in weeks {
            let items: Vec<Item> = wanted.iter().map(|n| item(&n.to_string(), &[*n; 3])).collect();
            let now = world.clock.wall();
            world.place.left.set((cut < 45).then_some(cut));
            let done = world.back_up(&items, keep(days));
            world.place.left.set(None);
            let there = backups(world.place()).unwrap();
            let whole = done.as_ref().is_ok_and(|done| done.expired.kept.is_none());
            match &done {
                Ok(done) => made.push((done.sealed.id.clone(), now, wanted)),
                // It may have been complete when it was cut.
                Err(_) => made.extend(there.iter().filter(|id| made.iter().all(|(m, ..)| m != *id)).map(|id| (id.clone(), now, wanted.clone())).collect::<Vec<_>>()),
            }
            for (id, at, wanted) in &made {
                let over = *at < now - DAY * days;
                prop_assert!(over || there.contains(id), "{id} is gone too early");
                prop_assert!(!over || !whole || !there.contains(id), "{id} is over");
                if there.contains(id) {
                    let verified = verify(world.place(), std::slice::from_ref(id), Some(&world.identity), &mut |_| ()).unwrap();
                    prop_assert_eq!((&verified.damaged, verified.files), (&Vec::new(), wanted.len() as u64));
                }
            }
            if whole {
                let needed: BTreeSet<u8> = made.iter().filter(|(id, ..)| there.contains(id)).flat_map(|(.., w)| w.clone()).collect();
                prop_assert_eq!(world.objects().len(), needed.len());
            }
            world.clock.advance(Duration::from_hours(hours));
        }
    }
}

#[test]
fn a_backup_that_is_damaged_goes_when_it_is_over_like_any_other() {
    let world = World::new();
    let item = item("a", b"a");
    world.back_up(std::slice::from_ref(&item), keep(1)).unwrap();
    let copy = world.catalogue().copies().unwrap().remove(0);
    world.catalogue().spoil(&copy).unwrap();
    world.clock.advance(2 * DAY);
    let done = world.back_up(&[item], keep(1)).unwrap();
    assert_eq!((done.sealed.new_objects, done.expired.kept), (1, None));
    assert_eq!((done.expired.backups.len(), done.expired.objects), (1, 1));
    assert_eq!(world.catalogue().by_id(copy.id).unwrap(), None, "it is forgotten with its objects");
}

#[test]
fn what_a_new_catalogue_does_not_know_stays_until_a_person_has_looked() {
    let world = World::new();
    let keep = || Keep { days: Some(1), synchronised: true, ..Keep::default() };
    world.back_up(&[item("a", b"a")], keep()).unwrap();
    // With the system disk.
    fs::remove_file(world.dir.path().join("catalogue.db")).unwrap();
    world.clock.advance(Duration::from_hours(100));
    let done = world.back_up(&[item("b", b"b")], keep()).unwrap();
    assert!(done.expired.kept.unwrap().contains("does not know"));
    assert_eq!((done.expired.backups.len(), backups(world.place()).unwrap().len()), (0, 2));
    // What it has made itself goes as ever, once the old ones were removed by hand.
    let old = backups(world.place()).unwrap().remove(0);
    for name in [old.record(), old.list(), old.manifest()] {
        fs::remove_file(world.root().join(name)).unwrap();
    }
    world.clock.advance(Duration::from_hours(100));
    let done = world.back_up(&[item("c", b"c")], keep()).unwrap();
    assert_eq!((done.expired.kept, done.expired.backups.len()), (None, 1));
}
