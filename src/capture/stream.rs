//! One stream's task: connect, play, and when it ends for whatever reason, wait and try again.

use std::{panic::AssertUnwindSafe, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use retina::{
    client::SessionGroup,
    codec::{CodecItem, VideoFrame},
    rtcp::PacketRef,
};
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        watch,
    },
    time::{Instant, Sleep, sleep, timeout},
};

use crate::{
    store::StoreEvent,
    types::{
        Cause, CauseKind, StreamKey, WallNs, event,
        wire::{LiveState, StreamState},
    },
};

use super::{
    backoff::{Backoff, random},
    cause,
    config::{Env, Settings, StreamConfig},
    intake::{AudioIn, Intake, VideoIn},
    recorder::{End, Recorder},
    session::{self, Playing},
    status::Cell,
    tap::TapHub,
    tracks::Tracks,
};

/// What a stream's task is told.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) config: Arc<StreamConfig>,
    /// Set once, to end the task: what the gap that begins is due to.
    pub(super) end: Option<Cause>,
}

/// Why a session ended without trouble.
enum Left {
    /// There are new orders.
    Ordered,
    /// Nobody watches any more, and it is not recorded.
    Unwatched,
}

/// A failed session.
struct Failure {
    cause: Cause,
    /// Whether it ran well for long.
    good: bool,
}

impl From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        Self { cause, good: false }
    }
}

/// One stream's task.
pub(super) struct Stream {
    pub(super) env: Arc<Env>,
    pub(super) orders: watch::Receiver<Order>,
    pub(super) hub: Arc<TapHub>,
    pub(super) status: Arc<Cell>,
    /// Of the camera, shared by its streams.
    pub(super) group: Arc<SessionGroup>,
    /// Why it was said last that the camera is lost; nothing once it has run well.
    pub(super) lost: Option<Cause>,
}

impl Stream {
    /// Runs until it is ordered to end; everything received is in the store's hands then.
    pub(super) async fn run(mut self) {
        let config = self.orders.borrow().config.clone();
        let id = self.env.footage.stream_id(&config.camera, config.kind);
        let key = StreamKey { id, camera: config.camera.clone(), kind: config.kind };
        let mut recorder = Recorder::new(&self.env, key, self.status.clone(), config.record);
        let mut events = self.env.footage.events();
        let mut backoff = Backoff::new(self.env.settings.backoff_min, self.env.settings.backoff_max);
        let mut watchers = self.hub.watchers();
        loop {
            let Order { config, end } = self.orders.borrow_and_update().clone();
            recorder.enable(config.record);
            if let Some(cause) = end {
                recorder.end(End::Trouble(cause), self.env.clock.wall());
                self.set_state(StreamState::Idle, None);
                self.hub.close();
                return;
            }
            if !config.record && *watchers.borrow_and_update() == 0 {
                self.set_state(StreamState::Idle, None);
                tokio::select! {
                    _ = self.orders.changed() => {}
                    _ = watchers.changed() => {}
                }
                continue;
            }
            self.set_state(StreamState::Connecting, None);
            let once = AssertUnwindSafe(self.run_once(&config, &mut recorder, &mut events)).catch_unwind();
            let outcome = once.await.unwrap_or_else(|_| {
                Err(Cause::new(CauseKind::Protocol, "internal error in decoding what the camera sent").into())
            });
            self.hub.session_over();
            let wall = self.env.clock.wall();
            let failure = match outcome {
                Ok(Left::Ordered) => {
                    backoff.reset();
                    if self.orders.borrow().end.is_none() {
                        let why = changed(&self.orders.borrow().config);
                        recorder.end(End::Trouble(why), wall);
                    }
                    continue;
                }
                Ok(Left::Unwatched) => continue,
                Err(failure) => failure,
            };
            if failure.good {
                backoff.reset();
                self.lost = None;
            }
            if failure.cause.kind == CauseKind::Credentials {
                backoff.saturate();
            }
            if self.lost.as_ref() != Some(&failure.cause) {
                log::warn!(
                    MESSAGE_ID = event::CAMERA_LOST,
                    CAMERA = config.camera.as_str(), STREAM = config.kind.as_str(), CAUSE:% = failure.cause;
                    "{} {}: {}", config.camera, config.kind, failure.cause
                );
                self.lost = Some(failure.cause.clone());
            }
            recorder.end(End::Trouble(failure.cause.clone()), wall);
            self.set_state(StreamState::Waiting, Some(failure.cause));
            tokio::select! {
                () = sleep(backoff.next(random())) => {}
                _ = self.orders.changed() => backoff.reset(),
            }
        }
    }

