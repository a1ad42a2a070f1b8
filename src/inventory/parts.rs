//! Disks with their partitions' names in the table, for who looks for a partition by its name on one disk and not on another.

use std::{io, path::PathBuf};

use uuid::Uuid;

use super::{
    blkid::Look,
    lsblk::{self, Block},
    probe::{look, run},
};
use crate::sys::Commands;

/// A disk and what its partition table says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parted {
    /// Kernel name, such as `sda`.
    pub name: String,
    /// Where it, a partition of it, or what is built on them is mounted.
    pub mounted: Vec<String>,
    /// Its partitions, in the order of the table.
    pub parts: Vec<Part>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its device node.
    pub device: PathBuf,
    /// Its name in the table.
    pub label: Option<String>,
    /// Its identity in the table.
    pub id: Option<Uuid>,
    /// What is on it: `ext4`, `crypto_LUKS`; none where nothing can be recognised.
    pub kind: Option<String>,
    /// The label of that.
    pub content: Option<String>,
    /// What a LUKS2 header says besides.
    pub subsystem: Option<String>,
}

impl Parted {
    /// Whether the running system was started from it: what is mounted at `/` is on it, or at `/usr`, where the root is in memory (NixOS).
    pub fn is_booted(&self) -> bool {
        self.mounted.iter().any(|at| at == "/" || at == "/usr")
    }

    /// The partition of that name, if it has one only.
    pub fn part(&self, label: &str) -> Option<&Part> {
        let mut of_that_name = self.parts.iter().filter(|part| part.label.as_deref() == Some(label));
        of_that_name.next().filter(|_| of_that_name.next().is_none())
    }
}

/// All disks that have partitions, by the devices themselves and not by what udev remembers.
///
/// # Errors
/// If they cannot be listed.
pub fn parted(commands: &dyn Commands, dev: &std::path::Path) -> io::Result<Vec<Parted>> {
    let listed = run(commands, "lsblk", &["--json", "--bytes", "--output", lsblk::COLUMNS])?;
    let blocks = lsblk::parse(&listed.stdout).map_err(io::Error::other)?;
    let part = |block: &Block| {
        let device = dev.join(&block.kname);
        let found = match look(commands, &device) {
            Look::Found(found) => found,
            Look::Nothing | Look::Several | Look::Failed(_) => super::blkid::Signature::default(),
        };
        Part {
            device,
            label: found.part_label,
            id: found.part_id.and_then(|id| id.parse().ok()),
            kind: found.kind,
            content: found.label,
            subsystem: found.subsystem,
        }
    };
    let disk = |block: &Block| Parted {
        name: block.kname.clone(),
        mounted: block.tree().iter().flat_map(|b| b.mounted()).map(str::to_owned).collect(),
        parts: block.partitions().map(part).collect(),
    };
    Ok(blocks.iter().filter(|b| b.is_disk() && b.partitions().next().is_some()).map(disk).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn started_from_where_the_root_is_or_the_programs_are() {
        let on = |at: &str| Parted { name: "sda".into(), mounted: vec![at.to_owned()], parts: Vec::new() };
        assert!(on("/").is_booted() && on("/usr").is_booted());
        assert!(["/var", "/nix/store", "/mnt/usr", ""].iter().all(|at| !on(at).is_booted()));
    }
}
