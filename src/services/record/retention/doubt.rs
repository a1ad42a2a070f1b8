//! What suspends deletion. Whatever is in doubt, nothing goes; it is logged once and shown until it is settled.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::PoisonError,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Retention, notes::OfVolume};
use crate::{
    services::record::Shared,
    store::recovery::Reconciled,
    types::{
        VolumeName, event,
        merkle::Hash,
        wire::{Doubt, Suspension},
    },
};

/// In what a volume and the index do not agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Disagreement {
    /// Files that are gone, or parts of them. The index has forgotten them by the next comparison.
    lost: usize,
    /// Files that are not ours, when it was compared last.
    foreign: usize,
    such_as: String,
    /// Of the files that are not ours: by which they are known again once a person has looked at them.
    digest: String,
}

impl Disagreement {
    /// In words.
    pub(super) fn why(&self) -> String {
        let Self { lost, foreign, such_as, .. } = self;
        format!("{lost} files or parts of them are gone, {foreign} are not ours or cannot be read, such as {such_as}")
    }
}

/// What is said of a ledger that has not been opened yet.
const OPENING: &str = "it is not open yet";

/// Whether a doubt belongs to every start and settles itself: it is shown, and not worth a line in the log.
fn passes(suspension: &Suspension) -> bool {
    suspension.doubt == Doubt::Comparing || suspension.why == OPENING
}

/// What comparing a volume with the index has left in doubt.
pub(super) fn disagreement(report: &Reconciled) -> Option<Disagreement> {
    let such_as = report.lost.iter().chain(&report.foreign).min()?.clone();
    let mut foreign: Vec<&String> = report.foreign.iter().collect();
    foreign.sort();
    let mut digest = Sha256::new();
    foreign.iter().for_each(|text| digest.update(format!("{text}\n")));
    let digest = Hash(digest.finalize().into()).to_string();
    Some(Disagreement { lost: report.lost.len(), foreign: foreign.len(), such_as, digest })
}

impl OfVolume {
    /// Takes up what comparing has found. What a person has looked at is in order, as long as nothing else is gone; what nobody has looked
    /// at stays, whatever is found later; but what was only not ours, or could not be read for a moment, may be gone again.
    pub(super) fn compared(&mut self, found: Option<Disagreement>) {
        if found.is_none() && self.found.as_ref().is_some_and(|old| old.lost == 0) {
            self.found = None;
        }
        let Some(new) = found.filter(|d| d.lost > 0 || self.trusted.as_ref() != Some(&d.digest)) else { return };
        self.found = Some(match self.found.take() {
            Some(old) => Disagreement { lost: old.lost + new.lost, such_as: old.such_as, ..new },
            None => new,
        });
    }

    /// A person has looked at that. Whether it is all that was found.
    pub(super) fn trust(&mut self, looked_at: &Disagreement) -> bool {
        self.trusted = Some(looked_at.digest.clone());
        let all = self.found.as_ref() == Some(looked_at);
        if all {
            self.found = None;
        }
        all
    }
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
        let (held, noted, state) = (shared.holds.held(), self.notes.noted(), self.state());
        let compared = shared.compared.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for volume in shared.store.roots().keys() {
            if let Err(why) = held.may_delete(volume) {
                add(Some(volume), Doubt::Holds, why);
            }
            if !compared.contains(volume) {
                add(Some(volume), Doubt::Comparing, "it is being compared with the index".into());
            }
            if let Some(found) = noted.volumes.get(volume).and_then(|v| v.found.as_ref()) {
                add(Some(volume), Doubt::Contents, found.why());
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
            // What is wrong with holds and with the ledger is an error of theirs, and told there.
            let level =
                if matches!(doubt, Doubt::Holds | Doubt::Ledger) { log::Level::Warn } else { log::Level::Error };
            match volume {
                Some(volume) => log::log!(
                    level, MESSAGE_ID = event::VOLUME_DELETION_SUSPENDED,
                    VOLUME = volume.as_str(), DOUBT = doubt.as_str(), CAUSE = why.as_str();
                    "nothing is deleted on volume {volume}: {why}"
                ),
                None if *doubt == Doubt::Clock => log::error!(
                    MESSAGE_ID = event::CLOCK_IN_DOUBT, DOUBT = doubt.as_str(), CAUSE = why.as_str();
                    "nothing is deleted: {why}"
                ),
                None => log::log!(
                    level, MESSAGE_ID = event::DELETION_SUSPENDED, DOUBT = doubt.as_str(), CAUSE = why.as_str();
                    "nothing is deleted: {why}"
                ),
            }
        }
        for ((volume, doubt), _) in before.iter().filter(|(key, _)| !now.contains_key(*key)) {
            let doubt = doubt.as_str();
            match volume {
                Some(volume) => log::info!(
                    MESSAGE_ID = event::DELETION_RESUMED, VOLUME = volume.as_str(), DOUBT = doubt;
                    "volume {volume}: deletion is no longer suspended for the {doubt}"
                ),
                None => log::info!(
                    MESSAGE_ID = event::DELETION_RESUMED, DOUBT = doubt;
                    "deletion is no longer suspended for the {doubt}"
                ),
            }
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
        assert!(one.why().contains("1 files or parts of them are gone, 2 are not ours"), "{}", one.why());
    }

    #[test]
    fn what_nobody_has_looked_at_stays_in_doubt_whatever_is_found_later() {
        let found = |lost: &[&str], foreign: &[&str]| {
            let texts = |all: &[&str]| all.iter().map(|s| (*s).to_owned()).collect();
            disagreement(&Reconciled { lost: texts(lost), foreign: texts(foreign), ..Reconciled::default() })
        };
        let mut volume = OfVolume::default();
        volume.compared(found(&["b"], &["x"]));
        let first = volume.found.clone().unwrap();
        // The index knows no more of what is gone.
        volume.compared(None);
        assert_eq!(volume.found.as_ref(), Some(&first));
        volume.compared(found(&["c"], &["x"]));
        let both = volume.found.clone().unwrap();
        assert!(both.why().contains("2 files or parts of them are gone, 1 are not ours"), "{}", both.why());
        assert!(!volume.trust(&first), "more was found since");
        assert_eq!(volume.found.as_ref(), Some(&both));
        assert!(volume.trust(&both));
        volume.compared(found(&[], &["x"]));
        assert_eq!(volume.found, None, "it is known");
        volume.compared(found(&["d"], &["x"]));
        assert!(volume.found.take().is_some(), "another file is gone");
        volume.compared(found(&[], &["x", "y"]));
        assert!(volume.found.is_some(), "another file is not ours");
        volume.compared(None);
        assert_eq!(volume.found, None, "nothing was gone, and it is away again");
    }
}
