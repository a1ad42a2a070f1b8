//! Rows of samples that are written at once.
//!
//! A fragment ends at a key frame, when it is as long as [`Limits`] allows, or at 1 MiB. One sample is held back, as its
//! duration is known only by the next one.

use std::time::Duration;

use bytes::Bytes;

use crate::types::SenderReport;

use super::reorder::Timed;

/// How much a fragment may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Longest time covered, by media time and by time since the first sample arrived.
    pub(super) length: Duration,
    /// Most coded data, bytes.
    pub(super) bytes: usize,
}

/// A video sample on the session's time line, ticks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VideoSample {
    pub(super) dts: i64,
    pub(super) duration: u32,
    pub(super) cts: i32,
    pub(super) key: bool,
    pub(super) leading: bool,
    pub(super) data: Bytes,
}

/// An audio frame on the session's time line, ticks of the audio clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AudioSample {
    pub(super) dts: i64,
    pub(super) duration: u32,
    pub(super) data: Bytes,
}

/// What becomes a fragment once it has a run. At least one video sample.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) video: Vec<VideoSample>,
    pub(super) audio: Vec<AudioSample>,
    /// Decode time at which the next piece begins (or what is best known of it).
    pub(super) end: i64,
    pub(super) lost_packets: u32,
    pub(super) dropped_frames: u32,
    pub(super) reports: Vec<SenderReport>,
    /// Ticks between the last two key frames; 0 before the second one.
    pub(super) group: i64,
}

impl Piece {
    /// Decode time of the first sample.
    pub(super) fn start(&self) -> i64 {
        self.video[0].dts
    }
}

/// Gathers samples.
#[derive(Debug)]
pub(super) struct Fragmenter {
    limits: Limits,
    rate: u32,
    audio_rate: u32,
    held: Option<VideoSample>,
    video: Vec<VideoSample>,
    audio: Vec<AudioSample>,
    bytes: usize,
    /// When the oldest sample in here arrived, ns since boot.
    oldest: Option<i64>,
    /// Where the last piece ended: nothing may begin before.
    floor: Option<i64>,
    usual: u32,
    last_key: Option<i64>,
    group: i64,
    lost_packets: u32,
    dropped_frames: u32,
    reports: Vec<SenderReport>,
}

/// Audio that waits for its pictures is bounded too, bytes.
const MAX_AUDIO: usize = 1 << 20;
/// Sender reports come every few seconds; more are noise.
const MAX_REPORTS: usize = 16;

impl Fragmenter {
    /// `rate` and `audio_rate` are ticks per second.
    pub(super) fn new(limits: Limits, rate: u32, audio_rate: u32) -> Self {
        Self {
            limits,
            rate,
            audio_rate: audio_rate.max(1),
            held: None,
            video: Vec::new(),
            audio: Vec::new(),
            bytes: 0,
            oldest: None,
            floor: None,
            usual: rate / 25,
            last_key: None,
            group: 0,
            lost_packets: 0,
            dropped_frames: 0,
            reports: Vec::new(),
        }
    }

