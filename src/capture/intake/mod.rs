//! One session's frames, brought onto one time line.

mod live;
mod wall;

use bytes::Bytes;

use crate::{
    store::StoreEvent,
    sys::Clock,
    types::{Codec, SenderReport, WallNs, event},
};

use super::{
    audio::AudioClock,
    clockmap::{ClockMap, ns_to_ticks, ticks_to_ns},
    config::Settings,
    fragmenter::{AudioSample, Fragmenter, Limits, Piece},
    random_access::{Access, access},
    recorder::{End, Recorder},
    reorder::{Picture, Reorder, Timed},
    status::Cell,
    tap::TapHub,
    tracks::Tracks,
};
use live::Live;
use wall::WallOffset;

/// A media clock that goes back by more than this jumps: no reordering is that deep, ns.
const BACK_NS: i64 = 2_000_000_000;
/// A media clock that runs ahead of arrival by more than this between two pictures jumps, ns.
const AHEAD_NS: i64 = 2_000_000_000;

/// A received video frame.
#[derive(Debug)]
pub(super) struct VideoIn {
    /// Time stamp, ticks since play began.
    pub(super) elapsed: i64,
    /// RTP packets lost before it.
    pub(super) lost: u32,
    /// NAL units with four-byte lengths.
    pub(super) data: Bytes,
    /// Set if the parameters are others from this frame on.
    pub(super) tracks: Option<Tracks>,
}

/// A received audio frame.
#[derive(Debug)]
pub(super) struct AudioIn {
    pub(super) elapsed: i64,
    pub(super) length: u32,
    pub(super) lost: u32,
    pub(super) data: Bytes,
}

/// From the frames of one session to live taps and to the recorder. Synchronous; ends with [`Intake::finish`].
pub(super) struct Intake<'a> {
    clock: &'a dyn Clock,
    settings: &'a Settings,
    recorder: &'a mut Recorder,
    live: Live<'a>,
    status: &'a Cell,
    tracks: Tracks,
    next_tracks: Option<Tracks>,
    map: ClockMap,
    reorder: Reorder,
    fragmenter: Fragmenter,
    audio: Option<AudioClock>,
    ready: Vec<Timed>,
    /// Since when pictures wait in `reorder`, ns since boot.
    held_since: Option<i64>,
    /// When the first key frame came, ns since boot.
    running_since: Option<i64>,
    /// Leading pictures of the first key frame cannot be decoded.
    skip_leading: bool,
    last_key: i64,
    /// Whether that was an open one.
    open: bool,
    /// A new run is to begin at the next key frame.
    break_at_key: bool,
    /// Ticks added to time stamps, so that jumps of the camera's clock leave no trace on the time line.
    rebase: i64,
    /// The last picture: highest time stamp so far, and arrival.
    last: Option<(i64, i64)>,
    offset: WallOffset,
    /// Where the mapping of what is only watched was advanced to.
    last_advance: i64,
}

impl<'a> Intake<'a> {
    /// For a session with these tracks.
    pub(super) fn new(
        clock: &'a dyn Clock,
        settings: &'a Settings,
        recorder: &'a mut Recorder,
        hub: &'a TapHub,
        status: &'a Cell,
        tracks: Tracks,
    ) -> Self {
        let rate = tracks.video().timescale;
        let offset = WallOffset::new(clock);
        let mut intake = Self {
            clock,
            settings,
            recorder,
            live: Live::new(hub, rate),
            status,
            map: ClockMap::new(rate, offset.used()),
            reorder: Reorder::new(tracks.depth),
            fragmenter: new_fragmenter(settings, &tracks),
            audio: None,
            tracks,
            next_tracks: None,
            ready: Vec::new(),
            held_since: None,
            running_since: None,
            skip_leading: true,
            last_key: i64::MIN,
            open: false,
            break_at_key: false,
            rebase: 0,
            last: None,
            offset,
            last_advance: 0,
        };
        intake.audio = intake.tracks.audio().map(|t| AudioClock::new(t.timescale));
        intake
    }

    /// Whether a key frame has been seen.
    pub(super) fn is_running(&self) -> bool {
        self.running_since.is_some()
    }

    /// When the first key frame came, ns since boot.
    pub(super) fn running_since(&self) -> Option<i64> {
        self.running_since
    }

    /// When the last picture came, ns since boot.
    pub(super) fn last_video(&self) -> Option<i64> {
        self.last.map(|(_, arrival)| arrival)
    }

    /// What the store says.
    pub(super) fn event(&mut self, event: &StoreEvent) {
        self.recorder.event(event, self.clock.monotonic().0);
    }

