//! The store with its disks broken on purpose.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;

use super::{
    index::{Batch, IndexQueue, Reader, RunRow, SegmentRow, SegmentState, Writer},
    recovery::{self, Beside, Finding, Known, Reconciled},
    *,
};
use crate::{
    sys::{FakeClock, Faults, FaultyDisk, RealDisk},
    types::{
        ByteSize, CauseKind, Codec, Run, RunId, Sample, SharedLeaf, Span, StreamKey, Track, TrackKind, VolumeName,
        WallNs, wire,
    },
};

mod damaged;
mod faults;
mod retire;
mod standstill;

const T0: i64 = 1_795_337_700_000_000_000;
const S: i64 = 1_000_000_000;

struct Bench {
    dir: tempfile::TempDir,
    clock: FakeClock,
    disk: FaultyDisk,
    faults: Arc<Faults>,
    store: Option<Store>,
}

impl Bench {
    fn new(volumes: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        for v in volumes {
            volume::init(&disk, &v.parse().unwrap(), &dir.path().join(v), "Trường", WallNs(T0)).unwrap();
        }
        let faults = disk.faults();
        let mut bench = Self { dir, clock: FakeClock::at(WallNs(T0)), disk, faults, store: None };
        bench.start(1 << 30);
        bench
    }

    fn index_path(&self) -> PathBuf {
        self.dir.path().join("index.db")
    }

    fn volumes(&self) -> Vec<volume::Volume> {
        ["a1", "a2"]
            .iter()
            .filter_map(|v| volume::open(&self.disk, &v.parse().unwrap(), &self.dir.path().join(v), None).ok())
            .collect()
    }

    fn start(&mut self, memory: u64) {
        let path = self.index_path();
        let writer = Writer::open(&path).unwrap();
        let known = recovery::known(&Reader::open(&path).unwrap()).unwrap();
        let store = Store::start(Setup {
            volumes: self.volumes().into_iter().map(|volume| self.setup(volume, &known)).collect(),
            volume_count: 2,
            memory: ByteSize(memory),
            disk: Arc::new(self.disk.clone()),
            clock: Arc::new(self.clock.clone()),
            index: Arc::new(IndexQueue::start(writer, path).unwrap()),
            known: known.traces,
            renamed: vec![("old-gate".parse().unwrap(), "new-gate".parse().unwrap())],
            places: [].into(),
            downtime: Cause::new(CauseKind::Restart, "killed"),
        })
        .unwrap();
        self.store = Some(store);
    }

    fn setup(&self, volume: volume::Volume, known: &Known) -> VolumeSetup {
        let timing = Timing {
            commit: Duration::from_millis(10),
            limit: Duration::from_secs(3),
            retry: Duration::from_millis(10),
        };
        let traces = recovery::look(&volume, &"a".parse().unwrap(), known);
        VolumeSetup { space: volume.space(&self.disk).unwrap(), volume, traces, timing }
    }

    /// Compares a volume with the index, beside the store at work.
    fn reconcile(&self, volume: &VolumeName) -> Reconciled {
        let rows = self.reader().volume_segments(volume).unwrap();
        let found = self.store().volume(volume).unwrap();
        recovery::reconcile(&RealDisk, &found, rows, &mut AtWork { store: self.store(), volume })
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn run(&self, camera: &str) -> Arc<Run> {
        let camera: CameraId = camera.parse().unwrap();
        let id = self.store().stream_id(&camera, StreamKind::Main);
        Arc::new(run(StreamKey { id, camera, kind: StreamKind::Main }))
    }

    fn reader(&self) -> Reader {
        Reader::open(&self.index_path()).unwrap()
    }

    fn rows(&self, run: &Run) -> Vec<SegmentRow> {
        self.reader().segments(run.stream.id, Span::all()).unwrap()
    }

    /// Everything that the index says of a stream, apart from how segments came to be closed.
    fn story(&self, stream: StreamId) -> (Vec<RunRow>, Vec<SegmentRow>, Vec<wire::Gap>) {
        let r = self.reader();
        (r.runs(stream).unwrap(), r.segments(stream, Span::all()).unwrap(), r.gaps(stream, Span::all()).unwrap())
    }
}

struct AtWork<'a> {
    store: &'a Store,
    volume: &'a VolumeName,
}

