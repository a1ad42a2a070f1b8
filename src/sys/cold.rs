//! Reading much that nobody else wants to read.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

/// A file that is read once. What is read leaves the page cache again, so that the pages of those who work beside it stay; and what the
/// cache holds at the beginning is let go, so that what was written a moment ago comes back from the disk. Both as far as the file system can.
#[derive(Debug)]
pub struct ColdFile {
    file: File,
    len: u64,
}

impl ColdFile {
    /// Opens a file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let cold = Self { file, len };
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

    /// Reads exactly.
    pub fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let read = self.file.read_exact_at(buf, offset);
        self.advise(offset, buf.len() as u64, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        read
    }

    /// Advice that is not taken costs nothing but cache.
    fn advise(&self, offset: u64, len: u64, advice: PosixFadviseAdvice) {
        if let (Ok(offset), Ok(len)) = (i64::try_from(offset), i64::try_from(len)) {
            let _ = posix_fadvise(&self.file, offset, len, advice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_be_bytes).collect();
        std::fs::write(&path, &bytes).unwrap();
        let file = ColdFile::open(&path).unwrap();
        assert_eq!(file.len(), bytes.len() as u64);
        let mut part = vec![0; 1000];
        file.read_exact_at(&mut part, 390_001).unwrap();
        assert_eq!(part, bytes[390_001..391_001]);
        assert!(file.read_exact_at(&mut part, 399_999).is_err(), "beyond the end");
    }
}
