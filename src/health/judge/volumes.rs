//! Where footage lies: volumes, the disks below, and how long they take.

use std::time::Duration;

use super::{InForce, Look, code, level};
use crate::{
    health::{
        facts::{DiskAnswer, DiskLook},
        report::committed,
    },
    site::{Volume, VolumePlace},
    types::{
        ByteSize,
        wire::{
            StreamState, VolumeStatus,
            health::{Finding, Level, Subject, Value},
        },
    },
};

fn subject(volume: &Volume) -> Subject {
    Subject::Volume(volume.name.clone())
}

/// The volumes of this recorder.
fn all(site: InForce<'_>) -> &[Volume] {
    site.site.volumes_of(site.recorder)
}

pub(super) fn judge(look: &Look<'_>) -> Vec<Finding> {
    let Some(site) = look.site else { return Vec::new() };
    all(site).iter().map(|v| volume(look, site, v)).collect()
}

fn volume(look: &Look<'_>, site: InForce<'_>, volume: &Volume) -> Finding {
    let committed = committed(look.facts, &volume.name);
    let Some(status) = look.status else {
        // Evidence that it is written to needs no answer.
        return match committed.filter(|at| look.age(*at) < site.warn.newest && *at <= look.facts.at) {
            Some(at) => code::volume::SEEN.at(Level::Ok, subject(volume), look).with("at", Value::Time(at)),
            None => code::volume::UNKNOWN.at(Level::Warn, subject(volume), look),
        };
    };
    let failed = |code: code::Code| code.at(Level::Fail, subject(volume), look);
    let Some(told) = status.volumes.iter().find(|v| v.name == volume.name) else {
        // The recorder has not heard of it yet: site.toml has changed.
        return code::volume::UNHEARD.at(Level::Warn, subject(volume), look);
    };
    let why = look.text(told.problem.as_deref().unwrap_or("–"));
    match told {
        VolumeStatus { healthy: false, full: true, size, .. } => {
            failed(code::volume::FULL).with("size", Value::Bytes(*size))
        }
        VolumeStatus { healthy: false, size: ByteSize(0), .. } => failed(code::volume::ABSENT).with("why", why),
        VolumeStatus { healthy: false, .. } => failed(code::volume::FAILED).with("why", why),
        VolumeStatus { free, size, .. } => stale(look, site, volume).unwrap_or_else(|| {
            let written = code::volume::WRITTEN.at(Level::Ok, subject(volume), look);
            written.with("free", Value::Bytes(*free)).with("size", Value::Bytes(*size))
        }),
    }
}

/// A volume that cameras are recorded on, and that has not been committed for long.
fn stale(look: &Look<'_>, site: InForce<'_>, volume: &Volume) -> Option<Finding> {
    let status = look.status?;
    let on_it = |s: &&crate::types::wire::StreamStatus| {
        s.recorded && s.state == StreamState::Running && s.volume.as_ref() == Some(&volume.name)
    };
    status.streams.iter().find(on_it)?;
    let at = committed(look.facts, &volume.name);
    let from = at.unwrap_or(status.started).max(status.started);
    let age = look.age(from);
    let level = level(age, site.warn.newest, site.fail.newest);
    let stale = || code::volume::STALE.at(level, subject(volume), look);
    (level > Level::Ok).then(|| stale().with("at", Value::Time(from)).with("age", super::seconds(age)))
}

pub(super) fn disks(look: &Look<'_>) -> Vec<Finding> {
    let Some(site) = look.site else { return Vec::new() };
    let disks = all(site).iter().filter(|v| matches!(v.place, VolumePlace::Disk(_)));
    let one = |volume: &Volume| match look.root_now().and_then(|root| root.disks.get(&volume.name)) {
        Some(disk) => self::disk(look, site, volume, disk),
        // Root looks soon after the machine has started.
        None if look.facts.root.is_none() && look.is_fresh() => {
            code::disk::NOT_YET.at(Level::Ok, subject(volume), look)
        }
        None => code::disk::UNKNOWN.at(Level::Warn, subject(volume), look),
    };
    disks.map(one).collect()
}

fn disk(look: &Look<'_>, site: InForce<'_>, volume: &Volume, disk: &DiskLook) -> Finding {
    let at = |code: code::Code, level| code.at(level, subject(volume), look);
    #[expect(clippy::cast_precision_loss, reason = "degrees")]
    let temperature = disk.temperature.map(|t| t as f64);
    let heat = temperature
        .map_or(Level::Ok, |t| level(t, f64::from(site.warn.disk_temperature), f64::from(site.fail.disk_temperature)));
    let hot = || at(code::disk::HOT, heat).with("temperature", Value::Celsius(temperature.unwrap_or_default()));
    match (disk.smart_passed, disk.bad_sectors, temperature) {
        _ if !disk.present => at(code::disk::GONE, Level::Fail),
        (Some(false), ..) => at(code::disk::SMART, Level::Fail),
        _ if heat == Level::Fail => hot(),
        (_, Some(count @ 1..), _) => at(code::disk::SECTORS, Level::Warn).with("count", Value::Count(count)),
        _ if heat == Level::Warn => hot(),
        // That it said once that it is well proves nothing of one that does not answer.
        _ if disk.answer == DiskAnswer::Failed => at(code::disk::SILENT, Level::Warn),
        (Some(true), _, Some(t)) => at(code::disk::WELL, Level::Ok).with("temperature", Value::Celsius(t)),
        (Some(true), _, None) => at(code::disk::PASSED, Level::Ok),
        (None, ..) if disk.answer == DiskAnswer::Asleep => at(code::disk::NOT_YET, Level::Ok),
        (None, ..) => at(code::disk::UNTOLD, Level::Ok),
    }
}

pub(super) fn latency(look: &Look<'_>) -> Vec<Finding> {
    let Some(site) = look.site else { return Vec::new() };
    let Some(status) = look.status else {
        return vec![code::latency::UNKNOWN.plain(Level::Warn, look)];
    };
    let length = |us: u64| Value::Seconds(Duration::from_micros(us).as_secs_f64());
    let (mut slowest, mut found) = ((0, 0), Vec::new());
    for volume in status.volumes.iter().filter(|v| v.healthy) {
        let write = volume.writer_latency.map_or(0, |l| l.p99_us);
        let commit = volume.commit_latency.map_or(0, |l| l.p99_us);
        slowest = (slowest.0.max(write), slowest.1.max(commit));
        if Duration::from_micros(write.max(commit)) >= site.warn.latency {
            let slow = code::latency::SLOW.at(Level::Warn, Subject::Volume(volume.name.clone()), look);
            found.push(slow.with("write", length(write)).with("commit", length(commit)));
        }
    }
    let all = match slowest {
        (0, 0) => code::latency::REST.fine(look),
        (write, commit) => {
            let code = if found.is_empty() { code::latency::FAST } else { code::latency::SLOWEST };
            code.fine(look).with("write", length(write)).with("commit", length(commit))
        }
    };
    found.insert(0, all);
    found
}
