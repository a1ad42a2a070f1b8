//! A run and a row for unit tests. Tests with files and an index are in `tests/it/retrieve`.

use bytes::Bytes;
use uuid::Uuid;

use crate::{
    store::index::{SegmentRow, SegmentState},
    types::{Codec, Run, RunId, SegmentId, Span, StreamId, StreamKey, StreamKind, Track, TrackKind, WallNs},
};

/// A run of the camera `gate-1` from 1970 on, without sound.
pub(super) fn run(n: u128) -> Run {
    Run {
        id: RunId::from(Uuid::from_u128(n)),
        stream: StreamKey {
            id: StreamId::from(Uuid::from_u128(7)),
            camera: "gate-1".parse().expect("an id"),
            kind: StreamKind::Main,
        },
        site: "Trường".to_owned(),
        recorder: "a".parse().expect("an id"),
        tracks: vec![Track {
            kind: TrackKind::Video,
            codec: Codec::H264,
            timescale: 90_000,
            sample_entry: Bytes::from_static(b"\0\0\0\x08avc1"),
            rfc6381: Some("avc1.64001f".to_owned()),
            size: (640, 360),
        }],
        start: WallNs(0),
        clock_correction: 0,
        before: None,
    }
}

/// A closed segment of it that holds nothing.
pub(super) fn row(run: &Run, seq: u32, bytes: u64) -> SegmentRow {
    SegmentRow {
        id: SegmentId { stream: run.stream.id, run: run.id, seq },
        volume: "a1".parse().expect("a name"),
        path: String::new(),
        span: Span { start: run.start, end: run.start },
        raw_start: run.start,
        clock_correction: run.clock_correction,
        bytes,
        frames: 0,
        lost_packets: 0,
        state: SegmentState::Closed,
        holes: Vec::new(),
        root: None,
    }
}
