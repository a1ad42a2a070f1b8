//! Every bit of a file is covered, and what is found has the right place.

#![expect(clippy::cast_possible_truncation, reason = "made-up files are small")]

use std::io;

use super::*;
use crate::{
    ledger::What,
    store::{
        format::{
            self, CloseBuilder, FragmentEntry, ReadAt,
            tests::{Made, made},
        },
        index::{SegmentRow, SegmentState},
    },
    types::merkle::Hash,
};

/// A file, and what the index says of it.
struct Case {
    bytes: Vec<u8>,
    entries: Vec<FragmentEntry>,
    row: SegmentRow,
    vouched: Vouched,
}

impl Case {
    fn of(m: &Made, bytes: Vec<u8>, state: SegmentState) -> Self {
        let entries = m.close.entries().to_vec();
        let run = &m.run;
        let by = |t: WallNs| t.offset(run.clock_correction);
        let span = Span { start: by(entries[0].span.start), end: by(entries[entries.len() - 1].span.end) };
        let frames = entries.iter().map(|e| u64::from(e.video_samples)).sum();
        let lost_packets = entries.iter().map(|e| u64::from(e.lost_packets)).sum();
        let root = m.close.root();
        let row = SegmentRow {
            id: SegmentId { stream: run.stream.id, run: run.id, seq: 3 },
            volume: "a1".parse().unwrap(),
            path: "footage/x.mp4".into(),
            span,
            raw_start: entries[0].span.start,
            clock_correction: run.clock_correction,
            bytes: bytes.len() as u64,
            frames,
            lost_packets,
            state,
            holes: Vec::new(),
            root: Some(root).filter(|_| state != SegmentState::Open),
        };
        let vouched = Vouched {
            entry: 7,
            camera: run.stream.camera.clone(),
            kind: run.stream.kind,
            span,
            clock_correction: run.clock_correction,
            frames,
            lost_packets,
            holes: Vec::new(),
            recovered: state == SegmentState::Recovered,
            root,
        };
        Self { bytes, entries, row, vouched }
    }

    fn closed(audio: bool) -> Self {
        let m = made(audio, 4..7);
        Self::of(&m, m.closed(), SegmentState::Closed)
    }

    fn open() -> Self {
        let m = made(true, 4..7);
        Self::of(&m, m.open.clone(), SegmentState::Open)
    }

    fn look(&self, file: &(impl ReadAt + ?Sized), len: usize) -> Vec<Flaw> {
        examine(file, len as u64, &Wanted::by_index(&self.row, Some(&self.vouched)))
    }

    fn look_at(&self, bytes: &[u8]) -> Vec<Flaw> {
        self.look(bytes, bytes.len())
    }

    /// Corrected time of the nth fragment.
    fn span(&self, n: usize) -> Span {
        let by = |t: WallNs| t.offset(self.row.clock_correction);
        let raw = self.entries[n].span;
        Span { start: by(raw.start), end: by(raw.end) }
    }

    fn place(&self, n: usize) -> std::ops::Range<usize> {
        self.entries[n].offset as usize..self.entries[n].end() as usize
    }
}

#[test]
fn what_is_as_it_was_has_no_flaw() {
    for audio in [false, true] {
        let case = Case::closed(audio);
        assert_eq!(case.look_at(&case.bytes), []);
        let m = made(audio, 0..4);
        let recovered = [m.open.as_slice(), &m.close.finish(true)].concat();
        let case = Case::of(&m, recovered, SegmentState::Recovered);
        assert_eq!(case.look_at(&case.bytes), []);
    }
    let case = Case::open();
    assert_eq!(case.look_at(&case.bytes), []);
    // It has grown since its row was read, and was even closed.
    let m = made(true, 4..9);
    assert_eq!(case.look_at(&m.open), []);
    assert_eq!(case.look_at(&m.closed()), []);
    // Before the first commit.
    let mut case = Case::open();
    (case.row.bytes, case.row.span.end) = (case.entries[0].offset, case.row.span.start);
    assert_eq!(case.look_at(&case.bytes), []);
}

