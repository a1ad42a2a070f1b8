//! Files on footage disks, behind a trait, so that tests can break the disk.

use std::{
    fs::{File, OpenOptions},
    io::{self, IoSlice},
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use nix::fcntl::{FallocateFlags, fallocate};

/// Free and total bytes of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Space {
    /// What an unprivileged writer may still use.
    pub free: u64,
    /// All of it.
    pub size: u64,
}

/// What the store does to a footage disk. Every method may block for as long as the disk likes.
pub trait Disk: Send + Sync + 'static {
    /// Makes one folder; its parent must be there. Fine if it exists already.
    fn make_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes a file that must not exist yet.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder that is empty. False if it is not.
    fn remove_empty_dir(&self, path: &Path) -> io::Result<bool>;
    /// Gives a file another name in its folder; a file that has that name already is replaced, whole or not at all.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes a folder's entries durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes everything on the file system that holds `path` durable.
    fn sync_file_system(&self, path: &Path) -> io::Result<()>;
    /// How much room there is.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// Whether `path` is a mount point, that is, whether its file system holds nothing else.
    fn is_mount_point(&self, path: &Path) -> io::Result<bool>;
    /// Which file system `path` is on, as the kernel numbers those that are mounted.
    fn file_system(&self, path: &Path) -> io::Result<u64>;
}

/// A file on a footage disk.
pub trait DiskFile: Send + Sync {
    /// Writes all of `parts`, one after the other, from `offset` on.
    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()>;
    /// Reserves extents up to `len` without changing the file's length. Best effort.
    fn reserve(&self, len: u64) -> io::Result<()>;
    /// Cuts the file, its reserved extents too.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Makes its contents durable.
    fn sync(&self) -> io::Result<()>;
    /// Its length.
    fn len(&self) -> io::Result<u64>;
    /// Whether there is nothing in it.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Reads exactly.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
}

/// The kernel's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

#[derive(Debug)]
struct RealFile(File);

/// Linux refuses more slices in one call (IOV_MAX).
const MAX_SLICES: usize = 1024;

