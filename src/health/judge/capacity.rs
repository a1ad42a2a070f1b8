//! When the promise will break (KEEP3).

use std::time::Duration;

use super::{Look, code};
use crate::types::wire::{
    Retention, VolumeRetention,
    health::{Finding, Level, Subject, Value},
};

const DAY: Duration = Duration::from_hours(24);

pub(super) fn forecast(look: &Look<'_>) -> Vec<Finding> {
    let Some(site) = look.site else { return Vec::new() };
    let Some(retention) = look.facts.retention.as_deref() else {
        return vec![code::forecast::UNKNOWN.plain(Level::Warn, look)];
    };
    if retention.reckoned.is_none() {
        return vec![match look.is_fresh() {
            true => code::forecast::RECKONING.fine(look),
            false => code::forecast::UNRECKONED.plain(Level::Warn, look),
        }];
    }
    let volume = |volume: &VolumeRetention| {
        let breaks = volume.breaks?;
        let left = DAY.saturating_mul(breaks.day);
        let level = if left <= site.fail.forecast {
            Level::Fail
        } else if left <= site.warn.forecast {
            Level::Warn
        } else {
            Level::Ok
        };
        let code = match (level, breaks.day) {
            (Level::Ok, _) => code::forecast::LATER,
            (_, 0) => code::forecast::SHORT,
            _ => code::forecast::SOON,
        };
        let mut finding = code.at(level, Some(Subject::Volume(volume.name.clone())), look);
        finding = finding.with("missing", Value::Bytes(breaks.missing));
        if breaks.day > 0 {
            let days = Value::Days(f64::from(breaks.day));
            finding = finding.with("days", days).with("at", Value::Time(breaks.at));
        }
        if level > Level::Ok {
            finding = finding.with("count", Value::Count(affected(retention, volume, breaks.day)));
        }
        Some(finding)
    };
    // The volumes that come short follow.
    let volumes: Vec<Finding> = retention.volumes.iter().filter_map(volume).collect();
    let fine = if volumes.is_empty() { code::forecast::HOLDS } else { code::forecast::ELSE };
    std::iter::once(fine.fine(look)).chain(volumes).collect()
}

/// How many cameras on a volume stop, or lose promised footage, by then.
fn affected(retention: &Retention, volume: &VolumeRetention, day: u32) -> u64 {
    let soon = |d: Option<u32>| d.is_some_and(|d| d <= day);
    let here = retention.cameras.iter().filter(|c| c.volumes.contains(&volume.name));
    here.filter(|c| c.stopped || soon(c.affected_day)).count() as u64
}
