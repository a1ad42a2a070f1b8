//! Whether a verb may be carried out on a disk. What may not is refused with its reason; what may gets a proof, without
//! which nothing here touches a disk.

use std::path::PathBuf;

use super::token::{Facts, Token, TokenError, Verb};
use crate::{
    inventory::{Content, Disk, Survey, Use, partition_label},
    types::{ByteSize, VolumeName, WallNs},
};

/// The volume that a disk is to become, from site.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The site's id.
    pub site: String,
    /// The volume's name.
    pub volume: VolumeName,
    /// The size that the site states.
    pub size: ByteSize,
    /// Whether a disk that can be taken out is fine.
    pub removable: bool,
}

/// Why a verb is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No disk has that name.
    #[error("no disk here has the name {by_id}")]
    NoDisk {
        /// The name.
        by_id: String,
    },
    /// No volume of the site names it.
    #[error("site.toml names no volume with this disk")]
    NotInSite,
    /// The system runs from it.
    #[error("the system runs from this disk")]
    System,
    /// It is in use.
    #[error("the disk is mounted at {at}")]
    Mounted {
        /// Where.
        at: String,
    },
    /// Something is built on it.
    #[error("the disk is part of something else: {by}")]
    Held {
        /// What.
        by: String,
    },
    /// It cannot be written to.
    #[error("the disk is read-only")]
    ReadOnly,
    /// It can be taken out.
    #[error("the disk can be taken out while running")]
    Removable,
    /// Below 98 % of what the site states.
    #[error("the disk has {size}, the site states {stated}")]
    TooSmall {
        /// What it has.
        size: ByteSize,
        /// What it should have.
        stated: ByteSize,
    },
    /// It could not be looked at.
    #[error("it could not be found out what is on the disk: {why}")]
    Unknown {
        /// Why.
        why: String,
    },
    /// It holds footage already.
    #[error("the disk is volume {volume} of site {site} already")]
    Ours {
        /// The site's id.
        site: String,
        /// The volume.
        volume: VolumeName,
        /// Its newest footage, if that can be seen.
        newest: Option<WallNs>,
    },
    /// It holds something else.
    #[error("the disk is not empty: {found}")]
    Foreign {
        /// What.
        found: String,
    },
    /// Nothing is on it.
    #[error("the disk is empty")]
    Empty,
    /// It is no volume of ours.
    #[error("the disk is no volume of custodian")]
    NotOurs,
    /// The names do not fit into a partition's label.
    #[error("the names {volume} and {site} are too long for a partition's label")]
    LongName {
        /// The site's id.
        site: String,
        /// The volume.
        volume: VolumeName,
    },
    /// The token is not that of these facts.
    #[error("the token is refused")]
    Token(#[source] TokenError),
}

/// The proof that a disk is empty, wanted, and that a person has read its facts. Made only here, used up by
/// [`super::prepare`].
#[derive(Debug)]
pub struct EmptyDisk {
    pub(super) device: PathBuf,
    pub(super) site: String,
    pub(super) volume: VolumeName,
    pub(super) label: String,
}

/// The proof that nothing uses a disk, and that a person has read what will be lost. Made only here, used up by
/// [`super::wipe()`].
#[derive(Debug)]
pub struct DoomedDisk {
    pub(super) device: PathBuf,
    pub(super) partitions: Vec<PathBuf>,
}

/// A volume of ours and how it is in use, for [`super::release()`].
#[derive(Debug)]
pub struct OurDisk {
    pub(super) mounts: Vec<String>,
    pub(super) mappings: Vec<String>,
}

/// The facts to show before init, if nothing speaks against it.
pub fn judge_init(survey: &Survey, by_id: &str, wanted: Option<&Wanted>) -> Result<Facts, Refusal> {
    let disk = find(survey, by_id)?;
    let wanted = wanted.ok_or(Refusal::NotInSite)?;
    unused(survey, disk)?;
    if disk.removable && !wanted.removable {
        return Err(Refusal::Removable);
    }
    match &disk.content {
        Content::Empty => {}
        Content::Ours(v) => {
            return Err(Refusal::Ours { site: v.site.clone(), volume: v.volume.clone(), newest: v.newest });
        }
        Content::Foreign { found } => return Err(Refusal::Foreign { found: found.join(", ") }),
        Content::Unknown { why } => return Err(Refusal::Unknown { why: why.clone() }),
    }
    if u128::from(disk.size.0) * 100 < u128::from(wanted.size.0) * 98 {
        return Err(Refusal::TooSmall { size: disk.size, stated: wanted.size });
    }
    label(wanted)?;
    Ok(Facts::of(disk))
}

