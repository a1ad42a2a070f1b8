//! The head of a log (C2SP tlog-checkpoint): how many entries it has, and the root over them, signed.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::note::{NoteError, Signer, Verifier};
use crate::types::merkle::Hash;

/// What is wrong with a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// It is not signed as it should be.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// It is signed, and is no checkpoint.
    #[error("the signed text is no checkpoint: expected origin, number of entries and root, a line each")]
    Malformed,
    /// It is of another log.
    #[error("it is of the log {0}, signed by the key of {1}")]
    Origin(String, String),
}

/// A checkpoint whose signature is right: it was signed here, or checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    size: u64,
    root: Hash,
    note: String,
}

impl Checkpoint {
    /// Signs that the first `size` entries have this root.
    pub(super) fn sign(size: u64, root: Hash, signer: &Signer) -> Self {
        let origin = signer.verifier().name();
        let note = signer.sign(&format!("{origin}\n{size}\n{}\n", BASE64_STANDARD.encode(root.0)));
        Self { size, root, note }
    }

    /// Reads a checkpoint and checks its signature.
    ///
    /// # Errors
    /// If it is none, of another log, or not signed by it.
    pub fn verify(note: &str, verifier: &Verifier) -> Result<Self, CheckpointError> {
        let text = verifier.open(note)?;
        let mut lines = text.split('\n');
        let (origin, rest) = (lines.next().unwrap_or_default(), (lines.next(), lines.next()));
        if origin != verifier.name() {
            return Err(CheckpointError::Origin(origin.to_owned(), verifier.name().to_owned()));
        }
        let parse = || {
            let (size, root) = (rest.0?, BASE64_STANDARD.decode(rest.1?).ok()?);
            let number: u64 = size.parse().ok().filter(|n: &u64| n.to_string() == size)?;
            Some((number, Hash(root.try_into().ok()?)))
        };
        let (size, root) = parse().ok_or(CheckpointError::Malformed)?;
        Ok(Self { size, root, note: note.to_owned() })
    }

    /// How many entries the log had.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root over them.
    pub fn root(&self) -> Hash {
        self.root
    }

    /// The signed note, as it is kept and handed on.
    pub fn note(&self) -> &str {
        &self.note
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::merkle::leaf;

    #[test]
    fn what_was_signed_is_read() {
        let signer = Signer::new("custodian/school/a/record", &[7; 32]).unwrap();
        let checkpoint = Checkpoint::sign(70_000, leaf(b"x"), &signer);
        assert_eq!(Checkpoint::verify(checkpoint.note(), signer.verifier()).unwrap(), checkpoint);
        let lines: Vec<&str> = checkpoint.note().lines().collect();
        assert_eq!(lines[..2], ["custodian/school/a/record", "70000"]);
        assert_eq!((lines.len(), lines[3]), (5, ""));
    }

    #[test]
    fn what_is_signed_and_no_checkpoint_is_refused() {
        let signer = Signer::new("log", &[7; 32]).unwrap();
        let check = |text: &str| Checkpoint::verify(&signer.sign(text), signer.verifier());
        let root = BASE64_STANDARD.encode([1; 32]);
        assert!(check(&format!("log\n7\n{root}\nan extension\n")).is_ok());
        for bad in ["log\n", "log\n7\n", &format!("log\n07\n{root}\n"), &format!("log\n-1\n{root}\n"), "log\n7\nAAAA\n"]
        {
            assert_eq!(check(bad), Err(CheckpointError::Malformed), "{bad:?}");
        }
        assert!(matches!(check(&format!("gol\n7\n{root}\n")), Err(CheckpointError::Origin(..))));
    }
}
