//! Encryption in the format of age (<https://age-encryption.org/v1>), to X25519 keys only. The recorder has public halves: it can write what it
//! cannot read.

use std::{
    fmt,
    io::{self, Read as _, Write as _},
};

use sha2::{Digest as _, Sha256};

use crate::{site::Recipient, types::merkle::Hash};

/// SHA-256 of some bytes.
pub fn digest(bytes: &[u8]) -> Hash {
    Hash(Sha256::digest(bytes).into())
}

/// Encrypts to the school's recipients, of which there is at least one.
#[derive(Debug, Clone)]
pub struct Sealer(Vec<Recipient>);

/// Why nothing is encrypted or decrypted.
#[derive(Debug, thiserror::Error)]
pub enum CryptError {
    /// Nobody could read it.
    #[error("no recipient is named: nobody could read the backup")]
    NoRecipient,
    /// age says no.
    #[error("it cannot be encrypted")]
    Encrypt(#[from] age::EncryptError),
    /// The key is another one, or the bytes are no age file, or were changed.
    #[error("it cannot be decrypted with this key")]
    Decrypt(#[from] age::DecryptError),
    /// The encrypted bytes were changed or cut.
    #[error("the encrypted bytes are damaged")]
    Damaged(#[from] io::Error),
    /// A file that should hold secret keys.
    #[error(
        "line {line} of the key file is no secret key of age (AGE-SECRET-KEY-1…); a key file that is itself encrypted is opened first: age -d FILE"
    )]
    BadIdentity {
        /// Which line.
        line: usize,
    },
    /// A file that should hold secret keys and is empty.
    #[error("the key file holds no secret key (AGE-SECRET-KEY-1…)")]
    NoIdentity,
}

impl Sealer {
    /// For these.
    pub fn new(recipients: Vec<Recipient>) -> Result<Self, CryptError> {
        if recipients.is_empty() { Err(CryptError::NoRecipient) } else { Ok(Self(recipients)) }
    }

    /// The recipients.
    pub fn recipients(&self) -> &[Recipient] {
        &self.0
    }

    /// Who they are, whatever their order: what was encrypted to others is not for these.
    pub fn digest(&self) -> Hash {
        let mut all: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        all.sort();
        digest(all.join("\n").as_bytes())
    }

    /// Encrypts; twice the same bytes give different ones each time.
    pub fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, CryptError> {
        let recipients = self.0.iter().map(|r| r.key() as &dyn age::Recipient);
        let mut sealed = Vec::with_capacity(plain.len() + plain.len() / 1024 + 1024);
        let mut writer = age::Encryptor::with_recipients(recipients)?.wrap_output(&mut sealed)?;
        writer.write_all(plain)?;
        writer.finish()?;
        Ok(sealed)
    }
}

/// Secret keys. Shows itself to nobody.
pub struct Identity(Vec<age::x25519::Identity>);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

impl Identity {
    /// Reads a key file as `age-keygen` writes it: a secret key a line, comments after `#`. Errors tell the line, never its text.
    pub fn parse(text: &str) -> Result<Self, CryptError> {
        let mut keys = Vec::new();
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            keys.push(line.parse().map_err(|_| CryptError::BadIdentity { line: n + 1 })?);
        }
        if keys.is_empty() { Err(CryptError::NoIdentity) } else { Ok(Self(keys)) }
    }

    /// Decrypts.
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, CryptError> {
        let keys = self.0.iter().map(|k| k as &dyn age::Identity);
        let mut plain = Vec::with_capacity(sealed.len());
        age::Decryptor::new_buffered(sealed)?.decrypt(keys)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    /// A new key with its public half.
    #[cfg(test)]
    pub(super) fn generate() -> (Self, Recipient) {
        let key = age::x25519::Identity::generate();
        let recipient = key.to_public().to_string().parse();
        (Self(vec![key]), recipient.expect("age reads what it has written"))
    }

    /// The key file of the first key.
    #[cfg(test)]
    fn to_text(&self) -> String {
        use age::secrecy::ExposeSecret as _;
        self.0[0].to_string().expose_secret().to_owned() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipients_can_read_it_and_nobody_else() {
        let ((one, to_one), (two, to_two), (other, _)) =
            (Identity::generate(), Identity::generate(), Identity::generate());
        let sealed = Sealer::new(vec![to_one, to_two]).unwrap().seal(b"footage").unwrap();
        assert!(sealed.starts_with(b"age-encryption.org/v1\n"));
        assert_eq!(one.open(&sealed).unwrap(), b"footage");
        assert_eq!(two.open(&sealed).unwrap(), b"footage");
        assert!(matches!(other.open(&sealed), Err(CryptError::Decrypt(_))));
        let mut flipped = sealed.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert!(matches!(one.open(&flipped), Err(CryptError::Damaged(_))));
        assert!(one.open(&sealed[..sealed.len() - 1]).is_err());
        assert!(matches!(Sealer::new(Vec::new()), Err(CryptError::NoRecipient)));
    }

    #[test]
    fn key_files_are_read_as_age_keygen_writes_them() {
        let (key, _) = Identity::generate();
        let file = format!("# created: 2026-11-22\n# public key: age1…\n{}\n", key.to_text());
        assert_eq!(Identity::parse(&file).unwrap().to_text(), key.to_text());
        assert!(matches!(Identity::parse("# nothing\n"), Err(CryptError::NoIdentity)));
        let e = Identity::parse("\nAGE-SECRET-KEY-1HUNTER2\n").unwrap_err();
        assert!(matches!(e, CryptError::BadIdentity { line: 2 }) && !e.to_string().contains("HUNTER"), "{e}");
        assert_eq!(format!("{key:?}"), "•••");
    }
}
