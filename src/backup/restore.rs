//! Getting things back from a backup, on a machine that has nothing but the place and the school's key. What exists is never written over.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, RenameFlags, renameat2},
    unistd::geteuid,
};

use super::{
    crypt::Identity,
    error::BackupError,
    list,
    manifest::{FileLine, Head, Manifest},
    names::BackupId,
    place::Place,
    record::Kind,
    restored::{self, Restored},
};
use crate::{
    store::{
        format,
        volume::{self, VolumeError},
    },
    sys::{Disk, Owner, unfinished},
    types::{CameraId, Span, StreamKind, VolumeName, WallNs, merkle::Hash},
};

/// Everything but footage goes below this folder of what is restored into.
pub const BESIDE: &str = "restored";

/// What is wanted of a backup. Whatever is empty or none asks for everything.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Kinds.
    pub kinds: Vec<Kind>,
    /// Of footage: cameras.
    pub cameras: Vec<CameraId>,
    /// Of footage: main or sub.
    pub stream: Option<StreamKind>,
    /// Of footage: what touches this span.
    pub span: Option<Span>,
}

impl Filter {
    /// Whether a file is wanted. Who asks for cameras or a span wants footage.
    fn wants(&self, line: &FileLine) -> bool {
        let kind = self.kinds.is_empty() || self.kinds.contains(&line.kind);
        let of_footage = !self.cameras.is_empty() || self.stream.is_some() || self.span.is_some();
        let footage = match &line.footage {
            None => !of_footage,
            Some(f) => {
                (self.cameras.is_empty() || self.cameras.contains(&f.camera))
                    && self.stream.is_none_or(|s| s == f.stream)
                    && self.span.is_none_or(|s| s.overlaps(f.span))
            }
        };
        kind && footage
    }
}

/// What is to be done.
pub struct Order<'a> {
    /// Where the backup is.
    pub place: &'a dyn Place,
    /// Which; none: the newest.
    pub id: Option<BackupId>,
    /// The school's key.
    pub identity: &'a Identity,
    /// A volume, or a folder that becomes one.
    pub into: &'a Path,
    /// What the volume is called, if it is made.
    pub volume: VolumeName,
    /// What is wanted.
    pub filter: Filter,
    /// The disk that it is written to.
    pub disk: &'a dyn Disk,
    /// The present.
    pub now: WallNs,
}

/// What has come of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Which backup it was.
    pub id: BackupId,
    /// Where to.
    pub into: PathBuf,
    /// Files that were written.
    pub files: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Files that were there already, equal.
    pub there: u64,
    /// What was not restored and why, one line each.
    pub failed: Vec<String>,
    /// What the backup itself says that it lacks.
    pub missing: Vec<String>,
    /// Segments that were written.
    pub segments: u64,
    /// The volume that they were written to, by the name in its marker.
    pub volume: Option<VolumeName>,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Files.
    pub files: u64,
    /// Of so many.
    pub of_files: u64,
    /// Bytes.
    pub bytes: u64,
    /// Of so many.
    pub of_bytes: u64,
}

/// Restores.
///
/// # Errors
/// If the backup cannot be read at all, or the folder cannot be written. A file that cannot be had is an answer.
pub fn restore(order: &Order<'_>, progress: &mut dyn FnMut(Step)) -> Result<Report, BackupError> {
    let id = match &order.id {
        Some(id) => id.clone(),
        None => list::backups(order.place)?.pop().ok_or(BackupError::None)?,
    };
    let record = list::record(order.place, &id)?;
    let objects = list::objects(order.place, &record)?;
    let manifest = restored::manifest(order.place, &record, order.identity)?;
    let wanted = wanted(&order.filter, &manifest)?;
    let owner = owner(order)?;
    let volume = if wanted.iter().any(|line| line.kind == Kind::Footage) {
        Some(prepare(order, &manifest.head, owner)?)
    } else {
        make_dir(order, order.into, owner)?;
        None
    };
    let mut report = Report {
        id,
        into: order.into.to_owned(),
        files: 0,
        bytes: 0,
        there: 0,
        failed: Vec::new(),
        missing: manifest.head.missing.clone(),
        segments: 0,
        volume,
    };
    let of_bytes = total(&wanted);
    let mut step = Step { files: 0, of_files: wanted.len() as u64, bytes: 0, of_bytes };
    for line in wanted {
        let file = Restored { place: order.place, identity: order.identity, objects: &objects, line };
        match one(order, &file, owner) {
            Ok(true) => {
                report.files += 1;
                report.bytes += line.bytes;
                report.segments += u64::from(line.kind == Kind::Footage);
            }
            Ok(false) => report.there += 1,
            // That there is no room, or no place any more, is no matter of one file.
            Err(e @ BackupError::Io { .. }) => return Err(e),
            Err(e) => report.failed.push(format!("{}: {e}", line.path)),
        }
        step.files += 1;
        step.bytes = step.bytes.saturating_add(line.bytes);
        progress(step);
    }
    Ok(report)
}

