//! Mounts that go, folders that cannot be read, volumes that come late.

use super::*;

/// Four segments of a second each on `a1`, closed.
fn four(bench: &Bench, camera: &str) -> Arc<Run> {
    let run = bench.run(camera);
    for n in 0..4 {
        bench.store().write(&"a1".parse().unwrap(), fragment(&run, n, n)).unwrap();
    }
    bench.store().end_run(&"a1".parse().unwrap(), run.id);
    until("all four", || bench.rows(&run).iter().filter(|r| r.state == SegmentState::Closed).count() == 4);
    run
}

#[test]
fn a_volume_whose_mount_was_exchanged_is_committed_no_more() {
    let bench = Bench::new(&["a1", "a2"]);
    let run = bench.run("gate");
    let volume = bench.store().choose(run.stream.id, None).unwrap();
    bench.store().write(&volume, fragment(&run, 0, 0)).unwrap();
    until("the commit", || bench.store().committed(run.stream.id) == Some(at(1)));
    // What is open lives on, and takes what is written; but a sync would be that of another file system.
    bench.faults.exchanged.store(true, Ordering::SeqCst);
    let mut problem = None;
    until("the failure", || {
        problem = bench.store().volumes().into_iter().find(|v| v.name == volume).unwrap().problem;
        problem.is_some()
    });
    assert!(problem.unwrap().contains("still mounted"));
    // The same volume on another file system (it was mounted again) is as good as before.
    until("its return", || bench.store().volumes().iter().all(|v| v.healthy));
    bench.faults.exchanged.store(false, Ordering::SeqCst);
    until("the failure", || bench.store().volumes().iter().any(|v| v.problem.is_some()));
    until("its return", || bench.store().volumes().iter().all(|v| v.healthy));
    assert_eq!(bench.reconcile(&volume).gone, 0);
    bench.store().stop();
}

#[test]
fn what_cannot_be_read_is_not_gone() {
    let bench = Bench::new(&["a1"]);
    let run = four(&bench, "gate");
    let (volume, root) = ("a1".parse().unwrap(), bench.dir.path().join("a1"));
    let rows = bench.rows(&run);
    let day = root.join(&rows[0].path).parent().unwrap().to_owned();

    // The day is a loop of links: the kernel refuses to look into it.
    let aside = root.join("aside");
    std::fs::rename(&day, &aside).unwrap();
    std::os::unix::fs::symlink(&day, &day).unwrap();
    let doubtful = bench.reconcile(&volume);
    assert_eq!((doubtful.segments, doubtful.gone), (0, 0), "{doubtful:?}");
    assert!(doubtful.foreign.len() >= 4, "{doubtful:?}");
    std::fs::remove_file(&day).unwrap();
    std::fs::rename(&aside, &day).unwrap();
    assert_eq!(bench.reconcile(&volume), Reconciled { segments: 4, ..Reconciled::default() });
    assert_eq!(bench.rows(&run), rows);

    // The whole volume is away: so is nothing of it.
    let away = bench.dir.path().join("away");
    std::fs::rename(&root, &away).unwrap();
    assert_eq!(bench.reconcile(&volume).gone, 0);
    std::fs::create_dir(&root).unwrap();
    std::fs::create_dir(root.join("footage")).unwrap();
    assert_eq!(bench.reconcile(&volume).gone, 0, "the folder beneath its mount, whatever is in it");
    std::fs::remove_dir_all(&root).unwrap();
    std::fs::rename(&away, &root).unwrap();

    // One file is really no more, and one has lost what was committed.
    std::fs::remove_file(root.join(&rows[1].path)).unwrap();
    let lost = bench.reconcile(&volume);
    assert_eq!((lost.segments, lost.gone, lost.lost.as_slice()), (3, 1, [rows[1].path.clone()].as_slice()));
    until("the index to know", || bench.rows(&run).len() == 3);
    bench.store().stop();
}

#[test]
fn footage_that_was_committed_and_is_lost_is_named() {
    let mut bench = Bench::new(&["a1"]);
    let run = bench.run("gate");
    for n in 0..3 {
        bench.store().write(&"a1".parse().unwrap(), fragment(&run, 0, n)).unwrap();
    }
    until("the commit", || bench.store().committed(run.stream.id) == Some(at(3)));
    // The index hears of it a moment later.
    until("its row", || bench.rows(&run).first().is_some_and(|r| r.span.end == at(3)));
    let open = bench.rows(&run);
    bench.store.take().unwrap().stop();
    // The index is as it was before the stop, and the disk has lost what it had confirmed.
    let file = files(&bench.dir.path().join("a1")).remove(0);
    let bytes = std::fs::read(&file).unwrap();
    let entry = format::read(&bytes[..], bytes.len() as u64).unwrap().fragments[2];
    std::fs::write(&file, &bytes[..usize::try_from(entry.offset + 100).unwrap()]).unwrap();
    bench.start(1 << 30);
    bench.store().index().put(|batch| batch.segment(SegmentRow { state: SegmentState::Open, ..open[0].clone() }));
    assert!(bench.store().index().flush(Duration::from_secs(10)));
    let found = bench.reconcile(&"a1".parse().unwrap());
    assert_eq!((found.recovered, found.lost.len()), (1, 1), "{found:?}");
    assert!(found.lost[0].ends_with("its last 1.0 s"), "{found:?}");
    bench.store().stop();
}

