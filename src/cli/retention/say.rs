//! What is said of retention.

use crate::{
    cli::{
        table::{Cell, Mood, Table},
        time::{self, Shown},
    },
    lang::t,
    types::{
        Lang, VolumeName,
        wire::{CameraRetention, Doubt, Retention, Suspension, VolumeRetention},
    },
};

/// In seconds: less than that is a restart, or a night.
const WORTH_TELLING: u64 = 86_400;

/// All of it.
pub(super) fn text(told: &Retention, shown: &Shown, lang: Lang, colour: bool) -> String {
    let promise = if told.target { "retention.target" } else { "retention.invariant" };
    let (now, promise) = (shown.second(told.now), t(lang, promise, &[]));
    let values = [("recorder", told.recorder.as_str()), ("now", &now), ("zone", shown.zone()), ("promise", &promise)];
    let mut text = t(lang, "retention.head", &values) + "\n";
    for suspension in &told.suspended {
        text.push_str(&suspended(suspension, lang));
        text.push('\n');
    }
    if told.younger_seconds >= WORTH_TELLING {
        let (length, help) = (seconds(told.younger_seconds), t(lang, "retention.help_clock", &[]));
        text.push_str(&t(lang, "retention.younger", &[("length", &length), ("help", &help)]));
        text.push('\n');
    }
    if told.reckoned.is_none() {
        text.push_str(&t(lang, "retention.not_reckoned", &[]));
        text.push('\n');
    }
    for table in [cameras(told, lang), volumes(told, shown, lang)] {
        if !table.is_empty() {
            text.push('\n');
            text.push_str(&table.render(colour));
        }
    }
    text
}

fn suspended(s: &Suspension, lang: Lang) -> String {
    let doubt = t(lang, &format!("retention.doubt_{}", s.doubt.as_str()), &[]);
    let help = match s.doubt {
        Doubt::Clock => t(lang, "retention.help_clock", &[]),
        Doubt::Contents => {
            let volume = s.volume.as_ref().map_or("", |v| v.as_str());
            t(lang, "retention.help_contents", &[("volume", volume)])
        }
        _ => String::new(),
    };
    let values = [("doubt", &*doubt), ("why", &s.why), ("help", &help)];
    let line = match &s.volume {
        None => t(lang, "retention.suspended", &values),
        Some(volume) => {
            let values = [values[0], values[1], values[2], ("volume", volume.as_str())];
            t(lang, "retention.suspended_volume", &values)
        }
    };
    line.trim_end().to_owned()
}

/// Never more than it is: 19.96 days are not 20.
fn days(n: f64) -> String {
    format!("{:.1}", (n * 10.0).floor() / 10.0)
}

fn cameras(told: &Retention, lang: Lang) -> Table {
    let column = |key: &str| t(lang, &format!("retention.{key}"), &[]);
    let mut table = Table::default()
        .column(column("camera"), false)
        .column(column("name"), false)
        .column(column("volume"), false)
        .column(column("priority"), true)
        .column(column("promised"), true)
        .column(column("most"), true)
        .column(column("kept"), true)
        .column(column("gaps"), true)
        .column(column("steady"), true)
        .column(column("affected"), true)
        .column(column("state"), false);
    for c in &told.cameras {
        let number = |n: Option<u32>| n.map_or_else(|| "–".to_owned(), |n| n.to_string());
        let volumes: Vec<&str> = c.volumes.iter().map(VolumeName::as_str).collect();
        let gaps = c.kept.map_or(0, |k| k.gap_seconds);
        table.row(vec![
            c.camera.as_str().into(),
            c.name.as_str().into(),
            volumes.join(", ").into(),
            c.priority.to_string().into(),
            number(c.min_days).into(),
            number(c.max_days).into(),
            kept(c),
            Cell::new(seconds(gaps), if gaps > 0 { Mood::Warn } else { Mood::Plain }),
            c.steady_days.map_or_else(|| "–".to_owned(), days).into(),
            affected(c.affected_day, told.warn_days, lang),
            state(c, lang),
        ]);
    }
    table
}

/// Seconds as a length of time.
fn seconds(n: u64) -> String {
    if n == 0 {
        "0".to_owned()
    } else {
        time::length(i64::try_from(n).unwrap_or(i64::MAX).saturating_mul(1_000_000_000))
    }
}

fn kept(c: &CameraRetention) -> Cell {
    let Some(kept) = c.kept else { return "–".into() };
    let short = c.min_days.is_some_and(|min| kept.days < f64::from(min)) && !kept.young;
    Cell::new(days(kept.days), if short { Mood::Bad } else { Mood::Plain })
}

fn affected(day: Option<u32>, warn_days: f64, lang: Lang) -> Cell {
    match day {
        None => "–".into(),
        Some(day) => {
            let mood = if f64::from(day) <= warn_days { Mood::Bad } else { Mood::Warn };
            Cell::new(t(lang, "retention.in_days", &[("days", &day.to_string())]), mood)
        }
    }
}

fn state(c: &CameraRetention, lang: Lang) -> Cell {
    let say = |key: &str, mood| Cell::new(t(lang, &format!("retention.{key}"), &[]), mood);
    match c.kept {
        _ if c.stopped => say("stopped", Mood::Bad),
        Some(k) if k.lost_seconds > 0 => {
            Cell::new(t(lang, "retention.lost", &[("length", &seconds(k.lost_seconds))]), Mood::Bad)
        }
        Some(k) if k.unreadable_seconds > 0 => {
            Cell::new(t(lang, "retention.unreadable", &[("length", &seconds(k.unreadable_seconds))]), Mood::Bad)
        }
        _ if c.substream => say("substream", Mood::Warn),
        _ if !c.recorded => say("left", Mood::Plain),
        Some(k) if k.young && c.min_days.is_some() => say("young", Mood::Plain),
        Some(_) => say("in_order", Mood::Good),
        None => say("not_measured", Mood::Plain),
    }
}

