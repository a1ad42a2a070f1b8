//! What goes wrong while a disk is worked on, and running the programs that work on it.

use std::{io, path::PathBuf, time::Duration};

use crate::sys::{Commands, Output};

/// Why a verb was not carried out to its end.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A program could not be run.
    #[error("{program} could not be run")]
    Run {
        /// Which.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A program failed.
    #[error("{program} failed: {said}")]
    Failed {
        /// Which.
        program: String,
        /// Its complaint.
        said: String,
    },
    /// The kernel says that the disk is in use.
    #[error("{} is in use (mounted, in a RAID, or opened by another program)", device.display())]
    Busy {
        /// Which.
        device: PathBuf,
    },
    /// A file or device.
    #[error("{what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The partition did not appear.
    #[error("{} has no partition after it was given one", device.display())]
    NoPartition {
        /// The disk.
        device: PathBuf,
    },
    /// The recovery key could not be made.
    #[error("the kernel gave no random bytes")]
    Random(#[source] io::Error),
}

/// How long a program may work: a discard of a large SSD takes minutes.
pub(super) const LIMIT: Duration = Duration::from_mins(10);

impl DiskError {
    /// From what a program said that did not end well.
    pub(super) fn of(program: &str, out: Output) -> Self {
        let said = if out.stderr.is_empty() { format!("exit code {:?}", out.code) } else { out.stderr };
        Self::Failed { program: program.to_owned(), said }
    }
}

/// Runs a program that must end well.
pub(super) fn run(commands: &dyn Commands, program: &str, args: &[&str], input: &[u8]) -> Result<Output, DiskError> {
    let out = try_run(commands, program, args, input)?;
    if out.ok() { Ok(out) } else { Err(DiskError::of(program, out)) }
}

/// Runs a program whose exit code is an answer.
pub(super) fn try_run(
    commands: &dyn Commands,
    program: &str,
    args: &[&str],
    input: &[u8],
) -> Result<Output, DiskError> {
    log::debug!("{program} {}", args.join(" "));
    commands.run(program, args, input, LIMIT).map_err(|source| DiskError::Run { program: program.to_owned(), source })
}
