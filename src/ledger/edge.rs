//! The right edge of the tree: what a writer has to know of it to go on.

use super::tile::{self, Level, Tile, WIDTH};
use crate::types::merkle::{Accumulator, Hash, join, leaf, root};

/// The incomplete tiles of a tree, one of each level, and the incomplete bundle.
#[derive(Debug, Clone, Default)]
pub(super) struct Edge {
    size: u64,
    /// Of each level the hashes since its last full tile: 0 to 255 of them.
    levels: Vec<Vec<Hash>>,
    bundle: Vec<u8>,
}

impl Edge {
    /// The edge of a tree of `size` entries, whose tiles `read` gets; none of what it gets is checked but its length.
    pub(super) fn load<E>(
        size: u64,
        mut read: impl FnMut(Tile) -> Result<Vec<u8>, E>,
        damaged: impl Fn(Tile) -> E,
    ) -> Result<Self, E> {
        let mut edge = Self { size, ..Self::default() };
        let last = |level: Level| {
            let n = level.count(size).checked_sub(1)?;
            Tile::holding(level, n, size).filter(|tile| !tile.is_full())
        };
        for number in 0.. {
            let level = Level::Hashes(number);
            if level.count(size) == 0 {
                break;
            }
            let hashes = match last(level) {
                None => Vec::new(),
                Some(tile) => {
                    let hashes = tile::split(&read(tile)?).ok_or_else(|| damaged(tile))?;
                    if hashes.len() as u64 != tile.width() {
                        return Err(damaged(tile));
                    }
                    hashes
                }
            };
            edge.levels.push(hashes);
        }
        if let Some(tile) = last(Level::Entries) {
            edge.bundle = read(tile)?;
            // The bundle and the leaves say the same, and nothing stands behind the last entry.
            let entries = tile::entries(&edge.bundle, tile.width()).ok_or_else(|| damaged(tile))?;
            let length: usize = entries.iter().map(|e| 2 + e.len()).sum();
            let leaves: Vec<Hash> = entries.into_iter().map(leaf).collect();
            if length != edge.bundle.len() || edge.levels.first() != Some(&leaves) {
                return Err(damaged(tile));
            }
        }
        Ok(edge)
    }

    /// Number of entries.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The root over all entries.
    pub(super) fn root(&self) -> Hash {
        let peaks = |hashes: &Vec<Hash>| {
            let mut tree = Accumulator::default();
            tree.extend(hashes.iter().copied());
            tree.peaks().collect::<Vec<_>>()
        };
        join(self.levels.iter().rev().flat_map(peaks).collect::<Vec<_>>().into_iter())
    }

    /// Adds an entry, which is not longer than an entry may be. Tiles that are full with it go to `full`.
    fn push(&mut self, entry: &[u8], full: &mut Vec<(Tile, Vec<u8>)>) {
        self.size += 1;
        let size = self.size;
        let tile = |level: Level| Tile::holding(level, level.count(size) - 1, size);
        assert!(tile::push_entry(&mut self.bundle, entry), "the log has measured it");
        if let Some(tile) = tile(Level::Entries).filter(|t| t.is_full()) {
            full.push((tile, std::mem::take(&mut self.bundle)));
        }
        let (mut hash, mut number) = (leaf(entry), 0u8);
        loop {
            if self.levels.len() == usize::from(number) {
                self.levels.push(Vec::new());
            }
            let hashes = &mut self.levels[usize::from(number)];
            hashes.push(hash);
            if hashes.len() as u64 != WIDTH {
                return;
            }
            let hashes = std::mem::take(hashes);
            hash = root(hashes.iter().copied());
            full.extend(tile(Level::Hashes(number)).map(|t| (t, tile::join(&hashes))));
            number += 1;
        }
    }

    /// The incomplete bundle and the incomplete tiles.
    pub(super) fn partial(&self) -> impl Iterator<Item = (Tile, Vec<u8>)> + '_ {
        let last = |level: Level| Tile::holding(level, level.count(self.size).checked_sub(1)?, self.size);
        let bundle = last(Level::Entries).map(|tile| (tile, self.bundle.clone()));
        let tile = move |(number, hashes): (u8, &Vec<Hash>)| Some((last(Level::Hashes(number))?, tile::join(hashes)));
        bundle.into_iter().chain((0..).zip(&self.levels).filter_map(tile)).filter(|(tile, _)| !tile.is_full())
    }

    /// Adds entries. Returns the tiles that are new or wider with them, entries first.
    pub(super) fn extend<'a>(&mut self, entries: impl IntoIterator<Item = &'a [u8]>) -> Vec<(Tile, Vec<u8>)> {
        let (before, mut tiles) = (self.size, Vec::new());
        for entry in entries {
            self.push(entry, &mut tiles);
        }
        tiles.extend(self.partial().filter(|(tile, _)| tile.level().count(self.size) > tile.level().count(before)));
        tiles.sort_by_key(|(tile, _)| *tile);
        tiles
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn entry(n: u64) -> Vec<u8> {
        format!("entry {n}").into_bytes()
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { cases: 12, ..Default::default() })]
        /// However entries come, the root is that of the definition, and the edge can be read from the tiles at any time.
        #[test]
        fn batches_make_no_difference(batches in proptest::collection::vec(0u64..700, 1..9)) {
            let (mut edge, mut stored, mut leaves) = (Edge::default(), BTreeMap::new(), Vec::new());
            for batch in batches {
                let entries: Vec<_> = (edge.size()..edge.size() + batch).map(entry).collect();
                leaves.extend(entries.iter().map(|e| leaf(e)));
                for (tile, bytes) in edge.extend(entries.iter().map(Vec::as_slice)) {
                    stored.insert(tile.path(), bytes);
                }
                assert_eq!(edge.root(), root(leaves.iter().copied()));
                let read = |tile: Tile| stored.get(&tile.path()).cloned().ok_or(tile);
                edge = Edge::load(edge.size(), read, |tile| tile).unwrap();
                assert_eq!(edge.root(), root(leaves.iter().copied()));
            }
        }
    }

    #[test]
    fn three_levels() {
        let mut edge = Edge::default();
        let entries: Vec<_> = (0..70_000).map(entry).collect();
        let tiles = edge.extend(entries.iter().map(Vec::as_slice));
        assert_eq!(tiles.len(), 274 + 274 + 2 + 1, "as the specification counts them");
        assert_eq!(edge.root(), root(entries.iter().map(|e| leaf(e))));
    }
}
