//! An implementation that nobody here wrote reads our tiles, checks our checkpoint, and agrees with our proofs: Cloudflare's
//! `tlog_tiles` and `signed_note`.

use proptest::prelude::*;
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles as theirs;

use super::*;
use crate::types::merkle::Hash;

/// Their way to our folder.
struct Reader<'a>(&'a World);

impl Reader<'_> {
    /// Theirs has the height in its path, as Go's checksum database has; C2SP has not.
    fn read(&self, tile: &theirs::Tile) -> Vec<u8> {
        let path = tile.path().replace("tile/8/data/", "tile/entries/").replace("tile/8/", "tile/");
        self.0.files.read(&self.0.place.public().join(path)).unwrap().expect("a tile")
    }
}

impl theirs::TileReader for Reader<'_> {
    fn height(&self) -> u8 {
        8
    }
    fn read_tiles(&self, tiles: &[theirs::Tile]) -> Result<Vec<Vec<u8>>, theirs::Error> {
        Ok(tiles.iter().map(|tile| self.read(tile)).collect())
    }
    fn save_tiles(&self, _: &[theirs::Tile], _: &[Vec<u8>]) {}
}

fn their(hash: Hash) -> theirs::Hash {
    theirs::Hash(hash.0)
}

/// Their checkpoint, from our signed note, checked with our verifier key.
fn checkpoint(world: &World) -> theirs::Checkpoint {
    let vkey = world.files.read(&world.place.public().join("vkey")).unwrap().unwrap();
    let verifier = StandardVerifier::new(String::from_utf8(vkey).unwrap().trim_end()).unwrap();
    let note = world.files.read(&world.place.public().join("checkpoint")).unwrap().unwrap();
    let note = Note::from_bytes(&note).unwrap();
    let (signed, others) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
    assert_eq!((signed.len(), others.len()), (1, 0));
    theirs::Checkpoint::from_bytes(note.text()).unwrap()
}

fn agree(world: &World, size: u64, others: &[u64]) {
    let (view, reader, head) = (world.view(), Reader(world), checkpoint(world));
    assert_eq!((head.origin(), head.size()), ("custodian/school/a/record", size));
    // Their reader refuses tiles that do not lead to the checkpoint's root.
    let hashes = theirs::TileHashReader::new(size, *head.hash(), &reader);
    assert!(theirs::tree_hash(size, &hashes).unwrap() == *head.hash());
    for n in others.iter().copied().filter(|n| *n < size) {
        let record = view.record(n).unwrap();
        assert_eq!(record.bytes, entry(n));
        let path: Vec<_> = view.prove(n, &world.verifier()).unwrap().path.into_iter().map(their).collect();
        theirs::check_record(&path, size, *head.hash(), n, theirs::record_hash(&record.bytes)).unwrap();
        assert!(theirs::prove_record(size, n, &hashes).unwrap() == path);
        let bundle = reader.read(&theirs::Tile::new(8, 0, n / 256, bundle_width(n, size), true));
        assert!(bundle.windows(record.bytes.len()).any(|w| w == record.bytes));
        if n > 0 {
            let old = their(view.root_at(n).unwrap());
            let proof: Vec<_> = view.prove_consistency(n).unwrap().into_iter().map(their).collect();
            theirs::check_tree(&proof, size, *head.hash(), n, old).unwrap();
            assert!(theirs::prove_tree(size, n, &hashes).unwrap() == proof);
        }
    }
}

fn bundle_width(n: u64, size: u64) -> u32 {
    u32::try_from((size - n / 256 * 256).min(256)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn whatever_the_batches(
        batches in proptest::collection::vec(1u64..400, 1..8),
        others in proptest::collection::vec(0u64..3000, 12),
    ) {
        let world = World::new();
        let mut size = 0;
        for batch in batches {
            // Each time as after a restart.
            world.log().append(&entries(size..size + batch)).unwrap();
            size += batch;
            agree(&world, size, &others);
        }
        prop_assert_eq!(world.flaws(&[]), []);
    }
}

#[test]
fn at_the_edges_of_tiles_and_with_three_levels() {
    for size in [1, 255, 256, 257, 512, 65_536, 65_537, 66_000] {
        agree(&World::with(&entries(0..size)), size, &[0, 1, 255, 256, 65_535, 65_536, size - 1]);
    }
}

#[test]
fn a_log_of_no_entries_has_a_checkpoint_too() {
    let world = World::new();
    world.log();
    let head = checkpoint(&world);
    assert_eq!(head.size(), 0);
    assert!(*head.hash() == theirs::EMPTY_HASH);
}
