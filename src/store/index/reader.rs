//! Asking the index. Any number of readers beside the one writer.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    IndexError, RunRow, SegmentRow, SegmentState, StreamRow,
    schema::{self, ReadOnly},
};
use crate::{
    store::layout,
    types::{
        CameraId, Cause, CauseKind, GapBefore, RunId, SegmentId, Span, StreamId, StreamKey, StreamKind, VolumeName,
        WallNs, merkle::Hash, wire,
    },
};

/// The index, open for reading.
#[derive(Debug)]
pub struct Reader {
    pub(super) db: Connection,
    path: PathBuf,
    at_rest: Option<PathBuf>,
}

/// A row that does not have the shape that we wrote.
pub(super) fn strange(e: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e))
}

pub(super) fn parsed<T: std::str::FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.get_ref(column)?.as_str()?.parse().map_err(strange)
}

pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.max(0).cast_unsigned())
}

pub(super) const SEGMENT: &str = "SELECT run.uuid, s.seq, s.volume, s.start, s.end, s.raw_start, run.correction, s.bytes, s.frames, \
     s.lost, s.state, run.folder, stream.kind, stream.uuid, s.holes, s.root \
     FROM segment s JOIN run ON run.n = s.run JOIN stream ON stream.n = s.stream";

pub(super) fn segment(row: &Row<'_>) -> rusqlite::Result<SegmentRow> {
    let run = RunId::from_bytes(row.get(0)?);
    let seq = row.get(1)?;
    let raw_start = WallNs(row.get(5)?);
    let folder: CameraId = parsed(row, 11)?;
    let kind: StreamKind = parsed(row, 12)?;
    let id = SegmentId { stream: StreamId::from_bytes(row.get(13)?), run, seq };
    Ok(SegmentRow {
        id,
        volume: parsed::<VolumeName>(row, 2)?,
        path: layout::segment_path(&folder, kind, raw_start, run, seq),
        span: Span { start: WallNs(row.get(3)?), end: WallNs(row.get(4)?) },
        raw_start,
        clock_correction: row.get(6)?,
        bytes: count(row, 7)?,
        frames: count(row, 8)?,
        lost_packets: count(row, 9)?,
        state: SegmentState::from_code(row.get(10)?),
        holes: holes(row, 14)?,
        root: row.get::<_, Option<[u8; 32]>>(15)?.map(Hash),
    })
}

