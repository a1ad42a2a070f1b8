//! The list of contents of a backup, which lies encrypted beside it: a line of JSON for the backup, then one for each file.

use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use super::{
    names::{BackupId, CopyId},
    record::{FORMAT, Kind, MIN_READER},
};
use crate::types::{CameraId, RecorderId, Span, StreamKind, VolumeName, WallNs, merkle::Hash};

/// Most bytes of a file that go into one object.
pub const PART: u64 = 8 << 20;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Version that it was written in.
    pub format: u16,
    /// The oldest version whose readers understand it.
    pub min_reader: u16,
    /// Which backup.
    pub id: BackupId,
    /// The site's name for people.
    pub name: String,
    /// The site's name on the disks.
    pub site: String,
    /// The machine.
    pub recorder: RecorderId,
    /// When it was begun.
    pub started: WallNs,
    /// What could not be backed up, one line each.
    pub missing: Vec<String>,
}

impl Head {
    /// Of this version.
    pub fn new(id: BackupId, name: &str, site: &str, recorder: RecorderId, started: WallNs) -> Self {
        let (name, site) = (name.to_owned(), site.to_owned());
        Self { format: FORMAT, min_reader: MIN_READER, id, name, site, recorder, started, missing: Vec::new() }
    }
}

/// What a line says of footage besides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FootageLine {
    /// The camera's id today.
    pub camera: CameraId,
    /// Main or sub.
    pub stream: StreamKind,
    /// Corrected time covered.
    pub span: Span,
    /// The volume that it lay on.
    pub volume: VolumeName,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLine {
    /// What it is.
    pub kind: Kind,
    /// Where it belongs: a segment below the root of a volume; everything else below a folder of what was restored.
    pub path: RelPath,
    /// Its encrypted copy: `objects/<first two digits>/<copy>-<part, five digits>.age`, parts in order one after the other.
    pub copy: CopyId,
    /// How many parts.
    pub parts: u32,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of it.
    pub sha256: Hash,
    /// Of footage more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footage: Option<FootageLine>,
}

/// A list of contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Of which backup.
    pub head: Head,
    /// Its files.
    pub files: Vec<FileLine>,
}

/// Why a list of contents is not read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A line that is none of ours.
    #[error("line {line} of the list of contents: {what}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// From a later version.
    #[error("written by a later version of custodian: a reader of format {0} is needed, this one reads {FORMAT}")]
    TooNew(u16),
    /// It belongs to another backup: somebody has put it in this one's place.
    #[error("it is the list of contents of {0}")]
    Other(BackupId),
}

impl Manifest {
    /// As it is encrypted.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = serde_json::to_vec(&self.head).expect("texts and integers always serialise");
        out.push(b'\n');
        for file in &self.files {
            serde_json::to_writer(&mut out, file).expect("texts and integers always serialise");
            out.push(b'\n');
        }
        out
    }

    /// Reads that of a backup.
    pub fn parse(bytes: &[u8], id: &BackupId) -> Result<Self, ManifestError> {
        /// Read before the rest, which a later version may have changed.
        #[derive(Deserialize)]
        struct Version {
            min_reader: u16,
        }
        let bad = |line: usize| move |e: serde_json::Error| ManifestError::Line { line, what: e.to_string() };
        let mut lines = bytes.split(|b| *b == b'\n').enumerate().filter(|(_, l)| !l.is_empty());
        let (_, first) = lines.next().ok_or_else(|| ManifestError::Line { line: 1, what: "it is empty".to_owned() })?;
        let version: Version = serde_json::from_slice(first).map_err(bad(1))?;
        if version.min_reader > FORMAT {
            return Err(ManifestError::TooNew(version.min_reader));
        }
        let head: Head = serde_json::from_slice(first).map_err(bad(1))?;
        if head.id != *id {
            return Err(ManifestError::Other(head.id));
        }
        let file = |(n, line): (usize, &[u8])| serde_json::from_slice(line).map_err(bad(n + 1));
        Ok(Self { head, files: lines.map(file).collect::<Result<_, _>>()? })
    }
}

/// A path that stays below the folder that it is put under, whoever wrote it: age encrypts, it does not sign, so a list of contents may be anybody's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RelPath(String);

impl RelPath {
    /// As text, with slashes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RelPath {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let plain = Path::new(&text).components().all(|c| matches!(c, Component::Normal(_)));
        let tidy = text.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        if plain && tidy && text.len() < 4096 && !text.chars().any(char::is_control) {
            Ok(Self(text))
        } else {
            Err(format!("{text:?} is no path below a folder"))
        }
    }
}

impl From<RelPath> for String {
    fn from(path: RelPath) -> Self {
        path.0
    }
}

impl std::fmt::Display for RelPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let id: BackupId = "20261122T083000Z-1a2b3c4d".parse().unwrap();
        let mut head = Head::new(id, "Trường mầm non", "school", "a".parse().unwrap(), WallNs(5));
        head.missing.push("gate: the disk does not answer".to_owned());
        let file = FileLine {
            kind: Kind::Footage,
            path: "footage/gate/main/2026-11-22/x.mp4".to_owned().try_into().unwrap(),
            copy: CopyId::from_bytes([3; 16]),
            parts: 2,
            bytes: PART + 1,
            sha256: Hash([4; 32]),
            footage: Some(FootageLine {
                camera: "gate".parse().unwrap(),
                stream: StreamKind::Main,
                span: Span { start: WallNs(1), end: WallNs(2) },
                volume: "a1".parse().unwrap(),
            }),
        };
        Manifest { head, files: vec![file] }
    }

    #[test]
    fn a_list_of_contents_comes_back() {
        let manifest = manifest();
        let bytes = manifest.to_bytes();
        assert_eq!(String::from_utf8_lossy(&bytes).lines().count(), 2);
        assert_eq!(Manifest::parse(&bytes, &manifest.head.id).unwrap(), manifest);
        let other = "20261122T083000Z-00000000".parse().unwrap();
        assert!(matches!(Manifest::parse(&bytes, &other), Err(ManifestError::Other(_))));
        let text = String::from_utf8(bytes).unwrap();
        let newer = text.replacen("\"min_reader\":1", "\"min_reader\":2", 1);
        assert!(matches!(Manifest::parse(newer.as_bytes(), &manifest.head.id), Err(ManifestError::TooNew(2))));
        let outside = text.replacen("footage/gate", "../etc/gate", 1);
        let e = Manifest::parse(outside.as_bytes(), &manifest.head.id).unwrap_err();
        assert!(matches!(&e, ManifestError::Line { line: 2, what } if what.contains("no path below")), "{e}");
    }

    #[test]
    fn no_path_leads_out() {
        for wrong in ["", "/etc/passwd", "a/../b", "a//b", "./a", "a/", "..", "a\nb"] {
            assert!(RelPath::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
        assert!(RelPath::try_from("exports/2026/đơn 1.mp4".to_owned()).is_ok());
    }
}