    fn set_state(&self, state: StreamState, cause: Option<Cause>) {
        let mut rare = self.status.rare();
        rare.state = Some(state);
        rare.cause.clone_from(&cause);
        drop(rare);
        self.hub.set_state(LiveState { state, cause });
    }

    /// One session, from connecting to its end.
    async fn run_once(
        &mut self,
        config: &StreamConfig,
        recorder: &mut Recorder,
        events: &mut broadcast::Receiver<StoreEvent>,
    ) -> Result<Left, Failure> {
        let env = self.env.clone();
        let connect = async {
            let mut playing = session::open(config, &self.group, &env.settings).await?;
            let begun = parameters(&mut playing, &env.settings).await?;
            Ok::<_, Cause>((playing, begun))
        };
        let (mut playing, (tracks, first)) = tokio::select! {
            biased;
            connected = connect => connected?,
            _ = self.orders.changed() => return Ok(Left::Ordered),
        };
        let (hub, status) = (self.hub.clone(), self.status.clone());
        let mut intake = Intake::new(&*env.clock, &env.settings, recorder, &hub, &status, tracks);
        let begun = env.clock.monotonic().0;
        let outcome = self.play(config, &mut playing, &mut intake, events, first, begun).await;
        let running_since = intake.running_since();
        intake.finish();
        let good = lasts(running_since, env.clock.monotonic().0) >= env.settings.good_run;
        outcome.map_err(|cause| Failure { cause, good })
    }

    async fn play(
        &mut self,
        config: &StreamConfig,
        playing: &mut Playing,
        intake: &mut Intake<'_>,
        events: &mut broadcast::Receiver<StoreEvent>,
        first: Option<VideoFrame>,
        begun: i64,
    ) -> Result<Left, Cause> {
        let env = self.env.clone();
        let mut quiet = Quiet { begun, other: false, unwatched: None };
        let mut wake = Box::pin(sleep(env.settings.fragment));
        let mut store_gone = false;
        if let Some(frame) = first {
            self.video(playing, intake, frame)?;
        }
        loop {
            tokio::select! {
                biased;
                item = playing.demuxed.next() => match item {
                    Some(Ok(CodecItem::VideoFrame(frame))) => {
                        quiet.other = false;
                        self.video(playing, intake, frame)?;
                        // A camera that sends faster than can be read must not keep orders from being heard.
                        if self.orders.has_changed().unwrap_or(true) {
                            return Ok(Left::Ordered);
                        }
                    }
                    Some(Ok(item)) => {
                        quiet.other = true;
                        other(playing, intake, item);
                    }
                    Some(Err(e)) => return Err(cause::from_retina(&e, "PLAY", config.credentials.as_ref())),
                    None => return Err(Cause::new(CauseKind::Camera, "the camera closed the connection")),
                },
                _ = self.orders.changed() => return Ok(Left::Ordered),
                event = events.recv(), if !store_gone => match event {
                    Ok(event) => intake.event(&event),
                    // What was missed of a failed volume, the next refused fragment tells.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => store_gone = true,
                },
                () = &mut wake => {
                    intake.flush_due();
                    let watched = config.record || *self.hub.watchers().borrow() > 0;
                    let now = env.clock.monotonic().0;
                    if lasts(intake.running_since(), now) >= env.settings.good_run && self.lost.take().is_some() {
                        log::info!(
                            MESSAGE_ID = event::CAMERA_BACK,
                            CAMERA = config.camera.as_str(), STREAM = config.kind.as_str();
                            "{} {}: pictures come again", config.camera, config.kind
                        );
                    }
                    if quiet.look(&env.settings, intake, now, watched)? {
                        return Ok(Left::Unwatched);
                    }
                    rearm(&mut wake, &env.settings, intake, now);
                }
            }
        }
    }

    fn video(&self, playing: &Playing, intake: &mut Intake<'_>, frame: VideoFrame) -> Result<(), Cause> {
        let tracks = if frame.has_new_parameters() { playing.tracks()? } else { None };
        let was_running = intake.is_running();
        intake.video(VideoIn {
            elapsed: frame.timestamp().elapsed(),
            lost: frame.loss().into(),
            tracks,
            // Without the room that it was assembled in: it stays in memory for seconds.
            data: Bytes::from(frame.into_data().into_boxed_slice()),
        });
        if !was_running && intake.is_running() {
            self.set_state(StreamState::Running, None);
        }
        Ok(())
    }
}

/// How long a session has run by now.
fn lasts(since: Option<i64>, now: i64) -> Duration {
    Duration::from_nanos(u64::try_from(since.map_or(0, |t| now.saturating_sub(t))).unwrap_or(0))
}

