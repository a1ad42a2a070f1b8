//! HTTP Live Streaming playlists (RFC 8216) over the very files on disk: fragmented MP4, byte ranges, nothing repackaged.
//!
//! The decode times of every run begin at zero, and players that are built on libavformat lose pictures where decode times go
//! back, discontinuity or not. So each URI says by how much the decode times are to be moved on their way out
//! (`?shift=TICKS`), and the whole playlist is one time line from zero on. A change of parameters remains a change:
//! libavformat (ffmpeg, mpv) does not follow it within one playlist, browsers and Apple's players do.

use std::fmt::Write as _;

use crate::types::{
    Span, StreamKind,
    wire::{FragmentPart, Fragments, SegmentPart},
};

/// Fragments are put together into parts of about this many seconds, each beginning with a key frame. A group of
/// pictures that is longer makes a longer part.
const PART_SECONDS: f64 = 6.0;

/// Least target duration of a playlist that still grows: it must not change between reloads (RFC 8216 section 6.2.1),
/// so it leaves room for parts that are longer than those seen so far.
const GROWING_TARGET: u64 = 8;

/// From where a playlist stands (`…/hls/{camera}/`) to the segments.
const SEGMENTS: &str = "../../segments";

/// One media segment in the words of RFC 8216: neighbouring fragments of one file.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Part<'a> {
    file: &'a SegmentPart,
    /// Which of the footage's segments that is.
    segment: usize,
    first: &'a FragmentPart,
    /// Bytes from the first fragment on.
    len: u64,
    /// Seconds, by decode times.
    seconds: f64,
    /// Wall time covered.
    span: Span,
    /// Whether its decode times do not go on from the part before.
    discontinuity: bool,
}