    /// When what is in here must be given out, ns since boot, if anything is.
    pub(super) fn due(&self) -> Option<i64> {
        Some(self.oldest?.saturating_add(i64::try_from(self.limits.length.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// Goes on where another one with the same clocks has ended at `floor`.
    pub(super) fn take_over(&mut self, other: &mut Self, floor: Option<i64>) {
        self.floor = floor;
        self.usual = other.usual;
        self.audio = std::mem::take(&mut other.audio);
        self.lost_packets = other.lost_packets;
        self.dropped_frames = other.dropped_frames;
        self.reports = std::mem::take(&mut other.reports);
    }

    /// Counts lost packets for the next piece.
    pub(super) fn lost(&mut self, packets: u32) {
        self.lost_packets = self.lost_packets.saturating_add(packets);
    }

    /// Counts a dropped frame for the next piece.
    pub(super) fn dropped(&mut self, frames: u32) {
        self.dropped_frames = self.dropped_frames.saturating_add(frames);
    }

    /// Keeps a sender report for the next piece.
    pub(super) fn report(&mut self, report: SenderReport) {
        if self.reports.len() < MAX_REPORTS {
            self.reports.push(report);
        }
    }

    /// Adds an audio frame.
    pub(super) fn push_audio(&mut self, sample: AudioSample) {
        if self.audio.iter().map(|s| s.data.len()).sum::<usize>() > MAX_AUDIO {
            self.audio.clear();
        }
        self.audio.push(sample);
    }

    /// Adds a picture; gives out the piece that it ends.
    pub(super) fn push(&mut self, timed: Timed) -> Option<Piece> {
        let Timed { picture, dts } = timed;
        let after_held = self.held.as_ref().map(|h| h.dts.saturating_add(1));
        let dts = dts.max(self.floor.unwrap_or(i64::MIN)).max(after_held.unwrap_or(i64::MIN));
        self.settle_held(dts);
        let piece = if self.ends_before(dts, &picture) { Some(self.take(dts)) } else { None };
        if picture.key {
            if let Some(last) = self.last_key {
                self.group = dts.saturating_sub(last);
            }
            self.last_key = Some(dts);
        }
        self.oldest.get_or_insert(picture.arrival);
        self.bytes += picture.data.len();
        let cts = picture.pts.saturating_sub(dts);
        self.held = Some(VideoSample {
            dts,
            duration: 0,
            cts: i32::try_from(cts).unwrap_or(if cts < 0 { i32::MIN } else { i32::MAX }),
            key: picture.key,
            leading: picture.leading,
            data: picture.data,
        });
        piece
    }

    /// The held sample lasts until `next`.
    fn settle_held(&mut self, next: i64) {
        let Some(mut held) = self.held.take() else { return };
        held.duration = u32::try_from(next.saturating_sub(held.dts).max(1)).unwrap_or(u32::MAX);
        self.usual = held.duration;
        self.video.push(held);
    }

    fn ends_before(&self, dts: i64, next: &super::reorder::Picture) -> bool {
        let (Some(first), Some(oldest)) = (self.video.first(), self.oldest) else { return false };
        let age = next.arrival.saturating_sub(oldest);
        next.key
            || dts.saturating_sub(first.dts) >= self.cut_after()
            || self.bytes.saturating_add(next.data.len()) > self.limits.bytes
            || age >= i64::try_from(self.limits.length.as_nanos()).unwrap_or(i64::MAX)
    }

    /// Ticks after which a piece ends: a group of pictures is cut into equal pieces, as few as the limit allows.
    fn cut_after(&self) -> i64 {
        let limit =
            super::clockmap::ns_to_ticks(i64::try_from(self.limits.length.as_nanos()).unwrap_or(i64::MAX), self.rate);
        if self.group <= limit || limit <= 0 {
            return limit;
        }
        let pieces = self.group.saturating_add(limit - 1) / limit;
        self.group.saturating_add(pieces - 1) / pieces
    }

    /// Gives out all there is because it is due, or because nothing more will come; the last sample gets the usual duration.
    pub(super) fn flush(&mut self) -> Option<Piece> {
        let held = self.held.as_ref()?;
        let end = held.dts.saturating_add(i64::from(self.usual.max(1)));
        self.finish(end)
    }

    /// Gives out all there is; what comes next begins at `end`.
    pub(super) fn finish(&mut self, end: i64) -> Option<Piece> {
        let held = self.held.as_ref()?;
        let end = end.max(held.dts.saturating_add(1));
        let usual = self.usual;
        self.settle_held(end);
        self.usual = usual; // an estimate must not become the rule
        Some(self.take(end))
    }

    fn take(&mut self, end: i64) -> Piece {
        let video = std::mem::take(&mut self.video);
        self.video.reserve(video.len());
        self.bytes = 0;
        self.oldest = None;
        self.floor = Some(end);
        let (rate, audio_rate) = (i128::from(self.rate), i128::from(self.audio_rate));
        let n = self.audio.partition_point(|a| i128::from(a.dts) * rate < i128::from(end) * audio_rate);
        let rest = self.audio.split_off(n);
        let mut audio = std::mem::replace(&mut self.audio, rest);
        // Within one fragment durations are all that tells a reader when the next sample begins.
        for i in 1..audio.len() {
            audio[i - 1].duration = u32::try_from(audio[i].dts - audio[i - 1].dts).unwrap_or(audio[i - 1].duration);
        }
        Piece {
            video,
            audio,
            end,
            lost_packets: std::mem::take(&mut self.lost_packets),
            dropped_frames: std::mem::take(&mut self.dropped_frames),
            reports: std::mem::take(&mut self.reports),
            group: self.group,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::reorder::Picture, *};

    const RATE: u32 = 90_000;
    const LIMITS: Limits = Limits { length: Duration::from_millis(1_900), bytes: 1 << 20 };

    fn timed(n: i64, interval: i64, key: bool, len: usize) -> Timed {
        let pts = n * interval;
        let arrival = super::super::clockmap::ticks_to_ns(pts, RATE);
        let data = Bytes::from(vec![0; len]);
        Timed { picture: Picture { pts, key, leading: false, arrival, data }, dts: pts }
    }

    fn check(pieces: &[Piece]) {
        for p in pieces {
            assert!(!p.video.is_empty());
            for w in p.video.windows(2) {
                assert_eq!(w[0].dts + i64::from(w[0].duration), w[1].dts);
            }
            let last = p.video.last().unwrap();
            assert_eq!(last.dts + i64::from(last.duration), p.end);
            assert!(p.video[1..].iter().all(|s| !s.key), "a key frame begins a fragment");
        }
        assert!(pieces.windows(2).all(|w| w[0].end <= w[1].start()));
    }

    #[test]
    fn groups_are_cut_evenly() {
        let mut f = Fragmenter::new(LIMITS, RATE, 0);
        let mut pieces: Vec<Piece> = (0..200).filter_map(|n| f.push(timed(n, 4_500, n % 40 == 0, 1_000))).collect();
        pieces.extend(f.flush());
        check(&pieces);
        assert_eq!(pieces.iter().map(|p| p.video.len()).sum::<usize>(), 200);
        assert!(pieces[2..].iter().all(|p| p.video.len() == 20), "2 s groups become fragments of 1 s");
    }

    #[test]
    fn a_stall_hands_over_what_there_is() {
        let mut f = Fragmenter::new(LIMITS, RATE, 0);
        assert!(f.due().is_none());
        assert!(f.push(timed(0, 4_500, true, 10)).is_none());
        assert!(f.push(timed(1, 4_500, false, 10)).is_none());
        assert_eq!(f.due(), Some(1_900_000_000));
        let p = f.flush().unwrap();
        assert_eq!((p.video.len(), p.end), (2, 9_000));
        assert!(f.flush().is_none() && f.due().is_none());
        // The next one comes a little early by its time stamp: it does not overlap, and is shown when it wants.
        let mut early = timed(2, 4_500, false, 10);
        early.dts -= 300;
        early.picture.pts -= 300;
        assert!(f.push(early).is_none());
        let p = f.flush().unwrap();
        assert_eq!((p.start(), p.video[0].cts), (9_000, -300));
    }

    #[test]
    fn audio_goes_with_its_time() {
        let mut f = Fragmenter::new(LIMITS, RATE, 8_000);
        for k in 0..20 {
            f.push_audio(AudioSample { dts: k * 400, duration: 400, data: Bytes::from_static(b"x") });
        }
        for n in 0..10 {
            assert!(f.push(timed(n, 4_500, n == 0, 10)).is_none());
        }
        let p = f.finish(45_000).unwrap();
        assert_eq!(p.audio.len(), 10, "half a second of 50 ms frames");
        assert_eq!(f.audio.len(), 10);
    }

    proptest! {
        #[test]
        fn bounds_hold_for_any_stream(
            frames in proptest::collection::vec((1i64..200_000, any::<bool>(), 0usize..400_000), 1..120),
        ) {
            let mut f = Fragmenter::new(LIMITS, RATE, 0);
            let (mut t, mut pieces) = (0, Vec::new());
            for (step, key, len) in &frames {
                t += step;
                let mut x = timed(1, t, *key, *len);
                x.picture.arrival = super::super::clockmap::ticks_to_ns(t, RATE);
                while f.due().is_some_and(|d| d <= x.picture.arrival) {
                    pieces.extend(f.flush());
                }
                pieces.extend(f.push(x));
            }
            pieces.extend(f.flush());
            check(&pieces);
            prop_assert_eq!(pieces.iter().map(|p| p.video.len()).sum::<usize>(), frames.len());
            for p in &pieces {
                let bytes: usize = p.video.iter().map(|s| s.data.len()).sum();
                prop_assert!(bytes <= LIMITS.bytes || p.video.len() == 1);
                let last = p.video.last().unwrap();
                prop_assert!(last.dts - p.start() < 1_900 * 90);
            }
        }
    }
}
