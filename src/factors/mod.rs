//! Factors: the PIN at the console, and the leaders' sealed code for what takes something from people.
//!
//! `factors.json` in the state folder holds a hash of each, how often it was tried in vain, and when the sealed code was used. A try
//! is counted on disk **before** it is checked, so that neither a power cut nor a kill gives one away; a file that cannot be written lets nobody in.
//! After four in vain each further one has to wait. The wait is reckoned by the time since boot alone: setting the clock
//! changes nothing, and after a reboot it begins anew.
//!
//! Who checks holds a lock, so that two consoles do not try at once: `services` takes it.

mod hash;
mod words;

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use hash::{Cost, Hashed};
use serde::{Deserialize, Serialize};
pub use words::{NoSealedCode, Pin, PinError, SealedCode};

use crate::{
    sys::{Clock, Files, Monotonic},
    types::{WallNs, event},
};

/// The file in the state folder.
pub const FILE: &str = "factors.json";
const FORMAT: u16 = 1;
/// So many uses are remembered; the journal and the ledger have the others.
const USES: usize = 1000;
/// A reason is not longer.
const LONGEST: usize = 400;

/// What was tried in vain since it was right last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Tries {
    failed: u32,
    /// In which boot the last one was, and when since its beginning.
    boot: String,
    since_boot: i64,
}

impl Tries {
    /// How long the next try has to wait after so many in vain.
    fn wait(failed: u32) -> Duration {
        match failed {
            0..=3 => Duration::ZERO,
            4 => Duration::from_mins(1),
            5 => Duration::from_mins(5),
            6 => Duration::from_mins(15),
            _ => Duration::from_hours(1),
        }
    }

    /// How long it still has to.
    fn left(&self, boot: &str, now: Monotonic) -> Duration {
        // Of the time between two boots nothing is known that cannot be forged.
        let then = if self.boot == boot { Monotonic(self.since_boot) } else { Monotonic(0) };
        Self::wait(self.failed).saturating_sub(now.since(then))
    }
}

/// A secret, as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    hashed: Hashed,
    tries: Tries,
}

/// When the sealed code was used, and what for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// By the clock, as it stood.
    pub at: WallNs,
    /// What for.
    pub reason: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    format: u16,
    pin: Kept,
    sealed: Kept,
    uses: Vec<Use>,
}

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum FactorError {
    /// None were ever made.
    #[error("this machine has no PIN and no leaders' code: they are made when it is installed")]
    NotSet,
    /// What was typed cannot be right. It does not count.
    #[error("that is no PIN, and no leaders' code: see how it is written")]
    Malformed,
    /// It is not the one. The next one must wait so long.
    #[error("that is not the one")]
    Wrong(Duration),
    /// Tried too often in vain: it was not looked at.
    #[error("tried too often in vain: again in {} s", .0.as_secs())]
    Wait(Duration),
    /// The file is no file of this version.
    #[error("{} is damaged", .0.display())]
    Damaged(PathBuf),
    /// It cannot be read, or the try cannot be put on record.
    #[error("the PIN cannot be checked: {0}")]
    Io(#[from] io::Error),
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factor {
    /// The PIN.
    Pin,
    /// The leaders' code.
    Sealed,
}

impl Factor {
    fn name(self) -> &'static str {
        match self {
            Self::Pin => "PIN",
            Self::Sealed => "leaders' code",
        }
    }

    fn of(self, document: &mut Document) -> &mut Kept {
        match self {
            Self::Pin => &mut document.pin,
            Self::Sealed => &mut document.sealed,
        }
    }
}

/// The factors of a machine.
pub struct Factors<'a> {
    files: &'a dyn Files,
    clock: &'a dyn Clock,
    path: PathBuf,
    boot: String,
    cost: Cost,
}

impl<'a> Factors<'a> {
    /// Those in this state folder. `boot`: this boot's id, see random(4).
    pub fn new(files: &'a dyn Files, clock: &'a dyn Clock, state: &Path, boot: &str) -> Self {
        Self { files, clock, path: state.join(FILE), boot: boot.trim().to_owned(), cost: Cost::FULL }
    }

