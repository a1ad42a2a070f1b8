//! What a backup is to hold, found on this machine.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::Backups;
use crate::{
    backup::{
        Item, Kind,
        footage::{self, Wanted},
        snapshot,
    },
    ledger,
    retention::holds::file,
    services::{
        holding,
        paths::{mount_point, root_note},
    },
    site::{BackupWhat, VolumePlace},
    store::index::{IndexError, Reader},
    types::{Span, VolumeName},
};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) items: Vec<Item>,
    /// What could not be looked at, one line each.
    pub(super) missing: Vec<String>,
    /// Segments that are being written.
    pub(super) open: u64,
}

impl Gathered {
    fn take(&mut self, what: &str, item: io::Result<Item>) {
        match item {
            Ok(item) => self.items.push(item),
            Err(e) => self.missing.push(format!("{what}: {e}")),
        }
    }
}

impl Backups {
    /// Finds everything. `work` is an empty folder for copies of databases.
    pub(super) fn gather(&self, work: &Path) -> anyhow::Result<Gathered> {
        let mut all = Gathered::default();
        let wants = |what| self.backup.what.contains(&what);
        if wants(BackupWhat::Site) {
            all.take("site.toml", Item::small(Kind::Site, "site.toml".into(), self.text.clone().into_bytes()));
        }
        if wants(BackupWhat::Ledger) {
            ledger(&self.paths.ledger(), &mut all);
        }
        if wants(BackupWhat::Databases) {
            self.databases(work, &mut all);
        }
        if wants(BackupWhat::Exports) {
            tree(Kind::Export, &self.paths.exports(), "exports", &mut all);
        }
        self.footage(&mut all)?;
        Ok(all)
    }

    fn databases(&self, work: &Path, all: &mut Gathered) {
        let (holds, retention) = (self.paths.record().join(file::IN_STATE), self.paths.retention());
        for (what, path, name) in [("holds", holds, file::IN_STATE), ("retention", retention, "retention.json")] {
            match fs::read(&path) {
                Ok(bytes) => all.take(what, Item::small(Kind::Database, format!("databases/{name}"), bytes)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => all.missing.push(format!("{}: {e}", path.display())),
            }
        }
        let index = self.paths.index();
        if index.exists() {
            let copy = work.join("index.db");
            match snapshot(&index, &copy) {
                Ok(()) => all.take("index.db", Item::still(Kind::Database, "databases/index.db".into(), &copy)),
                Err(e) => all.missing.push(format!("{}: {:#}", index.display(), anyhow::Error::from(e))),
            }
        }
    }

    fn footage(&self, all: &mut Gathered) -> anyhow::Result<()> {
        let index = match Reader::open(&self.paths.index()) {
            Ok(index) => index,
            // The recorder has never run: there is nothing yet.
            Err(IndexError::Missing(_)) => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        let wanted = self.wanted(&index)?;
        let found = footage::find(&index, &|volume| self.root_of(&index, volume), &wanted)?;
        all.items.extend(found.items);
        all.missing.extend(found.missing);
        all.open += found.open;
        Ok(())
    }

    /// Footage that is wanted: under a hold, and of whole areas.
    fn wanted(&self, index: &Reader) -> anyhow::Result<Vec<Wanted>> {
        let areas = self.site.cameras_of(&self.recorder).filter(|c| self.backup.areas.contains(&c.area));
        let mut wanted: Vec<Wanted> = areas.map(|c| Wanted { camera: c.id.clone(), span: Span::all() }).collect();
        if self.backup.what.contains(&BackupWhat::Holds) {
            let spans = holding::read(self.paths.state())?.spans(&holding::renamed(&self.site));
            // Cameras that have left the site too: a hold on their footage holds.
            for camera in index.streams()?.into_iter().map(|s| s.key.camera) {
                let held = spans.of(&camera).iter().map(|span| Wanted { camera: camera.clone(), span: *span });
                wanted.extend(held);
            }
        }
        Ok(wanted)
    }

    /// Where a volume is: as the recorder noted it last, else as the site says.
    fn root_of(&self, index: &Reader, volume: &VolumeName) -> Option<PathBuf> {
        let noted = index.meta(&root_note(volume)).ok().flatten().map(PathBuf::from);
        let named = || {
            let found = self.site.volumes_of(&self.recorder).iter().find(|v| v.name == *volume)?;
            Some(match &found.place {
                VolumePlace::Path(path) => path.clone(),
                VolumePlace::Disk(_) => mount_point(volume),
            })
        };
        noted.or_else(named)
    }
}

/// The part of the ledger that may be shown to everybody; the key that it is signed with lies elsewhere.
fn ledger(dir: &Path, all: &mut Gathered) {
    let public = ledger::public(dir);
    if !public.is_dir() {
        return;
    }
    // The checkpoint first: the tiles that are read later cover it.
    let checkpoint = public.join("checkpoint");
    match fs::read(&checkpoint) {
        Ok(bytes) => all.take("checkpoint", Item::small(Kind::Ledger, "ledger/checkpoint".into(), bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => all.missing.push(format!("{}: {e}", checkpoint.display())),
    }
    tree(Kind::Ledger, &public, "ledger", all);
}

/// All files of a folder and below it, if there is one.
fn tree(kind: Kind, dir: &Path, name: &str, all: &mut Gathered) {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return,
        Err(e) => return all.missing.push(format!("{}: {e}", dir.display())),
    };
    let mut entries: Vec<_> = entries.flatten().map(|e| e.path()).collect();
    entries.sort();
    for path in entries {
        let Some(file) = path.file_name().and_then(|n| n.to_str()) else {
            all.missing.push(format!("{}: a name that is no UTF-8", path.display()));
            continue;
        };
        let name = format!("{name}/{file}");
        if file.ends_with(UNFINISHED) || name == "ledger/checkpoint" {
            continue;
        }
        match path.symlink_metadata() {
            Ok(meta) if meta.is_dir() => tree(kind, &path, &name, all),
            Ok(meta) if meta.is_file() => all.take(&path.display().to_string(), one(kind, &path, name)),
            // Neither a file nor a folder: nothing that custodian puts there.
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => all.missing.push(format!("{}: {e}", path.display())),
        }
    }
}

/// What has this at the end of its name is being written.
const UNFINISHED: &str = ".tmp~";

fn one(kind: Kind, path: &Path, name: String) -> io::Result<Item> {
    // A partial tile goes when the full one is there: it is read now.
    if kind == Kind::Ledger && name.contains(".p/") {
        return Item::small(kind, name, fs::read(path)?);
    }
    Item::large(kind, name, path)
}
