//! The three languages of the interface.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A language of the interface. Every text exists in all three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// Vietnamese.
    Vi,
    /// Chinese, simplified characters.
    Zh,
    /// English.
    #[default]
    En,
}

impl Lang {
    /// All languages, in the order in which a chooser lists them.
    pub const ALL: [Self; 3] = [Self::Vi, Self::Zh, Self::En];

    /// `vi`, `zh` or `en`, as in site.toml.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vi => "vi",
            Self::Zh => "zh",
            Self::En => "en",
        }
    }

    /// The language of a locale name such as `vi_VN.UTF-8` or `zh-Hans-CN`, if it is one of ours.
    pub fn from_locale(locale: &str) -> Option<Self> {
        locale.split(['_', '-', '.']).next()?.parse().ok()
    }
}

impl FromStr for Lang {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|l| l.as_str() == s).ok_or(())
    }
}

impl fmt::Display for Lang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