/// The media playlist of the footage, or nothing if there is none that can be listed yet. `complete` says that the span
/// asked for can bring no further footage: the list is then a VOD with its end marked, else an event that grows at its
/// end, in which the unfinished part of an open file is left out until it is whole.
///
/// `shifts` says for each segment how far its decode times move, in ticks of its video.
///
/// Parts of the same span are always cut alike, so a reloaded playlist begins with what it held before.
pub fn media(footage: &Fragments, shifts: &[i64], complete: bool) -> Option<String> {
    let mut parts = parts(footage);
    if !complete && parts.last().is_some_and(|p| p.file.open) {
        parts.pop();
    }
    if parts.is_empty() {
        return None;
    }
    let longest = parts.iter().map(|p| p.seconds).fold(1.0, f64::max).round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 1; a cast of f64 saturates")]
    let longest = longest as u64;
    let target = if complete { longest } else { longest.max(GROWING_TARGET) };

    let mut text = String::with_capacity(256 + parts.len() * 200);
    // A string takes all that is written to it, so the results of `write!` need no look.
    let _ = write!(
        text,
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:{}\n",
        if complete { "VOD" } else { "EVENT" }
    );
    if parts.iter().all(|p| p.first.key) {
        text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    let mut run = None;
    for part in &parts {
        let file = part.file;
        let shift = shifts.get(part.segment).copied().unwrap_or(0);
        let uri = format!("{SEGMENTS}/{}/{}/{}.mp4?shift={shift}", file.stream, file.run, file.seq);
        if part.discontinuity {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if run != Some(file.run) {
            // The header is the same in all files of a run.
            let _ = writeln!(text, "#EXT-X-MAP:URI=\"{uri}\",BYTERANGE=\"{}@0\"", file.init_len);
            run = Some(file.run);
        }
        let _ = write!(
            text,
            "#EXT-X-PROGRAM-DATE-TIME:{}\n#EXTINF:{:.6},\n#EXT-X-BYTERANGE:{}@{}\n{uri}\n",
            part.span.start, part.seconds, part.len, part.first.offset
        );
    }
    if complete {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    Some(text)
}

/// The multivariant playlist over the streams that have footage in the span, each with the URI of its media playlist
/// (`main.m3u8`, `sub.m3u8`) and the same query. Nothing if none has any.
pub fn multivariant(streams: &[Fragments], query: &str) -> Option<String> {
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    let mut any = false;
    for footage in streams {
        let parts = parts(footage);
        let Some((peak, average)) = rates(&parts) else { continue };
        any = true;
        let _ = write!(text, "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average}");
        let codecs = codecs(&footage.segments);
        if !codecs.is_empty() {
            let _ = write!(text, ",CODECS=\"{codecs}\"");
        }
        let size = footage.segments.iter().map(|s| s.size).max_by_key(|(w, h)| u32::from(*w) * u32::from(*h));
        if let Some((w, h)) = size.filter(|(w, h)| *w > 0 && *h > 0) {
            let _ = write!(text, ",RESOLUTION={w}x{h}");
        }
        let _ = write!(text, "\n{}.m3u8", footage.stream);
        if !query.is_empty() {
            let _ = write!(text, "?{query}");
        }
        text.push('\n');
    }
    any.then_some(text)
}

/// Whether a name is that of a playlist: `index.m3u8` is the multivariant one, `main.m3u8` and `sub.m3u8` the media
/// playlists.
pub fn file_name(name: &str) -> Option<Option<StreamKind>> {
    let stem = name.strip_suffix(".m3u8")?;
    if stem == "index" { Some(None) } else { stem.parse().ok().map(Some) }
}

/// Peak and mean rate of the parts in bits per second, at least 1.
fn rates(parts: &[Part<'_>]) -> Option<(u64, u64)> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "never negative; a cast of f64 saturates"
    )]
    let rate = |bytes: u64, seconds: f64| (bytes as f64 * 8.0 / seconds).ceil() as u64;
    // A part of a few pictures says nothing of the rate.
    let peak = parts.iter().map(|p| rate(p.len, p.seconds.max(1.0))).max()?;
    let bytes = parts.iter().fold(0u64, |sum, p| sum.saturating_add(p.len));
    let seconds: f64 = parts.iter().map(|p| p.seconds).sum();
    let average = rate(bytes, seconds.max(1.0)).max(1);
    Some((peak.max(average), average))
}

/// RFC 6381 names of all codecs, each once, in order of appearance.
fn codecs(segments: &[SegmentPart]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for segment in segments {
        let list = segment.mime.split_once("codecs=\"").and_then(|(_, rest)| rest.split('"').next());
        for name in list.unwrap_or_default().split(',').map(str::trim) {
            // Names come out of a file on disk: nothing that would end the attribute or the line goes through.
            let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
            if !name.is_empty() && plain && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names.join(",")
}

/// Cuts footage into parts: at key frames, once a part would pass [`PART_SECONDS`] with the group of pictures that
/// follows, and at every change of file.
fn parts(footage: &Fragments) -> Vec<Part<'_>> {
    let mut out: Vec<Part<'_>> = Vec::new();
    let mut before: Option<&SegmentPart> = None;
    let files: Vec<(usize, &SegmentPart)> =
        footage.segments.iter().enumerate().filter(|(_, s)| !s.fragments.is_empty()).collect();
    for (at, &(segment, file)) in files.iter().enumerate() {
        // Decode times go on only from a file to the very next one of its run.
        let follows = |a: &SegmentPart, b: &SegmentPart| a.run == b.run && a.seq.checked_add(1) == Some(b.seq);
        let next = files.get(at + 1).filter(|(_, next)| follows(file, next));
        let next_dts = next.and_then(|(_, n)| n.fragments.first()).map(|f| f.dts);
        let mut joins = before.is_none_or(|b| follows(b, file));
        for (gop, gop_seconds) in gops(file, next_dts) {
            let len = gop.iter().fold(0u64, |sum, f| sum.saturating_add(f.len));
            let (Some(first), Some(last)) = (gop.first(), gop.last()) else { continue };
            let grows = out.last_mut().filter(|p| {
                p.segment == segment
                    && p.first.offset.checked_add(p.len) == Some(first.offset)
                    && p.seconds + gop_seconds <= PART_SECONDS
            });
            if let Some(part) = grows {
                part.len = part.len.saturating_add(len);
                part.seconds += gop_seconds;
                part.span.end = last.span.end;
            } else {
                out.push(Part {
                    file,
                    segment,
                    first,
                    len,
                    seconds: gop_seconds,
                    span: Span { start: first.span.start, end: last.span.end },
                    discontinuity: !joins,
                });
            }
            joins = true;
        }
        before = Some(file);
    }
    out
}

/// The file's groups of pictures (neighbouring fragments of which only the first begins with a key frame) with their
/// length in seconds, by decode times where the next one is known, else by wall time.
fn gops(file: &SegmentPart, next_dts: Option<u64>) -> impl Iterator<Item = (&[FragmentPart], f64)> {
    let mut rest = file.fragments.as_slice();
    let scale = f64::from(file.timescale.max(1));
    std::iter::from_fn(move || {
        let first = rest.first()?;
        let mut n = 1;
        while let (Some(last), Some(next)) = (rest.get(n - 1), rest.get(n)) {
            // Bytes between fragments would be sent as part of the range, so a hole begins a new group.
            if next.key || last.offset.checked_add(last.len) != Some(next.offset) {
                break;
            }
            n += 1;
        }
        let (gop, after) = rest.split_at(n);
        rest = after;
        let end = after.first().map(|f| f.dts).or(next_dts).filter(|end| *end > first.dts);
        let seconds = match (end, gop.last()) {
            (Some(end), _) => (end - first.dts) as f64 / scale,
            (None, Some(last)) => {
                last.dts.saturating_sub(first.dts) as f64 / scale + last.span.len_ns().max(0) as f64 / 1e9
            }
            (None, None) => 0.0,
        };
        Some((gop, seconds))
    })
}

#[cfg(test)]
#[path = "hls_tests.rs"]
mod tests;
