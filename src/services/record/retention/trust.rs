//! A person's word that the clock, or what is on a volume, is right.

use std::{path::PathBuf, time::Duration};

use uuid::Uuid;

use super::{
    Retention,
    notes::{Notes, Said},
};
use crate::{
    ledger::{Salted, What},
    services::record::Shared,
    types::{VolumeName, wire},
};

/// How long the ledger may take.
const LEDGER: Duration = Duration::from_secs(10);

/// Why a word is not taken.
#[derive(Debug, thiserror::Error)]
pub(in crate::services::record) enum TrustError {
    /// Nothing was asked.
    #[error("{0}")]
    NoDoubt(String),
    /// It must say who and why.
    #[error("say who says so, and why")]
    Silent,
    /// It could not be put on record.
    #[error("the ledger does not take it: {0}")]
    Ledger(#[from] crate::ledger::JournalError),
    /// What could not be read could not be put aside.
    #[error("what was noted before cannot be put aside: {0}")]
    Notes(#[from] std::io::Error),
}

/// Takes a person's word.
pub(in crate::services::record) fn trust(shared: &Shared, word: &wire::Trust) -> Result<(), TrustError> {
    let (by, reason) = (word.by.trim().to_owned(), word.reason.trim().to_owned());
    if by.is_empty() || reason.is_empty() {
        return Err(TrustError::Silent);
    }
    let word = &wire::Trust { volume: word.volume.clone(), by, reason };
    match &word.volume {
        None => trust_clock(shared, &shared.retention, word),
        Some(volume) => trust_volume(shared, &shared.retention, volume, word),
    }
}

fn trust_clock(shared: &Shared, retention: &Retention, word: &wire::Trust) -> Result<(), TrustError> {
    if !retention.trust.wants_a_word() {
        return Err(TrustError::NoDoubt("the clock is trusted already".into()));
    }
    let salts = Salts::new();
    let (by, reason) = salts.of(word);
    shared.journal.commit(vec![What::ClockConfirmed { by, reason: Some(reason) }], LEDGER)?;
    retention.notes.begin_anew(shared.clock.wall())?;
    keep(shared, word, &salts);
    retention.trust.confirm();
    note_clock(retention);
    log::warn!("somebody has confirmed that the clock is right");
    Ok(())
}

fn trust_volume(
    shared: &Shared,
    retention: &Retention,
    volume: &VolumeName,
    word: &wire::Trust,
) -> Result<(), TrustError> {
    let found = retention.notes.noted().volumes.remove(volume).and_then(|v| v.found);
    let Some(found) = found else {
        return Err(TrustError::NoDoubt(format!("volume {volume} and the index agree, or are being compared still")));
    };
    let id = shared.store.volume(volume).map(|v| v.marker.id);
    let salts = Salts::new();
    let (by, reason) = salts.of(word);
    let what = What::VolumeConfirmed { volume: volume.clone(), id, by, reason, detail: found.why() };
    shared.journal.commit(vec![what], LEDGER)?;
    keep(shared, word, &salts);
    retention.notes.change(|noted| _ = noted.volumes.entry(volume.clone()).or_default().trust(&found));
    log::warn!(VOLUME = volume.as_str(); "somebody has confirmed what is on volume {volume}: {}", found.why());
    Ok(())
}

/// Under which the ledger vouches for a word without telling it.
struct Salts {
    by: Uuid,
    reason: Uuid,
}

/// Why the recorder does not trust the clock, as it has noted in that file; nothing if it does.
pub(in crate::services) fn clock_doubt(notes: PathBuf) -> Option<String> {
    let notes = Notes::open(notes);
    notes.unread().or_else(|| notes.noted().clock.doubt.map(|doubt| doubt.why()))
}

impl Salts {
    fn new() -> Self {
        Self { by: Uuid::new_v4(), reason: Uuid::new_v4() }
    }

    /// Who, and why.
    fn of(&self, word: &wire::Trust) -> (Salted, Salted) {
        let salted = |salt: &Uuid, text: &str| Salted::new(salt.as_bytes(), text);
        (salted(&self.by, &word.by), salted(&self.reason, &word.reason))
    }
}

/// Keeps what was said.
fn keep(shared: &Shared, word: &wire::Trust, salts: &Salts) {
    let said = Said {
        at: shared.clock.wall(),
        word: word.clone(),
        by_salt: salts.by.as_simple().to_string(),
        reason_salt: salts.reason.as_simple().to_string(),
    };
    shared.retention.notes.change(|noted| noted.said.push(said));
}

/// Notes how the clock is, for after a restart.
pub(super) fn note_clock(retention: &Retention) {
    let (doubt, seen) = (retention.trust.doubt(), retention.trust.seen());
    retention.notes.change(|noted| {
        noted.clock.doubt = doubt;
        if let Some((seen, aged)) = seen {
            (noted.clock.seen, noted.clock.aged) = (Some(seen), Some(aged));
        }
    });
}
