//! What things are called at a place. No name there tells of a camera, a person or a file.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::types::WallNs;

/// The folder of encrypted contents.
pub(super) const OBJECTS: &str = "objects";
/// The folder of backups: what belongs to each.
pub(super) const BACKUPS: &str = "backups";
/// The file that makes a place one of ours.
pub const MARKER: &str = "custodian-backup.json";

/// A backup: when it was begun, by the recorder's clock in UTC, and eight random digits. `20261122T023000Z-1a2b3c4d`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackupId(String);

/// Why a text is no backup's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the id of a backup: `custodian backup list` shows them")]
pub struct BadBackupId(String);

impl BackupId {
    /// A new one.
    pub fn new(at: WallNs) -> Self {
        let random = Uuid::new_v4().as_simple().to_string();
        Self(format!("{}-{}", at.timestamp().strftime("%Y%m%dT%H%M%SZ"), &random[..8]))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its clear record: what says that it is complete.
    pub fn record(&self) -> String {
        format!("{BACKUPS}/{self}.json")
    }

    /// Its list of objects, in the clear, as `sha256sum -c` reads it.
    pub fn list(&self) -> String {
        format!("{BACKUPS}/{self}.sha256")
    }

    /// Its list of contents, encrypted.
    pub fn manifest(&self) -> String {
        format!("{BACKUPS}/{self}.manifest.age")
    }

    /// The backup that a file below [`BACKUPS`] belongs to, and what of it that is.
    pub fn of_file(name: &str) -> Option<(Self, Part)> {
        let (id, part) = name.strip_prefix(BACKUPS)?.strip_prefix('/')?.split_once('.')?;
        let part = match part {
            "json" => Part::Record,
            "sha256" => Part::List,
            "manifest.age" => Part::Manifest,
            _ => return None,
        };
        Some((id.parse().ok()?, part))
    }
}

/// The files of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// See [`BackupId::record`].
    Record,
    /// See [`BackupId::list`].
    List,
    /// See [`BackupId::manifest`].
    Manifest,
}

impl FromStr for BackupId {
    type Err = BadBackupId;
    fn from_str(text: &str) -> Result<Self, BadBackupId> {
        let shape = |(i, b): (usize, u8)| match i {
            8 => b == b'T',
            15 => b == b'Z',
            16 => b == b'-',
            0..16 => b.is_ascii_digit(),
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
        };
        let right = text.len() == 25 && text.bytes().enumerate().all(shape);
        if right { Ok(Self(text.to_owned())) } else { Err(BadBackupId(text.to_owned())) }
    }
}

impl TryFrom<String> for BackupId {
    type Error = BadBackupId;
    fn try_from(text: String) -> Result<Self, BadBackupId> {
        text.parse()
    }
}

impl From<BackupId> for String {
    fn from(id: BackupId) -> Self {
        id.0
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The encrypted copy of a file: one object or several, which are its parts in order. Random, so that it tells nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CopyId(u128);

impl CopyId {
    /// A new one.
    pub fn random() -> Self {
        Self(Uuid::new_v4().as_u128())
    }

    /// From the 16 bytes kept in the catalogue.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// The 16 bytes kept in the catalogue.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Its `part`th object.
    pub fn object(self, part: u32) -> ObjectName {
        ObjectName { copy: self, part }
    }
}

impl FromStr for CopyId {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

impl fmt::Display for CopyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for CopyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for CopyId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CopyId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let right = text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        text.parse().ok().filter(|_| right).ok_or_else(|| serde::de::Error::custom("not 32 hexadecimal digits"))
    }
}

/// One object: an age file. `objects/1a/1a2b…-00000.age`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// Whose.
    pub copy: CopyId,
    /// Which part of it, from 0.
    pub part: u32,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, copy) = (self.copy.0 >> 120, self.copy);
        write!(f, "{OBJECTS}/{first:02x}/{copy}-{:05}.age", self.part)
    }
}

impl FromStr for ObjectName {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let file = text.rsplit('/').next().ok_or(())?;
        let (copy, part) = file.strip_suffix(".age").and_then(|f| f.split_once('-')).ok_or(())?;
        let name = Self { copy: copy.parse().map_err(|_| ())?, part: part.parse().map_err(|_| ())? };
        // There is one way to write it.
        if name.to_string() == text { Ok(name) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_nothing_else_is_taken_for_one() {
        let id = BackupId::new(WallNs(1_795_336_200_000_000_000));
        assert!(id.as_str().starts_with("20261122T083000Z-"), "{id}");
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
        assert_eq!(BackupId::of_file(&id.record()), Some((id.clone(), Part::Record)));
        assert_eq!(BackupId::of_file(&id.list()), Some((id.clone(), Part::List)));
        assert_eq!(BackupId::of_file(&id.manifest()), Some((id.clone(), Part::Manifest)));
        for wrong in ["", "20261122T083000Z-1a2b3c4", "20261122T083000Z-1A2B3C4D", "../../20261122T083000Z-1a2b3c4d"] {
            assert!(wrong.parse::<BackupId>().is_err(), "{wrong}");
        }
        for wrong in
            ["backups/x.json", "backups/20261122T083000Z-1a2b3c4d.txt", "objects/20261122T083000Z-1a2b3c4d.json"]
        {
            assert_eq!(BackupId::of_file(wrong), None, "{wrong}");
        }
        let copy = CopyId::random();
        let object = copy.object(7);
        assert_eq!(object.to_string().parse(), Ok(object));
        assert_eq!(CopyId::from_bytes(copy.to_bytes()), copy);
        let text = "objects/0a/0a000000000000000000000000000001-00012.age";
        assert_eq!(text.parse::<ObjectName>().unwrap().to_string(), text);
        for wrong in [
            "objects/0b/0a000000000000000000000000000001-00012.age",
            "objects/0a/0a000000000000000000000000000001-12.age",
            "objects/0a/holiday.age",
        ] {
            assert_eq!(wrong.parse::<ObjectName>(), Err(()), "{wrong}");
        }
    }
}
