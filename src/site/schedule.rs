//! The hours in which a camera is recorded.

use std::str::FromStr;

use jiff::civil::{DateTime, Weekday};
use serde_json::json;

use super::{
    problem::Code,
    read::{Node, Reader, Value},
    source::Bytes,
};

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];
const DAY: u16 = 24 * 60;

/// Hours that come again each week: `mon-fri 06:00-18:00`, `sat,sun 07:00-11:30`, or `22:00-05:00` for every day. An end
/// at or before the start is on the next day; `00:00-24:00` is a whole day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hours {
    /// Bit 0 is Monday.
    days: u8,
    /// Minutes since midnight, `from` below 1440.
    from: u16,
    /// Minutes since the midnight before `from`; at most 1440 more than `from`.
    to: u16,
}

/// Minutes since midnight of `HH:MM`, up to `24:00`.
pub(super) fn minutes(text: &str) -> Option<u16> {
    let (h, m) = text.split_once(':')?;
    let two = |s: &str| (s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit())).then(|| s.parse::<u16>().ok())?;
    let (h, m) = (two(h)?, two(m)?);
    (m < 60 && h * 60 + m <= DAY).then_some(h * 60 + m)
}

fn day(name: &str) -> Option<u8> {
    DAYS.iter().zip(0..).find(|((n, _), _)| *n == name).map(|(_, i)| i)
}

fn days(text: &str) -> Option<u8> {
    let mut set = 0;
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut at, last) = (day(first)?, day(last)?);
        set |= 1 << at;
        while at != last {
            at = (at + 1) % 7;
            set |= 1 << at;
        }
    }
    Some(set)
}

impl FromStr for Hours {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        let s = s.trim();
        let (set, span) = match s.split_once(' ') {
            Some((set, span)) => (days(set).ok_or(())?, span.trim_start()),
            None => (0x7f, s),
        };
        let (from, to) = span.split_once('-').ok_or(())?;
        let (from, to) = (minutes(from).filter(|m| *m < DAY).ok_or(())?, minutes(to).ok_or(())?);
        Ok(Self { days: set, from, to: if to <= from { to + DAY } else { to } })
    }
}

impl Hours {
    /// Whether a local time lies in these hours.
    pub fn covers(&self, local: DateTime) -> bool {
        let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or(0);
        let today = u8::try_from(local.weekday().to_monday_zero_offset()).unwrap_or(0);
        let on = |day: u8, minute: u16| self.days & (1 << day) != 0 && (self.from..self.to).contains(&minute);
        on(today, minute) || on((today + 6) % 7, minute + DAY)
    }
}

impl Value for Hours {
    fn read(node: &Node<'_>, _: &Bytes, r: &mut Reader) -> Option<Self> {
        let text = r.text(node)?;
        let hours = text.parse().ok();
        if hours.is_none() {
            let problem = r.problem(Code::BadSchedule, &node.span()).with("found", text);
            r.report(problem);
        }
        hours
    }

    fn schema() -> serde_json::Value {
        let day = "(mon|tue|wed|thu|fri|sat|sun)";
        let pattern = format!("^({day}(-{day})?(,{day}(-{day})?)* +)?[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]$");
        json!({ "title": "hours, such as \"mon-fri 06:00-18:00\"", "type": "string", "pattern": pattern })
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn hours_cover_what_they_say() {
        // 2026-11-23 is a Monday.
        let at = |day: i8, h: i8, m: i8| {
            date(2026, 11, 22).checked_add(jiff::Span::new().days(day)).expect("exists").at(h, m, 59, 0)
        };
        let hours = |s: &str| s.parse::<Hours>().expect(s);
        let school = hours("mon-fri 06:00-18:00");
        assert!(school.covers(at(1, 6, 0)) && school.covers(at(5, 17, 59)));
        assert!(!school.covers(at(1, 5, 59)) && !school.covers(at(1, 18, 0)) && !school.covers(at(6, 12, 0)));
        let night = hours("fri 22:00-05:30");
        assert!(night.covers(at(5, 23, 0)) && night.covers(at(6, 5, 29)));
        assert!(!night.covers(at(5, 4, 0)) && !night.covers(at(6, 22, 0)));
        let always = hours("00:00-24:00");
        assert!((0..7).all(|d| always.covers(at(d, 0, 0)) && always.covers(at(d, 23, 59))));
        let around = hours("sat-mon,wed 08:00-09:00");
        assert_eq!((0..7).filter(|d| around.covers(at(*d, 8, 30))).collect::<Vec<_>>(), [0, 1, 3, 6]);
        assert!(hours("08:00-08:00").covers(at(0, 7, 0)), "equal ends are a whole day");
    }

    #[test]
    fn nonsense_is_refused() {
        for s in [
            "",
            "mon",
            "mon-fri",
            "25:00-26:00",
            "24:00-01:00",
            "6:00-18:00",
            "mon - fri 06:00-18:00",
            "tag 06:00-18:00",
            "06:00-18:60",
            "0６:00-18:00",
        ] {
            assert!(s.parse::<Hours>().is_err(), "{s}");
        }
    }
}
