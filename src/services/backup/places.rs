//! From the places of site.toml, or one that is named on the command line, to places that can be asked.

use std::{
    ffi::CString,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail, ensure};
use nix::{
    sys::stat::{Mode, umask},
    unistd::{User, geteuid, initgroups, setgid, setuid},
};

use super::Backups;
use crate::{
    backup::{
        Label, MARKER, Marker, MarkerError, Place,
        place::{Folder, Patience, S3},
    },
    services::paths::{STATE, backup_mount_point},
    site::{BackupPlace, S3Address, Secrets},
    sys::{Clock as _, Owner, Pace, RealClock, RealDisk},
    types::RecorderId,
};

/// Who makes backups, where there is such a user.
const OWNER: &str = "custodian-backup";

/// The folder of a recorder's backups at a place.
fn folder(recorder: &RecorderId) -> String {
    format!("{FOLDER}{recorder}")
}

const FOLDER: &str = "custodian-";

/// A place, and what it is called.
pub struct Connected {
    /// In the words of site.toml.
    pub label: Label,
    /// It.
    pub place: Box<dyn Place>,
}

/// A place that is named on the command line, on a machine that may have nothing else.
#[derive(Debug, Clone, Default)]
pub struct Named {
    /// One of site.toml: its number there, from 1, or its name.
    pub place: Option<String>,
    /// A folder: that with the marker, or the one above it.
    pub at: Option<PathBuf>,
    /// A file that holds the address of a store.
    pub s3: Option<PathBuf>,
}

/// What preparing a place found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prepared {
    /// It is ready now.
    Now,
    /// It was ready already.
    Already,
}

impl Backups {
    /// The places of site.toml that are meant; all if none is named.
    pub(super) fn chosen(&self, named: Option<&str>) -> anyhow::Result<Vec<&BackupPlace>> {
        let all: Vec<&BackupPlace> = self.backup.to.iter().collect();
        let Some(named) = named else { return Ok(all) };
        let number = named.parse::<usize>().ok().and_then(|n| all.get(n.checked_sub(1)?).copied());
        let meant = number.or_else(|| all.iter().copied().find(|p| p.name() == named || p.label() == named));
        let known = all.iter().map(|p| p.label()).collect::<Vec<_>>().join(", ");
        Ok(vec![meant.with_context(|| format!("site.toml names no place {named:?} for backups, but: {known}"))?])
    }

    /// Where a place of site.toml is, whether it is prepared or not.
    pub(super) fn connect(&self, place: &BackupPlace) -> anyhow::Result<Connected> {
        let pace = Arc::new(Pace::new(self.backup.rate));
        let label = Label(place.label());
        let folder = folder(&self.recorder);
        let place: Box<dyn Place> = match place {
            BackupPlace::S3(secret) => {
                let address = self.secrets.other(secret).context("the store's address is not in secrets.toml")?;
                let address: S3Address = address.reveal().parse()?;
                Box::new(S3::new(&address, &folder, pace, Patience::default())?)
            }
            BackupPlace::Directory(_) | BackupPlace::Disk(_) => {
                let root = root_of(place).join(folder);
                Box::new(Folder::new(root, Arc::new(RealDisk), pace))
            }
        };
        Ok(Connected { label, place })
    }

    /// Prepares a place, once and for all: from then on nothing is written there without the marker. `same_disk` says that it may lie on the
    /// disk that this system is on, where a NAS that is not mounted would be.
    ///
    /// # Errors
    /// If it is another's, if it is not mounted, or if it cannot be written.
    pub fn init(&self, named: Option<&str>, same_disk: bool) -> anyhow::Result<Vec<(Label, Prepared)>> {
        let mut done = Vec::new();
        for place in self.chosen(named)? {
            let prepared = self.prepare(place, same_disk).with_context(|| place.label())?;
            done.push((Label(place.label()), prepared));
        }
        Ok(done)
    }

    fn prepare(&self, place: &BackupPlace, same_disk: bool) -> anyhow::Result<Prepared> {
        let connected = self.connect(place)?;
        let (site, recorder) = (self.site.id(), &self.recorder);
        match Marker::expect(&*connected.place, site, recorder) {
            Ok(_) => return Ok(Prepared::Already),
            Err(MarkerError::None) => {}
            Err(e) => return Err(e.into()),
        }
        if !matches!(place, BackupPlace::S3(_)) {
            let root = root_of(place);
            ensure!(root.is_dir(), "there is no folder {}: is it mounted?", root.display());
            let mounted = !on_same_disk(&root, self.paths.state())?;
            ensure!(
                mounted || (same_disk && !matches!(place, BackupPlace::Disk(_))),
                "nothing is mounted at {}: it lies on this system's own disk, where a backup is lost with everything else. Mount the medium \
                 first. If the folder itself is meant, add --same-disk",
                root.display()
            );
            make(&root.join(folder(recorder)))?;
        }
        Marker::new(site, recorder, RealClock.wall()).write(&*connected.place)?;
        if !matches!(place, BackupPlace::S3(_)) {
            give(&root_of(place).join(folder(recorder)), self.paths.state())?;
        }
        Ok(Prepared::Now)
    }
}

