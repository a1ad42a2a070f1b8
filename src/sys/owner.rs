//! Whose files are: what root makes for a service is the service's.

use std::{
    fs::File,
    io,
    os::unix::fs::{MetadataExt as _, fchown, lchown},
    path::Path,
};

use nix::unistd::User;

/// A user and its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    uid: u32,
    gid: u32,
}

impl Owner {
    /// The user of that name, if there is one.
    pub fn named(name: &str) -> io::Result<Option<Self>> {
        Ok(User::from_name(name)?.map(|user| Self { uid: user.uid.as_raw(), gid: user.gid.as_raw() }))
    }

    /// Whose something is.
    pub fn of(path: &Path) -> io::Result<Self> {
        let meta = path.symlink_metadata()?;
        Ok(Self { uid: meta.uid(), gid: meta.gid() })
    }

    /// Gives something to this user, which takes root. Of a link the link itself is given, not what it leads to.
    pub fn give(self, path: &Path) -> io::Result<()> {
        lchown(path, Some(self.uid), Some(self.gid))
    }

    /// Gives an open file to this user.
    pub fn give_open(self, file: &File) -> io::Result<()> {
        fchown(file, Some(self.uid), Some(self.gid))
    }
}
