//! What an entry says. As canonical JSON: members in the order of the fields, no white space, no member left out but those that are
//! empty by `skip_serializing_if`; so equal entries are equal bytes.

use std::io;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    sys::random,
    types::{
        CameraId, Cause, RecorderId, RunId, SegmentId, Span, StreamId, StreamKind, VolumeName, WallNs, merkle::Hash,
        wire::health::Level,
    },
};

/// Version of the entries that this program writes.
pub(super) const FORMAT: u16 = 1;
/// The oldest version whose readers understand them.
pub(super) const MIN_READER: u16 = 1;

/// One entry of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Version that it was written in.
    pub format: u16,
    /// The oldest version whose readers understand it.
    pub min_reader: u16,
    /// When it was made, by the clock of the machine that made it.
    pub at: WallNs,
    /// The machine.
    pub recorder: RecorderId,
    /// Set for an entry that came by the spool: by which one that is read twice is appended once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spool: Option<uuid::Uuid>,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

impl Entry {
    /// An entry of this version.
    pub fn new(at: WallNs, recorder: RecorderId, what: What) -> Self {
        Self { format: FORMAT, min_reader: MIN_READER, at, recorder, spool: None, what }
    }

    /// The bytes that are the leaf.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and integers always serialise")
    }
}

/// A person or a text that the ledger vouches for without telling it: SHA-256 over salt and text. The salt is kept with the text,
/// elsewhere, and expires with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Salted(Hash);

/// 16 random bytes as 32 hexadecimal digits.
///
/// # Errors
/// If the kernel gives none.
pub fn new_salt() -> io::Result<String> {
    Ok(format!("{:032x}", u128::from_be_bytes(random()?)))
}

/// The bytes of a salt that is written as 32 hexadecimal digits.
pub fn salt_of(text: &str) -> Option<[u8; 16]> {
    u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32).map(u128::to_be_bytes)
}

impl Salted {
    /// Of a text with its salt (16 random bytes).
    pub fn new(salt: &[u8; 16], text: &str) -> Self {
        Self(Hash(Sha256::new().chain_update(salt).chain_update(text).finalize().into()))
    }

    /// By what people can tell two of them apart: its first 8 digits.
    pub fn short(&self) -> String {
        self.0.to_string()[..8].to_owned()
    }
}

/// A segment that is closed: from now on nobody changes it unnoticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentEntry {
    /// The recording.
    pub stream: StreamId,
    /// The run.
    pub run: RunId,
    /// The file within the run.
    pub seq: u32,
    /// Where it lies; a copy on another volume has an entry of its own.
    pub volume: VolumeName,
    /// The camera's id at the time.
    pub camera: CameraId,
    /// Main or sub. `kind` is what an entry is.
    #[serde(rename = "stream_kind")]
    pub kind: StreamKind,
    /// Corrected wall time covered.
    pub span: Span,
    /// What was added to the recorder's clock, ns.
    pub clock_correction: i64,
    /// Pictures.
    pub frames: u64,
    /// RTP packets lost.
    pub lost_packets: u64,
    /// Where no picture came within it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holes: Vec<Span>,
    /// Whether it was found torn, and closed by recovery.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recovered: bool,
    /// RFC 6962 root over the digest of its head and the leaves of its fragments, docs/ref/format.md.
    pub root: Hash,
}

impl SegmentEntry {
    /// Its identity.
    pub fn id(&self) -> SegmentId {
        SegmentId { stream: self.stream, run: self.run, seq: self.seq }
    }
}

/// Why a segment was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Older than `max_days`.
    MaxDays,
    /// Older than `min_days`, and its room was needed.
    Room,
    /// Younger than `min_days`, and its room was needed: only where the site calls the promise a target.
    Target,
}

/// What was done to something that stands in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Made.
    Added,
    /// Made longer or wider.
    Extended,
    /// Let go.
    Released,
}

/// What became of an announcement that work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SilenceChange {
    /// From now on nobody is alarmed.
    Begun,
    /// It is over, by itself or by somebody's word.
    Ended,
}

/// What became of the vendor's permission to reach this recorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemoteChange {
    /// The school allows it.
    Allowed,
    /// Something was asked for.
    Used,
    /// It is over, by itself or by somebody's word.
    Ended,
}

