mod groups;
mod room;

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    capture::{Env, fake::FakeFootage, fake::FakeRun},
    store::{Footage, SharedFootage},
    sys::FakeClock,
    types::{Cause, CauseKind, GapBefore, StreamId, StreamKey, StreamKind, Track, TrackKind},
};

const FRAME: Duration = Duration::from_millis(50);
const START: WallNs = WallNs(1_800_000_000_000_000_000);

fn tracks(width: u16) -> Tracks {
    let video = Track {
        kind: TrackKind::Video,
        codec: Codec::H264,
        timescale: 90_000,
        sample_entry: Bytes::from_static(b"avc1"),
        rfc6381: Some("avc1.64001f".into()),
        size: (width, 360),
    };
    Tracks { list: vec![video], depth: 0 }
}

fn au(nal: u8, len: usize) -> Bytes {
    let mut data = u32::try_from(len).unwrap().to_be_bytes().to_vec();
    data.push(nal);
    data.resize(len + 4, 0xaa);
    Bytes::from(data)
}

/// A recorder's surroundings: its clock and a store that checks.
struct Bench {
    clock: FakeClock,
    footage: Arc<FakeFootage>,
    env: Env,
    stream: StreamId,
    recorder: Recorder,
    hub: Arc<TapHub>,
    status: Arc<Cell>,
    tracks: Tracks,
}

impl Bench {
    fn new(volumes: &[&str]) -> Self {
        let clock = FakeClock::at(START);
        let footage = FakeFootage::new(volumes);
        let shared: SharedFootage = footage.clone();
        let env = Env {
            clock: Arc::new(clock.clone()),
            footage: shared,
            site: "test".into(),
            recorder: "a".parse().unwrap(),
            settings: Settings::default(),
        };
        let camera: crate::types::CameraId = "gate".parse().unwrap();
        let stream = footage.stream_id(&camera, StreamKind::Main);
        let status = Arc::new(Cell::default());
        let key = StreamKey { id: stream, camera, kind: StreamKind::Main };
        let recorder = Recorder::new(&env, key, status.clone(), true);
        Self { clock, footage, env, stream, recorder, hub: TapHub::new(1 << 20), status, tracks: tracks(640) }
    }

    /// Restarts the process on the same store.
    fn restart(&mut self) {
        let key = StreamKey { id: self.stream, camera: "gate".parse().unwrap(), kind: StreamKind::Main };
        self.recorder = Recorder::new(&self.env, key, self.status.clone(), true);
    }

    /// A session; `play` is called with it and a camera.
    fn session(&mut self, play: impl FnOnce(&mut Camera<'_>)) {
        let Self { clock, env, recorder, hub, status, tracks, .. } = self;
        let intake = Intake::new(clock, &env.settings, recorder, hub, status, tracks.clone());
        let mut camera = Camera { clock: clock.clone(), intake, elapsed: 0, n: 0, group: 40, sent: 0 };
        play(&mut camera);
        camera.intake.finish();
    }

    fn runs(&self) -> Vec<FakeRun> {
        assert_eq!(self.footage.problems(), Vec::<String>::new());
        self.footage.runs()
    }

    fn stored(&self) -> usize {
        self.runs().iter().map(|r| r.samples(0).count()).sum()
    }
}

/// Sends pictures at 20 per second.
struct Camera<'a> {
    clock: FakeClock,
    intake: Intake<'a>,
    elapsed: i64,
    n: u64,
    group: u64,
    sent: usize,
}

impl Camera<'_> {
    fn picture(&mut self, tracks: Option<Tracks>) {
        self.send(tracks);
        self.clock.advance(FRAME);
    }

    fn send(&mut self, tracks: Option<Tracks>) {
        let nal = if self.n.is_multiple_of(self.group) { 0x65 } else { 0x41 };
        self.n += 1;
        self.sent += 1;
        self.intake.video(VideoIn { elapsed: self.elapsed, lost: 0, data: au(nal, 1_000), tracks });
        self.elapsed += 4_500;
    }

    fn pictures(&mut self, n: u64) {
        for _ in 0..n {
            self.picture(None);
        }
    }
}

/// Corrected span of a run.
fn span(r: &FakeRun) -> (WallNs, WallNs) {
    let end = r.fragments.last().unwrap().span.end;
    (r.run.start.offset(r.run.clock_correction), end.offset(r.run.clock_correction))
}

