//! The values of site.toml that have a form of their own.

use std::{str::FromStr, time::Duration};

use serde_json::json;
use toml::de::DeValue;

use super::{
    problem::{Code, nearest},
    read::{Name, Node, Reader, Value},
    source::Bytes,
};
use crate::types::{
    AreaId, BitRate, ByteSize, CameraId, CredentialsName, Lang, PersonId, RecorderId, RoleId, SecretName, StreamKind,
    VolumeName, wire::health::Level,
};

/// What the identifiers of [`crate::types`] accept, as a regular expression.
pub(super) const ID_PATTERN: &str = "^[a-z0-9][a-z0-9-]{0,62}$";

macro_rules! ids {
    ($($id:ident $title:literal,)*) => {$(
        impl Name for $id {
            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }

        impl Value for $id {
            fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
                parsed(node, r, Code::BadId)
            }

            fn schema() -> serde_json::Value {
                json!({ "title": $title, "type": "string", "pattern": ID_PATTERN })
            }
        }
    )*};
}

ids! {
    CameraId "camera's id",
    AreaId "area's id",
    RecorderId "recorder's name",
    VolumeName "volume's name",
    RoleId "role's id",
    PersonId "person's id",
}

/// Parses a text that may be repeated to the reader.
pub(super) fn parsed<T: FromStr>(node: &Node<'_>, r: &mut Reader, code: Code) -> Option<T> {
    let text = r.text(node)?;
    let value = text.parse().ok();
    if value.is_none() {
        let problem = r.problem(code, &node.span()).with("found", text);
        r.report(problem);
    }
    value
}

macro_rules! secret_ids {
    ($($id:ident)*) => {$(
        impl Name for $id {
            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }

        impl Value for $id {
            fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
                let value = r.text(node)?.parse().ok();
                if value.is_none() {
                    // Somebody may have written the secret itself where its name belongs: it isn't repeated.
                    let problem = r.problem(Code::BadId, &node.span()).with("found", "•••");
                    r.report(super::problem::Problem { hide: true, ..problem });
                }
                value
            }

            fn schema() -> serde_json::Value {
                json!({ "title": "name in secrets.toml", "type": "string", "pattern": ID_PATTERN })
            }
        }
    )*};
}

secret_ids! { CredentialsName SecretName }

/// A text for people: one line, not blank, at most 200 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text(pub(super) String);

impl Value for Text {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        let text = r.text(node)?;
        if text.trim().is_empty() || text.chars().count() > 200 || text.chars().any(char::is_control) {
            let problem = r.problem(Code::BadText, &node.span());
            r.report(problem);
            return None;
        }
        Some(Self(text.trim().to_owned()))
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "text", "type": "string", "minLength": 1, "maxLength": 200 })
    }
}

/// An identifier that no other table refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slug(pub(super) String);

impl FromStr for Slug {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        // All identifiers have the same form.
        s.parse::<RecorderId>().map(|id| Self(id.to_string())).map_err(|_| ())
    }
}

impl Value for Slug {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        parsed(node, r, Code::BadId)
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "identifier", "type": "string", "pattern": ID_PATTERN })
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whole<const MIN: u32, const MAX: u32>(pub(super) u32);

impl<const MIN: u32, const MAX: u32> Value for Whole<MIN, MAX> {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        let DeValue::Integer(number) = node.get_ref() else {
            r.wrong_type(node, "@number");
            return None;
        };
        let value = u32::from_str_radix(number.as_str(), number.radix()).ok().filter(|n| (MIN..=MAX).contains(n));
        if value.is_none() {
            let problem = r.problem(Code::BadNumber, &node.span()).with("min", MIN).with("max", MAX);
            r.report(problem);
        }
        value.map(Self)
    }

    fn schema() -> serde_json::Value {
        json!({ "title": format!("whole number, {MIN} to {MAX}"), "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// A number of days.
pub(super) type Days = Whole<1, 3650>;

impl Value for ByteSize {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        parsed(node, r, Code::BadSize)
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "size, such as \"12 TB\"", "type": "string",
            "pattern": r"^\s*[0-9.]+\s*(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)\s*$" })
    }
}

impl Value for BitRate {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        parsed(node, r, Code::BadRate)
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "bit rate, such as \"2 Mbit/s\"", "type": "string",
            "pattern": r"^\s*[0-9.]+\s*(bit/s|kbit/s|Mbit/s|Gbit/s)\s*$" })
    }
}

/// A length of time: `60 s`, `5 min`, `2 h`, `7 d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Length(pub(super) Duration);

impl FromStr for Length {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        let s = s.trim();
        let (number, unit) = s.split_at(s.find(|c: char| !c.is_ascii_digit()).ok_or(())?);
        let seconds = match unit.trim_start() {
            "s" => 1,
            "min" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(()),
        };
        let number: u32 = number.parse().map_err(|_| ())?;
        if number == 0 { Err(()) } else { Ok(Self(Duration::from_secs(u64::from(number) * seconds))) }
    }
}

impl Value for Length {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        parsed(node, r, Code::BadDuration)
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "length of time, such as \"60 s\"", "type": "string", "pattern": r"^\s*[0-9]+\s*(s|min|h|d)\s*$" })
    }
}

/// A time of day, `02:30`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeOfDay(pub(super) jiff::civil::Time);

