//! Why something was not done.

use std::{fmt, io, path::PathBuf};

use super::{Doubt, ManagerError};

/// What a plan was bound to and is no more as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StalePart {
    /// site.toml says something else.
    Site,
    /// secrets.toml says something else.
    Secrets,
    /// Another generation is current.
    Generation,
    /// The machine's disks are others.
    Inventory,
}

impl StalePart {
    /// Its word, for catalogs and machines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Secrets => "secrets",
            Self::Generation => "generation",
            Self::Inventory => "inventory",
        }
    }
}

impl fmt::Display for StalePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Another one is at work.
    #[error("another apply, confirm or rollback is at work: nothing was changed")]
    Busy,
    /// The plan was made from something else.
    #[error("the plan is stale, nothing was changed: since it was made, these have changed: {}", .0.iter().map(|p| p.as_str()).collect::<Vec<_>>().join(", "))]
    Stale(Vec<StalePart>),
    /// The disk says no.
    #[error("{what} {}", path.display())]
    Files {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
    /// The service manager says no.
    #[error(
        "generation {generation} is current, but not all of it is in force: give the same command again, or `custodian rollback`"
    )]
    Unfinished {
        /// The generation.
        generation: u64,
        /// Why.
        source: ManagerError,
    },
    /// The trial could not be guarded, so it was not begun.
    #[error("the trial was not begun, nothing was changed: nothing would end it")]
    NoTimer(#[source] ManagerError),
    /// A file of a generation does not make sense.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// In what way.
        what: String,
    },
    /// Nothing was ever applied.
    #[error("no generation is in force: nothing was applied so far")]
    Nothing,
    /// There is no such generation.
    #[error("there is no generation {0}")]
    NoSuch(u64),
    /// There is none to go back to.
    #[error("there is no generation to go back to")]
    NothingBack,
    /// A trial must know where to go back to.
    #[error("there is no confirmed generation that a trial could go back to: apply without --try")]
    TryFirst,
    /// People stay as they are when a site goes back; together with the old site they make no valid one.
    #[error(
        "people, roles and approvals of generation {from} do not go together with the site of generation {to}, so there would be no way back: {why}"
    )]
    People {
        /// Whose people.
        from: u64,
        /// Whose site.
        to: u64,
        /// Why not.
        why: String,
    },
    /// Another one is on trial.
    #[error("generation {0} is on trial, nothing was changed: `custodian confirm` or `custodian rollback` first")]
    OnTrial(u64),
    /// Going back takes something from people, and nobody answers for it.
    #[error("nothing was changed: {0}")]
    NoWord(String),
    /// The ledger is to know first.
    #[error("no word can be left for the ledger, so nothing was changed: {0}")]
    Ledger(String),
    /// The trial is over.
    #[error("the time for confirming has run out: the generation before is put back")]
    Expired,
    /// The cameras are not as they should be.
    #[error("not confirmed: {} of the cameras are not as they should be", .0.len())]
    Doubts(Vec<Doubt>),
}
