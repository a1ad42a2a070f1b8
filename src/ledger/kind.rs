//! Which entries there are, and whom they concern.

use super::entry::What;
use crate::types::CameraId;

impl What {
    /// Names of all kinds of entries.
    pub const KINDS: [&'static str; 23] = [
        "log-begins",
        "other-log",
        "omitted",
        "service-started",
        "service-stopped",
        "segment",
        "retired",
        "gap",
        "clock-step",
        "clock-confirmed",
        "hold",
        "generation",
        "volume",
        "volume-confirmed",
        "breach",
        "room",
        "verified",
        "backup",
        "alarm",
        "silence",
        "remote",
        "update",
        "reset",
    ];

    /// The name of its kind, as it stands in the entry.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::LogBegins { .. } => "log-begins",
            Self::OtherLog { .. } => "other-log",
            Self::Omitted { .. } => "omitted",
            Self::ServiceStarted { .. } => "service-started",
            Self::ServiceStopped { .. } => "service-stopped",
            Self::Segment(_) => "segment",
            Self::Retired { .. } => "retired",
            Self::Gap { .. } => "gap",
            Self::ClockStep { .. } => "clock-step",
            Self::ClockConfirmed { .. } => "clock-confirmed",
            Self::Hold { .. } => "hold",
            Self::Generation { .. } => "generation",
            Self::Volume { .. } => "volume",
            Self::VolumeConfirmed { .. } => "volume-confirmed",
            Self::Breach { .. } => "breach",
            Self::Room { .. } => "room",
            Self::Verified { .. } => "verified",
            Self::Backup { .. } => "backup",
            Self::Alarm { .. } => "alarm",
            Self::Silence { .. } => "silence",
            Self::Remote { .. } => "remote",
            Self::Update { .. } => "update",
            Self::Reset { .. } => "reset",
        }
    }

    /// Whether it names a camera, or concerns all of them by saying so.
    pub fn concerns(&self, camera: &CameraId) -> bool {
        match self {
            Self::Segment(segment) => segment.camera == *camera,
            Self::Retired { camera: of, .. }
            | Self::Gap { camera: of, .. }
            | Self::Breach { camera: of, .. }
            | Self::Room { camera: of, .. } => of == camera,
            Self::Alarm { camera: of, .. } => of.as_ref() == Some(camera),
            Self::Hold { cameras, .. } | Self::Silence { cameras, .. } => {
                cameras.is_empty() || cameras.contains(camera)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::ledger::{Entry, What, samples::samples};

    #[test]
    fn every_kind_is_what_it_says_and_comes_back() {
        let kinds: BTreeSet<&str> = samples().iter().map(|entry| entry.what.kind()).collect();
        assert_eq!(kinds, What::KINDS.into(), "a sample of each kind");
        for entry in samples() {
            let bytes = entry.to_bytes();
            let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(json["kind"], entry.what.kind());
            let again: Entry = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(again, entry);
            assert_eq!(again.to_bytes(), bytes);
            // No member comes twice, whatever reader there is.
            let text = String::from_utf8(bytes).unwrap();
            assert_eq!(serde_json::to_string(&json).unwrap().len(), text.len(), "{text}");
        }
    }

    #[test]
    fn whom_entries_concern() {
        let [gate, other] = ["gate", "other"].map(|id| id.parse().unwrap());
        let concerned =
            |id| samples().iter().filter(|e| e.what.concerns(id)).map(|e| e.what.kind()).collect::<Vec<_>>();
        assert_eq!(
            concerned(&gate),
            [
                "segment", "segment", "retired", "gap", "gap", "hold", "hold", "breach", "room", "room", "alarm",
                "silence", "silence"
            ]
        );
        assert_eq!(concerned(&other), ["hold", "silence"], "those that are for all cameras");
    }
}
