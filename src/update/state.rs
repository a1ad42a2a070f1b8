//! What is known of updates, and what may become of it: no files, no clocks, no programs.
//!
//! ```text
//! offered → consented → writing → applied → trying → good
//!    └──────────┴──────────┴─────────┴─────────┴──→ refused: by a person, or because it did not come up
//! ```

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{error::UpdateError, sums::Found, version::Version};
use crate::{
    ledger::UpdateChange,
    types::{WallNs, merkle::Hash},
};

/// Version of the file.
pub(super) const FORMAT: u16 = 1;
/// The oldest version whose readers understand it.
pub(super) const MIN_READER: u16 = 1;

/// So often a version is written without a person: a slot that does not take it will not take it in ten minutes either.
const WRITES: u32 = 3;

/// How far a version has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// It lies here, with a good signature, and waits for the school's consent.
    Offered,
    /// The school has consented.
    Consented,
    /// It is being written to the slot that is not in use, or that was cut short.
    Writing,
    /// It is written, and comes with the next start.
    Applied,
    /// It runs, and has not proven itself yet.
    Trying,
}

/// A version that may come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Which.
    pub version: Version,
    /// SHA-256 of its `SHA256SUMS`.
    pub sums: Hash,
    /// When it was offered.
    pub offered: WallNs,
    /// How far it is.
    pub stage: Stage,
    /// The boot in which it was written: it can have been tried in another one only.
    #[serde(default)]
    pub written_in: Option<String>,
    /// How often it could not be written.
    #[serde(default)]
    pub failures: u32,
}

/// A version that came up as it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Good {
    /// Which.
    pub version: Version,
    /// Since when that is known.
    pub at: WallNs,
    /// The boot in which that was found out.
    #[serde(default)]
    pub boot: Option<String>,
}

/// Why a version is not offered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// A person said so.
    Person,
    /// It was started as often as it may be, and did not come up as it should.
    FellBack,
}

/// A version that is not offered again, unless a person says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Which.
    pub version: Version,
    /// Why.
    pub why: Why,
    /// When.
    pub at: WallNs,
    /// Whether a person knows of it.
    pub known: bool,
}

/// Who gives a word, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// The person.
    pub by: String,
    /// The reason.
    pub reason: String,
}

/// What the ledger is told, with the texts of which it gets salted hashes only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// By which the entry is known again.
    pub id: Uuid,
    /// How many entries the ledger had before.
    pub from: u64,
    /// When.
    pub at: WallNs,
    /// The version.
    pub version: Version,
    /// SHA-256 of its `SHA256SUMS`.
    pub sums: Hash,
    /// What became of it.
    pub change: UpdateChange,
    /// Through whom, if through anybody.
    pub word: Option<Word>,
    /// 32 hexadecimal digits.
    pub salt: String,
    /// Whether it was left for the ledger.
    pub left: bool,
}

/// What a new note is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Now.
    pub(super) at: WallNs,
    /// How many entries the ledger has, at most.
    pub(super) from: u64,
    /// 32 hexadecimal digits that nobody can guess.
    pub(super) salt: String,
}

/// How often the loader will still start the candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tries {
    /// The loader has no entry for it.
    NoEntry,
    /// Its entry does not count: it has been found good.
    NotCounted,
    /// So often.
    Left(u32),
}

/// Whether the loader counts this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// It does, and has not been told that it is a good one.
    Counted,
    /// It does not, or has been told.
    NotCounted,
    /// It cannot be asked: nothing follows from that.
    Unknown,
}

/// What the machine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The version that runs.
    pub running: Version,
    /// Which boot this is.
    pub boot: String,
    /// Whether the loader counts this boot.
    pub trial: Trial,
    /// How often the candidate will still be started.
    pub tries: Tries,
}

/// Everything that is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Version of the file.
    pub format: u16,
    /// The oldest version whose readers understand it.
    pub min_reader: u16,
    /// When somebody looked for a newer version last, and what there was lay here then.
    pub looked: Option<WallNs>,
    /// The version that may come.
    pub candidate: Option<Candidate>,
    /// The boot that was ended so that the candidate starts.
    #[serde(default)]
    pub restarted_in: Option<String>,
    /// The newest that came up as it should.
    pub good: Option<Good>,
    /// Those that are not offered again.
    pub refused: Vec<Refusal>,
    /// What the ledger was told, or is to be.
    pub notes: Vec<Note>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            format: FORMAT,
            min_reader: MIN_READER,
            looked: None,
            candidate: None,
            restarted_in: None,
            good: None,
            refused: Vec::new(),
            notes: Vec::new(),
        }
    }
}

impl State {
    fn note(&mut self, stamp: Stamp, change: UpdateChange, of: &Candidate, word: Option<Word>) {
        let Stamp { at, from, salt } = stamp;
        let (version, sums) = (of.version.clone(), of.sums);
        self.notes.push(Note { id: Uuid::new_v4(), from, at, version, sums, change, word, salt, left: false });
    }

