//! How holds stand in a file, docs/ref/holds.md: JSON that people can read, with a digest that says whether it is whole.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{change::Change, hold::Hold, set::Holds};
use crate::types::{HoldId, VolumeName, merkle::Hash};

/// Version of the file that this program writes.
pub const FORMAT: u16 = 1;
/// The oldest version whose readers understand it.
const MIN_READER: u16 = 1;

/// Its name on a volume.
pub const ON_VOLUME: &str = "custodian-holds.json";
/// Its name in the recorder's folder.
pub const IN_STATE: &str = "holds.json";

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// The holds.
    pub holds: Holds,
    /// In the recorder's folder: volumes whose copies have not been read since the folder's own was lost. They may know more holds.
    pub unseen: BTreeSet<VolumeName>,
}

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFile {
    /// It is not what was written.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// A later version wrote it.
    #[error("it wants a reader of version {0}, this one has {FORMAT}: update custodian")]
    TooNew(u16),
}

/// What is looked at first.
#[derive(Deserialize)]
struct Version {
    format: u16,
    min_reader: u16,
}

#[derive(Serialize, Deserialize)]
struct Raw {
    format: u16,
    min_reader: u16,
    /// Comes before every text of a person: its digits are found by their first occurrence.
    digest: String,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    unseen: BTreeSet<VolumeName>,
    holds: Vec<RawHold>,
}

#[derive(Serialize, Deserialize)]
struct RawHold {
    id: HoldId,
    changes: Vec<Change>,
}

/// What stands in the place of the digest while it is computed.
const BLANK: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn digest(text: &str) -> String {
    Hash(Sha256::digest(text).into()).to_string()
}

/// The bytes of a file. Equal contents are equal bytes.
pub fn to_bytes(content: &Content) -> Vec<u8> {
    let hold = |h: &Hold| RawHold { id: h.id(), changes: h.changes().into_iter().cloned().collect() };
    let raw = Raw {
        format: FORMAT,
        min_reader: MIN_READER,
        digest: BLANK.to_owned(),
        unseen: content.unseen.clone(),
        holds: content.holds.iter().map(hold).collect(),
    };
    let text = serde_json::to_string_pretty(&raw).expect("texts and integers always serialise") + "\n";
    text.replacen(BLANK, &digest(&text), 1).into_bytes()
}

/// Reads a file; also says in which version it was written. One of a later version than [`FORMAT`] must not be written over: it may
/// hold what this program would leave out.
pub fn parse(bytes: &[u8]) -> Result<(Content, u16), BadFile> {
    let damaged = |why: &dyn std::fmt::Display| BadFile::Damaged(why.to_string());
    let text = std::str::from_utf8(bytes).map_err(|e| damaged(&e))?;
    let version: Version = serde_json::from_str(text).map_err(|e| damaged(&e))?;
    if version.min_reader > FORMAT {
        return Err(BadFile::TooNew(version.min_reader));
    }
    let raw: Raw = serde_json::from_str(text).map_err(|e| damaged(&e))?;
    if Hash::from_hex(&raw.digest).is_none() || digest(&text.replacen(&raw.digest, BLANK, 1)) != raw.digest {
        return Err(damaged(&"its digest is not that of its content"));
    }
    let mut content = Content { unseen: raw.unseen, holds: Holds::default() };
    for RawHold { id, changes } in raw.holds {
        let hold = Hold::from_changes(id, changes);
        content
            .holds
            .insert(hold.ok_or_else(|| damaged(&format!("the changes of hold {id} are not those of one hold")))?);
    }
    Ok((content, version.format))
}