fn holes(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<Span>> {
    let bytes: Vec<u8> = row.get::<_, Option<_>>(column)?.unwrap_or_default();
    let times: Vec<WallNs> = bytes.as_chunks().0.iter().map(|b| WallNs(i64::from_be_bytes(*b))).collect();
    Ok(times.as_chunks().0.iter().map(|[start, end]| Span { start: *start, end: *end }).collect())
}

impl Reader {
    /// Opens the index at `path`.
    pub fn open(path: &Path) -> Result<Self, IndexError> {
        let ReadOnly { db, at_rest } = schema::open_read_only(path)?;
        Ok(Self { db, path: path.to_owned(), at_rest })
    }

    /// Whether it was opened while nobody wrote, by one who may not write beside it, and now somebody does: it is to be opened again.
    pub fn is_outdated(&self) -> bool {
        self.at_rest.as_ref().is_some_and(|log| log.exists())
    }

    fn at(&self) -> impl FnOnce(rusqlite::Error) -> IndexError + '_ {
        IndexError::at(&self.path)
    }

    pub(super) fn ask<T>(&self, read: impl FnOnce() -> rusqlite::Result<T>) -> Result<T, IndexError> {
        read().map_err(self.at())
    }

    /// The stream's number in this database; -1, which no row has, if it is not known.
    pub(super) fn number(&self, stream: StreamId) -> rusqlite::Result<i64> {
        let known = self
            .db
            .prepare_cached("SELECT n FROM stream WHERE uuid = ?1")?
            .query_row([stream.as_bytes()], |r| r.get(0))
            .optional()?;
        Ok(known.unwrap_or(-1))
    }

    /// All streams that have footage or had a gap, by camera, main first.
    pub fn streams(&self) -> Result<Vec<StreamRow>, IndexError> {
        self.ask(|| {
            self.db
                .prepare_cached("SELECT uuid, camera, kind FROM stream ORDER BY camera, kind")?
                .query_map([], |row| {
                    Ok(StreamRow {
                        key: StreamKey {
                            id: StreamId::from_bytes(row.get(0)?),
                            camera: parsed(row, 1)?,
                            kind: parsed(row, 2)?,
                        },
                    })
                })?
                .collect()
        })
    }

    /// Segments that touch `span` (corrected time), ascending; of copies the longest first.
    pub fn segments(&self, stream: StreamId, span: Span) -> Result<Vec<SegmentRow>, IndexError> {
        self.ask(|| {
            // The segment that began before the span and reaches into it is the last one that began before it.
            self.db
                .prepare_cached(&format!(
                    "{SEGMENT} WHERE s.stream = ?1
                     AND s.start >= coalesce((SELECT max(start) FROM segment WHERE stream = ?1 AND start <= ?2), ?2)
                     AND s.start < ?3 AND s.end > ?2 AND s.state < 3 ORDER BY s.start, run.start, s.seq, s.bytes DESC"
                ))?
                .query_map(params![self.number(stream)?, span.start.0, span.end.0], segment)?
                .collect()
        })
    }

    /// Segments that were open when the recorder last wrote.
    pub fn open_segments(&self) -> Result<Vec<SegmentRow>, IndexError> {
        self.ask(|| self.db.prepare_cached(&format!("{SEGMENT} WHERE s.state = 0"))?.query_map([], segment)?.collect())
    }

    /// Closed segments that the ledger does not have yet, oldest of a stream first, at most so many.
    pub fn unlogged(&self, most: u32) -> Result<Vec<SegmentRow>, IndexError> {
        self.unlogged_elsewhere(&[], most)
    }

    /// The same, of volumes that are not named.
    pub fn unlogged_elsewhere(&self, not: &[VolumeName], most: u32) -> Result<Vec<SegmentRow>, IndexError> {
        self.ask(|| {
            let others = if not.is_empty() { "" } else { "AND s.volume NOT IN (SELECT value FROM json_each(?2))" };
            let sql = format!(
                "{SEGMENT} WHERE s.logged IS NULL AND s.state IN (1, 2) {others} ORDER BY s.stream, s.start LIMIT ?1"
            );
            let mut statement = self.db.prepare_cached(&sql)?;
            if not.is_empty() {
                return statement.query_map([most], segment)?.collect();
            }
            let names = serde_json::to_string(not).unwrap_or_default();
            statement.query_map(params![most, names], segment)?.collect()
        })
    }

    /// Whether the ledger has a segment of a run, on any volume.
    pub fn is_run_logged(&self, run: RunId) -> Result<bool, IndexError> {
        self.ask(|| {
            self.db
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM segment s JOIN run ON run.n = s.run WHERE run.uuid = ?1 AND s.logged IS NOT NULL)",
                )?
                .query_row([run.as_bytes()], |r| r.get(0))
        })
    }

    /// The number of a segment's entry in the ledger.
    pub fn logged(&self, run: RunId, seq: u32, volume: &VolumeName) -> Result<Option<u64>, IndexError> {
        self.ask(|| {
            self.db
                .prepare_cached(
                    "SELECT s.logged FROM segment s JOIN run ON run.n = s.run WHERE run.uuid = ?1 AND s.seq = ?2 AND s.volume = ?3",
                )?
                .query_row(params![run.as_bytes(), seq, volume.as_str()], |r| r.get::<_, Option<i64>>(0))
                .optional()
                .map(|n| n.flatten().map(i64::cast_unsigned))
        })
    }

    /// Segments whose removal was begun and not completed.
    pub fn retiring(&self) -> Result<Vec<SegmentRow>, IndexError> {
        self.ask(|| self.db.prepare_cached(&format!("{SEGMENT} WHERE s.state = 3"))?.query_map([], segment)?.collect())
    }

    /// All segments of a volume.
    pub fn volume_segments(&self, volume: &VolumeName) -> Result<Vec<SegmentRow>, IndexError> {
        self.ask(|| {
            self.db
                .prepare_cached(&format!("{SEGMENT} WHERE s.volume = ?1"))?
                .query_map([volume.as_str()], segment)?
                .collect()
        })
    }

    /// One segment, and its copy if there is one; the longest first.
    pub fn segment(&self, id: SegmentId) -> Result<Vec<SegmentRow>, IndexError> {
        let mut rows: Vec<SegmentRow> = self.ask(|| {
            self.db
                .prepare_cached(&format!("{SEGMENT} WHERE run.uuid = ?1 AND s.seq = ?2 ORDER BY s.bytes DESC"))?
                .query_map(params![id.run.as_bytes(), id.seq], segment)?
                .collect()
        })?;
        rows.retain(|s| s.id == id);
        Ok(rows)
    }

    /// All runs of a stream by corrected start.
    pub fn runs(&self, stream: StreamId) -> Result<Vec<RunRow>, IndexError> {
        self.ask(|| {
            self.db
                .prepare_cached(
                    "SELECT run.uuid, stream.uuid, run.folder, stream.kind, run.start, run.correction, run.gap_since, run.gap_kind,
                       run.gap_detail, run.mime, run.width, run.height, run.recorder
                     FROM run JOIN stream ON stream.n = run.stream WHERE stream.uuid = ?1 ORDER BY run.start + run.correction, run.n",
                )?
                .query_map([stream.as_bytes()], |row| {
                    Ok(RunRow {
                        id: RunId::from_bytes(row.get(0)?),
                        stream: StreamKey {
                            id: StreamId::from_bytes(row.get(1)?),
                            camera: parsed(row, 2)?,
                            kind: parsed(row, 3)?,
                        },
                        start: WallNs(row.get(4)?),
                        clock_correction: row.get(5)?,
                        before: gap_before(row, 6)?,
                        mime: row.get(9)?,
                        size: (row.get(10)?, row.get(11)?),
                        recorder: parsed(row, 12)?,
                    })
                })?
                .collect()
        })
    }

    /// Footage and gaps of a stream within `span`: footage clipped to it, gaps whole. Adjoining segments are joined.
    pub fn timeline(&self, stream: StreamId, span: Span) -> Result<(Vec<Span>, Vec<wire::Gap>), IndexError> {
        self.ask(|| {
            let mut footage: Vec<Span> = Vec::new();
            let mut gaps: Vec<wire::Gap> = Vec::new();
            let mut gap = |start: WallNs, end: WallNs, cause: Cause| {
                if (Span { start, end }).overlaps(span) {
                    gaps.push(wire::Gap { start, end: Some(end), cause });
                }
            };
            let stalled = || Cause::new(CauseKind::Timeout, "the camera was silent for a while");
            // One row before the span, so that a gap which began before it is seen; one after, so that it ends.
            let retired = self.retired_until(stream)?;
            let mut statement = self.db.prepare_cached(
                "SELECT s.start, s.end, s.run, s.seq, run.gap_since, run.gap_kind, run.gap_detail, s.holes
                 FROM segment s JOIN run ON run.n = s.run
                 WHERE s.stream = ?1 AND s.state < 3
                   AND s.start >= coalesce((SELECT max(start) FROM segment WHERE stream = ?1 AND start < ?2), ?2)
                   AND s.start <= coalesce((SELECT min(start) FROM segment WHERE stream = ?1 AND start >= ?3), ?3)
                 ORDER BY s.start, s.run, s.seq, s.bytes DESC",
            )?;
            let mut rows = statement.query(params![self.number(stream)?, span.start.0, span.end.0])?;
            let mut last: Option<(WallNs, i64, i64)> = None;
            while let Some(row) = rows.next()? {
                let mut here = Span { start: WallNs(row.get(0)?), end: WallNs(row.get(1)?) };
                let (run, seq): (i64, i64) = (row.get(2)?, row.get(3)?);
                if last.is_some_and(|(_, r, s)| (r, s) == (run, seq)) {
                    continue; // a copy
                }
                if let Some((mut end, last_run, last_seq)) = last
                    && here.start.since(end) > SEAM_NS
                {
                    let cause = match gap_before(row, 4)? {
                        _ if run == last_run && seq == last_seq + 1 => stalled(),
                        Some(before) if seq == 0 => {
                            // Before that gap there was footage, if retention has removed as much.
                            let since = before.since.min(here.start);
                            if since.since(end) > SEAM_NS
                                && retired.is_some_and(|until| since.offset(-SEAM_NS) <= until)
                            {
                                gap(end, since, Cause::new(CauseKind::Retention, ""));
                                end = since;
                            }
                            before.cause
                        }
                        _ if retired.is_some_and(|until| here.start <= until) => Cause::new(CauseKind::Retention, ""),
                        _ => Cause::new(CauseKind::Unknown, ""),
                    };
                    gap(end, here.start, cause);
                }
                last = Some((here.end, run, seq));
                let mut add = |piece: Span| match (piece.intersect(span), footage.last_mut()) {
                    (Some(clipped), Some(f)) if clipped.start.since(f.end) <= SEAM_NS => f.end = f.end.max(clipped.end),
                    (Some(clipped), _) => footage.push(clipped),
                    (None, _) => {}
                };
                for hole in holes(row, 7)? {
                    add(Span { end: hole.start, ..here });
                    gap(hole.start, hole.end, stalled());
                    here.start = hole.end;
                }
                add(here);
            }
            drop(rows);
            if let Some(gap) = self.open_gap_row(stream)?
                && last.is_none_or(|(end, ..)| end <= gap.start)
                && gap.start < span.end
            {
                gaps.push(gap);
            }
            Ok((footage, gaps))
        })
    }

    /// Up to where retention has removed footage of a stream.
    pub(super) fn retired_until(&self, stream: StreamId) -> rusqlite::Result<Option<WallNs>> {
        let until = self
            .db
            .prepare_cached("SELECT retired FROM stream WHERE uuid = ?1")?
            .query_row([stream.as_bytes()], |r| r.get::<_, Option<i64>>(0))
            .optional()?;
        Ok(until.flatten().map(WallNs))
    }

    /// Gaps of a stream that touch `span`; the last one may last still.
    pub fn gaps(&self, stream: StreamId, span: Span) -> Result<Vec<wire::Gap>, IndexError> {
        Ok(self.timeline(stream, span)?.1)
    }

    /// The gap that lasts, if the stream has one: from the end of its last footage.
    pub fn open_gap(&self, stream: StreamId) -> Result<Option<wire::Gap>, IndexError> {
        self.ask(|| self.open_gap_row(stream))
    }

    fn open_gap_row(&self, stream: StreamId) -> rusqlite::Result<Option<wire::Gap>> {
        self.db
            .prepare_cached(
                "SELECT coalesce((SELECT end FROM segment s WHERE s.stream = g.stream ORDER BY start DESC, end DESC LIMIT 1), g.since),
                   g.kind, g.detail
                 FROM open_gap g WHERE g.stream = (SELECT n FROM stream WHERE uuid = ?1)",
            )?
            .query_row([stream.as_bytes()], |row| {
                let kind: String = row.get(1)?;
                Ok(wire::Gap {
                    start: WallNs(row.get(0)?),
                    end: None,
                    cause: Cause::new(CauseKind::from_name(&kind), row.get::<_, String>(2)?),
                })
            })
            .optional()
    }

    /// The newest segment of a stream.
    pub fn newest(&self, stream: StreamId) -> Result<Option<SegmentRow>, IndexError> {
        self.ask(|| {
            self.db
                .prepare_cached(&format!("{SEGMENT} WHERE s.stream = ?1 ORDER BY s.start DESC, s.end DESC LIMIT 1"))?
                .query_row([self.number(stream)?], segment)
                .optional()
        })
    }

    /// When a stream's oldest footage begins, corrected.
    pub fn oldest(&self, stream: StreamId) -> Result<Option<WallNs>, IndexError> {
        self.ask(|| {
            self.db
                .prepare_cached("SELECT min(start) FROM segment WHERE stream = ?1")?
                .query_row([self.number(stream)?], |r| Ok(r.get::<_, Option<i64>>(0)?.map(WallNs)))
        })
    }

    /// The newest footage of a stream: corrected end.
    pub fn last_end(&self, stream: StreamId) -> Result<Option<WallNs>, IndexError> {
        Ok(self.newest(stream)?.map(|s| s.span.end))
    }

    /// Bytes of the segments of a stream that began within `span`, copies aside, and the time that they cover, ns.
    pub fn volume_of_footage(&self, stream: StreamId, span: Span) -> Result<(u64, i64), IndexError> {
        self.ask(|| {
            self.db
                .prepare_cached(
                    "SELECT coalesce(sum(bytes), 0), coalesce(sum(length), 0) FROM
                       (SELECT max(bytes) AS bytes, max(end - start) AS length FROM segment
                        WHERE stream = ?1 AND start >= ?2 AND start < ?3 GROUP BY run, seq)",
                )?
                .query_row(params![self.number(stream)?, span.start.0, span.end.0], |r| Ok((count(r, 0)?, r.get(1)?)))
        })
    }

    /// A note, such as `timezone`.
    pub fn meta(&self, key: &str) -> Result<Option<String>, IndexError> {
        self.ask(|| {
            self.db.prepare_cached("SELECT value FROM meta WHERE key = ?1")?.query_row([key], |r| r.get(0)).optional()
        })
    }

    /// The id of the volume that had this name, if it was ever used.
    pub fn volume_id(&self, name: &VolumeName) -> Result<Option<String>, IndexError> {
        self.ask(|| {
            self.db
                .prepare_cached("SELECT id FROM volume WHERE name = ?1")?
                .query_row([name.as_str()], |r| r.get(0))
                .optional()
        })
    }
}

/// A seam shorter than this is no gap: half a frame at 25 frames per second.
const SEAM_NS: i64 = 20_000_000;

fn gap_before(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<GapBefore>> {
    let Some(since) = row.get::<_, Option<i64>>(column)? else { return Ok(None) };
    let kind: String = row.get(column + 1)?;
    let cause = Cause::new(CauseKind::from_name(&kind), row.get::<_, String>(column + 2)?);
    Ok(Some(GapBefore { since: WallNs(since), cause }))
}
