//! Segments of all streams in one order, the oldest first, without ever holding more than a few of each.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use crate::{
    store::index::{Cursor, IndexError, Reader, SegmentRow, Since},
    types::{Span, StreamId},
};

/// Rows of a stream that are read at once.
const PAGE: u32 = 64;

struct Stream {
    id: StreamId,
    /// Read, and not handed out yet.
    rows: VecDeque<SegmentRow>,
    from: Since,
}

/// Rows to come.
pub(super) struct Rows {
    streams: Vec<Stream>,
    /// The next row of each stream.
    next: BinaryHeap<Reverse<(Cursor, usize)>>,
    span: Span,
}

impl Rows {
    /// What these streams have of a span; behind a place, if there is one.
    pub(super) fn new(
        index: &Reader,
        streams: Vec<StreamId>,
        span: Span,
        behind: Option<&Cursor>,
    ) -> Result<Self, IndexError> {
        let mut rows = Self { streams: Vec::new(), next: BinaryHeap::new(), span };
        for id in streams {
            let begins = index.begins(id, span)?;
            let from = match behind {
                Some(b) if b.start < begins => Since::Start(begins),
                // Among those of one start streams come in their order.
                Some(b) if id == b.stream => Since::Behind(b.clone()),
                Some(b) if id < b.stream => Since::Start(b.start.offset(1)),
                Some(b) => Since::Start(b.start),
                None => Since::Start(begins),
            };
            rows.streams.push(Stream { id, rows: VecDeque::new(), from });
            rows.fill(index, rows.streams.len() - 1)?;
        }
        Ok(rows)
    }

    /// Puts the first row of a stream in its place among the others'.
    fn fill(&mut self, index: &Reader, n: usize) -> Result<(), IndexError> {
        let stream = &mut self.streams[n];
        if stream.rows.is_empty() {
            stream.rows.extend(index.page(stream.id, &stream.from, PAGE)?);
            if let Some(last) = stream.rows.back() {
                stream.from = Since::Behind(Cursor::of(last));
            }
        }
        self.next.extend(stream.rows.front().map(|row| Reverse((Cursor::of(row), n))));
        Ok(())
    }

    /// The next row.
    pub(super) fn next(&mut self, index: &Reader) -> Result<Option<SegmentRow>, IndexError> {
        while let Some(Reverse((_, n))) = self.next.pop() {
            let Some(row) = self.streams[n].rows.pop_front() else { continue };
            if row.span.start >= self.span.end {
                continue; // as are all that follow of this stream
            }
            self.fill(index, n)?;
            if row.span.end > self.span.start || row.span.start >= self.span.start {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        store::index::{Batch, RunRow, SegmentState, Writer},
        types::{RunId, SegmentId, StreamKey, StreamKind, WallNs},
    };

    const STREAMS: u8 = 3;

    fn key(n: u8) -> StreamKey {
        let camera = format!("c{n}").parse().unwrap();
        StreamKey { id: StreamId::from_bytes([n; 16]), camera, kind: StreamKind::Main }
    }

    fn row(stream: u8, seq: u32, start: i64, volume: &str) -> SegmentRow {
        SegmentRow {
            id: SegmentId { stream: key(stream).id, run: RunId::from_bytes([stream; 16]), seq },
            volume: volume.parse().unwrap(),
            path: String::new(),
            span: Span { start: WallNs(start), end: WallNs(start + 10) },
            raw_start: WallNs(start),
            clock_correction: 0,
            bytes: 5,
            frames: 1,
            lost_packets: 0,
            state: SegmentState::Closed,
            holes: Vec::new(),
            root: None,
        }
    }

    /// Streams whose segments begin at the same instants, more of them than a page holds, some with a copy.
    fn index(path: &std::path::Path) -> Reader {
        let mut writer = Writer::open(path).unwrap();
        let mut batch = Batch::default();
        for n in 0..STREAMS {
            let run = RunRow {
                id: RunId::from_bytes([n; 16]),
                stream: key(n),
                start: WallNs(0),
                clock_correction: 0,
                before: None,
                mime: String::new(),
                size: (0, 0),
                recorder: "a".parse().unwrap(),
            };
            batch.runs.insert(run.id, run);
            for seq in 0..150 {
                batch.segment(row(n, seq, i64::from(seq) * 10, "v1"));
                if seq % 3 == 0 {
                    batch.segment(row(n, seq, i64::from(seq) * 10, "v2"));
                }
            }
        }
        writer.apply(&batch).unwrap();
        Reader::open(path).unwrap()
    }

    fn all(index: &Reader, span: Span, behind: Option<&Cursor>) -> Vec<Cursor> {
        let streams = (0..STREAMS).map(|n| key(n).id).collect();
        let mut rows = Rows::new(index, streams, span, behind).unwrap();
        std::iter::from_fn(|| rows.next(index).unwrap()).map(|row| Cursor::of(&row)).collect()
    }

    #[test]
    fn all_come_in_order_and_go_on_behind_any_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let index = index(&dir.path().join("index.db"));
        let whole = all(&index, Span::all(), None);
        assert_eq!(whole.len(), usize::from(STREAMS) * 200);
        assert!(whole.is_sorted_by(|a, b| a < b));
        for n in (0..whole.len()).step_by(7) {
            assert_eq!(all(&index, Span::all(), Some(&whole[n])), whole[n + 1..], "behind {:?}", whole[n]);
        }
    }

    #[test]
    fn a_span_has_what_touches_it() {
        let dir = tempfile::tempdir().unwrap();
        let index = index(&dir.path().join("index.db"));
        let starts = |from, to| -> Vec<i64> {
            let span = Span { start: WallNs(from), end: WallNs(to) };
            let mut starts: Vec<i64> = all(&index, span, None).iter().map(|c| c.start.0).collect();
            starts.dedup();
            starts
        };
        assert_eq!(starts(35, 50), [30, 40]);
        assert_eq!(starts(40, 41), [40]);
        assert_eq!(starts(-5, 1), [0]);
        assert_eq!(starts(5000, 6000), [0; 0]);
        let behind = Cursor::of(&row(1, 3, 30, "v1"));
        let span = Span { start: WallNs(100), end: WallNs(120) };
        assert_eq!(all(&index, span, Some(&behind)), all(&index, span, None));
        let (segments, bytes) = index.amount(key(0).id, &"v1".parse().unwrap(), span).unwrap();
        assert_eq!((segments, bytes), (2, 10));
    }
}
