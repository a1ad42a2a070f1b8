//! What deletion depends on beside footage and holds: whether the clock is trusted, what was promised of cameras that may have left the
//! site, what is in doubt on volumes, and who said that something is right. In a small file of its own beside the index, for an index can
//! be made anew at any time.
//!
//! A file that cannot be read is in doubt until a person speaks, and is not written over before that.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::{clock::ClockDoubt, doubt::Disagreement};
use crate::{
    retention::Terms,
    sys::{Files as _, RealFiles},
    types::{CameraId, VolumeName, WallNs, wire},
};

/// Version of the file that this program writes.
const FORMAT: u16 = 1;
/// The oldest version whose readers understand it.
const MIN_READER: u16 = 1;
/// Names of people stand in it.
const MODE: u32 = 0o640;

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Noted {
    pub(super) clock: OfClock,
    /// What was promised of each camera last.
    #[serde(default)]
    pub(super) terms: BTreeMap<CameraId, Terms>,
    #[serde(default)]
    pub(super) volumes: BTreeMap<VolumeName, OfVolume>,
    /// What people said. In clear, here alone.
    #[serde(default)]
    pub(super) said: Vec<Said>,
}

/// Of the clock.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct OfClock {
    /// Why it is not trusted.
    pub(super) doubt: Option<ClockDoubt>,
    /// The newest time that the recorder has seen while it was in no doubt.
    pub(super) seen: Option<WallNs>,
    /// The time by which footage was aged then.
    pub(super) aged: Option<WallNs>,
}

/// Of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct OfVolume {
    /// In what it and the index did not agree, until a person has looked.
    pub(super) found: Option<Disagreement>,
    /// What a person has looked at, by its digest.
    pub(super) trusted: Option<String>,
}

/// A person's word, with the salts under which the ledger vouches for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Said {
    pub(super) at: WallNs,
    pub(super) word: wire::Trust,
    pub(super) by_salt: String,
    pub(super) reason_salt: String,
}

#[derive(Deserialize)]
struct Version {
    min_reader: u16,
}

#[derive(Serialize, Deserialize)]
struct Raw<T> {
    format: u16,
    min_reader: u16,
    #[serde(flatten)]
    noted: T,
}

struct State {
    noted: Noted,
    /// Why the file could not be read.
    unread: Option<String>,
    /// Whether the file says less than `noted`.
    behind: bool,
}

/// The file.
pub(super) struct Notes {
    path: PathBuf,
    state: Mutex<State>,
}

fn parse(bytes: &[u8]) -> Result<Noted, String> {
    let Version { min_reader } = serde_json::from_slice(bytes).map_err(|e| format!("it is damaged: {e}"))?;
    if min_reader > FORMAT {
        return Err(format!("it wants a reader of version {min_reader}, this one has {FORMAT}: update custodian"));
    }
    let raw: Raw<Noted> = serde_json::from_slice(bytes).map_err(|e| format!("it is damaged: {e}"))?;
    Ok(raw.noted)
}

impl Notes {
    /// Reads the file, if there is one.
    pub(super) fn open(path: PathBuf) -> Self {
        let read = RealFiles.read(&path).map_err(|e| format!("it cannot be read: {e}"));
        let parsed = read.and_then(|bytes| bytes.map_or(Ok(Noted::default()), |bytes| parse(&bytes)));
        let (noted, unread) = match parsed {
            Ok(noted) => (noted, None),
            Err(why) => (Noted::default(), Some(format!("{}: {why}", path.display()))),
        };
        Self { path, state: Mutex::new(State { noted, unread, behind: false }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is noted.
    pub(super) fn noted(&self) -> Noted {
        self.state().noted.clone()
    }

    /// Why the file could not be read; until a person has spoken.
    pub(super) fn unread(&self) -> Option<String> {
        self.state().unread.clone()
    }

    /// Changes what is noted, durably. What cannot be written now is written with the next change, and counts until then.
    pub(super) fn change(&self, change: impl FnOnce(&mut Noted)) {
        let mut state = self.state();
        let before = state.noted.clone();
        change(&mut state.noted);
        if state.unread.is_some() || (state.noted == before && !state.behind) {
            return;
        }
        let written = write(&self.path, &state.noted);
        if let Err(e) = &written
            && !state.behind
        {
            log::error!(FILE:% = self.path.display(), CAUSE:% = e; "{} cannot be written: {e}", self.path.display());
        }
        state.behind = written.is_err();
    }

    /// A person has spoken: a file that could not be read is put aside, and a new one begins.
    pub(super) fn begin_anew(&self, now: WallNs) -> io::Result<()> {
        let mut state = self.state();
        if state.unread.is_some() {
            let aside = self.path.with_extension(format!("unread-{}.json", now.timestamp().strftime("%Y%m%dT%H%M%SZ")));
            RealFiles.rename(&self.path, &aside)?;
            log::warn!(FILE:% = aside.display(); "{} is kept as {}", self.path.display(), aside.display());
            (state.unread, state.behind) = (None, true);
        }
        Ok(())
    }
}

fn write(path: &Path, noted: &Noted) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(&Raw { format: FORMAT, min_reader: MIN_READER, noted })?;
    text.push('\n');
    RealFiles.write(path, text.as_bytes(), MODE, None)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn some(n: &mut Noted) {
        n.clock = OfClock {
            doubt: Some(ClockDoubt::Stepped { by: 40, at: WallNs(50) }),
            seen: Some(WallNs(9)),
            aged: Some(WallNs(8)),
        };
        let terms = Terms { min_days: Some(90), max_days: None, priority: 3 };
        n.terms.insert("left".parse().unwrap(), terms);
    }

    #[test]
    fn what_is_noted_is_there_after_a_restart_and_an_equal_change_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("retention.json");
        let notes = Notes::open(path.clone());
        notes.change(|_| ());
        assert!(!path.exists());
        notes.change(some);
        let again = Notes::open(path.clone());
        assert_eq!((again.noted(), again.unread()), (notes.noted(), None));
        assert_eq!(again.noted().clock.doubt, Some(ClockDoubt::Stepped { by: 40, at: WallNs(50) }));
        fs::remove_file(&path).unwrap();
        notes.change(some);
        assert!(!path.exists(), "nothing has changed");
    }

    #[test]
    fn what_cannot_be_read_is_kept_until_a_person_speaks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("retention.json");
        for bad in [
            "{\"format\":1",
            "{\"format\":9,\"min_reader\":9}",
            "{\"format\":1,\"min_reader\":1,\"clock\":{\"doubt\":{\"doubt\":\"new\"}}}",
        ] {
            fs::write(&path, bad).unwrap();
            let notes = Notes::open(path.clone());
            assert!(notes.unread().unwrap().contains("retention.json"));
            notes.change(some);
            assert_eq!(fs::read_to_string(&path).unwrap(), bad, "it is not written over");
            notes.begin_anew(WallNs(0)).unwrap();
            notes.change(|_| ());
            assert_eq!(Notes::open(path.clone()).noted(), notes.noted());
            let aside = path.with_file_name("retention.unread-19700101T000000Z.json");
            assert_eq!(fs::read_to_string(&aside).unwrap(), bad);
            fs::remove_file(&aside).unwrap();
        }
    }

    #[test]
    fn what_cannot_be_written_is_written_later() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gone/retention.json");
        let notes = Notes::open(path.clone());
        notes.change(some);
        assert!(notes.noted().clock.doubt.is_some() && !path.exists());
        fs::create_dir(dir.path().join("gone")).unwrap();
        notes.change(|_| ());
        assert_eq!(Notes::open(path).noted(), notes.noted());
    }
}
