//! The machine: room, memory, load, heat, clock.

use std::time::Duration;

use super::{Look, code, level, other};
use crate::types::{
    ByteSize,
    wire::health::{Finding, Level, Value},
};

/// A step of the clock is told for so long.
const STEPPED: Duration = Duration::from_hours(1);

/// Of a hundred, how much is used.
fn used(size: ByteSize, free: ByteSize) -> f64 {
    let taken = size.0.saturating_sub(free.0) as f64;
    if size.0 == 0 { 0.0 } else { taken * 100.0 / size.0 as f64 }
}

fn figures(finding: Finding, used: f64, free: ByteSize) -> Finding {
    finding.with("used", Value::Percent(used)).with("free", Value::Bytes(free))
}

pub(super) fn system_disk(look: &Look<'_>) -> Vec<Finding> {
    let Some(site) = look.site else { return Vec::new() };
    let Some((size, free)) = look.facts.machine.system_disk else {
        return vec![code::system_disk::UNKNOWN.plain(Level::Warn, look)];
    };
    let used = used(size, free);
    let level = level(used, f64::from(site.warn.system_disk), f64::from(site.fail.system_disk));
    let code = if level == Level::Ok { code::system_disk::ROOM } else { code::system_disk::FILLING };
    vec![figures(code.plain(level, look), used, free)]
}

pub(super) fn memory(look: &Look<'_>) -> Vec<Finding> {
    let Some(site) = look.site else { return Vec::new() };
    let machine = &look.facts.machine;
    let Some((memory, available)) = machine.memory.zip(machine.memory_available) else {
        return vec![code::memory::UNKNOWN.plain(Level::Warn, look)];
    };
    let used = used(memory, available);
    let level = level(used, f64::from(site.warn.memory), f64::INFINITY);
    let code = if level == Level::Ok { code::memory::ROOM } else { code::memory::SHORT };
    vec![figures(code.plain(level, look), used, available)]
}

pub(super) fn load(look: &Look<'_>) -> Vec<Finding> {
    let Some(site) = look.site else { return Vec::new() };
    let Some((load, processors)) = look.facts.machine.load else {
        return vec![code::load::UNKNOWN.plain(Level::Warn, look)];
    };
    let share = load * 100.0 / processors.max(1) as f64;
    let level = level(share, f64::from(site.warn.load), f64::INFINITY);
    let code = if level == Level::Ok { code::load::EASY } else { code::load::HIGH };
    vec![code.plain(level, look).with("load", Value::Percent(share))]
}

/// A machine without a sensor (a virtual one) has no temperature that could be judged.
pub(super) fn temperature(look: &Look<'_>) -> Vec<Finding> {
    let (Some(site), Some(heat)) = (look.site, look.facts.machine.temperature) else { return Vec::new() };
    let level = level(heat, f64::from(site.warn.temperature), f64::INFINITY);
    let code = if level == Level::Ok { code::temperature::COOL } else { code::temperature::HOT };
    vec![code.plain(level, look).with("temperature", Value::Celsius(heat))]
}

pub(super) fn clock(look: &Look<'_>) -> Vec<Finding> {
    let machine = &look.facts.machine;
    let worst = match (look.site, machine.clock_offset) {
        (Some(site), Some(offset)) => {
            let off = Duration::try_from_secs_f64(offset.abs()).unwrap_or(Duration::MAX);
            level(off, site.warn.clock, site.fail.clock)
        }
        _ => Level::Ok,
    };
    let offset = |code: code::Code, level| {
        code.plain(level, look).with("offset", Value::Seconds(machine.clock_offset.unwrap_or_default()))
    };
    let mut found = vec![match (machine.clock_synchronised, machine.clock_offset) {
        _ if worst > Level::Ok => offset(code::clock::OFFSET, worst),
        (Some(false), _) => code::clock::UNSYNCHRONISED.plain(Level::Warn, look),
        (None, _) => code::clock::UNKNOWN.plain(Level::Warn, look),
        (Some(true), Some(_)) => offset(code::clock::RIGHT, Level::Ok),
        (Some(true), None) => code::clock::SYNCHRONISED.fine(look),
    }];
    // After a step back it may lie ahead.
    if let Some((at, by)) =
        look.facts.clock_step.filter(|(at, _)| look.facts.at.since(*at).unsigned_abs() < nanos(STEPPED))
    {
        let stepped = code::clock::STEPPED.at(Level::Warn, other("step"), look);
        found.push(stepped.with("at", Value::Time(at)).with("by", Value::Seconds(by)));
    }
    found
}

fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}
