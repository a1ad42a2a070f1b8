//! From pieces to runs on a volume.
//!
//! Lives as long as its stream's task, across sessions: it knows why nothing is recorded and since when, and what
//! correction keeps the timeline from overlapping itself.

use std::{sync::Arc, time::Duration};

use uuid::{NoContext, Timestamp, Uuid};

use crate::{
    store::{Refused, SharedFootage, StoreEvent},
    types::{
        Cause, CauseKind, Fragment, GapBefore, RecorderId, Run, RunId, Sample, SharedLeaf, Span, StreamKey, Track,
        VolumeName, WallNs,
    },
};

use super::{
    cause,
    clockmap::{ClockMap, ns_to_ticks, ticks_to_ns},
    fragmenter::Piece,
    status::Cell,
};

/// Why a run ends.
#[derive(Debug)]
pub(super) enum End {
    /// The next one adjoins it: other parameters, or the camera's clock jumped.
    Adjoin,
    /// Our clock was stepped by so many ns.
    ClockStep(i64),
    /// Nothing follows for now.
    Trouble(Cause),
}

/// Records one stream.
pub(super) struct Recorder {
    enabled: bool,
    footage: SharedFootage,
    site: String,
    machine: RecorderId,
    stream: StreamKey,
    status: Arc<Cell>,
    segment: i64,
    retry: Duration,
    current: Option<Current>,
    /// Why nothing is recorded, as the store has been told.
    gap: Option<GapBefore>,
    /// End of the run that the next one adjoins.
    adjoins: Option<WallNs>,
    correction: i64,
    /// Latest possible (uncorrected) time of the first picture after the mapping was begun anew.
    first_arrival: Option<WallNs>,
    /// A volume that has just refused, and until when (ns since boot) it is not asked again.
    avoid: Option<(VolumeName, i64)>,
    /// A volume came: the camera's older recording may have come with it.
    volumes_came: bool,
}

struct Current {
    run: Arc<Run>,
    volume: VolumeName,
    /// Where a copy goes.
    copy: Option<VolumeName>,
    /// Ticks of the session's time line at decode time 0.
    origin: i64,
    number: u32,
    seq: u32,
    /// Uncorrected wall time about which the segment is to end.
    cut: i64,
    /// Leading pictures of the run's first key frame cannot be decoded.
    skip_leading: bool,
    end: WallNs,
}

impl Recorder {
    /// Whose stream this is.
    pub(super) fn stream(&self) -> &StreamKey {
        &self.stream
    }

    /// For a stream, recorded or only watched.
    pub(super) fn new(env: &super::Env, stream: StreamKey, status: Arc<Cell>, enabled: bool) -> Self {
        let gap = if enabled { env.footage.pending_gap(stream.id) } else { None };
        Self {
            enabled,
            footage: env.footage.clone(),
            site: env.site.clone(),
            machine: env.recorder.clone(),
            stream,
            status,
            segment: i64::try_from(env.settings.segment.as_nanos()).unwrap_or(i64::MAX).max(1),
            retry: env.settings.volume_retry,
            current: None,
            gap,
            adjoins: None,
            correction: 0,
            first_arrival: None,
            avoid: None,
            volumes_came: false,
        }
    }

    /// Whether anything is to be recorded.
    pub(super) fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// The site wants it recorded, or no longer.
    pub(super) fn enable(&mut self, enabled: bool) {
        if enabled && !self.enabled && self.gap.is_none() {
            self.gap = self.footage.pending_gap(self.stream.id);
        }
        self.enabled = enabled;
    }

    /// What the runs of live taps have in common with recorded ones.
    pub(super) fn live_run(&self, tracks: Vec<Track>, start: WallNs) -> Run {
        self.new_run(tracks, start, None)
    }

    /// The mapping has been begun anew; the first picture arrived at `arrival`.
    pub(super) fn fresh(&mut self, arrival: WallNs) {
        self.first_arrival = Some(arrival);
    }

    /// Says why nothing is recorded. The first cause of a gap stays its cause.
    pub(super) fn trouble(&mut self, since: WallNs, cause: Cause) {
        if !self.enabled {
            return;
        }
        self.adjoins = None;
        if is_room(&cause) {
            self.status.rare().cause = Some(cause.clone());
        }
        let gap = match &self.gap {
            None => GapBefore { since, cause },
            Some(gap) => {
                let mut gap = gap.clone();
                if gap.cause.kind != cause.kind {
                    cause::and_later(&mut gap.cause, &cause);
                }
                gap
            }
        };
        if self.gap.as_ref() != Some(&gap) {
            self.footage.set_gap(self.stream.id, Some(gap.clone()));
            self.gap = Some(gap);
        }
    }

