//! Verifying all of a log: every entry is hashed to its tile, the tiles to the root, the root compared with what was signed; and
//! with checkpoints that somebody kept.

use std::path::PathBuf;

use serde::Serialize;

use super::{
    checkpoint::Checkpoint,
    edge::Edge,
    entry::FORMAT,
    error::LedgerError,
    tile::{self, Level, Tile},
    view::{Record, View},
};
use crate::types::merkle::{Accumulator, Hash, leaf};

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "flaw", rename_all = "kebab-case")]
pub enum Flaw {
    /// A bundle or tile is missing or cannot be read. What stands behind it was not looked at.
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// An entry is not the one that its tile has the hash of.
    Entry {
        /// Its number.
        n: u64,
    },
    /// An entry is no entry.
    Nonsense {
        /// Its number.
        n: u64,
        /// Why.
        why: String,
    },
    /// A tile is not made of what is below it.
    Tile {
        /// Which.
        path: PathBuf,
    },
    /// The entries have not the root that was signed.
    Root {
        /// So many entries.
        size: u64,
    },
    /// A kept checkpoint is of more entries than there are: the end of the log was cut off, or all of it replaced by an older copy.
    Shorter {
        /// Entries of the kept checkpoint.
        kept: u64,
        /// Entries now.
        size: u64,
    },
    /// The entries that a kept checkpoint is of are not the same: one of them at least was changed, removed or moved.
    Rewritten {
        /// Entries of the kept checkpoint.
        kept: u64,
    },
}

/// What verifying found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Entries looked at.
    pub entries: u64,
    /// Entries of a kind that only a later version knows.
    pub unknown: u64,
    /// Kept checkpoints that the log agrees with.
    pub kept: u64,
    /// What is wrong; the first hundred.
    pub flaws: Vec<Flaw>,
}

impl Verified {
    fn add(&mut self, flaw: Flaw) {
        if self.flaws.len() < 100 {
            self.flaws.push(flaw);
        }
    }
}

/// Reads and compares everything. `progress` hears how many entries were done.
pub fn verify(view: &View, kept: &[Checkpoint], progress: &mut dyn FnMut(u64)) -> Verified {
    let (mut found, mut tree, mut edge) = (Verified::default(), Accumulator::default(), Edge::default());
    let mut roots: Vec<Option<Hash>> = kept.iter().map(|k| (k.size() == 0).then(|| tree.root())).collect();
    while tree.size() < view.size() {
        let entries = match view.tile(Level::Entries, tree.size()).and_then(|t| view.folder.entries(t)) {
            Ok(entries) => entries,
            Err(e) => {
                found.add(unreadable(e));
                return found;
            }
        };
        for (n, bytes) in (tree.size()..).zip(&entries) {
            tree.push(leaf(bytes));
            for (root, _) in roots.iter_mut().zip(kept).filter(|(_, k)| k.size() == n + 1) {
                *root = Some(tree.root());
            }
            read(&Record { n, bytes: bytes.clone() }, &mut found);
        }
        let tiles = edge.extend(entries.iter().map(Vec::as_slice));
        for (tile, bytes) in tiles.into_iter().filter(|(tile, _)| tile.is_full()) {
            compare(view, tile, &bytes, &mut found);
        }
        found.entries = tree.size();
        progress(found.entries);
    }
    for (tile, bytes) in edge.partial() {
        compare(view, tile, &bytes, &mut found);
    }
    if tree.root() != view.head().root() {
        found.add(Flaw::Root { size: view.size() });
    }
    for (kept, root) in kept.iter().zip(roots) {
        match root {
            None => found.add(Flaw::Shorter { kept: kept.size(), size: view.size() }),
            Some(root) if root != kept.root() => found.add(Flaw::Rewritten { kept: kept.size() }),
            Some(_) => found.kept += 1,
        }
    }
    found
}

fn unreadable(e: LedgerError) -> Flaw {
    match e {
        LedgerError::Files { path, source, .. } => Flaw::Unreadable { path, why: source.to_string() },
        LedgerError::Lost { path } => Flaw::Unreadable { path, why: "it is missing".into() },
        LedgerError::Damaged { path, what } => Flaw::Unreadable { path, why: what },
        other => Flaw::Unreadable { path: PathBuf::new(), why: other.to_string() },
    }
}

/// What stands in every entry of every version.
#[derive(serde::Deserialize)]
struct Version {
    format: u16,
}

fn read(record: &Record, found: &mut Verified) {
    let Err(e) = record.entry() else { return };
    match serde_json::from_slice::<Version>(&record.bytes) {
        Ok(version) if version.format > FORMAT => found.unknown += 1,
        _ => found.add(Flaw::Nonsense { n: record.n, why: e.to_string() }),
    }
}

/// Compares a tile with what it should be.
fn compare(view: &View, tile: Tile, bytes: &[u8], found: &mut Verified) {
    let stored = match view.folder.bytes(tile) {
        Ok(stored) => stored,
        Err(e) => return found.add(unreadable(e)),
    };
    if stored == bytes {
        return;
    }
    if tile.level() == Level::Hashes(0) {
        let (ours, theirs) = (tile::split(bytes).unwrap_or_default(), tile::split(&stored).unwrap_or_default());
        let wrong: Vec<u64> =
            (tile.first()..).zip(ours.iter().zip(&theirs)).filter(|(_, (a, b))| a != b).map(|(n, _)| n).collect();
        if !wrong.is_empty() {
            return wrong.into_iter().for_each(|n| found.add(Flaw::Entry { n }));
        }
    }
    found.add(Flaw::Tile { path: view.folder.path(tile) });
}