    /// The candidate, if it is this version.
    fn the(&self, version: &Version) -> Result<&Candidate, UpdateError> {
        let candidate = self.candidate.as_ref().ok_or(UpdateError::Nothing)?;
        if candidate.version == *version {
            Ok(candidate)
        } else {
            Err(UpdateError::OtherVersion { asked: version.clone(), offered: candidate.version.clone() })
        }
    }

    /// Whether a version that was found may be fetched; `again`: also this one, if it was refused. The word for one that is offered stays only if
    /// its list is the same.
    pub(super) fn may_offer(
        &self,
        found: &Found,
        running: &Version,
        again: Option<&Version>,
    ) -> Result<(), UpdateError> {
        let version = found.version.clone();
        if found.version <= *running {
            return Err(UpdateError::NotNewer { found: version, than: running.clone() });
        }
        if let Some(refusal) = self.refused.iter().find(|r| r.version == version && again != Some(&r.version)) {
            return Err(UpdateError::WasRefused { version, why: refusal.why });
        }
        match &self.candidate {
            Some(c) if !matches!(c.stage, Stage::Offered | Stage::Consented) => {
                Err(UpdateError::UnderWay { version: c.version.clone() })
            }
            Some(c) if c.version > version => Err(UpdateError::NotNewer { found: version, than: c.version.clone() }),
            _ => Ok(()),
        }
    }

    /// Whether it is the candidate already.
    pub(super) fn is_known(&self, found: &Found) -> bool {
        self.candidate.as_ref().is_some_and(|c| c.version == found.version && c.sums == found.sums)
    }

    /// A version lies here now, whole and with a good signature. Says whether it is a new one. That it was refused is forgotten.
    pub(super) fn offer(&mut self, found: &Found, at: WallNs) -> bool {
        let same = self.is_known(found);
        self.looked = Some(at);
        if !same {
            self.refused.retain(|r| r.version != found.version);
            let (version, sums) = (found.version.clone(), found.sums);
            self.candidate =
                Some(Candidate { version, sums, offered: at, stage: Stage::Offered, written_in: None, failures: 0 });
        }
        !same
    }

    /// The school consents to a version that is offered. Says whether that is new.
    pub(super) fn consent(&mut self, version: &Version, word: Word, stamp: Stamp) -> Result<bool, UpdateError> {
        let mut candidate = self.the(version)?.clone();
        if candidate.stage != Stage::Offered {
            return Ok(false);
        }
        candidate.stage = Stage::Consented;
        self.note(stamp, UpdateChange::Consented, &candidate, Some(word));
        self.candidate = Some(candidate);
        Ok(true)
    }

    /// Writing may begin: there is consent to just these files, and the ledger has it.
    pub(super) fn begin(&mut self, sums: Option<Hash>) -> Result<Version, UpdateError> {
        let candidate = self.candidate.as_mut().ok_or(UpdateError::Nothing)?;
        let version = candidate.version.clone();
        match candidate.stage {
            Stage::Consented | Stage::Writing => {}
            Stage::Offered => return Err(UpdateError::NoConsent { version }),
            Stage::Applied | Stage::Trying => return Err(UpdateError::UnderWay { version }),
        }
        if sums != Some(candidate.sums) {
            return Err(UpdateError::OtherFiles { version });
        }
        let sums = candidate.sums;
        let told = |n: &Note| n.left && n.change == UpdateChange::Consented && n.version == version && n.sums == sums;
        if !self.notes.iter().any(told) {
            return Err(UpdateError::NotInLedger);
        }
        candidate.stage = Stage::Writing;
        Ok(version)
    }

    /// It could not be written.
    pub(super) fn not_written(&mut self) {
        if let Some(candidate) = &mut self.candidate {
            candidate.failures = candidate.failures.saturating_add(1);
        }
    }

    /// A version that could not be written as often as is tried without a person.
    pub fn given_up(&self) -> Option<&Version> {
        let stuck = |c: &&Candidate| c.stage == Stage::Writing && c.failures >= WRITES;
        self.candidate.as_ref().filter(stuck).map(|c| &c.version)
    }

    /// It is written.
    pub(super) fn applied(&mut self, boot: &str, stamp: Stamp) -> Result<(), UpdateError> {
        let Some(mut candidate) = self.candidate.clone().filter(|c| c.stage == Stage::Writing) else {
            return Err(UpdateError::Nothing);
        };
        (candidate.stage, candidate.written_in) = (Stage::Applied, Some(boot.to_owned()));
        self.note(stamp, UpdateChange::Applied, &candidate, None);
        (self.candidate, self.restarted_in) = (Some(candidate), None);
        Ok(())
    }

    /// A version for which the machine was restarted, and which the loader did not start then.
    pub fn not_started(&self, facts: &Facts) -> Option<&Version> {
        let elsewhere = self.restarted_in.as_ref().is_some_and(|boot| *boot != facts.boot);
        let waits = |c: &&Candidate| c.stage == Stage::Applied && c.version != facts.running;
        self.candidate.as_ref().filter(waits).filter(|_| elsewhere).map(|c| &c.version)
    }

