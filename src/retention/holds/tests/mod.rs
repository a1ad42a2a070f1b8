mod charge;
mod copies;
mod cuts;
mod merge;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::{
    store::volume::{self, Volume},
    sys::{Files, RealDisk, RealFiles, unfinished},
    types::{CameraId, HoldId, Span, VolumeName, WallNs},
};

/// 2026-11-22T08:00:00Z.
const NOW: WallNs = WallNs(1_795_334_400_000_000_000);
const HOUR: i64 = 3_600_000_000_000;
const DAY: i64 = 24 * HOUR;

fn camera(name: &str) -> CameraId {
    name.parse().unwrap()
}

fn name(name: &str) -> VolumeName {
    name.parse().unwrap()
}

fn id(n: u128) -> HoldId {
    Uuid::from_u128(n).into()
}

/// Hours from now.
fn hours(from: i64, to: i64) -> Span {
    Span { start: NOW.offset(from * HOUR), end: NOW.offset(to * HOUR) }
}

fn these(names: &[&str]) -> Cameras {
    Cameras::These(names.iter().map(|n| camera(n)).collect())
}

fn extent(cameras: Cameras, span: Span) -> Extent {
    Extent::new(cameras, span).unwrap()
}

fn order(reason: &str) -> Order {
    Order {
        by: "Nguyễn Thị Hoa".parse().unwrap(),
        reason: reason.parse().unwrap(),
        case: Some("BB 12/2026".parse().unwrap()),
        entered_by: "it".parse().unwrap(),
        even_if_short: false,
    }
}

fn stamp(n: u128) -> Stamp {
    let at = NOW.offset(i64::try_from(n).unwrap());
    Stamp { id: Uuid::from_u128(n), at, by_salt: Salt::new([1; 16]), reason_salt: Salt::new([2; 16]) }
}

fn review() -> Day {
    "2026-12-22".parse().unwrap()
}

/// So many changes are let through; the next one and all after it fail.
struct Fuse(AtomicI64);

const WHOLE: i64 = 1_000_000;

/// A folder whose disk does not answer, if there is one.
#[derive(Default)]
struct Hanging {
    dir: Mutex<Option<PathBuf>>,
    changed: Condvar,
}

impl Hanging {
    fn set(&self, dir: Option<PathBuf>) {
        *self.dir.lock().unwrap() = dir;
        self.changed.notify_all();
    }

    fn wait(&self, path: &Path) {
        let hangs = |dir: &mut Option<PathBuf>| dir.as_ref().is_some_and(|dir| path.starts_with(dir));
        drop(self.changed.wait_while(self.dir.lock().unwrap(), hangs).unwrap());
    }
}

/// Files that leave half of what they write when they are cut short; some folders can refuse all along, one can hang.
struct CutFiles {
    fuse: Arc<Fuse>,
    refused: Arc<[(PathBuf, AtomicBool)]>,
    hanging: Arc<Hanging>,
}

impl CutFiles {
    fn burn(&self, path: &Path) -> io::Result<()> {
        self.hanging.wait(path);
        if self.refused.iter().any(|(dir, refuses)| path.starts_with(dir) && refuses.load(Ordering::SeqCst)) {
            return Err(io::Error::other("no"));
        }
        if self.fuse.0.fetch_sub(1, Ordering::SeqCst) > 0 { Ok(()) } else { Err(io::Error::other("cut")) }
    }
}

impl Files for CutFiles {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        RealFiles.read(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealFiles.list(dir)
    }
    fn target(&self, link: &Path) -> io::Result<Option<PathBuf>> {
        RealFiles.target(link)
    }
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.burn(path)?;
        RealFiles.make_dir(path)
    }
    fn write(&self, path: &Path, bytes: &[u8], mode: u32, group: Option<u32>) -> io::Result<()> {
        if let Err(e) = self.burn(path) {
            fs::write(unfinished(path), &bytes[..bytes.len() / 2])?;
            return Err(e);
        }
        RealFiles.write(path, bytes, mode, group)
    }
    fn point(&self, link: &Path, to: &Path) -> io::Result<()> {
        self.burn(link)?;
        RealFiles.point(link, to)
    }
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.burn(from)?;
        RealFiles.replace(from, to)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.burn(from)?;
        RealFiles.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.burn(path)?;
        RealFiles.remove(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.burn(path)?;
        RealFiles.remove_dir(path)
    }
}

const VOLUMES: [&str; 3] = ["v1", "v2", "v3"];

