//! The power fails before, in and after every change that the log makes to its files. Whatever a reader may have seen of it is
//! continued.

use super::*;
use crate::sys::Cut;

/// Over the end of a bundle, several bundles, single entries, and up to just the end of one.
const BATCHES: [u64; 5] = [3, 254, 300, 211, 1];

/// Appends the batches. Returns how many entries were acknowledged.
fn work(world: &World, batches: &[u64], tag: u64) -> u64 {
    let mut sure = 0;
    let Ok(mut log) = world.open() else { return sure };
    for batch in batches {
        sure = log.size();
        let from = log.size() + tag;
        match log.append(&entries(from..from + batch)) {
            Ok(range) => assert_eq!(range, sure..sure + batch),
            Err(_) => return sure,
        }
    }
    log.size()
}

/// All checkpoints that a reader could ever have read.
fn seen(world: &World) -> Vec<Checkpoint> {
    let signer = Signer::new(&world.place.origin, &SEED).unwrap();
    let notes = world.files.versions().into_iter().map(|note| String::from_utf8(note).unwrap());
    notes.map(|note| Checkpoint::verify(&note, signer.verifier()).unwrap()).collect()
}

fn watched() -> World {
    let world = World::new();
    world.files.watch(&world.place.public().join("checkpoint"));
    world
}

#[test]
fn no_cut_forks_the_log() {
    let (mut cuts, mut torn) = (0, 0);
    for (how, lost) in
        [(Cut::Before, true), (Cut::Seen, true), (Cut::Seen, false), (Cut::After, true), (Cut::After, false)]
    {
        for n in 0.. {
            let world = watched();
            world.files.cut_at(n, how);
            let sure = work(&world, &BATCHES, 0);
            if !world.files.is_off() {
                break;
            }
            cuts += 1;
            world.files.power_on(lost);
            // Opening can be cut short as well, at a place that wanders with the first one.
            world.files.cut_at(n % 5, how);
            let _ = world.open();
            world.files.power_on(!lost);
            let log = world.log();
            assert!(log.size() >= sure, "{sure} entries were promised, {} are there", log.size());
            torn += usize::from(log.size() > sure);
            drop(log);
            // It goes on with entries that are not those that were cut short.
            assert!(work(&world, &[1, 100], 10_000) > sure);
            let seen = seen(&world);
            assert_eq!(world.flaws(&seen), [], "{how:?} at change {n}");
        }
    }
    assert!(cuts > 400, "{cuts} cuts");
    assert!(torn > 0, "some came through without an answer");
}

/// While it lives, a log that has failed goes on only with what it may have shown already.
#[test]
fn after_a_failure_the_same_is_said_again_or_nothing() {
    for (n, how) in (0..60).flat_map(|n| [(n, Cut::Before), (n, Cut::Seen), (n, Cut::After)]) {
        let world = watched();
        let mut log = world.log();
        log.append(&entries(0..200)).unwrap();
        world.files.cut_at(n, how);
        if log.append(&entries(200..400)).is_ok() {
            assert!(n > 10, "there is something to be cut short");
            return;
        }
        world.files.power_on(false);
        let shown = seen(&world).last().unwrap().size();
        let other = log.append(&entries(900..901));
        if shown == 400 {
            assert!(matches!(other, Err(LedgerError::Fork)), "{how:?} at {n}");
        }
        if matches!(other, Err(LedgerError::Fork)) {
            assert_eq!(log.append(&entries(200..402)).unwrap(), 200..402, "the same and more");
        }
        assert_eq!(world.flaws(&seen(&world)), []);
    }
}

#[test]
fn partial_tiles_are_removed_when_nobody_needs_them() {
    let world = World::new();
    let mut log = world.log();
    for n in 0..700 {
        log.append(&entries(n..n + 1)).unwrap();
    }
    let folders: std::collections::BTreeSet<PathBuf> = (world.files.all(&world.place.public()).into_iter())
        .map(|(path, _)| path.parent().unwrap().strip_prefix("/state/ledger/public").unwrap().to_owned())
        .filter(|parent| parent.extension().is_some())
        .collect();
    let expected = ["tile/0/001.p", "tile/0/002.p", "tile/1/000.p", "tile/entries/001.p", "tile/entries/002.p"];
    assert_eq!(folders, expected.map(PathBuf::from).into());
    // A reader with an old checkpoint reads on from full tiles.
    assert_eq!(world.flaws(&[]), []);
}
