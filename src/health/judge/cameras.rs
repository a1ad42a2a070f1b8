//! What the recorder says of cameras: missing footage, clocks.

use std::time::Duration;

use super::{Look, code, level, seconds};
use crate::types::wire::health::{Finding, Level, Value};

pub(super) fn gaps(look: &Look<'_>) -> Vec<Finding> {
    let Some(site) = look.site else { return Vec::new() };
    // The recorder reckons missing footage from its index.
    if look.status.is_none_or(|s| s.index_problem.is_some()) {
        return vec![code::gaps::UNKNOWN.plain(Level::Warn, look)];
    }
    let (mut most, mut each) = (0.0_f64, Vec::new());
    for camera in &look.cameras {
        let missing =
            |of: fn(&crate::types::wire::StreamStatus) -> f64| camera.streams.iter().map(|s| of(s)).fold(0.0, f64::max);
        let (day, today) = (missing(|s| s.gap_seconds_day), missing(|s| s.gap_seconds_today));
        most = most.max(day);
        let level = level(day, site.warn.gaps.as_secs_f64(), site.fail.gaps.as_secs_f64());
        if level > Level::Ok {
            let missing = code::gaps::MISSING.at(level, camera.subject(), look);
            each.push(missing.with("day", Value::Seconds(day)).with("today", Value::Seconds(today)));
        }
    }
    let few = code::gaps::FEW.fine(look).with("most", Value::Seconds(most));
    let of = look.cameras.iter().filter(|c| c.camera.enabled).count();
    let mut found = look.cameras(each, of, few, code::gaps::PARTLY, code::gaps::MANY);
    if let Some(many) = found.first_mut().filter(|f| f.level > Level::Ok) {
        many.values.insert("most".into(), Value::Seconds(most));
    }
    found
}

pub(super) fn clocks(look: &Look<'_>) -> Vec<Finding> {
    let Some(site) = look.site else { return Vec::new() };
    if look.status.is_none() {
        return vec![code::camera_clock::UNKNOWN.plain(Level::Warn, look)];
    }
    let (mut told, mut most, mut each) = (0, Duration::ZERO, Vec::new());
    for camera in &look.cameras {
        let Some(error) = camera.streams.iter().find_map(|s| s.clock_error) else { continue };
        let off = Duration::try_from_secs_f64(error.abs()).unwrap_or(Duration::MAX);
        (told, most) = (told + 1, most.max(off));
        if off >= site.warn.camera_clock {
            let wrong = code::camera_clock::WRONG.at(Level::Warn, camera.subject(), look);
            each.push(wrong.with("error", Value::Seconds(error)));
        }
    }
    let fine = match told {
        0 => code::camera_clock::UNTOLD.fine(look),
        _ => code::camera_clock::RIGHT.fine(look).with("most", seconds(most)),
    };
    look.cameras(each, told, fine, code::camera_clock::PARTLY, code::camera_clock::MANY)
}