/// A machine without an index, and of two volumes the one that has a camera's footage comes late.
#[test]
fn a_camera_whose_footage_comes_late_goes_on_with_it() {
    for knows in [true, false] {
        let mut bench = Bench::new(&["a1", "a2"]);
        let old = bench.run("gate").stream.id;
        let run = four(&bench, "gate");
        until("the file that names all streams", || {
            ["a1", "a2"].iter().all(|v| bench.dir.path().join(v).join(identity::FILE).exists())
        });
        bench.store.take().unwrap().stop();
        std::fs::remove_file(bench.index_path()).unwrap();
        let [here, away] = ["a1", "away"].map(|name| bench.dir.path().join(name));
        std::fs::rename(&here, &away).unwrap();
        if !knows {
            std::fs::remove_file(bench.dir.path().join("a2").join(identity::FILE)).unwrap();
        }
        bench.start(1 << 30);
        let young = bench.store().stream_id(&"gate".parse().unwrap(), StreamKind::Main);
        // The other volume knows whose it is, too.
        assert_eq!(young == old, knows);
        let mut now = run_at(&bench, "gate", 10);
        bench.store().write(&"a2".parse().unwrap(), fragment(&now, 0, 10)).unwrap();
        until("the commit", || bench.store().committed(young) == Some(at(11)));

        std::fs::rename(&away, &here).unwrap();
        let back = bench.volumes().remove(0);
        bench.store().add(bench.setup(back, &Known::default())).unwrap();
        assert_eq!(bench.store().stream_id(&"gate".parse().unwrap(), StreamKind::Main), old);
        if !knows {
            let pending = bench.store().pending_gap(old).unwrap();
            assert_eq!((pending.since, pending.cause.kind), (at(4), CauseKind::Restart));
            bench.store().end_run(&"a2".parse().unwrap(), now.id);
            now = run_at(&bench, "gate", 11);
            bench.store().write(&"a2".parse().unwrap(), fragment(&now, 0, 11)).unwrap();
        }
        assert_eq!(now.stream.id, old);
        assert_eq!(bench.store().choose(old, None), Some("a1".parse().unwrap()), "it goes home");
        bench.reconcile(&"a1".parse().unwrap());
        bench.store().stop();
        // Nothing is lost, and nothing is hidden, whoever made the index.
        let names = |bench: &Bench| -> Vec<(String, usize)> {
            let r = bench.reader();
            let of = |s: index::StreamRow| (s.key.camera.to_string(), r.segments(s.key.id, Span::all()).unwrap().len());
            r.streams().unwrap().into_iter().map(of).collect()
        };
        let beside = identity::name_beside(&"gate".parse().unwrap(), young).to_string();
        let expected = if knows { vec![("gate".into(), 5)] } else { vec![("gate".into(), 5), (beside, 1)] };
        assert_eq!(names(&bench), expected);
        assert_eq!(bench.reader().segments(old, Span::all()).unwrap()[..4], bench.rows(&run)[..4]);
        drop(reindexed(&bench));
        assert_eq!(names(&bench), expected, "by the volumes alone");
    }
}

fn run_at(bench: &Bench, camera: &str, second: i64) -> Arc<Run> {
    let mut run = (*bench.run(camera)).clone();
    run.start = at(second);
    run.before = bench.store().pending_gap(run.stream.id);
    Arc::new(run)
}

#[test]
fn the_newest_file_may_be_unreadable_and_the_camera_is_known_all_the_same() {
    let mut bench = Bench::new(&["a1"]);
    let run = four(&bench, "gate");
    bench.store.take().unwrap().stop();
    std::fs::remove_file(bench.index_path()).unwrap();
    let root = bench.dir.path().join("a1");
    std::fs::write(root.join(identity::FILE), "garbage").unwrap();
    let newest = files(&root).pop().unwrap();
    std::fs::write(&newest, "").unwrap();
    bench.start(1 << 30);
    assert_eq!(bench.run("gate").stream.id, run.stream.id);
    assert_eq!(bench.store().last_end(run.stream.id), Some(at(3)));
    bench.store().stop();
}
