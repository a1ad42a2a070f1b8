//! Clips: a span of a stream as a file of its own, not re-encoded. The run's header, an index of the fragments (`sidx`), then
//! the fragments as they were recorded; only their places on the time line are rewritten, so that the clip begins
//! at zero and runs are joined without a hole. Each fragment keeps its wall time (`prft`) and its leaf.
//!
//! A change of codec or parameters begins another file, since one header cannot describe both.

mod copy;
mod sidx;
mod stream;

use std::os::unix::fs::FileExt as _;

pub use stream::Chunks;

use super::{
    RetrieveError,
    library::{Footage, Library},
    place::{self, Ends, Shift, Stretch},
};
use crate::{
    store::index::SegmentRow,
    types::{SegmentId, Span, StreamKey, wire::SegmentPart},
};

/// A clip that can be made.
#[derive(Debug)]
pub struct Clip {
    /// Its files, in the order in which they play; at least one.
    pub files: Vec<ClipFile>,
    /// What should be in it and cannot be read now.
    pub unreadable: Vec<(SegmentRow, RetrieveError)>,
}

/// One file of a clip.
#[derive(Debug)]
pub struct ClipFile {
    /// `ftyp`, `moov`, `sidx`.
    head: Vec<u8>,
    pieces: Vec<Piece>,
    /// Bytes of the whole file.
    pub bytes: u64,
    /// Wall time from its first to its last picture.
    pub span: Option<Span>,
    /// Runs that it joins.
    pub runs: usize,
}

/// What one segment contributes.
#[derive(Debug)]
struct Piece {
    segment: SegmentId,
    /// Offset and length, ascending.
    fragments: Vec<(u64, u64)>,
    /// Number of its first fragment in the clip, from 1.
    sequence: u32,
    shift: Shift,
}

/// Plans a clip: what lies within `span`, from the key frame at or before its start to the end of the fragment in which it
/// ends (at most 2 s later). Reads tables and a few heads, no pictures.
pub fn plan(library: &Library, stream: &StreamKey, span: Span) -> Result<Clip, RetrieveError> {
    let footage = library.footage(stream, span)?;
    let stretches = place::stretches(library, &footage)?;
    let tracks = |s: &Stretch| footage.tables.get(s.segments.start).map(|table| &table.run.tracks);
    let alike = stretches.chunk_by(|a, b| tracks(a) == tracks(b));
    let files: Vec<ClipFile> = alike.map(|s| ClipFile::join(library, &footage, s)).collect::<Result<_, _>>()?;
    if files.is_empty() {
        return Err(RetrieveError::NoFootage(stream.camera.clone(), stream.kind));
    }
    Ok(Clip { files, unreadable: footage.unreadable })
}

fn id(part: &SegmentPart) -> SegmentId {
    SegmentId { stream: part.stream, run: part.run, seq: part.seq }
}

impl ClipFile {
    /// Puts stretches with the same tracks one after the other, under the header of the first one.
    fn join(library: &Library, footage: &Footage, stretches: &[Stretch]) -> Result<Self, RetrieveError> {
        let mut file = Self { head: Vec::new(), pieces: Vec::new(), bytes: 0, span: None, runs: stretches.len() };
        let mut index = sidx::Index::default();
        let mut sequence = 1u32;
        let mut ends = Ends::default();
        for stretch in stretches {
            let segments = footage.fragments.segments.get(stretch.segments.clone()).unwrap_or_default();
            let Some(table) = footage.tables.get(stretch.segments.start) else { continue };
            let shift = ends.place(&table.run.tracks, stretch);
            for part in segments {
                if file.pieces.is_empty() {
                    file.head = read_init(library, part)?;
                    index = sidx::Index::new(part.timescale);
                }
                for f in &part.fragments {
                    index.push(f.len, f.dts.saturating_add_signed(shift.video), f.key);
                    file.bytes = file.bytes.saturating_add(f.len);
                    let span = file.span.get_or_insert(f.span);
                    *span = Span { start: span.start.min(f.span.start), end: span.end.max(f.span.end) };
                }
                file.pieces.push(Piece {
                    segment: id(part),
                    fragments: part.fragments.iter().map(|f| (f.offset, f.len)).collect(),
                    sequence,
                    shift,
                });
                sequence = sequence.wrapping_add(u32::try_from(part.fragments.len()).unwrap_or(0));
            }
        }
        file.head.extend(index.finish(ends.video()));
        file.bytes = file.bytes.saturating_add(file.head.len() as u64);
        Ok(file)
    }
}

/// The initialisation segment of a file.
fn read_init(library: &Library, part: &SegmentPart) -> Result<Vec<u8>, RetrieveError> {
    let segment = library.open(id(part))?;
    // As long as its table, which was read from the file under bounds, says.
    let mut bytes = vec![0; usize::try_from(part.init_len).unwrap_or(0)];
    let read = segment.file.read_exact_at(&mut bytes, 0);
    read.map_err(|source| RetrieveError::Read { path: segment.path.clone(), source })?;
    Ok(bytes)
}
