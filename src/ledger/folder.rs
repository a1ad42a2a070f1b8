//! Reading tiles and bundles of a folder that is shown.

use std::{path::PathBuf, sync::Arc};

use super::{
    error::{LedgerError, failed},
    tile::{self, Level, Tile},
};
use crate::{sys::Files, types::merkle::Hash};

/// A folder with tiles. What is in it is not trusted.
#[derive(Clone)]
pub(super) struct Folder {
    pub(super) files: Arc<dyn Files>,
    pub(super) dir: PathBuf,
}

impl Folder {
    pub(super) fn path(&self, tile: Tile) -> PathBuf {
        self.dir.join(tile.path())
    }

    pub(super) fn damaged(&self, tile: Tile) -> LedgerError {
        LedgerError::Damaged { path: self.path(tile), what: "it is not what the log wrote there".into() }
    }

    /// The bytes of a tile. The partial one may be gone once the full one is there, of which they are the beginning.
    fn read(&self, tile: Tile) -> Result<(Vec<u8>, Tile), LedgerError> {
        let mut found = Err(LedgerError::Lost { path: self.path(tile) });
        for tile in [tile, tile.full()] {
            let path = self.path(tile);
            if let Some(bytes) = self.files.read(&path).map_err(failed("cannot read", &path))? {
                found = Ok((bytes, tile));
                break;
            }
        }
        found
    }

    /// The bytes of a tile of hashes, or of a bundle, just as wide as it is asked for.
    pub(super) fn bytes(&self, tile: Tile) -> Result<Vec<u8>, LedgerError> {
        let (mut bytes, found) = self.read(tile)?;
        if found != tile {
            let len = match tile.level() {
                Level::Hashes(_) => Some(usize::try_from(32 * tile.width()).unwrap_or(usize::MAX)),
                Level::Entries => {
                    let entries = tile::entries(&bytes, tile.width());
                    entries.map(|entries| entries.iter().map(|e| 2 + e.len()).sum())
                }
            };
            bytes.truncate(len.ok_or_else(|| self.damaged(found))?);
        }
        Ok(bytes)
    }

    /// The hashes of a tile.
    pub(super) fn hashes(&self, tile: Tile) -> Result<Vec<Hash>, LedgerError> {
        let hashes = tile::split(&self.bytes(tile)?).ok_or_else(|| self.damaged(tile))?;
        if hashes.len() as u64 == tile.width() { Ok(hashes) } else { Err(self.damaged(tile)) }
    }

    /// The entries of a bundle.
    pub(super) fn entries(&self, tile: Tile) -> Result<Vec<Vec<u8>>, LedgerError> {
        let bytes = self.bytes(tile)?;
        let entries = tile::entries(&bytes, tile.width()).ok_or_else(|| self.damaged(tile))?;
        Ok(entries.into_iter().map(<[u8]>::to_vec).collect())
    }
}
