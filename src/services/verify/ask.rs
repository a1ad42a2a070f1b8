//! What is asked for.

use std::{path::PathBuf, time::Duration};

use crate::types::{ByteSize, CameraId, RecorderId, Span, VolumeName};

/// Which footage.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// On these volumes; none named: on all.
    pub volumes: Vec<VolumeName>,
    /// Of these cameras, by their present names; none named: of all.
    pub cameras: Vec<CameraId>,
    /// Of that time; nothing: whenever it was.
    pub span: Option<Span>,
}

impl Scope {
    /// Whether all footage of a volume is meant.
    pub(super) fn is_whole(&self) -> bool {
        self.cameras.is_empty() && self.span.is_none()
    }

    pub(super) fn has(&self, volume: &VolumeName) -> bool {
        self.volumes.is_empty() || self.volumes.contains(volume)
    }

    pub(super) fn time(&self) -> Span {
        self.span.unwrap_or(Span::all())
    }
}

impl std::fmt::Display for Scope {
    /// For the ledger: `all`, or what it was limited to.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts: Vec<String> = self.volumes.iter().map(|v| format!("volume {v}")).collect();
        parts.extend(self.cameras.iter().map(|c| format!("camera {c}")));
        parts.extend(self.span.map(|s| format!("{} to {}", s.start, s.end)));
        f.write_str(if parts.is_empty() { "all" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

/// What is asked for, and how.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Where the recorder keeps its state.
    pub state: PathBuf,
    /// site.toml, where it is to say where volumes are; else the recorder's last word on that counts.
    pub site: Option<PathBuf>,
    /// Which recorder of that site.
    pub recorder: Option<RecorderId>,
    /// Which footage.
    pub scope: Scope,
    /// At most so many bytes in a second.
    pub rate: Option<ByteSize>,
    /// As a scrub: a round through all footage so often; an unfinished one goes on where it was.
    pub every: Option<Duration>,
}
