//! Signed notes (C2SP signed-note) with Ed25519 (RFC 8032): how a text carries its signature.

use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// What the kind of signature is called in key ids and verifier keys.
const ED25519: u8 = 1;

/// The longest note that is read; ours have some 200 bytes.
const LONGEST: usize = 64 << 10;

/// What is wrong with a note or a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// No name for a key.
    #[error("{0:?} cannot be the name of a log: it is empty, or has a space, a plus or a control character")]
    Name(String),
    /// No verifier key.
    #[error(
        "this is no verifier key: expected NAME+ID+KEY in one line, of kind Ed25519, with the id that belongs to name and key"
    )]
    Key,
    /// No note.
    #[error("this is no signed note: {0}")]
    Malformed(&'static str),
    /// Somebody else's.
    #[error("it is not signed by {0}")]
    Unsigned(String),
    /// Not what was signed.
    #[error("the signature of {0} is wrong: the text was changed, or somebody else signed it")]
    Wrong(String),
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '+')
}

/// The first 4 bytes of SHA-256(name ‖ 0x0A ‖ kind ‖ key).
fn key_id(name: &str, key: &VerifyingKey) -> [u8; 4] {
    let hash = Sha256::new().chain_update(name).chain_update([b'\n', ED25519]).chain_update(key.as_bytes()).finalize();
    [hash[0], hash[1], hash[2], hash[3]]
}

/// A public key and its name: what a signature is checked with. As text a verifier key of signed-note, `NAME+ID+KEY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key: VerifyingKey,
}

impl Verifier {
    /// Whose key it is; equal to the origin of the log's checkpoints.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text of a note that it signed, the last newline included.
    ///
    /// # Errors
    /// If that is no note, or the signature is absent or wrong. Other people's signatures are not looked at.
    pub fn open<'a>(&self, note: &'a str) -> Result<&'a str, NoteError> {
        let bad = NoteError::Malformed;
        if note.len() > LONGEST {
            return Err(bad("it is too long"));
        }
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(bad("it has a control character"));
        }
        let end = note.rfind("\n\n").ok_or(bad("there is no empty line before the signatures"))? + 1;
        let (text, signatures) = (&note[..end], &note[end + 1..]);
        let signatures = signatures.strip_suffix('\n').ok_or(bad("it does not end with a newline"))?;
        let mut signed = false;
        for line in signatures.split('\n') {
            let (name, signature) =
                line.strip_prefix("— ").and_then(|l| l.split_once(' ')).ok_or(bad("a signature line is none"))?;
            let bytes = BASE64_STANDARD.decode(signature).map_err(|_| bad("a signature is not base64"))?;
            let (id, signature) = bytes.split_first_chunk::<4>().ok_or(bad("a signature is too short"))?;
            if name != self.name || *id != key_id(&self.name, &self.key) {
                continue;
            }
            let signature = Signature::from_slice(signature).map_err(|_| NoteError::Wrong(self.name.clone()))?;
            self.key.verify_strict(text.as_bytes(), &signature).map_err(|_| NoteError::Wrong(self.name.clone()))?;
            signed = true;
        }
        if signed { Ok(text) } else { Err(NoteError::Unsigned(self.name.clone())) }
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = u32::from_be_bytes(key_id(&self.name, &self.key));
        let key = [&[ED25519], &self.key.as_bytes()[..]].concat();
        write!(f, "{}+{id:08x}+{}", self.name, BASE64_STANDARD.encode(key))
    }
}

impl FromStr for Verifier {
    type Err = NoteError;
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let parse = || {
            // The key itself may have a plus.
            let (name, rest) = text.split_once('+')?;
            let (_, key) = rest.split_once('+')?;
            let key = BASE64_STANDARD.decode(key).ok()?;
            let key: &[u8; 32] = key.strip_prefix(&[ED25519])?.try_into().ok()?;
            let key = VerifyingKey::from_bytes(key).ok().filter(|key| !key.is_weak())?;
            Some(Self { name: name.to_owned(), key })
        };
        // Written again it is the same, or its id belongs to another name or key.
        parse().filter(|v| is_name(&v.name) && v.to_string() == text).ok_or(NoteError::Key)
    }
}

/// A private key and its name. Has no `Debug`.
pub struct Signer {
    key: SigningKey,
    verifier: Verifier,
}

impl Signer {
    /// With a seed of 32 bytes, which is the private key of RFC 8032.
    ///
    /// # Errors
    /// If nothing can have that name.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        if !is_name(name) {
            return Err(NoteError::Name(name.to_owned()));
        }
        let key = SigningKey::from_bytes(seed);
        let verifier = Verifier { name: name.to_owned(), key: key.verifying_key() };
        Ok(Self { key, verifier })
    }

    /// The public key.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// A text, which ends with a newline, and its signature: a signed note.
    pub(super) fn sign(&self, text: &str) -> String {
        let signature = self.key.sign(text.as_bytes()).to_bytes();
        let id = key_id(&self.verifier.name, &self.verifier.key);
        let signature = BASE64_STANDARD.encode([&id[..], &signature].concat());
        format!("{text}\n— {} {signature}\n", self.verifier.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the package that the format comes from (golang.org/x/mod/sumdb/note): signed by somebody else.
    const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
                        then you don't know what your problem is.\n\n\
                        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn a_note_of_somebody_else_is_read() {
        let verifier: Verifier = KEY.parse().unwrap();
        assert!(verifier.open(NOTE).unwrap().ends_with("problem is.\n"));
        let wrong = verifier.open(&NOTE.replace("answer", "reason")).unwrap_err();
        assert_eq!(wrong, NoteError::Wrong("PeterNeumann".into()));
    }

    #[test]
    fn signatures_of_others_are_let_be() {
        let [ours, other] = [1, 2].map(|n| Signer::new("school.example/log", &[n; 32]).unwrap());
        let note = ours.sign("one\n\ntwo\n");
        let line = other.sign("x\n").lines().last().unwrap().to_owned() + "\n";
        assert_eq!(ours.verifier().open(&format!("{note}{line}")).unwrap(), "one\n\ntwo\n");
        assert_eq!(other.verifier().open(&note), Err(NoteError::Unsigned("school.example/log".into())));
    }

    #[test]
    fn what_is_no_note_and_no_key_is_refused() {
        let verifier: Verifier = KEY.parse().unwrap();
        for bad in
            ["", "text\n", "text\n\n", "text\n\n— x\n", NOTE.trim_end(), &NOTE.replace(',', "\t"), &"x".repeat(1 << 20)]
        {
            assert!(matches!(verifier.open(bad), Err(NoteError::Malformed(_))), "{bad:?}");
        }
        for bad in
            ["", "a+b", &KEY.replace("c74f", "c75f"), &KEY.replace("Peter", "Pet er"), &KEY.replace("+AR", "+BR")]
        {
            assert_eq!(bad.parse::<Verifier>(), Err(NoteError::Key), "{bad:?}");
        }
        assert!(matches!(Signer::new("a b", &[0; 32]), Err(NoteError::Name(_))));
        assert!(matches!(Signer::new("a+b", &[0; 32]), Err(NoteError::Name(_))));
    }
}
