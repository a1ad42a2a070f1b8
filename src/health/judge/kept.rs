//! What is kept in truth, against the promise; deletion that is suspended; holds.

use super::{Look, code, other};
use crate::types::wire::{
    CameraRetention, Doubt, Retention, Suspension,
    health::{Finding, Level, Subject, Value},
};

pub(super) fn judge(look: &Look<'_>) -> Vec<Finding> {
    if look.site.is_none() {
        return Vec::new();
    }
    let Some(retention) = look.facts.retention.as_deref() else {
        return vec![code::kept::UNKNOWN.plain(Level::Warn, look)];
    };
    let mut found = cameras(look, retention);
    found.extend(suspended(look, retention));
    if let Some(holds) = &look.facts.holds {
        if let Some(problem) = &holds.own_copy {
            let copy = code::kept::HOLDS_COPY.at(Level::Warn, other("holds"), look);
            found.push(copy.with("why", look.text(problem)));
        } else if holds.due > 0 {
            let due = code::kept::HOLDS_DUE.at(Level::Warn, other("holds"), look);
            found.push(due.with("count", Value::Count(holds.due as u64)));
        }
    }
    found
}

fn cameras(look: &Look<'_>, retention: &Retention) -> Vec<Finding> {
    let mut told: std::collections::BTreeMap<_, _> = retention.cameras.iter().map(|c| (&c.camera, c)).collect();
    let (mut each, mut of, mut measured, mut least) = (Vec::new(), 0_usize, 0_usize, f64::INFINITY);
    for watched in &look.cameras {
        let Some(camera) = told.remove(&watched.camera.id) else { continue };
        if let Some((code, level)) = trouble(camera) {
            let finding = code.at(level, watched.subject(), look);
            each.push(with_figures(finding, camera));
        }
        if camera.min_days.is_some() {
            of += 1;
            if let Some(kept) = camera.kept {
                (measured, least) = (measured + 1, least.min(kept.days));
            }
        }
    }
    let fine = match (of, measured) {
        (0, _) => code::kept::FREE.fine(look),
        (_, 0) if look.is_fresh() => code::kept::MEASURING.fine(look),
        (_, 0) => code::kept::UNMEASURED.plain(Level::Warn, look),
        _ => {
            let kept = code::kept::KEPT.fine(look).with("count", Value::Count(measured as u64));
            kept.with("days", Value::Days(least))
        }
    };
    let all = look.cameras.len();
    look.cameras(each, all, fine, code::kept::PARTLY, code::kept::MANY)
}

/// The worst that is to be said of what is kept of a camera.
fn trouble(camera: &CameraRetention) -> Option<(code::Code, Level)> {
    let promised = camera.min_days.map(f64::from);
    match camera.kept {
        // Nothing was promised: that it is gone, or away, is said all the same.
        Some(kept) if promised.is_none() && kept.lost_seconds > 0 => Some((code::kept::GONE, Level::Warn)),
        Some(kept) if promised.is_none() && kept.unreadable_seconds > 0 && !camera.stopped => {
            Some((code::kept::AWAY, Level::Warn))
        }
        Some(kept) if kept.lost_seconds > 0 => Some((code::kept::LOST, Level::Fail)),
        Some(kept) if kept.unreadable_seconds > 0 => Some((code::kept::UNREADABLE, Level::Fail)),
        _ if camera.stopped => Some((code::kept::STOPPED, Level::Fail)),
        Some(kept) if !kept.young && promised.is_some_and(|min| kept.days < min) => {
            Some((code::kept::SHORT, Level::Fail))
        }
        _ if camera.substream => Some((code::kept::SUBSTREAM, Level::Warn)),
        _ => None,
    }
}

fn with_figures(finding: Finding, camera: &CameraRetention) -> Finding {
    let promised = Value::Days(f64::from(camera.min_days.unwrap_or_default()));
    let Some(kept) = camera.kept else { return finding };
    let length = |seconds: u64| Value::Seconds(seconds as f64);
    match &*finding.code {
        "lost" => finding.with("length", length(kept.lost_seconds)).with("promised", promised),
        "unreadable" => finding.with("length", length(kept.unreadable_seconds)).with("promised", promised),
        "gone" => finding.with("length", length(kept.lost_seconds)),
        "away" => finding.with("length", length(kept.unreadable_seconds)),
        "short" => finding.with("days", Value::Days(kept.days)).with("promised", promised),
        _ => finding,
    }
}

/// Why nothing is deleted. Of each volume, and of all together, the worst reason.
fn suspended(look: &Look<'_>, retention: &Retention) -> Vec<Finding> {
    let mut all: Vec<&Suspension> = retention.suspended.iter().collect();
    // What ends by itself, only where there is no other reason.
    let place = |s: &Suspension| s.volume.clone();
    all.sort_by_key(|s| (place(s), s.doubt == Doubt::Comparing, s.doubt));
    all.dedup_by_key(|s| place(s));
    let finding = |s: &Suspension| {
        let subject = s.volume.clone().map_or_else(|| other("deletion"), Subject::Volume);
        let code = match s.doubt {
            Doubt::Clock => code::kept::CLOCK,
            Doubt::Index => code::kept::INDEX,
            Doubt::Ledger => code::kept::LEDGER,
            Doubt::Holds => code::kept::HOLDS,
            Doubt::Comparing => return code::kept::COMPARING.at(Level::Ok, subject, look),
            Doubt::Contents => code::kept::CONTENTS,
            Doubt::Volume => code::kept::VOLUME,
        };
        code.at(Level::Warn, subject, look).with("why", look.text(&s.why))
    };
    all.into_iter().map(finding).collect()
}