/// What is wanted of a backup. What is misspelt must not look as if all had been restored.
fn wanted<'a>(filter: &Filter, manifest: &'a Manifest) -> Result<Vec<&'a FileLine>, BackupError> {
    let cameras: BTreeSet<&CameraId> =
        manifest.files.iter().filter_map(|line| Some(&line.footage.as_ref()?.camera)).collect();
    let nothing = |what| {
        let cameras = cameras.iter().map(ToString::to_string).collect::<Vec<_>>();
        let cameras = if cameras.is_empty() { "–".to_owned() } else { cameras.join(", ") };
        Err(BackupError::Nothing { id: manifest.head.id.clone(), what, cameras })
    };
    if let Some(unknown) = filter.cameras.iter().find(|camera| !cameras.contains(camera)) {
        return nothing(format!("no footage of camera {unknown}"));
    }
    let wanted: Vec<&FileLine> = manifest.files.iter().filter(|line| filter.wants(line)).collect();
    if wanted.is_empty() && !manifest.files.is_empty() {
        return nothing("nothing of what was asked for".to_owned());
    }
    Ok(wanted)
}

/// Their length, by a list of contents that may be anybody's.
fn total(files: &[&FileLine]) -> u64 {
    files.iter().fold(0, |sum, line| sum.saturating_add(line.bytes))
}

/// Whose what is restored becomes, if this is root: whose the volume is, else the recorder's, which is to use it.
fn owner(order: &Order<'_>) -> Result<Option<Owner>, BackupError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let of_volume = Owner::of(&order.into.join(volume::MARKER)).map(Some);
    of_volume.or_else(|_| Owner::named(volume::OWNER)).map_err(BackupError::io("cannot give away", order.into))
}

/// Gives something to its owner, where the file system knows such: that of a stick may not.
fn given(give: impl FnOnce(Owner) -> io::Result<()>, owner: Option<Owner>) -> io::Result<()> {
    match owner.map_or(Ok(()), give) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

/// Makes a folder, if there is none.
fn make_dir(order: &Order<'_>, path: &Path, owner: Option<Owner>) -> Result<(), BackupError> {
    let owner = owner.filter(|_| path.symlink_metadata().is_err());
    let made = order.disk.make_dir(path).and_then(|()| given(|owner| owner.give(path), owner));
    made.map_err(BackupError::io("cannot make", path))
}

/// Sees to it that the folder is a volume: one of the backup's site that is there already, or an empty folder that becomes one. Its name.
fn prepare(order: &Order<'_>, head: &Head, owner: Option<Owner>) -> Result<VolumeName, BackupError> {
    let (name, root) = (&order.volume, order.into);
    match volume::marker(name, root) {
        Ok(marker) if marker.site == head.site => return Ok(marker.volume),
        // Else one school's footage would lie among another's.
        Ok(marker) => {
            let found = format!("its marker names the site {:?}, this is a backup of {:?}", marker.site, head.site);
            return Err(VolumeError::WrongMarker { volume: marker.volume, root: root.to_owned(), found }.into());
        }
        Err(VolumeError::NoFolder { .. } | VolumeError::NoMarker { .. }) => {}
        Err(e) => return Err(e.into()),
    }
    let made = match volume::init(order.disk, name, root, &head.site, order.now) {
        Err(VolumeError::Io { path, source, what, .. }) => return Err(BackupError::Io { what, path, source }),
        other => other?,
    };
    given(|owner| volume::give(root, owner), owner).map_err(BackupError::io("cannot give away", root))?;
    Ok(made.name)
}

/// Restores a file. Whether it had to be written.
fn one(order: &Order<'_>, file: &Restored<'_>, owner: Option<Owner>) -> Result<bool, BackupError> {
    let line = file.line;
    let below = if line.kind == Kind::Footage { line.path.to_string() } else { format!("{BESIDE}/{}", line.path) };
    let path = order.into.join(&below);
    if path.symlink_metadata().is_ok() {
        return equal(&path, line);
    }
    folders(order, &below, owner)?;
    let unfinished = unfinished(&path);
    let _ = fs::remove_file(&unfinished);
    let io = |what| BackupError::io(what, path.clone());
    let mut out = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(&unfinished)
        .map_err(io("cannot make"))?;
    let written = given(|owner| owner.give_open(&out), owner).map_err(io("cannot give away"));
    let written =
        written.and_then(|()| write(file, &mut out)).and_then(|()| name(&unfinished, &path).map_err(io("cannot make")));
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written?;
    order.disk.sync_dir(path.parent().unwrap_or(order.into)).map_err(io("cannot write"))?;
    Ok(true)
}

/// Gives a file its name. Nothing is written over, not even what has come this moment.
fn name(from: &Path, to: &Path) -> io::Result<()> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        // Not on NFS.
        Err(Errno::EINVAL) => link(from, to),
        other => Ok(other?),
    }
}