/// All of a closed file: each bit of its boxes, and many of its samples.
#[test]
fn each_bit_of_a_closed_file_is_covered_and_costs_its_own_second_alone() {
    let case = Case::closed(true);
    let samples: Vec<std::ops::Range<usize>> = (0..case.entries.len())
        .map(|n| {
            let first = format::samples(&case.bytes, &case.entries[n]).unwrap()[0].offset as usize;
            first..case.place(n).end
        })
        .collect();
    let mut bytes = case.bytes.clone();
    for at in 0..bytes.len() {
        let bits = match samples.iter().find(|s| s.contains(&at)) {
            None => 0..8,
            Some(s) if at == s.start || at + 1 == s.end || at.is_multiple_of(11) => at % 8..at % 8 + 1,
            Some(_) => continue,
        };
        for bit in bits {
            bytes[at] ^= 1 << bit;
            let flaws = case.look_at(&bytes);
            bytes[at] ^= 1 << bit;
            let what = || format!("bit {bit} of byte {at}: {flaws:?}");
            assert_eq!(flaws.len(), 1, "{}", what());
            match (0..case.entries.len()).find(|n| case.place(*n).contains(&at)) {
                Some(n) => {
                    assert_eq!(flaws[0].fragment, Some(case.entries[n].number), "{}", what());
                    assert_eq!(flaws[0].span, case.span(n), "{}", what());
                    assert!(matches!(flaws[0].kind, Kind::Fragment(_)), "{}", what());
                }
                None if at < case.entries[0].offset as usize => {
                    assert!(matches!(flaws[0].kind, Kind::Head(_)), "{}", what());
                }
                None => assert!(matches!(flaws[0].kind, Kind::Close(_)), "{}", what()),
            }
        }
    }
}

/// An open file has nobody who knows what its fragments are to be: only what their leaves cover is.
#[test]
fn each_bit_of_an_open_files_samples_is_covered() {
    let case = Case::open();
    for n in 0..case.entries.len() {
        let first = format::samples(&case.bytes, &case.entries[n]).unwrap()[0].offset as usize;
        for at in (first..case.place(n).end).step_by(13) {
            let mut bytes = case.bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            let flaws = case.look_at(&bytes);
            assert!(matches!(&flaws[..], [Flaw { span, .. }] if *span == case.span(n)), "byte {at}: {flaws:?}");
        }
    }
}

/// A disk with a place that it does not give.
struct BadSector<'a>(&'a [u8], std::ops::Range<usize>);

impl ReadAt for BadSector<'_> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let offset = offset as usize;
        if self.1.contains(&offset) {
            return Err(io::Error::from_raw_os_error(nix::libc::EIO));
        }
        // As the kernel does, what comes before is given first.
        let until = if offset < self.1.start { self.1.start } else { self.0.len() };
        self.0[..until].read_at(buf, offset as u64)
    }
}

#[test]
fn a_sector_that_cannot_be_read_costs_its_fragment_alone() {
    for case in [Case::closed(true), Case::open()] {
        // The kernel gives pages or nothing of them.
        const PAGE: usize = 4096;
        for at in (0..case.bytes.len()).step_by(PAGE) {
            let file = BadSector(&case.bytes, at..at + PAGE);
            let flaws = case.look(&file, case.bytes.len());
            let what = || format!("{} from byte {at}: {flaws:?}", case.bytes.len());
            let hit = |n: &usize| at < case.place(*n).end && case.place(*n).start < at + PAGE;
            let hit: Vec<Span> = (0..3).filter(hit).map(|n| case.span(n)).collect();
            let (head, end) = (at < case.entries[0].offset as usize, at + PAGE > case.place(2).end);
            assert!(!flaws.is_empty(), "{}", what());
            for flaw in &flaws {
                // Two at most, where it lies across their border.
                assert!(
                    head || end
                        || hit.iter().any(|s| s.start <= flaw.span.start && flaw.span.end <= s.end)
                        || (hit.len() == 2 && flaw.span.start >= hit[0].start && flaw.span.end <= hit[1].end),
                    "{}",
                    what()
                );
                match flaw.kind {
                    Kind::Unreadable { byte, .. } => assert!((at..at + PAGE).contains(&(byte as usize)), "{}", what()),
                    // Where the first fragment begins in the page of the head, and no closing boxes tell.
                    _ => assert!(head && flaw.kind == Kind::Missing, "{}", what()),
                }
            }
        }
    }
}

