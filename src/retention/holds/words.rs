//! What people write and what hides it: texts, days, salts.

use std::{fmt, str::FromStr};

use jiff::civil;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest text, in characters.
const LONGEST: usize = 500;

/// Why a text cannot stand in a hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write one line of 1 to {LONGEST} characters, without control characters")]
pub struct BadWords;

/// A text that a person wrote: one line, neither empty nor endless.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Words(String);

impl Words {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Words {
    type Err = BadWords;
    fn from_str(text: &str) -> Result<Self, BadWords> {
        let text = text.trim();
        let fits = !text.is_empty() && text.chars().count() <= LONGEST && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.to_owned())) } else { Err(BadWords) }
    }
}

impl TryFrom<String> for Words {
    type Error = BadWords;
    fn try_from(text: String) -> Result<Self, BadWords> {
        text.parse()
    }
}

impl From<Words> for String {
    fn from(words: Words) -> Self {
        words.0
    }
}

/// A day of the calendar, where the site is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(pub civil::Date);

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Day {
    type Err = jiff::Error;
    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse().map(Self)
    }
}

impl TryFrom<String> for Day {
    type Error = jiff::Error;
    fn try_from(text: String) -> Result<Self, jiff::Error> {
        text.parse()
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

/// What makes a hash of a text one that nobody finds by trying names: kept with the text, here, while the hash is in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Salt([u8; 16]);

impl Salt {
    /// From 16 random bytes.
    pub fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl TryFrom<String> for Salt {
    type Error = uuid::Error;
    fn try_from(text: String) -> Result<Self, uuid::Error> {
        // 32 hexadecimal digits: what a UUID is without its hyphens.
        Uuid::try_parse(&text).map(|id| Self(id.into_bytes()))
    }
}

impl From<Salt> for String {
    fn from(salt: Salt) -> Self {
        Uuid::from_bytes(salt.0).as_simple().to_string()
    }
}
