//! Whether a volume can take footage: room, and a disk that answers.

use std::io;

use super::volume::{self, Volume};
use crate::sys::{Disk, Space};

/// A small file that is written, synced and removed to see whether a disk answers.
const PROBE: &str = ".custodian-probe";

/// Kept free for the closing of open segments and for the file system's own needs: with less, a volume of that size takes no footage.
pub fn reserve(size: u64) -> u64 {
    (size / 50).min(256 << 20)
}

/// Why a volume with so little room takes no more footage, if it does not.
pub(super) fn full(space: Space) -> Option<String> {
    (space.free < reserve(space.size)).then(|| {
        format!(
            "it is full: {} free, {} are kept in reserve",
            crate::types::ByteSize(space.free),
            crate::types::ByteSize(reserve(space.size))
        )
    })
}

/// Tries a volume that has failed: its marker, twice the reserve of room, a file written and synced. Answers its room, and which file
/// system it is on now.
pub(super) fn probe(disk: &dyn Disk, volume: &Volume) -> io::Result<(Space, u64)> {
    let id = volume.marker.id.to_string();
    let now = volume::open(disk, &volume.name, &volume.root, Some(&id)).map_err(io::Error::other)?;
    if volume.mount_point && !now.mount_point {
        return Err(io::Error::new(io::ErrorKind::NotFound, "it was a file system of its own, and is not mounted now"));
    }
    let space = disk.space(&volume.root)?;
    if space.free < 2 * reserve(space.size) {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let path = volume.root.join(PROBE);
    match disk.remove(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let file = disk.create(&path)?;
    file.write_at(&[io::IoSlice::new(b"custodian looks whether this disk answers\n")], 0)?;
    file.sync()?;
    disk.remove(&path)?;
    Ok((space, now.file_system))
}
