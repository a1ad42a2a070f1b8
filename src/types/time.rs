//! Wall time and spans of it.

use std::{
    fmt,
    ops::{Add, Sub},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// Wall time in nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted (POSIX time).
///
/// Covers the years 1677 to 2262. Arithmetic saturates: footage of a camera with a mad clock ends up at an
/// edge, never in a panic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallNs(pub i64);

impl WallNs {
    /// The furthest representable future.
    pub const MAX: Self = Self(i64::MAX);
    /// The furthest representable past.
    pub const MIN: Self = Self(i64::MIN);

    /// Nanoseconds from `earlier` to here; negative if `earlier` is later.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This time moved by signed nanoseconds.
    #[must_use]
    pub fn offset(self, ns: i64) -> Self {
        Self(self.0.saturating_add(ns))
    }

    /// As a jiff timestamp, for formatting.
    pub fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl From<jiff::Timestamp> for WallNs {
    fn from(t: jiff::Timestamp) -> Self {
        Self(i64::try_from(t.as_nanosecond()).unwrap_or(if t.as_nanosecond() < 0 { i64::MIN } else { i64::MAX }))
    }
}

impl Add<Duration> for WallNs {
    type Output = Self;
    fn add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for WallNs {
    type Output = Self;
    fn sub(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for WallNs {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.timestamp())
    }
}

impl fmt::Debug for WallNs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.timestamp())
    }
}

/// A half-open span of wall time: `start` belongs to it, `end` does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// First instant inside.
    pub start: WallNs,
    /// First instant outside; never before `start` in a span made by [`Span::new`].
    pub end: WallNs,
}

impl Span {
    /// A span, or nothing if it would end before it starts.
    pub fn new(start: WallNs, end: WallNs) -> Option<Self> {
        (start <= end).then_some(Self { start, end })
    }

    /// All of time.
    pub fn all() -> Self {
        Self { start: WallNs::MIN, end: WallNs::MAX }
    }

    /// Length in nanoseconds.
    pub fn len_ns(self) -> i64 {
        self.end.since(self.start)
    }

    /// Whether the two share an instant.
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Whether `t` lies inside.
    pub fn contains(self, t: WallNs) -> bool {
        self.start <= t && t < self.end
    }

    /// The shared part, if any.
    pub fn intersect(self, other: Self) -> Option<Self> {
        self.overlaps(other).then(|| Self { start: self.start.max(other.start), end: self.end.min(other.end) })
    }
}