impl Beside for AtWork<'_> {
    fn is_live(&self, run: RunId) -> bool {
        self.store.is_live(run, self.volume)
    }
    fn go_on(&self) -> bool {
        true
    }
    fn found(&mut self, finding: Finding) {
        self.store.found(finding);
    }
}

/// What is found where no recorder is at work.
#[derive(Default)]
struct Alone(Vec<Finding>);

impl Beside for Alone {
    fn is_live(&self, _: RunId) -> bool {
        false
    }
    fn go_on(&self) -> bool {
        true
    }
    fn found(&mut self, finding: Finding) {
        self.0.push(finding);
    }
}

fn run(stream: StreamKey) -> Run {
    Run {
        id: RunId::from(uuid::Uuid::now_v7()),
        stream,
        site: "Trường".into(),
        recorder: "a".parse().unwrap(),
        tracks: vec![Track {
            kind: TrackKind::Video,
            codec: Codec::H264,
            timescale: 90_000,
            sample_entry: sample_entry(),
            rfc6381: Some("avc1.42c01f".into()),
            size: (1280, 720),
        }],
        start: WallNs(T0),
        clock_correction: 0,
        before: None,
    }
}

/// An `avc1` box with an `avcC` of no parameter sets: the store does not look inside.
fn sample_entry() -> Bytes {
    let mut b = vec![0; 86];
    b[..8].copy_from_slice(&[0, 0, 0, 101, b'a', b'v', b'c', b'1']);
    b[15] = 1;
    b[32..36].copy_from_slice(&[5, 0, 2, 208]);
    b.extend([0, 0, 0, 15, b'a', b'v', b'c', b'C', 1, 66, 192, 31, 255, 224, 0]);
    Bytes::from(b)
}

