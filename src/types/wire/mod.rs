//! The messages of the recorder's sockets, as JSON. HTTP/1.1 over Unix sockets in the run directory.
//!
//! `media.sock` (for pages, later through `access`):
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/cameras` | [`Camera`] list |
//! | `GET /v1/timeline?camera=ID&camera=ID…&from=NS&to=NS[&stream=main]` | [`Timeline`] list, one per camera asked for |
//! | `GET /v1/fragments?camera=ID&from=NS&to=NS[&stream=main]` | [`Fragments`]: the files and byte ranges that cover the span, key frame aligned |
//! | `GET /v1/segments/{stream}/{run}/{seq}[.mp4][?shift=TICKS]` | the file's bytes; `Range: bytes=a-b` is honoured (RFC 9110 section 14). With `shift` all decode times move by so many ticks of the video, nothing else: so playlists make one time line of several runs |
//! | `GET /v1/hls/{camera}/index.m3u8?from=NS&to=NS` | multivariant playlist (RFC 8216) over `main.m3u8` and `sub.m3u8` with the same query; URIs are relative (`../../segments/…`), so a proxy may put all of it below another path |
//! | `GET /v1/hls/{camera}/{kind}.m3u8?from=NS&to=NS` | media playlist; ends with `EXT-X-ENDLIST` once no footage can be added to the span |
//! | `GET /v1/clip/{camera}/{kind}.mp4?from=NS&to=NS[&part=1]` | the span as one file, not re-encoded; a change of parameters begins another part, the header `custodian-parts` says how many there are |
//! | `GET /v1/kept?camera=ID` | [`CameraKept`], or null where nothing has been reckoned yet |
//! | `GET /v1/live/{camera}/{kind}` | an endless body of live messages, see below |
//!
//! `status.sock`, where no person is ever named:
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/status` | [`Status`] |
//! | `GET /v1/holds` | [`HoldsHealth`] |
//! | `GET /v1/retention` | [`Retention`] |
//! | `GET /v1/gaps?from=NS&to=NS` | [`health::GapSeconds`] list, one per stream that the site wants recorded. A gap is known some seconds after it has begun, and one of the recorder itself once it runs again: who adds up spans that adjoin asks for those that ended a minute ago |
//!
//! `control.sock`, for the recorder's own user and root:
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/reload` | re-reads site.toml and secrets.toml: [`Reloaded`], or 422 and [`Problem`] |
//! | `POST /v1/trust` with a [`Trust`] | nothing; 409 and [`Problem`] if nothing of that is in doubt, 503 if the ledger does not take it |
//! | `GET /v1/holds` | [`HoldList`] |
//! | `POST /v1/holds` with a [`HoldCommand`] | [`HoldAnswer`]; 409 and [`Problem`] if the hold is not one that can be changed so, 503 if it could be written nowhere |
//!
//! A live message is a 5-byte header, a kind (one byte) and a big-endian length (u32), then that many bytes:
//! kind 0 is a JSON [`LiveInit`]; kind 1 the MP4 initialisation segment that belongs to it; kind 2 one media segment
//! (`moof` + `mdat`); kind 3 a JSON [`LiveState`] whenever the stream's state changes. Kinds 0 and 1 come again whenever the
//! parameters change. A reader skips kinds that it does not know.
//!
//! Times (`NS`) are nanoseconds since 1970 or RFC 3339.
//!
//! Errors are [`Problem`] with a fitting status: 400 for a wrong parameter, 404 for an unknown camera, a span
//! without footage, or a file that is no more, 503 while index or disk are away.

pub mod health;
mod holds;
mod retention;

use serde::{Deserialize, Serialize};

pub use holds::{
    Hold, HoldAnswer, HoldChange, HoldChanged, HoldCommand, HoldEffect, HoldLack, HoldList, HoldOrder, HoldShort,
    HoldsHealth,
};
pub use retention::{
    Breaks, CameraKept, CameraRetention, Doubt, Kept, Retention, RetentionHealth, Suspension, Trust, VolumeRetention,
};

use super::{BitRate, ByteSize, CameraId, Cause, RecorderId, RunId, Span, StreamId, StreamKind, VolumeName, WallNs};

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What is wrong and what to do, in English; for machines and technicians.
    pub error: String,
}

/// A camera that this recorder knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Camera {
    /// Its id.
    pub id: CameraId,
    /// Its name for people.
    pub name: String,
    /// The name of its area for people.
    pub area: String,
    /// The streams that it has, main first.
    pub streams: Vec<StreamKind>,
    /// False for one that has left site.toml but has footage still.
    pub configured: bool,
}

/// What there is of one stream within the span that was asked for, clipped to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// The camera.
    pub camera: CameraId,
    /// Main or sub.
    pub stream: StreamKind,
    /// Spans with footage: ascending, not overlapping, adjoining ones joined.
    pub footage: Vec<Span>,
    /// Gaps between footage, ascending; the last one may be open.
    pub gaps: Vec<Gap>,
    /// End of the newest second that can be played, whatever was asked for.
    pub newest: Option<WallNs>,
}

/// A stretch without footage between two runs, or after the last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// End of the run before.
    pub start: WallNs,
    /// Start of the run after; `None` while it lasts.
    pub end: Option<WallNs>,
    /// Why.
    pub cause: Cause,
}

/// Files and byte ranges that cover a span of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fragments {
    /// The camera.
    pub camera: CameraId,
    /// Main or sub.
    pub stream: StreamKind,
    /// Ascending.
    pub segments: Vec<SegmentPart>,
}

/// The part of one segment that lies within the span asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentPart {
    /// The recording.
    pub stream: StreamId,
    /// The run. Decode times go on from segment to segment of a run; between runs lies a discontinuity.
    pub run: RunId,
    /// The file within the run.
    pub seq: u32,
    /// `video/mp4; codecs="…"`.
    pub mime: String,
    /// Picture size.
    pub size: (u16, u16),
    /// Ticks per second of the video track's decode times.
    pub timescale: u32,
    /// Bytes of the file that make the initialisation segment (from 0).
    pub init_len: u64,
    /// Bytes of the file that can be read now. Grows while `open`.
    pub len: u64,
    /// Whether the recorder is still writing it.
    pub open: bool,
    /// The fragments, ascending; the first one begins with a key frame.
    pub fragments: Vec<FragmentPart>,
}

/// One fragment within a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FragmentPart {
    /// First byte in the file (of its `prft`).
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// Wall time covered, corrected.
    pub span: Span,
    /// Decode time of its first video sample, ticks from the start of the run.
    pub dts: u64,
    /// Whether it begins with a key frame.
    pub key: bool,
}

/// What a live tap begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveInit {
    /// `video/mp4; codecs="…"`.
    pub mime: String,
    /// Picture size.
    pub size: (u16, u16),
    /// Ticks per second of the video track.
    pub timescale: u32,
    /// Wall time at decode time 0 of the run, corrected.
    pub start: WallNs,
}

/// State of a live stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveState {
    /// The state.
    pub state: StreamState,
    /// Why, where the state is `waiting`.
    pub cause: Option<Cause>,
}

/// What a stream is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamState {
    /// Nobody asks for it (a sub stream that is not recorded and not watched).
    Idle,
    /// On its way to a picture.
    Connecting,
    /// Frames arrive; recorded, if the stream is to be recorded.
    Running,
    /// It failed; waiting before the next attempt.
    Waiting,
}

/// State of the recorder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The recorder's name.
    pub recorder: RecorderId,
    /// The program's version.
    pub version: String,
    /// When the process started.
    pub started: WallNs,
    /// Now, by the recorder's clock.
    pub now: WallNs,
    /// Per stream, by camera id, main first.
    pub streams: Vec<StreamStatus>,
    /// Per volume.
    pub volumes: Vec<VolumeStatus>,
    /// Bytes of footage in memory that are not yet written, of all volumes together.
    pub queued: ByteSize,
    /// Why the index cannot be read or written. Recording goes on without it; a restart makes a new one from the volumes.
    #[serde(default)]
    pub index_problem: Option<String>,
    /// The ledger; none from a recorder of an earlier version.
    #[serde(default)]
    pub ledger: Option<LedgerStatus>,
    /// Retention; none from a recorder of an earlier version.
    #[serde(default)]
    pub retention: Option<RetentionHealth>,
}

/// State of the recorder's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerStatus {
    /// Entries; none before it is open.
    pub entries: Option<u64>,
    /// When its newest checkpoint was signed.
    pub at: Option<WallNs>,
    /// That checkpoint: a signed note, for witnesses.
    #[serde(default)]
    pub checkpoint: Option<String>,
    /// Entries that wait to be written.
    pub waiting: u64,
    /// Entries that were dropped since the process started, for want of memory.
    pub dropped: u64,
    /// Why it is not written.
    pub problem: Option<String>,
}

/// State of one stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamStatus {
    /// The camera.
    pub camera: CameraId,
    /// Its name for people.
    pub name: String,
    /// Main or sub.
    pub stream: StreamKind,
    /// Whether it is to be recorded.
    pub recorded: bool,
    /// Whether it is not only because its hours (`schedule`) are over.
    #[serde(default)]
    pub out_of_hours: bool,
    /// What it does.
    pub state: StreamState,
    /// Why it does not run.
    pub cause: Option<Cause>,
    /// Received coded data over the last 10 s.
    pub bit_rate: BitRate,
    /// Received pictures per second over the last 10 s.
    pub frame_rate: f64,
    /// End of the newest second that a power cut would leave.
    pub newest_committed: Option<WallNs>,
    /// Seconds without footage since midnight (site time).
    pub gap_seconds_today: f64,
    /// Seconds without footage in the last 24 hours.
    #[serde(default)]
    pub gap_seconds_day: f64,
    /// RTP packets lost since the process started.
    pub lost_packets: u64,
    /// The camera's clock less ours, seconds, by its sender reports.
    pub clock_error: Option<f64>,
    /// Where its present segment is.
    pub volume: Option<VolumeName>,
    /// Picture size.
    pub size: Option<(u16, u16)>,
    /// `avc1.64001f` and the like.
    pub codec: Option<String>,
}

/// State of one volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeStatus {
    /// Its name.
    pub name: VolumeName,
    /// Whether it is written to.
    pub healthy: bool,
    /// Why not.
    pub problem: Option<String>,
    /// Whether that is only because it is full.
    #[serde(default)]
    pub full: bool,
    /// Free space for footage; what is reserved for segments that are being written counts.
    pub free: ByteSize,
    /// Size of its file system.
    pub size: ByteSize,
    /// Bytes that wait to be written.
    pub queued: ByteSize,
    /// Of fragments, from their being handed over to their being written.
    #[serde(default)]
    pub writer_latency: Option<Latency>,
    /// Of commits.
    #[serde(default)]
    pub commit_latency: Option<Latency>,
    /// When footage was committed on it last; none: not since the process started.
    #[serde(default)]
    pub committed: Option<WallNs>,
}

/// How long something took in the last minute, of the newest 4096 times at most. Microseconds; none where it was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// How often it was done.
    pub count: u64,
    /// Half of the times took no longer.
    pub p50_us: u64,
    /// Of 100 times 99 took no longer.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// What a reload changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reloaded {
    /// Cameras that are new.
    pub added: Vec<CameraId>,
    /// Cameras that have gone.
    pub removed: Vec<CameraId>,
    /// Cameras whose sessions were restarted.
    pub changed: Vec<CameraId>,
    /// Cameras that were not touched.
    pub untouched: usize,
}

/// What a rebuild of the index found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reindexed {
    /// Segments in the new index.
    pub segments: u64,
    /// Runs in it.
    pub runs: u64,
    /// Files that were torn and have been closed.
    pub recovered: u64,
    /// Files that are not ours, or not readable: left alone.
    pub foreign: Vec<String>,
}
