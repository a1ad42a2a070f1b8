//! A person's word that the clock, or what is on a volume, is right.

use std::time::Duration;

use uuid::Uuid;

use super::{Retention, clock::ClockDoubt, doubt};
use crate::{
    ledger::{Salted, What},
    services::record::Shared,
    store::index::Reader,
    types::{VolumeName, WallNs, wire},
};

/// Under this key the index notes why the clock is not trusted; empty: it is.
pub(super) const DOUBT: &str = "clock.doubt";
/// Under this key the index notes the newest time that the recorder has seen, by its clock.
pub(super) const SEEN: &str = "clock.seen";
/// Under keys that begin so the index keeps who said that something is right, and why, with the salts of their hashes.
const SAID: &str = "trust.";

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
}

/// Takes a person's word.
pub(in crate::services::record) fn trust(shared: &Shared, word: &wire::Trust) -> Result<(), TrustError> {
    if word.by.trim().is_empty() || word.reason.trim().is_empty() {
        return Err(TrustError::Silent);
    }
    match &word.volume {
        None => trust_clock(shared, &shared.retention, word),
        Some(volume) => trust_volume(shared, &shared.retention, volume, word),
    }
}

fn trust_clock(shared: &Shared, retention: &Retention, word: &wire::Trust) -> Result<(), TrustError> {
    if retention.trust.doubt().is_none() {
        return Err(TrustError::NoDoubt("the clock is trusted already".into()));
    }
    let salts = [(); 2].map(|()| Uuid::new_v4().into_bytes());
    let what = What::ClockConfirmed {
        by: Salted::new(&salts[0], word.by.trim()),
        reason: Some(Salted::new(&salts[1], word.reason.trim())),
    };
    shared.journal.commit(vec![what], LEDGER)?;
    keep(shared, word, Some(&salts));
    retention.trust.confirm();
    note_clock(shared, None);
    log::warn!("somebody has confirmed that the clock is right");
    Ok(())
}

fn trust_volume(
    shared: &Shared,
    retention: &Retention,
    volume: &VolumeName,
    word: &wire::Trust,
) -> Result<(), TrustError> {
    let found = retention.state().disagreements.get(volume).cloned();
    let Some(found) = found else {
        return Err(TrustError::NoDoubt(format!("volume {volume} and the index agree, or are being compared still")));
    };
    let id = shared.store.volume(volume).map(|v| v.marker.id);
    let what = What::Volume { volume: volume.to_string(), id, event: "trusted".into(), detail: found.why.clone() };
    shared.journal.commit(vec![what], LEDGER)?;
    keep(shared, word, None);
    shared.index.put(|batch| _ = batch.meta.insert(doubt::trusted_note(volume), found.digest.clone()));
    let mut state = retention.state();
    if state.disagreements.get(volume) == Some(&found) {
        state.disagreements.remove(volume);
    }
    log::warn!(VOLUME = volume.as_str(); "somebody has confirmed what is on volume {volume}: {}", found.why);
    Ok(())
}

/// Keeps what was said, in clear, here alone.
fn keep(shared: &Shared, word: &wire::Trust, salts: Option<&[[u8; 16]; 2]>) {
    let at: WallNs = shared.clock.wall();
    let salts = salts.map(|salts| salts.map(|salt| Uuid::from_bytes(salt).as_simple().to_string()));
    let said = serde_json::json!({ "at": at, "word": word, "salts": salts });
    shared.index.put(|batch| _ = batch.meta.insert(format!("{SAID}{}", at.0), said.to_string()));
}

/// Why the recorder does not trust the clock, as it has noted; nothing if it does.
pub(in crate::services) fn clock_doubt(index: &Reader) -> Option<String> {
    let noted = index.meta(DOUBT).ok().flatten().filter(|text| !text.is_empty())?;
    let doubt = serde_json::from_str(&noted).map(|doubt: ClockDoubt| doubt.why());
    Some(doubt.unwrap_or_else(|_| "the recorder does not trust the clock".into()))
}

/// Notes what is in doubt about the clock, for after a restart.
pub(super) fn note_clock(shared: &Shared, doubt: Option<&ClockDoubt>) {
    let text = doubt.map_or(String::new(), |d| serde_json::to_string(d).unwrap_or_default());
    shared.index.put(|batch| _ = batch.meta.insert(DOUBT.into(), text));
}
