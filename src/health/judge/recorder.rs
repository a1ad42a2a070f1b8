//! The recorder as a program: whether it answers, its units, its ledger.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::{Look, code, level, other};
use crate::{
    health::{
        facts::{NoAnswer, NoSite},
        report::signed_entries,
    },
    types::wire::health::{Finding, Level, Value},
};

/// After the machine has started, its programs take so long to start.
const BOOT: Duration = Duration::from_mins(2);
/// A recorder that was started again so often within the hour does not stay up. Once is a crash, or a watchdog that found it hung.
const RESTARTS: u64 = 3;
/// The recorder signs within seconds what it enters.
const UNSIGNED: Duration = Duration::from_mins(10);

/// The recorder's own unit.
const UNIT: &str = "custodian-record.service";

pub(super) fn answers(look: &Look<'_>) -> Vec<Finding> {
    let booting = look.facts.machine.uptime_seconds.is_some_and(|s| Duration::from_secs(s) < BOOT);
    match &look.facts.status {
        Ok(status) => {
            let runs = code::recorder::RUNS.fine(look).with("version", Value::Text(status.version.clone()));
            let mut found = vec![runs.with("started", Value::Time(status.started))];
            if let Some(problem) = &status.index_problem {
                let index = code::recorder::INDEX.at(Level::Warn, other("index"), look);
                found.push(index.with("why", look.text(problem)));
            }
            found
        }
        // Nothing is recorded before there is a site.
        Err(_) if matches!(look.facts.site, Err(NoSite::Absent)) => Vec::new(),
        Err(NoAnswer::Down | NoAnswer::Slow) if booting => vec![code::recorder::STARTING.fine(look)],
        Err(NoAnswer::Down) => vec![code::recorder::DOWN.plain(Level::Fail, look)],
        Err(NoAnswer::Slow) => vec![code::recorder::SLOW.plain(Level::Fail, look)],
        Err(NoAnswer::Broken(why)) => {
            vec![code::recorder::UNCLEAR.plain(Level::Fail, look).with("why", look.text(why))]
        }
    }
}

/// Our own units and systemd's are told by name. Another one's may name the school, a place or a person: it gets a number, by which it is
/// the same one at the next look; `systemctl --failed` names it.
fn told(unit: &str) -> String {
    if ["custodian", "var-lib-custodian", "systemd-"].iter().any(|known| unit.starts_with(known)) {
        return unit.to_owned();
    }
    let digest = Sha256::digest(unit);
    let kind = unit.rsplit_once('.').map_or("unit", |(_, kind)| kind);
    format!("unit-{}-{kind}", u16::from_be_bytes([digest[0], digest[1]]))
}

pub(super) fn units(look: &Look<'_>) -> Vec<Finding> {
    let Some(failed) = &look.facts.failed_units else {
        return vec![code::units::UNKNOWN.plain(Level::Warn, look)];
    };
    let one = |unit: &String| {
        let ours = unit.starts_with("custodian");
        code::units::FAILED.at(if ours { Level::Fail } else { Level::Warn }, other(&told(unit)), look)
    };
    let mut found = vec![code::units::WELL.fine(look)];
    found.extend(failed.iter().map(one));
    if let Some(restarts @ 1..) = look.facts.recorder_restarts
        && !failed.contains(UNIT)
    {
        let restarting = code::units::RESTARTING.at(level(restarts, 1, RESTARTS), other(UNIT), look);
        found.push(restarting.with("count", Value::Count(restarts)));
    }
    found
}

pub(super) fn ledger(look: &Look<'_>) -> Vec<Finding> {
    if look.site.is_none() {
        return Vec::new();
    }
    let Some(ledger) = look.status.and_then(|s| s.ledger.as_ref()) else {
        return vec![code::ledger::UNKNOWN.plain(Level::Warn, look)];
    };
    let waiting = Value::Count(ledger.waiting);
    let signed = ledger.checkpoint.as_deref().and_then(signed_entries);
    let unsigned = ledger.entries.zip(signed).is_some_and(|(all, signed)| all > signed);
    let of_all = if let Some(problem) = &ledger.problem {
        code::ledger::PROBLEM.plain(Level::Fail, look).with("why", look.text(problem)).with("waiting", waiting)
    } else {
        match (ledger.entries, ledger.at) {
            (Some(_), Some(at)) if (ledger.waiting > 0 || unsigned) && look.age(at) > UNSIGNED => {
                code::ledger::LATE.plain(Level::Warn, look).with("at", Value::Time(at)).with("waiting", waiting)
            }
            (Some(entries), Some(at)) => {
                code::ledger::SOUND.fine(look).with("entries", Value::Count(entries)).with("at", Value::Time(at))
            }
            _ => code::ledger::OPENING.fine(look),
        }
    };
    let mut found = vec![of_all];
    if ledger.dropped > 0 {
        let dropped = code::ledger::DROPPED.at(Level::Warn, other("dropped"), look);
        found.push(dropped.with("count", Value::Count(ledger.dropped)));
    }
    found
}
