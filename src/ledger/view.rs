//! The log as its readers see it: entries and proofs, from a folder and a checkpoint, without the private key.

use std::{ops::Range, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    checkpoint::Checkpoint,
    entry::Entry,
    error::LedgerError,
    folder::Folder,
    note::Verifier,
    place,
    proof::{Subtrees, root_of_path},
    tile::{Level, Tile, WIDTH},
};
use crate::{
    sys::Files,
    types::merkle::{Hash, leaf, root},
};

/// A log at one of its checkpoints.
#[derive(Clone)]
pub struct View {
    pub(super) folder: Folder,
    head: Checkpoint,
}

/// An entry as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number, from 0.
    pub n: u64,
    /// Its bytes: JSON.
    pub bytes: Vec<u8>,
}

impl Record {
    /// What it says.
    ///
    /// # Errors
    /// If this version cannot read it.
    pub fn entry(&self) -> Result<Entry, serde_json::Error> {
        serde_json::from_slice(&self.bytes)
    }
}

/// Proof that an entry is in a log (RFC 6962 section 2.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inclusion {
    /// The entry's number, from 0.
    pub n: u64,
    /// The entry.
    pub entry: String,
    /// Its hash, SHA-256 of 0x00 and the entry.
    pub leaf: Hash,
    /// The hashes beside the way from the leaf up to the root.
    pub path: Vec<Hash>,
    /// The signed checkpoint that the path leads to.
    pub checkpoint: String,
    /// The key to check it with, to be compared with one that is known.
    pub vkey: String,
}

impl Inclusion {
    /// Checks the proof. Returns the checkpoint that it leads to.
    ///
    /// # Errors
    /// If the checkpoint is wrong. Nothing if the entry is not in the log as the proof says.
    pub fn check(&self, verifier: &Verifier) -> Result<Option<Checkpoint>, super::CheckpointError> {
        let head = Checkpoint::verify(&self.checkpoint, verifier)?;
        let leaf = leaf(self.entry.as_bytes());
        let holds = leaf == self.leaf && root_of_path(self.n, head.size(), leaf, &self.path) == Some(head.root());
        Ok(holds.then_some(head))
    }
}

impl View {
    pub(super) fn at(folder: Folder, head: Checkpoint) -> Self {
        Self { folder, head }
    }

    /// The log in a folder that is shown (`checkpoint`, `tile/…`), at its newest checkpoint.
    ///
    /// # Errors
    /// If there is none, or it is not signed with this key.
    pub fn open(files: Arc<dyn Files>, public: PathBuf, verifier: &Verifier) -> Result<Self, LedgerError> {
        let path = place::checkpoint(&public);
        let note = place::read_text(&*files, &path)?.ok_or_else(|| LedgerError::Lost { path: path.clone() })?;
        let head = Checkpoint::verify(&note, verifier).map_err(|source| LedgerError::Checkpoint { path, source })?;
        Ok(Self::at(Folder { files, dir: public }, head))
    }

    /// The log in a folder at a checkpoint that was kept elsewhere: nothing but the tiles is needed of the folder.
    pub fn at_kept(files: Arc<dyn Files>, public: PathBuf, head: Checkpoint) -> Self {
        Self::at(Folder { files, dir: public }, head)
    }

    /// Number of entries.
    pub fn size(&self) -> u64 {
        self.head.size()
    }

    /// The checkpoint.
    pub fn head(&self) -> &Checkpoint {
        &self.head
    }

    /// The tile or bundle that holds number `n` of a level.
    pub(super) fn tile(&self, level: Level, n: u64) -> Result<Tile, LedgerError> {
        Tile::holding(level, n, self.size()).ok_or(LedgerError::NoEntry { n, size: self.size() })
    }

