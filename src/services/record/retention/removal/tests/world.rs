//! A recorder's disks and files, with footage that goes and footage that stays; and the recorder's life on them, which can end at any
//! change.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use tempfile::TempDir;
use uuid::Uuid;

use super::{
    super::*,
    power::{CutDisk, CutIndex, Power, copy_index, durable},
};
use crate::{
    ledger::{self, Gate, Log, Pace, Place, Setup as LedgerSetup},
    retention::{
        holds::{Cameras, Expected, Extent, Order, Salt, Stamp},
        policy::Piece,
    },
    services::record::retention::Traces,
    store::{
        self, Timing, VolumeSetup,
        index::{Batch, RunRow, Writer},
        recovery::{self, Beside, Finding, Reconciled},
        volume::{self, Volume},
    },
    sys::{Cut, FakeClock, FakeFiles, Files as _, RealDisk},
    types::{ByteSize, RunId, SegmentId, StreamKey, StreamKind, WallNs},
};

/// 2026-11-22T08:00:00Z.
pub(super) const NOW: WallNs = WallNs(1_795_334_400_000_000_000);
const HOUR: i64 = 3_600_000_000_000;
const DAY: i64 = 24 * HOUR;

pub(super) fn name() -> VolumeName {
    "a1".parse().unwrap()
}

/// What is there once: a volume, an index, a ledger with an entry, a hold.
pub(super) struct Template {
    dir: TempDir,
    files: FakeFiles,
    /// All segments with what is in their files.
    pub(super) rows: Vec<SegmentRow>,
    /// Those that the policy has decided on. One of them is held by now.
    pub(super) going: Vec<Retirement>,
    pub(super) held: SegmentId,
}

fn contents(row: &SegmentRow) -> Vec<u8> {
    format!("{:?}", row.id).repeat(3).into_bytes()
}

fn clock() -> FakeClock {
    FakeClock::at(NOW)
}

/// Segments of a camera: so many days ago, so many of them, one an hour.
fn segments(camera: &str, days: &[(i64, u32)], batch: &mut Batch) -> Vec<SegmentRow> {
    let stream = crate::types::StreamId::from_bytes(Uuid::new_v4().into_bytes());
    let key = StreamKey { id: stream, camera: camera.parse().unwrap(), kind: StreamKind::Main };
    batch.streams.insert(key.clone());
    let mut rows = Vec::new();
    for (ago, count) in days {
        let run = RunId::from(Uuid::now_v7());
        let first = NOW.offset(-ago * DAY);
        let row = RunRow {
            id: run,
            stream: key.clone(),
            start: first,
            clock_correction: 0,
            before: None,
            mime: "video/mp4".into(),
            size: (64, 64),
            recorder: "a".parse().unwrap(),
        };
        batch.runs.insert(run, row);
        for seq in 0..*count {
            let start = first.offset(i64::from(seq) * HOUR);
            let mut row = SegmentRow {
                id: SegmentId { stream, run, seq },
                volume: name(),
                path: layout::segment_path(&key.camera, key.kind, start, run, seq),
                span: Span { start, end: start.offset(HOUR) },
                raw_start: start,
                clock_correction: 0,
                bytes: 0,
                frames: 1,
                lost_packets: 0,
                state: SegmentState::Closed,
                holes: Vec::new(),
                root: None,
            };
            row.bytes = contents(&row).len() as u64;
            rows.push(row);
        }
    }
    rows
}

#[expect(clippy::disallowed_methods, reason = "folders of a test's own volume")]
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(path, to).unwrap();
        }
    }
}

impl Template {
    #[expect(clippy::disallowed_methods, reason = "folders of a test's own volume")]
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = FakeFiles::new();
        files.make_dir(Path::new("/tick")).unwrap();
        let mut batch = Batch::default();
        // Two days that go, one of which something of stays for a hold; one that is promised; and another camera's only day.
        let gate = segments("gate", &[(30, 3), (29, 3), (1, 2)], &mut batch);
        let yard = segments("yard", &[(28, 1)], &mut batch);
        let held = gate[4].id;
        let going = |row: &SegmentRow| Retirement {
            camera: layout::stream_of(&row.path).unwrap().0,
            volume: name(),
            piece: Piece { segment: row.id, span: row.span, bytes: row.bytes, held: false },
            reason: Reason::MaxDays,
        };
        let going = gate[..6].iter().chain(&yard).map(going).collect();
        let root = dir.path().join("a1");
        volume::init(&RealDisk, &name(), &root, "Trường", NOW).unwrap();
        let rows: Vec<SegmentRow> = gate.into_iter().chain(yard).collect();
        for row in &rows {
            fs::create_dir_all(root.join(&row.path).parent().unwrap()).unwrap();
            fs::write(root.join(&row.path), contents(row)).unwrap();
            batch.segment(row.clone());
        }
        Writer::open(&dir.path().join("index.db")).unwrap().apply(&batch).unwrap();
        Self { dir, files, rows, going, held }
    }

    /// A machine as it was then.
    pub(super) fn machine(&self) -> Machine {
        let dir = tempfile::tempdir().unwrap();
        copy(&self.dir.path().join("a1"), &dir.path().join("a1"));
        let index = dir.path().join("index.db");
        copy_index(&self.dir.path().join("index.db"), &index);
        let files = self.files.copy();
        for folder in ["state", "a1"] {
            let path = dir.path().join(folder);
            let above: Vec<&Path> = path.ancestors().filter(|p| p.parent().is_some()).collect();
            above.into_iter().rev().for_each(|p| files.make_dir(p).unwrap());
        }
        let machine = Machine { dir, files, index, lives: 0 };
        // The first life makes the ledger, and the hold.
        let life = machine.start(Cut::After);
        life.hold(self.rows.iter().find(|r| r.id == self.held).unwrap(), 1);
        life.end();
        machine
    }
}

