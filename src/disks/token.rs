//! Tokens: what a person types to say that these facts, of this disk, were read.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{
    inventory::{Content, Disk},
    types::{ByteSize, code},
};

/// What is to be done to a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Prepare it for footage.
    Init,
    /// Wipe it.
    Erase,
    /// Install the system on it.
    Install,
}

impl Verb {
    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Erase => "erase",
            Self::Install => "install",
        }
    }

    const ALL: [Self; 3] = [Self::Init, Self::Erase, Self::Install];
}

/// What a token is derived from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Facts {
    /// Its lasting names.
    pub by_id: Vec<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// World wide name.
    pub wwn: Option<String>,
    /// Maker and model.
    pub model: Option<String>,
    /// Size.
    pub size: ByteSize,
    /// What was found on it, the newest footage included.
    pub content: Content,
}

impl Facts {
    /// Of a disk.
    pub fn of(disk: &Disk) -> Self {
        let mut content = disk.content.clone();
        // Names that change with the order of starting are no facts of a disk.
        match &mut content {
            Content::Ours(v) => {
                v.device = PathBuf::new();
                v.mounted = None;
            }
            Content::Foreign { found } => found.iter_mut().for_each(|line| *line = line.replace(&disk.name, "disk")),
            Content::Empty | Content::Unknown { .. } => {}
        }
        Self {
            by_id: disk.by_id.clone(),
            serial: disk.serial.clone(),
            wwn: disk.wwn.clone(),
            model: disk.model.clone(),
            size: disk.size,
            content,
        }
    }

    /// The token for a verb: a group for the disk's identity, its size and its content, and one that binds all
    /// of them and the verb.
    pub fn token(&self, verb: Verb) -> Token {
        let identity = group("disk", &(&self.by_id, &self.serial, &self.wwn, &self.model));
        let size = group("size", &self.size);
        let content = group("content", &self.content);
        let all = group(verb.as_str(), self);
        Token([identity, size, content, all])
    }

    /// Whether a token is that of these facts, and what is wrong if it is not.
    pub fn check(&self, verb: Verb, token: &Token) -> Result<(), TokenError> {
        let now = self.token(verb);
        let same = |n: usize| token.0[n] == now.0[n];
        if *token == now {
            Ok(())
        } else if Verb::ALL.into_iter().any(|other| *token == self.token(other)) {
            Err(TokenError::OtherVerb)
        } else if !same(0) {
            Err(TokenError::OtherDisk)
        } else if !same(1) {
            Err(TokenError::OtherSize)
        } else if !same(2) {
            Err(TokenError::OtherContent)
        } else {
            Err(TokenError::Mistyped)
        }
    }
}

type Group = [u8; 4];

/// Of the value's JSON as the types declare it. A [`serde_json::Value`] in between would sort its members, or not: that depends on what other
/// packages ask of `serde_json`, and a token holds for every build.
fn group(what: &str, value: &impl Serialize) -> Group {
    // Nothing that a disk says of itself is a map whose keys are no texts.
    let value = serde_json::to_string(value).unwrap_or_default();
    let hash = Sha256::digest(format!("custodian disk token 1\n{what}\n{value}"));
    let mut group = [0; 4];
    for (letter, byte) in group.iter_mut().zip(hash.iter()) {
        *letter = code::ALPHABET[usize::from(byte % 32)];
    }
    group
}

/// Four groups of four, such as `7k3q-0xv9-hm2c-4tda`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token([Group; 4]);

impl Token {
    /// A token for something else than a disk: that these facts were read. That of a disk never has it, nor that of another `what`.
    pub fn of(what: &str, facts: &impl Serialize) -> Self {
        Self(["1", "2", "3", "4"].map(|n| group(&format!("{what} {n}"), facts)))
    }
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is that of another verb.
    #[error("this token is for another verb")]
    OtherVerb,
    /// It was made for another disk.
    #[error("this token belongs to another disk")]
    OtherDisk,
    /// The size is not what it was.
    #[error("the disk's size is not what it was when the token was made")]
    OtherSize,
    /// The content is not what it was.
    #[error("what is on the disk has changed since the token was made")]
    OtherContent,
    /// It has a wrong letter.
    #[error("the token's last group is wrong")]
    Mistyped,
    /// It is no token.
    #[error("a token is four groups of four letters and digits")]
    Malformed,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut letters = [0; 16];
        letters.copy_from_slice(self.0.as_flattened());
        f.write_str(&code::show(&letters))
    }
}

impl FromStr for Token {
    type Err = TokenError;
    /// Reads it as people write it: capitals, spaces, and o, i, l for 0 and 1.
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let letters = code::read(text).ok_or(TokenError::Malformed)?;
        let mut groups = [[0; 4]; 4];
        for (group, letters) in groups.iter_mut().zip(letters.chunks_exact(4)) {
            group.copy_from_slice(letters);
        }
        Ok(Self(groups))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(serial: &str, size: u64, content: Content) -> Facts {
        Facts {
            by_id: vec![format!("ata-{serial}")],
            serial: Some(serial.to_owned()),
            wwn: None,
            model: None,
            size: ByteSize(size),
            content,
        }
    }

    #[test]
    fn a_wrong_token_says_what_has_changed() {
        let now = facts("1", 100, Content::Empty);
        let token = |f: &Facts| f.token(Verb::Init);
        assert_eq!(now.check(Verb::Init, &token(&now)), Ok(()));
        let foreign = Content::Foreign { found: vec!["ntfs".to_owned()] };
        for (then, error) in [
            (token(&facts("2", 100, Content::Empty)), TokenError::OtherDisk),
            (token(&facts("1", 101, Content::Empty)), TokenError::OtherSize),
            (token(&facts("1", 100, foreign)), TokenError::OtherContent),
            (now.token(Verb::Erase), TokenError::OtherVerb),
            (now.token(Verb::Install), TokenError::OtherVerb),
        ] {
            assert_eq!(now.check(Verb::Init, &then), Err(error));
        }
        let mut mistyped = token(&now);
        mistyped.0[3] = if mistyped.0[3] == *b"0000" { *b"1111" } else { *b"0000" };
        assert_eq!(now.check(Verb::Init, &mistyped), Err(TokenError::Mistyped));
    }

    #[test]
    fn a_token_stays_the_same_for_ever() {
        let token = facts("5QJ0A1CD", 12_000_138_625_024, Content::Empty).token(Verb::Init);
        assert_eq!(token.to_string(), "etjx-5zwc-n8fr-6g4d");
    }

    proptest::proptest! {
        #[test]
        fn tokens_are_read_as_people_type_them(serial in ".*", size: u64, capitals: bool) {
            let token = facts(&serial, size, Content::Empty).token(Verb::Erase);
            let mut text = token.to_string();
            if capitals {
                text = text.to_uppercase().replace('0', "O").replace('-', " ");
            }
            proptest::prop_assert_eq!(text.parse(), Ok(token));
        }

        #[test]
        fn nothing_else_is_a_token(text in "\\PC*") {
            if let Ok(token) = text.parse::<Token>() {
                proptest::prop_assert_eq!(token.to_string().len(), 19);
            }
        }
    }
}