/// What became of a version of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateChange {
    /// The school consents to it: before anything of it is written.
    Consented,
    /// It is written, and comes with the next start.
    Applied,
    /// It came up as it should.
    Good,
    /// It did not: the version before runs again.
    FellBack,
    /// A person refuses it.
    Refused,
}

/// A checkpoint of another log, with what it takes to check it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vouched {
    /// The signed note.
    pub checkpoint: String,
    /// The key that it is signed with.
    pub vkey: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum What {
    /// The first entry of a log.
    LogBegins {
        /// The site's name on the disks.
        site: String,
        /// The newest checkpoint of the log before, as found on the volumes; none for the first log of a recorder.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        predecessor: Option<Vouched>,
    },
    /// A volume brought a checkpoint of another log: of this recorder before it lost its own, or of another one.
    OtherLog {
        /// Which volume.
        volume: VolumeName,
        /// The checkpoint.
        head: Vouched,
    },
    /// Entries are missing here: they were made while the log could not be written, and there was no room to keep them all.
    Omitted {
        /// How many.
        entries: u64,
        /// When the first of them was made.
        since: WallNs,
    },
    /// A service started.
    ServiceStarted {
        /// Which: `record`.
        service: String,
        /// The program's version.
        version: String,
        /// Why it was not running until now; none at the first start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Cause>,
    },
    /// A service stopped in order.
    ServiceStopped {
        /// Which.
        service: String,
        /// Who or what stopped it.
        by: String,
    },
    /// A segment is closed.
    Segment(SegmentEntry),
    /// Segments of one stream on one volume were removed; written before the first of them is.
    Retired {
        /// The recording.
        stream: StreamId,
        /// The camera's id.
        camera: CameraId,
        /// Where they lay.
        volume: VolumeName,
        /// Why.
        reason: Reason,
        /// From the first one's start to the last one's end.
        span: Span,
        /// Run and number of each.
        segments: Vec<(RunId, u32)>,
    },
    /// There was no footage of a stream.
    Gap {
        /// The recording.
        stream: StreamId,
        /// The camera's id.
        camera: CameraId,
        /// From the end of what was before; its end is none for one that has only begun, and another entry says when it ends.
        start: WallNs,
        /// Its end.
        end: Option<WallNs>,
        /// Why.
        cause: Cause,
    },
    /// The recorder's clock was set while it ran.
    ClockStep {
        /// By so many ns; negative: back.
        by: i64,
    },
    /// A person said that the clock is right.
    ClockConfirmed {
        /// Who.
        by: Salted,
        /// Why they know.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Salted>,
    },
    /// A hold was added, extended or released.
    Hold {
        /// Which hold.
        hold: uuid::Uuid,
        /// What was done.
        change: Change,
        /// The footage that it holds from now on.
        span: Span,
        /// Of these cameras; none named: of all.
        cameras: Vec<CameraId>,
        /// Who ordered it.
        by: Salted,
        /// Why, with the case's reference.
        reason: Salted,
        /// Whether it was ordered though the promise of cameras breaks by it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        even_if_short: bool,
    },
    /// A site came into force.
    Generation {
        /// Its number.
        number: u64,
        /// SHA-256 of site.toml.
        site: Hash,
        /// Who applied it.
        by: Salted,
        /// Why, where that was to be said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Salted>,
    },
    /// Something happened to a volume or its disk.
    Volume {
        /// The volume's name.
        volume: String,
        /// Its marker's id, where known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<uuid::Uuid>,
        /// `opened`, `absent`, `failed`, `back`; by the commands for disks, before they begin: `prepared`, `released`, `erased`.
        event: String,
        /// What was seen, for a technician. May be empty.
        detail: String,
    },
    /// A person said that what is on a volume is as it should be, though the index knew otherwise.
    VolumeConfirmed {
        /// The volume's name.
        volume: VolumeName,
        /// Its marker's id, where known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<uuid::Uuid>,
        /// Who.
        by: Salted,
        /// Why they know.
        reason: Salted,
        /// What they have looked at, for a technician.
        detail: String,
    },
    /// Promised footage is not there: overwritten (a target), or its disk is lost.
    Breach {
        /// The camera's id.
        camera: CameraId,
        /// The footage.
        span: Span,
        /// Why.
        cause: Cause,
    },
    /// A camera is not recorded, or is again, because the disks are full of promised footage.
    Room {
        /// The camera's id.
        camera: CameraId,
        /// The volume.
        volume: VolumeName,
        /// Whether it is recorded from now on.
        recorded: bool,
        /// By its sub stream only.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        substream: bool,
    },
    /// Footage was read again and compared with this log.
    Verified {
        /// What: `all`, or the volume, camera and span asked for, in words of the command line.
        scope: String,
        /// Segments read.
        segments: u64,
        /// Bytes read.
        bytes: u64,
        /// What does not agree, one line each; empty: all does.
        damaged: Vec<String>,
    },
    /// A backup was made.
    Backup {
        /// Its id.
        backup: String,
        /// Where it lies, without any secret.
        place: String,
        /// Files in it.
        files: u64,
        /// Bytes, encrypted.
        bytes: u64,
        /// SHA-256 of its list of contents, encrypted as it is.
        manifest: Hash,
        /// What could not be backed up: how many files of each kind, and paths of footage.
        missing: Vec<String>,
    },
    /// Something has become better or worse, as health saw it.
    Alarm {
        /// What was looked at: `footage`, `volume` and the like.
        probe: String,
        /// The camera that it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        camera: Option<CameraId>,
        /// What else it is about: a volume, a unit, an endpoint by its number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
        /// How it is from now on.
        level: Level,
        /// How it was.
        from: Level,
        /// What was found.
        code: String,
        /// Whether it comes and goes so often that it is held at its worst.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unsteady: bool,
    },
    /// Work was announced, during which nobody is alarmed, or it is over.
    Silence {
        /// Which.
        silence: uuid::Uuid,
        /// What became of it.
        change: SilenceChange,
        /// Until when; it ends by itself. Of one that is over: when it ended.
        until: WallNs,
        /// Which probes; none named: all.
        probes: Vec<String>,
        /// Which cameras; none named: all, and what is about no camera.
        cameras: Vec<CameraId>,
        /// Who announced or ended it; none: it ended by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Salted>,
        /// Why it was announced.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Salted>,
    },
    /// The vendor may reach this recorder, did so, or may no longer.
    Remote {
        /// What became of it.
        change: RemoteChange,
        /// Until when it is allowed.
        until: WallNs,
        /// What was asked for: `GET /metrics` and the like.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        route: Option<String>,
        /// Who allowed or ended it; none: it ended by itself, or the vendor used it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Salted>,
        /// Why it was allowed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Salted>,
    },
    /// Another version of the system, and what became of it.
    Update {
        /// Which.
        version: String,
        /// What became of it.
        change: UpdateChange,
        /// SHA-256 of its signed list, `SHA256SUMS`.
        sums: Hash,
        /// Who consented or refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Salted>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Salted>,
    },
    /// The configuration is set aside: no site is in force from now on.
    Reset {
        /// The generation that was in force; none: nothing was.
        generation: Option<u64>,
        /// Who did it.
        by: Salted,
        /// Why.
        reason: Salted,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_entries_are_equal_bytes_and_come_back() {
        let what = What::Gap {
            stream: StreamId::from_bytes([7; 16]),
            camera: "gate".parse().unwrap(),
            start: WallNs(5),
            end: None,
            cause: Cause::new(crate::types::CauseKind::Disk, "v1"),
        };
        let entry = Entry::new(WallNs(9), "a".parse().unwrap(), what);
        let text = String::from_utf8(entry.to_bytes()).unwrap();
        assert_eq!(
            text,
            "{\"format\":1,\"min_reader\":1,\"at\":9,\"recorder\":\"a\",\"kind\":\"gap\",\"stream\":\"07070707-0707-0707-0707-070707070707\",\
             \"camera\":\"gate\",\"start\":5,\"end\":null,\"cause\":{\"kind\":\"disk\",\"detail\":\"v1\"}}"
        );
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry);
    }
}
