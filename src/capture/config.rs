//! What capture is told: which streams, and how patient to be.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    store::SharedFootage,
    sys::Clock,
    types::{CameraId, RecorderId, StreamKind},
};

/// How RTP travels (RFC 2326 section 10.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Transport {
    /// Interleaved in the RTSP connection: nothing is lost, one port.
    #[default]
    Tcp,
    /// Datagrams: what comes out of order counts as lost.
    Udp,
}

/// User name and password of a camera. Its `Debug` form hides both.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

/// One stream of one camera, as the site wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamConfig {
    /// The camera.
    pub camera: CameraId,
    /// Its name for people. A change of nothing else restarts nothing.
    pub camera_name: String,
    /// Main or sub.
    pub kind: StreamKind,
    /// `rtsp://…`, without user name and password.
    pub url: url::Url,
    /// What the camera wants to hear, if it asks (Basic or Digest).
    pub credentials: Option<Credentials>,
    /// TCP or UDP.
    pub transport: Transport,
    /// Whether it is recorded. If not, the camera is asked for it only while somebody watches.
    pub record: bool,
    /// Whether it would be recorded if there were room for it: another stream of the camera is instead.
    pub short: bool,
}

impl StreamConfig {
    /// Whether a session of `other` can go on as one of this.
    pub(super) fn same_session(&self, other: &Self) -> bool {
        Self { camera_name: String::new(), ..self.clone() } == Self { camera_name: String::new(), ..other.clone() }
    }
}

/// How patient to be, and how large pieces may be. The defaults are those of a recorder in earnest.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Until the TCP connection stands.
    pub connect: Duration,
    /// Until DESCRIBE is answered.
    pub describe: Duration,
    /// Until each SETUP is answered.
    pub setup: Duration,
    /// Until PLAY is answered.
    pub play: Duration,
    /// From PLAY to the first picture.
    pub first_frame: Duration,
    /// From PLAY to the first picture at which decoding can start: the longest group of pictures that is waited for.
    pub first_key: Duration,
    /// The longest silence of a running camera.
    pub silence: Duration,
    /// How long the end of earlier sessions to a camera is waited for before the next one.
    pub stale_sessions: Duration,
    /// The shortest wait before another attempt.
    pub backoff_min: Duration,
    /// The longest wait before another attempt.
    pub backoff_max: Duration,
    /// A session that brought frames for this long resets the wait.
    pub good_run: Duration,
    /// How long a stream that is not recorded stays connected after the last watcher has left.
    pub linger: Duration,
    /// A fragment never covers more, so that a killed process loses at most 2 s together with what is under way.
    pub fragment: Duration,
    /// A fragment never holds more coded data, in bytes, except for one sample.
    pub fragment_bytes: usize,
    /// Length of a segment.
    pub segment: Duration,
    /// Coded data kept for those who begin to watch, in bytes a stream.
    pub tap_bytes: usize,
    /// How often a volume is looked for while there is none.
    pub volume_retry: Duration,
    /// How long [`super::Supervisor::stop`] waits for streams to flush.
    pub stop: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            connect: s(5),
            describe: s(10),
            setup: s(10),
            play: s(10),
            first_frame: s(10),
            first_key: s(30),
            silence: s(10),
            stale_sessions: s(5),
            backoff_min: s(1),
            backoff_max: s(30),
            good_run: s(60),
            linger: s(30),
            fragment: Duration::from_millis(1_900),
            fragment_bytes: 1 << 20,
            segment: s(300),
            tap_bytes: 4 << 20,
            volume_retry: s(3),
            stop: s(5),
        }
    }
}

/// What capture needs from its surroundings.
#[derive(Clone)]
pub struct Env {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where footage goes.
    pub footage: SharedFootage,
    /// The site's name, for the files' heads.
    pub site: String,
    /// This machine.
    pub recorder: RecorderId,
    /// How patient to be.
    pub settings: Settings,
}