/// One second of 10 pictures.
fn fragment(run: &Arc<Run>, seq: u32, number: u32) -> Fragment {
    let start = WallNs(T0 + i64::from(number) * S);
    let samples = (0..10)
        .map(|i| Sample {
            track: 0,
            dts: u64::from(number) * 90_000 + i * 9000,
            duration: 9000,
            cts: 0,
            key: i == 0,
            data: Bytes::from(vec![u8::try_from(i).unwrap(); 1000]),
        })
        .collect();
    Fragment {
        run: run.clone(),
        seq,
        number,
        span: Span { start, end: start.offset(S) },
        samples,
        lost_packets: 0,
        dropped_frames: 0,
        reports: Vec::new(),
        leaf: SharedLeaf::default(),
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..4000 {
        if done() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    panic!("waited 20 s for: {what}");
}

fn at(seconds: i64) -> WallNs {
    WallNs(T0 + seconds * S)
}

fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![root.join("footage")];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { dirs.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

fn reindexed(bench: &Bench) -> Writer {
    let path = bench.index_path();
    std::fs::remove_file(&path).unwrap();
    let mut writer = Writer::open(&path).unwrap();
    let traces: Vec<_> =
        bench.volumes().iter().flat_map(|v| recovery::look(v, &"a".parse().unwrap(), &Known::default())).collect();
    let names = identity::settle(&traces).into_iter().collect();
    writer.apply(&index::Batch { streams: names, ..index::Batch::default() }).unwrap();
    for v in bench.volumes() {
        let mut alone = Alone::default();
        recovery::reconcile(&RealDisk, &v, Vec::new(), &mut alone);
        let mut batch = index::Batch::default();
        for finding in alone.0 {
            let Finding::Segment(rows) = finding else { panic!("an empty index has no rows to lose") };
            batch.runs.insert(rows.0.id, rows.0);
            batch.segment(rows.1);
        }
        writer.apply(&batch).unwrap();
    }
    writer
}

#[test]
fn what_is_written_is_committed_indexed_and_found_again() {
    let bench = Bench::new(&["a1"]);
    let run = bench.run("gate-1");
    let volume = bench.store().choose(run.stream.id, None).unwrap();
    for n in 0..4 {
        bench.store().write(&volume, fragment(&run, n / 2, n)).unwrap();
    }
    until("the commit", || bench.store().committed(run.stream.id) == Some(at(4)));
    bench.store().stop();
    let kept = bench.story(run.stream.id);
    assert_eq!(kept.1.len(), 2);
    assert!(kept.1.iter().all(|s| s.state == SegmentState::Closed && s.frames == 20));
    no_flaw(&bench, &kept.1);
    for s in &kept.1 {
        let path = bench.dir.path().join("a1").join(&s.path);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), s.bytes);
        let file = std::fs::File::open(path).unwrap();
        let segment = format::read(&file, s.bytes).unwrap();
        assert!(segment.closed.is_some_and(|c| !c.recovered && c.frames == 20));
    }
    drop(reindexed(&bench));
    assert_eq!(bench.story(run.stream.id), kept);
}

#[test]
fn a_camera_goes_where_it_is_pinned_even_if_it_is_recorded_elsewhere() {
    let bench = Bench::new(&["a1", "a2"]);
    let run = bench.run("gate-1");
    let here = bench.store().choose(run.stream.id, None).unwrap();
    bench.store().write(&here, fragment(&run, 0, 0)).unwrap();
    let there: VolumeName = if here.as_str() == "a1" { "a2" } else { "a1" }.parse().unwrap();
    let place = Place { volumes: vec![there.clone()], copies: 1 };
    bench.store().lay([("gate-1".parse().unwrap(), place)].into());
    assert_eq!(bench.store().choose(run.stream.id, None), Some(there.clone()));
    assert_eq!(bench.store().choose(run.stream.id, Some(&there)), Some(here.clone()), "not while it refuses");
    bench.store().lay([].into());
    assert_eq!(bench.store().choose(run.stream.id, None), Some(here));
}

#[test]
fn a_disk_that_fails_keeps_what_was_committed_and_its_cameras_move() {
    for fault in ["write", "room", "sync"] {
        let bench = Bench::new(&["a1", "a2"]);
        let run = bench.run("gate-1");
        let mut events = bench.store().events();
        let volume = bench.store().choose(run.stream.id, None).unwrap();
        for n in 0..3 {
            bench.store().write(&volume, fragment(&run, 0, n)).unwrap();
        }
        until("the commit", || bench.store().committed(run.stream.id) == Some(at(3)));
        let switch = match fault {
            "write" => &bench.faults.write_error,
            "room" => &bench.faults.no_room,
            _ => &bench.faults.sync_error,
        };
        switch.store(true, Ordering::SeqCst);
        // A failing sync is only noticed by the next commit.
        let mut n = 3;
        until("the failure", || {
            let _ = bench.store().write(&volume, fragment(&run, 0, n));
            n += 1;
            events.try_recv().is_ok_and(|e| matches!(e, StoreEvent::VolumeFailed { volume: v, .. } if v == volume))
        });
        assert!(matches!(bench.store().write(&volume, fragment(&run, 0, n)), Err(Refused::Failed { .. })));
        assert_eq!(bench.store().last_end(run.stream.id), Some(at(3)), "only what was committed counts");
        let other = bench.store().choose(run.stream.id, None).unwrap();
        assert_ne!(other, volume);

        switch.store(false, Ordering::SeqCst);
        until("its return", || matches!(events.try_recv(), Ok(StoreEvent::VolumeBack(v)) if v == volume));
        assert_eq!(bench.store().choose(run.stream.id, None), Some(volume.clone()), "the camera goes home");
        // What could not be closed while the disk failed is closed by the look at the volume that follows its return.
        let mended = bench.reconcile(&volume);
        assert_eq!((mended.segments, mended.gone), (1, 0));
        until("the closed segment", || bench.rows(&run).first().is_some_and(|s| s.state != SegmentState::Open));
        let row = &bench.rows(&run)[0];
        assert_eq!((row.span.end, row.frames), (at(3), 30));
        // The failed run stays ended, whatever is still in flight.
        bench.store().write(&volume, fragment(&run, 0, n)).unwrap();
        bench.store().stop();
        assert_eq!(bench.rows(&run).len(), 1);
        let kept = bench.story(run.stream.id);
        no_flaw(&bench, &kept.1);
        drop(reindexed(&bench));
        assert_eq!(bench.story(run.stream.id), kept);
    }
}

/// Who reads the files again finds them as the index says they are.
fn no_flaw(bench: &Bench, rows: &[SegmentRow]) {
    for row in rows {
        let bytes = std::fs::read(bench.dir.path().join(row.volume.as_str()).join(&row.path)).unwrap();
        let flaws = verify::examine(&bytes, bytes.len() as u64, &verify::Wanted::by_index(row, None));
        assert_eq!(flaws, [], "{row:?}");
    }
}

#[test]
fn a_hanging_disk_is_noticed_and_hinders_nobody() {
    let bench = Bench::new(&["a1", "a2"]);
    let run = bench.run("gate-1");
    let volume = bench.store().choose(run.stream.id, None).unwrap();
    bench.store().write(&volume, fragment(&run, 0, 0)).unwrap();
    until("the commit", || bench.store().committed(run.stream.id) == Some(at(1)));
    bench.faults.hang(true);
    bench.store().write(&volume, fragment(&run, 0, 1)).unwrap();
    until("the writer to hang", || {
        bench.clock.advance(Duration::from_secs(1));
        bench.store().write(&volume, fragment(&run, 0, 2)).is_err()
    });
    assert_ne!(bench.store().choose(run.stream.id, None), Some(volume.clone()));
    bench.faults.hang(false);
    let back = || bench.store().volumes().iter().all(|v| v.healthy);
    until("its return", back);
    bench.store().stop();
}

#[test]
fn a_slow_disk_fills_its_share_and_no_more() {
    let mut bench = Bench::new(&["a1", "a2"]);
    bench.store().stop();
    bench.start(50_000);
    let run = bench.run("gate-1");
    let volume = bench.store().choose(run.stream.id, None).unwrap();
    bench.faults.hang(true);
    let refused = (0..10).find_map(|n| bench.store().write(&volume, fragment(&run, 0, n)).err());
    assert_eq!(refused, Some(Refused::Slow(volume.clone())));
    let queued: u64 = bench.store().volumes().iter().map(|v| v.queued.0).sum();
    assert!(queued <= 25_000, "{queued} bytes wait, the volume's share is 25000");
    assert_ne!(bench.store().choose(run.stream.id, Some(&volume)), Some(volume.clone()));
    // What had to wait for it says so.
    bench.clock.advance(Duration::from_secs(1));
    bench.faults.hang(false);
    let latency = || bench.store().volumes().into_iter().find(|v| v.name == volume).unwrap().writer_latency;
    until("what was queued to be written", || latency().is_some_and(|l| l.p50_us >= 1_000_000));
    bench.store().stop();
}

#[test]
fn a_full_disk_closes_what_it_has() {
    let bench = Bench::new(&["a1"]);
    let run = bench.run("gate-1");
    let volume = bench.store().choose(run.stream.id, None).unwrap();
    bench.store().write(&volume, fragment(&run, 0, 0)).unwrap();
    until("the commit", || bench.store().committed(run.stream.id) == Some(at(1)));
    bench.faults.full.store(true, Ordering::SeqCst);
    until("the volume to be full", || !bench.store().volumes()[0].healthy);
    assert!(bench.store().volumes()[0].problem.as_ref().unwrap().contains("full"));
    assert_eq!(bench.store().choose(run.stream.id, None), None);
    bench.faults.full.store(false, Ordering::SeqCst);
    until("its return", || bench.store().volumes()[0].healthy);
    bench.store().stop();
    assert_eq!(bench.rows(&run)[0].state, SegmentState::Closed);
}

#[test]
fn a_volume_that_lost_its_marker_is_not_written_to() {
    let bench = Bench::new(&["a1"]);
    let run = bench.run("gate-1");
    let volume: VolumeName = bench.store().choose(run.stream.id, None).unwrap();
    let root = bench.dir.path().join("a1");
    std::fs::rename(&root, bench.dir.path().join("unmounted")).unwrap();
    std::fs::create_dir(&root).unwrap();
    bench.store().write(&volume, fragment(&run, 0, 0)).unwrap();
    until("the failure", || !bench.store().volumes()[0].healthy);
    bench.store().stop();
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0, "nothing was written below the missing mount");
}