fn volumes(told: &Retention, shown: &Shown, lang: Lang) -> Table {
    let column = |key: &str| t(lang, &format!("retention.{key}"), &[]);
    let mut table = Table::default()
        .column(column("volume"), false)
        .column(column("free"), true)
        .column(column("footage"), true)
        .column(column("usable"), true)
        .column(column("owed"), true)
        .column(column("peak"), true)
        .column(column("per_day"), true)
        .column(column("breaks"), false);
    for v in &told.volumes {
        table.row(vec![
            v.name.as_str().into(),
            v.free.to_string().into(),
            v.footage.to_string().into(),
            v.usable.to_string().into(),
            v.owed.to_string().into(),
            v.peak.to_string().into(),
            v.per_day.to_string().into(),
            breaks(v, told.warn_days, shown, lang),
        ]);
    }
    table
}

fn breaks(v: &VolumeRetention, warn_days: f64, shown: &Shown, lang: Lang) -> Cell {
    let Some(b) = v.breaks else { return Cell::new(t(lang, "retention.holds", &[]), Mood::Good) };
    let mood = if f64::from(b.day) <= warn_days { Mood::Bad } else { Mood::Warn };
    let (days, at, missing) = (b.day.to_string(), shown.second(b.at), b.missing.to_string());
    let values = [("days", &*days), ("at", &at), ("missing", &missing)];
    Cell::new(t(lang, if b.day == 0 { "retention.breaks_now" } else { "retention.breaks_in" }, &values), mood)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    /// As the socket would answer: a camera in order, one that has stopped, one that lost footage, one that left; a volume that breaks.
    fn told() -> Retention {
        let camera = |id: &str, more: serde_json::Value| {
            let mut camera = serde_json::json!({
                "camera": id, "name": "Cổng chính", "volumes": ["a1"], "min_days": 20, "max_days": 30, "priority": 5, "recorded": true,
                "per_day": 21_600_000_000_u64, "held": 0, "steady_days": 24.3, "affected_day": null, "stopped": false, "substream": false,
                "kept": { "at": 0, "days": 23.96, "oldest": 0, "gap_seconds": 0, "unreadable_seconds": 0, "lost_seconds": 0, "young": false },
            });
            camera.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            camera
        };
        let kept = |days: f64, gap: u64, lost: u64, young: bool| serde_json::json!({ "at": 0, "days": days, "oldest": 0, "gap_seconds": gap, "unreadable_seconds": 0, "lost_seconds": lost, "young": young });
        serde_json::from_value(serde_json::json!({
            "recorder": "a", "now": 1_795_336_200_000_000_000_i64, "target": false, "warn_days": 7.0, "reckoned": 0, "younger_seconds": 1_209_600,
            "suspended": [
                { "volume": null, "doubt": "clock", "why": "the clock was set by +864000 s" },
                { "volume": "a2", "doubt": "contents", "why": "1 files are gone" },
            ],
            "volumes": [
                { "name": "a1", "size": 12_000_000_000_000_u64, "free": 60_000_000_000_u64, "wanted": 60_000_000_000_u64,
                  "footage": 11_700_000_000_000_u64, "usable": 11_700_000_000_000_u64, "owed": 9_000_000_000_000_u64,
                  "peak": 12_100_000_000_000_u64, "per_day": 600_000_000_000_u64,
                  "breaks": { "day": 5, "at": 1_795_768_200_000_000_000_i64, "missing": 400_000_000_000_u64 } },
                { "name": "a2", "size": 1000, "free": 10, "wanted": 10, "footage": 0, "usable": 900, "owed": 0, "peak": 0, "per_day": 0,
                  "breaks": null },
            ],
            "cameras": [
                camera("gate-1", serde_json::json!({})),
                camera("yard", serde_json::json!({ "stopped": true, "affected_day": 0, "priority": 1, "kept": kept(12.0, 8, 0, false) })),
                camera("hall", serde_json::json!({ "affected_day": 5, "kept": kept(3.5, 4000, 3600, false) })),
                camera("lane", serde_json::json!({ "substream": true, "kept": kept(2.0, 0, 0, true) })),
                camera("old", serde_json::json!({ "recorded": false, "volumes": [], "max_days": null, "steady_days": null })),
            ],
        }))
        .unwrap()
    }

    #[test]
    fn a_table_for_people() {
        let shown = Shown::new(TimeZone::get("Asia/Ho_Chi_Minh").unwrap());
        let told = told();
        assert!(told.at_risk());
        for lang in Lang::ALL {
            insta::assert_snapshot!(format!("retention_{lang}"), text(&told, &shown, lang, false));
        }
    }

    #[test]
    fn every_doubt_has_words() {
        use Doubt::{Clock, Comparing, Contents, Holds, Index, Ledger, Volume};
        for lang in Lang::ALL {
            for doubt in [Clock, Index, Ledger, Holds, Comparing, Contents, Volume] {
                let said = suspended(&Suspension { volume: None, doubt, why: "x".into() }, lang);
                assert!(!said.contains("retention."), "{said}");
            }
        }
    }
}