/// Which disks lose what was not durable when the power is cut: one may have got around to it when another one has not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lost {
    /// The one with the footage.
    pub(super) footage: bool,
    /// The one with the index and the ledger.
    pub(super) system: bool,
}

/// Disks and files.
pub(super) struct Machine {
    dir: TempDir,
    files: FakeFiles,
    index: PathBuf,
    lives: u32,
}

impl Machine {
    fn root(&self) -> PathBuf {
        self.dir.path().join("a1")
    }

    /// The recorder starts.
    pub(super) fn start(&self, how: Cut) -> Life {
        let power = Power::new(self.files.clone(), how);
        let disk =
            CutDisk::new(power.clone(), self.dir.path().join(format!("limbo-{}-{}", self.lives, Uuid::new_v4())));
        let reader = || Reader::open(&self.index).unwrap();
        let queue = CutIndex::new(power.clone(), &self.index);
        let traces = Traces { ledger: None, on_volumes: None, is_new: true };
        let looked_at = clock();
        let retention = Retention::new(Arc::new(looked_at.clone()), self.dir.path().join("retention.json"), &traces);
        let known = recovery::known(&reader()).unwrap();
        let index = Arc::new(IndexQueue::start(queue, self.index.clone()).unwrap());
        let volume = volume::open(&disk, &name(), &self.root(), None).unwrap();
        let hour = Duration::from_hours(1);
        let timing = Timing { commit: hour, limit: hour, retry: hour };
        let space = volume.space(&disk).unwrap();
        let store = Store::start(store::Setup {
            volumes: vec![VolumeSetup { volume: volume.clone(), space, traces: Vec::new(), timing }],
            volume_count: 1,
            memory: ByteSize(1 << 20),
            disk: Arc::new(disk.clone()),
            clock: Arc::new(clock()),
            index: index.clone(),
            known: known.traces,
            renamed: Vec::new(),
            places: [].into(),
            downtime: Cause::new(CauseKind::Restart, "the power failed"),
        })
        .unwrap();
        let journal = Journal::start(LedgerSetup {
            place: place(),
            spool: "/spool".into(),
            recorder: "a".parse().unwrap(),
            clock: Arc::new(clock()),
            files: Arc::new(self.files.clone()),
            pace: Pace { gather: Duration::from_millis(1), retry: Duration::from_millis(1) },
            gate: Box::new(|log| {
                let begins = What::LogBegins { site: "Trường".into(), predecessor: None };
                Gate::Open(if log.size() == 0 { vec![begins] } else { Vec::new() })
            }),
        })
        .unwrap();
        until("the ledger", || journal.status().size.is_some_and(|n| n > 0));
        let expected = Expected { volumes: [name()].into(), renamed: Vec::new() };
        let holds = Keeper::open(Arc::new(self.files.clone()), &self.dir.path().join("state"), expected, NOW);
        holds.mount([volume.clone()], NOW);
        assert!(index.flush(Duration::from_secs(20)));
        Life {
            power,
            disk,
            index,
            path: self.index.clone(),
            store,
            volume,
            journal,
            holds,
            retention,
            clock: looked_at,
            stopping: AtomicBool::new(false),
        }
    }

    /// After a cut: with what was not durable, or without.
    pub(super) fn power_on(&mut self, life: &Life, lost: Lost) {
        life.disk.power_on(lost.footage);
        let index = self.dir.path().join(format!("index-{}.db", Uuid::new_v4()));
        copy_index(&if lost.system { durable(&self.index) } else { self.index.clone() }, &index);
        // The life that ended sees nothing of what comes.
        self.files = self.files.copy();
        self.files.power_on(lost.system);
        (self.index, self.lives) = (index, self.lives + 1);
    }

    pub(super) fn is_there(&self, row: &SegmentRow) -> bool {
        fs::read(self.root().join(&row.path)).is_ok_and(|bytes| bytes == contents(row))
    }

