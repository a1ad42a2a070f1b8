//! Copying a file system to a partition, and reading it back from there.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use crate::{sys::forget_cached, types::merkle::Hash};

const PIECE: usize = 4 << 20;

/// Why a copy is none.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The stick cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The disk cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is read back is not what was written.
    #[error("{} gives back something else than was written to it: the disk is broken", path.display())]
    Differs {
        /// What.
        path: PathBuf,
    },
    /// It does not fit.
    #[error("{} has {room} bytes, {needed} are needed", path.display())]
    Room {
        /// What.
        path: PathBuf,
        /// How many there are.
        room: u64,
        /// How many are needed.
        needed: u64,
    },
}

/// Copies all of a file or partition to the beginning of another one, unless it is there already. Tells how many of how many bytes are done;
/// reading back counts like writing. Gives the SHA-256, and whether something was written.
pub fn copy(from: &Path, to: &Path, tell: &mut dyn FnMut(u64, u64)) -> Result<(Hash, bool), CopyError> {
    let reading = |source| CopyError::Read { path: from.to_owned(), source };
    let writing = |source| CopyError::Write { path: to.to_owned(), source };
    let mut source = File::open(from).map_err(reading)?;
    let len = source.seek(SeekFrom::End(0)).map_err(reading)?;
    let mut target = OpenOptions::new().read(true).write(true).open(to).map_err(writing)?;
    let room = target.seek(SeekFrom::End(0)).map_err(writing)?;
    if room < len {
        return Err(CopyError::Room { path: to.to_owned(), room, needed: len });
    }
    // A piece of zeros on a new disk is told from the source at its first piece.
    if same(&mut source, &mut target, len).map_err(reading)? {
        let hash = hash(&mut source, len, &mut |_| {}).map_err(reading)?;
        tell(2 * len, 2 * len);
        return Ok((hash, false));
    }
    let mut hasher = Sha256::new();
    source.rewind().map_err(reading)?;
    target.rewind().map_err(writing)?;
    let (mut piece, mut done) = (vec![0; PIECE], 0);
    while done < len {
        let n = usize::try_from((len - done).min(PIECE as u64)).unwrap_or(PIECE);
        source.read_exact(&mut piece[..n]).map_err(reading)?;
        hasher.update(&piece[..n]);
        target.write_all(&piece[..n]).map_err(writing)?;
        done += n as u64;
        tell(done, 2 * len);
    }
    target.sync_all().map_err(writing)?;
    // What comes back from memory proves nothing.
    forget_cached(&target).map_err(writing)?;
    let wanted = Hash(hasher.finalize().into());
    let back = hash(&mut target, len, &mut |n| tell(len + n, 2 * len)).map_err(writing)?;
    if back == wanted { Ok((wanted, true)) } else { Err(CopyError::Differs { path: to.to_owned() }) }
}

/// Whether both begin with the same. What of the second cannot be read is not, and is written anew; an error is the first one's.
fn same(a: &mut (impl io::Read + io::Seek), b: &mut (impl io::Read + io::Seek), len: u64) -> io::Result<bool> {
    a.rewind()?;
    if b.rewind().is_err() {
        return Ok(false);
    }
    let (mut left, mut right, mut done) = (vec![0; PIECE], vec![0; PIECE], 0);
    while done < len {
        let n = usize::try_from((len - done).min(PIECE as u64)).unwrap_or(PIECE);
        a.read_exact(&mut left[..n])?;
        if b.read_exact(&mut right[..n]).is_err() || left[..n] != right[..n] {
            return Ok(false);
        }
        done += n as u64;
    }
    Ok(true)
}

fn hash(file: &mut File, len: u64, tell: &mut dyn FnMut(u64)) -> io::Result<Hash> {
    file.rewind()?;
    let (mut hasher, mut piece, mut done) = (Sha256::new(), vec![0; PIECE], 0);
    while done < len {
        let n = usize::try_from((len - done).min(PIECE as u64)).unwrap_or(PIECE);
        file.read_exact(&mut piece[..n])?;
        hasher.update(&piece[..n]);
        done += n as u64;
        tell(done);
    }
    Ok(Hash(hasher.finalize().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_made_once_and_repaired() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        let bytes: Vec<u8> = (0..PIECE + 1000).map(|n| u8::try_from(n % 251).unwrap()).collect();
        std::fs::write(&from, &bytes).unwrap();
        File::create(&to).unwrap().set_len(2 * PIECE as u64).unwrap();
        let mut told = Vec::new();
        let (first, written) = copy(&from, &to, &mut |done, all| told.push((done, all))).unwrap();
        assert!(written && told.is_sorted() && told.last().is_some_and(|(done, all)| done == all), "{told:?}");
        assert_eq!(first, Hash(Sha256::digest(&bytes).into()));
        assert_eq!(std::fs::read(&to).unwrap()[..bytes.len()], bytes);
        assert_eq!(copy(&from, &to, &mut |_, _| {}).unwrap(), (first, false));
        // Cut short at the last byte.
        let mut half = bytes.clone();
        *half.last_mut().unwrap() ^= 1;
        half.resize(2 * PIECE, 0);
        std::fs::write(&to, half).unwrap();
        assert_eq!(copy(&from, &to, &mut |_, _| {}).unwrap(), (first, true));
        File::create(&to).unwrap().set_len(10).unwrap();
        assert!(matches!(copy(&from, &to, &mut |_, _| {}), Err(CopyError::Room { room: 10, .. })));
    }

    /// A disk on which nothing can be read.
    struct Broken;

    impl io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("a bad sector"))
        }
    }

    impl io::Seek for Broken {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Ok(0)
        }
    }

    #[test]
    fn a_sector_of_the_disk_that_cannot_be_read_is_written_anew_and_is_not_the_sticks() {
        let mut good = io::Cursor::new(vec![7; 100]);
        assert!(!same(&mut good, &mut Broken, 100).unwrap());
        assert!(same(&mut Broken, &mut good, 100).is_err());
        assert!(same(&mut good.clone(), &mut good, 100).unwrap());
    }
}