/// The same by way of a second name, which must be free, too.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

fn write(file: &Restored<'_>, out: &mut File) -> Result<(), BackupError> {
    let io = |what| BackupError::io(what, file.line.path.as_str());
    file.read(&mut |piece| out.write_all(piece))?.map_err(io("cannot write"))?;
    out.sync_all().map_err(io("cannot write"))?;
    if file.line.kind == Kind::Footage {
        // What is put into a volume is a segment, whoever wrote the list of contents.
        let damaged = |what: String| BackupError::Damaged { name: file.line.path.to_string(), what };
        let segment = format::read(out, file.line.bytes).map_err(|e| damaged(e.to_string()))?;
        if segment.closed.is_none() {
            return Err(damaged("it is no closed segment".to_owned()));
        }
    }
    Ok(())
}

/// What is there already: the same, then nothing is to be done; or something else, which stays.
fn equal(path: &Path, line: &FileLine) -> Result<bool, BackupError> {
    let same = || -> io::Result<bool> {
        let meta = path.symlink_metadata()?;
        if !meta.is_file() || meta.len() != line.bytes {
            return Ok(false);
        }
        let mut sha = sha2::Sha256::default();
        io::copy(&mut File::open(path)?, &mut Digesting(&mut sha))?;
        Ok(Hash(sha2::Digest::finalize(sha).into()) == line.sha256)
    };
    if same().map_err(BackupError::io("cannot read", path))? {
        return Ok(false);
    }
    let what = format!("{} exists and is something else; it stays as it is", path.display());
    Err(BackupError::Damaged { name: line.path.to_string(), what })
}

struct Digesting<'a>(&'a mut sha2::Sha256);

impl io::Write for Digesting<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        sha2::Digest::update(self.0, buf);
        Ok(buf.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes the folders of a path, one level at a time; the folder that is restored into is there.
fn folders(order: &Order<'_>, below: &str, owner: Option<Owner>) -> Result<(), BackupError> {
    let mut at = order.into.to_owned();
    let mut parts: Vec<&str> = below.split('/').collect();
    parts.pop();
    for part in parts {
        at.push(part);
        make_dir(order, &at, owner)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::CopyId;

    #[test]
    fn a_name_that_is_taken_stays_what_it_is() {
        for name in [name, link] {
            let dir = tempfile::tempdir().unwrap();
            let (from, to) = (dir.path().join("from~"), dir.path().join("to"));
            fs::write(&from, "new").unwrap();
            name(&from, &to).unwrap();
            assert!(!from.exists());
            fs::write(&from, "newer").unwrap();
            assert_eq!(name(&from, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&to).unwrap(), b"new");
        }
    }

    #[test]
    fn a_list_of_contents_that_says_too_much_is_no_trouble() {
        let id: BackupId = "20261122T083000Z-1a2b3c4d".parse().unwrap();
        let line = |name: &str, bytes| FileLine {
            kind: Kind::Export,
            path: name.to_owned().try_into().unwrap(),
            copy: CopyId::from_bytes([3; 16]),
            parts: 1,
            bytes,
            sha256: Hash([4; 32]),
            footage: None,
        };
        let head = Head::new(id, "x", "school", "a".parse().unwrap(), WallNs(5));
        let manifest = Manifest { head, files: vec![line("a", u64::MAX), line("b", u64::MAX)] };
        assert_eq!(total(&wanted(&Filter::default(), &manifest).unwrap()), u64::MAX);
        let filter = Filter { kinds: vec![Kind::Site], ..Filter::default() };
        let said = wanted(&filter, &manifest).unwrap_err().to_string();
        assert!(said.contains("nothing of what was asked for"), "{said}");
    }
}