impl Value for TimeOfDay {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        let text = r.text(node)?;
        let time = super::schedule::minutes(text).filter(|m| *m < 24 * 60);
        let time = time
            .and_then(|m| jiff::civil::Time::new(i8::try_from(m / 60).ok()?, i8::try_from(m % 60).ok()?, 0, 0).ok());
        if time.is_none() {
            let problem = r.problem(Code::BadClock, &node.span()).with("found", text);
            r.report(problem);
        }
        time.map(Self)
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "time of day, such as \"02:30\"", "type": "string", "pattern": r"^([01][0-9]|2[0-3]):[0-5][0-9]$" })
    }
}

/// A calendar day, written without quotes: `2024-08-15`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Day(pub(super) jiff::civil::Date);

impl Value for Day {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        let day = node.get_ref().as_datetime().filter(|d| d.time.is_none()).and_then(|d| d.date).and_then(|d| {
            let (month, day) = (i8::try_from(d.month).ok()?, i8::try_from(d.day).ok()?);
            jiff::civil::Date::new(i16::try_from(d.year).ok()?, month, day).ok()
        });
        if day.is_none() {
            r.wrong_type(node, "@date");
        }
        day.map(Self)
    }

    fn schema() -> serde_json::Value {
        // TOML's own dates reach JSON tools as text.
        json!({ "title": "date, without quotes, such as 2024-08-15", "type": "string", "format": "date" })
    }
}

/// A time zone of the IANA database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Zone(pub(super) jiff::tz::TimeZone);

impl Value for Zone {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        let text = r.text(node)?;
        if let Some(zone) = (text.contains('/') || text == "UTC").then(|| jiff::tz::TimeZone::get(text).ok()).flatten()
        {
            return Some(Self(zone));
        }
        let known: Vec<String> = jiff::tz::db().available().map(|n| n.as_str().to_owned()).collect();
        // People write the city.
        let city = |name: &&String| name.rsplit('/').next().is_some_and(|c| nearest(text, [c]).is_some());
        let by_city = known.iter().find(city).map(String::as_str);
        let mut problem = r.problem(Code::BadTimezone, &node.span()).with("found", text);
        problem.nearest =
            nearest(text, known.iter().map(String::as_str).filter(|n| n.contains('/'))).or(by_city).map(str::to_owned);
        r.report(problem);
        None
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "time zone, such as \"Asia/Ho_Chi_Minh\"", "type": "string", "pattern": "^(UTC|[A-Za-z_+-]+(/[A-Za-z0-9_+-]+)+)$" })
    }
}

/// A disk's name below `/dev/disk/by-id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DiskId(pub(super) String);

impl Value for DiskId {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        let text = r.text(node)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:+#=@".contains(c);
        if !text.is_empty() && text.chars().all(plain) && !text.starts_with('.') && text.len() <= 255 {
            return Some(Self(text.to_owned()));
        }
        let mut problem = r.problem(Code::BadDisk, &node.span()).with("found", text);
        problem.nearest =
            text.strip_prefix("/dev/disk/by-id/").filter(|rest| rest.chars().all(plain)).map(str::to_owned);
        r.report(problem);
        None
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "disk, its name below /dev/disk/by-id", "type": "string", "pattern": "^[A-Za-z0-9_:+#=@-][A-Za-z0-9_.:+#=@-]*$", "maxLength": 255 })
    }
}

/// A directory by its full path, without `.` and `..`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directory(pub(super) std::path::PathBuf);

impl Value for Directory {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        let text = r.text(node)?;
        let plain = text.split('/').all(|part| part != "." && part != "..") && !text.contains('\0');
        if text.len() > 1 && text.starts_with('/') && plain {
            // By its components: `/a//b/` is `/a/b`, so that the same directory is seen to be the same.
            return Some(Self(std::path::Path::new(text).components().collect()));
        }
        let problem = r.problem(Code::BadPath, &node.span()).with("found", text);
        r.report(problem);
        None
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "directory, its full path", "type": "string", "pattern": "^/.+" })
    }
}

/// A network card's address, in lower case with colons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mac(pub(super) String);

/// Lower case with colons, if it is one.
pub(super) fn mac(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    let pair = |p: &&str| p.len() == 2 && p.chars().all(|c| c.is_ascii_hexdigit());
    (parts.len() == 6 && parts.iter().all(pair)).then(|| parts.join(":").to_ascii_lowercase())
}

impl Value for Mac {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        let text = r.text(node)?;
        if let Some(mac) = mac(text) {
            return Some(Self(mac));
        }
        let problem = r.problem(Code::BadMac, &node.span()).with("found", text);
        r.report(problem);
        None
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "MAC address", "type": "string", "pattern": "^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$" })
    }
}

/// Reads one of several fixed words.
pub(super) fn choice<T: Copy>(node: &Node<'_>, r: &mut Reader, all: &[(&'static str, T)]) -> Option<T> {
    let text = r.text(node)?;
    let value = all.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    if value.is_none() {
        let words: Vec<&str> = all.iter().map(|(word, _)| *word).collect();
        let problem = r.problem(Code::BadChoice, &node.span()).with("found", text).with("known", words.join(", "));
        r.report(problem.near(text, words));
    }
    value
}

impl Value for Lang {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        choice(node, r, &Self::ALL.map(|l| (l.as_str(), l)))
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "language", "enum": Self::ALL.map(Self::as_str) })
    }
}

/// Of alarms: that all is well is no alarm.
impl Value for Level {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        choice(node, r, &[("warn", Self::Warn), ("fail", Self::Fail)])
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "level", "enum": ["warn", "fail"] })
    }
}

impl Value for StreamKind {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        choice(node, r, &[("main", Self::Main), ("sub", Self::Sub)])
    }

    fn schema() -> serde_json::Value {
        json!({ "title": "stream", "enum": ["main", "sub"] })
    }
}