    /// Takes over what the machine says: what was started since, and whether it came up. Says what has changed.
    pub(super) fn observe(&mut self, facts: &Facts, stamp: Stamp) -> Seen {
        let Some(mut candidate) = self.candidate.clone() else { return Seen::Nothing };
        let written = matches!(candidate.stage, Stage::Writing | Stage::Applied | Stage::Trying);
        if facts.running == candidate.version {
            match facts.trial {
                // It runs and nobody counts: it was found good, or put there by other hands.
                Trial::NotCounted => return self.prove(&candidate, &facts.boot, stamp),
                Trial::Unknown => return Seen::Nothing,
                Trial::Counted => {}
            }
            let new = candidate.stage != Stage::Trying;
            candidate.stage = Stage::Trying;
            self.candidate = Some(candidate);
            return if new { Seen::Trying } else { Seen::Nothing };
        }
        if facts.running > candidate.version {
            self.candidate = None;
            return Seen::Overtaken;
        }
        // What was written in this boot has not been tried in it.
        if !written || candidate.written_in.as_ref() == Some(&facts.boot) {
            return Seen::Nothing;
        }
        match facts.tries {
            Tries::Left(0) => {
                let at = stamp.at;
                self.note(stamp, UpdateChange::FellBack, &candidate, None);
                self.refuse_as(Refusal { version: candidate.version, why: Why::FellBack, at, known: false });
                Seen::FellBack
            }
            // Its entry was taken away: it will not be started. While it was being written there may be none yet.
            Tries::NoEntry if candidate.stage != Stage::Writing => {
                (candidate.stage, candidate.written_in) = (Stage::Offered, None);
                self.candidate = Some(candidate);
                Seen::Gone
            }
            _ => Seen::Nothing,
        }
    }

    /// The version that runs is as it should be.
    pub(super) fn good(&mut self, facts: &Facts, stamp: Stamp) -> Seen {
        match self.candidate.clone() {
            Some(candidate) if candidate.version == facts.running => self.prove(&candidate, &facts.boot, stamp),
            _ => Seen::Nothing,
        }
    }

    fn prove(&mut self, candidate: &Candidate, boot: &str, stamp: Stamp) -> Seen {
        self.good = Some(Good { version: candidate.version.clone(), at: stamp.at, boot: Some(boot.to_owned()) });
        self.candidate = None;
        // Those that failed before it are history.
        self.refused.iter_mut().filter(|r| r.version < candidate.version).for_each(|r| r.known = true);
        self.note(stamp, UpdateChange::Good, candidate, None);
        Seen::Good
    }

    fn refuse_as(&mut self, refusal: Refusal) {
        self.candidate.take_if(|c| c.version == refusal.version);
        self.refused.retain(|r| r.version != refusal.version);
        self.refused.push(refusal);
    }

    /// A person refuses a version: one that is offered, or written and not started yet. Or they take note that one fell back.
    pub(super) fn refuse(
        &mut self,
        version: &Version,
        word: Word,
        running: &Version,
        stamp: Stamp,
    ) -> Result<(), UpdateError> {
        if running == version {
            return Err(UpdateError::Runs { version: version.clone() });
        }
        if let Some(refusal) = self.refused.iter_mut().find(|r| r.version == *version) {
            refusal.known = true;
            return Ok(());
        }
        let candidate = self.the(version)?.clone();
        let at = stamp.at;
        self.note(stamp, UpdateChange::Refused, &candidate, Some(word));
        self.refuse_as(Refusal { version: candidate.version, why: Why::Person, at, known: true });
        Ok(())
    }

    /// Whether this version has proven itself. If its starts are counted all the same, the loader was not told, or could not be.
    pub fn is_proven(&self, running: &Version) -> bool {
        self.good.as_ref().is_some_and(|good| good.version == *running)
    }

    /// Whether it has in an earlier start.
    pub(super) fn was_proven(&self, facts: &Facts) -> bool {
        let earlier = |good: &Good| good.boot.as_ref().is_some_and(|boot| *boot != facts.boot);
        self.is_proven(&facts.running) && self.good.as_ref().is_some_and(earlier)
    }

    /// A version that was good, though an older one runs: somebody has chosen that, or the newer one is not started any more.
    pub fn left_behind(&self, running: &Version) -> Option<&Version> {
        self.good.as_ref().map(|good| &good.version).filter(|version| *version > running)
    }

    /// A version that fell back, and nobody has taken note.
    pub fn fell_back(&self) -> Option<&Version> {
        self.refused.iter().rev().find(|r| r.why == Why::FellBack && !r.known).map(|r| &r.version)
    }

    /// The version that waits for the school's consent.
    pub fn waits(&self) -> Option<&Version> {
        self.candidate.as_ref().filter(|c| c.stage == Stage::Offered).map(|c| &c.version)
    }
}

/// What has become known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Nothing new.
    Nothing,
    /// The candidate runs, on probation.
    Trying,
    /// The candidate runs, and is good.
    Good,
    /// It did not come up; the version before runs.
    FellBack,
    /// What was written is not there any more.
    Gone,
    /// A newer version than the candidate runs.
    Overtaken,
}