impl DiskFile for RealFile {
    fn write_at(&self, parts: &[IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        for mut parts in parts.chunks(MAX_SLICES) {
            let mut skip = 0; // bytes of the first slice that a short write has taken
            while !parts.is_empty() {
                let n = if skip > 0 {
                    self.0.write_at(&parts[0][skip..], offset)?
                } else {
                    let at = i64::try_from(offset).map_err(io::Error::other)?;
                    nix::sys::uio::pwritev(&self.0, parts, at)?
                };
                if n == 0 && parts.iter().any(|p| !p.is_empty()) {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                offset += n as u64;
                let mut taken = n + skip;
                while let Some(first) = parts.first()
                    && taken >= first.len()
                {
                    taken -= first.len();
                    parts = &parts[1..];
                }
                skip = taken;
            }
        }
        Ok(())
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        let len = i64::try_from(len).map_err(io::Error::other)?;
        match fallocate(&self.0, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, len) {
            // So much at once may not be there any more; whether there is room is for the write to say.
            Ok(()) | Err(nix::errno::Errno::EOPNOTSUPP | nix::errno::Errno::ENOSPC) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }
}

impl Disk for RealDisk {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        match std::fs::create_dir(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o640).open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(OpenOptions::new().read(true).write(true).open(path)?)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_empty_dir(&self, path: &Path) -> io::Result<bool> {
        match std::fs::remove_dir(path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        Ok(nix::unistd::syncfs(File::open(path)?)?)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let s = nix::sys::statvfs::statvfs(path)?;
        Ok(Space { free: s.blocks_available() * s.fragment_size(), size: s.blocks() * s.fragment_size() })
    }

    fn is_mount_point(&self, path: &Path) -> io::Result<bool> {
        Ok(self.file_system(path)? != self.file_system(&path.join(".."))?)
    }

    fn file_system(&self, path: &Path) -> io::Result<u64> {
        Ok(std::fs::metadata(path)?.dev())
    }
}

/// What is read of a file from now on comes from the disk and not from memory: after a sync has failed, the two may differ.
pub fn forget_cached(file: &File) -> io::Result<()> {
    Ok(nix::fcntl::posix_fadvise(file, 0, 0, nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED)?)
}

/// A disk that can be told to fail: the real one, until then.
#[derive(Clone, Default)]
pub struct FaultyDisk {
    faults: Arc<Faults>,
}

/// What is broken about a [`FaultyDisk`].
#[derive(Debug, Default)]
pub struct Faults {
    /// Writes fail with EIO.
    pub write_error: AtomicBool,
    /// Syncs fail with EIO.
    pub sync_error: AtomicBool,
    /// No free space is reported.
    pub full: AtomicBool,
    /// Writes fail with ENOSPC, whatever was reported.
    pub no_room: AtomicBool,
    /// Another file system is in its place.
    pub exchanged: AtomicBool,
    hanging: Mutex<bool>,
    released: Condvar,
}

impl Faults {
    /// From now on every write and sync hangs, as on a dead disk, or all that hang go on.
    pub fn hang(&self, on: bool) {
        *self.hanging.lock().unwrap_or_else(PoisonError::into_inner) = on;
        self.released.notify_all();
    }

    fn wait(&self) {
        let hanging = self.hanging.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.released.wait_while(hanging, |h| *h).unwrap_or_else(PoisonError::into_inner));
    }

    fn before_write(&self) -> io::Result<()> {
        self.wait();
        if self.no_room.load(Ordering::SeqCst) {
            return Err(nix::errno::Errno::ENOSPC.into());
        }
        if self.write_error.load(Ordering::SeqCst) {
            return Err(nix::errno::Errno::EIO.into());
        }
        Ok(())
    }

    fn before_sync(&self) -> io::Result<()> {
        self.wait();
        if self.sync_error.load(Ordering::SeqCst) { Err(nix::errno::Errno::EIO.into()) } else { Ok(()) }
    }
}

struct FaultyFile {
    inner: Arc<dyn DiskFile>,
    faults: Arc<Faults>,
}

impl FaultyDisk {
    /// The switches.
    pub fn faults(&self) -> Arc<Faults> {
        self.faults.clone()
    }

    fn wrap(&self, inner: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(FaultyFile { inner, faults: self.faults.clone() })
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.faults.before_write()?;
        self.inner.write_at(parts, offset)
    }
    fn reserve(&self, len: u64) -> io::Result<()> {
        self.faults.before_write()?;
        self.inner.reserve(len)
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.faults.wait();
        self.inner.truncate(len)
    }
    fn sync(&self) -> io::Result<()> {
        self.faults.before_sync()?;
        self.inner.sync()
    }
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.inner.read_exact_at(buf, offset)
    }
}

impl Disk for FaultyDisk {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.faults.before_write()?;
        RealDisk.make_dir(path)
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.faults.before_write()?;
        Ok(self.wrap(RealDisk.create(path)?))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(RealDisk.open(path)?))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.faults.wait();
        RealDisk.remove(path)
    }
    fn remove_empty_dir(&self, path: &Path) -> io::Result<bool> {
        self.faults.wait();
        RealDisk.remove_empty_dir(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.faults.before_write()?;
        RealDisk.rename(from, to)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.faults.before_sync()?;
        RealDisk.sync_dir(path)
    }
    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        self.faults.before_sync()?;
        RealDisk.sync_file_system(path)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        let space = RealDisk.space(path)?;
        Ok(if self.faults.full.load(Ordering::SeqCst) { Space { free: 0, ..space } } else { space })
    }
    fn is_mount_point(&self, path: &Path) -> io::Result<bool> {
        RealDisk.is_mount_point(path)
    }
    fn file_system(&self, path: &Path) -> io::Result<u64> {
        Ok(RealDisk.file_system(path)? + u64::from(self.faults.exchanged.load(Ordering::SeqCst)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_slices_arrive_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk.create(&dir.path().join("f")).unwrap();
        let bytes: Vec<u8> = (0..5000u32).flat_map(u32::to_be_bytes).collect();
        let parts: Vec<IoSlice<'_>> = bytes.chunks(3).map(IoSlice::new).collect();
        file.write_at(&[IoSlice::new(b"head")], 0).unwrap();
        file.write_at(&parts, 4).unwrap();
        let mut back = vec![0; bytes.len()];
        file.read_exact_at(&mut back, 4).unwrap();
        assert_eq!(back, bytes);
        assert!(RealDisk.create(&dir.path().join("f")).is_err(), "an existing file is never written over");
    }

    #[test]
    fn reserving_does_not_change_the_length() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk.create(&dir.path().join("f")).unwrap();
        file.reserve(1 << 20).unwrap();
        assert!(file.is_empty().unwrap());
    }
}
