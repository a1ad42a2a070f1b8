//! One stream of a simulated camera: makes pictures while somebody watches.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{Notify, broadcast, watch},
    time::{Instant, sleep_until},
};

use super::{fault::Trouble, source::Source};
use crate::{
    demo::{h264::AccessUnit, rtsp::Description},
    sys::Clock,
    types::{CameraId, StreamKind, WallNs},
};

/// Units that a slow client may lie behind before it is dropped: about four seconds.
const BACKLOG: usize = 64;
/// RTP clock of video.
const VIDEO_RATE: u64 = 90_000;
/// RTP clock of G.711.
const SOUND_RATE: u64 = 8_000;
/// Sound in a packet.
const SOUND_STEP: Duration = Duration::from_millis(40);
/// Further behind than this, pictures are left out rather than made up for.
const TOO_LATE: Duration = Duration::from_secs(2);

/// What goes to the clients.
#[derive(Debug)]
pub(crate) enum Media {
    Picture(AccessUnit),
    Sound(Bytes),
}

/// A picture or a packet of sound with its RTP timestamp.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) media: Media,
    pub(crate) timestamp: u32,
}

/// What a stream has done since the server was started.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) made: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) packets: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) plays: AtomicU64,
    pub(crate) playing: AtomicU64,
    pub(crate) slow: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// A stream, shared by the task that makes its pictures and by the sessions that send them.
pub(crate) struct Stream {
    pub(crate) camera: CameraId,
    pub(crate) kind: StreamKind,
    pub(crate) audio: bool,
    pub(crate) counters: Counters,
    pub(crate) trouble: watch::Receiver<Trouble>,
    clock: Arc<dyn Clock>,
    /// When the RTP clocks stood at their base.
    epoch: Instant,
    rtp_base: u32,
    feed: broadcast::Sender<Arc<Unit>>,
    wake: Notify,
    key_wanted: AtomicBool,
    description: Mutex<Description>,
}

/// What a stream is made from.
pub(crate) struct Making {
    pub(crate) source: Source,
    /// Shifts its pictures within the frame interval, so that not all cameras send at once.
    pub(crate) phase: f64,
}

impl Stream {
    pub(crate) fn new(
        (camera, kind, audio): (CameraId, StreamKind, bool),
        trouble: watch::Receiver<Trouble>,
        clock: Arc<dyn Clock>,
        rtp_base: u32,
        description: Description,
    ) -> Self {
        Self {
            camera,
            kind,
            audio,
            counters: Counters::default(),
            trouble,
            clock,
            epoch: Instant::now(),
            rtp_base,
            feed: broadcast::Sender::new(BACKLOG),
            wake: Notify::new(),
            key_wanted: AtomicBool::new(false),
            description: Mutex::new(description),
        }
    }

    /// What the SDP is to say now.
    pub(crate) fn description(&self) -> Description {
        self.description.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Joins the audience. The next picture is a key picture.
    pub(crate) fn join(&self) -> broadcast::Receiver<Arc<Unit>> {
        let receiver = self.feed.subscribe();
        self.key_wanted.store(true, Ordering::Relaxed);
        self.wake.notify_waiters();
        receiver
    }

    /// The camera's clock, and what its RTP clock for pictures or sound shows at the same time.
    pub(crate) fn times(&self, sound: bool) -> (WallNs, u32) {
        let now = Instant::now();
        (self.wall(now), self.timestamp(now, sound))
    }

    fn wall(&self, at: Instant) -> WallNs {
        let late = i64::try_from(at.elapsed().as_nanos()).unwrap_or(0);
        self.clock.wall().offset(self.trouble.borrow().lie(at).1 - late)
    }

    fn timestamp(&self, at: Instant, sound: bool) -> u32 {
        let lie = self.trouble.borrow().lie(at).0;
        let nanos = i128::try_from((at - self.epoch).as_nanos()).unwrap_or(0) + i128::from(lie);
        let rate = if sound { SOUND_RATE } else { VIDEO_RATE };
        let ticks = (nanos * i128::from(rate) + 500_000_000) / 1_000_000_000;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "RTP timestamps wrap")]
        self.rtp_base.wrapping_add(ticks as u32)
    }

    /// Makes pictures, and sound if the stream has it, for ever.
    pub(crate) async fn run(&self, making: Making) {
        if self.audio {
            tokio::join!(self.pictures(making), self.sound());
        } else {
            self.pictures(making).await;
        }
    }

    async fn audience(&self) {
        loop {
            // Registered before the look, so that nobody can join unnoticed in between.
            let mut joined = pin!(self.wake.notified());
            joined.as_mut().enable();
            if self.feed.receiver_count() > 0 {
                return;
            }
            joined.await;
        }
    }

    async fn pictures(&self, Making { mut source, phase }: Making) {
        let step = 1.0 / f64::from(source.fps());
        let mut number = 0_u64;
        let mut since_key = 0;
        loop {
            if self.feed.receiver_count() == 0 {
                source.rest();
                self.audience().await;
                since_key = 0;
                self.key_wanted.store(true, Ordering::Relaxed);
            }
            let passed = self.epoch.elapsed().as_secs_f64();
            let next = (number as f64 + phase) * step;
            if passed - next > TOO_LATE.as_secs_f64() || next + step < passed && since_key == 0 {
                number = frames_in(passed, step) + 1;
            }
            let due = self.epoch + Duration::from_secs_f64((number as f64 + phase) * step);
            sleep_until(due).await;
            number += 1;
            let trouble = *self.trouble.borrow();
            if trouble.silent() || self.feed.receiver_count() == 0 {
                since_key = 0;
                self.key_wanted.store(true, Ordering::Relaxed);
                continue;
            }
            if source.resize(trouble.resized(due)) {
                *self.description.lock().unwrap_or_else(PoisonError::into_inner) = source.description();
                self.key_wanted.store(true, Ordering::Relaxed);
            }
            let key = self.key_wanted.swap(false, Ordering::Relaxed) || since_key >= source.fps() * 2;
            let unit = source.picture(key, (due - self.epoch).as_secs_f64(), self.wall(due), number - 1);
            since_key = if unit.key { 1 } else { since_key + 1 };
            self.send(Media::Picture(unit), self.timestamp(due, false));
            count(&self.counters.made, 1);
        }
    }

    async fn sound(&self) {
        let mut number = 0_u32;
        loop {
            self.audience().await;
            let now = u32::try_from(self.epoch.elapsed().as_millis() / SOUND_STEP.as_millis()).unwrap_or(0);
            if now > number + 50 {
                number = now;
            }
            let due = self.epoch + SOUND_STEP * number;
            sleep_until(due).await;
            if !self.trouble.borrow().silent() {
                self.send(Media::Sound(super::sound::packet(number)), self.timestamp(due, true));
            }
            number += 1;
        }
    }

    fn send(&self, media: Media, timestamp: u32) {
        // Without an audience there is nobody to tell.
        let _ = self.feed.send(Arc::new(Unit { media, timestamp }));
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "time since the start, positive")]
fn frames_in(seconds: f64, step: f64) -> u64 {
    (seconds / step) as u64
}