/// The proof for init, if the token is that of the facts as they are now.
pub fn clear_init(survey: &Survey, by_id: &str, wanted: &Wanted, token: &Token) -> Result<EmptyDisk, Refusal> {
    let facts = judge_init(survey, by_id, Some(wanted))?;
    facts.check(Verb::Init, token).map_err(Refusal::Token)?;
    Ok(EmptyDisk {
        device: used(survey, find(survey, by_id)?)?.device.clone(),
        site: wanted.site.clone(),
        volume: wanted.volume.clone(),
        label: label(wanted)?,
    })
}

/// The facts to show before erase, if nothing speaks against it.
pub fn judge_erase(survey: &Survey, by_id: &str) -> Result<Facts, Refusal> {
    let disk = find(survey, by_id)?;
    unused(survey, disk)?;
    match &disk.content {
        Content::Empty => Err(Refusal::Empty),
        Content::Unknown { why } => Err(Refusal::Unknown { why: why.clone() }),
        Content::Ours(_) | Content::Foreign { .. } => Ok(Facts::of(disk)),
    }
}

/// The proof for erase, if the token is that of the facts as they are now.
pub fn clear_erase(survey: &Survey, by_id: &str, token: &Token) -> Result<DoomedDisk, Refusal> {
    judge_erase(survey, by_id)?.check(Verb::Erase, token).map_err(Refusal::Token)?;
    let used = used(survey, find(survey, by_id)?)?;
    Ok(DoomedDisk { device: used.device.clone(), partitions: used.partitions.clone() })
}

/// Judges release. It takes no token: nothing on the disk is changed.
pub fn clear_release(survey: &Survey, by_id: &str) -> Result<OurDisk, Refusal> {
    let disk = find(survey, by_id)?;
    match &disk.content {
        Content::Ours(_) if disk.system => Err(Refusal::System),
        Content::Ours(_) => {
            let used = used(survey, disk)?;
            Ok(OurDisk { mounts: used.mounts.clone(), mappings: used.held_by.clone() })
        }
        Content::Unknown { why } => Err(Refusal::Unknown { why: why.clone() }),
        Content::Empty | Content::Foreign { .. } => Err(Refusal::NotOurs),
    }
}

fn label(wanted: &Wanted) -> Result<String, Refusal> {
    let (site, volume) = (wanted.site.clone(), wanted.volume.clone());
    partition_label(&site, &volume).ok_or(Refusal::LongName { site, volume })
}

pub(super) fn used<'a>(survey: &'a Survey, disk: &Disk) -> Result<&'a Use, Refusal> {
    survey.use_of(disk).ok_or_else(|| Refusal::Unknown { why: "it was not looked at".to_owned() })
}

pub(super) fn find<'a>(survey: &'a Survey, by_id: &str) -> Result<&'a Disk, Refusal> {
    survey.inventory.disk(by_id).ok_or_else(|| Refusal::NoDisk { by_id: by_id.to_owned() })
}

/// Refuses a disk that is in use in any way, or cannot be written to.
pub(super) fn unused(survey: &Survey, disk: &Disk) -> Result<(), Refusal> {
    if disk.system {
        return Err(Refusal::System);
    }
    let used = used(survey, disk)?;
    if let Some(at) = used.mounts.first() {
        return Err(Refusal::Mounted { at: at.clone() });
    }
    if !used.held_by.is_empty() {
        return Err(Refusal::Held { by: used.held_by.join(", ") });
    }
    if disk.read_only {
        return Err(Refusal::ReadOnly);
    }
    Ok(())
}

#[cfg(test)]
#[path = "clear_tests.rs"]
mod tests;
