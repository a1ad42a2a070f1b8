//! Leadership's word on changes that take something from people: footage, cameras, rights.
//!
//! Whatever the way by which a change arrives, it passes here. Until leaders can log in, the word is given by whoever is root
//! at the machine and states a reason, which goes on record with the generation.

use serde::{Deserialize, Serialize};

use super::{Change, Plan};

/// A word that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Who gave it.
    pub who: String,
    /// Why.
    pub reason: String,
}

/// Who can give it.
pub trait Authority {
    /// Gives its word on these changes; never asked about none.
    ///
    /// # Errors
    /// If it does not.
    fn word(&self, changes: &[&Change]) -> Result<Word, Denied>;
}

/// Why no word was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Not root.
    #[error("guarded changes want leadership's word: that is root at this machine, for now")]
    NotRoot,
    /// No reason.
    #[error("guarded changes want a reason, which goes on record: --reason \"…\"")]
    NoReason,
}

/// Asks for a word if the plan wants one. Nothing, if it wants none.
///
/// # Errors
/// If it wants one and none is given: then nothing may be applied.
pub fn word(plan: &Plan, authority: &dyn Authority) -> Result<Option<Word>, Denied> {
    let guarded: Vec<&Change> = plan.guarded().collect();
    if guarded.is_empty() { Ok(None) } else { authority.word(&guarded).map(Some) }
}

/// Root at this machine, with a reason.
#[derive(Debug, Clone)]
pub struct RootWithReason {
    /// Whether the one who asks is root.
    pub root: bool,
    /// The user's name.
    pub user: String,
    /// The reason.
    pub reason: Option<String>,
}

impl Authority for RootWithReason {
    fn word(&self, _: &[&Change]) -> Result<Word, Denied> {
        if !self.root {
            return Err(Denied::NotRoot);
        }
        let reason = self.reason.as_deref().map(str::trim).filter(|r| !r.is_empty()).ok_or(Denied::NoReason)?;
        Ok(Word { who: self.user.clone(), reason: reason.to_owned() })
    }
}
