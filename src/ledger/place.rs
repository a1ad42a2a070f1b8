//! Where a log is, and the key that it is signed with.

use std::path::{Path, PathBuf};

use super::{
    error::{LedgerError, failed},
    note::Verifier,
};
use crate::{
    sys::{Files, random},
    types::RecorderId,
};

/// Where a recorder keeps its log.
#[derive(Debug, Clone)]
pub struct Place {
    /// The log's folder.
    pub dir: PathBuf,
    /// A private key that the service manager holds, used instead of one in the folder wherever it is there.
    pub credential: Option<PathBuf>,
    /// The name of a log that is new: [`origin`].
    pub origin: String,
}

impl Place {
    /// What may be shown to everybody: tiles, checkpoint, verifier key.
    pub fn public(&self) -> PathBuf {
        public(&self.dir)
    }

    /// A checkpoint that is signed, and not shown yet.
    pub(super) fn next(&self) -> PathBuf {
        self.dir.join("next")
    }

    /// The private key, and where it came from.
    pub(super) fn seed(&self, files: &dyn Files) -> Result<([u8; 32], PathBuf), LedgerError> {
        if let Some(given) = self.given(files)? {
            return Ok(given);
        }
        let path = self.dir.join(KEY);
        let seed = read_seed(files, &path)?.ok_or_else(|| LedgerError::Lost { path: path.clone() })?;
        Ok((seed, path))
    }

    /// The private key that the service manager holds, if it does.
    fn given(&self, files: &dyn Files) -> Result<Option<([u8; 32], PathBuf)>, LedgerError> {
        let Some(path) = &self.credential else { return Ok(None) };
        // What the unit gives where the machine holds none.
        if files.read(path).map_err(failed("cannot read", path))?.is_none_or(|bytes| bytes == b"none") {
            return Ok(None);
        }
        Ok(read_seed(files, path)?.map(|seed| (seed, path.clone())))
    }

    /// The private key of a new log: the one that the service manager holds, else one that is made and kept in `folder`.
    pub(super) fn new_seed(&self, files: &dyn Files, folder: &Path) -> Result<[u8; 32], LedgerError> {
        if let Some((seed, _)) = self.given(files)? {
            return Ok(seed);
        }
        let (seed, path) = (random().map_err(LedgerError::Random)?, folder.join(KEY));
        files.write(&path, &seed, 0o600, None).map_err(failed("cannot write", &path))?;
        Ok(seed)
    }
}

const KEY: &str = "key";

/// The name of a recorder's log.
pub fn origin(site: &str, recorder: &RecorderId) -> String {
    format!("custodian/{site}/{recorder}/record")
}

/// The part of a log's folder that may be shown to everybody.
pub fn public(dir: &Path) -> PathBuf {
    dir.join("public")
}

/// How many entries a log has at least, by its newest checkpoint, whose signature is not looked at; 0 if there is none.
pub fn claimed_size(files: &dyn Files, public: &Path) -> u64 {
    let note = read_text(files, &checkpoint(public)).ok().flatten();
    note.and_then(|note| note.lines().nth(1)?.parse().ok()).unwrap_or(0)
}

/// The newest checkpoint of a folder that is shown.
pub(super) fn checkpoint(public: &Path) -> PathBuf {
    public.join("checkpoint")
}

/// Its verifier key.
pub(super) fn vkey(public: &Path) -> PathBuf {
    public.join("vkey")
}

fn read_seed(files: &dyn Files, path: &Path) -> Result<Option<[u8; 32]>, LedgerError> {
    let Some(bytes) = files.read(path).map_err(failed("cannot read", path))? else { return Ok(None) };
    let wrong = |bytes: Vec<u8>| LedgerError::Damaged {
        path: path.to_owned(),
        what: format!("a private key has 32 bytes, this has {}", bytes.len()),
    };
    bytes.try_into().map(Some).map_err(wrong)
}

/// Reads a text of a few lines; nothing if there is no such file.
pub(super) fn read_text(files: &dyn Files, path: &Path) -> Result<Option<String>, LedgerError> {
    let Some(bytes) = files.read(path).map_err(failed("cannot read", path))? else { return Ok(None) };
    let wrong = |_| LedgerError::Damaged { path: path.to_owned(), what: "it is not text".into() };
    String::from_utf8(bytes).map(Some).map_err(wrong)
}

/// The verifier key that lies beside a checkpoint.
pub fn verifier(files: &dyn Files, public: &Path) -> Result<Verifier, LedgerError> {
    let path = vkey(public);
    let text = read_text(files, &path)?.ok_or_else(|| LedgerError::Lost { path: path.clone() })?;
    text.trim_end().parse().map_err(|source| LedgerError::Verifier { path, source })
}
