//! A checkpoint that the recorder lays down on each of its volumes: so that a log that was lost with its disk is known to have been, and
//! one that was replaced by an older copy is not gone on with.

use serde::{Deserialize, Serialize};

use super::{
    checkpoint::{Checkpoint, CheckpointError},
    entry::Vouched,
    error::LedgerError,
    note::{NoteError, Verifier},
    view::View,
};
use crate::types::{RecorderId, WallNs};

/// The longest note that is taken from a volume: it goes into an entry. Ours have some 200 bytes.
const LONGEST: usize = 8 << 10;
/// Version of the file.
const FORMAT: u16 = 1;

/// Why a file is no deposit that vouches for something.
#[derive(Debug, thiserror::Error)]
pub enum DepositError {
    /// Not what is written there.
    #[error("it is not readable")]
    Json(#[from] serde_json::Error),
    /// Of a later version.
    #[error("it wants a reader of version {0}, this one has {FORMAT}: update custodian")]
    TooNew(u16),
    /// Nothing that a log of ours has signed.
    #[error("its checkpoint has {0} bytes, which is too much")]
    TooLong(usize),
    /// Its key is none.
    #[error("its key is none")]
    Key(#[from] NoteError),
    /// Its checkpoint is not signed with its key.
    #[error("its checkpoint vouches for nothing")]
    Checkpoint(#[from] CheckpointError),
}

#[derive(Debug, Serialize, Deserialize)]
struct Raw {
    format: u16,
    min_reader: u16,
    recorder: RecorderId,
    at: WallNs,
    checkpoint: String,
    vkey: String,
}

/// A checkpoint with its key, whose signature is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposit {
    /// Whose log it is of.
    pub recorder: RecorderId,
    /// When it was signed, by the recorder's clock.
    pub at: WallNs,
    /// What it vouches for.
    pub checkpoint: Checkpoint,
    /// The key.
    pub verifier: Verifier,
}

impl Deposit {
    /// The name of its file at the root of a volume.
    pub const FILE: &str = "custodian-ledger.json";

    /// Reads one and checks its signature, by the key that it brings: that shows that it is whole, not whose it is.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &[u8]) -> Result<Self, DepositError> {
        let raw: Raw = serde_json::from_slice(text)?;
        if raw.min_reader > FORMAT {
            return Err(DepositError::TooNew(raw.min_reader));
        }
        let length = raw.checkpoint.len() + raw.vkey.len();
        if length > LONGEST {
            return Err(DepositError::TooLong(length));
        }
        let verifier: Verifier = raw.vkey.parse()?;
        let checkpoint = Checkpoint::verify(&raw.checkpoint, &verifier)?;
        Ok(Self { recorder: raw.recorder, at: raw.at, checkpoint, verifier })
    }

    /// As it is written.
    pub fn to_text(&self) -> String {
        let raw = Raw {
            format: FORMAT,
            min_reader: FORMAT,
            recorder: self.recorder.clone(),
            at: self.at,
            checkpoint: self.checkpoint.note().to_owned(),
            vkey: self.verifier.to_string(),
        };
        serde_json::to_string_pretty(&raw).expect("texts and integers always serialise") + "\n"
    }

    /// As an entry of the ledger carries it.
    pub fn vouched(&self) -> Vouched {
        Vouched { checkpoint: self.checkpoint.note().to_owned(), vkey: self.verifier.to_string() }
    }

    /// Whether it is of a later time than another one: by entries in the same log, else by the clock.
    pub fn is_newer(&self, other: &Self) -> bool {
        if self.verifier == other.verifier {
            self.checkpoint.size() > other.checkpoint.size()
        } else {
            self.at > other.at
        }
    }

    /// Compares it with the log that it is of. None: they agree; else what is wrong.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn contradicts(&self, log: &View) -> Result<Option<Contradiction>, LedgerError> {
        let (kept, size) = (self.checkpoint.size(), log.size());
        if kept > size {
            return Ok(Some(Contradiction::Shorter { kept, size }));
        }
        let same = log.root_at(kept)? == self.checkpoint.root();
        Ok((!same).then_some(Contradiction::Rewritten { kept }))
    }
}

/// How a log contradicts what it once signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// It lacks entries.
    #[error("the log has {size} entries and once signed that it has {kept}: it was replaced by an older copy")]
    Shorter {
        /// Entries that it had.
        kept: u64,
        /// Entries that it has.
        size: u64,
    },
    /// Others stand in their place.
    #[error(
        "the first {kept} entries of the log are not those that it once signed: it was changed, or goes on from an older copy"
    )]
    Rewritten {
        /// Entries that it had.
        kept: u64,
    },
}
