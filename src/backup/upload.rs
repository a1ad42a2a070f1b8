//! Bringing one thing to a place: part by part, each entered before it is written and read back afterwards. Whoever is cut here goes on where
//! that was, and nothing that has arrived whole goes there again.

use std::io;

use sha2::{Digest as _, Sha256};

use super::{
    catalogue::{Catalogue, CatalogueError, Copy, Part},
    crypt::{Sealer, digest},
    error::BackupError,
    item::{Item, Opened},
    manifest::FileLine,
    names::ObjectName,
    place::Place,
};
use crate::types::merkle::Hash;

/// What goes to where.
pub(super) struct Upload<'a> {
    pub(super) place: &'a dyn Place,
    pub(super) catalogue: &'a Catalogue,
    pub(super) sealer: &'a Sealer,
    /// Told of each part that was read, with its length.
    pub(super) read: &'a mut dyn FnMut(u64),
    /// What was written that the place did not have: objects and bytes.
    pub(super) written: (u64, u64),
}

/// Why a thing is not at the place.
pub(super) enum Trouble {
    /// It cannot be read here: the backup goes on without it.
    Source(io::Error),
    /// Nothing can be brought there.
    Fatal(BackupError),
}

impl From<BackupError> for Trouble {
    fn from(e: BackupError) -> Self {
        Self::Fatal(e)
    }
}

impl From<CatalogueError> for Trouble {
    fn from(e: CatalogueError) -> Self {
        Self::Fatal(e.into())
    }
}

impl Upload<'_> {
    /// Sees to it that the place has the item, whole. Says too what is wrong with the best file that there is here.
    pub(super) fn ensure(&mut self, item: &Item) -> Result<(FileLine, Option<String>), Trouble> {
        let known = self.catalogue.find(&item.key, self.sealer.digest())?;
        let (copy, sha256, flaw) = match known {
            Some(copy @ Copy { sha256: Some(sha256), .. }) => match self.catalogue.flaw(&copy)? {
                Some(_) if item.is_as_recorded() => {
                    self.catalogue.spoil(&copy)?;
                    self.bring(item)?
                }
                flaw => (copy, sha256, flaw),
            },
            _ => self.bring(item)?,
        };
        let line = FileLine {
            kind: item.kind,
            path: item.path.clone(),
            copy: copy.id,
            parts: item.parts(),
            bytes: item.bytes,
            sha256,
            footage: item.footage.clone(),
        };
        Ok((line, flaw))
    }

    /// Brings it from the first file that can be read and is what was recorded; if none is, from the first that can be read: it is all that there is.
    fn bring(&mut self, item: &Item) -> Result<(Copy, Hash, Option<String>), Trouble> {
        let mut flawed = Vec::new();
        let mut trouble = io::Error::new(io::ErrorKind::NotFound, "it lies on no volume that is here");
        for opened in item.open() {
            let compared = opened.and_then(|source| {
                let flaw = item.root.map_or(Ok(None), |root| source.compare(root))?;
                Ok((source, flaw))
            });
            match compared {
                Ok((source, Some(flaw))) => {
                    log::warn!(FILE:% = item.path, CAUSE:% = flaw; "{}: one of its copies here: {flaw}", item.path);
                    flawed.push((source, flaw));
                }
                Ok((source, None)) => match self.copy(item, &source) {
                    Ok((copy, sha256)) => return Ok((copy, sha256, None)),
                    Err(Trouble::Source(e)) => trouble = e,
                    Err(e) => return Err(e),
                },
                Err(e) => trouble = e,
            }
        }
        for (source, flaw) in flawed {
            match self.copy(item, &source) {
                Ok((copy, sha256)) => {
                    self.catalogue.flawed(&copy, &flaw)?;
                    return Ok((copy, sha256, Some(flaw)));
                }
                Err(Trouble::Source(e)) => trouble = e,
                Err(e) => return Err(e),
            }
        }
        Err(Trouble::Source(trouble))
    }

    fn copy(&mut self, item: &Item, source: &Opened<'_>) -> Result<(Copy, Hash), Trouble> {
        let recipients = self.sealer.digest();
        if let Some(copy) = self.catalogue.find(&item.key, recipients)? {
            if let Some(sha256) = self.parts(item, source, &copy)? {
                return Ok((copy, sha256));
            }
            // It is not what was begun: it has changed, which what is copied here never does, or a disk had read it wrongly.
            log::warn!(FILE:% = item.path; "{} has changed since a part of it was backed up; it is backed up anew", item.path);
            self.catalogue.forget(&copy)?;
        }
        let copy = self.catalogue.begin(item, recipients)?;
        let sha256 = self.parts(item, source, &copy)?;
        let changing = || Trouble::Source(io::Error::other("it changes while it is read"));
        Ok((copy, sha256.ok_or_else(changing)?))
    }

    /// Brings what is missing of a copy. `None` if a part that is there already is another one than here.
    fn parts(&mut self, item: &Item, source: &Opened<'_>, copy: &Copy) -> Result<Option<Hash>, Trouble> {
        let known = self.catalogue.parts(copy)?;
        let mut whole = Sha256::new();
        for part in 0..item.parts() {
            let plain = source.part(part).map_err(Trouble::Source)?;
            whole.update(&plain);
            let name = copy.id.object(part);
            match known.iter().find(|p| p.part == part) {
                Some(before) if before.plain != digest(&plain) => return Ok(None),
                Some(before) if before.read_back || self.arrived(copy, name, before)? => {}
                _ => self.write(copy, name, &plain)?,
            }
            (self.read)(plain.len() as u64);
        }
        let sha256 = Hash(whole.finalize().into());
        self.catalogue.whole(copy, sha256)?;
        Ok(Some(sha256))
    }

    /// Whether a part had been written when something cut us short before we knew.
    fn arrived(&self, copy: &Copy, name: ObjectName, part: &Part) -> Result<bool, BackupError> {
        let name = name.to_string();
        // What cannot be read there has not arrived. If the place does not answer at all, writing to it will tell.
        let there = self
            .place
            .size(&name)
            .and_then(|size| Ok(size == Some(part.bytes) && self.place.digest(&name)?.0 == part.sealed));
        if !there.unwrap_or_else(|e| {
            log::warn!("{name} is written again: {}", anyhow::Error::from(e));
            false
        }) {
            return Ok(false);
        }
        self.catalogue.enter(copy, &Part { read_back: true, ..*part })?;
        Ok(true)
    }

    fn write(&mut self, copy: &Copy, name: ObjectName, plain: &[u8]) -> Result<(), BackupError> {
        let sealed = self.sealer.seal(plain)?;
        let part = Part {
            part: name.part,
            plain: digest(plain),
            sealed: digest(&sealed),
            bytes: sealed.len() as u64,
            read_back: false,
        };
        self.catalogue.enter(copy, &part)?;
        let name = name.to_string();
        self.place.put(&name, &sealed)?;
        self.place.check(&name, part.sealed)?;
        self.catalogue.enter(copy, &Part { read_back: true, ..part })?;
        self.written = (self.written.0 + 1, self.written.1 + part.bytes);
        Ok(())
    }
}