/// Why a session ended that is wanted otherwise now.
fn changed(config: &StreamConfig) -> Cause {
    match (config.record, config.short) {
        (true, _) => Cause::new(CauseKind::Site, "the site changed this stream's settings"),
        (false, true) => {
            Cause::new(CauseKind::Full, "the disks are short, so the camera is recorded by its sub stream")
        }
        (false, false) => Cause::new(CauseKind::Site, "the site does not want it recorded now"),
    }
}

/// Waits for the parameters, if the camera has not described them. With the frame that brought them.
async fn parameters(playing: &mut Playing, settings: &Settings) -> Result<(Tracks, Option<VideoFrame>), Cause> {
    if let Some(tracks) = playing.tracks()? {
        return Ok((tracks, None));
    }
    let find = async {
        loop {
            match playing.demuxed.next().await {
                Some(Ok(CodecItem::VideoFrame(frame))) => {
                    if let Some(tracks) = playing.tracks()? {
                        return Ok((tracks, Some(frame)));
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(e)) => return Err(cause::from_retina(&e, "PLAY", None)),
                None => return Err(Cause::new(CauseKind::Camera, "the camera closed the connection")),
            }
        }
    };
    timeout(settings.first_frame, find)
        .await
        .unwrap_or_else(|_| Err(Cause::new(CauseKind::NoVideo, "the camera tells no parameter sets")))
}

/// Sound and sender reports.
fn other(playing: &Playing, intake: &mut Intake<'_>, item: CodecItem) {
    match item {
        CodecItem::AudioFrame(frame) if playing.audio() == Some(frame.stream_id()) => intake.audio(AudioIn {
            elapsed: frame.timestamp().elapsed(),
            length: frame.frame_length().get(),
            lost: frame.loss().into(),
            data: Bytes::copy_from_slice(frame.data()),
        }),
        CodecItem::Rtcp(packet) if packet.stream_id() == playing.video => {
            if let Some(rtp) = packet.rtp_timestamp()
                && let Some(Ok(Some(report))) = packet.pkts().next().map(PacketRef::as_sender_report)
                && let Some(camera) = wall_of_ntp(report.ntp_timestamp().0)
            {
                intake.report(rtp.elapsed(), camera);
            }
        }
        _ => {}
    }
}

/// NTP time (RFC 5905 section 6) within 68 years of 2038 as wall time; nothing for 0, which means unknown.
fn wall_of_ntp(ntp: u64) -> Option<WallNs> {
    if ntp == 0 {
        return None;
    }
    let since = ntp.wrapping_sub(retina::UNIX_EPOCH.0);
    let nanos = ((since & 0xffff_ffff) * 1_000_000_000) >> 32;
    let seconds = since >> 32;
    i64::try_from(seconds * 1_000_000_000 + nanos).ok().map(WallNs)
}

/// Sets the alarm to when samples are due; never late for what arrives from now on.
fn rearm(wake: &mut Pin<Box<Sleep>>, settings: &Settings, intake: &Intake<'_>, now: i64) {
    let due = intake.due().map(|due| Duration::from_nanos(u64::try_from(due.saturating_sub(now)).unwrap_or(0)));
    let wait = due.unwrap_or(settings.fragment).min(settings.fragment).max(Duration::from_millis(20));
    wake.as_mut().reset(Instant::now() + wait);
}

/// Watches for silence.
struct Quiet {
    begun: i64,
    /// Whether something else than pictures has come since the last picture.
    other: bool,
    unwatched: Option<i64>,
}

impl Quiet {
    /// Whether the stream has been of no interest for long enough; an error if the camera has been silent for too long.
    fn look(&mut self, settings: &Settings, intake: &Intake<'_>, now: i64, watched: bool) -> Result<bool, Cause> {
        let past = |since: i64, limit: Duration| {
            Duration::from_nanos(u64::try_from(now.saturating_sub(since)).unwrap_or(0)) >= limit
        };
        let silent = |limit: Duration, what: &str| {
            let s = limit.as_secs_f32();
            Err(if self.other {
                Cause::new(CauseKind::NoVideo, format!("{what}: no picture for {s} s, though other packets came"))
            } else {
                Cause::new(CauseKind::Timeout, format!("{what}: nothing for {s} s"))
            })
        };
        match intake.last_video() {
            None if past(self.begun, settings.first_frame) => return silent(settings.first_frame, "after PLAY"),
            Some(last) if past(last, settings.silence) => return silent(settings.silence, "while playing"),
            _ if !intake.is_running() && past(self.begun, settings.first_key) => {
                let s = settings.first_key.as_secs_f32();
                return Err(Cause::new(CauseKind::NoVideo, format!("no key frame within {s} s")));
            }
            _ => {}
        }
        if watched {
            self.unwatched = None;
        }
        Ok(!watched && past(*self.unwatched.get_or_insert(now), settings.linger))
    }
}