    /// Files below the volume's footage, and folders in which there is nothing.
    pub(super) fn found(&self) -> (BTreeSet<String>, Vec<PathBuf>) {
        let (mut files, mut empty) = (BTreeSet::new(), Vec::new());
        let mut dirs = vec![self.root().join(layout::FOOTAGE)];
        while let Some(dir) = dirs.pop() {
            let entries: Vec<PathBuf> = fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
            if entries.is_empty() {
                empty.push(dir);
            }
            for path in entries {
                let name = path.strip_prefix(self.root()).unwrap().to_str().unwrap().to_owned();
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    files.insert(name);
                }
            }
        }
        (files, empty)
    }

    /// What readers of the index see.
    pub(super) fn seen(&self) -> Vec<SegmentRow> {
        let index = Reader::open(&self.index).unwrap();
        let streams = index.streams().unwrap();
        streams.iter().flat_map(|s| index.segments(s.key.id, Span::all()).unwrap()).collect()
    }

    /// All rows, those that are marked too.
    pub(super) fn rows(&self) -> Vec<SegmentRow> {
        Reader::open(&self.index).unwrap().volume_segments(&name()).unwrap()
    }

    /// What the ledger calls removed.
    pub(super) fn told(&self) -> BTreeMap<(RunId, u32), usize> {
        let log = Log::open(Arc::new(self.files.copy()), &place()).unwrap().view();
        assert_eq!(ledger::verify(&log, &[], &mut |_| ()).flaws, []);
        let mut told = BTreeMap::new();
        for record in log.records(0..log.size()) {
            if let What::Retired { segments, .. } = record.unwrap().entry().unwrap().what {
                segments.into_iter().for_each(|segment| *told.entry(segment).or_default() += 1);
            }
        }
        told
    }
}

fn place() -> Place {
    Place { dir: "/ledger".into(), credential: None, origin: "custodian/school/a/record".into() }
}

/// A recorder at work.
pub(super) struct Life {
    pub(super) power: Power,
    disk: CutDisk,
    pub(super) index: Arc<IndexQueue>,
    path: PathBuf,
    pub(super) store: Store,
    volume: Volume,
    journal: Journal,
    holds: Keeper,
    retention: Retention,
    /// The clock by which it was decided.
    pub(super) clock: FakeClock,
    stopping: AtomicBool,
}

struct Alone<'a>(&'a Store);

impl Beside for Alone<'_> {
    fn is_live(&self, _: RunId) -> bool {
        false
    }
    fn go_on(&self) -> bool {
        true
    }
    fn found(&mut self, finding: Finding) {
        self.0.found(finding);
    }
}

impl Life {
    /// A removal.
    pub(super) fn pass(&self, retirements: &[Retirement]) -> Result<(), RemovalError> {
        self.pass_of([0; 32], retirements)
    }

    /// Of what was decided by that site.
    pub(super) fn pass_of(&self, site: [u8; 32], retirements: &[Retirement]) -> Result<(), RemovalError> {
        let ground = Ground {
            store: &self.store,
            index: &self.index,
            path: self.path.clone(),
            journal: &self.journal,
            holds: &self.holds,
            retention: &self.retention,
            stopping: &self.stopping,
            site: &|| [0; 32],
        };
        try_carry_out(&ground, &name(), &Decided { list: retirements.to_vec(), site })?;
        self.index.flush(Duration::from_secs(20));
        Ok(())
    }

    /// What a recorder does with a volume before anything goes.
    pub(super) fn compare(&self) -> Reconciled {
        let rows = Reader::open(&self.path).unwrap().volume_segments(&name()).unwrap();
        let report = recovery::reconcile(&self.disk, &self.volume, rows, &mut Alone(&self.store));
        assert!(self.index.flush(Duration::from_secs(20)));
        self.store.remove_empty_days(&name()).unwrap();
        report
    }

    /// Somebody holds a segment.
    pub(super) fn hold(&self, row: &SegmentRow, n: u128) {
        let camera = layout::stream_of(&row.path).unwrap().0;
        // A little of it is enough.
        let within = Span { start: row.span.start.offset(HOUR / 4), end: row.span.start.offset(HOUR / 2) };
        let extent = Extent::new(Cameras::These([camera].into()), within).unwrap();
        let words = |text: &str| text.parse().unwrap();
        let order = Order {
            by: words("Nguyễn Thị Hoa"),
            reason: words("Va chạm ở cổng"),
            case: None,
            entered_by: words("it"),
            even_if_short: false,
        };
        let (by_salt, reason_salt) = (Salt::new([1; 16]), Salt::new([2; 16]));
        let stamp = Stamp { id: Uuid::from_u128(n), at: NOW, by_salt, reason_salt };
        let add = self.holds.apply(|holds| {
            holds.add(Uuid::from_u128(n).into(), extent, "2026-12-22".parse().unwrap(), order, stamp);
            Ok(())
        });
        assert_eq!(add.unwrap(), []);
    }

    /// Its threads end: in order, or because there is no power any more.
    pub(super) fn end(&self) {
        self.journal.stop();
        self.store.stop();
    }

    /// The power is off: what still waits for it is left to itself.
    pub(super) fn perish(self: Arc<Self>) {
        self.power.settle();
        std::thread::spawn(move || self.end());
    }
}

pub(super) fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if done() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    panic!("waited 20 s for: {what}");
}
