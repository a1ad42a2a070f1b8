//! Volumes: the marker that makes a folder one of ours, and what it takes to write there.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    sys::{Disk, Owner, Space},
    types::{VolumeName, WallNs},
};

/// The marker file in a volume's root.
pub const MARKER: &str = "custodian-volume.json";

/// Who records: footage belongs to this user where there is one.
pub const OWNER: &str = "custodian-record";

/// Version of the layout of a volume that this version writes.
pub const FORMAT: u16 = 1;

/// What the marker says. A volume without its marker, or with another one, is never written to: so a
/// missing mount can't fill the system disk, and a strange disk is not taken for ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Version of the layout.
    pub format: u16,
    /// The oldest version of the layout that a reader must understand to read this one.
    pub min_reader: u16,
    /// The site's name when the volume was prepared.
    pub site: String,
    /// The volume's name in site.toml.
    pub volume: VolumeName,
    /// Its own identity, for ever.
    pub id: Uuid,
    /// When it was prepared.
    pub created: WallNs,
}

/// Why a volume can't be used. Nothing has been written to it.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The folder is not there.
    #[error("volume {volume}: there is no folder {root}: is the disk connected and mounted?")]
    NoFolder {
        /// Which.
        volume: VolumeName,
        /// Where it should be.
        root: PathBuf,
    },
    /// The folder is there, the marker is not.
    #[error(
        "volume {volume}: {root} has no {MARKER}, so nothing is written there: either its disk is not mounted, or it was never prepared (`custodian volume init {volume}`)"
    )]
    NoMarker {
        /// Which.
        volume: VolumeName,
        /// Where it should be.
        root: PathBuf,
    },
    /// A marker that is not readable as one.
    #[error("volume {volume}: {path} is not a marker: {what}")]
    BadMarker {
        /// Which.
        volume: VolumeName,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Another volume's marker.
    #[error("volume {volume}: {root} holds another volume: {found}")]
    WrongMarker {
        /// Which.
        volume: VolumeName,
        /// Where.
        root: PathBuf,
        /// What the marker says and what was expected.
        found: String,
    },
    /// A marker of a later version.
    #[error(
        "volume {volume}: its layout wants a reader of version {min_reader}, this one has {FORMAT}: update custodian"
    )]
    TooNew {
        /// Which.
        volume: VolumeName,
        /// What it wants.
        min_reader: u16,
    },
    /// Preparing a folder that holds something.
    #[error("volume {volume}: {root} is not empty (it holds {found:?}), so it is not prepared: name an empty folder")]
    NotEmpty {
        /// Which.
        volume: VolumeName,
        /// Where.
        root: PathBuf,
        /// The first thing found.
        found: String,
    },
    /// The disk says no.
    #[error("volume {volume}: {what} {path}")]
    Io {
        /// Which.
        volume: VolumeName,
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
}

/// A volume whose marker was found to be the expected one.
#[derive(Debug, Clone)]
pub struct Volume {
    /// Its name.
    pub name: VolumeName,
    /// Where it is.
    pub root: PathBuf,
    /// What its marker says.
    pub marker: Marker,
    /// Whether it is a file system of its own, which is committed as a whole.
    pub mount_point: bool,
    /// Which file system it is on, see [`Disk::file_system`].
    pub file_system: u64,
}

/// Prepares an empty folder as a volume. Its parent must be there.
pub fn init(disk: &dyn Disk, name: &VolumeName, root: &Path, site: &str, now: WallNs) -> Result<Volume, VolumeError> {
    let io = |what, path: &Path| {
        let (volume, path) = (name.clone(), path.to_owned());
        move |source| VolumeError::Io { volume, what, path, source }
    };
    disk.make_dir(root).map_err(io("cannot make", root))?;
    let entries = std::fs::read_dir(root).map_err(io("cannot list", root))?;
    for entry in entries {
        let found = entry.map_err(io("cannot list", root))?.file_name();
        // mkfs makes this one.
        if found != "lost+found" {
            let found = found.to_string_lossy().into_owned();
            return Err(VolumeError::NotEmpty { volume: name.clone(), root: root.to_owned(), found });
        }
    }
    let marker = Marker {
        format: FORMAT,
        min_reader: FORMAT,
        site: site.to_owned(),
        volume: name.clone(),
        id: Uuid::new_v4(),
        created: now,
    };
    let footage = root.join(super::layout::FOOTAGE);
    disk.make_dir(&footage).map_err(io("cannot make", &footage))?;
    let path = root.join(MARKER);
    let mut text = serde_json::to_vec_pretty(&marker).unwrap_or_default();
    text.push(b'\n');
    // The marker comes last: a volume that has one is ready.
    let write = || {
        let file = disk.create(&path)?;
        file.write_at(&[io::IoSlice::new(&text)], 0)?;
        file.sync()?;
        disk.sync_dir(root)
    };
    write().map_err(io("cannot write", &path))?;
    open(disk, name, root, None)
}

