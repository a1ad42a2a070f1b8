//! Somebody changes the log. First clumsily; then with the key and all the skill there is, against a checkpoint that was kept.

use super::*;

/// A log made anew with the same key: everything in it fits together.
fn forged(entries: &[Vec<u8>]) -> World {
    let world = World::with(entries);
    assert_eq!(world.flaws(&[]), [], "nothing is wrong with it by itself");
    world
}

#[test]
fn a_kept_checkpoint_shows_what_was_removed_changed_or_moved() {
    let honest = World::with(&entries(0..700));
    let kept = honest.checkpoint();
    honest.log().append(&entries(700..1000)).unwrap();
    assert_eq!(honest.flaws(std::slice::from_ref(&kept)), []);
    let all = entries(0..1000);
    for at in [0, 1, 255, 256, 511, 698] {
        let mut removed = all.clone();
        removed.remove(at);
        let mut changed = all.clone();
        changed[at] = entry(5000);
        let mut moved = all.clone();
        moved.swap(at, at + 1);
        for (how, entries) in [("removed", removed), ("changed", changed), ("moved", moved)] {
            assert_eq!(
                forged(&entries).flaws(std::slice::from_ref(&kept)),
                [Flaw::Rewritten { kept: 700 }],
                "{how} {at}"
            );
        }
    }
    // What came after it, it does not vouch for; the next one does.
    let mut later = all;
    later[700] = entry(5000);
    assert_eq!(forged(&later).flaws(std::slice::from_ref(&kept)), []);
    assert_eq!(forged(&later).flaws(&[kept, honest.checkpoint()]), [Flaw::Rewritten { kept: 1000 }]);
}

#[test]
fn a_kept_checkpoint_shows_that_all_of_it_was_rolled_back() {
    let world = World::with(&entries(0..300));
    let yesterday = World::on(world.files.copy());
    world.log().append(&entries(300..400)).unwrap();
    let kept = world.checkpoint();
    assert_eq!(yesterday.flaws(std::slice::from_ref(&kept)), [Flaw::Shorter { kept: 400, size: 300 }]);
    // And gone on with since.
    yesterday.log().append(&entries(800..950)).unwrap();
    assert_eq!(yesterday.flaws(&[kept]), [Flaw::Rewritten { kept: 400 }]);
}

#[test]
fn a_kept_checkpoint_and_the_tiles_are_enough() {
    let world = World::with(&entries(0..300));
    let (kept, verifier) = (world.checkpoint(), world.verifier());
    world.log().append(&entries(300..700)).unwrap();
    let tiles = world.files.copy();
    for name in ["checkpoint", "vkey"] {
        tiles.remove(&world.place.public().join(name)).unwrap();
    }
    let kept = Checkpoint::verify(kept.note(), &verifier).unwrap();
    let view = View::at_kept(Arc::new(tiles), world.place.public(), kept);
    let found = verify(&view, &[], &mut |_| ());
    assert_eq!((found.entries, found.flaws), (300, Vec::new()));
}

#[test]
fn clumsy_changes_are_named() {
    let spoilt = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let world = World::with(&entries(0..700));
        let path = world.place.public().join(name);
        let mut bytes = world.files.read(&path).unwrap().unwrap();
        change(&mut bytes);
        world.files.write(&path, &bytes, 0, None).unwrap();
        world.flaws(&[])
    };
    let tile = |name: &str| Flaw::Tile { path: PathBuf::from("/state/ledger/public").join(name) };
    // One letter of one entry, in a way that it is an entry still.
    let letter = |bytes: &mut Vec<u8>| {
        let at = bytes.windows(6).position(|w| w == b"test 3").unwrap() + 5;
        bytes[at] = b'9';
    };
    assert_eq!(spoilt("tile/entries/001", &letter)[0], Flaw::Entry { n: 300 });
    // The hash is changed with it: then the tile above does not fit.
    let flaws = spoilt("tile/0/001", &|bytes| bytes[44 * 32] ^= 1);
    assert_eq!(flaws, [Flaw::Entry { n: 300 }]);
    assert_eq!(spoilt("tile/1/000.p/2", &|bytes| bytes[0] ^= 1), [tile("tile/1/000.p/2")]);
    assert_eq!(spoilt("tile/0/002.p/188", &|bytes| bytes.truncate(32)), [tile("tile/0/002.p/188")]);
    for cut in ["tile/entries/000", "tile/entries/002.p/188"] {
        let flaws = spoilt(cut, &|bytes| bytes.truncate(1000));
        assert!(matches!(&flaws[..], [Flaw::Unreadable { path, .. }] if path.ends_with(cut)), "{flaws:?}");
    }
    let nonsense = World::with(&[entry(0), b"{}".to_vec()]);
    assert!(matches!(&nonsense.flaws(&[])[..], [Flaw::Nonsense { n: 1, .. }]));
    let later = br#"{"format":2,"min_reader":1,"at":0,"recorder":"a","kind":"novel"}"#;
    let later = World::with(&[entry(0), later.to_vec()]);
    assert_eq!(verify(&later.view(), &[], &mut |_| ()).unknown, 1);
    assert_eq!(later.flaws(&[]), []);
}

#[test]
fn a_proof_convinces_who_has_only_it_and_the_key() {
    let world = World::with(&entries(0..700));
    let (view, verifier) = (world.view(), world.verifier());
    for n in [0, 255, 256, 699] {
        let proof = view.prove(n, &verifier).unwrap();
        let text = serde_json::to_string(&proof).unwrap();
        let proof: Inclusion = serde_json::from_str(&text).unwrap();
        assert_eq!(proof.check(&verifier).unwrap(), Some(world.checkpoint()));
        let lies: [&dyn Fn(&mut Inclusion); 4] = [
            &|p| p.n = (p.n + 1) % 700,
            &|p| p.entry = String::from_utf8(entry(5000)).unwrap(),
            &|p| p.path.swap(0, 1),
            &|p| p.path.truncate(p.path.len() - 1),
        ];
        for lie in lies {
            let mut lying = proof.clone();
            lie(&mut lying);
            assert_eq!(lying.check(&verifier).unwrap(), None);
        }
        let other = Signer::new(verifier.name(), &[1; 32]).unwrap();
        assert!(proof.check(other.verifier()).is_err());
    }
    assert!(matches!(view.prove(700, &verifier), Err(LedgerError::NoEntry { n: 700, size: 700 })));
    for old in [0, 1, 300, 512, 700] {
        let (root, proof) = (view.root_at(old).unwrap(), view.prove_consistency(old).unwrap());
        assert!(is_consistent((old, root), (700, view.head().root()), &proof));
    }
    assert!(view.prove_consistency(701).is_err() && view.root_at(701).is_err());
}

#[test]
fn entries_are_read_by_range() {
    let world = World::with(&entries(0..700));
    let view = world.view();
    let numbers = |range| view.records(range).map(|r| r.unwrap()).map(|r| (r.n, r.bytes)).collect::<Vec<_>>();
    let expected = |range: std::ops::Range<u64>| range.map(|n| (n, entry(n))).collect::<Vec<_>>();
    for range in [0..700, 0..0, 255..257, 699..700, 511..512] {
        assert_eq!(numbers(range.clone()), expected(range));
    }
    assert_eq!(numbers(690..9000), expected(690..700));
    assert!(numbers(800..900).is_empty());
}