#[test]
fn all_frames_are_stored_in_one_run() {
    let mut b = Bench::new(&["a1"]);
    b.session(|c| c.pictures(1_000));
    let runs = b.runs();
    assert_eq!((runs.len(), b.stored()), (1, 1_000));
    assert_eq!(runs[0].run.start, START);
    assert_eq!(span(&runs[0]).1, START + FRAME * 1_000);
    assert_eq!(runs[0].run.before, None);
}

#[test]
fn segments_are_cut_at_the_key_frame_nearest_to_their_streams_fifth_minute() {
    let mut b = Bench::new(&["a1"]);
    b.session(|c| c.pictures(20 * 60 * 17));
    let runs = b.runs();
    assert_eq!(runs.len(), 1);
    let mut starts = Vec::new();
    for f in &runs[0].fragments {
        if starts.len() <= f.seq as usize {
            starts.push(f.span.start.0);
        }
    }
    assert!((4..=5).contains(&starts.len()), "{}", starts.len());
    let period = 300_000_000_000;
    let phases: Vec<i64> = starts[1..].iter().map(|s| s.rem_euclid(period)).collect();
    // The offset of stream 1 is 1 ns; a key frame comes every 2 s.
    assert!(phases.iter().all(|p| *p <= 1_000_000_000 || *p >= period - 1_000_000_000), "{phases:?}");
}

#[test]
fn other_parameters_begin_an_adjoining_run_without_losing_a_frame() {
    let mut b = Bench::new(&["a1"]);
    b.session(|c| {
        c.pictures(80);
        c.picture(Some(tracks(1280)));
        c.pictures(59);
    });
    let runs = b.runs();
    assert_eq!((runs.len(), b.stored()), (2, 140));
    assert_eq!(runs[0].samples(0).count(), 80);
    assert_eq!(span(&runs[0]).1, span(&runs[1]).0);
    assert_eq!(runs[1].run.before, None);
    assert_eq!(runs[1].run.video().size, (1280, 360));
    assert!(runs[0].ended);
}

#[test]
fn parameters_that_come_between_key_frames_count_from_the_next_one() {
    let mut b = Bench::new(&["a1"]);
    b.session(|c| {
        c.pictures(60);
        c.picture(Some(tracks(1280)));
        c.pictures(39);
    });
    let runs = b.runs();
    assert_eq!((runs[0].samples(0).count(), runs[1].samples(0).count()), (80, 20));
    // The same parameters again are none.
    let mut b = Bench::new(&["a1"]);
    b.session(|c| {
        c.pictures(40);
        c.picture(Some(tracks(640)));
        c.pictures(39);
    });
    assert_eq!(b.runs().len(), 1);
}

#[test]
fn a_clock_stepped_forward_leaves_a_gap_that_says_so() {
    let mut b = Bench::new(&["a1"]);
    b.session(|c| {
        c.pictures(70);
        c.clock.step(3_600_000_000_000);
        c.pictures(70);
    });
    let runs = b.runs();
    assert_eq!((runs.len(), b.stored()), (2, 140));
    let before = runs[1].run.before.clone().unwrap();
    assert_eq!(before.cause, Cause::new(CauseKind::ClockStep, "+3600.0 s"));
    assert_eq!(runs[1].run.clock_correction, 0);
    assert_eq!(span(&runs[1]).0.since(span(&runs[0]).1), 3_600_000_000_000);
}

#[test]
fn a_clock_set_back_never_makes_the_timeline_overlap() {
    let mut b = Bench::new(&["a1"]);
    b.session(|c| {
        c.pictures(70);
        c.clock.step(-3_600_000_000_000);
        c.pictures(70);
    });
    let runs = b.runs();
    assert_eq!((runs.len(), b.stored()), (2, 140));
    assert_eq!(span(&runs[1]).0, span(&runs[0]).1);
    assert_eq!(runs[1].run.before, None);
    assert!((runs[1].run.clock_correction - 3_600_000_000_000).abs() < 1_000);
    // A later session keeps the correction, so that its gap is seen.
    b.recorder.end(End::Trouble(Cause::new(CauseKind::Camera, "gone")), b.clock.wall());
    b.clock.advance(Duration::from_secs(5));
    b.session(|c| c.pictures(40));
    let runs = b.runs();
    let gap = span(&runs[2]).0.since(span(&runs[1]).1);
    assert!((gap - 5_000_000_000).abs() < 100_000_000, "{gap}");
    assert_eq!(runs[2].run.before.clone().unwrap().cause.kind, CauseKind::Camera);
    // So does one after a restart, at worst without the gap.
    b.recorder.end(End::Trouble(Cause::new(CauseKind::Stopped, "")), b.clock.wall());
    b.restart();
    b.session(|c| c.pictures(40));
    let runs = b.runs();
    assert!(span(&runs[3]).0 >= span(&runs[2]).1);
    // When the clock has caught up nothing is corrected any more.
    b.recorder.end(End::Trouble(Cause::new(CauseKind::Camera, "gone")), b.clock.wall());
    b.clock.advance(Duration::from_secs(3_700));
    b.session(|c| c.pictures(40));
    assert_eq!(b.runs()[4].run.clock_correction, 0);
}

