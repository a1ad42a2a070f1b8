//! The inventory as data.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::types::{ByteSize, VolumeName, WallNs};

/// What was found on this machine. Order is stable, so that equal machines give equal inventories.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Inventory {
    /// The machine's name.
    pub host: String,
    /// Whole disks, by kernel name.
    pub disks: Vec<Disk>,
    /// What is mounted from a block device, by mount point.
    pub mounts: Vec<Mount>,
    /// Units of ours that systemd knows, by name.
    pub units: Vec<Unit>,
    /// Network links, by name.
    pub links: Vec<Link>,
    /// What could not be found out, and why: one line each, for people.
    pub problems: Vec<String>,
}

/// A whole disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    /// Kernel name, such as `sda`.
    pub name: String,
    /// Its names below `/dev/disk/by-id`, sorted.
    pub by_id: Vec<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// World wide name.
    pub wwn: Option<String>,
    /// Maker and model.
    pub model: Option<String>,
    /// Its size.
    pub size: ByteSize,
    /// How it is connected: `sata`, `nvme`, `usb`, `loop`, …
    pub transport: Option<String>,
    /// Whether it can be taken out while running (USB sticks, card readers).
    pub removable: bool,
    /// Whether it refuses writing.
    pub read_only: bool,
    /// Whether this system runs from it: `/`, `/boot`, the state folder or swap lie on it.
    pub system: bool,
    /// What is on it.
    pub content: Content,
    /// What it says of its health.
    pub smart: Option<Smart>,
}

/// Why a disk's content is unknown to whoever may not look at it.
pub const NOT_ROOT: &str = "not root";

/// The three states of a disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Content {
    /// Nothing at all, proven: no partition table, no file system, no signature, and zeros where those would be.
    Empty,
    /// A volume of ours.
    Ours(OurVolume),
    /// Something else.
    Foreign {
        /// What, for people: `ntfs "Windows" 500 GB (sda2)`. Never empty.
        found: Vec<String>,
    },
    /// It could not be found out.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// How a partition of ours is described where it is not one that can be used.
pub(super) const OF_OURS: &str = "custodian volume ";

impl Content {
    /// Whether footage is on it, or may be: a partition of ours whose seal is missing may never have been finished, or be damaged.
    pub fn may_be_footage(&self) -> bool {
        match self {
            Self::Ours(_) => true,
            Self::Foreign { found } => found.iter().any(|line| line.contains(OF_OURS)),
            Self::Empty | Self::Unknown { .. } => false,
        }
    }
}

/// A disk that we prepared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OurVolume {
    /// The site's id.
    pub site: String,
    /// The volume's name in site.toml.
    pub volume: VolumeName,
    /// Its identity; not known while it is locked.
    pub id: Option<Uuid>,
    /// Whether it is encrypted (LUKS2).
    pub encrypted: bool,
    /// The partition or device that holds the file system or the LUKS header, such as `/dev/sda1`.
    pub device: PathBuf,
    /// Where it is mounted.
    pub mounted: Option<PathBuf>,
    /// End of the newest footage; not known while it is locked or not mounted.
    pub newest: Option<WallNs>,
}

/// What a disk says of its health (SMART).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Smart {
    /// Its own verdict.
    pub passed: Option<bool>,
    /// °C.
    pub temperature: Option<i64>,
    /// Hours in use.
    pub hours: Option<u64>,
    /// Sectors given up (reallocated, pending, uncorrectable), together; for NVMe media errors.
    pub bad_sectors: Option<u64>,
}

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mount {
    /// Where.
    pub at: PathBuf,
    /// From what.
    pub source: String,
    /// Its kind, such as `xfs`.
    pub kind: String,
    /// Whether it is mounted read-only.
    pub read_only: bool,
    /// Its size and what is free.
    pub size: ByteSize,
    /// What is free.
    pub free: ByteSize,
}

/// A unit of systemd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Its name, such as `custodian-record.service`.
    pub name: String,
    /// `active`, `failed`, …
    pub active: String,
    /// `running`, `mounted`, `dead`, …
    pub sub: String,
}

/// A network link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its name, such as `enp1s0`.
    pub name: String,
    /// MAC address.
    pub mac: Option<String>,
    /// Whether it has a carrier; none if that cannot be known.
    pub up: Option<bool>,
    /// Addresses with their prefix length.
    pub addresses: Vec<String>,
    /// Mbit/s.
    pub speed: Option<u32>,
}

impl Inventory {
    /// The disk with that name below `/dev/disk/by-id`.
    pub fn disk(&self, by_id: &str) -> Option<&Disk> {
        self.disks.iter().find(|d| d.by_id.iter().any(|n| n == by_id))
    }
}
