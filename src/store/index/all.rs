//! Asking the index for everything, piece by piece: whoever goes through it for hours must not hold it open, and finds his place again.

use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::{
    IndexError, Reader, SegmentRow,
    reader::{SEGMENT, count, parsed, segment},
};
use crate::types::{RunId, SegmentId, Span, StreamId, VolumeName, WallNs};

/// The place of a row among all: by start, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    /// Corrected start.
    pub start: WallNs,
    /// The recording.
    pub stream: StreamId,
    /// The run.
    pub run: RunId,
    /// The file within the run.
    pub seq: u32,
    /// Where it lies.
    pub volume: VolumeName,
}

impl Cursor {
    /// The place of a row.
    pub fn of(row: &SegmentRow) -> Self {
        let SegmentId { stream, run, seq } = row.id;
        Self { start: row.span.start, stream, run, seq, volume: row.volume.clone() }
    }
}

/// From where on.
#[derive(Debug, Clone)]
pub enum Since {
    /// Whatever begins then or later.
    Start(WallNs),
    /// What comes after that place.
    Behind(Cursor),
}

impl Reader {
    /// The next segments of a stream by their start, in whatever state, copies too; at most so many.
    pub fn page(&self, stream: StreamId, from: &Since, most: u32) -> Result<Vec<SegmentRow>, IndexError> {
        let (start, run, seq, volume) = match from {
            Since::Start(start) => (*start, [0; 16], 0, ""),
            Since::Behind(c) => (c.start, *c.run.as_bytes(), c.seq, c.volume.as_str()),
        };
        self.ask(|| {
            self.db
                .prepare_cached(&format!(
                    "{SEGMENT} WHERE s.stream = ?1 AND s.start >= ?2 AND (s.start, run.uuid, s.seq, s.volume) > (?2, ?3, ?4, ?5)
                     ORDER BY s.start, run.uuid, s.seq, s.volume LIMIT ?6"
                ))?
                .query_map(params![self.number(stream)?, start.0, run, seq, volume, most], segment)?
                .collect()
        })
    }

    /// Where a stream's footage of a span begins: the start of the last segment that began before it, which may reach into it.
    pub fn begins(&self, stream: StreamId, span: Span) -> Result<WallNs, IndexError> {
        self.ask(|| {
            let before: Option<i64> = self
                .db
                .prepare_cached("SELECT max(start) FROM segment WHERE stream = ?1 AND start <= ?2")?
                .query_row(params![self.number(stream)?, span.start.0], |r| r.get(0))?;
            Ok(before.map_or(span.start, WallNs))
        })
    }

    /// Segments of a stream on a volume that touch a span, and their bytes.
    pub fn amount(&self, stream: StreamId, volume: &VolumeName, span: Span) -> Result<(u64, u64), IndexError> {
        let from = self.begins(stream, span)?;
        self.ask(|| {
            self.db
                .prepare_cached(
                    "SELECT count(*), coalesce(sum(bytes), 0) FROM segment
                     WHERE stream = ?1 AND volume = ?2 AND start >= ?3 AND start < ?4 AND end > ?5 AND state < 3",
                )?
                .query_row(params![self.number(stream)?, volume.as_str(), from.0, span.end.0, span.start.0], |r| {
                    Ok((count(r, 0)?, count(r, 1)?))
                })
        })
    }

    /// The row of one segment on a volume.
    pub fn row(&self, id: SegmentId, volume: &VolumeName) -> Result<Option<SegmentRow>, IndexError> {
        Ok(self.segment(id)?.into_iter().find(|row| row.volume == *volume))
    }

    /// Whether a volume is to have a file of that run and number.
    pub fn has_file(&self, run: RunId, seq: u32, volume: &VolumeName) -> Result<bool, IndexError> {
        self.ask(|| {
            self.db
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM segment s JOIN run ON run.n = s.run
                     WHERE run.uuid = ?1 AND s.seq = ?2 AND s.volume = ?3)",
                )?
                .query_row(params![run.as_bytes(), seq, volume.as_str()], |r| r.get(0))
        })
    }

    /// All volumes that were ever used.
    pub fn volumes(&self) -> Result<Vec<VolumeName>, IndexError> {
        self.ask(|| {
            self.db
                .prepare_cached("SELECT name FROM volume ORDER BY name")?
                .query_map([], |row| parsed(row, 0))?
                .collect()
        })
    }
}
