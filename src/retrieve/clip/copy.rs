//! Writing a clip into a file: the kernel copies, we put the places right.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path};

use nix::{errno::Errno, fcntl::copy_file_range};

use super::{ClipFile, Piece};
use crate::retrieve::{
    RetrieveError,
    library::{Library, Segment},
    place::read_head,
};

/// Bytes that are copied between two words on progress.
const STEP: u64 = 8 << 20;
/// Bytes per read and write where the kernel cannot copy by itself.
const BUFFER: usize = 256 * 1024;

impl ClipFile {
    /// Writes the file's bytes to `out`, an empty file at `path`. `progress` hears how many bytes are done.
    pub fn write(
        &self,
        library: &Library,
        out: &File,
        path: &Path,
        mut progress: impl FnMut(u64),
    ) -> Result<(), RetrieveError> {
        let failed = |source| RetrieveError::Write { path: path.to_owned(), source };
        out.write_all_at(&self.head, 0).map_err(failed)?;
        let mut at = self.head.len() as u64;
        for piece in &self.pieces {
            let source = library.open(piece.segment)?;
            for (offset, len) in runs_of(&piece.fragments) {
                copy(&source, offset, out, at, len, path, &mut progress)?;
                at += len;
            }
        }
        at = self.head.len() as u64;
        for piece in &self.pieces {
            at = piece.put_right(&library.open(piece.segment)?, out, at).map_err(|e| e.at(path))?;
        }
        Ok(())
    }
}

/// Either side may fail.
enum Failed {
    Source(RetrieveError),
    Out(io::Error),
}

impl Failed {
    fn at(self, path: &Path) -> RetrieveError {
        match self {
            Self::Source(e) => e,
            Self::Out(source) => RetrieveError::Write { path: path.to_owned(), source },
        }
    }
}

impl Piece {
    /// Writes the heads of the piece's fragments with their new places over the copied ones, from `at` on. Answers
    /// where the next piece begins.
    fn put_right(&self, source: &Segment, out: &File, mut at: u64) -> Result<u64, Failed> {
        for (n, (offset, len)) in self.fragments.iter().enumerate() {
            let (head, mut bytes) = read_head(&source.file, &source.path, *offset, *len).map_err(Failed::Source)?;
            let sequence = self.sequence.wrapping_add(u32::try_from(n).unwrap_or(0));
            head.rewrite(&mut bytes, sequence, |track| self.shift.of(track)).map_err(|e| {
                Failed::Source(RetrieveError::Fragment { path: source.path.clone(), at: *offset, source: e })
            })?;
            out.write_all_at(&bytes, at).map_err(Failed::Out)?;
            at += len;
        }
        Ok(at)
    }
}

/// Neighbouring fragments as one range.
fn runs_of(fragments: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut out: Vec<(u64, u64)> = Vec::new();
    for &(offset, len) in fragments {
        match out.last_mut() {
            Some((o, l)) if o.checked_add(*l) == Some(offset) => *l = l.saturating_add(len),
            _ => out.push((offset, len)),
        }
    }
    out
}

fn copy(
    source: &Segment,
    mut from: u64,
    out: &File,
    mut to: u64,
    len: u64,
    path: &Path,
    progress: &mut impl FnMut(u64),
) -> Result<(), RetrieveError> {
    let cannot_read = |source_error| RetrieveError::Read { path: source.path.clone(), source: source_error };
    let cannot_write = |e| RetrieveError::Write { path: path.to_owned(), source: e };
    let (mut left, mut by_kernel, mut buffer) = (len, true, Vec::new());
    while left > 0 {
        let step = usize::try_from(left.min(STEP)).unwrap_or(BUFFER);
        let done = if by_kernel {
            let (mut a, mut b) = (from.cast_signed(), to.cast_signed());
            match copy_file_range(&source.file, Some(&mut a), out, Some(&mut b), step) {
                Ok(n) => n,
                // Other file systems, old kernels, special files: by hand.
                Err(Errno::EXDEV | Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::EPERM) => {
                    by_kernel = false;
                    continue;
                }
                Err(Errno::EINTR) => continue,
                Err(e) => return Err(cannot_write(e.into())),
            }
        } else {
            buffer.resize(BUFFER, 0);
            let part = &mut buffer[..step.min(BUFFER)];
            let n = source.file.read_at(part, from).map_err(cannot_read)?;
            out.write_all_at(&part[..n], to).map_err(cannot_write)?;
            n
        };
        if done == 0 {
            return Err(cannot_read(io::ErrorKind::UnexpectedEof.into()));
        }
        (from, to, left) = (from + done as u64, to + done as u64, left - done as u64);
        progress(to);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_copied_at_once() {
        assert_eq!(runs_of(&[(100, 10), (110, 5), (200, 1), (201, 1)]), [(100, 15), (200, 2)]);
        assert_eq!(runs_of(&[]), []);
    }
}
