//! What is elsewhere: backups, checkpoints with somebody outside, endpoints.

use super::{Look, code, level, other, seconds};
use crate::{
    health::facts::BackupPlace,
    site::{BackupWhat, PushKind},
    types::wire::health::{Finding, Level, Value},
};

pub(super) fn backups(look: &Look<'_>) -> Vec<Finding> {
    let Some(site) = look.site else { return Vec::new() };
    if site.site.backup().is_none() {
        return Vec::new();
    }
    let Some(backups) = look.root_now().and_then(|root| root.backups.as_ref()) else {
        return vec![code::backup::UNKNOWN.plain(Level::Warn, look)];
    };
    let one = |(number, place): (usize, &BackupPlace)| {
        let subject = other(&format!("backup-{number}-{}", place.kind));
        let at = |code: code::Code, level| code.at(level, subject.clone(), look);
        let age = place.newest.map(|newest| look.age(newest));
        let aged = age.map_or(Level::Ok, |age| level(age, site.warn.backup, site.fail.backup));
        let newest = |finding: Finding| match place.newest.zip(age) {
            Some((at, age)) => finding.with("at", Value::Time(at)).with("age", seconds(age)),
            None => finding,
        };
        if place.damaged > 0 {
            return at(code::backup::DAMAGED, Level::Fail).with("count", Value::Count(place.damaged));
        }
        if age.is_none() {
            // The first one comes with the next night; for one that cannot, there is time until it would be too old.
            return match (place.last_failed, look.is_new(site.warn.backup), look.is_new(site.fail.backup)) {
                (false, true, _) => at(code::backup::NOT_YET, Level::Ok),
                (_, _, true) => at(code::backup::NEVER, Level::Warn),
                _ => at(code::backup::NEVER, Level::Fail),
            };
        }
        if aged == Level::Fail {
            newest(at(code::backup::OLD, aged))
        } else if place.last_failed {
            newest(at(code::backup::FAILED, Level::Warn))
        } else if place.missing > 0 {
            at(code::backup::MISSING, Level::Warn).with("count", Value::Count(place.missing))
        } else {
            newest(at(if aged == Level::Ok { code::backup::FRESH } else { code::backup::OLD }, aged))
        }
    };
    backups.places.iter().enumerate().map(|(i, place)| one((i + 1, place))).collect()
}

pub(super) fn witness(look: &Look<'_>) -> Vec<Finding> {
    let Some(site) = look.site else { return Vec::new() };
    let backed_up = site.site.backup().is_some_and(|b| b.what.contains(&BackupWhat::Ledger));
    // Gatus is told no text but of a failure, and so no checkpoint.
    let pushed = site.site.health().push.iter().any(|push| push.kind != PushKind::Gatus);
    let nowhere = !pushed && !backed_up;
    let age = look.facts.witnessed.map(|at| (at, look.age(at)));
    vec![match age {
        Some((at, age)) if age < site.warn.witness => code::witness::TAKEN.fine(look).with("at", Value::Time(at)),
        // Nobody can: that need not be waited for.
        _ if nowhere => code::witness::NOWHERE.plain(Level::Warn, look),
        Some((at, age)) => {
            code::witness::OLD.plain(Level::Warn, look).with("at", Value::Time(at)).with("age", seconds(age))
        }
        None if look.is_new(site.warn.witness) => code::witness::NOT_YET.fine(look),
        None => code::witness::NEVER.plain(Level::Warn, look),
    }]
}

pub(super) fn push(look: &Look<'_>) -> Vec<Finding> {
    let endpoints = &look.facts.endpoints;
    if endpoints.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (name, endpoint) in endpoints {
        let why = || look.text(endpoint.problem.as_deref().unwrap_or("–"));
        if endpoint.misconfigured {
            found.push(code::push::MISCONFIGURED.at(Level::Warn, other(name), look).with("why", why()));
        } else if let Some(since) = endpoint.failing_since {
            let failing = code::push::FAILING.at(Level::Warn, other(name), look);
            found.push(failing.with("at", Value::Time(since)).with("why", why()));
        } else if endpoint.taken.is_none() {
            // Nothing was to be told yet, or health has just started.
            found.push(code::push::UNTRIED.at(Level::Ok, other(name), look));
        }
    }
    let (of, reached) = (endpoints.len(), endpoints.len() - found.len());
    if reached > 0 {
        let taken = code::push::TAKEN.fine(look).with("count", Value::Count(reached as u64));
        found.insert(0, taken.with("of", Value::Count(of as u64)));
    }
    found
}