    /// Ends the present run, if there is one.
    pub(super) fn end(&mut self, end: End, now: WallNs) {
        let ended = self.current.take();
        if let Some(c) = &ended {
            for volume in std::iter::once(&c.volume).chain(&c.copy) {
                self.footage.end_run(volume, c.run.id);
            }
            self.status.rare().volume = None;
        }
        let end_of_run = ended.map(|c| c.end);
        let since = end_of_run.unwrap_or(now);
        match end {
            End::Adjoin => self.adjoins = end_of_run,
            End::ClockStep(ns) if ns > 0 => {
                self.trouble(since, Cause::new(CauseKind::ClockStep, format!("{:+.1} s", ns as f64 / 1e9)));
            }
            // The correction of the next run makes it adjoin.
            End::ClockStep(_) => self.adjoins = None,
            End::Trouble(cause) => self.trouble(since, cause),
        }
    }

    /// What the store says. Ends a run whose volume has failed.
    pub(super) fn event(&mut self, event: &StoreEvent, now: i64) {
        match event {
            StoreEvent::VolumeFailed { volume, cause } => {
                if let Some(c) = &mut self.current
                    && c.copy.as_ref() == Some(volume)
                {
                    c.copy = None;
                }
                if self.go_on_with_copy(volume, now) {
                    return;
                }
                if let Some(c) = self.current.take_if(|c| c.volume == *volume) {
                    self.avoid(volume.clone(), now);
                    self.status.rare().volume = None;
                    self.trouble(c.end, cause.clone());
                }
            }
            StoreEvent::VolumeBack(volume) => {
                self.avoid.take_if(|(v, _)| v == volume);
                self.volumes_came = true;
            }
        }
    }

    /// If the run was on that volume and has a copy elsewhere, that one is the run from now on.
    fn go_on_with_copy(&mut self, failed: &VolumeName, now: i64) -> bool {
        let Some(c) = self.current.as_mut().filter(|c| c.volume == *failed) else { return false };
        let Some(copy) = c.copy.take() else { return false };
        let volume = std::mem::replace(&mut c.volume, copy.clone());
        log::warn!(
            CAMERA = self.stream.camera.as_str(), STREAM = self.stream.kind.as_str(), VOLUME = volume.as_str();
            "{} {}: volume {volume} is lost; the copy on {copy} goes on", self.stream.camera, self.stream.kind
        );
        self.footage.end_run(&volume, c.run.id);
        self.status.rare().volume = Some(copy);
        self.avoid(volume, now);
        true
    }

    fn avoid(&mut self, volume: VolumeName, now: i64) {
        let until = now.saturating_add(i64::try_from(self.retry.as_nanos()).unwrap_or(i64::MAX));
        self.avoid = Some((volume, until));
    }

    /// Records a piece, or drops it if there is nowhere to put it. `now` is ns since boot.
    pub(super) fn take(&mut self, piece: &Piece, tracks: &[Track], map: &mut ClockMap, now: i64) {
        if !map.is_anchored() {
            self.anchor(piece, map);
        }
        let start = map.wall(piece.start());
        let end = map.advance(piece.start(), piece.end);
        let span = Span { start, end };
        self.follow_home(piece, span);
        // A run begins where decoding can, so two attempts at most: the present run, and another on another volume.
        for _ in 0..2 {
            if self.current.is_none() && piece.video[0].key {
                self.begin(piece, tracks, span, now);
            }
            let fragment = self.fragment(piece, span);
            let Some(c) = &mut self.current else { break };
            let Some(fragment) = fragment else { return };
            let copy = c.copy.as_ref().map(|copy| (copy.clone(), fragment.clone()));
            match self.footage.write(&c.volume, fragment) {
                Ok(()) => {
                    if let Some((copy, fragment)) = copy
                        && let Err(refused) = self.footage.write_copy(&copy, fragment)
                    {
                        log::warn!(
                            CAMERA = self.stream.camera.as_str(), STREAM = self.stream.kind.as_str(), VOLUME = copy.as_str(), CAUSE:% = refused;
                            "{} {}: no copy for now: {refused}", self.stream.camera, self.stream.kind
                        );
                        self.footage.end_run(&copy, c.run.id);
                        c.copy = None;
                    }
                    c.end = span.end;
                    c.number += 1;
                    if c.number == 1 {
                        self.begun();
                    }
                    return;
                }
                Err(refused) => {
                    let volume = c.volume.clone();
                    if !self.go_on_with_copy(&volume, now) {
                        self.refused(&refused, span.start, now);
                    }
                }
            }
        }
        if self.gap.is_none() {
            // What is dropped here is a gap, whatever it was that was to begin.
            self.trouble(span.start, self.footage.nowhere(self.stream.id));
        }
    }

    /// The store has taken the first fragment of a run.
    fn begun(&mut self) {
        self.gap = None;
        self.adjoins = None;
        self.footage.set_gap(self.stream.id, None);
        self.status.rare().cause.take_if(|c| is_room(c));
    }

