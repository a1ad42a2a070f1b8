//! What footage there is, by time, and the files that hold it. Everything here blocks on disks: not for async threads.

mod cache;
mod open;
mod pool;
mod table;

use std::{
    collections::BTreeMap,
    fs::File,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

pub use table::Table;

use super::{RetrieveError, params::BadParameter};
use crate::{
    store::index::{IndexError, Reader, SegmentRow, SegmentState},
    types::{
        CameraId, SegmentId, Span, StreamKey, StreamKind, VolumeName, WallNs,
        wire::{Fragments, SegmentPart, Timeline},
    },
};

/// Fragments whose places are kept in memory: 64 bytes each, so 4 MiB; some 400 segments.
const KEPT_FRAGMENTS: usize = 64 * 1024;

/// Segments in one answer: a week of one stream.
pub const MAX_SEGMENTS: usize = 2016;

/// The index and the volumes, open for reading.
#[derive(Debug)]
pub struct Library {
    pool: pool::Pool,
    volumes: RwLock<BTreeMap<VolumeName, PathBuf>>,
    /// How often a volume went.
    silenced: AtomicU64,
    tables: Mutex<cache::Cache>,
}

/// A file with what is known of it.
#[derive(Debug)]
pub struct Segment {
    /// Its row in the index.
    pub row: SegmentRow,
    /// Where it lies, for messages.
    pub path: PathBuf,
    /// Open for reading. Only the first `row.bytes` bytes may be read.
    pub file: File,
}

/// A stretch of a stream with what is needed to read it.
#[derive(Debug)]
pub struct Footage {
    /// Files and byte ranges.
    pub fragments: Fragments,
    /// The table of each of the segments in `fragments`, in the same order.
    pub tables: Vec<Arc<Table>>,
    /// Segments that the index names and that cannot be read now, with the reason.
    pub unreadable: Vec<(SegmentRow, RetrieveError)>,
}

impl Library {
    /// Over the index at `index` and the volumes at their roots. Nothing is opened before it is asked for.
    pub fn new(index: PathBuf, volumes: BTreeMap<VolumeName, PathBuf>) -> Self {
        Self {
            pool: pool::Pool::new(index),
            volumes: RwLock::new(volumes),
            silenced: AtomicU64::new(0),
            tables: Mutex::new(cache::Cache::new(KEPT_FRAGMENTS)),
        }
    }

    /// The volumes that may be read from now on. True if they are others than before.
    pub fn set_volumes(&self, volumes: BTreeMap<VolumeName, PathBuf>) -> bool {
        let mut now = self.volumes.write().unwrap_or_else(PoisonError::into_inner);
        let changed = *now != volumes;
        if now.keys().any(|name| !volumes.contains_key(name)) {
            self.silenced.fetch_add(1, Ordering::Relaxed);
        }
        *now = volumes;
        changed
    }

    /// Grows when a volume can no longer be read.
    pub(super) fn silenced(&self) -> u64 {
        self.silenced.load(Ordering::Relaxed)
    }

    /// Asks the index itself.
    pub fn ask<T>(&self, question: impl FnOnce(&Reader) -> Result<T, IndexError>) -> Result<T, RetrieveError> {
        Ok(self.pool.ask(question)?)
    }

    /// All streams that the index knows.
    pub fn streams(&self) -> Result<Vec<StreamKey>, RetrieveError> {
        Ok(self.ask(Reader::streams)?.into_iter().map(|row| row.key).collect())
    }

    /// The stream of a camera, if it has ever brought footage or a gap.
    pub fn stream(&self, camera: &CameraId, kind: StreamKind) -> Result<Option<StreamKey>, RetrieveError> {
        Ok(self.streams()?.into_iter().find(|key| key.camera == *camera && key.kind == kind))
    }

    /// Timelines of cameras, in the order asked for. One that the index does not know has an empty one.
    pub fn timelines(
        &self,
        cameras: &[CameraId],
        kind: StreamKind,
        span: Span,
    ) -> Result<Vec<Timeline>, RetrieveError> {
        self.ask(|index| {
            let streams = index.streams()?;
            cameras
                .iter()
                .map(|camera| {
                    let stream = streams.iter().find(|s| s.key.camera == *camera && s.key.kind == kind);
                    let (mut footage, mut gaps, mut newest) = (Vec::new(), Vec::new(), None);
                    if let Some(stream) = stream {
                        (footage, gaps) = index.timeline(stream.key.id, span)?;
                        newest = index.last_end(stream.key.id)?;
                    }
                    Ok(Timeline { camera: camera.clone(), stream: kind, footage, gaps, newest })
                })
                .collect()
        })
    }

    /// Files and byte ranges that cover `span` of a stream. A span without length means its instant. Segments that
    /// cannot be read now (their disk is away, say) are told apart and not left out in silence.
    pub fn footage(&self, stream: &StreamKey, span: Span) -> Result<Footage, RetrieveError> {
        let span = Span { start: span.start, end: span.end.max(span.start.offset(1)) };
        let rows = self.ask(|index| index.segments(stream.id, span))?;
        if rows.chunk_by(|a, b| a.id == b.id).count() > MAX_SEGMENTS {
            return Err(BadParameter::TooMuch("2016 segments, a week of one stream").into());
        }
        let mut out = Footage {
            fragments: Fragments { camera: stream.camera.clone(), stream: stream.kind, segments: Vec::new() },
            tables: Vec::new(),
            unreadable: Vec::new(),
        };
        let mut had = None;
        for row in rows {
            if had == Some(row.id) {
                continue; // a copy of what can be read
            }
            match self.table(&row) {
                Ok(table) => {
                    had = Some(row.id);
                    out.unreadable.retain(|(unreadable, _)| unreadable.id != row.id);
                    let fragments = table.within(&row, span);
                    if !fragments.is_empty() {
                        out.fragments.segments.push(SegmentPart {
                            stream: row.id.stream,
                            run: row.id.run,
                            seq: row.id.seq,
                            mime: table.run.mime(),
                            size: table.run.video().size,
                            timescale: table.run.video().timescale,
                            init_len: table.init_len,
                            len: row.bytes,
                            open: row.state == SegmentState::Open,
                            fragments,
                        });
                        out.tables.push(table);
                    }
                }
                Err(e) => {
                    log::warn!(CAMERA = stream.camera.as_str(), STREAM = stream.kind.as_str(); "a segment of camera {} cannot be played: {}", stream.camera, e.story());
                    out.unreadable.push((row, e));
                }
            }
        }
        Ok(out)
    }

    /// The end of a stream's newest footage that can be played.
    pub fn newest(&self, stream: &StreamKey) -> Result<Option<WallNs>, RetrieveError> {
        self.ask(|index| index.last_end(stream.id))
    }

    /// Opens a segment's file.
    pub fn open(&self, id: SegmentId) -> Result<Segment, RetrieveError> {
        let mut outcome = Err(RetrieveError::NoSegment(id));
        for row in self.ask(|index| index.segment(id))? {
            outcome = self.open_row(row);
            if outcome.is_ok() {
                break; // else its copy, if there is one
            }
        }
        outcome
    }

    fn open_row(&self, row: SegmentRow) -> Result<Segment, RetrieveError> {
        let root = {
            let volumes = self.volumes.read().unwrap_or_else(PoisonError::into_inner);
            volumes.get(&row.volume).cloned().ok_or_else(|| RetrieveError::NoVolume(row.volume.clone()))?
        };
        let path = root.join(&row.path);
        match open::beneath(&root, &row.path) {
            Ok(file) => Ok(Segment { row, path, file }),
            // An empty mount point is a disk that is away, not a segment that was deleted.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && root.join(crate::store::layout::FOOTAGE).is_dir() => {
                Err(RetrieveError::NoSegment(row.id))
            }
            Err(source) => Err(RetrieveError::Read { path, source }),
        }
    }

    /// What is in a segment's file, from memory if it was looked at lately.
    pub fn table(&self, row: &SegmentRow) -> Result<Arc<Table>, RetrieveError> {
        let known = self.tables.lock().unwrap_or_else(PoisonError::into_inner).get(row.id);
        if let Some(known) = known.as_ref().filter(|known| known.covers(row)) {
            return Ok(Arc::clone(known));
        }
        let segment = self.open_row(row.clone())?;
        let table = Arc::new(Table::read(&segment.file, &segment.path, row, known.as_deref())?);
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).put(row.id, Arc::clone(&table));
        Ok(table)
    }
}
