use std::path::Path;

use super::*;
use crate::types::{Cause, CauseKind, GapBefore, StreamId};

mod keeping;

const S: i64 = 1_000_000_000;

fn key() -> StreamKey {
    StreamKey {
        id: StreamId::from_bytes([1; 16]),
        camera: "gate-1".parse().unwrap(),
        kind: crate::types::StreamKind::Main,
    }
}

fn run(n: u8, start: i64, before: Option<CauseKind>) -> RunRow {
    RunRow {
        id: RunId::from_bytes([n; 16]),
        stream: key(),
        start: WallNs(start * S),
        clock_correction: 0,
        before: before.map(|k| GapBefore { since: WallNs(start * S - 1), cause: Cause::new(k, "seen") }),
        mime: "video/mp4; codecs=\"avc1.42c01f\"".into(),
        size: (1280, 720),
        recorder: "a".parse().unwrap(),
    }
}

fn segment(run: u8, seq: u32, from: i64, to: i64) -> SegmentRow {
    let id = SegmentId { stream: key().id, run: RunId::from_bytes([run; 16]), seq };
    let raw_start = WallNs(from * S);
    SegmentRow {
        id,
        volume: "a1".parse().unwrap(),
        path: crate::store::layout::segment_path(&key().camera, key().kind, raw_start, id.run, seq),
        span: Span { start: raw_start, end: WallNs(to * S) },
        raw_start,
        clock_correction: 0,
        bytes: 100,
        frames: 10,
        lost_packets: 0,
        state: SegmentState::Closed,
        holes: Vec::new(),
        root: None,
    }
}

fn filled(path: &Path) -> Writer {
    let mut w = Writer::open(path).unwrap();
    let mut b = Batch::default();
    for r in [run(1, 0, None), run(2, 100, Some(CauseKind::Timeout)), run(3, 130, None)] {
        b.runs.insert(r.id, r);
    }
    for s in [segment(1, 0, 0, 50), segment(1, 1, 50, 60), segment(2, 0, 100, 130), segment(3, 0, 130, 140)] {
        b.segment(s);
    }
    w.apply(&b).unwrap();
    w
}

fn span(from: i64, to: i64) -> Span {
    Span { start: WallNs(from * S), end: WallNs(to * S) }
}

#[test]
fn footage_is_joined_and_gaps_have_their_cause() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.db");
    let _w = filled(&path);
    let r = Reader::open(&path).unwrap();
    let (footage, gaps) = r.timeline(key().id, span(-10, 1000)).unwrap();
    assert_eq!(footage, [span(0, 60), span(100, 140)]);
    assert_eq!(
        gaps,
        [wire::Gap {
            start: WallNs(60 * S),
            end: Some(WallNs(100 * S)),
            cause: Cause::new(CauseKind::Timeout, "seen")
        }]
    );
    // A span inside the gap still sees the whole gap, and no footage.
    let (footage, gaps) = r.timeline(key().id, span(70, 80)).unwrap();
    assert!(footage.is_empty());
    assert_eq!(gaps.len(), 1);
    // Clipped on both sides.
    assert_eq!(r.timeline(key().id, span(10, 20)).unwrap(), (vec![span(10, 20)], vec![]));
}

#[test]
fn segments_of_a_span_begin_with_the_one_that_reaches_into_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.db");
    let _w = filled(&path);
    let r = Reader::open(&path).unwrap();
    let seqs = |a, b| -> Vec<(u8, u32)> {
        r.segments(key().id, span(a, b)).unwrap().iter().map(|s| (s.id.run.as_bytes()[0], s.id.seq)).collect()
    };
    assert_eq!(seqs(10, 55), [(1, 0), (1, 1)]);
    assert_eq!(seqs(50, 55), [(1, 1)]);
    assert_eq!(seqs(70, 80), []);
    assert_eq!(seqs(129, 131), [(2, 0), (3, 0)]);
    assert_eq!(r.segment(segment(2, 0, 100, 130).id).unwrap(), [segment(2, 0, 100, 130)]);
    assert_eq!(r.last_end(key().id).unwrap(), Some(WallNs(140 * S)));
}

#[test]
fn an_open_gap_begins_where_the_footage_ends_and_goes_when_it_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.db");
    let mut w = filled(&path);
    let gap = GapBefore { since: WallNs(145 * S), cause: Cause::new(CauseKind::Unreachable, "no route") };
    w.apply(&Batch { open_gaps: [(key().id, Some(gap.clone()))].into(), ..Batch::default() }).unwrap();
    let r = Reader::open(&path).unwrap();
    let gaps = r.gaps(key().id, span(139, 200)).unwrap();
    assert_eq!(gaps, [wire::Gap { start: WallNs(140 * S), end: None, cause: gap.cause }]);
    w.apply(&Batch { open_gaps: [(key().id, None)].into(), ..Batch::default() }).unwrap();
    assert!(r.gaps(key().id, span(139, 200)).unwrap().is_empty());
}