    fn refused(&mut self, refused: &Refused, since: WallNs, now: i64) {
        let Some(c) = self.current.take() else { return };
        log::warn!(
            CAMERA = self.stream.camera.as_str(), STREAM = self.stream.kind.as_str(), VOLUME = c.volume.as_str(), CAUSE:% = refused;
            "{} {}: {refused}", self.stream.camera, self.stream.kind
        );
        self.footage.end_run(&c.volume, c.run.id);
        self.status.rare().volume = None;
        self.avoid(c.volume, now);
        self.trouble(since, Cause::new(CauseKind::Disk, refused.to_string()));
    }

    /// Where a segment ends anyhow and the store wants the stream on another volume, because the one it belongs to is back,
    /// the run ends too and another one adjoins it there. Where the store has found the camera's older recording, that one goes on at once.
    /// Where room has run short for the stream, it goes elsewhere at once too, or stops if there is room nowhere.
    fn follow_home(&mut self, piece: &Piece, span: Span) {
        if self.volumes_came && piece.video[0].key {
            self.volumes_came = false;
            if self.footage.stream_id(&self.stream.camera, self.stream.kind) != self.stream.id {
                self.end(End::Adjoin, span.start);
                return;
            }
        }
        let Some(c) = self.current.as_mut().filter(|c| c.number > 0 && piece.video[0].key) else { return };
        let may_stay = |volume: &VolumeName| self.footage.may_stay(self.stream.id, volume);
        if let Some(copy) = c.copy.take_if(|copy| !may_stay(copy)) {
            self.footage.end_run(&copy, c.run.id);
        }
        let stays = may_stay(&c.volume);
        if stays && !c.is_cut(piece, span) {
            return;
        }
        let here = c.volume.clone();
        match self.footage.choose(self.stream.id, self.avoid.as_ref().map(|(v, _)| v)) {
            Some(wanted) if wanted != here => self.end(End::Adjoin, span.start),
            None if !stays => self.end(End::Trouble(self.footage.nowhere(self.stream.id)), span.start),
            _ => {}
        }
    }

    /// Begins the mapping at the piece's start, so that the run overlaps nothing.
    fn anchor(&mut self, piece: &Piece, map: &mut ClockMap) {
        let latest = self.first_arrival.take();
        let Some(ideal) = map.ideal(piece.start()).or(latest) else { return };
        let latest = latest.unwrap_or(ideal).max(ideal);
        let (start, correction) = place(ideal, latest, self.footage.last_end(self.stream.id), self.correction);
        self.correction = correction;
        map.anchor(piece.start(), start);
    }

    /// Whose recording this is: it may have been found since the last run.
    fn identify(&mut self) {
        let id = self.footage.stream_id(&self.stream.camera, self.stream.kind);
        if id == self.stream.id {
            return;
        }
        log::info!(
            CAMERA = self.stream.camera.as_str(), STREAM = self.stream.kind.as_str();
            "{} {}: goes on with the older recording that was found", self.stream.camera, self.stream.kind
        );
        self.stream.id = id;
        self.adjoins = None;
        // What it lacks began when that one ended.
        self.gap = self.footage.pending_gap(id).or(self.gap.take());
    }

    fn begin(&mut self, piece: &Piece, tracks: &[Track], span: Span, now: i64) {
        self.identify();
        self.avoid.take_if(|(_, until)| *until <= now);
        let avoid = self.avoid.as_ref().map(|(v, _)| v);
        let Some(volume) = self.footage.choose(self.stream.id, avoid) else {
            self.trouble(span.start, self.footage.nowhere(self.stream.id));
            return;
        };
        let last_end = self.footage.last_end(self.stream.id);
        (_, self.correction) = place(span.start, span.start, last_end, self.correction);
        let before = if self.adjoins.is_some_and(|end| end == span.start) { None } else { self.gap.clone() };
        let run = Arc::new(self.new_run(tracks.to_vec(), span.start, before));
        log::info!(
            CAMERA = self.stream.camera.as_str(), STREAM = self.stream.kind.as_str(), RUN:% = run.id, VOLUME = volume.as_str();
            "{} {}: run {} begins on volume {volume}", self.stream.camera, self.stream.kind, run.id
        );
        self.status.rare().volume = Some(volume.clone());
        let cut = self.next_cut(span.start.0);
        let copy = self.footage.choose_copy(self.stream.id, &volume);
        self.current = Some(Current {
            run,
            volume,
            copy,
            origin: piece.start(),
            number: 0,
            seq: 0,
            cut,
            skip_leading: true,
            end: span.start,
        });
    }

