//! Why there is a gap.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kinds of cause that a gap can have. On disk and in messages by their kebab-case names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CauseKind {
    /// No TCP connection: no route, refused, or no answer to SYN in time.
    Unreachable,
    /// The camera refused the user name or password (RTSP 401 or 403).
    Credentials,
    /// Connected, then silent: a request or the next packet took too long.
    Timeout,
    /// The session is up but brings no picture that can be decoded.
    NoVideo,
    /// The camera said something that RTSP, RTP or its codec does not allow.
    Protocol,
    /// The camera itself closed the connection or answered with an error (RTSP 404, 453, 5xx …).
    Camera,
    /// The footage could not be written: the disk failed, is full, gone, or slower than the cameras.
    Disk,
    /// The disks are full of footage that is promised to be kept: cameras of lower priority are not recorded.
    Full,
    /// The local clock was stepped forward.
    ClockStep,
    /// The recorder was not running: stopped in order.
    Stopped,
    /// The recorder was not running: killed, crashed, or without power.
    Restart,
    /// The site said so: camera removed, disabled, or outside its schedule.
    Site,
    /// There was footage; it went when its time was over, and what lies around it is held.
    Retention,
    /// Nothing is known of the cause (footage of a run in between was lost or removed by hand).
    Unknown,
}

impl CauseKind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Unreachable,
        Self::Credentials,
        Self::Timeout,
        Self::NoVideo,
        Self::Protocol,
        Self::Camera,
        Self::Disk,
        Self::Full,
        Self::ClockStep,
        Self::Stopped,
        Self::Restart,
        Self::Site,
        Self::Retention,
        Self::Unknown,
    ];

    /// The kebab-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Credentials => "credentials",
            Self::Timeout => "timeout",
            Self::NoVideo => "no-video",
            Self::Protocol => "protocol",
            Self::Camera => "camera",
            Self::Disk => "disk",
            Self::Full => "full",
            Self::ClockStep => "clock-step",
            Self::Stopped => "stopped",
            Self::Restart => "restart",
            Self::Site => "site",
            Self::Retention => "retention",
            Self::Unknown => "unknown",
        }
    }

    /// The kind with that name; [`CauseKind::Unknown`] for a name of a later version.
    pub fn from_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|k| k.as_str() == name).unwrap_or(Self::Unknown)
    }
}

impl fmt::Display for CauseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A cause with its particulars. The detail never holds a password.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cause {
    /// The kind.
    pub kind: CauseKind,
    /// What was seen, for a technician: the error's text, or who stopped it. May be empty.
    pub detail: String,
}

impl Cause {
    /// A cause with a detail.
    pub fn new(kind: CauseKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detail.is_empty() { write!(f, "{}", self.kind) } else { write!(f, "{}: {}", self.kind, self.detail) }
    }
}
