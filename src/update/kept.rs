//! The file in which the state is kept, and how the ledger hears of it.

use std::path::Path;

use super::{
    error::{UpdateError, failed},
    state::{FORMAT, MIN_READER, Note, State},
};
use crate::{
    ledger::{Salted, What, salt_of, spool},
    sys::Files,
};

/// Its name.
pub const FILE: &str = "state.json";

/// Reads the state; that of a machine that was never updated, if there is none.
///
/// # Errors
/// If it cannot be read, is damaged, or wants a newer version.
pub fn read(files: &dyn Files, dir: &Path) -> Result<State, UpdateError> {
    let file = dir.join(FILE);
    let Some(bytes) = files.read(&file).map_err(failed("cannot read", &file))? else { return Ok(State::default()) };
    let damaged = |why: String| UpdateError::Damaged { file: file.clone(), why };
    let version: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
    let needs = version["min_reader"].as_u64().unwrap_or(0);
    if needs > u64::from(FORMAT) {
        return Err(damaged(format!("it wants a reader of version {needs}, this one has {FORMAT}")));
    }
    serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))
}

/// Writes it.
pub(super) fn write(files: &dyn Files, dir: &Path, state: &State) -> Result<(), UpdateError> {
    let file = dir.join(FILE);
    // A newer version may have written it: what this one does not know is gone with that, and so is its version.
    let state = State { format: FORMAT, min_reader: MIN_READER, ..state.clone() };
    let text = serde_json::to_string_pretty(&state).expect("texts and integers always serialise") + "\n";
    files.write(&file, text.as_bytes(), 0o600, None).map_err(failed("cannot write", &file))
}

fn entry(note: &Note) -> Option<What> {
    let salt = salt_of(&note.salt)?;
    let salted = |text: &str| Salted::new(&salt, text);
    Some(What::Update {
        version: note.version.to_string(),
        change: note.change,
        sums: note.sums,
        by: note.word.as_ref().map(|w| salted(&w.by)),
        reason: note.word.as_ref().map(|w| salted(&w.reason)),
    })
}

/// Leaves word for the ledger of what it was not told yet, each once, whatever cuts this short.
pub(super) fn tell(files: &dyn Files, dir: &Path, spool: &Path, state: &mut State) -> Result<(), UpdateError> {
    if state.notes.iter().all(|note| note.left) {
        return Ok(());
    }
    for note in state.notes.iter_mut().filter(|note| !note.left) {
        let why = || UpdateError::Damaged { file: dir.join(FILE), why: format!("note {} has no salt", note.id) };
        spool::leave_once(files, spool, (note.id, note.from), note.at, entry(note).ok_or_else(why)?)?;
        note.left = true;
    }
    write(files, dir, state)
}
