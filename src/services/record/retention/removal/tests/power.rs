//! One power supply for all that a removal touches: the ledger's files and the copies of the holds, which are in memory; a footage disk
//! and an index, which are real, and lose what was not durable all the same.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use crate::{
    store::{
        index::{Batch, IndexError, Sink, Writer},
        layout,
    },
    sys::{Cut, Disk, DiskFile, FakeFiles, Files as _, RealDisk, Space},
};

/// The supply. Everything that is changed counts as one change of `files`, wherever it is.
#[derive(Clone)]
pub(super) struct Power {
    pub(super) files: FakeFiles,
    how: Cut,
    /// Kept while something changes.
    at_work: Arc<Mutex<()>>,
    /// What was changed, in order.
    pub(super) story: Arc<Mutex<Vec<&'static str>>>,
}

fn off() -> io::Error {
    io::Error::other("no power")
}

impl Power {
    /// Files with the power on; if it is cut, then so.
    pub(super) fn new(files: FakeFiles, how: Cut) -> Self {
        Self { files, how, at_work: Arc::default(), story: Arc::default() }
    }

    /// Waits until what changes just now has changed, or has not.
    pub(super) fn settle(&self) {
        drop(self.at_work.lock().unwrap());
    }

    /// Whether power has been cut.
    pub(super) fn is_off(&self) -> bool {
        self.files.is_off()
    }

    /// Changes something elsewhere, and makes it durable: both, one of them or none, as the cut wants it. Whoever asked hears of it only
    /// if there was no cut.
    fn change<T, E: From<io::Error>>(
        &self,
        what: &'static str,
        act: impl FnOnce() -> Result<T, E>,
        durable: impl FnOnce(),
    ) -> Result<T, E> {
        let _at_work = self.at_work.lock().unwrap();
        if self.files.is_off() {
            return Err(off().into());
        }
        self.story.lock().unwrap().push(what);
        let outcome = self.files.make_dir(Path::new("/tick"));
        if let Err(e) = outcome {
            if self.how != Cut::Before {
                act()?;
            }
            if self.how == Cut::After {
                durable();
            }
            return Err(e.into());
        }
        let done = act()?;
        durable();
        Ok(done)
    }
}

/// Something that was removed and can come back: what it was called, and where it is meanwhile.
struct Removed {
    path: PathBuf,
    limbo: PathBuf,
}

/// A footage disk. What is removed is durable once its folder was synchronised.
#[derive(Clone)]
pub(super) struct CutDisk {
    power: Power,
    limbo: PathBuf,
    removed: Arc<Mutex<Vec<Removed>>>,
}

impl CutDisk {
    /// `limbo` is a folder beside the volumes.
    pub(super) fn new(power: Power, limbo: PathBuf) -> Self {
        fs::create_dir(&limbo).unwrap();
        Self { power, limbo, removed: Arc::default() }
    }

    /// After a cut: what was not durable comes back, or it is gone all the same.
    pub(super) fn power_on(&self, lost: bool) {
        let removed = std::mem::take(&mut *self.removed.lock().unwrap());
        for r in removed.into_iter().rev().filter(|_| lost) {
            fs::rename(&r.limbo, &r.path).unwrap();
        }
    }

    fn take_away(&self, path: &Path) -> io::Result<()> {
        let mut removed = self.removed.lock().unwrap();
        let limbo = self.limbo.join(uuid::Uuid::new_v4().to_string());
        fs::rename(path, &limbo)?;
        removed.push(Removed { path: path.to_owned(), limbo });
        Ok(())
    }

    /// What went from a folder is gone for good, with all that was in it.
    fn commit(&self, folder: &Path) {
        let mut removed = self.removed.lock().unwrap();
        let gone = removed.iter().map(|r| r.path.clone()).filter(|path| path.parent() == Some(folder));
        let gone: Vec<PathBuf> = gone.collect();
        removed.retain(|r| !gone.iter().any(|path| r.path.starts_with(path)));
    }

    fn has_power(&self) -> io::Result<()> {
        if self.power.is_off() { Err(off()) } else { Ok(()) }
    }
}

impl Disk for CutDisk {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.has_power()?;
        RealDisk.make_dir(path)
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.has_power()?;
        RealDisk.create(path)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.has_power()?;
        RealDisk.open(path)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.power.change("unlink", || self.take_away(path), || ())
    }
    fn remove_empty_dir(&self, path: &Path) -> io::Result<bool> {
        let act = || {
            let empty = fs::read_dir(path)?.next().is_none();
            if empty {
                self.take_away(path)?;
            }
            Ok(empty)
        };
        self.power.change("rmdir", act, || ())
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.has_power()?;
        RealDisk.rename(from, to)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if !path.components().any(|c| c.as_os_str() == layout::FOOTAGE) {
            self.has_power()?;
            return RealDisk.sync_dir(path);
        }
        self.power.change("sync", || fs::metadata(path).map(drop), || self.commit(path))
    }
    fn sync_file_system(&self, _: &Path) -> io::Result<()> {
        self.has_power()
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        RealDisk.space(path)
    }
    fn is_mount_point(&self, path: &Path) -> io::Result<bool> {
        RealDisk.is_mount_point(path)
    }
    fn file_system(&self, path: &Path) -> io::Result<u64> {
        RealDisk.file_system(path)
    }
}

/// An index. A batch that must be durable is, and all before it; any other one can be lost.
pub(super) struct CutIndex {
    power: Power,
    writer: Writer,
    path: PathBuf,
}

/// A copy of an index that nobody writes to just now.
pub(super) fn copy_index(from: &Path, to: &Path) {
    for suffix in ["", "-wal"] {
        let [from, to] = [from, to].map(|path| PathBuf::from(format!("{}{suffix}", path.display())));
        let _ = fs::remove_file(&to);
        if from.exists() {
            fs::copy(from, to).unwrap();
        }
    }
}

/// Where what is durable of an index is kept.
pub(super) fn durable(index: &Path) -> PathBuf {
    index.with_extension("durable")
}

impl CutIndex {
    pub(super) fn new(power: Power, path: &Path) -> Self {
        let this = Self { power, writer: Writer::open(path).unwrap(), path: path.to_owned() };
        copy_index(path, &durable(path));
        this
    }
}

struct Wrapped(IndexError);

impl From<io::Error> for Wrapped {
    fn from(e: io::Error) -> Self {
        let source = rusqlite::Error::ToSqlConversionFailure(Box::new(e));
        Self(IndexError::Sqlite { path: PathBuf::new(), source })
    }
}

impl Sink for CutIndex {
    fn apply(&mut self, batch: &Batch) -> Result<(), IndexError> {
        let marks = !batch.retiring.is_empty();
        let what = if marks { "mark" } else { "index" };
        let writer = &mut self.writer;
        let act = || writer.apply(batch).map_err(Wrapped);
        let keep = || {
            if marks {
                copy_index(&self.path, &durable(&self.path));
            }
        };
        self.power.change(what, act, keep).map_err(|Wrapped(e)| e)
    }

    fn checkpoint(&self) -> Result<(), IndexError> {
        Ok(())
    }
}
