//! One thing that is to be in a backup.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{
    crypt::digest,
    manifest::{FootageLine, PART, RelPath},
    record::Kind,
};
use crate::{
    store::format::{self, FormatError},
    sys::ColdFile,
    types::{SegmentId, merkle::Hash},
};

/// A file, or what would be one.
#[derive(Debug, Clone)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// Where it belongs when it is restored.
    pub path: RelPath,
    /// What it is a copy of. Equal keys mean equal bytes, so that what is at the place already need not be read again.
    pub key: String,
    /// Its length.
    pub bytes: u64,
    /// Where it is.
    pub from: Source,
    /// Of footage more.
    pub footage: Option<FootageLine>,
    /// Of footage: which segment.
    pub segment: Option<SegmentId>,
    /// Of footage: the root over its fragments, as the index has it.
    pub root: Option<Hash>,
}

/// Where something is.
#[derive(Debug, Clone)]
pub enum Source {
    /// In a file; if that cannot be read, in the next one.
    Files(Vec<PathBuf>),
    /// Here.
    Bytes(Vec<u8>),
}

fn bad(path: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidFilename, path)
}

impl Item {
    /// A closed segment of that length, and where its copies are.
    pub fn segment(
        id: SegmentId,
        bytes: u64,
        path: &str,
        files: Vec<PathBuf>,
        footage: FootageLine,
        root: Option<Hash>,
    ) -> io::Result<Self> {
        Ok(Self {
            kind: Kind::Footage,
            path: path.to_owned().try_into().map_err(bad)?,
            // A closed segment is never changed.
            key: format!("segment:{}:{}:{}:{bytes}", id.stream, id.run, id.seq),
            bytes,
            from: Source::Files(files),
            footage: Some(footage),
            segment: Some(id),
            root,
        })
    }

    /// Which segment a key is of: all of it but the length, which changes when a file is cut.
    pub fn segment_of(key: &str) -> &str {
        key.rsplit_once(':').map_or(key, |(segment, _)| segment)
    }

    /// Something small.
    pub fn small(kind: Kind, path: String, bytes: Vec<u8>) -> io::Result<Self> {
        let key = format!("content:{}", digest(&bytes));
        let len = bytes.len() as u64;
        Self::other(kind, path, key, len, Source::Bytes(bytes))
    }

    fn other(kind: Kind, path: String, key: String, bytes: u64, from: Source) -> io::Result<Self> {
        Ok(Self {
            kind,
            path: path.try_into().map_err(bad)?,
            key,
            bytes,
            from,
            footage: None,
            segment: None,
            root: None,
        })
    }

    /// A file that nobody changes while the backup runs; it is read once to see whether it is another one than before.
    pub fn still(kind: Kind, path: String, file: &Path) -> io::Result<Self> {
        let opened = ColdFile::open(file)?;
        let mut sha = Sha256::new();
        for part in 0..parts(opened.len()) {
            sha.update(read_part(&opened, part)?);
        }
        let key = format!("content:{}", Hash(sha.finalize().into()));
        Self::other(kind, path, key, opened.len(), Source::Files(vec![file.to_owned()]))
    }

    /// A file that is large and written once: it is another one when name, length or time of change are others.
    pub fn large(kind: Kind, path: String, file: &Path) -> io::Result<Self> {
        let meta = fs::metadata(file)?;
        let key = format!("file:{path}:{}:{}.{:09}", meta.len(), meta.mtime(), meta.mtime_nsec());
        Self::other(kind, path, key, meta.len(), Source::Files(vec![file.to_owned()]))
    }

    /// How many objects it takes.
    pub fn parts(&self) -> u32 {
        parts(self.bytes)
    }

    /// Where it can be read, the best first. A file of another length is not the one that was meant.
    pub fn open(&self) -> Vec<io::Result<Opened<'_>>> {
        let files = match &self.from {
            Source::Bytes(bytes) => return vec![Ok(Opened::Bytes(bytes))],
            Source::Files(files) => files,
        };
        let open = |path| {
            let file = ColdFile::open(path).map_err(|e| named(path, &e))?;
            let what = || format!("it has {} bytes instead of {}", file.len(), self.bytes);
            if file.len() != self.bytes {
                return Err(named(path, &io::Error::new(io::ErrorKind::InvalidData, what())));
            }
            Ok(Opened::File(file, path))
        };
        files.iter().map(PathBuf::as_path).map(open).collect()
    }

    /// Whether a file of it can be read to its end and leads to the root in the index.
    pub fn is_as_recorded(&self) -> bool {
        let compare = |root| self.open().into_iter().flatten().any(|file| matches!(file.compare(root), Ok(None)));
        self.root.is_some_and(compare)
    }
}

fn named(path: &Path, e: &io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("{}: {e}", path.display()))
}

/// An item that is being read.
#[derive(Debug)]
pub enum Opened<'a> {
    /// A file, and where it is.
    File(ColdFile, &'a Path),
    /// Bytes in memory.
    Bytes(&'a [u8]),
}

impl Opened<'_> {
    /// Compares a segment with the root in the index: every fragment's bytes with its leaf, and the root over these. All of it is read. Says what is
    /// wrong with it.
    pub fn compare(&self, root: Hash) -> io::Result<Option<String>> {
        let Self::File(file, path) = self else { return Ok(None) };
        let compared = format::read(file, file.len()).and_then(|segment| {
            segment.fragments.iter().try_for_each(|entry| format::verify(file, &segment.head, entry))?;
            Ok(format::root(&segment.head.digest, &segment.fragments))
        });
        match compared {
            Ok(found) if found == root => Ok(None),
            Ok(_) => Ok(Some("it is not what the index says was recorded".to_owned())),
            Err(FormatError::Io(e)) => Err(named(path, &e)),
            Err(e) => Ok(Some(e.to_string())),
        }
    }

    /// One part of it.
    pub fn part(&self, part: u32) -> io::Result<Vec<u8>> {
        match self {
            Self::File(file, path) => read_part(file, part).map_err(|e| named(path, &e)),
            Self::Bytes(bytes) => {
                let (from, to) = bounds(bytes.len() as u64, part);
                let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
                Ok(bytes.get(at(from)..at(to)).unwrap_or_default().to_vec())
            }
        }
    }
}

/// How many parts a file of that length has; an empty one has one.
pub(super) fn parts(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(PART).max(1)).unwrap_or(u32::MAX)
}

/// From where to where a part goes.
fn bounds(bytes: u64, part: u32) -> (u64, u64) {
    let from = (u64::from(part) * PART).min(bytes);
    (from, (from + PART).min(bytes))
}

fn read_part(file: &ColdFile, part: u32) -> io::Result<Vec<u8>> {
    let (from, to) = bounds(file.len(), part);
    let mut bytes = vec![0; usize::try_from(to - from).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, from)?;
    Ok(bytes)
}
