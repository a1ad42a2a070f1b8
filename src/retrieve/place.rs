//! Putting runs one after the other on one time line.
//!
//! The decode times of every run begin at zero. Where runs are played or copied as one, those of the later ones are moved so
//! that they go on where the earlier ones end: the heads of fragments are rewritten on their way out, their coded data never.

use std::{fs::File, ops::Range, os::unix::fs::FileExt as _, path::Path};

use super::{
    RetrieveError,
    library::{Footage, Library},
    moof::{self, MoofError, Parsed, TrackTimes},
};
use crate::types::{SegmentId, Track, wire::SegmentPart};

/// Fragments looked at to find where each track of a run begins and ends: one may hold no sound.
const LOOK: usize = 8;
/// Bytes of a fragment's head that are read at first; nearly always enough.
const HEAD: usize = 4096;
/// No head is longer: 65,536 samples.
const MAX_HEAD: u64 = 2 << 20;

/// How far the tracks of a run move, in their own ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Shift {
    pub(super) video: i64,
    audio: i64,
}

impl Shift {
    /// All tracks by the same time, which is that of `video` ticks of the video track; for sound it is rounded down.
    pub(super) fn by_video(tracks: &[Track], video: i64) -> Self {
        let audio = (i128::from(video) * scale(tracks, 1)).div_euclid(scale(tracks, 0));
        Self { video, audio: clamp(audio) }
    }

    pub(super) fn of(self, track: u32) -> i64 {
        if track == 1 { self.video } else { self.audio }
    }
}

/// A part of a run without a hole in it.
#[derive(Debug)]
pub(super) struct Stretch {
    /// Which of the footage's segments.
    pub(super) segments: Range<usize>,
    /// Where its tracks begin, by track.
    first: Vec<TrackTimes>,
    /// Where its tracks end, by track.
    last: Vec<TrackTimes>,
}

/// Cuts footage into stretches and finds where their tracks begin and end, by the heads of their first and last fragments.
pub(super) fn stretches(library: &Library, footage: &Footage) -> Result<Vec<Stretch>, RetrieveError> {
    let segments = &footage.fragments.segments;
    let mut out = Vec::new();
    let mut from = 0;
    for to in 1..=segments.len() {
        let goes_on = segments.get(to - 1).zip(segments.get(to));
        if goes_on.is_some_and(|(a, b)| a.run == b.run && a.seq.checked_add(1) == Some(b.seq)) {
            continue;
        }
        let (Some(a), Some(b), Some(table)) = (segments.get(from), segments.get(to - 1), footage.tables.get(from))
        else {
            break;
        };
        let tracks = table.run.tracks.len();
        out.push(Stretch {
            segments: from..to,
            first: see(library, a, tracks, false)?,
            last: see(library, b, tracks, true)?,
        });
        from = to;
    }
    Ok(out)
}

/// The times of each track in the first (or last) fragment that has it.
fn see(library: &Library, part: &SegmentPart, tracks: usize, last: bool) -> Result<Vec<TrackTimes>, RetrieveError> {
    let segment = library.open(SegmentId { stream: part.stream, run: part.run, seq: part.seq })?;
    let mut seen: Vec<TrackTimes> = Vec::new();
    let count = part.fragments.len();
    for n in 0..count.min(LOOK) {
        let Some(f) = part.fragments.get(if last { count - 1 - n } else { n }) else { break };
        let (head, _) = read_head(&segment.file, &segment.path, f.offset, f.len)?;
        for times in head.tracks {
            if seen.iter().all(|s| s.track != times.track) {
                seen.push(times);
            }
        }
        if seen.len() >= tracks {
            break;
        }
    }
    Ok(seen)
}

/// Where the tracks of what has been placed so far end: video first, ticks of the tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Ends([u64; 2]);

impl Ends {
    /// The end of the pictures.
    pub(super) fn video(self) -> u64 {
        self.0[0]
    }

    /// Places a stretch with these tracks behind what there is: by the least shift with which no track goes back, and sound
    /// and pictures keep their distance.
    pub(super) fn place(&mut self, tracks: &[Track], stretch: &Stretch) -> Shift {
        let end_of = |track: u32| self.0[usize::from(track != 1)];
        let video = stretch.first.iter().map(|t| {
            let want = i128::from(end_of(t.track)) - i128::from(t.first);
            // Ticks of this track in ticks of the video, rounded up. The sound's share is rounded down again, which is
            // still enough: what was wanted is a whole number of its ticks.
            -((-want * scale(tracks, 0)).div_euclid(scale(tracks, usize::from(t.track != 1))))
        });
        let shift = Shift::by_video(tracks, clamp(video.max().unwrap_or(0)));
        for t in &stretch.last {
            let end = &mut self.0[usize::from(t.track != 1)];
            *end = (*end).max(t.end.saturating_add_signed(shift.of(t.track)));
        }
        shift
    }

    /// The same ends in ticks of other tracks, rounded up.
    pub(super) fn rescale(&mut self, from: &[Track], to: &[Track]) {
        for (n, end) in self.0.iter_mut().enumerate() {
            let ticks = -((-i128::from(*end) * scale(to, n)).div_euclid(scale(from, n)));
            *end = u64::try_from(ticks).unwrap_or(u64::MAX);
        }
    }
}

