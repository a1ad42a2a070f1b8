//! What people look after: the generation in force, certificates, verification, updates, the vendor's permission.

use std::time::Duration;

use super::{LOOK_OLD, Look, code, level, other, seconds};
use crate::{
    health::facts::{NoSite, Side},
    types::wire::health::{Finding, GenerationHealth, Level, Value},
};

/// So many lines of what has drifted are told.
const LINES: usize = 3;
/// What tells the loader that the version that runs is a good one. As a unit that has failed it is told, too; here, what comes of it.
const BLESS: &str = "systemd-bless-boot.service";
/// Updates are looked for at least so often.
const UPDATES: Duration = Duration::from_hours(14 * 24);

pub(super) fn generation(look: &Look<'_>) -> Vec<Finding> {
    let mut found = vec![in_force(look)];
    found.extend(look.facts.missing_links.iter().map(|side| match side {
        Side::School => code::generation::LINK_SCHOOL.at(Level::Warn, other("link-school"), look),
        Side::Cameras => code::generation::LINK_CAMERAS.at(Level::Warn, other("link-cameras"), look),
    }));
    match &look.facts.root {
        None if look.is_fresh() => {}
        None => found.push(code::generation::LOOK_NONE.at(Level::Warn, other("look"), look)),
        Some(root) if look.age(root.at) > LOOK_OLD => {
            let old = code::generation::LOOK_OLD.at(Level::Warn, other("look"), look);
            found.push(old.with("at", Value::Time(root.at)));
        }
        Some(root) => {
            if !root.drift.is_empty() {
                let what = root.drift.iter().take(LINES).map(String::as_str).collect::<Vec<_>>().join("; ");
                let drift = code::generation::DRIFT.at(Level::Warn, other("drift"), look);
                let count = Value::Count(root.drift.len() as u64);
                found.push(drift.with("count", count).with("what", look.text(&what)));
            }
        }
    }
    found
}

fn in_force(look: &Look<'_>) -> Finding {
    match &look.facts.site {
        Err(NoSite::Broken(why)) => {
            return code::generation::BROKEN.plain(Level::Fail, look).with("why", look.text(why));
        }
        Err(NoSite::Absent) => return code::generation::NONE.plain(Level::Warn, look),
        Ok(_) => {}
    }
    let Some(root) = &look.facts.root else { return code::generation::UNKNOWN.plain(Level::Warn, look) };
    let Some(GenerationHealth { number, confirmed, trial_until, .. }) = &root.generation else {
        // A site that is in force without one: the recorder was started by hand.
        return code::generation::NONE.plain(Level::Warn, look);
    };
    let number = Value::Count(*number);
    match trial_until {
        _ if *confirmed => code::generation::CONFIRMED.fine(look).with("number", number),
        Some(until) => {
            let over = *until <= look.facts.at;
            let code = if over { code::generation::TRIAL_OVER } else { code::generation::TRIAL };
            let level = if over { Level::Warn } else { Level::Ok };
            let trial = code.plain(level, look).with("number", number).with("until", Value::Time(*until));
            let left = Duration::from_nanos(u64::try_from(until.since(look.facts.at)).unwrap_or(0));
            if over { trial } else { trial.with("left", seconds(left)) }
        }
        None => code::generation::UNCONFIRMED.plain(Level::Warn, look).with("number", number),
    }
}

pub(super) fn certificates(look: &Look<'_>) -> Vec<Finding> {
    let Some(site) = look.site else { return Vec::new() };
    let Some(first) = look.facts.certificates.values().min() else { return Vec::new() };
    let mut found = vec![code::certificate::VALID.fine(look).with("until", Value::Time(*first))];
    for (what, until) in &look.facts.certificates {
        let left = u64::try_from(until.since(look.facts.at)).ok().map(Duration::from_nanos);
        // The less is left, the worse.
        let level = match left {
            Some(left) if left > site.warn.certificate.max(site.fail.certificate) => continue,
            Some(left) if left > site.fail.certificate => Level::Warn,
            _ => Level::Fail,
        };
        let code =
            if left.is_some_and(|l| !l.is_zero()) { code::certificate::ENDING } else { code::certificate::ENDED };
        let finding = code.at(level, other(what), look).with("until", Value::Time(*until));
        found.push(match left.filter(|l| !l.is_zero()) {
            Some(left) => finding.with("left", seconds(left)),
            None => finding,
        });
    }
    if found.len() > 1 {
        // Of the others.
        found[0] = code::certificate::ELSE.fine(look);
    }
    found
}

