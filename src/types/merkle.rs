//! The Merkle tree of RFC 6962 section 2.1: hashes of leaves and nodes, and the root over a list.

use sha2::{Digest, Sha256};

/// A SHA-256 hash: of a leaf, of a node, or of a whole tree. As text 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// From 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl serde::Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("not 64 hexadecimal digits"))
    }
}

/// Hash of a leaf: SHA-256(0x00 ‖ data).
pub fn leaf(data: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([0]).chain_update(data).finalize().into())
}

/// Hash of a node: SHA-256(0x01 ‖ left ‖ right).
pub fn node(left: Hash, right: Hash) -> Hash {
    Hash(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
}

/// A tree that grows leaf by leaf, of which only the roots of its perfect subtrees are kept: for a root over any number of leaves.
#[derive(Debug, Clone, Default)]
pub struct Accumulator {
    size: u64,
    /// Perfect subtrees of falling size, as a binary counter holds them: height and root.
    peaks: Vec<(u32, Hash)>,
}

impl Accumulator {
    /// Adds the hash of a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut top = (0, leaf);
        while let Some((_, left)) = self.peaks.pop_if(|(height, _)| *height == top.0) {
            top = (top.0 + 1, node(left, top.1));
        }
        self.peaks.push(top);
        self.size += 1;
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the perfect subtrees, from left to right.
    pub fn peaks(&self) -> impl DoubleEndedIterator<Item = Hash> {
        self.peaks.iter().map(|(_, hash)| *hash)
    }

    /// Root of the tree so far.
    pub fn root(&self) -> Hash {
        join(self.peaks())
    }
}

impl Extend<Hash> for Accumulator {
    fn extend<T: IntoIterator<Item = Hash>>(&mut self, leaves: T) {
        leaves.into_iter().for_each(|leaf| self.push(leaf));
    }
}

/// Root over the perfect subtrees of falling size that a tree divides into, from left to right; SHA-256 of nothing over none.
pub fn join(peaks: impl DoubleEndedIterator<Item = Hash>) -> Hash {
    peaks.rev().reduce(|right, left| node(left, right)).unwrap_or_else(|| Hash(Sha256::digest([]).into()))
}

/// Root of the tree over hashes of leaves; SHA-256 of nothing for an empty list.
pub fn root(leaves: impl IntoIterator<Item = Hash>) -> Hash {
    let mut tree = Accumulator::default();
    tree.extend(leaves);
    tree.root()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of RFC 6962 section 2.1, word for word.
    fn by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash(Sha256::digest([]).into()),
            [one] => *one,
            _ => {
                let k = leaves.len().next_power_of_two() / 2;
                node(by_definition(&leaves[..k]), by_definition(&leaves[k..]))
            }
        }
    }

    #[test]
    fn the_root_is_that_of_the_definition() {
        let leaves: Vec<Hash> = (0..70_u8).map(|n| leaf(&[n])).collect();
        for n in 0..leaves.len() {
            assert_eq!(root(leaves[..n].iter().copied()), by_definition(&leaves[..n]), "{n} leaves");
        }
        // The hash of an empty leaf is printed in the test data of RFC 6962's authors.
        assert_eq!(leaf(b"").to_string(), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    }

    #[test]
    fn text_and_back() {
        let hash = leaf(b"x");
        assert_eq!(Hash::from_hex(&hash.to_string()), Some(hash));
        assert_eq!(Hash::from_hex("é"), None);
        assert_eq!(Hash::from_hex(&"é".repeat(32)), None);
    }
}
