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
    /// Sees to it that the place has the item, whole.
    pub(super) fn ensure(&mut self, item: &Item) -> Result<FileLine, Trouble> {
        let known = self.catalogue.find(&item.key, self.sealer.digest())?;
        let (copy, sha256) = match known {
            Some(copy @ Copy { sha256: Some(sha256), .. }) => (copy, sha256),
            begun => self.bring(item, begun)?,
        };
        Ok(FileLine {
            kind: item.kind,
            path: item.path.clone(),
            copy: copy.id,
            parts: item.parts(),
            bytes: item.bytes,
            sha256,
            footage: item.footage.clone(),
        })
    }

    fn bring(&mut self, item: &Item, begun: Option<Copy>) -> Result<(Copy, Hash), Trouble> {
        let source = item.open().map_err(Trouble::Source)?;
        if let Some(copy) = begun {
            if let Some(sha256) = self.parts(item, &source, &copy)? {
                return Ok((copy, sha256));
            }
            // It is not what was begun: it has changed, which what is copied here never does, or the disk had read it wrongly.
            log::warn!("{} has changed since a part of it was backed up; it is backed up anew", item.path);
            self.catalogue.forget(&copy)?;
        }
        let copy = self.catalogue.begin(&item.key, self.sealer.digest(), item.bytes)?;
        let sha256 = self.parts(item, &source, &copy)?;
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
        if self.place.size(&name)? != Some(part.bytes) || self.place.digest(&name)?.0 != part.sealed {
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