#[test]
fn a_file_cut_short_lacks_its_last_seconds() {
    let case = Case::closed(true);
    let near = |cut: &usize| (0..3).any(|n| cut.abs_diff(case.place(n).start) < 1500) || cut.is_multiple_of(101);
    for cut in (case.entries[0].offset as usize..case.bytes.len()).filter(near) {
        let flaws = case.look_at(&case.bytes[..cut]);
        let by = (case.bytes.len() - cut) as u64;
        assert!(
            matches!(&flaws[..], [Flaw { kind: Kind::Shorter { by: b }, .. }] if *b == by),
            "cut at {cut}: {flaws:?}"
        );
        let whole = (0..3).filter(|n| case.place(*n).end <= cut).count();
        if whole < 3 {
            let missing = Span { start: case.span(whole).start, end: case.row.span.end };
            assert_eq!(flaws[0].span, missing, "cut at {cut}");
        }
    }
    let longer = [&case.bytes[..], b"more"].concat();
    assert_eq!(case.look_at(&longer)[0].kind, Kind::Longer { by: 4 });
    assert_eq!(case.look_at(&longer).len(), 1);
    let open = Case::open();
    let flaws = open.look_at(&open.bytes[..open.place(2).start + 100]);
    assert!(matches!(&flaws[..], [Flaw { span, .. }] if *span == open.span(2)), "{flaws:?}");
}

/// Someone who knows the format: other samples of the same length, with leaves, digests, head and closing boxes that fit them.
fn forged() -> Vec<u8> {
    let m = made(true, 4..7);
    let run = &m.run;
    let mut bytes = format::segment_head(run, 3);
    let mut close = CloseBuilder::new(run, 3);
    for n in 4..7 {
        let mut f = format::tests::fragment(run, n);
        f.samples[7].data = vec![0xee; f.samples[7].data.len()].into();
        let e = format::encode_fragment(&f).unwrap();
        close.push(e.entry_at(bytes.len() as u64), &f.reports);
        bytes.extend_from_slice(&e.head);
        f.samples.iter().for_each(|s| bytes.extend_from_slice(&s.data));
    }
    bytes.extend(close.finish(false));
    bytes
}

#[test]
fn a_consistent_forgery_is_known_by_its_root() {
    let mut case = Case::closed(true);
    let forged = forged();
    assert_eq!(forged.len(), case.bytes.len());
    let flaws = case.look_at(&forged);
    assert_eq!(flaws, [Flaw { span: case.row.span, fragment: None, kind: Kind::Root(Witness::Ledger) }]);
    // The forger changes the index too.
    case.row.root = format::read(&forged, forged.len() as u64).map(|f| format::root(&f.head.digest, &f.fragments)).ok();
    assert_eq!(case.look_at(&forged).len(), 1, "the ledger knows still");
    assert_eq!(examine(&forged, forged.len() as u64, &Wanted::by_index(&case.row, None)), [], "nobody else does");
    case.row.root = Some(Hash([0; 32]));
    let flaws = case.look_at(&case.bytes);
    assert!(matches!(&flaws[..], [Flaw { kind: Kind::Root(Witness::Index), .. }]), "{flaws:?}");
}

/// What the root does not cover stands in the ledger's entry: the end, losses, the mark of recovery.
#[test]
fn what_the_root_leaves_out_is_compared_by_itself() {
    let case = Case::closed(true);
    let m = made(true, 4..7);
    let change = |f: &dyn Fn(&mut crate::types::Fragment)| {
        let mut bytes = format::segment_head(&m.run, 3);
        let mut close = CloseBuilder::new(&m.run, 3);
        for n in 4..7 {
            let mut fragment = format::tests::fragment(&m.run, n);
            f(&mut fragment);
            let e = format::encode_fragment(&fragment).unwrap();
            close.push(e.entry_at(bytes.len() as u64), &fragment.reports);
            bytes.extend_from_slice(&e.head);
            fragment.samples.iter().for_each(|s| bytes.extend_from_slice(&s.data));
        }
        bytes.extend(close.finish(false));
        assert_eq!(close.root(), case.vouched.root, "the root does not tell");
        case.look_at(&bytes)
    };
    let end = change(&|f| f.span.end = f.span.end.offset(i64::from(f.number == 6)));
    let lost = change(&|f| f.lost_packets = 0);
    let hole = change(&|f| f.span.end = f.span.end.offset(if f.number == 4 { -1_500_000_000 } else { 0 }));
    for (flaws, what) in
        [(end, "the time that it covers"), (lost, "the count of lost packets"), (hole, "where it has no picture")]
    {
        let told = |witness| flaws.iter().any(|f| f.kind == Kind::Facts { witness, what });
        assert!(told(Witness::Ledger) && told(Witness::Index) && flaws.len() == 2, "{flaws:?}");
    }
    let marked = [m.open.as_slice(), &m.close.finish(true)].concat();
    assert!(matches!(case.look_at(&marked)[..], [Flaw { kind: Kind::Facts { witness: Witness::Ledger, .. }, .. }]));
}