#[test]
fn a_step_that_is_taken_back_before_a_key_frame_is_none() {
    let mut b = Bench::new(&["a1"]);
    b.session(|c| {
        c.pictures(50);
        c.clock.step(5_000_000_000);
        c.pictures(5);
        c.clock.step(-5_000_000_000);
        c.pictures(65);
    });
    let runs = b.runs();
    assert_eq!(b.stored(), 120);
    assert!(runs.iter().all(|r| r.run.before.is_none() && r.run.clock_correction == 0));
}

#[test]
fn a_media_clock_that_jumps_loses_nothing() {
    for jump in [90_000 * 86_400, -90_000 * 86_400, 90_000 * 15, -90_000 * 15] {
        let mut b = Bench::new(&["a1"]);
        b.session(|c| {
            c.pictures(50);
            c.elapsed += jump;
            c.pictures(70);
        });
        let runs = b.runs();
        assert_eq!((runs.len(), b.stored()), (2, 120), "{jump}");
        assert_eq!(span(&runs[0]).1, span(&runs[1]).0);
        let length = span(&runs[1]).1.since(START);
        assert!((length - 6_000_000_000).abs() < 10_000_000, "{length}");
    }
}

#[test]
fn a_repeated_and_a_backward_time_stamp_are_tolerated() {
    let mut b = Bench::new(&["a1"]);
    b.session(|c| {
        c.pictures(1);
        c.elapsed -= 4_500;
        c.pictures(30);
        c.elapsed -= 9_000;
        c.pictures(49);
    });
    assert_eq!((b.runs().len(), b.stored()), (1, 80));
}

#[test]
fn a_failed_volume_is_a_gap_and_the_stream_moves() {
    let mut b = Bench::new(&["a1", "a2"]);
    let footage = b.footage.clone();
    let mut events = footage.events();
    b.session(|c| {
        c.pictures(70);
        footage.fail("a1", Cause::new(CauseKind::Disk, "I/O error"));
        c.intake.event(&events.try_recv().unwrap());
        c.pictures(50);
        c.pictures(40);
    });
    let runs = b.runs();
    assert_eq!(runs.len(), 2);
    assert_eq!((runs[0].volume.as_str(), runs[1].volume.as_str()), ("a1", "a2"));
    let before = runs[1].run.before.clone().unwrap();
    assert_eq!(before.cause, Cause::new(CauseKind::Disk, "I/O error"));
    assert_eq!(before.since, span(&runs[0]).1);
    assert_eq!(runs[1].samples(0).count(), 80, "from the first key frame after");
    assert_eq!(b.footage.gap(b.stream), None);
}

#[test]
fn a_refused_fragment_that_begins_with_a_key_frame_moves_at_once() {
    let mut b = Bench::new(&["a1", "a2"]);
    let footage = b.footage.clone();
    b.session(|c| {
        c.pictures(80);
        footage.refuse("a1");
        c.pictures(80);
    });
    let runs = b.runs();
    // What was in hand when the volume stopped is lost up to the key frame, or not at all.
    assert_eq!(runs.len(), 2);
    assert!(b.stored() >= 140, "{}", b.stored());
    assert_eq!(runs[1].run.before.clone().unwrap().cause.kind, CauseKind::Disk);
}

