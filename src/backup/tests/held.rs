//! Footage that is held: the only copy of it may be the one at the place.

use std::time::Duration;

use super::*;
use crate::{
    store::format::tests::made,
    types::{RunId, SegmentId, Span, StreamId, merkle::Hash},
};

const DAY: Duration = Duration::from_hours(24);

fn keep() -> Keep {
    Keep { days: Some(1), ..Keep::default() }
}

/// The nth segment of a camera, where its copies are.
fn segment(n: u32, bytes: u64, files: Vec<std::path::PathBuf>, root: Option<Hash>) -> Item {
    let footage = FootageLine {
        camera: "gate-1".parse().unwrap(),
        stream: crate::types::StreamKind::Main,
        span: Span { start: EIGHT, end: EIGHT.offset(1_000_000_000) },
        volume: "a1".parse().unwrap(),
    };
    let id = SegmentId { stream: StreamId::from_bytes([1; 16]), run: RunId::from_bytes([2; 16]), seq: n };
    Item::segment(id, bytes, &format!("footage/gate-1/main/2026-11-22/{n}.mp4"), files, footage, root).unwrap()
}

/// One that lies in a file.
fn lies(world: &World, n: u32, bytes: &[u8]) -> Item {
    let file = world.dir.path().join(format!("{n}.mp4"));
    fs::write(&file, bytes).unwrap();
    segment(n, bytes.len() as u64, vec![file], None)
}

/// A whole segment of so many fragments, as restoring wants one.
fn whole(fragments: u32) -> Vec<u8> {
    made(false, 0..fragments).closed()
}

/// What the newest backup has of the nth segment.
fn restored(world: &World, n: u32) -> Option<Vec<u8>> {
    let into = tempfile::tempdir_in(world.dir.path()).unwrap();
    let report = world.restore(&into.path().join("a1"), None);
    assert_eq!(report.failed, Vec::<String>::new());
    fs::read(into.path().join(format!("a1/footage/gate-1/main/2026-11-22/{n}.mp4"))).ok()
}

#[test]
fn what_is_held_stays_in_the_backups_though_nothing_here_knows_it_any_more() {
    let mut world = World::new();
    world.held = true;
    world.back_up(&[lies(&world, 0, &whole(3))], keep()).unwrap();
    for _ in 0..2 {
        world.clock.advance(3 * DAY);
        let done = world.back_up(&[item("a", b"a")], keep()).unwrap();
        assert_eq!((done.sealed.files, done.sealed.missing, done.expired.backups.len()), (2, 0, 1), "{done:?}");
        assert_eq!(done.contents.len(), 2);
    }
    assert!(restored(&world, 0) == Some(whole(3)));
    assert_eq!(world.verify().damaged, []);
    // The hold ends.
    world.held = false;
    world.clock.advance(3 * DAY);
    let done = world.back_up(&[item("a", b"a")], keep()).unwrap();
    assert_eq!((done.sealed.files, done.expired.objects), (1, 1));
}

#[test]
fn of_a_segment_that_was_cut_here_the_longer_copy_stays() {
    let mut world = World::new();
    world.held = true;
    world.back_up(&[lies(&world, 0, &whole(3))], keep()).unwrap();
    world.clock.advance(3 * DAY);
    let done = world.back_up(&[lies(&world, 0, &whole(2))], keep()).unwrap();
    assert_eq!((done.sealed.files, done.sealed.new_objects, done.expired.backups.len()), (1, 0, 1));
    assert!(restored(&world, 0) == Some(whole(3)));
}

#[test]
fn what_is_left_of_a_held_segment_stays_and_is_told() {
    let mut world = World::new();
    world.held = true;
    let (first, second) = (lies(&world, 0, b"first"), lies(&world, 1, b"second"));
    world.back_up(&[first.clone(), second], keep()).unwrap();
    // Of both something is damaged; one can be read here still.
    for copy in world.catalogue().copies().unwrap() {
        world.catalogue().spoil(&copy).unwrap();
    }
    world.clock.advance(3 * DAY);
    let done = world.back_up(std::slice::from_ref(&first), keep()).unwrap();
    assert_eq!((done.sealed.files, done.sealed.new_objects, done.missing.len()), (2, 1, 1), "{done:?}");
    assert!(
        done.missing[0].contains("/1.mp4: its 6 bytes cannot be read here any more; those at the place are damaged")
    );
    assert_eq!(done.expired.kept.as_deref(), Some("this backup is not complete"));
    // A key that is gone with the old recipients is no better.
    let (identity, recipient) = Identity::generate();
    world.sealer = Sealer::new(vec![recipient]).unwrap();
    world.before = done.missing;
    let done = world.back_up(&[], keep()).unwrap();
    assert_eq!((done.sealed.files, done.sealed.new_objects, done.missing.len()), (3, 0, 2), "{done:?}");
    assert!(done.missing.iter().any(|m| m.contains("/0.mp4: ") && m.ends_with("are encrypted to earlier recipients")));
    let found = verify(world.place(), &[done.sealed.id], Some(&identity), &mut |_| ()).unwrap();
    let told = |d: &Damage| d.file.is_some() && d.what.contains("cannot be decrypted with this key");
    assert!(found.damaged.len() == 3 && found.damaged.iter().all(told), "{found:?}");
}

