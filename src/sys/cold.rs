//! Reading much that nobody else wants to read.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

/// A file that is read once, from its beginning to its end more or less. What is read leaves the page cache again, so that the pages of those
/// who work beside it stay; and what the cache holds at the beginning is let go, so that what was written a moment ago comes back from the
/// disk. Both as far as the file system can.
#[derive(Debug)]
pub struct ColdFile {
    file: File,
    len: u64,
    /// What is before this has been let go.
    forgotten: AtomicU64,
}

/// So much stays in the cache: what was read ahead, and pages that a reader comes back to.
const KEPT: u64 = 2 << 20;

impl ColdFile {
    /// Opens a file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let cold = Self { file, len, forgotten: AtomicU64::new(0) };
        cold.advise(0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        cold.advise(0, 0, PosixFadviseAdvice::POSIX_FADV_SEQUENTIAL);
        Ok(cold)
    }

    /// Its length when it was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads some bytes; 0 at the end. As `pread(2)`.
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.file.read_at(buf, offset)?;
        self.forget_before(offset);
        Ok(read)
    }

    /// Reads exactly.
    pub fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)?;
        self.forget_before(offset);
        Ok(())
    }

    fn forget_before(&self, offset: u64) {
        let forgotten = self.forgotten.load(Ordering::Relaxed);
        if offset >= forgotten + 2 * KEPT {
            self.advise(forgotten, offset - KEPT - forgotten, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
            self.forgotten.store(offset - KEPT, Ordering::Relaxed);
        }
    }

    /// Advice that is not taken costs nothing but cache.
    fn advise(&self, offset: u64, len: u64, advice: PosixFadviseAdvice) {
        if let (Ok(offset), Ok(len)) = (i64::try_from(offset), i64::try_from(len)) {
            let _ = posix_fadvise(&self.file, offset, len, advice);
        }
    }
}

impl Drop for ColdFile {
    fn drop(&mut self) {
        self.advise(0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_be_bytes).collect();
        std::fs::write(&path, &bytes).unwrap();
        let file = ColdFile::open(&path).unwrap();
        assert_eq!(file.len(), bytes.len() as u64);
        let mut part = vec![0; 4000];
        for at in (0..bytes.len() - 4000).step_by(350_001) {
            file.read_exact_at(&mut part, at as u64).unwrap();
            assert_eq!(part, bytes[at..at + 4000]);
        }
        assert!(file.read_exact_at(&mut part, file.len() - 1).is_err(), "beyond the end");
        assert_eq!(file.read_at(&mut part, file.len() - 1).unwrap(), 1);
    }
}
