//! The system disk: which one may be it, and what is done to it. The order of an installation, in `services::installing`, is
//! [`lay`] (wiped, and a new table), the copies, [`make_state`], and last of all what makes it start, on the partition that [`format_esp`] makes.
//!
//! A disk with footage of ours on it is never one, whoever wants it and whatever token is given.

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use super::{
    DiskError, OpenState, Order, Refusal, Table, Token, TokenError, Verb,
    clear::{find, unused, used},
    error::run,
    init::{Empty, appear, node, repart},
    state,
    table::{ESP, PARTS, ROOT, STATE, STATE_LABEL, VERITY},
    token::Facts,
    wipe::exclusive,
};
use crate::{
    inventory::{Content, Disk, Parted, Survey},
    sys::Commands,
    types::{ByteSize, VolumeName},
};

/// A disk that is sold as one of 8 GB is large enough.
pub const SMALLEST: ByteSize = ByteSize(7_900_000_000);

/// Why a disk is not to be the system's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is in use, is the stick, or cannot be looked at or written to.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It can be taken out.
    #[error("it can be taken out while running")]
    Removable,
    /// It is too small.
    #[error("it has {size}, the system needs {SMALLEST}")]
    TooSmall {
        /// What it has.
        size: ByteSize,
    },
    /// There is footage on it.
    #[error("footage is on it: volume {volume} of site {site}")]
    Footage {
        /// The site's id.
        site: String,
        /// The volume.
        volume: VolumeName,
    },
    /// A partition of it is a volume, or was to be one.
    #[error("a partition of it is for footage: {found}")]
    Volume {
        /// What was found.
        found: String,
    },
    /// The site wants it for footage.
    #[error("site.toml names it for volume {volume}")]
    Named {
        /// The volume.
        volume: VolumeName,
    },
    /// The site wants it for backups.
    #[error("site.toml names it for backups")]
    Backups,
}

/// The proof that a disk may be overwritten with a system, and that a person has read what will be lost. Made only by [`clear_install`].
#[derive(Debug)]
pub struct SystemDisk {
    device: PathBuf,
    blank: bool,
    table: Table,
}

/// A system disk with our table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaidDisk {
    device: PathBuf,
}

/// What is to be seen on a partition for the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// None was made to its end.
    Nothing,
    /// One.
    State,
    /// Something else, or what is left of one.
    Other,
}

/// A system disk on which an installation was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunDisk {
    /// The disk.
    pub disk: LaidDisk,
    /// Whether a person has read what is on it now, so that it may as well be begun anew.
    pub anew: bool,
}

/// The facts to show before a disk becomes the system's. `named`: what the site wants it for.
pub fn judge_install(survey: &Survey, by_id: &str, named: Option<&Unfit>) -> Result<Facts, Unfit> {
    let disk = find(survey, by_id)?;
    unused(survey, disk)?;
    if let Some(named) = named {
        return Err(named.clone());
    }
    match &disk.content {
        Content::Ours(v) => return Err(Unfit::Footage { site: v.site.clone(), volume: v.volume.clone() }),
        Content::Unknown { why } => return Err(Refusal::Unknown { why: why.clone() }.into()),
        Content::Foreign { found } => {
            if let Some(found) = found.iter().find(|line| line.contains("custodian volume ")) {
                return Err(Unfit::Volume { found: found.clone() });
            }
        }
        Content::Empty => {}
    }
    if disk.removable || disk.transport.as_deref() == Some("usb") {
        return Err(Unfit::Removable);
    }
    if disk.size < SMALLEST {
        return Err(Unfit::TooSmall { size: disk.size });
    }
    Ok(Facts::of(disk))
}

/// The proof for a new table, if the token is that of the facts as they are now.
pub fn clear_install(
    survey: &Survey,
    by_id: &str,
    named: Option<&Unfit>,
    token: &Token,
    version: &str,
) -> Result<SystemDisk, Unfit> {
    judge_install(survey, by_id, named)?.check(Verb::Install, token).map_err(Refusal::Token)?;
    let disk = find(survey, by_id)?;
    let used = used(survey, disk)?;
    Ok(SystemDisk {
        device: used.device.clone(),
        blank: disk.content == Content::Empty,
        table: Table::new(version, token),
    })
}

