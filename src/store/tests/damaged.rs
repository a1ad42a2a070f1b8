//! Files that are damaged where there is footage behind the damage.

use super::*;
use crate::store::format;

/// Of a file of five seconds, in which a bit of each fragment `flipped` and one of the closing boxes is flipped: its recording, its bytes,
/// and what is found without an index, as on a new system disk; `new.db` is the one that is made then.
fn found(flipped: &[usize]) -> (Bench, Arc<Run>, Vec<u8>, Reconciled) {
    let bench = Bench::new(&["a1"]);
    let run = bench.run("gate");
    let volume: VolumeName = "a1".parse().unwrap();
    for n in 0..5 {
        bench.store().write(&volume, fragment(&run, 0, n)).unwrap();
    }
    bench.store().stop();
    let file = files(&bench.dir.path().join("a1")).remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    let fragments = format::read(&bytes[..], bytes.len() as u64).unwrap().fragments;
    for n in flipped {
        let place = fragments[*n].offset + fragments[*n].len / 2;
        bytes[usize::try_from(place).unwrap()] ^= 1;
    }
    // A bit of the closing boxes too.
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let mut alone = Alone::default();
    let report = recovery::reconcile(&RealDisk, &bench.volumes()[0], Vec::new(), &mut alone);
    let mut batch = Batch::default();
    for finding in alone.0 {
        let Finding::Segment(found) = finding else { panic!("{finding:?}") };
        batch.runs.insert(found.0.id, found.0);
        batch.segment(found.1);
    }
    let mut new = Writer::open(&bench.dir.path().join("new.db")).unwrap();
    new.apply(&batch).unwrap();
    (bench, run, bytes, report)
}

#[test]
fn footage_behind_a_damaged_place_is_kept_and_is_told() {
    for (flipped, playable) in [(&[1][..], 1), (&[0], 0), (&[1, 3], 1)] {
        let (bench, run, bytes, report) = found(flipped);
        let file = files(&bench.dir.path().join("a1")).remove(0);
        assert!(std::fs::read(&file).unwrap() == bytes, "not a byte of it is changed");
        assert_eq!((report.segments, report.recovered, report.damaged.len()), (1, 0, 1), "{report:?}");
        assert_eq!((report.lost.len(), report.foreign.len()), (0, 0), "{report:?}");
        // The index knows all of it, so that holds and rules apply, and what of it can't be played.
        let new = Reader::open(&bench.dir.path().join("new.db")).unwrap();
        let rows = new.segments(run.stream.id, Span::all()).unwrap();
        let start = at(i64::from(playable == 0));
        let hole = Span { start: if playable == 0 { start } else { at(playable) }, end: at(5) };
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].span, rows[0].holes.as_slice()), (Span { start, end: at(5) }, &[hole][..]));
        assert_eq!((rows[0].bytes, rows[0].frames), (bytes.len() as u64, playable.cast_unsigned() * 10));
        // Who verifies it is told which part is damaged.
        let flaws = verify::examine(&bytes, bytes.len() as u64, &verify::Wanted::by_index(&rows[0], None));
        for n in flipped.iter().filter(|n| **n > 0) {
            let second = i64::try_from(*n).unwrap();
            let bad = Span { start: at(second), end: at(second + 1) };
            assert!(flaws.iter().any(|flaw| flaw.span == bad), "{flaws:?}");
        }
        // Known by now: it is not looked into again.
        let again = recovery::reconcile(&RealDisk, &bench.volumes()[0], rows, &mut Alone::default());
        assert_eq!((again.segments, again.damaged.len()), (1, 0));
    }
}

#[test]
fn a_damaged_end_is_cut_off() {
    let (bench, _run, bytes, report) = found(&[4]);
    let file = files(&bench.dir.path().join("a1")).remove(0);
    assert_eq!((report.segments, report.recovered, report.damaged.len()), (1, 1, 0), "{report:?}");
    let mended = std::fs::read(&file).unwrap();
    let read = format::read(&mended[..], mended.len() as u64).unwrap();
    assert!(read.closed.is_some_and(|c| c.recovered) && read.fragments.len() == 4);
    assert!(bytes.starts_with(&mended[..usize::try_from(read.fragments[3].end()).unwrap()]));
}
