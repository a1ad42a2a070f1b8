//! Mutated segments: the body of the fuzz target `segment`, on random changes of real files.

use std::sync::LazyLock;

use custodian::{
    store::format::{FormatError, read},
    types::Codec,
};
use proptest::{collection::vec, prelude::*, sample::Index};

use super::clip::{Spec, clip, write};

#[path = "../../fuzz/bodies/segment.rs"]
mod body;

/// A closed file of one second and an open one, both with sound.
static FILES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let c = clip(dir.path(), &Spec { video: Codec::H264, audio: Some(Codec::Pcmu) });
    [write(&c.fragments[..4], 0, true), write(&c.fragments[..4], 0, false)]
});

#[derive(Debug, Clone)]
enum Change {
    Flip(Index, u8),
    /// A big-endian number somewhere, where sizes and counts stand.
    Number(Index, u32),
    Cut(Index),
    Zero(Index, usize),
    /// Bytes of one place over another place's.
    Copy(Index, Index, usize),
    /// Bytes taken out.
    Drop(Index, usize),
    /// Bytes of one place put in at another.
    Insert(Index, Index, usize),
    Append(Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    let edge = prop_oneof![Just(0), Just(1), Just(7), Just(8), Just(u32::MAX), Just(0x7fff_ffff), any::<u32>()];
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(i, b)| Change::Flip(i, b)),
        4 => (at(), edge).prop_map(|(i, n)| Change::Number(i, n)),
        2 => at().prop_map(Change::Cut),
        1 => (at(), 1..5000_usize).prop_map(|(i, n)| Change::Zero(i, n)),
        2 => (at(), at(), 1..3000_usize).prop_map(|(i, j, n)| Change::Copy(i, j, n)),
        1 => (at(), 1..3000_usize).prop_map(|(i, n)| Change::Drop(i, n)),
        1 => (at(), at(), 1..3000_usize).prop_map(|(i, j, n)| Change::Insert(i, j, n)),
        1 => vec(any::<u8>(), 1..100).prop_map(Change::Append),
    ]
}

/// Where boxes begin in the files as made.
static BOXES: LazyLock<Vec<usize>> = LazyLock::new(|| {
    let kinds: [&[u8]; 12] =
        [b"ftyp", b"moov", b"uuid", b"prft", b"moof", b"traf", b"trun", b"tfhd", b"tfdt", b"mdat", b"mfra", b"mfro"];
    let windows = FILES[0].windows(4).enumerate();
    windows.filter(|(_, w)| kinds.contains(w)).map(|(at, _)| at.saturating_sub(4)).collect()
});

/// Places among the boxes are hit as often as those in coded data, of which there is much more.
fn place(file: &[u8], index: Index) -> usize {
    if index.index(2) == 0 {
        return index.index(file.len());
    }
    let near = *index.get(&BOXES);
    (near + index.index(120)).min(file.len() - 1)
}

fn apply(file: &mut Vec<u8>, change: Change) {
    if file.is_empty() {
        return;
    }
    let upto = |file: &[u8], from: usize, n: usize| from..(from + n).min(file.len());
    match change {
        Change::Flip(i, b) => {
            let at = place(file, i);
            file[at] ^= b;
        }
        Change::Number(i, n) => {
            let range = place(file, i);
            let range = upto(file, range, 4);
            let len = range.len();
            file[range].copy_from_slice(&n.to_be_bytes()[..len]);
        }
        Change::Cut(i) => file.truncate(place(file, i)),
        Change::Zero(i, n) => {
            let range = upto(file, place(file, i), n);
            file[range].fill(0);
        }
        Change::Copy(i, j, n) => {
            let from = upto(file, place(file, i), n);
            let to = place(file, j).min(file.len() - from.len());
            file.copy_within(from, to);
        }
        Change::Drop(i, n) => {
            let range = upto(file, place(file, i), n);
            file.drain(range);
        }
        Change::Insert(i, j, n) => {
            let piece = file[upto(file, place(file, i), n)].to_vec();
            let to = place(file, j);
            file.splice(to..to, piece);
        }
        Change::Append(bytes) => file.extend(bytes),
    }
}

/// How reading a file ends.
fn outcome(data: &[u8]) -> &'static str {
    match read(data, data.len() as u64) {
        Ok(found) if found.closed.is_some() => "closed",
        Ok(_) => "open",
        Err(FormatError::Io(_)) => "unreadable",
        Err(FormatError::Foreign(_)) => "foreign",
        Err(FormatError::NoHead) => "no head",
        Err(FormatError::DamagedHead(_)) => "damaged head",
        Err(FormatError::TooNew { .. }) => "too new",
        Err(FormatError::Fragment { .. }) => "damaged fragment",
    }
}

#[test]
fn mutated_files_are_read_or_refused_in_good_order() {
    // One runner, so that a failure is shrunk; the cases are many, as each is small.
    let mut outcomes = std::collections::BTreeMap::new();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: ProptestConfig::default().cases.max(1500), // PROPTEST_CASES for more
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let seen = std::cell::RefCell::new(&mut outcomes);
    runner
        .run(&(0..2_usize, vec(change(), 1..5)), |(which, changes)| {
            let mut file = FILES[which].clone();
            changes.into_iter().for_each(|c| apply(&mut file, c));
            body::exercise(&file);
            *seen.borrow_mut().entry(outcome(&file)).or_insert(0) += 1;
            Ok(())
        })
        .unwrap();
    for expected in ["closed", "open", "damaged head", "no head", "foreign"] {
        assert!(outcomes.contains_key(expected), "no case ended as {expected}: {outcomes:?}");
    }
}

#[test]
fn arbitrary_bytes_are_refused() {
    proptest!(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() },
        |(bytes in vec(any::<u8>(), 0..300))| body::exercise(&bytes));
}
