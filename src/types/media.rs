//! What capture hands to the store: runs, fragments, samples.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Cause, RecorderId, RunId, Span, StreamKey, WallNs};

/// A codec that custodian records as it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// ITU-T H.264, sample entry `avc1`.
    H264,
    /// ITU-T H.265, sample entry `hvc1`.
    H265,
    /// MPEG-4 AAC, sample entry `mp4a`.
    Aac,
    /// ITU-T G.711 µ-law, sample entry `ulaw`.
    Pcmu,
    /// ITU-T G.711 A-law, sample entry `alaw`.
    Pcma,
}

/// Video or audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrackKind {
    /// Pictures; always track 1 of a file.
    Video,
    /// Sound; track 2 where the camera has it.
    Audio,
}

/// One track of a run. Never changes within it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Video or audio.
    pub kind: TrackKind,
    /// The codec.
    pub codec: Codec,
    /// Ticks per second: the RTP clock rate.
    pub timescale: u32,
    /// The complete sample entry box (`avc1`, `hvc1`, `mp4a`, `ulaw`, `alaw`) as it stands in `stsd`
    /// (ISO/IEC 14496-12 section 8.5.2).
    pub sample_entry: Bytes,
    /// RFC 6381 codec string such as `avc1.64001f`; `None` where the RFC has none (G.711).
    pub rfc6381: Option<String>,
    /// Display size in pixels; (0, 0) for audio.
    pub size: (u16, u16),
}

/// What is known, when a run begins, about the gap before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapBefore {
    /// When the trouble began, as far as known. The gap itself begins where the previous run ends.
    pub since: WallNs,
    /// Why.
    pub cause: Cause,
}

/// An unbroken capture of one stream. Shared by all its fragments.
///
/// Invariant: `tracks[0]` is the video track; there are one or two tracks, the second one audio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Identity; a UUIDv7.
    pub id: RunId,
    /// Whose run it is.
    pub stream: StreamKey,
    /// The site's name.
    pub site: String,
    /// The machine that captured it.
    pub recorder: RecorderId,
    /// Video first.
    pub tracks: Vec<Track>,
    /// Our wall clock at decode time 0, uncorrected. File names are made from uncorrected times.
    pub start: WallNs,
    /// To be added to every time of the run (ns): what keeps the timeline from overlapping itself after the clock
    /// was set back.
    pub clock_correction: i64,
    /// Why there was nothing before it; `None` for the first run of a stream and for a run that adjoins the
    /// previous one.
    pub before: Option<GapBefore>,
}

impl Run {
    /// The video track.
    pub fn video(&self) -> &Track {
        &self.tracks[0]
    }

    /// `video/mp4; codecs="…"` of those tracks that RFC 6381 can name.
    pub fn mime(&self) -> String {
        let codecs: Vec<&str> = self.tracks.iter().filter_map(|t| t.rfc6381.as_deref()).collect();
        format!("video/mp4; codecs=\"{}\"", codecs.join(", "))
    }
}

/// One coded picture or one audio frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Index into [`Run::tracks`].
    pub track: usize,
    /// Decode time in the track's time scale, from the start of the run. Strictly increasing per track.
    pub dts: u64,
    /// Ticks until the next sample of the track.
    pub duration: u32,
    /// Presentation time less decode time, ticks; may be negative (`trun` version 1).
    pub cts: i32,
    /// Whether decoding can start here (IDR, or an open-GOP random access point).
    pub key: bool,
    /// Coded data: NAL units with four-byte lengths, raw AAC, or G.711 bytes.
    pub data: Bytes,
}

/// What an RTCP sender report said (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SenderReport {
    /// The camera's wall clock.
    pub camera: WallNs,
    /// Our uncorrected wall clock for the same instant, by the run's mapping. `camera - ours` is the camera's
    /// clock error.
    pub ours: WallNs,
}

/// The leaf of a fragment once it has been computed. Clones of a fragment share it, so that samples which go to two volumes are hashed
/// once.
#[derive(Debug, Clone, Default)]
pub struct SharedLeaf(Arc<OnceLock<[u8; 32]>>);

impl SharedLeaf {
    /// The leaf; computed if nobody has. Who comes while another one computes it waits for that.
    pub fn get_or_compute(&self, compute: impl FnOnce() -> [u8; 32]) -> [u8; 32] {
        *self.0.get_or_init(compute)
    }
}

/// A row of samples that is written at once: ends at a key frame, after 2 s, or at 1 MiB. It is not changed once it was encoded, nor are
/// its clones.
#[derive(Debug, Clone)]
pub struct Fragment {
    /// The run it belongs to.
    pub run: Arc<Run>,
    /// The segment (file) of the run it belongs to, from 0. Never goes back; grows by one where a file is cut.
    pub seq: u32,
    /// Number within the run, from 0, without holes unless a fragment was refused by a slow disk, which ends the run.
    pub number: u32,
    /// Uncorrected wall time covered: from the first video sample's decode time to the next fragment's first.
    pub span: Span,
    /// Video samples in decode order, then audio samples in decode order. Begins with a video sample; a segment's
    /// first fragment begins with a key sample.
    pub samples: Vec<Sample>,
    /// RTP packets lost since the previous fragment.
    pub lost_packets: u32,
    /// Frames received but not stored (leading pictures after a run's first open-GOP key frame, frames
    /// that wait for a key frame).
    pub dropped_frames: u32,
    /// Sender reports since the previous fragment.
    pub reports: Vec<SenderReport>,
    /// Its leaf, see `docs/ref/format.md`. A new fragment has a new one.
    pub leaf: SharedLeaf,
}

impl Fragment {
    /// Bytes of coded data.
    pub fn sample_bytes(&self) -> usize {
        self.samples.iter().map(|s| s.data.len()).sum()
    }
}
