//! Small files that decide what is in force: written whole or not at all, and kept through a power cut. Behind a trait, so that
//! tests can cut the power between any two of them.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown, symlink},
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;

/// Files and links of the state folder.
pub trait Files: Send + Sync {
    /// What a file says; nothing if there is none.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;
    /// What lies there, whoever has left it: no link is followed, no pipe is waited for, and not more than `most` bytes are read.
    fn find(&self, path: &Path, most: usize) -> io::Result<Option<Found>>;
    /// Names in a folder, sorted; none if there is no folder. Unfinished files are left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Where a symbolic link leads; nothing if there is none.
    fn target(&self, link: &Path) -> io::Result<Option<PathBuf>>;
    /// Makes one folder, 0755; its parent must be there. Fine if it exists already.
    fn make_dir(&self, path: &Path) -> io::Result<()>;
    /// Writes a file: afterwards, and after a power cut, it is the old one or the new one. `group` is that of the new one.
    fn write(&self, path: &Path, bytes: &[u8], mode: u32, group: Option<u32>) -> io::Result<()>;
    /// Points a symbolic link elsewhere, in the same manner.
    fn point(&self, link: &Path, to: &Path) -> io::Result<()>;
    /// Puts a file in another one's place. Readers see the new one at once; a power cut may undo it until something else is written
    /// in the same folder.
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file or a folder its name; nothing may have that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. Fine if there is none.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder with all that is in it. Fine if there is none.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
}

/// Something in a folder that others may write to.
#[derive(Debug)]
pub struct Found {
    /// Whose it is.
    pub owner: u32,
    /// What it says. `InvalidData` if it is no plain file, or a longer one.
    pub bytes: io::Result<Vec<u8>>,
}

/// The kernel's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFiles;

/// What is not finished has this at the end of its name.
pub(super) const UNFINISHED: &str = ".tmp~";

/// The name that something has until it is whole.
pub fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(UNFINISHED);
    path.with_file_name(name)
}

fn absent_is_fine<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(t) => Ok(Some(t)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// What a plain file says.
fn plain(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let none = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(none("it is no plain file"));
    }
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most { Err(none("it is too long")) } else { Ok(bytes) }
}

/// Makes the entries of the folder that holds `path` durable.
fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

impl Files for RealFiles {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        absent_is_fine(fs::read(path))
    }

    fn find(&self, path: &Path, most: usize) -> io::Result<Option<Found>> {
        let Some(meta) = absent_is_fine(fs::symlink_metadata(path))? else { return Ok(None) };
        let none = || Err(io::Error::new(io::ErrorKind::InvalidData, "it is no plain file"));
        Ok(Some(Found { owner: meta.uid(), bytes: if meta.is_file() { plain(path, most) } else { none() } }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let Some(entries) = absent_is_fine(fs::read_dir(dir))? else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        for entry in entries {
            // A name that is no UTF-8 is none of ours.
            names.extend(entry?.file_name().into_string().ok().filter(|n| !n.ends_with(UNFINISHED)));
        }
        names.sort();
        Ok(names)
    }

    fn target(&self, link: &Path) -> io::Result<Option<PathBuf>> {
        absent_is_fine(fs::read_link(link))
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(e) => Err(e),
            Ok(()) => {
                // Whatever the mask of the one who gives the command: services must come through.
                fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
                sync_parent(path)
            }
        }
    }

    fn write(&self, path: &Path, bytes: &[u8], mode: u32, group: Option<u32>) -> io::Result<()> {
        let unfinished = unfinished(path);
        absent_is_fine(fs::remove_file(&unfinished))?;
        // Nobody else can read it before it has its group.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        if group.is_some() {
            fchown(&file, None, group)?;
        }
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        sync_parent(path)
    }

    fn point(&self, link: &Path, to: &Path) -> io::Result<()> {
        let unfinished = unfinished(link);
        absent_is_fine(fs::remove_file(&unfinished))?;
        symlink(to, &unfinished)?;
        fs::rename(&unfinished, link)?;
        sync_parent(link)
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if fs::symlink_metadata(to).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} is there already", to.display())));
        }
        fs::rename(from, to)?;
        sync_parent(to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match absent_is_fine(fs::remove_file(path))? {
            Some(()) => sync_parent(path),
            None => Ok(()),
        }
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        match absent_is_fine(fs::remove_dir_all(path))? {
            Some(()) => sync_parent(path),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_whole_and_absence_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let (files, path) = (RealFiles, dir.path().join("f"));
        assert_eq!(files.read(&path).unwrap(), None);
        // What an earlier attempt left is no obstacle, and no file.
        fs::write(unfinished(&path), "half").unwrap();
        assert_eq!(files.list(dir.path()).unwrap(), Vec::<String>::new());
        files.write(&path, b"one", 0o640, None).unwrap();
        files.write(&path, b"two", 0o640, None).unwrap();
        assert_eq!(files.read(&path).unwrap().unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        let link = dir.path().join("l");
        assert_eq!(files.target(&link).unwrap(), None);
        files.point(&link, Path::new("f")).unwrap();
        files.point(&link, Path::new("g")).unwrap();
        assert_eq!(files.target(&link).unwrap().unwrap(), Path::new("g"));
        assert!(files.rename(&path, &link).is_err(), "nothing is written over");
        assert_eq!(files.list(dir.path()).unwrap(), ["f", "l"]);
        files.write(&dir.path().join("next"), b"three", 0o600, None).unwrap();
        files.replace(&dir.path().join("next"), &path).unwrap();
        assert_eq!(files.read(&path).unwrap().unwrap(), b"three");
        assert_eq!(files.list(dir.path()).unwrap(), ["f", "l"]);
        files.remove(&path).unwrap();
        files.remove(&path).unwrap();
        files.remove_dir(&dir.path().join("none")).unwrap();
        assert_eq!(files.list(&dir.path().join("none")).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_others_left_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("f"), "four").unwrap();
        fs::create_dir(at("folder")).unwrap();
        symlink("f", at("link")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let find = |name: &str, most| RealFiles.find(&at(name), most).unwrap().unwrap();
        assert!(RealFiles.find(&at("none"), 4).unwrap().is_none());
        let found = find("f", 4);
        assert_eq!((found.owner, &*found.bytes.unwrap()), (nix::unistd::geteuid().as_raw(), &b"four"[..]));
        for (name, most) in [("f", 3), ("folder", 9), ("link", 9), ("pipe", 9), ("socket", 9)] {
            assert_eq!(find(name, most).bytes.unwrap_err().kind(), io::ErrorKind::InvalidData, "{name}");
        }
        // One that takes a file's place meanwhile is found out as well.
        for name in ["folder", "link", "pipe", "socket"] {
            plain(&at(name), 9).unwrap_err();
        }
    }
}
