//! One thing that was ordered of a hold: what, by whom, why. It never changes afterwards.

use std::{collections::BTreeSet, fmt, str::FromStr};

use jiff::civil;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    ledger::{self, Salted},
    types::{CameraId, Span, WallNs},
};

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

/// Whose footage is held. As JSON a list; an empty one: of all cameras of the recorder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeSet<CameraId>", into = "BTreeSet<CameraId>")]
pub enum Cameras {
    /// Of every camera that the recorder has, had, or will have while the hold lasts.
    All,
    /// Of these; at least one.
    These(BTreeSet<CameraId>),
}

impl Cameras {
    /// Whether that camera is meant.
    pub fn contains(&self, camera: &CameraId) -> bool {
        match self {
            Self::All => true,
            Self::These(ids) => ids.contains(camera),
        }
    }

    fn union(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::These(a), Self::These(b)) => Self::These(a | b),
            _ => Self::All,
        }
    }
}

impl From<BTreeSet<CameraId>> for Cameras {
    fn from(ids: BTreeSet<CameraId>) -> Self {
        if ids.is_empty() { Self::All } else { Self::These(ids) }
    }
}

impl From<Cameras> for BTreeSet<CameraId> {
    fn from(cameras: Cameras) -> Self {
        match cameras {
            Cameras::All => Self::new(),
            Cameras::These(ids) => ids,
        }
    }
}

/// Which footage: cameras, and a span that is not empty. Its end may lie in the future.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawExtent")]
pub struct Extent {
    cameras: Cameras,
    span: Span,
}

#[derive(Deserialize)]
struct RawExtent {
    cameras: Cameras,
    span: Span,
}

impl TryFrom<RawExtent> for Extent {
    type Error = &'static str;
    fn try_from(raw: RawExtent) -> Result<Self, Self::Error> {
        Self::new(raw.cameras, raw.span).ok_or("a span that ends before it begins")
    }
}

impl Extent {
    /// Nothing if the span holds no instant.
    pub fn new(cameras: Cameras, span: Span) -> Option<Self> {
        (span.start < span.end).then_some(Self { cameras, span })
    }

    /// Whose.
    pub fn cameras(&self) -> &Cameras {
        &self.cameras
    }

    /// When.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Both, and what lies between them.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let span = Span { start: self.span.start.min(other.span.start), end: self.span.end.max(other.span.end) };
        Self { cameras: self.cameras.union(&other.cameras), span }
    }
}

/// Who ordered something, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Who ordered it.
    pub by: Words,
    /// Why.
    pub reason: Words,
    /// The case that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<Words>,
    /// The user of the machine who gave the command.
    pub entered_by: Words,
    /// Whether it was ordered though the promise of cameras breaks by it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub even_if_short: bool,
}

/// What makes a change one of its own: chance, and the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Its identity.
    pub id: Uuid,
    /// When it was ordered, by the recorder's clock.
    pub at: WallNs,
    /// Salt of who ordered it.
    pub by_salt: Salt,
    /// Salt of why.
    pub reason_salt: Salt,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum Act {
    /// The hold was made.
    Added {
        /// When somebody is to look whether it is needed still.
        review: Day,
    },
    /// It was made wider or longer, or is to be looked at on another day.
    Extended {
        /// The other day.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        review: Option<Day>,
    },
    /// It was let go: all of it that was known then.
    Released {
        /// The changes that were known. A copy of the hold that turns up later and has others stands again.
        known: BTreeSet<Uuid>,
    },
}

/// One thing that was ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which one.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// What was done.
    #[serde(flatten)]
    pub act: Act,
    /// The footage that is held from then on; of a release, that was held until then.
    #[serde(flatten)]
    pub extent: Extent,
    /// By whom and why.
    #[serde(flatten)]
    pub order: Order,
    /// Whether the ledger has it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub logged: bool,
}

impl Change {
    /// Who, as the ledger says it.
    pub fn salted_by(&self) -> Salted {
        Salted::new(self.stamp.by_salt.bytes(), self.order.by.as_str())
    }

    /// Why, as the ledger says it: the reason, and on a line below it the case.
    pub fn salted_reason(&self) -> Salted {
        let reason = self.order.reason.as_str();
        let text = self.order.case.as_ref().map_or(reason.to_owned(), |case| format!("{reason}\n{}", case.as_str()));
        Salted::new(self.stamp.reason_salt.bytes(), &text)
    }

    /// What was done, in the ledger's word.
    pub fn word(&self) -> ledger::Change {
        match self.act {
            Act::Added { .. } => ledger::Change::Added,
            Act::Extended { .. } => ledger::Change::Extended,
            Act::Released { .. } => ledger::Change::Released,
        }
    }
}
