//! What is wrong with a file: where, what, and what to do about it.

use std::{cmp::Reverse, fmt, sync::Arc};

use serde::Serialize;

use super::source::{Bytes, Source, presentable};
use crate::{lang::t, types::Lang};

macro_rules! codes {
    ($($variant:ident $name:literal,)*) => {
        /// What kind of mistake it is. Stable names, for machines.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $(#[doc = concat!("`", $name, "`")] $variant,)* }
        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
            /// The stable name.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

codes! {
    Syntax "syntax",
    DuplicateKey "duplicate-key",
    UnknownKey "unknown-key",
    MissingKey "missing-key",
    WrongType "wrong-type",
    BadText "bad-text",
    BadId "bad-id",
    BadChoice "bad-choice",
    BadNumber "bad-number",
    BadSize "bad-size",
    BadRate "bad-rate",
    BadDuration "bad-duration",
    BadTimezone "bad-timezone",
    BadUrl "bad-url",
    UrlScheme "url-scheme",
    UrlPassword "url-password",
    UrlHost "url-host",
    BadDisk "bad-disk",
    BadPath "bad-path",
    BadMac "bad-mac",
    BadSchedule "bad-schedule",
    BadClock "bad-clock",
    EmptyList "empty-list",
    Twice "twice",
    DiskOrPath "disk-or-path",
    NoSize "no-size",
    NoCamera "no-camera",
    NoRecorder "no-recorder",
    NoVolume "no-volume",
    NoSuch "no-such",
    RecorderNeeded "recorder-needed",
    VolumeElsewhere "volume-elsewhere",
    TwoVolumesNeeded "two-volumes-needed",
    AreaRefused "area-refused",
    ReasonNeeded "reason-needed",
    DaysOrder "days-order",
    StillThere "still-there",
    NoSub "no-sub",
    SameAsMain "same-as-main",
    ControlRooms "control-rooms",
    NobodyHolds "nobody-holds",
    NoCredentials "no-credentials",
    NoSecret "no-secret",
    BadRecipient "bad-recipient",
    SecretKey "secret-key",
    BackupInside "backup-inside",
    BadS3 "bad-s3",
    LengthRange "length-range",
    BadListen "bad-listen",
    BadMail "bad-mail",
    BadHost "bad-host",
    BadProxy "bad-proxy",
    BadFolderUrl "bad-folder-url",
    BadCertificates "bad-certificates",
    PrivateKey "private-key",
    BadUnit "bad-unit",
    NotFor "not-for",
    DoorOpen "door-open",
    PlainPassword "plain-password",
    FailMilder "fail-milder",
    BadAddress "bad-address",
    BadToken "bad-token",
    BadLink "bad-link",
    BadCidr "bad-cidr",
    BadIp "bad-ip",
    BadTimeServer "bad-time-server",
    SameWire "same-wire",
    NetsOverlap "nets-overlap",
    GatewayOutside "gateway-outside",
    GatewayAlone "gateway-alone",
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) code: Code,
    /// Where.
    pub(super) at: Bytes,
    /// `camera.gate-1.main`
    pub(super) key: String,
    /// What the texts have placeholders for.
    pub(super) values: Vec<(&'static str, String)>,
    /// The other place that it has to do with.
    pub(super) other: Option<Bytes>,
    /// What was probably meant.
    pub(super) nearest: Option<String>,
    /// Whether the place itself holds a password.
    pub(super) hide: bool,
}

impl Problem {
    pub(super) fn new(code: Code, at: Bytes, key: impl Into<String>) -> Self {
        let key = presentable(&key.into());
        Self { code, at, key, values: Vec::new(), other: None, nearest: None, hide: false }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        let value = value.to_string();
        // What the file says is repeated, but not a password, nor what would confuse a terminal.
        let value = if matches!(name, "found" | "name" | "table") { presentable(&value) } else { value };
        self.values.push((name, value));
        self
    }

    pub(super) fn other(mut self, other: &Bytes) -> Self {
        self.other = Some(other.clone());
        self
    }

    /// Suggests the candidate that `found` was probably meant to be, if one is near enough.
    pub(super) fn near<'a>(mut self, found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        self.nearest = nearest(found, candidates).map(str::to_owned);
        self
    }

    fn values(&self) -> Vec<(&str, &str)> {
        let own = self.values.iter().map(|(n, v)| (*n, v.as_str()));
        own.chain([("key", self.key.as_str()), ("nearest", self.nearest.as_deref().unwrap_or_default())]).collect()
    }

    fn message(&self, lang: Lang) -> String {
        t(lang, &format!("site_error.{}", self.code.as_str()), &self.translated(lang))
    }

    fn help(&self, lang: Lang) -> String {
        let key = match self.nearest {
            Some(_) => "site_help.nearest".to_owned(),
            None => format!("site_help.{}", self.code.as_str()),
        };
        t(lang, &key, &self.translated(lang))
    }

    /// The values; one that is a key of the catalog's `site_word` section is said in the language.
    fn translated(&self, lang: Lang) -> Vec<(&str, &str)> {
        let word = |v: &'_ str| v.strip_prefix('@').and_then(|w| crate::lang::raw(lang, &format!("site_word.{w}")));
        let mut values = self.values();
        for (_, value) in &mut values {
            if let Some(word) = word(value) {
                *value = word;
            }
        }
        values
    }
}

/// The candidate nearest to what was written, if it is near enough to be what was meant.
pub(super) fn nearest<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |s: &str| s.to_lowercase().replace(['-', ' '], "_");
    let found = plain(found);
    let scored = candidates.into_iter().map(|c| (strsim::damerau_levenshtein(&found, &plain(c)), c));
    let (distance, candidate) = scored.min_by_key(|(d, c)| (*d, Reverse(c.len())))?;
    // A third of the letters may be wrong.
    (distance * 3 <= found.chars().count().max(candidate.chars().count())).then_some(candidate)
}