#[test]
fn a_damaged_or_newer_index_is_named_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.db");
    assert!(matches!(Reader::open(&path), Err(IndexError::Missing(_))));
    drop(filled(&path));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[4096..middle].fill(0xa5);
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(Writer::open(&path), Err(IndexError::Damaged { .. } | IndexError::Sqlite { .. })));

    let newer = dir.path().join("newer.db");
    drop(filled(&newer));
    // One that does not say which readers understand it.
    let db = rusqlite::Connection::open(&newer).unwrap();
    db.execute_batch(&format!("DELETE FROM meta WHERE key = 'min_reader'; PRAGMA user_version = {}", FORMAT + 1))
        .unwrap();
    assert!(matches!(Writer::open(&newer), Err(IndexError::TooNew { .. })));
    assert!(matches!(Reader::open(&newer), Err(IndexError::TooNew { .. })));
}

#[test]
fn a_renamed_camera_keeps_its_recording() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.db");
    let mut w = filled(&path);
    let renamed = StreamKey { camera: "main-gate".parse().unwrap(), ..key() };
    let other = StreamKey { id: StreamId::from_bytes([9; 16]), ..key() };
    w.apply(&Batch { streams: [renamed.clone()].into(), ..Batch::default() }).unwrap();
    w.apply(&Batch { streams: [other.clone()].into(), ..Batch::default() }).unwrap();
    let r = Reader::open(&path).unwrap();
    let names: Vec<StreamKey> = r.streams().unwrap().into_iter().map(|s| s.key).collect();
    assert_eq!(names, [other, renamed]);
    assert_eq!(r.segments(key().id, span(0, 10)).unwrap()[0].path, segment(1, 0, 0, 50).path);
}

#[test]
fn of_two_copies_the_longer_one_counts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.db");
    let mut w = Writer::open(&path).unwrap();
    let long = SegmentRow { bytes: 50, ..segment(1, 0, 0, 50) };
    let short = SegmentRow { volume: "z9".parse().unwrap(), bytes: 20, ..segment(1, 0, 0, 20) };
    let mut b = Batch::default();
    b.runs.insert(run(1, 0, None).id, run(1, 0, None));
    b.segment(long.clone());
    b.segment(short.clone());
    b.open_gaps
        .insert(long.id.stream, Some(GapBefore { since: WallNs(50 * S), cause: Cause::new(CauseKind::Timeout, "") }));
    w.apply(&b).unwrap();
    let r = Reader::open(&path).unwrap();
    assert_eq!(r.last_end(long.id.stream).unwrap(), Some(WallNs(50 * S)));
    assert_eq!(r.segment(long.id).unwrap(), [long.clone(), short]);
    let (footage, gaps) = r.timeline(long.id.stream, span(0, 90)).unwrap();
    assert_eq!(footage, [long.span]);
    assert!(gaps.len() == 1 && gaps[0].start == WallNs(50 * S) && gaps[0].end.is_none(), "{gaps:?}");
    assert_eq!(r.volume_of_footage(long.id.stream, Span::all()).unwrap(), (50, 50 * S));
}

#[test]
fn the_queue_writes_the_last_word() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.db");
    let q = IndexQueue::start(Writer::open(&path).unwrap(), path.clone()).unwrap();
    for end in [10, 20, 30] {
        q.put(|b| {
            let r = run(1, 0, None);
            b.runs.insert(r.id, r);
            let s = segment(1, 0, 0, end);
            b.segment(s);
        });
    }
    assert!(q.flush(std::time::Duration::from_secs(10)));
    assert_eq!(Reader::open(&path).unwrap().last_end(key().id).unwrap(), Some(WallNs(30 * S)));
    q.stop();
}

#[test]
fn an_index_of_format_1_is_brought_up_to_date_and_a_copy_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.db");
    drop(filled(&path));
    let rows = Reader::open(&path).unwrap().segments(key().id, span(-10, 1000)).unwrap();
    // What format 1 had: the same without what has come since.
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch(
        "DROP TABLE kept; DROP TABLE lost; DROP INDEX segment_retiring; DROP INDEX segment_unlogged; ALTER TABLE segment DROP COLUMN root;
         ALTER TABLE segment DROP COLUMN logged; ALTER TABLE stream DROP COLUMN retired;
         DELETE FROM meta WHERE key = 'min_reader'; PRAGMA user_version = 1;",
    )
    .unwrap();
    // It called a recording so whose camera went on with another one.
    db.execute("UPDATE stream SET camera = camera || '~' || n", []).unwrap();
    drop(db);
    assert!(matches!(Reader::open(&path), Err(IndexError::Old(_))));
    drop(Writer::open(&path).unwrap());
    let r = Reader::open(&path).unwrap();
    assert_eq!(r.streams().unwrap()[0].key.camera.as_str(), "gate-1-01010101");
    assert_eq!(r.stock(WallNs(1000 * S)).unwrap().len(), 1, "all that is asked of it can be answered");
    assert_eq!(r.segments(key().id, span(-10, 1000)).unwrap(), rows);
    assert_eq!(r.unlogged(10).unwrap().len(), rows.len());
    assert!(dir.path().join("index.db.format1").exists());
}

