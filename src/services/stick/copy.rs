//! Copying a large file from a stick onto this machine's disk, bounded, piece by piece.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use sha2::{Digest as _, Sha256};

use super::{Access, LIMIT, SANDBOX, Stick, StickError, understood};
use crate::types::merkle::Hash;

/// So much is written before the disk has it: cameras are recorded to other ones, but index and ledger are on this.
const PIECE: u64 = 16 << 20;
/// The slowest stick that is waited for.
const LONGEST: &str = "--property=RuntimeMaxSec=3h";

/// Is told how many bytes have come, and says whether to go on.
pub type Tell<'a> = &'a mut dyn FnMut(u64) -> bool;

/// Where the bytes go.
struct Sink<'a> {
    file: File,
    name: &'a str,
    hash: Sha256,
    done: u64,
    synced: u64,
    most: u64,
    tell: Tell<'a>,
    /// Why no more is taken.
    why: Option<StickError>,
}

impl Sink<'_> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), StickError> {
        let here = |e: io::Error| StickError::Here(e.to_string());
        self.done += bytes.len() as u64;
        if self.done > self.most {
            return Err(StickError::Longer(self.name.to_owned()));
        }
        self.file.write_all(bytes).map_err(here)?;
        self.hash.update(bytes);
        if self.done - self.synced >= PIECE {
            self.file.sync_data().map_err(here)?;
            self.synced = self.done;
        }
        if (self.tell)(self.done) { Ok(()) } else { Err(StickError::Left) }
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.take(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(why) => {
                self.why = Some(why);
                Err(io::Error::other("no more is taken"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stick<'_> {
    /// Copies a file of at most `most` bytes to `to`, which is not there yet, and says its SHA-256. Afterwards it is on the disk.
    ///
    /// # Errors
    /// If it is not there, is longer, the stick or the disk fails, or `tell` says no. What has come lies at `to` then.
    pub fn copy(&self, name: &str, to: &Path, most: u64, tell: Tell<'_>) -> Result<Hash, StickError> {
        let here = |e: io::Error| StickError::Here(e.to_string());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(here)?;
        let mut sink = Sink { file, name, hash: Sha256::new(), done: 0, synced: 0, most, tell, why: None };
        let (device, path) = (self.allowed(Access::Read), format!("::{name}"));
        let command = [LONGEST, &device, "--", "mcopy", "-n", "-i", &self.device, &path, "-"];
        let args = [SANDBOX, &command].concat();
        let poured = self.commands.pour("systemd-run", &args, &mut sink, LIMIT);
        if let Some(why) = sink.why {
            return Err(why);
        }
        let out = understood(poured)?;
        if !out.ok() {
            return Err(match &*out.stderr {
                said if said.contains("not found") => StickError::Lacks(name.to_owned()),
                said if said.contains("non DOS media") => StickError::NotFat("–".to_owned()),
                said => StickError::Gone(said.to_owned()),
            });
        }
        sink.file.sync_all().map_err(here)?;
        File::open(to.parent().unwrap_or(Path::new("/"))).and_then(|dir| dir.sync_all()).map_err(here)?;
        Ok(Hash(sink.hash.finalize().into()))
    }
}