/// How far, in ticks of their video, the segments of the footage move so that all of it plays from zero on as one.
pub(super) fn shifts(library: &Library, footage: &Footage) -> Result<Vec<i64>, RetrieveError> {
    let mut out = Vec::with_capacity(footage.tables.len());
    let mut ends = Ends::default();
    let mut before: Option<&[Track]> = None;
    for stretch in stretches(library, footage)? {
        let Some(table) = footage.tables.get(stretch.segments.start) else { break };
        let tracks = table.run.tracks.as_slice();
        if let Some(before) = before {
            ends.rescale(before, tracks);
        }
        before = Some(tracks);
        let shift = ends.place(tracks, &stretch);
        out.extend(stretch.segments.map(|_| shift.video));
    }
    Ok(out)
}

/// Reads and understands the head of the fragment at `at`, `len` bytes long altogether.
pub(super) fn read_head(file: &File, path: &Path, at: u64, len: u64) -> Result<(moof::Head, Vec<u8>), RetrieveError> {
    let bad = |source| RetrieveError::Fragment { path: path.to_owned(), at, source };
    let mut bytes = vec![0; HEAD.min(usize::try_from(len).unwrap_or(HEAD))];
    let mut have = 0;
    loop {
        file.read_exact_at(&mut bytes[have..], at.saturating_add(have as u64))
            .map_err(|source| RetrieveError::Read { path: path.to_owned(), source })?;
        match moof::parse(&bytes).map_err(bad)? {
            Parsed::Head(head) if (head.len as u64).checked_add(head.payload) == Some(len) => {
                bytes.truncate(head.len);
                return Ok((head, bytes));
            }
            Parsed::Head(_) => return Err(bad(MoofError::Broken("it is not as long as the file's table says"))),
            Parsed::Need(more) if more > bytes.len() as u64 && more <= len.min(MAX_HEAD) => {
                have = bytes.len();
                bytes.resize(usize::try_from(more).unwrap_or(usize::MAX), 0);
            }
            Parsed::Need(_) => return Err(bad(MoofError::Broken("its head does not end"))),
        }
    }
}

fn scale(tracks: &[Track], at: usize) -> i128 {
    i128::from(tracks.get(at).map_or(1, |t| t.timescale.max(1)))
}

fn clamp(v: i128) -> i64 {
    i64::try_from(v).unwrap_or(if v < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        retrieve::testing,
        types::{Codec, TrackKind},
    };

    fn tracks() -> Vec<Track> {
        let video = testing::run(1).tracks.remove(0);
        let audio = Track { kind: TrackKind::Audio, codec: Codec::Pcma, timescale: 8000, ..video.clone() };
        vec![video, audio]
    }

    fn stretch(video: (u64, u64), audio: Option<(u64, u64)>) -> Stretch {
        let times = |track, (first, end)| moof::times(track, first, end);
        let all: Vec<_> =
            [(1, Some(video)), (2, audio)].into_iter().filter_map(|(t, at)| Some(times(t, at?))).collect();
        Stretch { segments: 0..1, first: all.clone(), last: all }
    }

    #[test]
    fn the_first_stretch_begins_at_zero() {
        let mut ends = Ends::default();
        // Sound begins a tenth of a second before the pictures.
        let shift = ends.place(&tracks(), &stretch((900_000, 1_080_000), Some((79_200, 96_000))));
        assert_eq!((shift.of(1), shift.of(2)), (-891_000, -79_200));
        assert_eq!(ends, Ends([189_000, 16_800]));
    }

    #[test]
    fn no_track_goes_back() {
        let mut ends = Ends([189_000, 17_000]);
        // The sound before outlasts the pictures by 2250 ticks of theirs.
        let shift = ends.place(&tracks(), &stretch((0, 90_000), Some((0, 8000))));
        assert_eq!((shift.of(1), shift.of(2)), (191_250, 17_000));
        assert_eq!(ends, Ends([281_250, 25_000]));
    }

    #[test]
    fn a_run_without_sound_is_placed_by_its_pictures() {
        let mut ends = Ends([189_000, 17_000]);
        let shift = ends.place(&tracks(), &stretch((500, 90_500), None));
        assert_eq!(shift.of(1), 188_500);
        assert_eq!(ends, Ends([279_000, 17_000]));
    }

    #[test]
    fn ends_keep_their_time_in_other_ticks() {
        let mut ends = Ends([90_001, 8000]);
        let mut to = tracks();
        (to[0].timescale, to[1].timescale) = (1000, 16_000);
        ends.rescale(&tracks(), &to);
        assert_eq!(ends, Ends([1001, 16_000]));
    }

    #[test]
    fn mad_times_are_survived() {
        let mut ends = Ends([u64::MAX, u64::MAX]);
        let mut odd = tracks();
        (odd[0].timescale, odd[1].timescale) = (u32::MAX, 1);
        let _ = ends.place(&odd, &stretch((0, u64::MAX), Some((u64::MAX, 0))));
        ends.rescale(&odd, &tracks());
    }
}