#[test]
fn another_segment_in_its_place_is_named() {
    let case = Case::closed(true);
    let m = made(true, 4..7);
    let mut other = (*m.run).clone();
    other.id = crate::types::RunId::from_bytes([9; 16]);
    let run = std::sync::Arc::new(other);
    let mut bytes = format::segment_head(&run, 3);
    let e = format::encode_fragment(&format::tests::fragment(&run, 4)).unwrap();
    bytes.extend_from_slice(&e.head);
    let flaws = case.look_at(&bytes);
    assert!(matches!(&flaws[..], [Flaw { kind: Kind::Swapped { id, .. }, .. }] if id.run == run.id), "{flaws:?}");
    let text = case.look_at(b"GIF89a, which is no segment of anybody");
    assert!(matches!(text[0].kind, Kind::Foreign(_)), "{text:?}");
    assert!(matches!(
        case.look_at(b"")[..],
        [Flaw { kind: Kind::Head(_), .. }, Flaw { kind: Kind::Shorter { .. }, .. }]
    ));
}

/// Closing boxes and a fragment in the middle: what lies behind is found all the same, and the rest is right.
#[test]
fn behind_a_damaged_fragment_the_next_is_found_without_closing_boxes() {
    let case = Case::closed(true);
    for at in case.place(1) {
        let mut bytes = case.bytes.clone();
        let end = bytes.len() - 1;
        bytes[end] ^= 1;
        bytes[at] ^= 0x40;
        let flaws = case.look_at(&bytes);
        assert!(matches!(flaws[0].kind, Kind::Close(_)), "byte {at}: {flaws:?}");
        // Without them a flag or an end that no leaf covers is not missed.
        for flaw in &flaws[1..] {
            assert_eq!(flaw.span, case.span(1), "byte {at}: {flaws:?}");
        }
        let first = format::samples(&case.bytes, &case.entries[1]).unwrap()[0].offset as usize;
        assert!(flaws.len() == 2 || at < first, "byte {at}: {flaws:?}");
    }
}

/// A file, and how much was read of it.
struct Counted<'a>(&'a [u8], &'a std::cell::Cell<u64>);

impl ReadAt for Counted<'_> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.1.set(self.1.get() + buf.len() as u64);
        self.0.read_at(buf, offset)
    }
}

#[test]
fn a_file_made_to_be_searched_for_ever_is_given_up() {
    let case = Case::closed(false);
    let mut bytes = case.bytes[..case.entries[0].offset as usize].to_vec();
    let bait = [&case.bytes[case.place(0)][..case.place(0).len() / 2], &[0x55; 64]].concat();
    for _ in 0..5000 {
        bytes.extend_from_slice(&bait);
    }
    let read = std::cell::Cell::new(0_u64);
    let flaws = case.look(&Counted(&bytes, &read), bytes.len());
    assert!(!flaws.is_empty());
    assert!(read.get() < 16 * bytes.len() as u64 + (1 << 30), "{} bytes read of {}", read.get(), bytes.len());
}

#[test]
fn the_first_word_on_a_segment_counts_until_it_is_retired() {
    let case = Case::closed(true);
    let entry = |root| crate::ledger::SegmentEntry {
        stream: case.row.id.stream,
        run: case.row.id.run,
        seq: case.row.id.seq,
        volume: "a1".parse().unwrap(),
        camera: "gate-1".parse().unwrap(),
        kind: StreamKind::Main,
        span: case.row.span,
        clock_correction: 0,
        frames: 1,
        lost_packets: 0,
        holes: Vec::new(),
        recovered: false,
        root,
    };
    let place = Place { id: case.row.id, volume: "a1".parse().unwrap() };
    let mut vouchers = Vouchers::default();
    vouchers.take(3, &What::Segment(entry(Hash([1; 32]))));
    vouchers.take(4, &What::Segment(entry(Hash([2; 32]))));
    let first = vouchers.of(&place).unwrap();
    assert_eq!((first.entry, first.root), (3, Hash([1; 32])));
    let other = Place { volume: "a2".parse().unwrap(), ..place.clone() };
    assert!(vouchers.of(&other).is_none() && vouchers.kept().count() == 1);
    vouchers.take(
        5,
        &What::Retired {
            stream: place.id.stream,
            camera: "gate-1".parse().unwrap(),
            volume: place.volume.clone(),
            reason: crate::ledger::Reason::MaxDays,
            span: case.row.span,
            segments: vec![(place.id.run, place.id.seq)],
        },
    );
    assert!(vouchers.of(&place).is_none() && vouchers.is_retired(&place) && !vouchers.is_retired(&other));
}