#[test]
fn torn_files_are_closed_and_foreign_ones_left_alone() {
    let mut bench = Bench::new(&["a1"]);
    let run = bench.run("gate-1");
    let volume = bench.store().choose(run.stream.id, None).unwrap();
    for n in 0..3 {
        bench.store().write(&volume, fragment(&run, 0, n)).unwrap();
    }
    until("the commit", || bench.store().committed(run.stream.id) == Some(at(3)));
    bench.store().stop();
    let root = bench.dir.path().join("a1");
    let file = files(&root).remove(0);
    // Torn: the closing boxes and half a fragment are gone, garbage follows.
    let bytes = std::fs::read(&file).unwrap();
    let entry = format::read(&bytes[..], bytes.len() as u64).unwrap().fragments[2];
    let mut torn = bytes[..usize::try_from(entry.offset + entry.len / 2).unwrap()].to_vec();
    torn.extend([0x5a; 10_000]);
    std::fs::write(&file, &torn).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    std::fs::write(file.with_file_name(name.replace("-000000", "-000007")), b"").unwrap();
    let foreign = file.with_file_name("holiday.mp4");
    std::fs::write(&foreign, b"somebody's").unwrap();
    let damaged = file.with_file_name(name.replace("-000000", "-000008"));
    std::fs::write(&damaged, vec![0xff; 5000]).unwrap();

    drop(reindexed(&bench));
    let (_, segments, _) = bench.story(run.stream.id);
    assert_eq!(segments.len(), 1);
    assert_eq!((segments[0].state, segments[0].frames, segments[0].span.end), (SegmentState::Recovered, 20, at(2)));
    assert_eq!(std::fs::read(&foreign).unwrap(), b"somebody's");
    assert_eq!(std::fs::read(&damaged).unwrap(), vec![0xff; 5000]);
    let first = std::fs::read(&file).unwrap();
    drop(reindexed(&bench));
    assert_eq!(std::fs::read(&file).unwrap(), first, "a second recovery changes nothing");

    bench.start(1 << 30);
    assert_eq!(bench.store().last_end(run.stream.id), Some(at(2)));
    assert_eq!(bench.store().pending_gap(run.stream.id).unwrap().cause.kind, CauseKind::Restart);
    bench.store().stop();
}

#[test]
fn a_camera_keeps_its_recording_under_a_new_name() {
    let mut bench = Bench::new(&["a1"]);
    let run = bench.run("old-gate");
    bench.store().write(&"a1".parse().unwrap(), fragment(&run, 0, 0)).unwrap();
    bench.store().stop();
    bench.start(1 << 30);
    let id = bench.store().stream_id(&"new-gate".parse().unwrap(), StreamKind::Main);
    assert_eq!(id, run.stream.id);
    bench.store().stop();
    assert_eq!(bench.reader().streams().unwrap()[0].key.camera.as_str(), "new-gate");
}
