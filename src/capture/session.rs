//! One RTSP session: from a URL to frames, each step bounded in time.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use retina::{
    client::{
        Demuxed, InitialTimestampPolicy, PlayOptions, Session, SessionGroup, SessionIdPolicy, SessionOptions,
        SetupOptions, TcpTransportOptions, UdpTransportOptions, UnknownRtcpSsrcPolicy,
    },
    codec::{FrameFormat, ParametersRef},
};
use tokio::{net::TcpStream, time::timeout};

use crate::types::{Cause, CauseKind, Track};

use super::{
    cause,
    config::{Settings, StreamConfig, Transport},
    tracks::{self, Tracks},
};

/// What RTSP servers see; some log it.
const USER_AGENT: &str = concat!("custodian/", env!("CARGO_PKG_VERSION"));

/// A session that plays.
pub(super) struct Playing {
    pub(super) demuxed: Demuxed,
    /// Index of the video stream.
    pub(super) video: usize,
    rate: u32,
    audio: Option<(usize, Track)>,
}

impl Playing {
    /// Index of the audio stream, if there is one that is recorded.
    pub(super) fn audio(&self) -> Option<usize> {
        self.audio.as_ref().map(|(i, _)| *i)
    }

    /// The tracks as they are now; nothing before the camera has told its parameters.
    pub(super) fn tracks(&self) -> Result<Option<Tracks>, Cause> {
        let Some(ParametersRef::Video(p)) = self.demuxed.streams()[self.video].parameters() else { return Ok(None) };
        let (video, depth) = tracks::video(p, self.rate).map_err(|e| Cause::new(CauseKind::Protocol, e))?;
        let list = std::iter::once(video).chain(self.audio.as_ref().map(|(_, t)| t.clone())).collect();
        Ok(Some(Tracks { list, depth }))
    }
}

/// Connects, and plays the first video stream and the first audio stream that is recorded.
pub(super) async fn open(
    config: &StreamConfig,
    group: &Arc<SessionGroup>,
    settings: &Settings,
) -> Result<Playing, Cause> {
    let credentials = config.credentials.as_ref();
    let failed = |doing: &str, e: &retina::Error| cause::from_retina(e, doing, credentials);

    // A camera with few session slots refuses a new session while an old one has not ended.
    let _ = timeout(settings.stale_sessions, group.await_teardown()).await;

    let mut session = describe(config, group, settings).await?;
    let streams = session.streams();
    let video = streams
        .iter()
        .position(|s| s.media() == "video" && matches!(s.encoding_name(), "h264" | "h265"))
        .ok_or_else(|| {
            let offered: Vec<_> = streams.iter().map(|s| format!("{}/{}", s.media(), s.encoding_name())).collect();
            Cause::new(CauseKind::NoVideo, format!("the camera offers no H.264 or H.265: {}", offered.join(", ")))
        })?;
    let rate = streams[video].clock_rate_hz();
    let audio = audio_of(&session, config);

    let setup = |i: usize| {
        let transport = match config.transport {
            Transport::Tcp => retina::client::Transport::Tcp(TcpTransportOptions::default()),
            Transport::Udp => retina::client::Transport::Udp(UdpTransportOptions::default()),
        };
        (i, SetupOptions::default().transport(transport).frame_format(FrameFormat::MP4))
    };
    for (i, options) in [Some(video), audio.as_ref().map(|(i, _)| *i)].into_iter().flatten().map(setup) {
        timeout(settings.setup, session.setup(i, options))
            .await
            .map_err(|_| cause::timeout("SETUP", settings.setup))?
            .map_err(|e| failed("SETUP", &e))?;
    }
    let options = PlayOptions::default()
        // Sound is brought in step with the pictures by `audio`, whatever RTP-Info says.
        .initial_timestamp(InitialTimestampPolicy::Permissive)
        .unknown_rtcp_ssrc(UnknownRtcpSsrcPolicy::ProcessPackets);
    let demuxed = timeout(settings.play, session.play(options))
        .await
        .map_err(|_| cause::timeout("PLAY", settings.play))?
        .and_then(Session::demuxed)
        .map_err(|e| failed("PLAY", &e))?;
    Ok(Playing { demuxed, video, rate, audio })
}

/// The first audio stream that is recorded. What is not is said once a session.
fn audio_of(session: &Session<retina::client::Described>, config: &StreamConfig) -> Option<(usize, Track)> {
    for (i, s) in session.streams().iter().enumerate().filter(|(_, s)| s.media() == "audio") {
        let problem = match (tracks::audio_codec(s.encoding_name()), s.parameters()) {
            (Some(codec), Some(ParametersRef::Audio(p))) => match tracks::audio(p, codec) {
                Ok(track) => return Some((i, track)),
                Err(e) => e,
            },
            (Some(_), _) => "its parameters are missing".to_owned(),
            (None, _) => "this codec is not recorded".to_owned(),
        };
        log::info!(CAMERA = config.camera.as_str(), STREAM = config.kind.as_str(); "{} {}: no sound from audio/{}: {problem}", config.camera, config.kind, s.encoding_name());
    }
    None
}

async fn describe(
    config: &StreamConfig,
    group: &Arc<SessionGroup>,
    settings: &Settings,
) -> Result<Session<retina::client::Described>, Cause> {
    let mut url = config.url.clone();
    // Only a URL that cannot be a base has none to clear; retina refuses that one.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let options = SessionOptions::default()
        .creds(
            config
                .credentials
                .as_ref()
                .map(|c| retina::client::Credentials { username: c.username.clone(), password: c.password.clone() }),
        )
        .user_agent(USER_AGENT.to_owned())
        .session_id(SessionIdPolicy::UseFirst)
        .session_group(group.clone());
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = url.port().unwrap_or(554);

    // retina connects and asks in one step. Where that takes long, a second connection tells which of the two it is.
    let mut asking = Box::pin(timeout(settings.connect + settings.describe, Session::describe(url, options)).fuse());
    let half = settings.connect / 2;
    let answer = if let Ok(answer) = timeout(half, &mut asking).await {
        answer
    } else {
        tokio::select! {
            biased;
            answer = &mut asking => answer,
            cause = unreachable(&host, port, half) => return Err(cause),
        }
    };
    answer
        .map_err(|_| cause::timeout("DESCRIBE", settings.describe))?
        .map_err(|e| cause::from_retina(&e, "DESCRIBE", config.credentials.as_ref()))
}

/// Ends if no connection can be had.
async fn unreachable(host: &str, port: u16, limit: Duration) -> Cause {
    match timeout(limit, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => std::future::pending().await,
        Ok(Err(e)) => Cause::new(CauseKind::Unreachable, format!("{host}:{port}: {e}")),
        Err(_) => Cause::new(
            CauseKind::Unreachable,
            format!("{host}:{port}: no answer within {} s", 2.0 * limit.as_secs_f32()),
        ),
    }
}