pub(super) fn verification(look: &Look<'_>) -> Vec<Finding> {
    let Some(site) = look.site else { return Vec::new() };
    let Some(verified) = &look.facts.verified else {
        return vec![if look.is_new(site.warn.verification) {
            code::verification::NOT_YET.fine(look)
        } else {
            code::verification::NEVER.plain(Level::Warn, look)
        }];
    };
    let at = Value::Time(verified.at);
    let age = look.age(verified.at);
    vec![if verified.damaged > 0 {
        let damaged = code::verification::DAMAGED.plain(Level::Fail, look).with("at", at);
        damaged.with("count", Value::Count(verified.damaged))
    } else if level(age, site.warn.verification, Duration::MAX) > Level::Ok {
        code::verification::OLD.plain(Level::Warn, look).with("at", at).with("age", seconds(age))
    } else if !verified.complete {
        code::verification::INCOMPLETE.plain(Level::Warn, look).with("at", at)
    } else {
        code::verification::INTACT.fine(look).with("at", at).with("segments", Value::Count(verified.segments))
    }]
}

/// The loader goes on counting starts of a version that is good: after the third it takes the one before.
fn not_told(look: &Look<'_>) -> Option<Finding> {
    let failed = look.facts.failed_units.as_ref()?.contains(BLESS);
    failed.then(|| code::update::NOT_TOLD.at(Level::Warn, other("loader"), look))
}

pub(super) fn updates(look: &Look<'_>) -> Vec<Finding> {
    let Some(root) = look.root_now() else {
        return vec![code::update::UNKNOWN.plain(Level::Warn, look)];
    };
    let Some(updates) = &root.updates else {
        return [Some(code::update::UNTOLD.fine(look)), not_told(look)].into_iter().flatten().collect();
    };
    let mut found = vec![match (updates.security, updates.looked) {
        _ if updates.failed => code::update::FAILED.plain(Level::Warn, look),
        (count @ 1.., _) => code::update::SECURITY.plain(Level::Warn, look).with("count", Value::Count(count)),
        (0, Some(at)) if look.age(at) > UPDATES => {
            code::update::NOT_LOOKED.plain(Level::Warn, look).with("at", Value::Time(at))
        }
        (0, None) => code::update::NEVER_LOOKED.plain(Level::Warn, look),
        (0, Some(_)) => code::update::NONE.fine(look),
    }];
    if let Some(version) = &updates.offered {
        let offered = code::update::OFFERED.at(Level::Warn, other("offered"), look);
        found.push(offered.with("version", look.text(version)));
    }
    if let Some(version) = &updates.fell_back {
        let fell_back = code::update::FELL_BACK.at(Level::Warn, other("fell-back"), look);
        found.push(fell_back.with("version", look.text(version)));
    }
    if let Some(version) = &updates.left_behind {
        let left_behind = code::update::LEFT_BEHIND.at(Level::Warn, other("left-behind"), look);
        found.push(left_behind.with("version", look.text(version)));
    }
    found.extend(not_told(look));
    found
}

pub(super) fn vendor(look: &Look<'_>) -> Vec<Finding> {
    vec![match look.facts.vendor_until.filter(|until| *until > look.facts.at) {
        Some(until) => code::vendor::OPEN.fine(look).with("until", Value::Time(until)),
        None => code::vendor::SHUT.fine(look),
    }]
}