    fn new_run(&self, tracks: Vec<Track>, start: WallNs, before: Option<GapBefore>) -> Run {
        let seconds = u64::try_from(start.0.div_euclid(1_000_000_000)).unwrap_or(0);
        let nanos = u32::try_from(start.0.rem_euclid(1_000_000_000)).unwrap_or(0);
        Run {
            id: RunId::from(Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, nanos))),
            stream: self.stream.clone(),
            site: self.site.clone(),
            recorder: self.machine.clone(),
            tracks,
            start,
            clock_correction: self.correction,
            before,
        }
    }

    /// The next time at which this stream's segments are cut, not too soon after `start`.
    fn next_cut(&self, start: i64) -> i64 {
        // The last half of the id is random in every version of UUID.
        let tail = self.stream.id.as_bytes()[8..].iter().fold(0u64, |a, b| (a << 8) | u64::from(*b));
        let offset = i64::try_from(tail >> 1).unwrap_or(0) % self.segment;
        let earliest = start.saturating_add(self.segment / 10);
        let periods = earliest.saturating_sub(offset).div_euclid(self.segment).saturating_add(1);
        periods.saturating_mul(self.segment).saturating_add(offset)
    }

    fn fragment(&mut self, piece: &Piece, span: Span) -> Option<Fragment> {
        if self.current.as_ref()?.is_cut(piece, span) {
            let next = self.next_cut(span.start.0);
            let c = self.current.as_mut()?;
            c.seq += 1;
            c.cut = next;
            let copy = self.footage.choose_copy(self.stream.id, &c.volume);
            if copy != c.copy {
                // The copy goes to another volume, begins, or begins again: with a file of its own.
                c.copy.iter().for_each(|old| self.footage.end_run(old, c.run.id));
                c.copy = copy;
            }
        }
        let c = self.current.as_mut()?;
        let video_rate = c.run.video().timescale;
        // Leading pictures of later key frames have what they refer to.
        c.skip_leading &= c.number == 0 || !piece.video[0].key;
        let mut dropped = piece.dropped_frames;
        let mut samples: Vec<Sample> = Vec::with_capacity(piece.video.len() + piece.audio.len());
        for s in &piece.video {
            if c.skip_leading && s.leading {
                dropped += 1;
                if let Some(before) = samples.last_mut() {
                    before.duration = before.duration.saturating_add(s.duration);
                }
                continue;
            }
            samples.push(Sample {
                track: 0,
                dts: u64::try_from(s.dts.saturating_sub(c.origin)).unwrap_or(0),
                duration: s.duration,
                cts: s.cts,
                key: s.key,
                data: s.data.clone(),
            });
        }
        if let Some(audio) = c.run.tracks.get(1) {
            let origin = ns_to_ticks(ticks_to_ns(c.origin, video_rate), audio.timescale);
            samples.extend(piece.audio.iter().filter_map(|s| {
                // Sound from before the first picture has no place in the run.
                let dts = u64::try_from(s.dts.saturating_sub(origin)).ok()?;
                Some(Sample { track: 1, dts, duration: s.duration, cts: 0, key: true, data: s.data.clone() })
            }));
        }
        if samples.first().is_none_or(|s| s.track != 0) {
            return None; // nothing but leading pictures
        }
        Some(Fragment {
            run: c.run.clone(),
            seq: c.seq,
            number: c.number,
            span,
            samples,
            lost_packets: piece.lost_packets,
            dropped_frames: dropped,
            reports: piece.reports.clone(),
            leaf: SharedLeaf::default(),
        })
    }
}

impl Current {
    /// Whether a segment is to end before the piece: it begins with the key frame nearest to the cut.
    fn is_cut(&self, piece: &Piece, span: Span) -> bool {
        let half = ticks_to_ns(piece.group, self.run.video().timescale) / 2;
        self.number > 0 && piece.video[0].key && span.start.0.saturating_add(half) >= self.cut
    }
}

/// Whether it is a lack of room or of a disk: of nothing that the camera could say.
fn is_room(cause: &Cause) -> bool {
    matches!(cause.kind, CauseKind::Disk | CauseKind::Full)
}

/// Where a run starts, uncorrected, and its correction.
///
/// The first picture was taken between `ideal` (by the least delay seen) and `latest` (when it arrived). The corrected start
/// must not be before `last_end`. A correction that is in use is kept while it is needed, so that real gaps stay visible.
fn place(ideal: WallNs, latest: WallNs, last_end: Option<WallNs>, correction: i64) -> (WallNs, i64) {
    let Some(last_end) = last_end else { return (ideal, 0) };
    if ideal >= last_end {
        return (ideal, 0);
    }
    let floor = last_end.offset(correction.saturating_neg());
    if ideal >= floor {
        (ideal, correction)
    } else if latest >= floor {
        (floor, correction)
    } else {
        (ideal, last_end.since(ideal))
    }
}