/// All that is wrong with a file, by place. Never empty, never shows a password.
#[derive(Debug, Clone)]
pub struct Errors {
    pub(super) source: Arc<Source>,
    pub(super) problems: Vec<Problem>,
    language: Option<Lang>,
}

/// One mistake for machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The file as it was named.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Path of the key, `camera.gate-1.main`; empty for the file as a whole.
    pub key: String,
    /// Stable name of the kind of mistake.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
    /// Line and column of the other place that it has to do with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<(usize, usize)>,
}

impl Errors {
    pub(super) fn new(source: Arc<Source>, mut problems: Vec<Problem>, language: Option<Lang>) -> Self {
        problems.sort_by(|a, b| (a.at.start, a.code, &a.key).cmp(&(b.at.start, b.code, &b.key)));
        problems.dedup();
        Self { source, problems, language }
    }

    /// How many.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.problems.len()
    }

    /// The site's language, where that could be read.
    pub fn language(&self) -> Option<Lang> {
        self.language
    }

    /// Their kinds, by place.
    pub fn codes(&self) -> impl Iterator<Item = Code> {
        self.problems.iter().map(|p| p.code)
    }

    /// For machines, by place.
    pub fn reports(&self, lang: Lang) -> Vec<Report> {
        let report = |p: &Problem| {
            let (line, column) = self.source.place(p.at.start);
            Report {
                file: self.source.name.clone(),
                line,
                column,
                key: p.key.clone(),
                code: p.code.as_str(),
                message: p.message(lang),
                help: p.help(lang),
                other: p.other.as_ref().map(|o| self.source.place(o.start)),
            }
        };
        self.problems.iter().map(report).collect()
    }
}

impl fmt::Display for Errors {
    /// English, one line each: for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, r) in self.reports(Lang::En).iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{}:{}:{}: {}", r.file, r.line, r.column, r.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::raw;

    #[test]
    fn every_code_has_its_texts() {
        for code in Code::ALL {
            for section in ["site_error", "site_help"] {
                let key = format!("{section}.{}", code.as_str());
                assert!(raw(Lang::En, &key).is_some(), "{key} is missing");
            }
        }
    }

    #[test]
    fn the_nearest_is_what_was_meant() {
        let keys = ["min_days", "max_days", "when_short", "promise"];
        assert_eq!(nearest("min_day", keys), Some("min_days"));
        assert_eq!(nearest("min-days", keys), Some("min_days"));
        assert_eq!(nearest("Promise", keys), Some("promise"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest("x", []), None);
    }
}