/// Else one segment that nobody can read any more fills the place.
#[test]
fn what_was_missing_the_last_time_too_keeps_no_old_backup() {
    let mut world = World::new();
    world.held = true;
    let lost = segment(7, 5, vec!["/nonexistent".into()], None);
    let mut export = item("lost", b"x");
    export.from = Source::Files(vec!["/nonexistent".into()]);
    for (again, items) in [(false, vec![lost.clone()]), (true, vec![lost.clone()]), (false, vec![lost, export])] {
        let done = world.back_up(&items, keep()).unwrap();
        assert_eq!(done.missing.len(), items.len());
        assert_eq!(done.expired.kept.is_none(), again, "{done:?}");
        world.before = done.missing;
        world.clock.advance(3 * DAY);
    }
    // Other things have other contents each time: an old backup may have what is missing now.
    let mut export = item("lost", b"x");
    export.from = Source::Files(vec!["/nonexistent".into()]);
    assert!(world.back_up(&[export], keep()).unwrap().expired.kept.is_some());
}

#[test]
fn where_the_first_copy_cannot_be_read_the_second_is_taken() {
    let world = World::new();
    // A folder opens and has a length, and does not give a byte.
    let bad = world.dir.path().join("bad");
    fs::create_dir(&bad).unwrap();
    fs::write(bad.join("x"), "x").unwrap();
    let bytes = vec![7; usize::try_from(fs::metadata(&bad).unwrap().len()).unwrap()];
    assert!(!bytes.is_empty());
    let good = world.dir.path().join("good");
    fs::write(&good, &bytes).unwrap();
    let item = segment(0, bytes.len() as u64, vec![bad, good], None);
    let done = world.back_up(std::slice::from_ref(&item), Keep::default()).unwrap();
    assert_eq!((done.sealed.files, done.missing), (1, Vec::new()));
    let copy = world.catalogue().find(&item.key, world.sealer.digest()).unwrap().unwrap();
    assert_eq!(copy.sha256, Some(super::crypt::digest(&bytes)));
}

#[test]
fn a_copy_that_is_what_was_recorded_goes_before_one_that_is_not() {
    let world = World::new();
    let made = made(true, 0..3);
    let bytes = made.closed();
    let mut flipped = bytes.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let (bad, good) = (world.dir.path().join("bad"), world.dir.path().join("good"));
    fs::write(&bad, &flipped).unwrap();
    fs::write(&good, &bytes).unwrap();
    let root = Some(made.close.root());
    let both = segment(0, bytes.len() as u64, vec![bad.clone(), good.clone()], root);
    let done = world.back_up(&[both], Keep::default()).unwrap();
    assert_eq!((done.sealed.files, done.missing), (1, Vec::new()));
    assert!(restored(&world, 0) == Some(bytes.clone()));
    // What there is is backed up all the same, and said.
    world.clock.advance(DAY);
    for new in [1, 0] {
        let one = segment(1, bytes.len() as u64, vec![bad.clone()], root);
        let done = world.back_up(&[one], Keep::default()).unwrap();
        assert_eq!((done.sealed.files, done.sealed.new_objects, done.missing.len()), (1, new, 1));
        assert!(done.missing[0].contains("it is backed up as it is here, but"), "{:?}", done.missing);
        assert!(restored(&world, 1) == Some(flipped.clone()));
        world.clock.advance(DAY);
    }
    // Once there is a better one that is brought.
    let done = world.back_up(&[segment(1, bytes.len() as u64, vec![bad, good], root)], Keep::default()).unwrap();
    assert_eq!((done.sealed.files, done.missing), (1, Vec::new()));
    assert!(restored(&world, 1) == Some(bytes));
}
