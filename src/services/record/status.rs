//! The answer to "how are you".

use std::sync::PoisonError;

use super::Shared;
use crate::{
    store::{
        Footage as _,
        index::{IndexError, Reader},
    },
    types::{ByteSize, CauseKind, Span, StreamId, WallNs, story, wire},
};

const DAY_NS: i64 = 86_400_000_000_000;

pub(super) fn status(shared: &Shared) -> wire::Status {
    let now = shared.clock.wall();
    let site = shared.site();
    let (midnight, day) = (midnight(now, site.timezone()), now.offset(-DAY_NS));
    let index = Reader::open(&shared.paths.index()).and_then(|index| index.streams().map(|_| index));
    let index_problem = index.as_ref().err().map(|e| story(e)).or_else(|| shared.index.problem());
    // A copy: the dispatcher asks for it too, and must not wait for the index.
    let off = shared.wanted.lock().unwrap_or_else(PoisonError::into_inner).off().clone();
    let mut unread = None;
    let mut streams: Vec<wire::StreamStatus> = shared
        .supervisor
        .status()
        .into_iter()
        .map(|s| {
            let id = shared.store.stream_id(&s.camera, s.stream);
            let asked = index.as_ref().ok().filter(|_| s.recorded);
            let span = Span { start: midnight.min(day), end: now };
            let gaps = asked.map(|index| read_gaps(index, id, span, &mut unread)).unwrap_or_default();
            let missing = |start| missing(&gaps, Span { start, end: now });
            let out_of_hours = !s.recorded && off.contains(&s.camera);
            wire::StreamStatus {
                camera: s.camera,
                name: s.name,
                stream: s.stream,
                recorded: s.recorded,
                out_of_hours,
                state: s.state,
                cause: s.cause,
                bit_rate: s.bit_rate,
                frame_rate: s.frame_rate,
                newest_committed: shared.store.committed(id),
                gap_seconds_today: missing(midnight),
                gap_seconds_day: missing(day),
                lost_packets: s.lost_packets,
                clock_error: s.clock_error,
                volume: shared.store.volume_of(id),
                size: s.size,
                codec: s.codec,
            }
        })
        .collect();
    streams.sort_by(|a, b| (&a.camera, a.stream).cmp(&(&b.camera, b.stream)));
    let mut volumes = shared.store.volumes();
    // What follows may wait for a disk: nobody is to wait for it on account of this list.
    volumes.extend(shared.absent.lock().unwrap_or_else(PoisonError::into_inner).iter().map(super::Absent::status));
    volumes.sort_by(|a, b| a.name.cmp(&b.name));
    wire::Status {
        recorder: shared.recorder.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: shared.started,
        now,
        queued: ByteSize(volumes.iter().map(|v| v.queued.0).sum()),
        streams,
        volumes,
        index_problem: index_problem.or(unread),
        retention: Some(super::retention::health(shared)),
        ledger: Some(super::journal::status(&shared.journal)),
    }
}

/// The gaps of a stream. That they cannot be read does not mean that there are none: it goes into `problem`.
fn read_gaps(index: &Reader, stream: StreamId, span: Span, problem: &mut Option<String>) -> Vec<wire::Gap> {
    index.gaps(stream, span).unwrap_or_else(|e| {
        problem.get_or_insert_with(|| story(&e));
        Vec::new()
    })
}

/// When the day began where the site is.
fn midnight(now: WallNs, zone: &jiff::tz::TimeZone) -> WallNs {
    let day = now.timestamp().to_zoned(zone.clone()).start_of_day();
    day.map_or(now, |day| day.timestamp().into())
}

/// Seconds without footage within a span, as far as it lies in the past, of each stream that the site wants recorded.
pub(super) fn gaps(shared: &Shared, span: Span) -> Result<Vec<wire::health::GapSeconds>, IndexError> {
    let index = Reader::open(&shared.paths.index())?;
    let past = Span { start: span.start, end: span.end.min(shared.clock.wall()).max(span.start) };
    let wanted = |s: &crate::capture::CaptureStatus| {
        shared.wanted.lock().unwrap_or_else(PoisonError::into_inner).wants(&s.camera, s.stream)
    };
    let one = |s: crate::capture::CaptureStatus| {
        let gaps = index.gaps(shared.store.stream_id(&s.camera, s.stream), past)?;
        Ok(wire::health::GapSeconds { camera: s.camera, stream: s.stream, seconds: missing(&gaps, past) })
    };
    shared.supervisor.status().into_iter().filter(wanted).map(one).collect()
}

/// Seconds of a span that lie in gaps.
fn missing(gaps: &[wire::Gap], span: Span) -> f64 {
    // What the site does not want is not missing.
    let gaps = gaps.iter().filter(|g| g.cause.kind != CauseKind::Site);
    let within = |g: &wire::Gap| Span::new(g.start, g.end.unwrap_or(span.end))?.intersect(span);
    let ns: i64 = gaps.filter_map(within).map(Span::len_ns).sum();
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::index::Writer;

    #[test]
    fn an_index_that_opens_and_cannot_be_read_is_a_problem() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.db");
        drop(Writer::open(&path).unwrap());
        let span = Span { start: WallNs(0), end: WallNs(9) };
        let read = || {
            let mut problem = None;
            let gaps = read_gaps(&Reader::open(&path).unwrap(), StreamId::from_bytes([1; 16]), span, &mut problem);
            assert_eq!(gaps, []);
            problem
        };
        assert_eq!(read(), None);
        rusqlite::Connection::open(&path).unwrap().execute_batch("DROP TABLE segment").unwrap();
        assert!(read().unwrap().contains("segment"));
    }
}