    /// Entries of a range, which is cut off at the log's end, in order.
    pub fn records(&self, range: Range<u64>) -> impl Iterator<Item = Result<Record, LedgerError>> + '_ {
        let (start, end) = (range.start, range.end.min(self.size()));
        let bundles = start / WIDTH..if start < end { end.div_ceil(WIDTH) } else { 0 };
        let bundle = move |index: u64| {
            let first = index * WIDTH;
            let read = self.tile(Level::Entries, first).and_then(|tile| self.folder.entries(tile));
            let (entries, error) = match read {
                Ok(entries) => (entries, None),
                Err(e) => (Vec::new(), Some(Err(e))),
            };
            let records = (first..).zip(entries).map(|(n, bytes)| Record { n, bytes });
            records.filter(move |r| (start..end).contains(&r.n)).map(Ok).chain(error)
        };
        bundles.flat_map(bundle)
    }

    /// All entries, the newest first. No bundle is read before its entries are wanted.
    pub fn records_back(&self) -> impl Iterator<Item = Result<Record, LedgerError>> + '_ {
        (0..self.size().div_ceil(WIDTH)).rev().flat_map(|index| {
            let mut records: Vec<_> = self.records(index * WIDTH..(index + 1) * WIDTH).collect();
            records.reverse();
            records
        })
    }

    /// One entry.
    ///
    /// # Errors
    /// If there is no such one, or its bundle cannot be read.
    pub fn record(&self, n: u64) -> Result<Record, LedgerError> {
        let none = LedgerError::NoEntry { n, size: self.size() };
        if n >= self.size() { Err(none) } else { self.records(n..n + 1).next().unwrap_or(Err(none)) }
    }

    /// The root over the first `size` entries, from the tiles.
    ///
    /// # Errors
    /// If there are not so many, or the tiles cannot be read.
    pub fn root_at(&self, size: u64) -> Result<Hash, LedgerError> {
        if size > self.size() {
            return Err(LedgerError::NoEntry { n: size - 1, size: self.size() });
        }
        self.range(0, size)
    }

    /// Proves that an entry is in the log.
    ///
    /// # Errors
    /// If there is no such entry, the tiles cannot be read, or do not fit together.
    pub fn prove(&self, n: u64, verifier: &Verifier) -> Result<Inclusion, LedgerError> {
        let record = self.record(n)?;
        let not_text =
            |_| LedgerError::Damaged { path: self.folder.dir.clone(), what: format!("entry {n} is not text") };
        let proof = Inclusion {
            n,
            leaf: leaf(&record.bytes),
            entry: String::from_utf8(record.bytes).map_err(not_text)?,
            path: self.path(n, 0, self.size())?,
            checkpoint: self.head.note().to_owned(),
            vkey: verifier.to_string(),
        };
        // What does not prove anything is not handed out.
        if root_of_path(n, self.size(), proof.leaf, &proof.path) == Some(self.head.root()) {
            return Ok(proof);
        }
        let what =
            format!("entry {n} and the tiles do not lead to the root of the checkpoint; `ledger verify` says more");
        Err(LedgerError::Damaged { path: self.folder.dir.clone(), what })
    }

    /// Proves that the first `old` entries are the beginning of the log's (RFC 6962 section 2.1.2).
    ///
    /// # Errors
    /// If there are not so many, or the tiles cannot be read.
    pub fn prove_consistency(&self, old: u64) -> Result<Vec<Hash>, LedgerError> {
        match old {
            0 => Ok(Vec::new()),
            _ if old > self.size() => Err(LedgerError::NoEntry { n: old - 1, size: self.size() }),
            _ => self.subproof(old, 0, self.size(), true),
        }
    }
}

impl Subtrees for View {
    type Error = LedgerError;

    /// From the highest tile that has what is below it.
    fn subtree(&self, height: u32, n: u64) -> Result<Hash, LedgerError> {
        let number = u8::try_from(height / 8).unwrap_or(u8::MAX);
        let level = Level::Hashes(number);
        // So many hashes of that level are below it, in one tile.
        let (count, first) = (1usize << (height % 8), n << (height % 8));
        let tile = self.tile(level, first)?;
        let hashes = self.folder.hashes(tile)?;
        let from = usize::try_from(first % WIDTH).unwrap_or(usize::MAX);
        let within = hashes.get(from..from.saturating_add(count)).ok_or_else(|| self.folder.damaged(tile))?;
        Ok(root(within.iter().copied()))
    }
}
