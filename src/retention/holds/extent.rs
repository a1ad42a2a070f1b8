//! Which footage is held.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::types::{CameraId, Span};

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
