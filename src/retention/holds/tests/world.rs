//! A recorder's folder and three volumes, whose disks fail as they are told.

use std::{
    io,
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use tempfile::TempDir;

use super::*;
use crate::{
    store::volume::Volume,
    sys::{Files, Found, RealDisk, RealFiles, unfinished},
};

/// So many changes are let through; the next one and all after it fail.
struct Fuse(AtomicI64);

const WHOLE: i64 = 1_000_000;

/// A folder whose disk does not answer, if there is one.
#[derive(Default)]
pub(super) struct Hanging {
    dir: Mutex<Option<PathBuf>>,
    changed: Condvar,
}

impl Hanging {
    pub(super) fn set(&self, dir: Option<PathBuf>) {
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
    fn find(&self, path: &Path, most: usize) -> io::Result<Option<Found>> {
        RealFiles.find(path, most)
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

pub(super) const VOLUMES: [&str; 3] = ["v1", "v2", "v3"];

/// A recorder's folder and three volumes.
pub(super) struct World {
    dir: TempDir,
    volumes: Vec<Volume>,
    fuse: Arc<Fuse>,
    refused: Arc<[(PathBuf, AtomicBool)]>,
    pub(super) hanging: Arc<Hanging>,
}

impl World {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = |name: &str| dir.path().join(name);
        let volumes =
            VOLUMES.map(|v| volume::init(&RealDisk, &v.parse().unwrap(), &root(v), "school", NOW).unwrap()).to_vec();
        fs::create_dir(root("state")).unwrap();
        let refused = ["state", "v1", "v2", "v3"].map(|n| (root(n), AtomicBool::new(false)));
        let fuse = Arc::new(Fuse(AtomicI64::new(WHOLE)));
        Self { volumes, fuse, refused: Arc::new(refused), hanging: Arc::default(), dir }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn on(&self, volume: &str) -> PathBuf {
        self.path(volume).join(file::ON_VOLUME)
    }

    pub(super) fn own(&self) -> PathBuf {
        self.path("state").join(file::IN_STATE)
    }

    /// Whether a folder refuses from now on.
    pub(super) fn refuse(&self, name: &str, on: bool) {
        let (_, refuses) = self.refused.iter().find(|(dir, _)| *dir == self.path(name)).unwrap();
        refuses.store(on, Ordering::SeqCst);
    }

    pub(super) fn cut_after(&self, changes: i64) {
        self.fuse.0.store(changes, Ordering::SeqCst);
    }

    pub(super) fn volume(&self, name: &str) -> Volume {
        self.volumes.iter().find(|v| v.name.as_str() == name).unwrap().clone()
    }

    /// A recorder starts, and finds these volumes.
    pub(super) fn start(&self, there: &[&str]) -> Keeper {
        let (fuse, refused, hanging) = (self.fuse.clone(), self.refused.clone(), self.hanging.clone());
        self.start_on(Arc::new(CutFiles { fuse, refused, hanging }), there)
    }

    pub(super) fn start_on(&self, files: Arc<dyn Files>, there: &[&str]) -> Keeper {
        let expected = Expected { volumes: VOLUMES.map(name).into(), renamed: Vec::new() };
        let keeper = Keeper::open(files, &self.path("state"), expected, NOW);
        keeper.mount(there.iter().map(|v| self.volume(v)), NOW);
        keeper
    }

    pub(super) fn damaged(&self, folder: &str) -> Vec<String> {
        let names = RealFiles.list(&self.path(folder)).unwrap();
        names.into_iter().filter(|n| n.contains(".damaged-")).collect()
    }
}
