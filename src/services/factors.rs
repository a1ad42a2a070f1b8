//! The factors of this machine: one check at a time, whoever asks.

use std::{fs, path::Path};

use super::lock::Lock;
use crate::{
    factors::{FILE, FactorError, Factors},
    plan::{
        Change,
        guard::{Authority, Denied, Word},
    },
    sys::{RealClock, RealFiles},
};

fn with<T>(state: &Path, act: impl FnOnce(&Factors<'_>) -> Result<T, FactorError>) -> Result<T, FactorError> {
    if !state.join(FILE).exists() {
        return Err(FactorError::NotSet);
    }
    let busy = |e: anyhow::Error| FactorError::Io(std::io::Error::other(format!("{e:#}")));
    let _lock = Lock::take(&state.join("factors.lock"), "somebody checks a PIN").map_err(busy)?;
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    act(&Factors::new(&RealFiles, &RealClock, state, &boot))
}

/// Checks a PIN.
///
/// # Errors
/// If it is not the one.
pub fn check_pin(state: &Path, typed: &str) -> Result<(), FactorError> {
    with(state, |factors| factors.check_pin(typed))
}

/// Leadership's word, given by the code in the envelope. There is none without it.
#[derive(Debug)]
pub struct SealedWord {
    reason: String,
}

impl SealedWord {
    /// Whose word it is, as it goes on record.
    pub const WHO: &str = "leaders' sealed code";

    /// Checks the code; that it was used, and what for, is on record then.
    ///
    /// # Errors
    /// If it is not the one.
    pub fn check(state: &Path, typed: &str, reason: &str) -> Result<Self, FactorError> {
        with(state, |factors| factors.check_sealed(typed, reason))?;
        Ok(Self { reason: reason.trim().to_owned() })
    }
}

impl Authority for SealedWord {
    fn word(&self, _: &[&Change]) -> Result<Word, Denied> {
        if self.reason.is_empty() {
            return Err(Denied::NoReason);
        }
        Ok(Word { who: Self::WHO.to_owned(), reason: self.reason.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factors::{Pin, SealedCode};

    #[test]
    fn leadership_speaks_by_the_code_and_with_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(check_pin(dir.path(), "294173"), Err(FactorError::NotSet)));
        assert!(matches!(check_pin(&dir.path().join("none"), "294173"), Err(FactorError::NotSet)));
        let code = SealedCode::make().unwrap();
        Factors::new(&RealFiles, &RealClock, dir.path(), "").create(&Pin::choose("294173").unwrap(), &code).unwrap();
        check_pin(dir.path(), "294173").unwrap();
        let other = SealedCode::make().unwrap().reveal();
        assert!(matches!(SealedWord::check(dir.path(), &other, "x"), Err(FactorError::Wrong(_))));
        let word = SealedWord::check(dir.path(), &code.reveal(), " the board decided ").unwrap().word(&[]).unwrap();
        assert_eq!((&*word.who, &*word.reason), (SealedWord::WHO, "the board decided"));
        let silent = SealedWord::check(dir.path(), &code.reveal(), "  ").unwrap();
        assert_eq!(silent.word(&[]), Err(Denied::NoReason));
    }
}
