//! What is kept of a secret: argon2id of it (RFC 9106), from which it can only be guessed.

use std::io;

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};

use crate::sys::random;

/// What one guess costs. It is kept with the hash, so that it can be raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// The second recommended option of RFC 9106, section 4: 64 MiB, which a recorder has to spare for a moment.
    pub(super) const FULL: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 };
    /// For tests.
    #[cfg(test)]
    pub(super) const LEAST: Self = Self { memory_kib: 8, passes: 1, lanes: 1 };
    /// A file that says more is no file of ours, and would take the recorder's memory.
    const MOST: Self = Self { memory_kib: 256 * 1024, passes: 16, lanes: 16 };

    fn fits(self) -> bool {
        self.memory_kib <= Self::MOST.memory_kib && self.passes <= Self::MOST.passes && self.lanes <= Self::MOST.lanes
    }
}

/// A hash with all that it was made from but the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hashed {
    #[serde(flatten)]
    cost: Cost,
    salt: [u8; 16],
    hash: [u8; 32],
}

impl Hashed {
    pub(super) fn new(secret: &[u8], cost: Cost) -> io::Result<Self> {
        let salt = random()?;
        Ok(Self { cost, salt, hash: hash(secret, &salt, cost)? })
    }

    /// Whether it is that of this secret.
    pub(super) fn is_of(&self, secret: &[u8]) -> io::Result<bool> {
        let other = hash(secret, &self.salt, self.cost)?;
        // All of it is looked at, however early it differs.
        Ok(self.hash.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0)
    }
}

fn hash(secret: &[u8], salt: &[u8], cost: Cost) -> io::Result<[u8; 32]> {
    if !cost.fits() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the hash costs more than any that is made here"));
    }
    let mut hash = [0; 32];
    Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(hash.len()))
        .and_then(|p| Argon2::new(Algorithm::Argon2id, Version::V0x13, p).hash_password_into(secret, salt, &mut hash))
        .map_err(io::Error::other)?;
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_again_and_no_other() {
        let (one, other) = (Hashed::new(b"294173", Cost::LEAST).unwrap(), Hashed::new(b"294173", Cost::LEAST).unwrap());
        assert_ne!(one.hash, other.hash, "salted");
        assert!(one.is_of(b"294173").unwrap() && !one.is_of(b"294174").unwrap() && !one.is_of(b"").unwrap());
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<Hashed>(&text).unwrap(), one);
        let huge = Hashed { cost: Cost { memory_kib: u32::MAX, ..Cost::LEAST }, ..one };
        assert_eq!(huge.is_of(b"294173").unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    /// By the reference implementation (libargon2): argon2id, 64 MiB, 3 passes, 4 lanes.
    #[test]
    fn a_hash_of_today_is_checked_by_every_later_version() {
        let hash = hash(b"294173", b"sixteen bytes ok", Cost::FULL).unwrap();
        assert_eq!(
            hash,
            [
                0x39, 0x12, 0xdb, 0x33, 0xf4, 0x2e, 0x1e, 0x96, 0x98, 0x71, 0xc6, 0x97, 0x3f, 0xc4, 0xb7, 0x72, 0xa2,
                0xf7, 0x0b, 0xe3, 0x85, 0xa2, 0x8d, 0x58, 0x49, 0x52, 0x41, 0x71, 0x58, 0xca, 0xf6, 0xd9
            ]
        );
    }
}
