//! A clip as a row of chunks, for sending it.

use std::{os::unix::fs::FileExt as _, sync::Arc};

use bytes::Bytes;

use super::{Clip, ClipFile};
use crate::retrieve::{
    RetrieveError,
    library::{Library, Segment},
    place::read_head,
};

/// Bytes in a chunk at most.
const CHUNK: u64 = 256 * 1024;

/// The bytes of one file of a clip, chunk by chunk. Each call of `next` blocks on the disk once.
#[derive(Debug)]
pub struct Chunks {
    library: Arc<Library>,
    clip: Arc<Clip>,
    file: usize,
    begun: bool,
    piece: usize,
    fragment: usize,
    open: Option<Segment>,
    /// Where the rest of the present fragment lies, and its length.
    rest: (u64, u64),
}

impl Chunks {
    /// Of the clip's file number `file`, from 0.
    pub fn new(library: Arc<Library>, clip: Arc<Clip>, file: usize) -> Self {
        Self { library, clip, file, begun: false, piece: 0, fragment: 0, open: None, rest: (0, 0) }
    }

    fn advance(&mut self) -> Result<Option<Bytes>, RetrieveError> {
        let clip = Arc::clone(&self.clip);
        let Some(file) = clip.files.get(self.file) else { return Ok(None) };
        if !self.begun {
            self.begun = true;
            return Ok(Some(Bytes::copy_from_slice(&file.head)));
        }
        if let (Some(segment), true) = (&self.open, self.rest.1 > 0) {
            let (at, left) = self.rest;
            let mut bytes = vec![0; usize::try_from(left.min(CHUNK)).unwrap_or(0)];
            let read = segment.file.read_exact_at(&mut bytes, at);
            read.map_err(|source| RetrieveError::Read { path: segment.path.clone(), source })?;
            let n = bytes.len() as u64;
            self.rest = (at.saturating_add(n), left.saturating_sub(n));
            return Ok(Some(bytes.into()));
        }
        self.next_head(file)
    }

    /// The head of the next fragment, put right.
    fn next_head(&mut self, file: &ClipFile) -> Result<Option<Bytes>, RetrieveError> {
        loop {
            let Some(piece) = file.pieces.get(self.piece) else { return Ok(None) };
            let Some((offset, len)) = piece.fragments.get(self.fragment).copied() else {
                (self.piece, self.fragment, self.open) = (self.piece + 1, 0, None);
                continue;
            };
            let segment = match self.open.take() {
                Some(segment) => segment,
                None => self.library.open(piece.segment)?,
            };
            let (head, mut bytes) = read_head(&segment.file, &segment.path, offset, len)?;
            let sequence = piece.sequence.wrapping_add(u32::try_from(self.fragment).unwrap_or(0));
            let moved = head.rewrite(&mut bytes, sequence, |track| piece.shift.of(track));
            moved.map_err(|source| RetrieveError::Fragment { path: segment.path.clone(), at: offset, source })?;
            self.rest = (offset.saturating_add(head.len as u64), head.payload);
            self.fragment += 1;
            self.open = Some(segment);
            return Ok(Some(bytes.into()));
        }
    }
}

impl Iterator for Chunks {
    type Item = Result<Bytes, RetrieveError>;
    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}
