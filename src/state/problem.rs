//! What keeps the state closed, for people.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{lang::t, types::Lang};

/// The file below `/run/custodian-state`.
pub(super) const FILE: &str = "problem.json";

/// Why it is not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Which disk the system runs from is not known.
    #[error("the disk that this system was started from cannot be found: {0}")]
    NotFound(String),
    /// That disk has none.
    #[error("disk {disk}, which this system was started from, has no partition custodian-state")]
    None {
        /// The disk.
        disk: String,
    },
    /// Another disk has it.
    #[error("the partition custodian-state is on disk {other}, and this system was started from disk {disk}")]
    Elsewhere {
        /// The disk that the system runs from.
        disk: String,
        /// The other one.
        other: String,
    },
    /// There are several.
    #[error("there are several partitions custodian-state, on {disks}")]
    Several {
        /// Where.
        disks: String,
    },
    /// Something else is on it.
    #[error("{} holds something else: {found}", device.display())]
    Strange {
        /// The partition.
        device: PathBuf,
        /// What was found.
        found: String,
    },
    /// Nothing opens it.
    #[error("{} does not open: {why}", device.display())]
    Locked {
        /// The partition.
        device: PathBuf,
        /// What was tried.
        why: String,
    },
    /// Its file system is damaged.
    #[error("its file system is damaged: {why}")]
    Damaged {
        /// What was found.
        why: String,
    },
    /// Something of this machine fails.
    #[error("{0}")]
    Failed(String),
}

impl StateError {
    /// The exit code of `custodian state open`: 3 for what is wrong with the disks, 4 where nothing opens it, 5 where it is damaged.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::None { .. } | Self::Elsewhere { .. } | Self::Several { .. } | Self::Strange { .. } => 3,
            Self::Locked { .. } => 4,
            Self::Damaged { .. } => 5,
            Self::NotFound(_) | Self::Failed(_) => 1,
        }
    }
}

/// The same, as the rescue console reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    key: String,
    values: Vec<(String, String)>,
}

impl Problem {
    /// Of an error.
    pub fn of(e: &StateError) -> Self {
        let (key, values): (&str, Vec<(&str, String)>) = match e {
            StateError::NotFound(why) => ("not_found", vec![("why", why.clone())]),
            StateError::None { disk } => ("none", vec![("disk", disk.clone())]),
            StateError::Elsewhere { disk, other } => {
                ("elsewhere", vec![("disk", disk.clone()), ("other", other.clone())])
            }
            StateError::Several { disks } => ("several", vec![("disks", disks.clone())]),
            StateError::Strange { device, found } => {
                ("strange", vec![("device", device.display().to_string()), ("found", found.clone())])
            }
            StateError::Locked { device, why } => {
                ("locked", vec![("device", device.display().to_string()), ("why", why.clone())])
            }
            StateError::Damaged { why } => ("damaged", vec![("why", why.clone())]),
            StateError::Failed(why) => ("failed", vec![("why", why.clone())]),
        };
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { key: key.to_owned(), values }
    }

    /// What was left below the run folder by an attempt that failed.
    pub fn left(run: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(run.join(FILE)).ok()?).ok()
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// In words.
    pub fn text(&self, lang: Lang) -> String {
        let values: Vec<(&str, &str)> = self.values.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        t(lang, &format!("state.{}", self.key), &values)
    }
}
