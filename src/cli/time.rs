//! Times as people write and read them: in the site's time zone, unless they say otherwise.

use anyhow::Context;
use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

use crate::types::{Span, WallNs};

/// What a time may look like, for messages. English, as are all mistakes of technicians.
const FORMS: &str = "write 2026-11-22 15:00, 2026-11-22, 15:00 (today), an RFC 3339 time such as 2026-11-22T15:00:00+07:00, now, \
     today, yesterday, a time ago such as -90m, -2h, -3d, or a time ahead such as +2h";

/// Reads a time. `now` is the present, `zone` the site's.
pub(super) fn parse(text: &str, zone: &TimeZone, now: WallNs) -> anyhow::Result<WallNs> {
    read(text.trim(), zone, now.timestamp()).map(WallNs::from).with_context(|| format!("{text:?} is no time: {FORMS}"))
}

fn read(text: &str, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let today = now.to_zoned(zone.clone()).date();
    // An hour that a clock change leaves out is taken as if it had not been changed; of one that comes twice, the first.
    let at = |t: civil::DateTime| t.to_zoned(zone.clone()).ok().map(|t| t.timestamp());
    match text {
        "now" => return Some(now),
        "today" => return at(today.at(0, 0, 0, 0)),
        "yesterday" => return at(today.yesterday().ok()?.at(0, 0, 0, 0)),
        _ => {}
    }
    for (sign, direction) in [('-', -1), ('+', 1)] {
        let Some(away) = text.strip_prefix(sign) else { continue };
        let unit = away.chars().last()?;
        let digits = away.strip_suffix(unit)?;
        let n: i64 = digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))?;
        let seconds = n.checked_mul(match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        })?;
        return now.checked_add(SignedDuration::from_secs(seconds.checked_mul(direction)?)).ok();
    }
    if let Ok(exact) = text.parse::<Timestamp>() {
        return Some(exact);
    }
    // Dates alone are read as their midnight. A time would be read out of a date and time too, so it comes last.
    if let Ok(both) = text.parse::<civil::DateTime>() {
        return at(both);
    }
    text.parse::<civil::Time>().ok().and_then(|time| at(today.to_datetime(time)))
}

/// Reads a day: a date, or the date of a time.
pub(super) fn day(text: &str, zone: &TimeZone, now: WallNs) -> anyhow::Result<civil::Date> {
    Ok(parse(text, zone, now)?.timestamp().to_zoned(zone.clone()).date())
}

/// How times are shown.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    zone: TimeZone,
}

impl Shown {
    pub(super) fn new(zone: TimeZone) -> Self {
        Self { zone }
    }

    /// `2026-11-22 15:00:00`; the zone stands elsewhere.
    pub(super) fn second(&self, t: WallNs) -> String {
        t.timestamp().to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// The zone.
    pub(super) fn time_zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The zone's name.
    pub(super) fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }
}

/// `0:04:59`, `1:00:03`, `2 d 01:00:00`; below a minute with tenths: `7.5 s`.
pub(super) fn length(ns: i64) -> String {
    let tenths = ns.max(0).saturating_add(50_000_000) / 100_000_000;
    if tenths < 600 {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    let s = ns.saturating_add(500_000_000) / 1_000_000_000;
    let (d, h, m, s) = (s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60);
    if d == 0 { format!("{h}:{m:02}:{s:02}") } else { format!("{d} d {h:02}:{m:02}:{s:02}") }
}

/// From and to; a day back from now where nothing is said.
pub(super) fn span(from: Option<&str>, to: Option<&str>, zone: &TimeZone, now: WallNs) -> anyhow::Result<Span> {
    let start = parse(from.unwrap_or("-24h"), zone, now).context("--from")?;
    let end = parse(to.unwrap_or("now"), zone, now).context("--to")?;
    Span::new(start, end).context("--to lies before --from")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22T08:30:00Z, half past three in the afternoon in Viet Nam.
    const NOW: WallNs = WallNs(1_795_336_200_000_000_000);

    fn zone() -> TimeZone {
        TimeZone::get("Asia/Ho_Chi_Minh").unwrap()
    }

    #[test]
    fn people_write_times_of_the_site() {
        let utc = |text: &str| parse(text, &zone(), NOW).map(|t| t.timestamp().to_string());
        for (text, is) in [
            ("2026-11-22 15:00", "2026-11-22T08:00:00Z"),
            ("2026-11-22T15:00:01.5", "2026-11-22T08:00:01.5Z"),
            ("2026-11-22", "2026-11-21T17:00:00Z"),
            ("15:00", "2026-11-22T08:00:00Z"),
            ("2026-11-20 15:00", "2026-11-20T08:00:00Z"),
            ("07:05:09", "2026-11-22T00:05:09Z"),
            ("2026-11-22T15:00:00+08:00", "2026-11-22T07:00:00Z"),
            ("2026-11-22T15:00:00Z", "2026-11-22T15:00:00Z"),
            (" now ", "2026-11-22T08:30:00Z"),
            ("today", "2026-11-21T17:00:00Z"),
            ("yesterday", "2026-11-20T17:00:00Z"),
            ("-90m", "2026-11-22T07:00:00Z"),
            ("-3d", "2026-11-19T08:30:00Z"),
            ("+36h", "2026-11-23T20:30:00Z"),
        ] {
            assert_eq!(utc(text).unwrap(), is, "{text}");
        }
        for text in [
            "",
            "-",
            "-h",
            "--1h",
            "+-1h",
            "-+1h",
            "+",
            "-1.5h",
            "-99999999999999999999d",
            "tomorrow",
            "25:00",
            "2026-13-01",
            "22.11.2026",
            "-é",
        ] {
            let e = utc(text).unwrap_err().to_string();
            assert!(e.contains("is no time"), "{text}: {e}");
        }
    }

    #[test]
    fn an_hour_that_does_not_exist_is_survived() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let t = parse("2026-03-29 02:30", &berlin, NOW).unwrap();
        assert_eq!(t.timestamp().to_string(), "2026-03-29T01:30:00Z");
    }

    #[test]
    fn spans_are_a_day_unless_said_otherwise() {
        let day = span(None, None, &zone(), NOW).unwrap();
        assert_eq!((day.end, day.len_ns()), (NOW, 86_400_000_000_000));
        assert!(span(Some("now"), Some("-1h"), &zone(), NOW).is_err());
    }

    #[test]
    fn times_and_lengths_are_shown() {
        assert_eq!(Shown::new(zone()).second(NOW), "2026-11-22 15:30:00");
        let all: Vec<String> =
            [0, 7_450_000_000, 59_960_000_000, 299_000_000_000, 3_603_000_000_000, 176_400_000_000_000]
                .into_iter()
                .map(length)
                .collect();
        assert_eq!(all, ["0.0 s", "7.5 s", "0:01:00", "0:04:59", "1:00:03", "2 d 01:00:00"]);
        assert_eq!(length(i64::MAX).split(' ').next(), Some("106751"));
        assert_eq!(length(-5), "0.0 s");
    }
}