#[test]
fn without_a_volume_live_goes_on_and_recording_comes_back() {
    let mut b = Bench::new(&["a1"]);
    let footage = b.footage.clone();
    let mut events = footage.events();
    let mut tap = b.hub.tap();
    let stream = b.stream;
    footage.refuse("a1");
    let status = b.status.clone();
    b.session(|c| {
        c.pictures(100);
        assert_eq!(footage.gap(stream).unwrap().cause.kind, CauseKind::Disk);
        assert_eq!(status.rare().cause.clone().unwrap().kind, CauseKind::Disk);
        footage.heal("a1");
        c.intake.event(&events.try_recv().unwrap());
        c.pictures(100);
    });
    let runs = b.runs();
    assert_eq!(runs.len(), 1);
    assert!(runs[0].run.before.is_some() && runs[0].samples(0).count() >= 60);
    assert_eq!(b.footage.gap_history().len(), 2, "said once, taken back once");
    assert!(b.status.rare().cause.is_none());
    let samples = std::iter::from_fn(|| futures::FutureExt::now_or_never(tap.next()).flatten())
        .filter(|e| matches!(e, super::super::LiveEvent::Sample(_)))
        .count();
    assert_eq!(samples, 200);
}

#[test]
fn a_stream_goes_home_when_its_volume_is_back() {
    let mut b = Bench::new(&["a1", "a2"]);
    let footage = b.footage.clone();
    b.session(|c| {
        footage.refuse("a1");
        c.pictures(20 * 60);
        footage.heal("a1");
        footage.prefer("a1");
        c.pictures(20 * 60 * 6);
    });
    let runs = b.runs();
    assert_eq!(runs.iter().map(|r| r.volume.as_str()).collect::<Vec<_>>(), ["a2", "a1"]);
    assert_eq!(span(&runs[0]).1, span(&runs[1]).0, "adjoining");
    assert_eq!((runs[1].run.before.clone(), b.stored()), (None, 20 * 60 * 7));
}

#[test]
fn the_first_run_says_why_there_was_nothing_before() {
    let mut b = Bench::new(&["a1"]);
    let gap = GapBefore { since: START, cause: Cause::new(CauseKind::Restart, "") };
    b.footage.set_pending_gap(gap.clone());
    b.restart();
    b.clock.advance(Duration::from_mins(1));
    b.recorder.end(End::Trouble(Cause::new(CauseKind::Unreachable, "10.0.0.1")), b.clock.wall());
    b.session(|c| c.pictures(50));
    let before = b.runs()[0].run.before.clone().unwrap();
    assert_eq!((before.since, before.cause.kind), (START, CauseKind::Restart));
    assert!(before.cause.detail.contains("later unreachable"));
}

#[test]
fn frames_before_a_key_frame_are_dropped_and_counted() {
    let mut b = Bench::new(&["a1"]);
    b.session(|c| {
        c.n = 33;
        c.pictures(47);
    });
    let runs = b.runs();
    assert_eq!(runs[0].samples(0).count(), 40);
    assert_eq!(runs[0].fragments[0].dropped_frames, 7);
}

#[test]
fn a_burst_from_the_cameras_cache_does_not_put_the_run_late() {
    let mut b = Bench::new(&["a1"]);
    b.session(|c| {
        // Forty frames at once, the first one taken two seconds ago.
        for _ in 0..40 {
            c.send(None);
        }
        c.pictures(80);
    });
    let start = b.runs()[0].run.start;
    assert!((start.since(START) + 1_950_000_000).abs() < 100_000_000, "{}", start.since(START));
}

#[test]
fn a_stalled_camera_leaves_nothing_in_memory() {
    let mut b = Bench::new(&["a1"]);
    let footage = b.footage.clone();
    b.session(|c| {
        c.pictures(10);
        assert_eq!(footage.runs().len(), 0);
        let due = c.intake.due().unwrap();
        assert!(due - c.clock.monotonic().0 < 2_000_000_000);
        c.clock.advance(Duration::from_secs(2));
        c.intake.flush_due();
        assert_eq!(footage.runs()[0].samples(0).count(), 10);
        assert_eq!(c.intake.due(), None);
        c.elapsed += 90_000 * 2;
        c.pictures(30);
    });
    assert_eq!((b.runs().len(), b.stored()), (1, 40));
}

/// H.265 with open groups, in decoding order: NAL type and place in showing order within 8 pictures.
const OPEN_GROUP: [(u8, i64); 8] = [(21, 2), (8, 0), (8, 1), (1, 5), (0, 3), (0, 4), (1, 6), (1, 7)];
