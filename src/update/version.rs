//! Versions of the system, and their order: UAPI.10, "Version Format Specification", by which systemd-sysupdate and systemd-boot go.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// No version is longer: it has to fit into the name of a partition, of 36 characters, with what stands around it.
const LONGEST: usize = 19;

/// A version, such as `0.2.0` or `0.3.0~rc1`: letters, digits, `.`, `~`, `^` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(String);

/// Why a text is no version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a version has at most {LONGEST} letters, digits, dots, `-`, `~` or `^`, and begins with a digit or a letter")]
pub struct NoVersion;

impl FromStr for Version {
    type Err = NoVersion;
    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let fits = text.chars().all(|c| c.is_ascii_alphanumeric() || ".~^-".contains(c)) && text.len() <= LONGEST;
        if begins && fits { Ok(Self(text.to_owned())) } else { Err(NoVersion) }
    }
}

impl TryFrom<String> for Version {
    type Error = NoVersion;
    fn try_from(text: String) -> Result<Self, NoVersion> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Version {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What a version begins with, as far as `is` holds, and the rest.
fn split(text: &str, is: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !is(c)).unwrap_or(text.len()))
}

/// The order of the specification, step by step.
fn compare(mut a: &str, mut b: &str) -> Ordering {
    loop {
        // What counts for nothing is passed over.
        let counts = |c: char| c.is_ascii_alphanumeric() || "~-^.".contains(c);
        (a, b) = (split(a, |c| !counts(c)).1, split(b, |c| !counts(c)).1);
        // `~` comes before everything, the end included; `-`, `^` and `.` come after the end, in this order.
        for (sign, only_a) in [
            ('~', Ordering::Less),
            ('\0', Ordering::Less),
            ('-', Ordering::Less),
            ('^', Ordering::Less),
            ('.', Ordering::Less),
        ] {
            if sign == '\0' {
                match (a.is_empty(), b.is_empty()) {
                    (true, true) => return Ordering::Equal,
                    (true, false) => return Ordering::Less,
                    (false, true) => return Ordering::Greater,
                    (false, false) => continue,
                }
            }
            match (a.strip_prefix(sign), b.strip_prefix(sign)) {
                (Some(rest_a), Some(rest_b)) => (a, b) = (rest_a, rest_b),
                (Some(_), None) => return only_a,
                (None, Some(_)) => return only_a.reverse(),
                (None, None) => {}
            }
        }
        let order = if a.starts_with(|c: char| c.is_ascii_digit()) || b.starts_with(|c: char| c.is_ascii_digit()) {
            let ((digits_a, rest_a), (digits_b, rest_b)) =
                (split(a, |c| c.is_ascii_digit()), split(b, |c| c.is_ascii_digit()));
            (a, b) = (rest_a, rest_b);
            let plain = |digits: &str| digits.trim_start_matches('0').to_owned();
            let (x, y) = (plain(digits_a), plain(digits_b));
            // Digits are newer than letters or nothing.
            digits_a.is_empty().cmp(&digits_b.is_empty()).reverse().then(x.len().cmp(&y.len())).then(x.cmp(&y))
        } else {
            let letter = |c: char| c.is_ascii_alphabetic();
            let ((letters_a, rest_a), (letters_b, rest_b)) = (split(a, letter), split(b, letter));
            (a, b) = (rest_a, rest_b);
            letters_a.cmp(letters_b)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the specification, from old to new.
    #[test]
    fn the_order_is_that_of_the_specification() {
        for (a, b) in [
            ("11", "11.1"),
            ("122.1", "123~rc1-1"),
            ("123~rc1-1", "123"),
            ("123", "123-a"),
            ("123-a", "123-a.1"),
            ("123-a.1", "123-1"),
            ("123-1", "123-1.1"),
            ("123-1.1", "123^post1"),
            ("123^post1", "123.a-1"),
            ("123.a-1", "123.1-1"),
            ("123.1-1", "123a-1"),
            ("123a-1", "124-1"),
            ("0.9.9", "0.10.0"),
            ("0.2.0~rc1", "0.2.0"),
            ("0.2.0", "0.2.0.1"),
            ("1.2", "1.02.1"),
        ] {
            let (x, y): (Version, Version) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!((x.cmp(&y), y.cmp(&x)), (Ordering::Less, Ordering::Greater), "{a} {b}");
        }
        assert_eq!(compare("0.02", "0.2"), Ordering::Equal);
    }

    #[test]
    fn what_could_not_be_the_name_of_a_partition_is_no_version() {
        for text in ["", ".1", "~1", "1_2", "1+2", "1/2", "../1", "1 2", "1\n", "1.2.3.4.5.6.7.8.9.10", "ổ"] {
            assert!(text.parse::<Version>().is_err(), "{text:?}");
            assert!(serde_json::from_value::<Version>(text.into()).is_err());
        }
        let longest: Version = "1.2.3~rc1-20261126".parse().unwrap();
        // GPT has room for 36 characters.
        assert!(format!("custodian_{longest}_verity").len() <= 36);
    }

    proptest::proptest! {
        #[test]
        fn it_is_an_order(a in "[0-9a-b.~^-]{1,5}", b in "[0-9a-b.~^-]{1,5}", c in "[0-9a-b.~^-]{1,5}") {
            proptest::prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b) != Ordering::Greater && compare(&b, &c) != Ordering::Greater {
                proptest::prop_assert_ne!(compare(&a, &c), Ordering::Greater, "{} {} {}", a, b, c);
            }
        }
    }
}
