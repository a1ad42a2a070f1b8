//! What an update directory holds, by its signed list `SHA256SUMS`.

use sha2::{Digest as _, Sha256};

use super::version::Version;
use crate::types::merkle::Hash;

/// The list.
pub(super) const SUMS: &str = "SHA256SUMS";
/// Its signature, an OpenPGP one, detached.
pub(super) const SIGNATURE: &str = "SHA256SUMS.gpg";
/// What a version consists of: the end of a file's name, and the most bytes that it may have. A slot holds no more.
pub(super) const PARTS: [(&str, u64); 3] = [(".root.raw", 1 << 30), (".verity.raw", 64 << 20), (".efi", 256 << 20)];

/// A file of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Its name.
    pub(super) name: String,
    /// SHA-256 of it.
    pub(super) hash: Hash,
    /// It may not be longer.
    pub(super) most: u64,
}

/// A version that a directory holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Which.
    pub(super) version: Version,
    /// SHA-256 of the list: what is consented to.
    pub(super) sums: Hash,
    /// Its files.
    pub(super) parts: Vec<Part>,
}

/// SHA-256 of some bytes.
pub(super) fn sha256(bytes: &[u8]) -> Hash {
    Hash(Sha256::digest(bytes).into())
}

/// The newest version of which all parts are in a list. The list has been verified, or nothing may come of it.
pub(super) fn newest(list: &[u8]) -> Option<Found> {
    let text = std::str::from_utf8(list).ok()?;
    // coreutils' sha256sum: the hash, a space, a space or an asterisk, the name.
    let line = |line: &str| {
        let (hash, name) = line.split_once(' ')?;
        Some((Hash::from_hex(hash)?, name.strip_prefix([' ', '*'])?.to_owned()))
    };
    let lines: Vec<(Hash, String)> = text.lines().filter_map(line).collect();
    let part = |version: &Version, (end, most): (&str, u64)| {
        let name = format!("custodian_{version}{end}");
        let hash = lines.iter().find(|(_, n)| *n == name)?.0;
        Some(Part { name, hash, most })
    };
    let version = |name: &str| name.strip_prefix("custodian_")?.strip_suffix(PARTS[0].0)?.parse().ok();
    let mut versions: Vec<Version> = lines.iter().filter_map(|(_, name)| version(name)).collect();
    versions.sort();
    versions.into_iter().rev().find_map(|version| {
        let parts = PARTS.iter().map(|p| part(&version, *p)).collect::<Option<Vec<_>>>()?;
        Some(Found { version, sums: sha256(list), parts })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_version_is_found() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let of = |version: &str, hash: &str, sign: &str| {
            PARTS.map(|(end, _)| format!("{hash} {sign}custodian_{version}{end}\n")).concat()
        };
        let half = format!("{a}  custodian_0.11.0.root.raw\n{a}  custodian_0.11.0.efi\n");
        let list = of("0.9.0", &a, " ") + &of("0.10.0", &b, "*") + &half + "x  custodian_1.0.root.raw\nnonsense\n";
        let found = newest(list.as_bytes()).unwrap();
        assert_eq!((found.version.as_str(), found.parts.len()), ("0.10.0", 3));
        assert_eq!(found.parts[2].name, "custodian_0.10.0.efi");
        assert!(found.parts.iter().all(|p| p.hash.to_string() == b));
        assert_eq!(found.sums, sha256(list.as_bytes()));
        assert_eq!(newest(half.as_bytes()), None);
        assert_eq!(newest(b"\xff"), None);
        assert_eq!(newest(of("../0.1", &a, " ").as_bytes()), None);
    }
}
