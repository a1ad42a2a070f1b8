//! What a watchdog sees of the threads of volumes.

use std::sync::{Mutex, atomic::AtomicBool};

use super::{
    segment::Written,
    worker::{Report, Worker, WorkerSeen},
    *,
};

#[test]
fn a_disk_that_hangs_is_marked_failed_and_is_no_standstill() {
    let bench = Bench::new(&["a1", "a2"]);
    let run = bench.run("gate");
    let volume = bench.store().choose(run.stream.id, None).unwrap();
    let mut seen = Seen::default();
    bench.store().write(&volume, fragment(&run, 0, 0)).unwrap();
    until("the commit", || bench.store().committed(run.stream.id) == Some(at(1)));
    bench.faults.hang(true);
    let mut events = bench.store().events();
    bench.store().write(&volume, fragment(&run, 0, 1)).unwrap();
    // Nobody else asks after the volume: to be handed footage is what would show it too.
    let mut look = || {
        bench.clock.advance(Duration::from_millis(20));
        assert_eq!(bench.store().standstill(&mut seen), None);
    };
    until("the failure", || {
        look();
        matches!(events.try_recv(), Ok(StoreEvent::VolumeFailed { volume: failed, .. }) if failed == volume)
    });
    // However long it hangs, and the other one is recorded on.
    let mut looks = 0;
    until("a while", || {
        look();
        looks += 1;
        looks == 250
    });
    bench.faults.hang(false);
    until("its return", || bench.store().volumes().iter().all(|v| v.healthy));
    look();
    bench.store().stop();
    assert_eq!(bench.store().standstill(&mut Seen::default()), None, "an end that was asked for");
}

/// A store with a mistake in it.
#[derive(Default)]
struct Mistaken {
    panics: bool,
    /// Held while a volume that is back is not taken note of.
    back: Mutex<()>,
    is_back: AtomicBool,
}

impl Report for Mistaken {
    fn committed(&self, _: &VolumeName, _: &[Written], _: WallNs) {
        assert!(!self.panics, "on purpose");
    }
    fn failed(&self, _: &VolumeName, _: &str) {
        assert!(!self.panics, "on purpose");
    }
    fn back(&self, _: &VolumeName) {
        self.is_back.store(true, Ordering::SeqCst);
        drop(self.back.lock());
    }
    fn streams_file(&self, _: u64, _: WallNs) -> Option<(u64, Vec<u8>)> {
        None
    }
}

/// A volume of the bench under that store.
fn worker(bench: &Bench, report: &Arc<Mistaken>) -> Worker {
    let setup = bench.setup(bench.volumes().remove(0), &Known::default());
    let (disk, clock) = (Arc::new(bench.disk.clone()), Arc::new(bench.clock.clone()));
    Worker::start(setup, disk, clock, report.clone(), ByteSize(1 << 30)).unwrap()
}

#[test]
fn a_thread_that_has_died_is_a_standstill() {
    for writer in [true, false] {
        let bench = Bench::new(&["a1"]);
        let run = bench.run("gate");
        bench.store().stop();
        let worker = worker(&bench, &Arc::new(Mistaken { panics: true, ..Mistaken::default() }));
        let mut seen = WorkerSeen::default();
        assert_eq!(worker.standstill(&mut seen), None);
        // The writer dies of what it has to say of an error, the committer of what it has to say of a commit.
        bench.faults.write_error.store(writer, Ordering::SeqCst);
        worker.write(fragment(&run, 0, 0)).unwrap();
        until("the end of a thread", || worker.standstill(&mut seen).is_some());
        assert!(worker.standstill(&mut seen).unwrap().contains("ended"));
        bench.clock.advance(Duration::from_mins(1));
        assert!(worker.standstill(&mut seen).unwrap().contains("ended"), "also once its last call takes long");
    }
}

#[test]
fn a_committer_that_is_stuck_beside_a_disk_that_is_well_is_a_standstill() {
    let bench = Bench::new(&["a1"]);
    let run = bench.run("gate");
    bench.store().stop();
    let report = Arc::new(Mistaken::default());
    let worker = worker(&bench, &report);
    let mut seen = WorkerSeen::default();
    let stuck = report.back.lock().unwrap();
    bench.faults.write_error.store(true, Ordering::SeqCst);
    worker.write(fragment(&run, 0, 0)).unwrap();
    until("the failure", || !worker.healthy());
    bench.faults.write_error.store(false, Ordering::SeqCst);
    until("its return", || report.is_back.load(Ordering::SeqCst));
    assert!(worker.healthy());
    assert_eq!(worker.standstill(&mut seen), None, "it may take so long");
    bench.clock.advance(Duration::from_secs(5));
    assert_eq!(worker.standstill(&mut seen), Some("committer stands still"));
    drop(stuck);
    until("it to go on", || worker.standstill(&mut seen).is_none());
    worker.stop();
}

#[test]
fn what_is_committed_is_told_by_volume() {
    let bench = Bench::new(&["a1", "a2"]);
    let run = bench.run("gate");
    let (a1, a2): (VolumeName, VolumeName) = ("a1".parse().unwrap(), "a2".parse().unwrap());
    assert_eq!(bench.store().commits(), []);
    assert!(bench.store().volumes().iter().all(|v| v.committed.is_none()));
    bench.clock.advance(Duration::from_secs(7));
    bench.store().write(&a1, fragment(&run, 0, 0)).unwrap();
    until("the commit", || bench.store().commits().len() == 1);
    let of = |volume: &VolumeName, at: i64, newest: WallNs| wire::health::Committed {
        volume: volume.clone(),
        at: WallNs(T0 + at * S),
        streams: vec![wire::health::CommittedStream {
            camera: "gate".parse().unwrap(),
            stream: StreamKind::Main,
            newest,
        }],
    };
    assert_eq!(bench.store().commits(), [of(&a1, 7, at(1))]);
    // A copy counts where it is.
    bench.clock.advance(Duration::from_secs(2));
    bench.store().write_copy(&a2, fragment(&run, 0, 0)).unwrap();
    bench.store().write(&a1, fragment(&run, 0, 1)).unwrap();
    let expected = [of(&a1, 9, at(2)), of(&a2, 9, at(1))];
    until("both commits", || bench.store().commits() == expected);
    assert!(bench.store().volumes().iter().all(|v| v.committed == Some(WallNs(T0 + 9 * S))));
    // A disk that takes nothing for good says nothing new, however often it is tried.
    bench.faults.sync_error.store(true, Ordering::SeqCst);
    bench.clock.advance(Duration::from_secs(2));
    bench.store().write(&a1, fragment(&run, 0, 2)).unwrap();
    until("the failure", || bench.store().volumes().iter().any(|v| !v.healthy));
    assert_eq!(bench.store().commits(), expected);
    bench.faults.sync_error.store(false, Ordering::SeqCst);
    until("its return", || bench.store().volumes().iter().all(|v| v.healthy));
    let back = bench.store().commits();
    assert_eq!(back[0].streams, expected[0].streams, "what was not committed is not there");
    bench.store().stop();
}
