//! Where hashes and entries stand: the resources of C2SP tlog-tiles, as paths below one folder.

use std::path::PathBuf;

use crate::types::merkle::Hash;

/// Hashes in a full tile, entries in a full bundle.
pub(super) const WIDTH: u64 = 256;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Level {
    /// Entries, whole.
    Entries,
    /// Roots of the perfect subtrees over `256^level` entries; at level 0 hashes of leaves.
    Hashes(u8),
}

impl Level {
    /// How many of them a tree has whose number of entries is `size`.
    pub(super) fn count(self, size: u64) -> u64 {
        let level = if let Self::Hashes(level) = self { level } else { 0 };
        size.checked_shr(8 * u32::from(level)).unwrap_or(0)
    }
}

/// A tile, full or partial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Tile {
    level: Level,
    index: u64,
    /// 1 to 256.
    width: u64,
}

impl Tile {
    /// The tile that holds number `n` of a level, as it is in a tree of `size` entries; none if that has no such number.
    pub(super) fn holding(level: Level, n: u64, size: u64) -> Option<Self> {
        let (count, index) = (level.count(size), n / WIDTH);
        (n < count).then(|| Self { level, index, width: (count - index * WIDTH).min(WIDTH) })
    }

    /// What it holds.
    pub(super) fn level(self) -> Level {
        self.level
    }

    /// The number of the first hash or entry in it.
    pub(super) fn first(self) -> u64 {
        self.index * WIDTH
    }

    /// How many hashes or entries it holds.
    pub(super) fn width(self) -> u64 {
        self.width
    }

    pub(super) fn is_full(self) -> bool {
        self.width == WIDTH
    }

    /// The same tile, once it is full.
    pub(super) fn full(self) -> Self {
        Self { width: WIDTH, ..self }
    }

    /// The same place so many tiles before.
    pub(super) fn before(self, n: u64) -> Option<Self> {
        Some(Self { index: self.index.checked_sub(n)?, width: WIDTH, ..self })
    }

    /// Where the level's tiles stand.
    fn folder(self) -> PathBuf {
        let level = match self.level {
            Level::Entries => "entries".to_owned(),
            Level::Hashes(level) => level.to_string(),
        };
        PathBuf::from("tile").join(level)
    }

    /// The folder of its partial versions.
    pub(super) fn partials(self) -> PathBuf {
        let mut path = self.full().path().into_os_string();
        path.push(".p");
        path.into()
    }

    /// Where it stands. Numbers have three digits an element, all but the last with an `x` before them.
    pub(super) fn path(self) -> PathBuf {
        if !self.is_full() {
            return self.partials().join(self.width.to_string());
        }
        let (mut rest, mut elements) = (self.index / 1000, vec![format!("{:03}", self.index % 1000)]);
        while rest > 0 {
            elements.push(format!("x{:03}", rest % 1000));
            rest /= 1000;
        }
        self.folder().join(elements.iter().rev().collect::<PathBuf>())
    }
}

/// The bytes of a tile of hashes.
pub(super) fn join(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The hashes in a tile; none if its length is wrong.
pub(super) fn split(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| hashes.iter().map(|h| Hash(*h)).collect())
}

/// Adds an entry to a bundle; false if it is too long.
pub(super) fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> bool {
    let Ok(len) = u16::try_from(entry.len()) else { return false };
    bundle.extend(len.to_be_bytes());
    bundle.extend(entry);
    true
}

/// The first `count` entries of a bundle; none if there are not so many, or the last one is cut off.
pub(super) fn entries(bundle: &[u8], count: u64) -> Option<Vec<&[u8]>> {
    let mut rest = bundle;
    let mut next = || {
        let (len, after) = rest.split_first_chunk::<2>()?;
        let (entry, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        rest = after;
        Some(entry)
    };
    (0..count).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let path = |level, n, size| Tile::holding(level, n, size).map(|t| t.path().display().to_string());
        // Its own example: 70,000 entries.
        assert_eq!(path(Level::Hashes(0), 272 * 256, 70_000).unwrap(), "tile/0/272");
        assert_eq!(path(Level::Hashes(0), 273 * 256, 70_000).unwrap(), "tile/0/273.p/112");
        assert_eq!(path(Level::Hashes(1), 0, 70_000).unwrap(), "tile/1/000");
        assert_eq!(path(Level::Hashes(1), 256, 70_000).unwrap(), "tile/1/001.p/17");
        assert_eq!(path(Level::Hashes(2), 0, 70_000).unwrap(), "tile/2/000.p/1");
        assert_eq!(path(Level::Hashes(3), 0, 70_000), None);
        assert_eq!(path(Level::Entries, 1_234_067 * 256, u64::MAX).unwrap(), "tile/entries/x001/x234/067");
        assert_eq!(path(Level::Hashes(8), 0, u64::MAX), None, "no shift too far");
    }

    #[test]
    fn bundles_and_tiles_come_back() {
        let (mut bundle, longest) = (Vec::new(), vec![7; 65535]);
        for entry in [&b"one"[..], b"", &longest] {
            assert!(push_entry(&mut bundle, entry));
        }
        assert!(!push_entry(&mut bundle, &vec![0; 65536]));
        assert_eq!(entries(&bundle, 3).unwrap(), [&b"one"[..], b"", &longest]);
        assert_eq!(entries(&bundle, 1).unwrap(), [b"one"]);
        assert_eq!(entries(&bundle, 4), None);
        assert_eq!(entries(&bundle[..8], 3), None);
        let hashes = [Hash([1; 32]), Hash([2; 32])];
        assert_eq!(split(&join(&hashes)).unwrap(), hashes);
        assert_eq!(split(&[0; 33]), None);
    }
}
