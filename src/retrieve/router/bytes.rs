//! Bytes of files as bodies: read in chunks off the async threads, each when the receiver is ready for it, so that a slow
//! receiver holds a file descriptor and nothing else.

use std::{io, os::unix::fs::FileExt as _, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;

use crate::{
    retrieve::{
        RetrieveError,
        library::{Segment, Table},
        place::{Shift, read_head},
        range::{self, Wanted},
    },
    store::index::{SegmentRow, SegmentState},
};

/// Bytes read at once.
const CHUNK: u64 = 256 * 1024;

/// A body out of blocking steps.
pub(super) fn body<I>(chunks: I) -> Body
where
    I: Iterator<Item = Result<Bytes, RetrieveError>> + Send + 'static,
{
    Body::from_stream(futures::stream::unfold(Some(chunks), |chunks| async {
        let mut chunks = chunks?;
        match tokio::task::spawn_blocking(move || (chunks.next(), chunks)).await {
            Ok((Some(Ok(bytes)), rest)) => Some((Ok(bytes), Some(rest))),
            Ok((Some(Err(e)), _)) => {
                log::warn!("footage that is being sent broke off: {}", e.story());
                Some((Err(io::Error::other(e)), None))
            }
            Ok((None, _)) => None,
            Err(_) => Some((Err(io::ErrorKind::Interrupted.into()), None)),
        }
    }))
}

/// What is sent in place of a file's own decode times.
pub(super) struct Moved {
    table: Arc<Table>,
    shift: Shift,
    ticks: i64,
    /// Which fragment the next byte is looked for in, at the earliest.
    next: usize,
    /// Up to where there is coded data only, once its head has been sent.
    plain: u64,
}

impl Moved {
    /// Decode times by `ticks` of the video later.
    pub(super) fn new(table: Arc<Table>, ticks: i64) -> Self {
        Self { shift: Shift::by_video(&table.run.tracks, ticks), table, ticks, next: 0, plain: 0 }
    }

    /// The moved head of the fragment in whose head `at` lies, from `at` on; or up to where the file's own bytes are
    /// to be sent.
    fn at(&mut self, segment: &Segment, at: u64) -> Result<Piece, RetrieveError> {
        if at < self.plain {
            return Ok(Piece::Plain { until: self.plain });
        }
        while let Some(f) = self.table.fragments.get(self.next) {
            let end = f.offset.saturating_add(f.len);
            if end <= at {
                self.next += 1;
                continue;
            }
            // A fragment that has not been committed cannot be read; nor is it, as the range ends before it.
            if f.offset > at || end > segment.row.bytes {
                return Ok(Piece::Plain { until: f.offset.max(at.saturating_add(1)) });
            }
            let (head, mut bytes) = read_head(&segment.file, &segment.path, f.offset, f.len)?;
            // Whatever is sent now, it reaches up to the coded data at least.
            self.plain = end;
            let Some(skip) = usize::try_from(at - f.offset).ok().filter(|skip| *skip < bytes.len()) else {
                return Ok(Piece::Plain { until: end });
            };
            head.move_by(&mut bytes, |track| self.shift.of(track)).map_err(|source| RetrieveError::Fragment {
                path: segment.path.clone(),
                at: f.offset,
                source,
            })?;
            return Ok(Piece::Head(Bytes::from(bytes).slice(skip..)));
        }
        Ok(Piece::Plain { until: u64::MAX })
    }
}

enum Piece {
    Head(Bytes),
    Plain { until: u64 },
}

/// A range of a file, chunk by chunk.
struct FileChunks {
    segment: Segment,
    moved: Option<Moved>,
    at: u64,
    left: u64,
}

impl FileChunks {
    fn read(&mut self) -> Result<Bytes, RetrieveError> {
        let piece = match &mut self.moved {
            Some(moved) => moved.at(&self.segment, self.at)?,
            None => Piece::Plain { until: u64::MAX },
        };
        let until = match piece {
            Piece::Head(mut bytes) => {
                bytes.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                return Ok(bytes);
            }
            Piece::Plain { until } => until,
        };
        let len = self.left.min(CHUNK).min(until.saturating_sub(self.at));
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        match self.segment.file.read_exact_at(&mut bytes, self.at) {
            Ok(()) => Ok(bytes.into()),
            Err(source) => Err(RetrieveError::Read { path: self.segment.path.clone(), source }),
        }
    }
}

impl Iterator for FileChunks {
    type Item = Result<Bytes, RetrieveError>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let bytes = self.read();
        if let Ok(bytes) = &bytes {
            let n = bytes.len() as u64;
            (self.at, self.left) = (self.at.saturating_add(n), self.left.saturating_sub(n));
        }
        Some(bytes)
    }
}

/// Names the bytes of a file that has been closed; those of an open one change by the second, so they have no name.
fn etag(row: &SegmentRow, moved: Option<&Moved>) -> Option<HeaderValue> {
    if row.state == SegmentState::Open {
        return None;
    }
    let ticks = moved.map_or(0, |m| m.ticks);
    HeaderValue::from_str(&format!("\"{}-{}-{}-{ticks}\"", row.id.run, row.id.seq, row.bytes)).ok()
}

/// Answers a request for a file's bytes, or a range of them, with moved decode times if so asked. Never goes beyond what has
/// been committed.
pub(super) fn respond(segment: Segment, moved: Option<Moved>, headers: &HeaderMap) -> Response {
    let complete = segment.row.bytes;
    let etag = etag(&segment.row, moved.as_ref());
    let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
    // With If-Range a range counts only if the receiver has the rest of these very bytes (RFC 9110 section 13.1.5).
    let unchanged = headers.get(header::IF_RANGE).is_none_or(|v| etag.as_ref() == Some(v));
    let wanted = match text(header::RANGE) {
        Some(range) if unchanged => range::parse(range, complete),
        _ => Wanted::Whole,
    };
    let mut response = match wanted {
        Wanted::Whole => file_part(StatusCode::OK, FileChunks { segment, moved, at: 0, left: complete }),
        Wanted::Part(part) => {
            let chunks = FileChunks { segment, moved, at: part.first, left: part.len() };
            let mut response = file_part(StatusCode::PARTIAL_CONTENT, chunks);
            content_range(&mut response, &part.content_range(complete));
            response
        }
        Wanted::Unsatisfiable => {
            let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
            content_range(&mut response, &format!("bytes */{complete}"));
            response
        }
    };
    response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(etag) = etag {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

fn content_range(response: &mut Response, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
}

fn file_part(status: StatusCode, chunks: FileChunks) -> Response {
    let left = chunks.left;
    let mut response = Response::new(body(chunks));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(left));
    response
}