    /// Takes a video frame.
    pub(super) fn video(&mut self, frame: VideoIn) {
        let now = self.clock.monotonic().0;
        self.watch_clock(now);
        self.status.frame(frame.data.len(), now);
        if frame.lost > 0 {
            self.status.lost(frame.lost);
            self.fragmenter.lost(frame.lost);
        }
        if let Some(tracks) = frame.tracks
            && tracks != self.tracks
        {
            self.next_tracks = Some(tracks);
            self.break_at_key |= self.is_running();
        }
        let pts = self.on_time_line(frame.elapsed, now);
        let access = access(self.tracks.video().codec, &frame.data);
        if access == Access::NoPicture || !(self.is_running() || access.is_key()) {
            return self.fragmenter.dropped(1);
        }
        self.map.arrived(pts, now);
        if access.is_key() {
            if self.is_running() {
                self.skip_leading = false;
                if self.break_at_key {
                    self.new_run(pts, now);
                }
            } else {
                self.start(pts, now);
            }
            self.last_key = pts;
            self.open = access == Access::Open;
        }
        // RADL pictures (ITU-T H.265 section 3) can be decoded; after an open H.264 key frame time stamps must tell.
        let h264 = self.tracks.video().codec == Codec::H264;
        let leading = access == Access::Skipped || (h264 && self.open && pts < self.last_key);
        if self.skip_leading && leading {
            return self.fragmenter.dropped(1);
        }
        if h264 && !access.is_key() {
            self.skip_leading = false;
        }
        let picture = Picture { pts, key: access.is_key(), leading, arrival: now, data: frame.data };
        self.held_since.get_or_insert(now);
        let ready = &mut self.ready;
        self.reorder.push(picture, &mut |t| ready.push(t));
        self.give_out();
    }

    /// Takes an audio frame.
    pub(super) fn audio(&mut self, frame: AudioIn) {
        if frame.lost > 0 {
            self.status.lost(frame.lost);
            self.fragmenter.lost(frame.lost);
        }
        let now = self.clock.monotonic().0;
        let (true, Some(audio), Some(video_delay)) = (self.is_running(), &mut self.audio, self.map.least_delay())
        else {
            return;
        };
        let rate = audio.rate();
        let Some(dts) = audio.place(frame.elapsed, frame.length, now, video_delay) else { return };
        self.live.audio(&frame, dts, rate);
        if self.recorder.is_enabled() {
            self.fragmenter.push_audio(AudioSample { dts, duration: frame.length, data: frame.data });
        }
    }

    /// Takes a sender report: at time stamp `elapsed` the camera's clock stood at `camera`.
    pub(super) fn report(&mut self, elapsed: i64, camera: WallNs) {
        if self.is_running() && self.map.is_anchored() {
            let ours = self.map.wall(elapsed.saturating_add(self.rebase));
            self.status.rare().clock_error = Some(camera.since(ours) as f64 / 1e9);
            self.fragmenter.report(SenderReport { camera, ours });
        }
    }

    /// When [`Self::flush_due`] wants to be called, ns since boot.
    pub(super) fn due(&self) -> Option<i64> {
        let length = i64::try_from(self.settings.fragment.as_nanos()).unwrap_or(i64::MAX);
        let held = self.held_since.map(|h| h.saturating_add(length));
        held.into_iter().chain(self.fragmenter.due()).min()
    }

    /// Hands over what has waited for too long, as the camera has stalled.
    pub(super) fn flush_due(&mut self) {
        let now = self.clock.monotonic().0;
        if self.due().is_some_and(|due| due <= now) {
            self.flush();
        }
    }

    /// Hands over everything: the session is over.
    pub(super) fn finish(mut self) {
        self.flush();
        self.live.end();
    }

    fn flush(&mut self) {
        self.release();
        let piece = self.fragmenter.flush();
        self.record(piece);
    }

    /// Gives out what `reorder` holds back.
    fn release(&mut self) {
        let ready = &mut self.ready;
        self.reorder.flush(&mut |t| ready.push(t));
        self.give_out();
    }

    fn give_out(&mut self) {
        if self.ready.is_empty() {
            return;
        }
        self.held_since = None;
        let mut ready = std::mem::take(&mut self.ready);
        for timed in ready.drain(..) {
            self.live.picture(&timed);
            if self.recorder.is_enabled() {
                let piece = self.fragmenter.push(timed);
                self.record(piece);
            } else if timed.picture.key {
                // Nothing else keeps the mapping of what is only watched from drifting away.
                self.map.advance(self.last_advance, timed.dts);
                self.last_advance = timed.dts;
            }
        }
        self.ready = ready;
    }

    fn record(&mut self, piece: Option<Piece>) {
        if let Some(piece) = piece {
            self.recorder.take(&piece, &self.tracks.list, &mut self.map, self.clock.monotonic().0);
        }
    }

    /// The first key frame.
    fn start(&mut self, pts: i64, now: i64) {
        self.running_since = Some(now);
        if let Some(tracks) = self.next_tracks.take() {
            self.use_tracks(tracks, None);
        }
        self.begin_live(pts, now);
        self.anchor(pts, now);
    }