/// The folder that a place is in.
fn root_of(place: &BackupPlace) -> PathBuf {
    match place {
        BackupPlace::Directory(path) => path.clone(),
        BackupPlace::Disk(disk) => backup_mount_point(disk),
        BackupPlace::S3(_) => PathBuf::new(),
    }
}

/// Whether two folders are on one file system.
fn on_same_disk(one: &Path, other: &Path) -> anyhow::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let device =
        |path: &Path| fs::metadata(path).map(|m| m.dev()).with_context(|| format!("cannot look at {}", path.display()));
    Ok(device(one)? == device(other)?)
}

/// Makes the folder.
fn make(path: &Path) -> anyhow::Result<()> {
    match fs::create_dir(path) {
        // Whoever had the medium before may have put a link to a folder of this system there.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let folder = path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
            ensure!(
                folder,
                "{} is no folder but a link or a file: nothing is written there. Remove it",
                path.display()
            );
            Ok(())
        }
        other => other.with_context(|| format!("cannot make {}", path.display())),
    }
}

/// Gives folder and marker to the user that makes backups, where root has prepared them for the service.
fn give(root: &Path, state: &Path) -> anyhow::Result<()> {
    let Some(user) = service_user(state)? else { return Ok(()) };
    let owner = Owner::named(&user.name)?.context("no such user")?;
    // The folder last: from then on another may exchange what is in it.
    for path in [root.join(MARKER), root.to_owned()] {
        owner.give(&path).with_context(|| {
            format!("{} cannot be given to the user {OWNER}, who makes the backups: see to it that this user may write there", path.display())
        })?;
    }
    Ok(())
}

/// Who makes backups, if this is root on a machine with the service.
fn service_user(state: &Path) -> anyhow::Result<Option<User>> {
    if state != Path::new(STATE) || !geteuid().is_root() {
        return Ok(None);
    }
    Ok(User::from_name(OWNER)?)
}

/// Goes on as the user of the service, so that what root does by hand is the service's too. Not to be taken back; before the first thread.
pub(super) fn as_service(state: &Path) -> anyhow::Result<()> {
    // As its unit says.
    umask(Mode::S_IWGRP | Mode::S_IRWXO);
    let Some(user) = service_user(state)? else { return Ok(()) };
    let name = CString::new(user.name.as_str())?;
    let changed = initgroups(&name, user.gid).and_then(|()| setgid(user.gid)).and_then(|()| setuid(user.uid));
    changed.with_context(|| format!("cannot go on as the user {OWNER}"))
}

impl Named {
    /// Whether a place outside of site.toml is named.
    pub fn elsewhere(&self) -> bool {
        self.at.is_some() || self.s3.is_some()
    }

    /// That place. `recorder` says whose backups are meant where several lie there.
    pub(super) fn connect(&self, recorder: Option<&RecorderId>) -> anyhow::Result<Connected> {
        let pace = || Arc::new(Pace::new(None));
        if let Some(path) = &self.at {
            let found = || -> io::Result<Vec<String>> {
                let names = fs::read_dir(path)?.map(|e| Ok(e?.file_name().to_string_lossy().into_owned()));
                names.collect()
            };
            let names = found().with_context(|| format!("cannot list {}", path.display()))?;
            let root = match one_of(&names, recorder)? {
                Some(folder) => path.join(folder),
                None => path.clone(),
            };
            let label = Label(format!("directory:{}", root.display()));
            return Ok(Connected { label, place: Box::new(Folder::new(root, Arc::new(RealDisk), pace())) });
        }
        let file = self.s3.as_ref().context("no place is named")?;
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let address: S3Address = text.parse().with_context(|| format!("what {} holds", file.display()))?;
        let folders = S3::new(&address, "", pace(), Patience::default())?.folders()?;
        let folder = one_of(&folders, recorder)?.unwrap_or_default();
        let store = S3::new(&address, &folder, pace(), Patience::default())?;
        Ok(Connected { label: Label(format!("s3:{}", file.display())), place: Box::new(store) })
    }
}

/// The folder of the recorder that is meant, unless the marker itself lies here.
fn one_of(names: &[String], recorder: Option<&RecorderId>) -> anyhow::Result<Option<String>> {
    if names.iter().any(|n| n == MARKER) {
        return Ok(None);
    }
    let folders: Vec<&String> = names.iter().filter(|n| n.starts_with(FOLDER)).collect();
    match (recorder, folders.as_slice()) {
        (Some(recorder), _) => Ok(Some(folder(recorder))),
        (None, [one]) => Ok(Some((*one).clone())),
        (None, []) => bail!("no backups lie here: neither {MARKER} nor a folder {FOLDER}…"),
        (None, several) => {
            let names = several.iter().map(|n| n.trim_start_matches(FOLDER)).collect::<Vec<_>>().join(", ");
            bail!("the backups of several recorders lie here ({names}): say which with --recorder")
        }
    }
}

/// The secrets, where a place needs one.
pub(super) fn secrets(places: &[BackupPlace], path: &Path) -> anyhow::Result<Secrets> {
    if places.iter().any(|p| matches!(p, BackupPlace::S3(_))) {
        Ok(crate::site::secrets::load(path)?)
    } else {
        Ok(Secrets::default())
    }
}
