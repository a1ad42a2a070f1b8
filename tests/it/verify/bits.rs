//! Any single change of a file with B-frames and sound, wherever it is.

use std::sync::LazyLock;

use custodian::{
    store::{
        format,
        verify::{Flaw, Kind, Wanted, examine},
    },
    types::Span,
};
use proptest::{prelude::*, sample::Index};

use super::*;

/// A closed file of 4 s in two fragments, and its row.
static FILE: LazyLock<(Vec<u8>, SegmentRow)> = LazyLock::new(|| {
    let media = pictures();
    let mut archive = Archive::new();
    let row = archive.record(footage::run(1, "gate-1", &media, EIGHT, None), &media, 2).remove(1);
    (std::fs::read(archive.root().join(&row.path)).unwrap(), row)
});

fn flaws(bytes: &[u8]) -> Vec<Flaw> {
    examine(bytes, bytes.len() as u64, &Wanted::by_index(&FILE.1, None))
}

/// Corrected spans and places of the fragments.
fn fragments() -> Vec<(std::ops::Range<u64>, Span)> {
    let file = format::read(&FILE.0, FILE.0.len() as u64).unwrap();
    file.fragments.iter().map(|e| (e.offset..e.end(), e.corrected(&file.head.run))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_flipped_bit_is_found_in_its_own_second(at in any::<Index>(), bit in 0..8_u8) {
        let mut bytes = FILE.0.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let found = flaws(&bytes);
        prop_assert_eq!(found.len(), 1, "{:?}", found);
        if let Some((_, span)) = fragments().into_iter().find(|(place, _)| place.contains(&(at as u64))) {
            prop_assert!(matches!(found[0].kind, Kind::Fragment(_)), "{:?}", found);
            prop_assert_eq!(found[0].span, span);
        }
    }

    /// Bytes taken out, put in, or written over: found, and nothing that lies outside of what was touched is called damaged for long.
    #[test]
    fn any_change_is_found(at in any::<Index>(), out in 0..3000_usize, put in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = FILE.0.clone();
        let at = at.index(bytes.len());
        let end = (at + out).min(bytes.len());
        prop_assume!(bytes[at..end] != put[..]);
        bytes.splice(at..end, put);
        let found = flaws(&bytes);
        prop_assert!(!found.is_empty());
        for flaw in found {
            prop_assert!(flaw.span.start >= FILE.1.span.start && flaw.span.end <= FILE.1.span.end);
        }
    }
}
