//! Findings in the words of people.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::judge::Code;
use crate::{
    lang::{raw, t},
    types::{
        Lang, WallNs,
        wire::health::{CameraHealth, Finding, Level, Probe, Subject, Value},
    },
};

/// So many cameras are named; of more, how many more there are.
const NAMED: usize = 8;

/// Says findings in a language, with local time, and cameras by the names that a report has: one whose names are masked names none.
#[derive(Debug)]
pub struct Words<'a> {
    lang: Lang,
    zone: &'a TimeZone,
    names: BTreeMap<u32, &'a str>,
}

impl<'a> Words<'a> {
    /// For the findings of a report with these cameras.
    pub fn new(lang: Lang, zone: &'a TimeZone, cameras: &'a [CameraHealth]) -> Self {
        Self { lang, zone, names: cameras.iter().filter_map(|c| Some((c.number, c.name.as_deref()?))).collect() }
    }

    /// What is the matter.
    pub fn sentence(&self, finding: &Finding) -> String {
        if finding.code == Code::OVER {
            let (probe, subject) = (self.probe(finding.probe), self.subject(finding));
            return self.t("health.over", &[("probe", &probe), ("subject", &subject)]);
        }
        self.filled(&key(finding), finding)
    }

    /// What to do; nothing where it is in order, or where something else is to be done first.
    pub fn to_do(&self, finding: &Finding) -> Option<String> {
        let key = format!("{}_do", key(finding));
        (finding.level > Level::Ok && raw(self.lang, &key).is_some()).then(|| self.filled(&key, finding))
    }

    /// What a probe is called.
    pub fn probe(&self, probe: Probe) -> String {
        self.t(&format!("health.{probe}"), &[])
    }

    /// What a level is called.
    pub fn level(&self, level: Level) -> String {
        self.t(&format!("health.level_{level}"), &[])
    }

    /// Whom a finding is about: a camera's name where it may be told, a volume, a unit; else the recorder.
    pub fn subject(&self, finding: &Finding) -> String {
        match &finding.subject {
            None => self.t("health.subject", &[]),
            Some(Subject::Camera(number)) => self.camera(*number),
            Some(Subject::Volume(name)) => self.t("health.subject_volume", &[("name", name.as_str())]),
            Some(Subject::Other(name)) => self.other(name),
        }
    }

    /// Something of several: by a name of its own, by number and kind (`backup-1-disk`), or as it is.
    fn other(&self, name: &str) -> String {
        let known = format!("health.subject_{name}");
        if raw(self.lang, &known).is_some() {
            return self.t(&known, &[]);
        }
        let mut parts = name.splitn(3, '-');
        if let (Some(what), Some(number), Some(kind)) = (parts.next(), parts.next(), parts.next())
            && number.parse::<u32>().is_ok()
            && raw(self.lang, &format!("health.subject_{what}_number")).is_some()
        {
            return self.t(&format!("health.subject_{what}_number"), &[("number", number), ("kind", kind)]);
        }
        name.to_owned()
    }

    fn camera(&self, number: u32) -> String {
        match self.names.get(&number) {
            Some(name) => (*name).to_owned(),
            None => self.t("health.subject_camera", &[("number", &number.to_string())]),
        }
    }

    fn filled(&self, key: &str, finding: &Finding) -> String {
        let subject = self.subject(finding);
        let values: Vec<(&str, String)> =
            finding.values.iter().map(|(name, value)| (name.as_str(), self.value(value))).collect();
        let mut all: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        all.push(("subject", &subject));
        self.t(key, &all)
    }

    fn value(&self, value: &Value) -> String {
        match value {
            Value::Text(text) => text.clone(),
            Value::Count(n) => n.to_string(),
            Value::Seconds(s) => self.length(*s),
            Value::Bytes(size) => size.to_string(),
            Value::Days(days) => self.days(&tenths(*days)),
            Value::Celsius(degrees) => format!("{degrees:.0} °C"),
            Value::Percent(percent) => format!("{percent:.0} %"),
            Value::Time(at) => self.time(*at),
            Value::Cameras(cameras) => self.cameras(cameras),
        }
    }

    /// In the two largest units that matter.
    fn length(&self, seconds: f64) -> String {
        let sign = if seconds < 0.0 { "−" } else { "" };
        let s = seconds.abs();
        if s < 0.0995 {
            return format!("{sign}{}", self.unit("milliseconds", &format!("{:.0}", s * 1000.0)));
        }
        if s < 9.95 {
            let tenths = format!("{s:.1}");
            return format!("{sign}{}", self.unit("seconds", tenths.strip_suffix(".0").unwrap_or(&tenths)));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "above, and saturating")]
        let s = s.round() as u64;
        let (d, h, m) = (s / 86_400, s / 3600 % 24, s / 60 % 60);
        let two = |large: String, small: (&str, u64)| match small.1 {
            0 => large,
            n => format!("{large} {}", self.unit(small.0, &n.to_string())),
        };
        let whole = |unit, n: u64| self.unit(unit, &n.to_string());
        let text = match s {
            0..60 => whole("seconds", s),
            // Below ten minutes seconds matter.
            60..600 => two(whole("minutes", m), ("seconds", s % 60)),
            600..3600 => whole("minutes", m),
            3600..86_400 => two(whole("hours", h), ("minutes", m)),
            _ => two(self.days(&d.to_string()), ("hours", h)),
        };
        format!("{sign}{text}")
    }

    fn days(&self, n: &str) -> String {
        self.unit(if n == "1" { "day" } else { "days" }, n)
    }

    fn unit(&self, unit: &str, n: &str) -> String {
        self.t(&format!("health.unit_{unit}"), &[("n", n)])
    }

    fn time(&self, at: WallNs) -> String {
        at.timestamp().to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    fn cameras(&self, cameras: &[u32]) -> String {
        let comma = self.t("health.comma", &[]);
        let named: Vec<String> = cameras.iter().take(NAMED).map(|n| self.camera(*n)).collect();
        let named = named.join(&comma);
        match cameras.len().saturating_sub(NAMED) {
            0 => named,
            more => self.t("health.and_more", &[("named", &named), ("count", &more.to_string())]),
        }
    }

    fn t(&self, key: &str, values: &[(&str, &str)]) -> String {
        t(self.lang, key, values)
    }
}

fn key(finding: &Finding) -> String {
    format!("health.{}_{}", finding.probe, finding.code)
}

/// Never more than it is: 19.96 days are not 20.
fn tenths(n: f64) -> String {
    let text = format!("{:.1}", (n * 10.0).floor() / 10.0);
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}
