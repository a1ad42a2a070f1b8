//! Secrets: never among a program's arguments, never in a log.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    str::FromStr,
};

use super::DiskError;
use crate::sys::{Files as _, RealFiles, random, unfinished};

/// Something that opens a disk. Debug does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// From its bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A text is no passphrase. This is what every keyboard can type before the system has started, whatever layout it is taken for: systemd asks on a
/// console that knows nothing but ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a passphrase has at least 8 characters: letters without accents, digits, signs, blanks; and no blank at its beginning or end"
)]
pub struct NoPassphrase;

impl Secret {
    /// A passphrase.
    ///
    /// # Errors
    /// If it is none.
    pub fn passphrase(text: &str) -> Result<Self, NoPassphrase> {
        let typed = text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) && text.trim() == text;
        if typed && text.len() >= SHORTEST_PASSPHRASE { Ok(Self::new(text)) } else { Err(NoPassphrase) }
    }
}

/// A file is no key, by its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a file with so few bytes is no key")]
pub struct NoKey;

impl Secret {
    /// What is in a key file.
    ///
    /// # Errors
    /// If it is too short for a key.
    pub fn key_file(bytes: Vec<u8>) -> Result<Self, NoKey> {
        if bytes.len() as u64 >= SHORTEST { Ok(Self(bytes)) } else { Err(NoKey) }
    }
}

/// So many characters, each of which is a byte.
const SHORTEST_PASSPHRASE: usize = 8;

/// systemd's letters for recovery keys: on the same keys in nearly all keyboard layouts.
const MODHEX: &[u8; 16] = b"cbdefghijklnrtuv";

/// How cryptsetup opens with the key of a file, or of standard input for `-`, and with nothing else: left to itself it tries first what a TPM
/// gives, and where that opens any key is right.
pub(super) fn by_key(file: &str) -> [&str; 3] {
    ["--disable-external-tokens", "--key-file", file]
}

/// A key for the day when nothing else opens the disk: 256 bits in eight groups of eight letters, as
/// systemd-cryptenroll(1) makes them. It is typed at the prompt for a passphrase, dashes included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryKey(Secret);

impl RecoveryKey {
    /// A new one, from the kernel.
    pub(super) fn make() -> Result<Self, DiskError> {
        Ok(Self::from_bytes(&random().map_err(DiskError::Random)?))
    }

    fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut key = Vec::with_capacity(71);
        for (n, byte) in bytes.iter().enumerate() {
            if n > 0 && n % 4 == 0 {
                key.push(b'-');
            }
            key.extend([MODHEX[usize::from(byte >> 4)], MODHEX[usize::from(byte & 15)]]);
        }
        Self(Secret(key))
    }

    /// For showing it once.
    pub fn reveal(&self) -> String {
        String::from_utf8_lossy(&self.0.0).into_owned()
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.0
    }
}

/// A text is no recovery key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a recovery key is eight groups of eight letters, each of them one of cbdefghijklnrtuv")]
pub struct NoRecoveryKey;

impl FromStr for RecoveryKey {
    type Err = NoRecoveryKey;
    /// Reads it as people write it: capitals, spaces, dashes elsewhere or nowhere.
    fn from_str(text: &str) -> Result<Self, NoRecoveryKey> {
        let letters = text.bytes().filter(|b| *b != b'-' && !b.is_ascii_whitespace()).map(|b| b.to_ascii_lowercase());
        let letters: Vec<u8> = letters.collect();
        if letters.len() != 64 || letters.iter().any(|l| !MODHEX.contains(l)) {
            return Err(NoRecoveryKey);
        }
        Ok(Self(Secret(letters.chunks(8).collect::<Vec<_>>().join(&b'-'))))
    }
}

/// A file with fewer bytes is no key.
const SHORTEST: u64 = 32;

/// Makes a key file of 64 random bytes, readable by its owner only. One that is there already is left as it is; if it is none, say for
/// want of room on the stick, it would be a key that anybody has.
pub fn make_key_file(path: &Path) -> Result<(), DiskError> {
    let bytes: [u8; 64] = random().map_err(DiskError::Random)?;
    let failed = |source| DiskError::Io { what: "cannot write", path: path.to_owned(), source };
    match key_file(path)? {
        KeyFile::Key => Ok(()),
        KeyFile::Short => Err(failed(io::Error::other(
            "there is a file that is too short for a key: look what it is, then remove it",
        ))),
        // Whole and durable, or not at all: a disk is about to depend on it.
        KeyFile::None => RealFiles.write(path, &bytes, 0o400, None).map_err(|e| {
            let _ = fs::remove_file(unfinished(path));
            failed(e)
        }),
    }
}

