//! Sizes and rates with their units, as people write them in site.toml.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Why a text is not a size or a rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// No number at the front, or one that is not finite and positive.
    #[error("{0:?} does not begin with a positive number")]
    Number(String),
    /// A unit that is not known.
    #[error("{text:?}: the unit must be one of {units}")]
    Unit {
        /// What was read.
        text: String,
        /// What would have been understood.
        units: &'static str,
    },
    /// More than fits.
    #[error("{0:?} is too large")]
    TooLarge(String),
}

fn parse(s: &str, units: &[(&str, u64)], names: &'static str) -> Result<u64, UnitError> {
    let s = s.trim();
    let at = s.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(s.len());
    let (number, unit) = s.split_at(at);
    let number: f64 = number.parse().map_err(|_| UnitError::Number(s.to_owned()))?;
    let unit = unit.trim();
    let factor = units
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(|| UnitError::Unit { text: s.to_owned(), units: names })?
        .1;
    #[expect(clippy::cast_precision_loss, reason = "factors are powers of ten and two that f64 holds exactly")]
    let value = number * factor as f64;
    if !value.is_finite() || value <= 0.0 {
        return Err(UnitError::Number(s.to_owned()));
    }
    if value >= 9.0e18 {
        return Err(UnitError::TooLarge(s.to_owned()));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to lie in 0..9e18 above")]
    Ok(value.round() as u64)
}

/// A number of bytes. Text form: `12 TB` (decimal, as disks are sold), `1 GiB` (binary).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = UnitError;
    fn from_str(s: &str) -> Result<Self, UnitError> {
        const UNITS: &[(&str, u64)] = &[
            ("B", 1),
            ("kB", 1_000),
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
            ("TB", 1_000_000_000_000),
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
            ("TiB", 1 << 40),
        ];
        parse(s, UNITS, "B, kB, MB, GB, TB, KiB, MiB, GiB, TiB").map(Self)
    }
}

fn si(f: &mut fmt::Formatter<'_>, value: u64, units: &[&str]) -> fmt::Result {
    #[expect(clippy::cast_precision_loss, reason = "for people to read, two digits")]
    let mut v = value as f64;
    let mut unit = 0;
    while v >= 999.5 && unit + 1 < units.len() {
        v /= 1000.0;
        unit += 1;
    }
    let text =
        if unit == 0 || v >= 100.0 { format!("{v:.0} {}", units[unit]) } else { format!("{v:.1} {}", units[unit]) };
    f.pad(&text)
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        si(f, self.0, &["B", "kB", "MB", "GB", "TB", "PB"])
    }
}

impl fmt::Debug for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} B", self.0)
    }
}

/// Bits per second. Text form: `2 Mbit/s`, `512 kbit/s`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BitRate(pub u64);

impl FromStr for BitRate {
    type Err = UnitError;
    fn from_str(s: &str) -> Result<Self, UnitError> {
        const UNITS: &[(&str, u64)] =
            &[("bit/s", 1), ("kbit/s", 1_000), ("Mbit/s", 1_000_000), ("Gbit/s", 1_000_000_000)];
        parse(s, UNITS, "bit/s, kbit/s, Mbit/s, Gbit/s").map(Self)
    }
}

impl fmt::Display for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        si(f, self.0, &["bit/s", "kbit/s", "Mbit/s", "Gbit/s"])
    }
}

impl fmt::Debug for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bit/s", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_sizes() {
        assert_eq!("12 TB".parse(), Ok(ByteSize(12_000_000_000_000)));
        assert_eq!("1.5GiB".parse(), Ok(ByteSize(1_610_612_736)));
        assert_eq!("2 Mbit/s".parse(), Ok(BitRate(2_000_000)));
        assert_eq!(ByteSize(11_999_999_999_999).to_string(), "12.0 TB");
        assert_eq!(BitRate(2_012_000).to_string(), "2.0 Mbit/s");
    }

    #[test]
    fn nonsense_is_named() {
        assert!(matches!("twelve".parse::<ByteSize>(), Err(UnitError::Number(_))));
        assert!(matches!("12 tb".parse::<ByteSize>(), Err(UnitError::Unit { .. })));
        assert!(matches!("0 TB".parse::<ByteSize>(), Err(UnitError::Number(_))));
        assert!(matches!("99999999999 TB".parse::<ByteSize>(), Err(UnitError::TooLarge(_))));
        assert!(matches!("2 MB/s".parse::<BitRate>(), Err(UnitError::Unit { .. })));
    }
}
