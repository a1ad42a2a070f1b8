//! Removing footage, and cutting it short.

use super::*;
use crate::{
    ledger::Accounted,
    store::{Condemned, RetireError, Retired},
};

/// A stopped run of four segments of one second on volume `a1`.
fn four(bench: &Bench) -> Arc<Run> {
    let run = bench.run("gate");
    let volume = "a1".parse().unwrap();
    for n in 0..4 {
        bench.store().write(&volume, fragment(&run, n, n)).unwrap();
    }
    bench.store().end_run(&volume, run.id);
    until("four closed segments", || bench.rows(&run).iter().filter(|r| r.state == SegmentState::Closed).count() == 4);
    run
}

fn retire(bench: &Bench, rows: &[SegmentRow]) -> Result<Retired, RetireError> {
    let (store, volume) = (bench.store(), "a1".parse().unwrap());
    let outcome = (store.is_itself(&volume))
        .and_then(|()| store.condemn(&volume, rows.to_vec(), &Accounted::for_a_test()))
        .and_then(|condemned| store.remove(&condemned, &mut || true));
    assert!(bench.store().index().flush(Duration::from_secs(20)));
    outcome
}

#[test]
fn what_is_retired_is_gone_from_disk_and_index_and_nothing_else_is() {
    let bench = Bench::new(&["a1"]);
    let run = four(&bench);
    let rows = bench.rows(&run);
    let done = retire(&bench, &rows[1..3]).unwrap();
    assert_eq!(done, Retired { segments: 2, bytes: rows[1].bytes + rows[2].bytes });
    assert_eq!(bench.rows(&run), [rows[0].clone(), rows[3].clone()]);
    assert_eq!(files(&bench.dir.path().join("a1")).len(), 2);
    let (footage, gaps) = bench.reader().timeline(run.stream.id, Span::all()).unwrap();
    assert_eq!(footage, [Span { start: at(0), end: at(1) }, Span { start: at(3), end: at(4) }]);
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps[0].cause.kind, CauseKind::Retention, "what retention took is explained");
    retire(&bench, &[rows[0].clone(), rows[3].clone()]).unwrap();
    assert_eq!(bench.reader().runs(run.stream.id).unwrap(), [], "a run without footage goes too");
}

#[test]
fn an_empty_day_goes_once_it_is_over() {
    let bench = Bench::new(&["a1"]);
    let rows = bench.rows(&four(&bench));
    let day = bench.dir.path().join("a1").join(&rows[0].path).parent().unwrap().to_owned();
    retire(&bench, &rows[..2]).unwrap();
    bench.clock.advance(Duration::from_hours(72));
    retire(&bench, &rows[2..3]).unwrap();
    assert!(day.is_dir(), "there is a segment in it still");
    retire(&bench, &rows[3..]).unwrap();
    assert!(!day.exists());
}

#[test]
fn a_cut_between_marking_and_unlinking_is_completed() {
    let mut bench = Bench::new(&["a1"]);
    let run = four(&bench);
    let rows = bench.rows(&run);
    // As far as a process came that was killed after it had marked three rows and unlinked one file.
    bench.store().index().put(|batch| batch.retiring.extend(rows[..3].iter().map(|r| (r.id, r.volume.clone()))));
    std::fs::remove_file(bench.dir.path().join("a1").join(&rows[0].path)).unwrap();
    bench.store.take().unwrap().stop();
    bench.start(1 << 30);
    assert_eq!(bench.rows(&run), rows[3..], "readers leave out what is about to go");
    let marked = bench.reader().retiring().unwrap();
    assert_eq!(marked.len(), 3);
    // Reconciling finds the one whose file is gone, and does not call the others footage.
    let mut alone = Alone::default();
    let known = bench.reader().volume_segments(&"a1".parse().unwrap()).unwrap();
    recovery::reconcile(&RealDisk, &bench.volumes()[0], known, &mut alone);
    assert_eq!(alone.0, [Finding::Gone(rows[0].id, "a1".parse().unwrap(), None)]);
    let left = Condemned::left(&"a1".parse().unwrap(), marked);
    assert_eq!(bench.store().remove(&left, &mut || true).unwrap().segments, 3);
    assert!(bench.store().index().flush(Duration::from_secs(20)));
    assert_eq!(bench.rows(&run), rows[3..]);
    assert_eq!(files(&bench.dir.path().join("a1")).len(), 1);
    assert_eq!(bench.reader().retiring().unwrap(), []);
}

#[test]
fn nothing_is_removed_from_a_volume_that_is_not_what_it_was() {
    let bench = Bench::new(&["a1"]);
    let run = four(&bench);
    let rows = bench.rows(&run);
    std::fs::write(bench.dir.path().join("a1").join(volume::MARKER), "{}").unwrap();
    assert!(matches!(retire(&bench, &rows), Err(RetireError::Volume(_))));
    assert_eq!(bench.rows(&run), rows);
    assert_eq!(files(&bench.dir.path().join("a1")).len(), 4);
}

#[test]
fn an_open_segment_is_never_retired() {
    let bench = Bench::new(&["a1"]);
    let run = bench.run("gate");
    bench.store().write(&"a1".parse().unwrap(), fragment(&run, 0, 0)).unwrap();
    until("an open segment", || !bench.rows(&run).is_empty());
    assert!(matches!(retire(&bench, &bench.rows(&run)), Err(RetireError::NotClosed(_))));
    assert_eq!(files(&bench.dir.path().join("a1")).len(), 1);
}

/// One that nobody can unlink, as behind `chattr +i`, keeps the others from nothing.
#[test]
fn a_file_that_refuses_stays_marked_and_the_others_go() {
    let bench = Bench::new(&["a1"]);
    let run = four(&bench);
    let rows = bench.rows(&run);
    let stuck = bench.dir.path().join("a1").join(&rows[1].path);
    std::fs::remove_file(&stuck).unwrap();
    std::fs::create_dir(&stuck).unwrap();
    let Err(RetireError::Files { refused, done }) = retire(&bench, &rows[..3]) else { panic!("it was removed") };
    assert_eq!((refused.len(), &refused[0].0), (1, &stuck));
    assert_eq!(done, Retired { segments: 2, bytes: rows[0].bytes + rows[2].bytes });
    assert_eq!(bench.rows(&run), rows[3..]);
    let marked = bench.reader().retiring().unwrap();
    assert_eq!(marked.iter().map(|r| r.id).collect::<Vec<_>>(), [rows[1].id], "it is tried again");
    std::fs::remove_dir(&stuck).unwrap();
    let left = Condemned::left(&"a1".parse().unwrap(), marked);
    assert_eq!(bench.store().remove(&left, &mut || true).unwrap().segments, 1);
}