    /// Makes the file, in the place of one that is there: only installing does so.
    pub fn create(&self, pin: &Pin, sealed: &SealedCode) -> io::Result<()> {
        let kept =
            |secret| Ok::<_, io::Error>(Kept { hashed: Hashed::new(secret, self.cost)?, tries: Tries::default() });
        let (pin, sealed) = (kept(pin.bytes())?, kept(sealed.bytes())?);
        self.write(&Document { format: FORMAT, pin, sealed, uses: Vec::new() })
    }

    /// Checks a PIN as it was typed.
    ///
    /// # Errors
    /// If it is not the one, or cannot be known to be.
    pub fn check_pin(&self, typed: &str) -> Result<(), FactorError> {
        let pin: Pin = typed.parse().map_err(|_| FactorError::Malformed)?;
        self.check(Factor::Pin, pin.bytes(), |_| ())
    }

    /// Checks the leaders' code as it was typed. It stays valid; that it was used, and why, is on record before this returns.
    ///
    /// # Errors
    /// If it is not the one, or cannot be known to be.
    pub fn check_sealed(&self, typed: &str, reason: &str) -> Result<(), FactorError> {
        let code: SealedCode = typed.parse().map_err(|NoSealedCode| FactorError::Malformed)?;
        let reason: String = reason.chars().take(LONGEST).collect();
        self.check(Factor::Sealed, code.bytes(), |document| {
            document.uses.push(Use { at: self.clock.wall(), reason: reason.clone() });
            let surplus = document.uses.len().saturating_sub(USES);
            document.uses.drain(..surplus);
        })?;
        log::warn!(MESSAGE_ID = event::SEALED_CODE_USED, CAUSE = &*reason; "the leaders' code was used: {reason}");
        Ok(())
    }

    /// How long the next try has to wait.
    ///
    /// # Errors
    /// If there are none.
    pub fn wait(&self, factor: Factor) -> Result<Duration, FactorError> {
        Ok(factor.of(&mut self.read()?).tries.left(&self.boot, self.clock.monotonic()))
    }

    /// When the leaders' code was used, oldest first.
    ///
    /// # Errors
    /// If there are none.
    pub fn uses(&self) -> Result<Vec<Use>, FactorError> {
        Ok(self.read()?.uses)
    }

    fn check(&self, factor: Factor, secret: &[u8], used: impl FnOnce(&mut Document)) -> Result<(), FactorError> {
        let mut document = self.read()?;
        let now = self.clock.monotonic();
        let kept = factor.of(&mut document);
        let left = kept.tries.left(&self.boot, now);
        if !left.is_zero() {
            return Err(FactorError::Wait(left));
        }
        let failed = kept.tries.failed.saturating_add(1);
        kept.tries = Tries { failed, boot: self.boot.clone(), since_boot: now.0 };
        let hashed = kept.hashed.clone();
        self.write(&document)?;
        if !hashed.is_of(secret)? {
            let (wait, what) = (Tries::wait(failed), factor.name());
            log::warn!(
                MESSAGE_ID = event::FACTOR_REFUSED, COUNT = failed, SECONDS = wait.as_secs();
                "a wrong {what} was typed at the console: {failed} in a row, the next one after {} s", wait.as_secs()
            );
            return Err(FactorError::Wrong(wait));
        }
        factor.of(&mut document).tries = Tries::default();
        used(&mut document);
        Ok(self.write(&document)?)
    }

    fn read(&self) -> Result<Document, FactorError> {
        let text = self.files.read(&self.path)?.ok_or(FactorError::NotSet)?;
        let document: Option<Document> = serde_json::from_slice(&text).ok();
        document.filter(|d| d.format == FORMAT).ok_or_else(|| FactorError::Damaged(self.path.clone()))
    }

    fn write(&self, document: &Document) -> io::Result<()> {
        let text = serde_json::to_string(document)? + "\n";
        self.files.write(&self.path, text.as_bytes(), 0o600, None)
    }
}

#[cfg(test)]
mod tests;