/// Gives a volume that was just prepared to the user who writes to it.
pub fn give(root: &Path, owner: Owner) -> io::Result<()> {
    [root.join(MARKER), root.join(super::layout::FOOTAGE), root.to_owned()].iter().try_for_each(|path| owner.give(path))
}

/// Reads the marker of a folder that is taken for volume `name`, whatever it names.
pub fn marker(name: &VolumeName, root: &Path) -> Result<Marker, VolumeError> {
    let volume = name.clone();
    let path = root.join(MARKER);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound && !root.is_dir() => {
            return Err(VolumeError::NoFolder { volume, root: root.to_owned() });
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(VolumeError::NoMarker { volume, root: root.to_owned() });
        }
        Err(source) => return Err(VolumeError::Io { volume, what: "cannot read", path, source }),
    };
    let marker: Marker = match serde_json::from_slice(&text) {
        Ok(marker) => marker,
        Err(e) => return Err(VolumeError::BadMarker { volume, path, what: e.to_string() }),
    };
    if marker.min_reader > FORMAT {
        return Err(VolumeError::TooNew { volume, min_reader: marker.min_reader });
    }
    Ok(marker)
}

/// Opens a volume, if its marker is that of `name` and, where the id is known, has that id.
pub fn open(disk: &dyn Disk, name: &VolumeName, root: &Path, id: Option<&str>) -> Result<Volume, VolumeError> {
    let volume = name.clone();
    let marker = marker(name, root)?;
    if marker.volume != *name {
        let found = format!("its marker names {:?}", marker.volume.as_str());
        return Err(VolumeError::WrongMarker { volume, root: root.to_owned(), found });
    }
    if let Some(id) = id
        && id != marker.id.to_string()
    {
        let found = format!("its id is {}, this recorder's {volume} is {id}", marker.id);
        return Err(VolumeError::WrongMarker { volume, root: root.to_owned(), found });
    }
    let seen = disk.is_mount_point(root).and_then(|mount_point| Ok((mount_point, disk.file_system(root)?)));
    let (mount_point, file_system) =
        seen.map_err(|source| VolumeError::Io { volume, what: "cannot look at", path: root.to_owned(), source })?;
    Ok(Volume { name: name.clone(), root: root.to_owned(), marker, mount_point, file_system })
}

impl Volume {
    /// How much room there is.
    pub fn space(&self, disk: &dyn Disk) -> io::Result<Space> {
        disk.space(&self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::RealDisk;

    #[test]
    fn a_volume_is_prepared_once_and_known_by_its_marker() {
        let dir = tempfile::tempdir().unwrap();
        let (name, root) = ("a1".parse().unwrap(), dir.path().join("a1"));
        assert!(matches!(open(&RealDisk, &name, &root, None), Err(VolumeError::NoFolder { .. })));
        let v = init(&RealDisk, &name, &root, "Trường", WallNs(1)).unwrap();
        assert_eq!(open(&RealDisk, &name, &root, Some(&v.marker.id.to_string())).unwrap().marker, v.marker);
        assert!(matches!(init(&RealDisk, &name, &root, "x", WallNs(1)), Err(VolumeError::NotEmpty { .. })));
        let other = "a2".parse().unwrap();
        assert!(matches!(open(&RealDisk, &other, &root, None), Err(VolumeError::WrongMarker { .. })));
        assert!(matches!(open(&RealDisk, &name, &root, Some("else")), Err(VolumeError::WrongMarker { .. })));
        std::fs::write(root.join(MARKER), "{}").unwrap();
        assert!(matches!(open(&RealDisk, &name, &root, None), Err(VolumeError::BadMarker { .. })));
        std::fs::remove_file(root.join(MARKER)).unwrap();
        assert!(matches!(open(&RealDisk, &name, &root, None), Err(VolumeError::NoMarker { .. })));
    }
}