#[test]
fn a_later_format_is_read_if_it_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.db");
    drop(filled(&path));
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("ALTER TABLE segment ADD COLUMN something_new TEXT; PRAGMA user_version = 3").unwrap();
    assert!(Reader::open(&path).is_ok());
    drop(Writer::open(&path).unwrap());
    db.execute("UPDATE meta SET value = '3' WHERE key = 'min_reader'", []).unwrap();
    assert!(matches!(Reader::open(&path), Err(IndexError::TooNew { found: 3, .. })));
    assert!(matches!(Writer::open(&path), Err(IndexError::TooNew { found: 3, .. })));
}

fn number(index: &Reader, row: &SegmentRow) -> Option<u64> {
    index.logged(row.id.run, row.id.seq, &row.volume).unwrap()
}

/// A file that is not there for a while is the one that the ledger vouches for; nobody vouches anew for what comes in its place.
#[test]
fn a_segment_that_comes_again_keeps_its_number_in_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.db");
    let mut w = filled(&path);
    let r = Reader::open(&path).unwrap();
    let all = r.unlogged(10).unwrap();
    let [row, never, elsewhere] = [&all[0], &all[1], &all[2]];
    let run = r.runs(row.id.stream).unwrap().into_iter().find(|run| run.id == row.id.run).unwrap();
    let apply = |w: &mut Writer, change: &dyn Fn(&mut Batch)| {
        let mut batch = Batch::default();
        change(&mut batch);
        w.apply(&batch).unwrap();
    };
    let place = |s: &SegmentRow| (s.id, s.volume.clone());
    let comes = |b: &mut Batch, row: &SegmentRow| {
        let run = r.runs(row.id.stream).unwrap().into_iter().find(|run| run.id == row.id.run).unwrap_or(run.clone());
        b.runs.insert(run.id, RunRow { id: row.id.run, ..run });
        b.segment(row.clone());
    };
    apply(&mut w, &|b| _ = b.logged.insert(place(row), 7));
    for _ in 0..2 {
        apply(&mut w, &|b| b.gone.extend([place(row), place(never)]));
        assert_eq!(number(&r, row), None, "it has no row");
        apply(&mut w, &|b| [row, never].into_iter().for_each(|s| comes(b, s)));
        assert_eq!((number(&r, row), number(&r, never)), (Some(7), None));
    }
    // The log has one whose row went before it had its number.
    apply(&mut w, &|b| _ = b.gone.insert(place(elsewhere)));
    apply(&mut w, &|b| b.told(elsewhere.id.run, elsewhere.id.seq, &elsewhere.volume, 9));
    apply(&mut w, &|b| comes(b, elsewhere));
    assert_eq!(number(&r, elsewhere), Some(9));
    // What retention removes is done with.
    apply(&mut w, &|b| _ = b.retiring.insert(place(row)));
    apply(&mut w, &|b| _ = b.gone.insert(place(row)));
    apply(&mut w, &|b| comes(b, row));
    assert_eq!(number(&r, row), None);
    // Another ledger has none of them.
    apply(&mut w, &|b| _ = b.gone.insert(place(elsewhere)));
    apply(&mut w, &Batch::forget_logged);
    apply(&mut w, &|b| comes(b, elsewhere));
    assert_eq!(number(&r, elsewhere), None);
}

#[test]
fn closed_segments_wait_for_the_ledger_until_they_are_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.db");
    let mut w = filled(&path);
    let r = Reader::open(&path).unwrap();
    let waiting = r.unlogged(10).unwrap();
    assert_eq!(waiting.len(), 4);
    let place = |s: &SegmentRow| (s.id, s.volume.clone());
    let mut b = Batch::default();
    b.logged.insert(place(&waiting[0]), 7);
    b.segment(SegmentRow { root: Some(Hash([1; 32])), ..waiting[0].clone() });
    w.apply(&b).unwrap();
    assert_eq!(number(&r, &waiting[0]), Some(7));
    // A row that is written again is in the ledger still.
    let mut b = Batch::default();
    b.segment(waiting[0].clone());
    w.apply(&b).unwrap();
    assert_eq!(r.unlogged(10).unwrap(), waiting[1..]);
    assert!(r.is_run_logged(waiting[0].id.run).unwrap());
    // Another ledger: what was put in before is of the old one, what comes after of the new one.
    let mut b = Batch::default();
    b.logged.insert(place(&waiting[1]), 8);
    b.forget_logged();
    b.logged.insert(place(&waiting[0]), 1);
    w.apply(&b).unwrap();
    assert_eq!(number(&r, &waiting[0]), Some(1));
    assert!(!r.is_run_logged(RunId::from_bytes([99; 16])).unwrap());
    assert_eq!(r.unlogged_elsewhere(&["other".parse().unwrap()], 10).unwrap(), waiting[1..]);
    assert!(r.unlogged_elsewhere(&[waiting[0].volume.clone(), "other".parse().unwrap()], 10).unwrap().is_empty());
}
