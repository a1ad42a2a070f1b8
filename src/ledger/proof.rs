//! Proofs of RFC 6962 sections 2.1.1 and 2.1.2: that an entry is in a tree, and that a tree is the beginning of another one.
//! Whoever checks one needs nothing but it and two checkpoints.

use crate::types::merkle::{Hash, join, node};

/// Roots of perfect subtrees: `height` and number from the left among those of that height.
pub(super) trait Subtrees {
    /// Why one cannot be had.
    type Error;
    /// The root over the entries from `n << height` up to `(n + 1) << height`, all of which exist.
    fn subtree(&self, height: u32, n: u64) -> Result<Hash, Self::Error>;

    /// The root over the entries from `lo` up to `hi`, which is a subtree of a tree: `lo` is divisible by a power of two not below
    /// `hi - lo`.
    fn range(&self, lo: u64, hi: u64) -> Result<Hash, Self::Error> {
        let (mut at, mut peaks) = (lo, Vec::new());
        while at < hi {
            let height = (hi - at).ilog2();
            peaks.push(self.subtree(height, at >> height)?);
            at += 1 << height;
        }
        Ok(join(peaks.into_iter()))
    }

    /// PATH(n, `D[lo:hi]`) with `n` counted from 0: hashes from the leaf upwards.
    fn path(&self, n: u64, lo: u64, hi: u64) -> Result<Vec<Hash>, Self::Error> {
        if hi - lo <= 1 {
            return Ok(Vec::new());
        }
        let middle = lo + half(hi - lo);
        let (mut path, sibling) = if n < middle {
            (self.path(n, lo, middle)?, self.range(middle, hi)?)
        } else {
            (self.path(n, middle, hi)?, self.range(lo, middle)?)
        };
        path.push(sibling);
        Ok(path)
    }

    /// SUBPROOF(m, `D[lo:hi]`, whole) with `m` counted from 0.
    fn subproof(&self, m: u64, lo: u64, hi: u64, whole: bool) -> Result<Vec<Hash>, Self::Error> {
        if m == hi {
            return if whole { Ok(Vec::new()) } else { Ok(vec![self.range(lo, hi)?]) };
        }
        let middle = lo + half(hi - lo);
        let (mut proof, sibling) = if m <= middle {
            (self.subproof(m, lo, middle, whole)?, self.range(middle, hi)?)
        } else {
            (self.subproof(m, middle, hi, false)?, self.range(lo, middle)?)
        };
        proof.push(sibling);
        Ok(proof)
    }
}

/// The largest power of two below `n`, which is above 1.
fn half(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// The root of a tree of `size` leaves of which number `n` has this hash, by its path; none if the path does not fit.
pub fn root_of_path(n: u64, size: u64, leaf: Hash, path: &[Hash]) -> Option<Hash> {
    if n >= size {
        return None;
    }
    if size == 1 {
        return path.is_empty().then_some(leaf);
    }
    let (sibling, path) = path.split_last()?;
    let half = half(size);
    Some(if n < half {
        node(root_of_path(n, half, leaf, path)?, *sibling)
    } else {
        node(*sibling, root_of_path(n - half, size - half, leaf, path)?)
    })
}

/// Whether the tree of `old` leaves with this root is the beginning of that of `new` leaves.
pub fn is_consistent((old, old_root): (u64, Hash), (new, new_root): (u64, Hash), proof: &[Hash]) -> bool {
    match (old, old == new) {
        (_, true) => proof.is_empty() && old_root == new_root,
        // Everything begins with nothing.
        (0, _) => proof.is_empty() && old_root == join(std::iter::empty()),
        _ => old < new && roots(old, new, true, old_root, proof) == Some((old_root, new_root)),
    }
}

/// The roots of a tree and of its first `m` leaves, by a proof. `whole`: the latter is a subtree whose root `known` is.
fn roots(m: u64, size: u64, whole: bool, known: Hash, proof: &[Hash]) -> Option<(Hash, Hash)> {
    if m == size {
        return match proof {
            [] if whole => Some((known, known)),
            [root] if !whole => Some((*root, *root)),
            _ => None,
        };
    }
    let (sibling, proof) = proof.split_last()?;
    let half = half(size);
    Some(if m <= half {
        let (old, new) = roots(m, half, whole, known, proof)?;
        (old, node(new, *sibling))
    } else {
        let (old, new) = roots(m - half, size - half, false, known, proof)?;
        (node(*sibling, old), node(*sibling, new))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::merkle::{leaf, root};

    struct Leaves(Vec<Hash>);

    impl Subtrees for Leaves {
        type Error = std::convert::Infallible;
        fn subtree(&self, height: u32, n: u64) -> Result<Hash, Self::Error> {
            let [from, to] = [n << height, (n + 1) << height].map(|n| usize::try_from(n).unwrap());
            Ok(root(self.0[from..to].iter().copied()))
        }
    }

    #[test]
    fn every_entry_of_every_small_tree_is_proven_and_no_other() {
        let leaves = Leaves((0..40u8).map(|n| leaf(&[n])).collect());
        for size in 1..=40u64 {
            let whole = leaves.range(0, size).unwrap();
            for n in 0..size {
                let (hash, path) = (leaves.0[usize::try_from(n).unwrap()], leaves.path(n, 0, size).unwrap());
                assert_eq!(root_of_path(n, size, hash, &path), Some(whole));
                assert_ne!(root_of_path(n, size, leaf(b"other"), &path), Some(whole));
                for other in (0..size).filter(|o| *o != n) {
                    assert_ne!(root_of_path(other, size, hash, &path), Some(whole), "{n} as {other} of {size}");
                }
                assert_ne!(root_of_path(n, size, hash, &[&path[..], &[hash]].concat()), Some(whole));
            }
            assert_eq!(root_of_path(size, size, whole, &[]), None);
        }
    }

    #[test]
    fn every_small_tree_is_proven_to_begin_every_larger_one_and_no_other() {
        let leaves = Leaves((0..34u8).map(|n| leaf(&[n])).collect());
        let mut forged = leaves.0.clone();
        forged[3] = leaf(b"forged");
        let forged = Leaves(forged);
        let head = |of: &Leaves, size| (size, of.range(0, size).unwrap());
        for new in 0..=34u64 {
            for old in 0..=new {
                let proof = if old == 0 { Vec::new() } else { leaves.subproof(old, 0, new, true).unwrap() };
                assert!(is_consistent(head(&leaves, old), head(&leaves, new), &proof), "{old} {new}");
                if old > 3 {
                    let other = forged.subproof(old, 0, new, true).unwrap();
                    for proof in [&proof, &other] {
                        assert!(!is_consistent(head(&leaves, old), head(&forged, new), proof), "{old} {new}");
                        assert!(!is_consistent(head(&forged, old), head(&leaves, new), proof), "{old} {new}");
                    }
                }
                assert!(!is_consistent(head(&leaves, old), head(&leaves, new), &[&proof[..], &[leaf(b"")]].concat()));
            }
            assert!(!is_consistent(head(&leaves, new), head(&leaves, new.saturating_sub(1)), &[]) || new == 0);
        }
    }
}