    /// A later key frame with which a new run begins: nothing of the old one is lost.
    fn new_run(&mut self, pts: i64, now: i64) {
        self.break_at_key = false;
        self.release();
        let piece = self.fragmenter.finish(pts);
        let end = piece.as_ref().map_or(pts, |p| p.end);
        self.record(piece);
        let step = self.offset.settle();
        self.map.set_offset(self.offset.used());
        let wall = WallNs(now.saturating_add(self.offset.used()));
        self.recorder.end(step.map_or(End::Adjoin, End::ClockStep), wall);
        if step.is_some() {
            // That it was is told once, for all streams, by who watches the clock.
            let stream = self.recorder.stream();
            log::debug!(
                CAMERA = stream.camera.as_str(), STREAM = stream.kind.as_str();
                "{} {}: a new run, for the clock of this machine was set", stream.camera, stream.kind
            );
            self.map.forget();
            self.anchor(pts, now);
        }
        if let Some(next) = &self.next_tracks {
            self.tell_change(next);
        }
        let tracks = self.next_tracks.take().unwrap_or_else(|| {
            // What was learnt of the order of pictures holds on.
            Tracks { depth: self.reorder.depth(), ..self.tracks.clone() }
        });
        self.use_tracks(tracks, Some(end));
        self.begin_live(pts, now);
    }

    /// Says that the camera sends another picture from now on.
    fn tell_change(&self, next: &Tracks) {
        let words = |tracks: &Tracks| {
            let (codec, (width, height)) = (&tracks.video().rfc6381, tracks.video().size);
            format!("{width}×{height} {}", codec.as_deref().unwrap_or("in an unknown encoding"))
        };
        let (stream, was, is) = (self.recorder.stream(), words(&self.tracks), words(next));
        if was != is {
            log::warn!(
                MESSAGE_ID = event::CAMERA_CHANGED, CAMERA = stream.camera.as_str(), STREAM = stream.kind.as_str();
                "{} {}: sends {is} from now on, and sent {was}", stream.camera, stream.kind
            );
        }
    }

    /// Begins the mapping anew: at once where nothing is recorded, else with the first piece.
    fn anchor(&mut self, pts: i64, now: i64) {
        let arrival = WallNs(now.saturating_add(self.offset.used()));
        if self.recorder.is_enabled() {
            self.recorder.fresh(arrival);
        } else {
            self.map.anchor(pts, arrival);
            self.last_advance = pts;
        }
    }

    fn use_tracks(&mut self, tracks: Tracks, floor: Option<i64>) {
        let mut fragmenter = new_fragmenter(self.settings, &tracks);
        fragmenter.take_over(&mut self.fragmenter, floor);
        self.fragmenter = fragmenter;
        self.reorder = Reorder::new(tracks.depth);
        self.tracks = tracks;
    }

    fn begin_live(&mut self, pts: i64, now: i64) {
        let start =
            if self.map.is_anchored() { self.map.wall(pts) } else { WallNs(now.saturating_add(self.offset.used())) };
        {
            let video = self.tracks.video();
            let mut rare = self.status.rare();
            rare.size = Some(video.size);
            rare.codec.clone_from(&video.rfc6381);
        }
        self.live.begin(pts, self.recorder.live_run(self.tracks.list.clone(), start));
    }

    /// Notes steps of the wall clock. What is less than a step is followed by the mapping.
    fn watch_clock(&mut self, now: i64) {
        let stepped = self.offset.look(self.clock, now);
        if !self.is_running() {
            // There is no run yet that could end.
            self.offset.settle();
        }
        self.break_at_key |= stepped && self.is_running();
        self.map.set_offset(self.offset.used());
    }

    /// Puts a time stamp on the session's time line. Where the camera's clock jumps, time goes on as pictures arrive, and a
    /// new run is to begin.
    fn on_time_line(&mut self, elapsed: i64, now: i64) -> i64 {
        let rate = self.tracks.video().timescale;
        let mut pts = elapsed.saturating_add(self.rebase);
        if let Some((last, arrival)) = self.last {
            let step = ticks_to_ns(pts.saturating_sub(last), rate);
            let waited = now.saturating_sub(arrival);
            if step < -BACK_NS || step > waited.saturating_add(AHEAD_NS) {
                let ticks = ns_to_ticks(waited, rate).max(1);
                self.rebase = self.rebase.saturating_add(last.saturating_add(ticks).saturating_sub(pts));
                pts = last.saturating_add(ticks);
                self.break_at_key |= self.is_running();
                let (stream, seconds) = (self.recorder.stream(), format!("{:+.1}", step as f64 / 1e9));
                log::warn!(
                    MESSAGE_ID = event::CAMERA_CLOCK_JUMPED,
                    CAMERA = stream.camera.as_str(), STREAM = stream.kind.as_str(), SECONDS = seconds.as_str();
                    "{} {}: its media clock jumped by {seconds} s", stream.camera, stream.kind
                );
            }
        }
        self.last = Some((self.last.map_or(pts, |(last, _)| last.max(pts)), now));
        pts
    }
}

fn new_fragmenter(settings: &Settings, tracks: &Tracks) -> Fragmenter {
    let limits = Limits { length: settings.fragment, bytes: settings.fragment_bytes };
    Fragmenter::new(limits, tracks.video().timescale, tracks.audio().map_or(0, |t| t.timescale))
}

#[cfg(test)]
mod tests;
