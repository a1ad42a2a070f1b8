//! Who can read a backup.

use serde_json::json;

use super::{
    problem::{Code, Problem},
    read::{Node, Reader, Value},
    source::Bytes,
};

/// The public half of a key of age (<https://age-encryption.org/v1>), of its native kind: X25519, `age1…`. Plugins, passphrases and SSH keys
/// are refused: whoever finds a backup in ten years needs no more than the key and one program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient(age::x25519::Recipient);

impl Recipient {
    /// For age.
    pub fn key(&self) -> &age::x25519::Recipient {
        &self.0
    }
}

impl std::str::FromStr for Recipient {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl std::fmt::Display for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Value for Recipient {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        let text = r.text(node)?;
        if let Ok(recipient) = text.parse() {
            return Some(recipient);
        }
        // The two halves of a key lie side by side in one file: the secret one is never repeated.
        let secret = text.to_ascii_uppercase().contains("SECRET");
        let problem = if secret {
            Problem { hide: true, ..r.problem(Code::SecretKey, &node.span()) }
        } else {
            r.problem(Code::BadRecipient, &node.span()).with("found", text)
        };
        r.report(problem);
        None
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "age recipient", "type": "string", "pattern": "^age1[02-9ac-hj-np-z]{58}$" })
    }
}
