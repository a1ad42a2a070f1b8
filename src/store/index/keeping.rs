//! What retention asks the index: what is oldest where, how much there is by age, what was measured and what is lost.

use std::collections::BTreeMap;

use rusqlite::{Row, params};

use super::{IndexError, Reader, SegmentRow};
use crate::types::{CameraId, RunId, SegmentId, Span, StreamId, StreamKey, VolumeName, WallNs};

/// A closed segment, as far as its removal goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aged {
    /// Its identity.
    pub id: SegmentId,
    /// Corrected time.
    pub span: Span,
    /// Its size.
    pub bytes: u64,
    /// What its camera was called at the time.
    pub camera: CameraId,
}

/// What there is of one stream on one volume, by age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stock {
    /// Whose.
    pub stream: StreamKey,
    /// Where.
    pub volume: VolumeName,
    /// Where the first of it begins.
    pub first: WallNs,
    /// Bytes that ended so many whole days ago; what ended in the future counts as of today.
    pub by_age: BTreeMap<u32, u64>,
}

/// What was measured of a stream on a day, in seconds; `retention::kept` says what each means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeptRow {
    /// Back from then, all that was recorded could be read.
    pub seconds: u64,
    /// Without footage.
    pub gap_seconds: u64,
    /// On volumes that were not there.
    pub unreadable_seconds: u64,
    /// Lost.
    pub lost_seconds: u64,
    /// Whether the recording was younger than the promise.
    pub young: bool,
}

/// Nanoseconds in a day.
const DAY_NS: i64 = 86_400 * 1_000_000_000;

fn whole(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.max(0).cast_unsigned())
}

impl Reader {
    /// Closed segments of a stream on a volume that begin then or later, oldest start first, for as long as `more` wants them. What the
    /// stream has elsewhere is read too: begin where it has something here.
    pub fn each_closed(
        &self,
        stream: StreamId,
        volume: &VolumeName,
        from: WallNs,
        more: &mut dyn FnMut(Aged) -> bool,
    ) -> Result<(), IndexError> {
        self.ask(|| {
            let mut statement = self.db.prepare_cached(
                "SELECT run.uuid, s.seq, s.start, s.end, s.bytes, run.folder FROM segment s JOIN run ON run.n = s.run
                 WHERE s.stream = ?1 AND s.start >= ?3 AND s.volume = ?2 AND s.state IN (1, 2) ORDER BY s.start",
            )?;
            let mut rows = statement.query(params![self.number(stream)?, volume.as_str(), from.0])?;
            while let Some(row) = rows.next()? {
                let id = SegmentId { stream, run: RunId::from_bytes(row.get(0)?), seq: row.get(1)? };
                let span = Span { start: WallNs(row.get(2)?), end: WallNs(row.get(3)?) };
                let camera = super::reader::parsed(row, 5)?;
                if !more(Aged { id, span, bytes: whole(row, 4)?, camera }) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Where footage of a stream is, and when, oldest start first; copies each for itself.
    pub fn each_span(&self, stream: StreamId, found: &mut dyn FnMut(Span, &str)) -> Result<(), IndexError> {
        self.ask(|| {
            let mut statement = self.db.prepare_cached(
                "SELECT start, end, volume FROM segment WHERE stream = ?1 AND state < 3 ORDER BY start",
            )?;
            let mut rows = statement.query([self.number(stream)?])?;
            while let Some(row) = rows.next()? {
                found(Span { start: WallNs(row.get(0)?), end: WallNs(row.get(1)?) }, row.get_ref(2)?.as_str()?);
            }
            Ok(())
        })
    }

    /// All footage, open segments too, by stream, volume and age in days.
    pub fn stock(&self, now: WallNs) -> Result<Vec<Stock>, IndexError> {
        self.ask(|| {
            let mut statement = self.db.prepare_cached(
                "SELECT stream.uuid, stream.camera, stream.kind, t.volume, t.age, t.bytes, t.first FROM
                   (SELECT stream, volume, max((?1 - end) / ?2, 0) AS age, sum(bytes) AS bytes, min(start) AS first FROM segment
                    WHERE state < 3 GROUP BY 1, 2, 3) t
                 JOIN stream ON stream.n = t.stream ORDER BY t.stream, t.volume",
            )?;
            let mut rows = statement.query([now.0, DAY_NS])?;
            let mut all: Vec<Stock> = Vec::new();
            while let Some(row) = rows.next()? {
                let id = StreamId::from_bytes(row.get(0)?);
                let volume: VolumeName = super::reader::parsed(row, 3)?;
                if all.last().is_none_or(|s| s.stream.id != id || s.volume != volume) {
                    let camera: CameraId = super::reader::parsed(row, 1)?;
                    let stream = StreamKey { id, camera, kind: super::reader::parsed(row, 2)? };
                    all.push(Stock { stream, volume, first: WallNs::MAX, by_age: BTreeMap::new() });
                }
                if let Some(stock) = all.last_mut() {
                    stock.by_age.insert(row.get(4)?, whole(row, 5)?);
                    stock.first = stock.first.min(WallNs(row.get(6)?));
                }
            }
            Ok(all)
        })
    }

    /// Bytes of all footage on a volume, open segments too, that begins then or later.
    pub fn footage(&self, volume: &VolumeName, since: WallNs) -> Result<u64, IndexError> {
        self.ask(|| {
            // Stream by stream, so that only rows of that time are read.
            self.db
                .prepare_cached(
                    "SELECT coalesce(sum(s.bytes), 0) FROM stream CROSS JOIN segment s
                     WHERE s.stream = stream.n AND s.start >= ?2 AND s.volume = ?1 AND s.state < 3",
                )?
                .query_row(params![volume.as_str(), since.0], |r| whole(r, 0))
        })
    }

    /// One closed segment on one volume.
    pub fn closed(&self, id: SegmentId, volume: &VolumeName) -> Result<Option<SegmentRow>, IndexError> {
        use super::SegmentState::{Closed, Recovered};
        let rows = self.segment(id)?;
        Ok(rows.into_iter().find(|r| r.volume == *volume && matches!(r.state, Closed | Recovered)))
    }

    /// Up to where retention has removed footage of a stream.
    pub fn retired(&self, stream: StreamId) -> Result<Option<WallNs>, IndexError> {
        self.ask(|| self.retired_until(stream))
    }

    /// Footage of a stream that is lost, as far as it is known: it was there, and nobody let it go.
    pub fn lost(&self, stream: StreamId) -> Result<Vec<Span>, IndexError> {
        self.ask(|| {
            self.db
                .prepare_cached("SELECT start, end FROM lost WHERE stream = ?1 ORDER BY start, end")?
                .query_map([self.number(stream)?], |r| Ok(Span { start: WallNs(r.get(0)?), end: WallNs(r.get(1)?) }))?
                .collect()
        })
    }

    /// What was measured of a stream, by day (`2026-11-22`), the newest first.
    pub fn kept(&self, stream: StreamId) -> Result<Vec<(String, KeptRow)>, IndexError> {
        self.ask(|| {
            self.db
                .prepare_cached(
                    "SELECT day, seconds, gap, unreadable, lost, young FROM kept WHERE stream = ?1 ORDER BY day DESC",
                )?
                .query_map([self.number(stream)?], |r| {
                    let kept = KeptRow {
                        seconds: whole(r, 1)?,
                        gap_seconds: whole(r, 2)?,
                        unreadable_seconds: whole(r, 3)?,
                        lost_seconds: whole(r, 4)?,
                        young: r.get(5)?,
                    };
                    Ok((r.get(0)?, kept))
                })?
                .collect()
        })
    }
}
