//! What suspends deletion. Whatever is in doubt, nothing goes; it is logged once and shown until it is settled.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::PoisonError,
};

use sha2::{Digest as _, Sha256};

use super::Retention;
use crate::{
    services::record::Shared,
    store::recovery::Reconciled,
    types::{
        VolumeName,
        merkle::Hash,
        wire::{Doubt, Suspension},
    },
};

/// In what a volume and the index do not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disagreement {
    /// In words.
    pub(super) why: String,
    /// Of all that was found: by which it is known again once a person has looked at it.
    pub(super) digest: String,
}

/// What is said of a ledger that has not been opened yet.
const OPENING: &str = "it is not open yet";

/// Whether a doubt belongs to every start and settles itself: it is shown, and not worth a line in the log.
fn passes(suspension: &Suspension) -> bool {
    suspension.doubt == Doubt::Comparing || suspension.why == OPENING
}

/// Under this key the index notes up to which disagreement a volume is trusted.
pub(super) fn trusted_note(volume: &VolumeName) -> String {
    format!("trusted.{volume}")
}

/// What comparing a volume with the index has left in doubt.
pub(super) fn disagreement(report: &Reconciled) -> Option<Disagreement> {
    let mut found: Vec<&String> = report.lost.iter().chain(&report.foreign).collect();
    found.sort();
    let first = found.first()?;
    let why = format!(
        "{} files or parts of them are gone, {} are not ours or cannot be read, such as {first}",
        report.lost.len(),
        report.foreign.len()
    );
    let mut digest = Sha256::new();
    found.iter().for_each(|text| digest.update(format!("{text}\n")));
    Some(Disagreement { why, digest: Hash(digest.finalize().into()).to_string() })
}

impl Retention {
    /// All that is in doubt now.
    pub(super) fn look_for_doubts(&self, shared: &Shared, index_problem: Option<String>) -> BTreeSet<Suspension> {
        let mut all = BTreeSet::new();
        let mut add = |volume: Option<&VolumeName>, doubt, why: String| {
            all.insert(Suspension { volume: volume.cloned(), doubt, why });
        };
        if let Some(doubt) = self.trust.doubt() {
            add(None, Doubt::Clock, doubt.why());
        }
        if let Some(why) = index_problem.or_else(|| shared.index.problem()) {
            add(None, Doubt::Index, why);
        }
        let ledger = shared.journal.status();
        if let Some(why) = ledger.problem.or_else(|| ledger.size.is_none().then(|| OPENING.into())) {
            add(None, Doubt::Ledger, why);
        }
        let (held, state) = (shared.holds.held(), self.state());
        let compared = shared.compared.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for volume in shared.store.roots().keys() {
            if let Err(why) = held.may_delete(volume) {
                add(Some(volume), Doubt::Holds, why);
            }
            if !compared.contains(volume) {
                add(Some(volume), Doubt::Comparing, "it is being compared with the index".into());
            }
            if let Some(disagreement) = state.disagreements.get(volume) {
                add(Some(volume), Doubt::Contents, disagreement.why.clone());
            }
            if let Some(why) = state.refusals.get(volume) {
                add(Some(volume), Doubt::Volume, why.clone());
            }
        }
        all
    }

    /// Takes note of what is in doubt, and logs what was not before.
    pub(super) fn note_doubts(&self, doubts: BTreeSet<Suspension>) {
        let mut state = self.state();
        let keys = |all: &BTreeSet<Suspension>| -> BTreeMap<(Option<VolumeName>, Doubt), String> {
            all.iter().filter(|s| !passes(s)).map(|s| ((s.volume.clone(), s.doubt), s.why.clone())).collect()
        };
        let (before, now) = (keys(&state.doubts), keys(&doubts));
        for ((volume, doubt), why) in now.iter().filter(|(key, _)| !before.contains_key(*key)) {
            let place =
                volume.as_ref().map_or("nothing is deleted".into(), |v| format!("nothing is deleted on volume {v}"));
            match doubt {
                // They say so themselves.
                Doubt::Holds | Doubt::Ledger => log::warn!("{place}: {why}"),
                _ => log::error!("{place}: {why}"),
            }
        }
        for ((volume, doubt), _) in before.iter().filter(|(key, _)| !now.contains_key(*key)) {
            let place = volume.as_ref().map_or(String::new(), |v| format!("volume {v}: "));
            log::info!("{place}deletion is no longer suspended for the {}", doubt.as_str());
        }
        state.doubts = doubts;
    }

    /// Whether nothing may be deleted on a volume.
    pub(super) fn is_suspended(&self, volume: &VolumeName) -> bool {
        self.state().doubts.iter().any(|d| d.volume.as_ref().is_none_or(|v| v == volume))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_has_looked_at_is_known_again_and_anything_else_is_not() {
        assert_eq!(disagreement(&Reconciled::default()), None);
        let report = |lost: &[&str], foreign: &[&str]| Reconciled {
            lost: lost.iter().map(|s| (*s).to_owned()).collect(),
            foreign: foreign.iter().map(|s| (*s).to_owned()).collect(),
            ..Reconciled::default()
        };
        let one = disagreement(&report(&["a"], &["x", "b"])).unwrap();
        assert_eq!(one.digest, disagreement(&report(&["a"], &["b", "x"])).unwrap().digest);
        assert_ne!(one.digest, disagreement(&report(&["a"], &["b"])).unwrap().digest);
        assert!(one.why.contains("1 files or parts of them are gone, 2 are not ours"), "{}", one.why);
    }
}
