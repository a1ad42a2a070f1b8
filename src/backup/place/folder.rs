//! A folder: on a second disk, or of a NAS that is mounted.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Place, PlaceError};
use crate::sys::{ColdFile, Disk, Pace, unfinished};

/// What is written or read at once between two looks at the pace.
const PIECE: usize = 256 << 10;

/// Backups in a folder, which must be there: only folders below it are made.
pub struct Folder {
    root: PathBuf,
    disk: Arc<dyn Disk>,
    pace: Arc<Pace>,
}

impl Folder {
    /// The folder itself, in which the marker lies.
    pub fn new(root: PathBuf, disk: Arc<dyn Disk>, pace: Arc<Pace>) -> Self {
        Self { root, disk, pace }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let unfinished = unfinished(path);
        match self.disk.remove(&unfinished) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = self.disk.create(&unfinished)?;
        for (n, piece) in bytes.chunks(PIECE).enumerate() {
            self.pace.wait(piece.len() as u64);
            file.write_at(&[io::IoSlice::new(piece)], (n * PIECE) as u64)?;
        }
        file.sync()?;
        drop(file);
        self.disk.rename(&unfinished, path)?;
        self.disk.sync_dir(path.parent().unwrap_or(&self.root))
    }

    /// Makes the folders of a name, never the root itself.
    fn folders(&self, name: &str) -> io::Result<()> {
        let mut at = self.root.clone();
        let mut parts: Vec<&str> = name.split('/').collect();
        parts.pop();
        for part in parts {
            let above = at.clone();
            at.push(part);
            if !at.is_dir() {
                self.disk.make_dir(&at)?;
                self.disk.sync_dir(&above)?;
            }
        }
        Ok(())
    }

    fn walk(&self, folder: &str, found: &mut dyn FnMut(&str, u64)) -> io::Result<()> {
        let entries = match fs::read_dir(self.root.join(folder)) {
            // A folder that is gone with its whole disk is not an empty one.
            Err(e) if e.kind() == io::ErrorKind::NotFound && self.root.is_dir() => return Ok(()),
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            // A name that is no UTF-8 is none of ours.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let name = format!("{folder}/{name}");
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.walk(&name, found)?;
            } else if kind.is_file() {
                found(&name, entry.metadata()?.len());
            }
        }
        Ok(())
    }
}

fn failed(what: &'static str, name: &str) -> impl FnOnce(io::Error) -> PlaceError {
    let name = name.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => PlaceError::Full { name },
        _ => PlaceError::Io { what, name, source },
    }
}

impl Place for Folder {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), PlaceError> {
        let path = self.root.join(name);
        self.folders(name).and_then(|()| self.write(&path, bytes)).map_err(|e| {
            // Half a file is of no use to anybody, least of all on a disk that is full.
            let _ = self.disk.remove(&unfinished(&path));
            failed("cannot write", name)(e)
        })
    }

    fn get(&self, name: &str, sink: &mut dyn FnMut(&[u8])) -> Result<(), PlaceError> {
        let file = match ColdFile::open(&self.root.join(name)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound && self.root.is_dir() => {
                return Err(PlaceError::Missing(name.to_owned()));
            }
            other => other.map_err(failed("cannot open", name))?,
        };
        let (mut buf, mut at) = (vec![0; PIECE], 0);
        while at < file.len() {
            let n = usize::try_from(file.len() - at).unwrap_or(PIECE).min(PIECE);
            self.pace.wait(n as u64);
            file.read_exact_at(&mut buf[..n], at).map_err(failed("cannot read", name))?;
            sink(&buf[..n]);
            at += n as u64;
        }
        Ok(())
    }

    fn size(&self, name: &str) -> Result<Option<u64>, PlaceError> {
        match fs::metadata(self.root.join(name)) {
            Ok(meta) => Ok(Some(meta.len())),
            Err(e) if e.kind() == io::ErrorKind::NotFound && self.root.is_dir() => Ok(None),
            Err(e) => Err(failed("cannot look at", name)(e)),
        }
    }

    fn list(&self, folder: &str, found: &mut dyn FnMut(&str, u64)) -> Result<(), PlaceError> {
        self.walk(folder, found).map_err(failed("cannot list", folder))
    }

    fn remove(&self, name: &str) -> Result<(), PlaceError> {
        match self.disk.remove(&self.root.join(name)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound && self.root.is_dir() => Ok(()),
            other => other.map_err(failed("cannot remove", name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::sys::{FaultyDisk, RealDisk};

    fn folder(root: &Path, disk: impl Disk) -> Folder {
        Folder::new(root.to_owned(), Arc::new(disk), Arc::new(Pace::new(None)))
    }

    fn names(place: &dyn Place, under: &str) -> Vec<(String, u64)> {
        let mut all = Vec::new();
        place.list(under, &mut |name, len| all.push((name.to_owned(), len))).unwrap();
        all.sort();
        all
    }

    #[test]
    fn files_are_put_read_listed_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let place = folder(dir.path(), RealDisk);
        let place: &dyn Place = &place;
        assert_eq!(names(place, "objects"), []);
        let bytes = vec![7; 600 << 10];
        place.put("objects/1a/x.age", &bytes).unwrap();
        place.put("objects/1a/x.age", b"again").unwrap();
        place.put("objects/1b/y.age", &bytes).unwrap();
        assert_eq!(names(place, "objects"), [("objects/1a/x.age".into(), 5), ("objects/1b/y.age".into(), 600 << 10)]);
        assert_eq!(place.read("objects/1b/y.age").unwrap(), bytes);
        assert_eq!(place.size("objects/1a/x.age").unwrap(), Some(5));
        assert_eq!(place.size("objects/1a/z.age").unwrap(), None);
        assert!(matches!(place.read("objects/1a/z.age"), Err(PlaceError::Missing(_))));
        place.remove("objects/1a/x.age").unwrap();
        place.remove("objects/1a/x.age").unwrap();
        assert_eq!(names(place, "objects").len(), 1);
    }

    #[test]
    fn a_folder_that_is_gone_is_not_made_again_nor_taken_for_empty() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("nas");
        fs::create_dir(&root).unwrap();
        let place = folder(&root, RealDisk);
        fs::remove_dir(&root).unwrap();
        let place: &dyn Place = &place;
        assert!(matches!(place.put("objects/1a/x.age", b"x"), Err(PlaceError::Io { .. })));
        assert!(matches!(place.list("objects", &mut |_, _| ()), Err(PlaceError::Io { .. })));
        assert!(matches!(place.size("x"), Err(PlaceError::Io { .. })));
        assert!(matches!(place.remove("x"), Err(PlaceError::Io { .. })));
        assert!(!root.exists());
    }

    #[test]
    fn a_full_or_broken_disk_leaves_nothing_half() {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        let faults = disk.faults();
        let place = folder(dir.path(), disk);
        place.put("a", b"old").unwrap();
        faults.no_room.store(true, Ordering::SeqCst);
        assert!(matches!(place.put("a", b"new"), Err(PlaceError::Full { .. })));
        faults.no_room.store(false, Ordering::SeqCst);
        faults.sync_error.store(true, Ordering::SeqCst);
        assert!(matches!(place.put("a", b"new"), Err(PlaceError::Io { .. })));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"old");
    }
}
