//! What a backup is to hold, found on this machine.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::Backups;
use crate::{
    backup::{
        BackupError, FootageLine, Item, Kind,
        footage::{self, Found, Wanted},
        snapshot,
    },
    ledger,
    retention::holds::{Renamed, Spans, file},
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
    /// What is under a hold, if such footage is backed up.
    held: Spans,
    /// Cameras that had other names.
    renamed: Vec<Renamed>,
}

impl Gathered {
    /// Whether footage is under a hold, also of a camera that had another name when it was backed up.
    pub(super) fn is_held(&self, footage: &FootageLine) -> bool {
        let now = self.renamed.iter().filter(|r| r.from == footage.camera).map(|r| &r.to);
        now.chain([&footage.camera]).any(|camera| self.held.hold(camera, footage.span))
    }

    fn take(&mut self, what: &str, item: io::Result<Item>) {
        match item {
            Ok(item) => self.items.push(item),
            Err(e) => self.missing.push(format!("{what}: {e}")),
        }
    }
}

impl Backups {
    /// Finds everything. `work` is an empty folder for copies of databases.
    pub(super) fn gather(&self, work: &Path) -> Gathered {
        let mut all = Gathered { renamed: holding::renamed(&self.site), ..Gathered::default() };
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
        self.footage(&mut all);
        all
    }

    fn databases(&self, work: &Path, all: &mut Gathered) {
        let (holds, retention) = (self.paths.record().join(file::IN_STATE), self.paths.retention());
        for (path, name) in [(holds, file::IN_STATE), (retention, "retention.json")] {
            let name = format!("databases/{name}");
            match fs::read(&path) {
                Ok(bytes) => all.take(&name, Item::small(Kind::Database, name.clone(), bytes)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => all.missing.push(format!("{name}: {e}")),
            }
        }
        let index = self.paths.index();
        if index.exists() {
            let copy = work.join("index.db");
            match snapshot(&index, &copy) {
                Ok(()) => {
                    all.take("databases/index.db", Item::still(Kind::Database, "databases/index.db".into(), &copy));
                }
                Err(e) => all.missing.push(format!("databases/index.db: {:#}", anyhow::Error::from(e))),
            }
        }
    }

    /// What cannot be found out is told: the rest is worth as much without it.
    fn footage(&self, all: &mut Gathered) {
        let told = |name: &str, e: anyhow::Error| {
            log::error!("{e:#}");
            format!("databases/{name}: it does not tell what footage is wanted: {e:#}")
        };
        if self.backup.what.contains(&BackupWhat::Holds) {
            match holding::read(self.paths.state()) {
                Ok(holds) => all.held = holds.spans(&all.renamed),
                Err(e) => all.missing.push(told(file::IN_STATE, e)),
            }
        }
        match self.find(&all.held) {
            Ok(found) => {
                all.items.extend(found.items);
                all.missing.extend(found.missing);
                all.open += found.open;
            }
            // The recorder has never run: there is nothing yet.
            Err(BackupError::Index(IndexError::Missing(path))) if !path.exists() => {}
            Err(e) => all.missing.push(told("index.db", e.into())),
        }
    }

    /// Footage that is wanted: under a hold, and of whole areas.
    fn find(&self, held: &Spans) -> Result<Found, BackupError> {
        let index = Reader::open(&self.paths.index())?;
        let areas = self.site.cameras_of(&self.recorder).filter(|c| self.backup.areas.contains(&c.area));
        let mut wanted: Vec<Wanted> = areas.map(|c| Wanted { camera: c.id.clone(), span: Span::all() }).collect();
        // Cameras that have left the site too: a hold on their footage holds.
        for camera in index.streams()?.into_iter().map(|s| s.key.camera) {
            let held = held.of(&camera).iter().map(|span| Wanted { camera: camera.clone(), span: *span });
            wanted.extend(held);
        }
        footage::find(&index, &|volume| self.root_of(&index, volume), &wanted)
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
        Ok(bytes) => all.take("ledger/checkpoint", Item::small(Kind::Ledger, "ledger/checkpoint".into(), bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => all.missing.push(format!("ledger/checkpoint: {e}")),
    }
    tree(Kind::Ledger, &public, "ledger", all);
}

/// All files of a folder and below it, if there is one.
fn tree(kind: Kind, dir: &Path, name: &str, all: &mut Gathered) {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return,
        Err(e) => return all.missing.push(format!("{name}/: {e}")),
    };
    let mut entries: Vec<_> = entries.flatten().map(|e| e.path()).collect();
    entries.sort();
    for path in entries {
        let Some(file) = path.file_name().and_then(|n| n.to_str()) else {
            let file = path.file_name().unwrap_or_default().display();
            all.missing.push(format!("{name}/{file}: a name that is no UTF-8"));
            continue;
        };
        let name = format!("{name}/{file}");
        if file.ends_with(UNFINISHED) || name == "ledger/checkpoint" {
            continue;
        }
        match path.symlink_metadata() {
            Ok(meta) if meta.is_dir() => tree(kind, &path, &name, all),
            Ok(meta) if meta.is_file() => all.take(&name, one(kind, &path, name.clone())),
            // Neither a file nor a folder: nothing that custodian puts there.
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => all.missing.push(format!("{name}: {e}")),
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
