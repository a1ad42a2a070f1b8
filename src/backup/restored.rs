//! Reading a file back from its encrypted parts.

use std::io;

use sha2::{Digest as _, Sha256};

use super::{
    crypt::{CryptError, Identity},
    error::BackupError,
    item,
    list::Objects,
    manifest::{FileLine, Manifest, PART},
    place::Place,
    record::ClearRecord,
};
use crate::{store::format::ReadAt, types::merkle::Hash};

/// The list of contents of a backup.
pub(super) fn manifest(place: &dyn Place, record: &ClearRecord, identity: &Identity) -> Result<Manifest, BackupError> {
    let name = record.id.manifest();
    let sealed = place.read(&name)?;
    if super::crypt::digest(&sealed) != record.manifest.sha256 {
        return Err(BackupError::Damaged { name, what: "it is not the one that the record speaks of".to_owned() });
    }
    let plain = identity.open(&sealed)?;
    Manifest::parse(&plain, &record.id).map_err(|source| BackupError::Manifest { id: record.id.clone(), source })
}

/// One file of a backup, which is fetched and decrypted part by part.
pub(super) struct Restored<'a> {
    pub(super) place: &'a dyn Place,
    pub(super) identity: &'a Identity,
    /// The backup's objects.
    pub(super) objects: &'a Objects,
    pub(super) line: &'a FileLine,
}

impl Restored<'_> {
    /// One part, decrypted.
    pub(super) fn part(&self, part: u32) -> Result<Vec<u8>, BackupError> {
        let object = self.line.copy.object(part);
        let name = object.to_string();
        let damaged = |what: &str| BackupError::Damaged { name: name.clone(), what: what.to_owned() };
        let wanted =
            self.objects.get(&object).ok_or_else(|| damaged("the backup's list of objects does not have it"))?;
        let sealed = self.place.read(&name)?;
        if super::crypt::digest(&sealed) != *wanted {
            return Err(damaged("it is not the one that the backup's list speaks of"));
        }
        let plain = self.identity.open(&sealed).map_err(|e| match e {
            CryptError::Damaged(_) => damaged("its encryption does not hold"),
            e => e.into(),
        })?;
        let length = (self.line.bytes - (u64::from(part) * PART).min(self.line.bytes)).min(PART);
        if plain.len() as u64 == length { Ok(plain) } else { Err(damaged("it has another length than its file says")) }
    }

    /// Whether its parts can make up its length at all.
    fn fits(&self) -> Result<(), BackupError> {
        let what = || format!("it says {} parts for {} bytes", self.line.parts, self.line.bytes);
        let name = self.line.path.to_string();
        (self.line.parts == item::parts(self.line.bytes))
            .then_some(())
            .ok_or_else(|| BackupError::Damaged { name, what: what() })
    }

    /// Its bytes, part by part, and whether they are those that were backed up.
    pub(super) fn read(&self, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<io::Result<()>, BackupError> {
        self.fits()?;
        let mut sha = Sha256::new();
        for part in 0..self.line.parts {
            let plain = self.part(part)?;
            sha.update(&plain);
            if let Err(e) = sink(&plain) {
                return Ok(Err(e));
            }
        }
        self.compare(Hash(sha.finalize().into())).map(Ok)
    }

    fn compare(&self, sha256: Hash) -> Result<(), BackupError> {
        let damaged = || BackupError::Damaged {
            name: self.line.path.to_string(),
            what: "it is not what was backed up: its SHA-256 is another one".to_owned(),
        };
        (sha256 == self.line.sha256).then_some(()).ok_or_else(damaged)
    }

    /// Lets a reader jump about in it; compares it with what was backed up on the way.
    pub(super) fn random(&self) -> Result<Random<'_>, BackupError> {
        self.fits()?;
        Ok(Random { file: self, state: std::cell::RefCell::new(State::default()) })
    }
}

/// A file that is read in any order, its parts kept as far as readers of segments need them: the first, the last, and the one in hand.
pub(super) struct Random<'a> {
    file: &'a Restored<'a>,
    state: std::cell::RefCell<State>,
}

#[derive(Default)]
struct State {
    kept: Vec<(u32, Vec<u8>)>,
    sha: Sha256,
    /// The part that the digest wants next.
    next: u32,
    failed: Option<BackupError>,
}

impl State {
    fn fetch(&mut self, file: &Restored<'_>, part: u32) -> Result<usize, BackupError> {
        if let Some(at) = self.kept.iter().position(|(p, _)| *p == part) {
            return Ok(at);
        }
        let last = file.line.parts - 1;
        self.kept.retain(|(p, _)| *p == 0 || *p == last);
        self.kept.push((part, file.part(part)?));
        self.digest();
        Ok(self.kept.len() - 1)
    }

    fn digest(&mut self) {
        while let Some((_, plain)) = self.kept.iter().find(|(p, _)| *p == self.next) {
            self.sha.update(plain);
            self.next += 1;
        }
    }
}

impl Random<'_> {
    /// Reads what nobody has asked for, and says whether the whole is what was backed up. Whatever failed before is told first.
    pub(super) fn finish(self) -> Result<(), BackupError> {
        let mut state = self.state.into_inner();
        if let Some(e) = state.failed {
            return Err(e);
        }
        while state.next < self.file.line.parts {
            let next = state.next;
            state.fetch(self.file, next)?;
        }
        self.file.compare(Hash(state.sha.finalize().into()))
    }
}

impl ReadAt for Random<'_> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset >= self.file.line.bytes {
            return Ok(0);
        }
        let mut state = self.state.borrow_mut();
        let part = u32::try_from(offset / PART).map_err(io::Error::other)?;
        let at = match state.fetch(self.file, part) {
            Ok(at) => at,
            Err(e) => {
                let told = io::Error::other(e.to_string());
                state.failed = Some(e);
                return Err(told);
            }
        };
        let from = usize::try_from(offset % PART).map_err(io::Error::other)?;
        let rest = state.kept[at].1.get(from..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
}
