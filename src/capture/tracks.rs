//! From retina's parameters to tracks.

use bytes::Bytes;
use retina::codec::{AudioParameters, VideoParameters, VideoParametersCodec};

use crate::types::{Codec, Track, TrackKind};

use super::parameters;

/// The tracks of a session, and how far its pictures are out of order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tracks {
    /// Video first.
    pub(super) list: Vec<Track>,
    /// See [`super::reorder`].
    pub(super) depth: usize,
}

impl Tracks {
    pub(super) fn video(&self) -> &Track {
        &self.list[0]
    }

    pub(super) fn audio(&self) -> Option<&Track> {
        self.list.get(1)
    }
}

/// The video track and its reorder depth. `Err` says what is not supported.
pub(super) fn video(parameters: &VideoParameters, rate: u32) -> Result<(Track, usize), String> {
    let (codec, depth) = match parameters.codec_params() {
        VideoParametersCodec::H264 { sps, .. } => (Codec::H264, parameters::h264_depth(sps)),
        VideoParametersCodec::H265 { sps, .. } => (Codec::H265, parameters::h265_depth(sps)),
        other => return Err(format!("video codec {other:?} is not supported")),
    };
    let mut entry = parameters.mp4_sample_entry();
    if let Some((h, v)) = parameters.pixel_aspect_ratio()
        && let (Ok(h), Ok(v)) = (u16::try_from(h), u16::try_from(v))
        && h != v
    {
        entry = entry.with_aspect_ratio((h, v));
    }
    let (width, height) = parameters.pixel_dimensions();
    let track = Track {
        kind: TrackKind::Video,
        codec,
        timescale: rate,
        sample_entry: Bytes::from(entry.build().map_err(|e| e.to_string())?),
        rfc6381: Some(parameters.rfc6381_codec().to_owned()),
        size: (u16::try_from(width).unwrap_or(u16::MAX), u16::try_from(height).unwrap_or(u16::MAX)),
    };
    Ok((track, depth))
}

/// The codec that an audio encoding name of RFC 3551 or RFC 3640 stands for, if it is recorded.
pub(super) fn audio_codec(encoding_name: &str) -> Option<Codec> {
    match encoding_name {
        "mpeg4-generic" => Some(Codec::Aac),
        "pcmu" => Some(Codec::Pcmu),
        "pcma" => Some(Codec::Pcma),
        _ => None,
    }
}

/// The audio track. `Err` says what is not supported.
pub(super) fn audio(parameters: &AudioParameters, codec: Codec) -> Result<Track, String> {
    let rate = parameters.clock_rate();
    let sample_entry = match codec {
        Codec::Pcmu => g711(*b"ulaw", parameters.channels().get(), rate),
        Codec::Pcma => g711(*b"alaw", parameters.channels().get(), rate),
        _ => Bytes::from(parameters.mp4_sample_entry().build().map_err(|e| e.to_string())?),
    };
    Ok(Track {
        kind: TrackKind::Audio,
        codec,
        timescale: rate,
        sample_entry,
        rfc6381: parameters.rfc6381_codec().map(str::to_owned),
        size: (0, 0),
    })
}

/// An `AudioSampleEntry` without further boxes (ISO/IEC 14496-12 section 12.2.3); `samplesize` is 16 as that section wants,
/// and as QuickTime has it for these two codecs.
fn g711(kind: [u8; 4], channels: u16, rate: u32) -> Bytes {
    let mut b = Vec::with_capacity(36);
    b.extend_from_slice(&36u32.to_be_bytes());
    b.extend_from_slice(&kind);
    b.extend_from_slice(&[0; 6]);
    b.extend_from_slice(&1u16.to_be_bytes()); // data_reference_index
    b.extend_from_slice(&[0; 8]);
    b.extend_from_slice(&channels.to_be_bytes());
    b.extend_from_slice(&16u16.to_be_bytes());
    b.extend_from_slice(&[0; 4]);
    b.extend_from_slice(&(rate.min(0xffff) << 16).to_be_bytes());
    Bytes::from(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g711_entries_have_their_declared_length() {
        let e = g711(*b"alaw", 1, 8_000);
        assert_eq!(e.len(), 36);
        assert_eq!(&e[..8], b"\0\0\0\x24alaw");
        assert_eq!(&e[32..], &[0x1f, 0x40, 0, 0]);
    }
}