/// A recorder's folder and three volumes.
struct World {
    dir: TempDir,
    volumes: Vec<Volume>,
    fuse: Arc<Fuse>,
    refused: Arc<[(PathBuf, AtomicBool)]>,
    hanging: Arc<Hanging>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = |name: &str| dir.path().join(name);
        let volumes =
            VOLUMES.map(|v| volume::init(&RealDisk, &v.parse().unwrap(), &root(v), "school", NOW).unwrap()).to_vec();
        fs::create_dir(root("state")).unwrap();
        let refused = ["state", "v1", "v2", "v3"].map(|n| (root(n), AtomicBool::new(false)));
        let fuse = Arc::new(Fuse(AtomicI64::new(WHOLE)));
        Self { volumes, fuse, refused: Arc::new(refused), hanging: Arc::default(), dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn on(&self, volume: &str) -> PathBuf {
        self.path(volume).join(file::ON_VOLUME)
    }

    fn own(&self) -> PathBuf {
        self.path("state").join(file::IN_STATE)
    }

    /// Whether a folder refuses from now on.
    fn refuse(&self, name: &str, on: bool) {
        let (_, refuses) = self.refused.iter().find(|(dir, _)| *dir == self.path(name)).unwrap();
        refuses.store(on, Ordering::SeqCst);
    }

    fn cut_after(&self, changes: i64) {
        self.fuse.0.store(changes, Ordering::SeqCst);
    }

    fn volume(&self, name: &str) -> Volume {
        self.volumes.iter().find(|v| v.name.as_str() == name).unwrap().clone()
    }

    /// A recorder starts, and finds these volumes.
    fn start(&self, there: &[&str]) -> Keeper {
        let (fuse, refused, hanging) = (self.fuse.clone(), self.refused.clone(), self.hanging.clone());
        self.start_on(Arc::new(CutFiles { fuse, refused, hanging }), there)
    }

    fn start_on(&self, files: Arc<dyn Files>, there: &[&str]) -> Keeper {
        let expected = Expected { volumes: VOLUMES.map(name).into(), renamed: Vec::new() };
        let keeper = Keeper::open(files, &self.path("state"), expected, NOW);
        keeper.mount(there.iter().map(|v| self.volume(v)), NOW);
        keeper
    }

    fn damaged(&self, folder: &str) -> Vec<String> {
        let names = RealFiles.list(&self.path(folder)).unwrap();
        names.into_iter().filter(|n| n.contains(".damaged-")).collect()
    }
}

fn add(keeper: &Keeper, n: u128) -> Result<Vec<Refusal>, ApplyError> {
    keeper.apply(|holds| {
        holds.add(id(n), extent(these(&["gate"]), hours(-2, 1)), review(), order("Va chạm ở cổng"), stamp(n));
        Ok(())
    })
}

fn extend(keeper: &Keeper, n: u128, to: i64, stamp_no: u128) -> Result<Vec<Refusal>, ApplyError> {
    let wider = Wider { to: Some(NOW.offset(to * HOUR)), ..Wider::default() };
    keeper.apply(|holds| holds.extend(id(n), &wider, order("longer"), stamp(stamp_no)))
}

fn release(keeper: &Keeper, n: u128, stamp_no: u128) -> Result<Vec<Refusal>, ApplyError> {
    keeper.apply(|holds| holds.release(id(n), order("closed"), stamp(stamp_no)).map(drop))
}

fn in_force(keeper: &Keeper) -> Vec<HoldId> {
    keeper.held().holds.in_force().map(Hold::id).collect()
}

#[test]
fn a_hold_only_ever_grows_until_it_is_released() {
    let mut holds = Holds::default();
    holds.add(id(1), extent(these(&["gate"]), hours(-2, 1)), review(), order("x"), stamp(1));
    let shorter = Wider { to: Some(NOW), ..Wider::default() };
    assert!(matches!(holds.wider(id(1), &shorter), Err(ChangeError::Shorter(_))));
    let later = Wider { from: Some(NOW), ..Wider::default() };
    assert!(matches!(holds.extend(id(1), &later, order("x"), stamp(2)), Err(ChangeError::Shorter(_))));
    let same = Wider { cameras: Some(these(&["gate"])), review: Some(review()), ..Wider::default() };
    assert_eq!(holds.extend(id(1), &same, order("x"), stamp(2)), Err(ChangeError::Same(id(1))));
    assert_eq!(holds.extend(id(2), &same, order("x"), stamp(2)), Err(ChangeError::Unknown(id(2))));

    let more = Wider { cameras: Some(these(&["yard"])), from: Some(NOW.offset(-5 * HOUR)), ..Wider::default() };
    holds.extend(id(1), &more, order("x"), stamp(2)).unwrap();
    let hold = holds.get(id(1)).unwrap();
    assert_eq!(hold.extent(), extent(these(&["gate", "yard"]), hours(-5, 1)));
    assert_eq!((hold.review(), hold.version()), (Some(review()), 2));
    let other_day = Wider { review: Some("2027-01-31".parse().unwrap()), ..Wider::default() };
    holds.extend(id(1), &other_day, order("x"), stamp(3)).unwrap();
    assert_eq!(holds.get(id(1)).unwrap().review().unwrap().to_string(), "2027-01-31");

    let gate = camera("gate");
    assert_eq!(holds.covering(&gate, hours(0, 1)).count(), 1);
    assert_eq!(holds.covering(&gate, hours(1, 2)).count(), 0, "its end is outside");
    assert_eq!(holds.covering(&camera("hall"), hours(0, 1)).count(), 0);
    holds.release(id(1), order("closed"), stamp(4)).unwrap();
    assert_eq!(holds.covering(&gate, hours(0, 1)).count(), 0);
    assert_eq!(holds.release(id(1), order("again"), stamp(5)), Err(ChangeError::Released(id(1))));
    assert_eq!(holds.extend(id(1), &more, order("again"), stamp(5)), Err(ChangeError::Released(id(1))));

    holds.forget(NOW.offset(89 * DAY));
    assert_eq!(holds.iter().count(), 1, "it is remembered with its texts");
    holds.forget(NOW.offset(91 * DAY));
    assert_eq!(holds.iter().count(), 0);
}

#[test]
fn what_is_held_is_joined_per_camera() {
    let all = [
        extent(these(&["gate"]), hours(0, 2)),
        extent(these(&["gate", "yard"]), hours(2, 3)),
        extent(Cameras::All, hours(10, 11)),
        extent(these(&["gate"]), hours(9, 12)),
    ];
    let spans = Spans::new(all.clone());
    assert_eq!(spans.of(&camera("gate")), [hours(0, 3), hours(9, 12)]);
    assert_eq!(spans.of(&camera("yard")), [hours(2, 3), hours(10, 11)]);
    assert_eq!(spans.of(&camera("hall")), [hours(10, 11)]);
    let one_by_one = all.iter().fold(Spans::default(), |spans, e| spans.with(e));
    assert_eq!(one_by_one, spans);
    assert!(spans.hold(&camera("gate"), hours(2, 9)) && spans.hold(&camera("hall"), hours(0, 99)));
    assert!(!spans.hold(&camera("gate"), hours(3, 9)) && !spans.hold(&camera("gate"), hours(12, 13)));
    assert!(Spans::default().is_empty() && !spans.is_empty());
}

#[test]
fn a_camera_that_is_renamed_is_held_on() {
    let mut holds = Holds::default();
    holds.add(id(1), extent(these(&["door"]), hours(0, 2)), review(), order("x"), stamp(1));
    holds.add(id(2), extent(these(&["door", "gate"]), hours(5, 6)), review(), order("x"), stamp(2));
    holds.add(id(3), extent(Cameras::All, hours(8, 9)), review(), order("x"), stamp(3));
    let names = [Renamed { from: camera("door"), to: camera("gate") }];
    assert_eq!(holds.renamed(&names).map(|(hold, _)| hold).collect::<Vec<_>>(), [id(1)]);
    let spans = holds.spans(&names);
    for camera in ["door", "gate"].map(camera) {
        assert_eq!(spans.of(&camera), [hours(0, 2), hours(5, 6), hours(8, 9)]);
    }
    assert!(!holds.spans(&[]).hold(&camera("gate"), hours(0, 2)));
}

#[test]
fn texts_are_checked() {
    for bad in ["", "  ", "two\nlines", "\u{7}", &"x".repeat(501)] {
        assert!(bad.parse::<Words>().is_err(), "{bad:?}");
    }
    assert_eq!(" Lê Văn Nam ".parse::<Words>().unwrap().as_str(), "Lê Văn Nam");
    assert!(Extent::new(Cameras::All, hours(1, 1)).is_none());
}

#[test]
fn the_ledger_says_who_and_why_without_telling() {
    let mut holds = Holds::default();
    holds.add(id(1), extent(Cameras::All, hours(-2, 1)), review(), order("Va chạm"), stamp(1));
    let (_, change) = holds.unlogged().next().unwrap();
    let salted = crate::ledger::Salted::new(&[2; 16], "Va chạm\nBB 12/2026");
    assert_eq!(change.salted_reason(), salted);
    assert_eq!(change.salted_by(), crate::ledger::Salted::new(&[1; 16], "Nguyễn Thị Hoa"));
    assert_eq!(change.word(), crate::ledger::Change::Added);
    holds.note_logged(id(1), Uuid::from_u128(1));
    assert_eq!(holds.unlogged().count(), 0);
}