/// The disk, if an installation of this version was begun on it with this token, or with whichever one where the token is that of the facts as
/// they are now. What stands on it then is of no use to anybody yet, or it is what is to be gone on with.
pub fn resume(
    survey: &Survey,
    parted: &[Parted],
    by_id: &str,
    named: Option<&Unfit>,
    token: &Token,
    version: &str,
) -> Result<Option<BegunDisk>, Unfit> {
    let facts = judge_install(survey, by_id, named)?;
    let disk = find(survey, by_id)?;
    let Some(begun) = laid(parted, disk, version) else { return Ok(None) };
    let device = used(survey, disk)?.device.clone();
    let same = begun == Table::id(token);
    let disk = LaidDisk { device };
    match facts.check(Verb::Install, token) {
        Ok(()) => Ok(Some(BegunDisk { disk, anew: true })),
        Err(_) if same => Ok(Some(BegunDisk { disk, anew: false })),
        Err(e) => Err(Refusal::Token(e).into()),
    }
}

/// The identity of the state's partition, if the disk has the table of this version.
fn laid(parted: &[Parted], disk: &Disk, version: &str) -> Option<uuid::Uuid> {
    let found = parted.iter().find(|p| p.name == disk.name)?;
    let id = found.parts.last()?.id?;
    let labels: Vec<&str> = found.parts.iter().filter_map(|part| part.label.as_deref()).collect();
    (labels == Table { version: version.to_owned(), state: id }.labels()).then_some(id)
}

/// Between the longest table at the beginning and the first partition: where file systems of whole disks have their signatures.
const GAP: std::ops::Range<u64> = (32 << 10)..(1 << 20);

/// Gives the disk its table; what was on it is lost. The new table takes the old one's place at once, so that after a cut the disk is as it was,
/// or says with which token this was begun; what is left of what was on it goes afterwards.
pub fn lay(commands: &dyn Commands, disk: SystemDisk, run_dir: &Path) -> Result<LaidDisk, DiskError> {
    let SystemDisk { device, blank, table } = disk;
    drop(exclusive(&device)?);
    let empty = if blank { Empty::Require } else { Empty::Force };
    repart(commands, &device, run_dir, empty, &table.definitions())?;
    let clear = || -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(&device)?;
        let len = usize::try_from(GAP.end - GAP.start).map_err(io::Error::other)?;
        file.write_all_at(&vec![0; len], GAP.start)?;
        file.sync_all()
    };
    clear().map_err(|source| DiskError::Io { what: "cannot write", path: device.clone(), source })?;
    for number in 1..=PARTS {
        appear(commands, &device, number)?;
    }
    Ok(LaidDisk { device })
}

impl SystemDisk {
    /// Whether nobody uses it, which the kernel says.
    pub fn unused(&self) -> Result<(), DiskError> {
        exclusive(&self.device).map(drop)
    }
}

impl LaidDisk {
    /// The EFI system partition.
    pub fn esp(&self) -> PathBuf {
        node(&self.device, ESP)
    }

    /// The root of slot A.
    pub fn root(&self) -> PathBuf {
        node(&self.device, ROOT)
    }

    /// The verity of slot A.
    pub fn verity(&self) -> PathBuf {
        node(&self.device, VERITY)
    }

    /// The state.
    pub fn state(&self) -> PathBuf {
        node(&self.device, STATE)
    }

    /// What is to be seen on its partition for the state. That the EFI partition has a file system comes last of all: where it has one, a state
    /// was made, and is damaged if it is not to be seen.
    pub fn seen(&self, parted: &[Parted]) -> Seen {
        let find = |at: PathBuf| parted.iter().flat_map(|p| &p.parts).find(|part| part.device == at);
        let (state, esp) = (find(self.state()), find(self.esp()));
        let kind = state.and_then(|part| part.kind.as_deref());
        match state.and_then(|part| part.content.as_deref()) {
            Some(STATE_LABEL) => Seen::State,
            None if matches!(kind, None | Some("crypto_LUKS")) && esp.is_some_and(|part| part.kind.is_none()) => {
                Seen::Nothing
            }
            _ => Seen::Other,
        }
    }
}

/// Makes the state of a system disk anew, and leaves it open.
pub fn make_state(commands: &dyn Commands, disk: &LaidDisk, order: &Order) -> Result<OpenState, DiskError> {
    state::make(commands, &disk.state(), order)
}

/// Makes the file system from which the firmware starts.
pub fn format_esp(commands: &dyn Commands, disk: &LaidDisk) -> Result<(), DiskError> {
    run(commands, "mkfs.vfat", &["-F", "32", "-n", "CUST-ESP", &disk.esp().display().to_string()], b"").map(|_| ())
}

impl From<TokenError> for Unfit {
    fn from(e: TokenError) -> Self {
        Self::Refused(Refusal::Token(e))
    }
}

#[cfg(test)]
#[path = "system_tests.rs"]
mod tests;
