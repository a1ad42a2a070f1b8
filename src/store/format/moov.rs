//! Reading `moov` back: the tracks of a run.

use bytes::Bytes;

use super::cursor::{Cursor, Parse};
use crate::types::{Codec, Track, TrackKind};

/// The tracks that the body of a `moov` describes, in file order; `rfc6381` is left to the head box.
///
/// Accepts what [`super::init_segment`] writes and nothing that could not be written back equal: one video track, then at most
/// one audio track, one sample entry each.
pub(super) fn parse_moov(mut moov: Cursor<'_>) -> Parse<Vec<Track>> {
    let mut tracks = Vec::new();
    while let Some(b) = moov.next_box()? {
        if b.kind == *b"trak" {
            if tracks.len() == 2 {
                return Err("more than two tracks");
            }
            tracks.push(parse_trak(b.body, super::init::track_id(tracks.len()))?);
        }
    }
    match tracks.as_slice() {
        [v] | [v, _] if v.kind != TrackKind::Video => Err("the first track is not video"),
        [_, a] if a.kind != TrackKind::Audio => Err("the second track is not audio"),
        [] => Err("no track"),
        _ => Ok(tracks),
    }
}

fn parse_trak(trak: Cursor<'_>, expected_id: u32) -> Parse<Track> {
    let mut tkhd = trak.find(*b"tkhd", "no tkhd")?;
    let (version, _) = tkhd.version_flags()?;
    tkhd.skip(if version == 1 { 16 } else { 8 })?;
    if tkhd.u32()? != expected_id {
        return Err("unexpected track id");
    }
    tkhd.skip(4 + if version == 1 { 8 } else { 4 } + 8 + 8 + 36)?;
    let size = ((tkhd.u32()? >> 16) as u16, (tkhd.u32()? >> 16) as u16);

    let mdia = trak.find(*b"mdia", "no mdia")?;
    let mut mdhd = mdia.find(*b"mdhd", "no mdhd")?;
    let (version, _) = mdhd.version_flags()?;
    mdhd.skip(if version == 1 { 16 } else { 8 })?;
    let timescale = mdhd.u32()?;
    if timescale == 0 {
        return Err("a time scale of zero");
    }

    let stbl = mdia.find(*b"minf", "no minf")?.find(*b"stbl", "no stbl")?;
    let mut stsd = stbl.find(*b"stsd", "no stsd")?;
    stsd.version_flags()?;
    if stsd.u32()? != 1 {
        return Err("not exactly one sample entry");
    }
    let entry = stsd.0;
    let Some(first) = stsd.next_box()? else { return Err("no sample entry") };
    if !stsd.0.is_empty() {
        return Err("bytes after the sample entry");
    }
    let (codec, kind) = match &first.kind {
        b"avc1" => (Codec::H264, TrackKind::Video),
        b"hvc1" => (Codec::H265, TrackKind::Video),
        b"mp4a" => (Codec::Aac, TrackKind::Audio),
        b"ulaw" => (Codec::Pcmu, TrackKind::Audio),
        b"alaw" => (Codec::Pcma, TrackKind::Audio),
        _ => return Err("a codec that this version does not know"),
    };
    Ok(Track { kind, codec, timescale, sample_entry: Bytes::copy_from_slice(entry), rfc6381: None, size })
}