/// What a key file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFile {
    /// There is none.
    None,
    /// Too short for a key.
    Short,
    /// A key.
    Key,
}

/// What there is where a key file would be.
pub fn key_file(path: &Path) -> Result<KeyFile, DiskError> {
    match path.metadata() {
        Ok(there) if there.len() >= SHORTEST => Ok(KeyFile::Key),
        Ok(_) => Ok(KeyFile::Short),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(KeyFile::None),
        Err(source) => Err(DiskError::Io { what: "cannot read", path: path.to_owned(), source }),
    }
}

/// A secret in a file that only root can read, in memory (`/run`), until it is dropped.
#[derive(Debug)]
pub struct SecretFile(PathBuf);

impl SecretFile {
    /// In this folder, under a name of its own.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn new(dir: &Path, secret: &Secret) -> Result<Self, DiskError> {
        let name: [u8; 8] = random().map_err(DiskError::Random)?;
        let path = dir.join(format!("custodian-key-{:016x}", u64::from_ne_bytes(name)));
        let file = Self(path);
        let write = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file.0)?.write_all(&secret.0);
        write().map_err(|source| DiskError::Io { what: "cannot write", path: file.0.clone(), source })?;
        Ok(file)
    }

    /// Where it is.
    pub fn path(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        if let Err(e) = fs::remove_file(&self.0) {
            log::warn!("a temporary key could not be removed from {}: {e}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn secrets_are_hidden_and_leave() {
        assert_eq!(format!("{:?}", Secret::new("open sesame")), "Secret(…)");
        let dir = tempfile::tempdir().unwrap();
        let file = SecretFile::new(dir.path(), &Secret::new("open sesame")).unwrap();
        let path = PathBuf::from(file.path());
        assert_eq!(fs::read(&path).unwrap(), b"open sesame");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_key_file_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        make_key_file(&path).unwrap();
        let key = fs::read(&path).unwrap();
        make_key_file(&path).unwrap();
        assert_eq!((key.len(), fs::read(&path).unwrap()), (64, key));
        assert!(make_key_file(&dir.path().join("no/key")).is_err());
        assert_eq!(
            (Secret::key_file(vec![7; 31]), Secret::key_file(vec![7; 32])),
            (Err(NoKey), Ok(Secret(vec![7; 32])))
        );
        // What a power cut has left of another attempt is no key, and no obstacle.
        let cut = dir.path().join("cut");
        fs::write(unfinished(&cut), "half").unwrap();
        make_key_file(&cut).unwrap();
        assert_eq!(fs::metadata(&cut).unwrap().len(), 64);
        assert!(!unfinished(&cut).exists());
        // The stick was full when it was made: an empty key opens a volume to anybody.
        let empty = dir.path().join("empty");
        fs::write(&empty, "").unwrap();
        assert_eq!((key_file(&empty).unwrap(), key_file(&path).unwrap()), (KeyFile::Short, KeyFile::Key));
        assert!(make_key_file(&empty).unwrap_err().to_string().contains("empty"));
        assert_eq!(fs::read(&empty).unwrap(), b"");
    }

    #[test]
    fn a_recovery_key_can_be_typed() {
        let key = RecoveryKey::from_bytes(&std::array::from_fn(|n| u8::try_from(n).unwrap() * 8));
        assert_eq!(key.reveal(), "cccjbcbj-dcdjecej-fcfjgcgj-hchjicij-jcjjkckj-lcljncnj-rcrjtctj-ucujvcvj");
        let key = RecoveryKey::make().unwrap();
        assert_eq!(key.reveal().len(), 71);
        assert_ne!(key, RecoveryKey::make().unwrap());
        let typed = format!(" {}\n", key.reveal().to_uppercase().replace('-', " "));
        assert_eq!(typed.parse(), Ok(key.clone()));
        assert_eq!(key.reveal().replace('-', "").parse(), Ok(key.clone()));
        let text = key.reveal();
        for wrong in ["", &text[1..], &format!("{text}c"), &text.replace('-', "a"), &format!("a{}", &text[1..])] {
            assert_eq!(wrong.parse::<RecoveryKey>(), Err(NoRecoveryKey), "{wrong}");
        }
    }
}
